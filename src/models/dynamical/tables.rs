//! From genes to tables: what a fit of many genes reads and fills.

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::row::{GeneFit, Layers, Row, Status};
use super::settings::Dynamical;
use super::shared::{self, SharedGene};
use crate::data::quantities::{
    About, FIT_ALIGNMENT_SCALING, FIT_ALPHA, FIT_BETA, FIT_DIFF_KINETICS, FIT_GAMMA, FIT_LIKELIHOOD, FIT_LOSS,
    FIT_LOSS_START, FIT_PVAL_KINETICS, FIT_PVAL_STEADY, FIT_R2, FIT_S0, FIT_SCALING, FIT_STATUS, FIT_STD_S, FIT_STD_U,
    FIT_STEADY_S, FIT_STEADY_U, FIT_T, FIT_T_OFF, FIT_T_ON, FIT_TAU, FIT_TAU_OFF, FIT_U0, FIT_VARIANCE, LATENT_TIME,
    RECOVER_DYNAMICS, VELOCITY, VELOCITY_GENES, VELOCITY_U,
};
use crate::data::{Dataset, Fit, Team};
use crate::error::Result;

/// Abundances of some genes, one column after the other.
pub(super) struct Columns {
    n_obs: usize,
    u: Vec<f64>,
    s: Vec<f64>,
}

impl Columns {
    /// The columns of `genes` of `data`.
    pub(super) fn new(data: &Dataset, genes: &[usize]) -> Self {
        let n_obs = data.n_obs();
        // Row after row, as the matrices lie in memory; all cells of a gene at once would read every row anew.
        let gather = |matrix: &Array2<f32>| {
            let mut columns = vec![0.0; n_obs * genes.len()];
            for (cell, row) in matrix.rows().into_iter().enumerate() {
                for (at, &gene) in genes.iter().enumerate() {
                    columns[at * n_obs + cell] = f64::from(row[gene]);
                }
            }
            columns
        };
        let (u, s) = rayon::join(|| gather(&data.mu), || gather(&data.ms));
        Self { n_obs, u, s }
    }

    /// `Mu` of the gene at position `at` of the block, `[n_obs]`.
    pub(super) fn u(&self, at: usize) -> &[f64] {
        &self.u[at * self.n_obs..(at + 1) * self.n_obs]
    }

    /// `Ms` of the gene at position `at` of the block, `[n_obs]`.
    pub(super) fn s(&self, at: usize) -> &[f64] {
        &self.s[at * self.n_obs..(at + 1) * self.n_obs]
    }
}

/// Rows and layers of all genes, filled block by block; NaN where a gene has no fit.
pub(super) struct Tables {
    rows: Vec<Row>,
    velocity: Array2<f32>,
    velocity_u: Array2<f32>,
    t: Array2<f32>,
    on: Option<Array2<f32>>,
    off: Option<Array2<f32>>,
    /// The cells' times, if genes share them.
    shared: Option<Vec<f64>>,
}

impl Tables {
    /// Empty tables of `n_obs` cells and `n_vars` genes.
    pub(super) fn new(n_obs: usize, n_vars: usize, with_branch_times: bool) -> Self {
        let layer = || Array2::from_elem((n_obs, n_vars), f32::NAN);
        Self {
            rows: vec![Row::default(); n_vars],
            velocity: layer(),
            velocity_u: layer(),
            t: layer(),
            on: with_branch_times.then(layer),
            off: with_branch_times.then(layer),
            shared: None,
        }
    }

    /// Takes up the fits of `genes`.
    pub(super) fn set(&mut self, genes: &[usize], fits: Vec<GeneFit>) {
        for (&gene, fit) in genes.iter().zip(&fits) {
            self.rows[gene] = fit.row;
        }
        let fitted: Vec<(usize, Layers)> =
            genes.iter().zip(fits).filter_map(|(&gene, fit)| Some((gene, fit.layers?))).collect();
        let fill = |layer: &mut Array2<f32>, column: fn(&Layers) -> &[f64]| {
            let rows: Vec<_> = layer.rows_mut().into_iter().collect();
            rows.into_par_iter().enumerate().for_each(|(cell, mut row)| {
                for (gene, layers) in &fitted {
                    row[*gene] = column(layers)[cell] as f32;
                }
            });
        };
        fill(&mut self.velocity, |layers| &layers.velocity);
        fill(&mut self.velocity_u, |layers| &layers.velocity_u);
        fill(&mut self.t, |layers| &layers.t);
        if let (Some(on), Some(off)) = (&mut self.on, &mut self.off) {
            fill(on, |layers| &layers.branches.on);
            fill(off, |layers| &layers.branches.off);
        }
    }

    /// Fits all genes with a fit anew, on one clock; their own times are only the start.
    ///
    /// # Errors
    /// If another process of `team` has ended.
    pub(super) fn share(&mut self, data: &Dataset, settings: &Dynamical, team: &Team) -> Result<String> {
        let with_fit = self.rows.iter().enumerate().filter(|(_, row)| row.status.has_fit());
        let genes: Vec<SharedGene> = with_fit.map(|(index, row)| SharedGene::new(data, index, row)).collect();
        let n_genes = genes.len();
        if n_genes == 0 {
            return Ok("no gene has a fit: there is no time to share".to_owned());
        }
        let shared =
            shared::share(data, genes, &self.t, (settings.t_max, settings.max_rounds, settings.tolerance), team)?;
        for gene in &shared.genes {
            let (likelihood, variance) = gene.scores(data, &shared.times);
            let row = &mut self.rows[gene.index];
            *row = Row { params: gene.params, t_on: gene.t_on, loss: gene.loss, likelihood, variance, ..*row };
            let (velocity, velocity_u) = shared::velocity(data, gene, &shared.times, settings.velocity);
            let layers =
                [(&mut self.velocity, &velocity), (&mut self.velocity_u, &velocity_u), (&mut self.t, &shared.times)];
            for (layer, values) in layers {
                layer.column_mut(gene.index).iter_mut().zip(values).for_each(|(to, from)| *to = *from as f32);
            }
        }
        let said = format!("one time per cell for {n_genes} genes: {} rounds", shared.losses.len());
        self.shared = Some(shared.times);
        Ok(said)
    }

    /// All genes.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// `value` of every gene with a fit.
    pub(super) fn fitted(&self, value: impl Fn(&Row) -> f64) -> Vec<f64> {
        self.rows.iter().filter(|row| row.status.has_fit()).map(value).collect()
    }

    /// What is about to be done, and how much memory it takes.
    pub(super) fn announcement(&self, n_genes: usize) -> String {
        let layers = if self.on.is_some() { 5 } else { 3 };
        let gigabytes = (layers * self.velocity.len() * size_of::<f32>()) as f64 / 1e9;
        let n_obs = self.velocity.nrows();
        format!("fitting {n_genes} of {} genes in {n_obs} cells; results take {gigabytes:.2} GB", self.rows.len())
    }

    /// How it stands.
    pub(super) fn progress(&self) -> String {
        format!("{} fitted", self.fitted(|_| 0.0).len())
    }

    /// How it went, in `(wall, CPU)` seconds.
    pub(super) fn summary(&self, n_vars: usize, (wall, cpu): (f64, f64)) -> String {
        let counted = |(status, word): &(Status, &str)| {
            let n = self.rows.iter().filter(|row| row.status == *status).count();
            (n > 0 && *status != Status::Fitted).then(|| format!("{n} {word}"))
        };
        let others: Vec<String> = Status::ALL.iter().filter_map(counted).collect();
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
        let fitted = self.fitted(|_| 0.0).len();
        format!("{fitted} of {n_vars} genes fitted in {wall:.2} s ({cpu:.2} CPU s){others}")
    }

    /// The fit under its names.
    pub(super) fn into_fit(self, r2: Vec<f64>, velocity_genes: Vec<bool>) -> Fit {
        let column = |value: fn(&Row) -> f64| self.rows.iter().map(value).collect::<Array1<f64>>();
        // Nothing before the gene is switched on; scVelo can fit a basal transcription here.
        let nothing = column(|gene| if gene.status.has_fit() { 0.0 } else { f64::NAN });
        let mut fit = Fit::of("dynamical");
        fit.set(FIT_ALPHA, column(|gene| gene.params.alpha));
        fit.set(FIT_BETA, column(|gene| gene.params.beta / gene.params.scaling));
        fit.set(FIT_GAMMA, column(|gene| gene.params.gamma));
        fit.set_some(FIT_T_ON, self.shared.as_ref().map(|_| column(|gene| gene.t_on)));
        fit.set(FIT_T_OFF, column(|gene| gene.params.t_switch));
        fit.set(FIT_SCALING, column(|gene| gene.params.scaling));
        fit.set(FIT_STD_U, column(|gene| gene.std_u));
        fit.set(FIT_STD_S, column(|gene| gene.std_s));
        fit.set(FIT_LIKELIHOOD, column(|gene| gene.likelihood));
        fit.set(FIT_VARIANCE, column(|gene| gene.variance));
        fit.set(FIT_U0, nothing.clone());
        fit.set(FIT_S0, nothing);
        fit.set(FIT_PVAL_STEADY, column(|gene| gene.pval_steady));
        fit.set(FIT_STEADY_U, column(|gene| gene.steady_u));
        fit.set(FIT_STEADY_S, column(|gene| gene.steady_s));
        fit.set(FIT_ALIGNMENT_SCALING, column(|gene| gene.alignment_scaling));
        fit.set(FIT_LOSS, column(|gene| gene.loss));
        fit.set(FIT_LOSS_START, column(|gene| gene.start_loss));
        fit.set(FIT_STATUS, self.rows.iter().map(|gene| word(gene.status).to_owned()).collect());
        fit.set(FIT_R2, Array1::from(r2));
        fit.set(VELOCITY_GENES, velocity_genes);
        fit.set(VELOCITY, self.velocity);
        fit.set(VELOCITY_U, self.velocity_u);
        fit.set(FIT_T, self.t);
        if self.on.is_some() {
            fit.set(RECOVER_DYNAMICS, how_to_read());
        }
        fit.set_some(FIT_TAU, self.on);
        fit.set_some(FIT_TAU_OFF, self.off);
        fit.set_some(LATENT_TIME, self.shared.map(Array1::from));
        fit
    }
}

/// How scVelo's `tl.velocity(mode = "dynamical")` is to read the fit: from moments, distances averaged over neighbours.
pub(super) fn how_to_read() -> serde_json::Value {
    serde_json::json!({"fit_connected_states": true, "use_raw": false})
}

/// What the model writes.
pub(in crate::models) const WRITES: &[&About] = &[
    VELOCITY.about(),
    VELOCITY_U.about(),
    FIT_T.about(),
    FIT_TAU.about(),
    FIT_TAU_OFF.about(),
    LATENT_TIME.about(),
    FIT_ALPHA.about(),
    FIT_BETA.about(),
    FIT_GAMMA.about(),
    FIT_T_ON.about(),
    FIT_T_OFF.about(),
    FIT_SCALING.about(),
    FIT_STD_U.about(),
    FIT_STD_S.about(),
    FIT_LIKELIHOOD.about(),
    FIT_VARIANCE.about(),
    FIT_U0.about(),
    FIT_S0.about(),
    FIT_PVAL_STEADY.about(),
    FIT_STEADY_U.about(),
    FIT_STEADY_S.about(),
    FIT_ALIGNMENT_SCALING.about(),
    FIT_LOSS.about(),
    FIT_LOSS_START.about(),
    FIT_STATUS.about(),
    FIT_R2.about(),
    VELOCITY_GENES.about(),
    FIT_DIFF_KINETICS.about(),
    FIT_PVAL_KINETICS.about(),
    RECOVER_DYNAMICS.about(),
];

fn word(status: Status) -> &'static str {
    Status::ALL.iter().find(|(known, _)| *known == status).map_or("", |(_, word)| word)
}

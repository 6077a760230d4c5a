//! From fitted curves and posteriors to layers and columns.

use std::ops::Range;

use ndarray::{Array1, Array2};

use super::fitting::Fitted;
use super::gene::Gene;
use super::mixture::posterior;
use super::start::OrUnfit;
use crate::data::quantities::{
    FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_LIKELIHOOD, FIT_S, FIT_SCALING, FIT_STATUS, FIT_STD_S, FIT_STD_U, FIT_T,
    FIT_T_OFF, FIT_T_ON, FIT_U, LATENT_TIME, LATENT_TIME_STD, VELOCITY, VELOCITY_GENES, VELOCITY_U,
};
use crate::data::{Dataset, Fit};

/// Posterior means of some cells for the genes of one fit, `[rows, genes]`; times `[rows]`.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    rows: Range<usize>,
    /// u and s in units of the moments, then du/dt and ds/dt.
    means: [Array2<f64>; 4],
    /// Posterior mean and s.d. of the time.
    pub time: Vec<[f64; 2]>,
}

/// Reads posteriors.
pub(super) struct Reader<'a, 'm> {
    fitted: &'a Fitted<'m>,
    /// What is averaged, at the grid times, `[states, genes]` each.
    tables: [Array2<f64>; 4],
}

impl<'a, 'm> Reader<'a, 'm> {
    /// Draws all curves and velocities once.
    pub(super) fn new(fitted: &'a Fitted<'m>) -> Self {
        let model = &fitted.model;
        let mut tables: [Array2<f64>; 4] =
            std::array::from_fn(|_| Array2::zeros((model.grid.len(), model.genes.len())));
        for (g, gene) in model.genes.iter().enumerate() {
            for (j, (state, &t)) in gene.curve.states(&model.grid).into_iter().zip(&model.grid).enumerate() {
                let change = gene.curve.velocity(t, state);
                let values = [gene.scaling * state.u, state.s, gene.scaling * change.u, change.s];
                tables.iter_mut().zip(values).for_each(|(table, value)| table[[j, g]] = value);
            }
        }
        Self { fitted, tables }
    }

    /// Cells that are read together.
    pub(super) fn blocks(n_obs: usize) -> impl Iterator<Item = Range<usize>> {
        const CELLS: usize = 256;
        (0..n_obs.div_ceil(CELLS)).map(move |block| block * CELLS..n_obs.min((block + 1) * CELLS))
    }

    /// The cells `rows`.
    pub(super) fn read(&self, rows: Range<usize>) -> Reading {
        let Fitted { model, spread, .. } = self.fitted;
        let (q, _) = posterior(model, spread, rows.clone());
        let time = |q: ndarray::ArrayView1<'_, f64>| {
            let mean: f64 = q.iter().zip(&model.grid).map(|(q, t)| q * t).sum();
            let variance: f64 = q.iter().zip(&model.grid).map(|(q, t)| q * (t - mean).powi(2)).sum();
            [mean, variance.sqrt()]
        };
        Reading {
            rows,
            time: q.rows().into_iter().map(time).collect(),
            means: self.tables.each_ref().map(|table| q.dot(table)),
        }
    }
}

/// A gene with a fit.
#[derive(Clone, Debug)]
pub(super) struct Row {
    gene: Gene,
    converged: bool,
}

impl Row {
    /// Gene number `at` of a fit.
    pub(super) fn new(fitted: &Fitted<'_>, at: usize) -> Self {
        Self { gene: fitted.model.genes[at].clone(), converged: fitted.history.converged }
    }

    /// Geometric mean over cells and species of the density of an abundance in units of its gene's s.d., taken as expected under
    /// the posteriors: `(2πe)^(−1/2) (R_u R_s)^(−1/4)` with R the parts of the variances that the curve leaves. 0.24 says
    /// that the curve explains nothing.
    fn likelihood(&self) -> f64 {
        let [u, s] = self.gene.unexplained();
        (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt().recip() * (u * s).powf(-0.25)
    }

    /// Whether the curve explains part of both species.
    fn explains(&self) -> bool {
        self.gene.unexplained().into_iter().all(|part| part < 1.0 - LEAST_EXPLAINED)
    }

    fn status(&self) -> &'static str {
        if self.converged { "fitted" } else { "not converged" }
    }
}

/// Part of the variances that a curve must explain for its velocities to be used; scVelo's bound of R².
const LEAST_EXPLAINED: f64 = 0.01;

/// Layers and columns of all genes, NaN where a gene has no fit.
pub(super) struct Tables<'a> {
    data: &'a Dataset,
    /// How every gene ended, `[n_vars]`.
    pub rows: Vec<OrUnfit<Row>>,
    /// Times per gene, unless genes share them.
    pub t: Option<Array2<f32>>,
    /// Posterior mean and s.d. of a shared time, `[n_obs]`.
    pub latent: Option<Vec<[f64; 2]>>,
    /// u, s, du/dt, ds/dt.
    layers: [Array2<f32>; 4],
}

impl<'a> Tables<'a> {
    /// Tables in which no gene has a fit yet.
    pub(super) fn new(data: &'a Dataset, rows: Vec<OrUnfit<Row>>, with_times: bool) -> Self {
        let layer = || Array2::from_elem(data.ms.raw_dim(), f32::NAN);
        Self { data, rows, t: with_times.then(layer), latent: None, layers: std::array::from_fn(|_| layer()) }
    }

    /// Takes up a reading of `genes`. No cell can lose more than it has: velocities are at least −u and −s.
    pub(super) fn set(&mut self, genes: &[usize], reading: &Reading) {
        for (at, i) in reading.rows.clone().enumerate() {
            for (g, &gene) in genes.iter().enumerate() {
                let [u, s, velocity_u, velocity] = reading.means.each_ref().map(|mean| mean[[at, g]] as f32);
                let values = [u, s, velocity_u.max(-self.data.mu[[i, gene]]), velocity.max(-self.data.ms[[i, gene]])];
                self.layers.iter_mut().zip(values).for_each(|(layer, value)| layer[[i, gene]] = value);
                if let Some(t) = &mut self.t {
                    t[[i, gene]] = reading.time[at][0] as f32;
                }
            }
        }
    }

    /// How the genes ended, in words.
    pub(super) fn summary(&self, seconds: f64) -> String {
        let n = self.rows.iter().filter(|row| row.is_ok()).count();
        format!("{n} of {} genes fitted in {seconds:.2} s", self.rows.len())
    }

    /// The fit under its names.
    pub(super) fn into_fit(self) -> Fit {
        let column = |value: fn(&Row) -> f64| -> Array1<f64> {
            self.rows.iter().map(|row| row.as_ref().map_or(f64::NAN, value)).collect()
        };
        let mut velocity_genes: Vec<bool> = self.rows.iter().map(|row| row.as_ref().is_ok_and(Row::explains)).collect();
        if velocity_genes.iter().filter(|used| **used).count() < 2 {
            velocity_genes = self.rows.iter().map(Result::is_ok).collect();
        }
        let status = |row: &OrUnfit<Row>| match row {
            Ok(row) => row.status().to_owned(),
            Err(unfit) => unfit.word().to_owned(),
        };
        let mut fit = Fit::of("soft_grid");
        fit.set(FIT_ALPHA, column(|row| row.gene.curve.rates.alpha));
        // scVelo stores β so that it acts on unscaled counts.
        fit.set(FIT_BETA, column(|row| row.gene.curve.rates.beta / row.gene.scaling));
        fit.set(FIT_GAMMA, column(|row| row.gene.curve.rates.gamma));
        fit.set(FIT_T_ON, column(|row| row.gene.curve.t_on));
        fit.set(FIT_T_OFF, column(|row| row.gene.curve.t_off));
        fit.set(FIT_SCALING, column(|row| row.gene.scaling));
        fit.set(FIT_STD_U, column(|row| row.gene.residual[0].sqrt() * row.gene.scaling));
        fit.set(FIT_STD_S, column(|row| row.gene.residual[1].sqrt()));
        fit.set(FIT_LIKELIHOOD, column(Row::likelihood));
        fit.set(FIT_STATUS, self.rows.iter().map(status).collect());
        fit.set(VELOCITY_GENES, velocity_genes);
        let of_time = |part: usize| self.latent.as_ref().map(|time| time.iter().map(|time| time[part]).collect());
        fit.set_some(LATENT_TIME, of_time(0));
        fit.set_some(LATENT_TIME_STD, of_time(1));
        let [u, s, velocity_u, velocity] = self.layers;
        fit.set(VELOCITY, velocity);
        fit.set(VELOCITY_U, velocity_u);
        fit.set(FIT_U, u);
        fit.set(FIT_S, s);
        fit.set_some(FIT_T, self.t);
        fit
    }
}

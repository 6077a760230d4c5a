//! The steady-state model: velocity is the distance from a line (La Manno et al. 2018; stochastic: Bergen et al. 2020).
//!
//! Where transcription has settled, `du/dt = ds/dt = 0`, so that unspliced and spliced abundance lie on a line whose slope
//! is `γ/β`. With β = 1 (time in units of splicing), u = `Mu` and s = `Ms` of one gene:
//!
//! ```text
//! u ≈ γ s + o                 fitted to the cells that are likely to be at a steady state
//! ds/dt = u − γ s − o         o = 0 unless an offset is fitted
//! ```
//!
//! - **deterministic**: least squares over the extreme cells, those at the top of `w = s / max s + u / max u`
//!   ([`lines`](crate::preprocess::lines)).
//! - **stochastic** (default): the second moments `Mss`, `Mus` give a second equation for the same slope,
//!   `y₂ ≈ γ x₂` with `x₂ = 2 Mss − Ms`, `y₂ = 2 Mus + Mu`, over all cells. Both are solved as one least-squares problem,
//!   each divided by the s.d. of its residual. Only velocity genes are fitted again; all others keep the slope of the
//!   deterministic fit. The model also says how the residual of the second equation varies,
//!   `variance_velocity = (y₂ − 2 s u) − γ (x₂ − 2 s²)`, plus `2 o s` with an offset.
//!
//! Moments scaled to \[0, 1\] (recipe `velovi`) are fitted as they are; second moments are brought to their units
//! (`stochastic.rs`).
//!
//! A gene is a velocity gene if its line explains its unspliced abundance: see [`velocity_genes`].
//!
//! # Two coefficients of determination
//!
//! `R² = 1 − Σ residual² / Σ (u − mean u)²`, over all cells in both:
//!
//! - `velocity_r2`: residual of the line through the *extreme* cells. This one chooses the velocity genes here, as in
//!   scVelo's `tl.velocity`.
//! - `fit_r2`: residual of the line through *all* cells. scVelo's `recover_dynamics` chooses by it.
//!
//! Source: La Manno et al. 2018, Methods; Bergen et al. 2020, Methods (eqs. of the stochastic model); behaviour: scVelo 0.3.4
//! `tl.velocity`. What differs from it stands in `models/steady_state/README.md`.

mod stochastic;

pub use crate::preprocess::lines::{Extremes, GeneLines, Line, fit_lines};
pub use crate::preprocess::selection::{Selection, of_lines, velocity_genes};

use ndarray::{Array1, Array2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::stochastic::{Second, stochastic_line};
use super::{Columns, VelocityModel};
use crate::data::quantities::{
    About, FIT_R2, VARIANCE_VELOCITY, VELOCITY, VELOCITY_GAMMA, VELOCITY_GENES, VELOCITY_OFFSET, VELOCITY_QREG_RATIO,
    VELOCITY_R2,
};
use crate::data::{Dataset, Fit, GeneFilter, Run};
use crate::error::{Result, require, within};
use crate::preprocess::lines::GeneMoments;
use crate::preprocess::moments::second_moments;

/// `[model]` with `kind = "steady_state"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteadyState {
    /// What the slope of the steady-state line is fitted to: `stochastic`: first and second moments; `deterministic`:
    /// first moments only.
    pub mode: Mode,
    /// Whether the steady-state line has an intercept (basal unspliced abundance); false: it passes through the
    /// origin.
    pub fit_offset: bool,
    /// Cells above this percentile (50 to 100) of abundance decide the slope; with an intercept, also those below 100
    /// minus it.
    pub percentile: f64,
    /// Velocity genes have a `velocity_r2` (R² of the line through the extreme cells) above this.
    pub min_r2: f64,
    /// Velocity genes have a slope (gamma / beta, from the extreme cells) above this.
    pub min_ratio: f64,
    /// Column of var that marks highly variable genes; where the file has it, only these can be velocity genes;
    /// empty: not used.
    pub highly_variable: String,
}

/// The equations that the slope is fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// First moments of the extreme cells.
    Deterministic,
    /// First moments of the extreme cells and second moments of all.
    Stochastic,
}

impl Default for SteadyState {
    fn default() -> Self {
        let Selection { min_r2, min_ratio, highly_variable } = Selection::default();
        let Extremes { percentile, fit_offset } = Extremes::default();
        Self { mode: Mode::Stochastic, fit_offset, percentile, min_r2, min_ratio, highly_variable }
    }
}

impl SteadyState {
    fn selection(&self) -> Selection {
        Selection { min_r2: self.min_r2, min_ratio: self.min_ratio, highly_variable: self.highly_variable.clone() }
    }
}

impl VelocityModel for SteadyState {
    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        self.selection().check(&data.var)?;
        let extremes = Extremes { percentile: self.percentile, fit_offset: self.fit_offset };
        let genes = fit_lines(data, extremes);
        let of_genes = |value: fn(&GeneLines) -> f64| genes.iter().map(value).collect::<Vec<f64>>();
        let (ratio, r2) = (of_genes(|gene| gene.extreme.slope), of_genes(|gene| gene.r2));
        let velocity_genes = velocity_genes(data, &r2, &ratio, &self.selection(), run.reporter());

        let mut lines: Vec<Line> = genes.iter().map(|gene| gene.extreme).collect();
        let mut variance = None;
        if self.mode == Mode::Stochastic {
            let (mus, mss) = second_moments(data)?;
            let second = Second { us: &mus, ss: &mss, scaling: data.scaling.as_ref() };
            let refitted = refitted(&velocity_genes);
            lines = refit(data, second, &lines, &refitted, extremes);
            variance = Some(variance_velocity(data, second, &lines, &refitted));
        }
        let mut fit = Fit::of(match self.mode {
            Mode::Deterministic => "deterministic",
            Mode::Stochastic => "stochastic",
        });
        let residual = |i: usize, g: usize| lines[g].residual(f64::from(data.mu[[i, g]]), f64::from(data.ms[[i, g]]));
        fit.set(VELOCITY, over_cells(data, residual));
        fit.set_some(VARIANCE_VELOCITY, variance);
        fit.set(VELOCITY_GAMMA, lines.iter().map(|line| line.slope).collect());
        fit.set_some(VELOCITY_OFFSET, self.fit_offset.then(|| lines.iter().map(|line| line.offset).collect()));
        fit.set_some(VELOCITY_QREG_RATIO, (self.mode == Mode::Stochastic).then(|| Array1::from(ratio)));
        fit.set(VELOCITY_R2, Array1::from(r2));
        fit.set(FIT_R2, genes.iter().map(|gene| gene.full_r2).collect());
        fit.set(VELOCITY_GENES, velocity_genes);
        Ok(fit)
    }

    fn velocity_gene_filters(&self, column: Columns) -> Vec<GeneFilter> {
        let slopes = column(VELOCITY_QREG_RATIO).or_else(|| column(VELOCITY_GAMMA));
        let (Some(r2), Some(slopes)) = (column(VELOCITY_R2), slopes) else { return Vec::new() };
        let [r2, slopes] = of_lines(&r2, &slopes, &self.selection());
        let (r2, slopes) = (r2.set_by("model.min_r2"), slopes.set_by("model.min_ratio"));
        vec![GeneFilter { key: VELOCITY_R2.key(), ..r2 }, GeneFilter { key: "velocity_slope", ..slopes }]
    }

    fn validate(&self) -> Result<()> {
        let in_range = (50.0..=100.0).contains(&self.percentile);
        require(in_range, "model.percentile", self.percentile, "must be in [50, 100]")?;
        require(self.min_r2 < 1.0, "model.min_r2", self.min_r2, "must be below 1: no gene explains more")?;
        within("model.min_r2", self.min_r2, -1e6..=1.0, "no gene's R2 is above 1")?;
        within("model.min_ratio", self.min_ratio, 0.0..=1e6, "it is a ratio of two rates")
    }

    fn citations(&self) -> &'static [&'static str] {
        const LA_MANNO: &str = "La Manno et al.: RNA velocity of single cells. Nature 560, 2018";
        const BERGEN: &str = "Bergen et al.: Generalizing RNA velocity to transient cell states through dynamical \
                              modeling. Nature Biotechnology 38, 2020";
        match self.mode {
            Mode::Deterministic => &[LA_MANNO],
            Mode::Stochastic => &[LA_MANNO, BERGEN],
        }
    }
}

/// What the model writes.
pub(in crate::models) const WRITES: &[&About] = &[
    VELOCITY.about(),
    VARIANCE_VELOCITY.about(),
    VELOCITY_GAMMA.about(),
    VELOCITY_OFFSET.about(),
    VELOCITY_QREG_RATIO.about(),
    VELOCITY_R2.about(),
    FIT_R2.about(),
    VELOCITY_GENES.about(),
];

/// The genes that the second moments are used for: velocity genes, or all if there is none.
fn refitted(velocity_genes: &[bool]) -> Vec<bool> {
    let any = velocity_genes.contains(&true);
    velocity_genes.iter().map(|&chosen| chosen || !any).collect()
}

/// The lines of the stochastic model; genes that are not `refitted` keep theirs. `[n_vars]`
fn refit(data: &Dataset, second: Second<'_>, lines: &[Line], refitted: &[bool], extremes: Extremes) -> Vec<Line> {
    let refit = |(gene, &line): (usize, &Line)| {
        if refitted[gene] { stochastic_line(&GeneMoments::of(data, gene), second, gene, line, extremes) } else { line }
    };
    lines.par_iter().enumerate().map(refit).collect()
}

/// Residual of the second equation in centred moments, `[n_obs, n_vars]`; 0 for genes that were not `refitted`.
fn variance_velocity(data: &Dataset, second: Second<'_>, lines: &[Line], refitted: &[bool]) -> Array2<f32> {
    over_cells(data, |i, g| {
        if !refitted[g] {
            return 0.0;
        }
        let moments = [&data.mu, &data.ms].map(|moments| f64::from(moments[[i, g]]));
        second.centred_residual(i, g, lines[g], moments)
    })
}

/// `value` of every cell and gene of `data`, `[n_obs, n_vars]`.
fn over_cells(data: &Dataset, value: impl Fn(usize, usize) -> f64 + Sync) -> Array2<f32> {
    let mut out = Array2::<f32>::zeros(data.ms.dim());
    let rows: Vec<_> = out.rows_mut().into_iter().collect();
    rows.into_par_iter().enumerate().for_each(|(i, mut row)| {
        for (g, entry) in row.iter_mut().enumerate() {
            *entry = value(i, g) as f32;
        }
    });
    out
}

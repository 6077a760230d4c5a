//! What can be set, and why it is as it is.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require, within};
use crate::models::TIME_AXIS;

/// Settings of the dynamical model: `[model]` with `kind = "dynamical"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a config file, each for itself")]
pub struct Dynamical {
    /// How parameters of single genes are optimised: `converged`: to the minimum of the loss; `compat`: the few simplex
    /// steps of scVelo. The fit as scVelo has it is `compat` with one time for each gene.
    pub schedule: Schedule,
    /// Time of a cell: `shared`: one latent time for all genes, from fits of single genes; `gene`: one for each gene
    /// (scVelo).
    pub time_scope: TimeScope,
    /// Genes to fit: `velocity_genes` (those that the steady-state model selects, as in scVelo), or `all` that
    /// preprocessing kept.
    pub genes: Genes,
    /// Whether the scaling of unspliced abundance is fitted; false: it stays at the ratio of the standard deviations.
    pub fit_scaling: bool,
    /// Length of the time axis: each gene's times are rescaled so that its cells span it (scVelo: 20, called hours).
    pub t_max: f64,
    /// Maximum number of EM rounds of `converged`, and of the shared time.
    pub max_rounds: usize,
    /// `converged` and the shared time: the fit ends after a round that lowers the loss by less than this fraction.
    pub tolerance: f64,
    /// `compat`: scVelo's `max_iter`; each simplex makes `max_iter` / 5 − 1 steps.
    pub max_iter: usize,
    /// `compat`: assign times by projection onto the curve in all stages and for all genes; false: in the last stage,
    /// where beta < gamma.
    pub full_projection: bool,
    /// Velocities are computed from the fitted abundances (`fit`), or from the observed ones (`residuals`, scVelo's
    /// `dynamical_residuals`).
    pub velocity: VelocityFrom,
    /// Velocity genes have a likelihood above this.
    pub min_likelihood: f64,
    /// Velocity genes have an R² of the steady-state line through all cells above this.
    pub min_r2: f64,
    /// With one time for each gene: column of obs with groups of cells to test for kinetics that differ from those of
    /// the other cells; empty: no test.
    pub groups: String,
    /// Whether velocities are set to 0 in groups whose kinetics differ.
    pub silence_groups: bool,
    /// With one time for each gene: whether to write `fit_tau` and `fit_tau_`, the times on both branches, from which
    /// scVelo recomputes velocities.
    pub branch_times: bool,
}

/// How parameters are optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// To the minimum of the loss, by derivatives.
    Converged,
    /// By the few simplex steps of scVelo.
    Compat,
}

/// Whether the genes share the time of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScope {
    /// One per cell and gene.
    Gene,
    /// One per cell.
    Shared,
}

/// Genes to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Genes {
    /// Those that the steady-state model selects, as in scVelo.
    VelocityGenes,
    /// All that preprocessing kept.
    All,
}

/// What velocities are computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VelocityFrom {
    /// The fitted abundances: scVelo's mode `dynamical`.
    Fit,
    /// The observed abundances: scVelo's mode `dynamical_residuals`.
    Residuals,
}

impl Default for Dynamical {
    fn default() -> Self {
        Self {
            schedule: Schedule::Converged,
            time_scope: TimeScope::Shared,
            genes: Genes::VelocityGenes,
            fit_scaling: true,
            t_max: 20.0,
            max_rounds: 50,
            tolerance: 3e-4,
            max_iter: 10,
            full_projection: false,
            velocity: VelocityFrom::Fit,
            min_likelihood: 1e-3,
            min_r2: 0.01,
            groups: String::new(),
            silence_groups: false,
            branch_times: true,
        }
    }
}

impl Dynamical {
    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        within("model.t_max", self.t_max, TIME_AXIS, "rates are in 1 / time")?;
        let why = "smaller changes are rounding errors, larger ones no end of a fit";
        within("model.tolerance", self.tolerance, 1e-12..=0.1, why)?;
        within("model.max_rounds", self.max_rounds, 1..=10_000, "a fit converges in tens of rounds")?;
        within("model.max_iter", self.max_iter, 5..=10_000, "a simplex makes a fifth as many steps, less one")?;
        within("model.min_likelihood", self.min_likelihood, 0.0..=1.0, "no gene's likelihood is above 1")?;
        within("model.min_r2", self.min_r2, -1e6..=1.0, "no gene's R2 is above 1")?;
        let of_shared = !self.groups.is_empty() && self.time_scope == TimeScope::Shared;
        require(
            !of_shared,
            "model.groups",
            &self.groups,
            "needs model.time_scope = \"gene\" (the test is of fits of single genes)",
        )?;
        let silence = self.silence_groups && self.groups.is_empty();
        require(!silence, "model.silence_groups", true, "needs model.groups, a column of obs")
    }
}

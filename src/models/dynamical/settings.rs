//! What can be set, and why it is as it is.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// Settings of the dynamical model: `[model]` with `kind = "dynamical"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a config file, each for itself")]
pub struct Dynamical {
    /// How parameters are sought.
    pub schedule: Schedule,
    /// Whether each gene has its own time per cell, or all genes share one.
    pub time_scope: TimeScope,
    /// Genes that are fitted.
    pub genes: Genes,
    /// Whether the scaling of unspliced abundance is fitted, or kept at the ratio of the spreads.
    pub fit_scaling: bool,
    /// The longest time that a gene's cells span after the alignment of genes; scVelo says hours.
    pub t_max: f64,
    /// `converged`: rounds at most.
    pub max_rounds: usize,
    /// `converged`: a round that lowers the loss by less than this part is the last.
    pub tolerance: f64,
    /// `compat`: scVelo's `max_iter`; a fifth of it, less one, is the number of steps of each simplex.
    pub max_iter: usize,
    /// `compat`: project in all stages and for all genes, rather than in the last where β < γ.
    pub full_projection: bool,
    /// What velocities are computed from.
    pub velocity: VelocityFrom,
    /// Genes with a smaller likelihood are no velocity genes.
    pub min_likelihood: f64,
    /// Genes with a smaller R² of the steady-state line through all cells are no velocity genes.
    pub min_r2: f64,
    /// Column of obs with groups of cells to test for kinetics of their own; empty for no test.
    pub groups: String,
    /// Whether velocities are 0 in groups whose kinetics differ.
    pub silence_groups: bool,
    /// Whether the times on both branches are written, which scVelo needs to compute velocities from this fit.
    pub branch_times: bool,
}

/// How parameters are sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// To the minimum of the loss, with derivatives.
    Converged,
    /// scVelo's few simplex steps.
    Compat,
}

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScope {
    /// One per cell and gene.
    Gene,
    /// One per cell.
    Shared,
}

/// Genes that are fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Genes {
    /// Those that the steady-state model finds fit, as scVelo does.
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
            time_scope: TimeScope::Gene,
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
        let positive = |name: &str, value: f64| {
            require(value.is_finite() && value > 0.0, &format!("model.{name}"), value, "must be above 0")
        };
        positive("t_max", self.t_max)?;
        positive("tolerance", self.tolerance)?;
        require(self.max_rounds > 0, "model.max_rounds", self.max_rounds, "must be at least 1")?;
        require(self.max_iter >= 5, "model.max_iter", self.max_iter, "must be at least 5")?;
        require(self.min_likelihood >= 0.0, "model.min_likelihood", self.min_likelihood, "must be 0 or more")?;
        require(self.min_r2 <= 1.0, "model.min_r2", self.min_r2, "must be 1 or less")?;
        let of_shared = !self.groups.is_empty() && self.time_scope == TimeScope::Shared;
        require(!of_shared, "model.groups", &self.groups, "needs model.time_scope = \"gene\"")?;
        let silence = self.silence_groups && self.groups.is_empty();
        require(!silence, "model.silence_groups", true, "needs model.groups, a column of obs")
    }
}

//! What can be set, and why it is as it is.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// Settings of the EM on a grid of times: `[model]` with `kind = "soft_grid"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftGrid {
    /// What observations are: counts, or moments with normal errors.
    pub likelihood: Likelihood,
    /// `gaussian`, `seed`: whether all genes share a cell's time, or each gene has its own. Counts always share.
    pub time_scope: TimeScope,
    /// Number of lineages behind the point where they part; 1 for none, 0 to choose by the likelihood of held-out cells.
    pub lineages: usize,
    /// Most lineages that are tried.
    pub max_lineages: usize,
    /// Grid times from the root to the end of a lineage.
    pub grid: usize,
    /// Pieces of constant transcription from the root to the end of a lineage.
    pub pieces: usize,
    /// Time of the last grid point; the field's convention is 20.
    pub t_max: f64,
    /// How cells spread over the grid: `learned`, or `uniform`.
    pub time_prior: TimePrior,
    /// Cells added to every grid point before its share is learned: 0 is the mean responsibility itself.
    pub smoothing: f64,
    /// Column of obs with capture times (`day`, `E8.5`): time begins at the earliest, and each capture time learns a spread
    /// over the grid of its own. Empty: none.
    pub capture_time: String,
    /// Where time begins, as `column=value` of obs (`clusters=Ductal`). Empty: every tip of the data is tried, and the
    /// likelihood decides.
    pub root: String,
    /// A direction counts as determined if the genes agree on it: their mean advantage over the next best direction must be
    /// this many standard errors.
    pub evidence: f64,
    /// How large cells are: one size for both species, one for each, or the total counts as they are.
    pub sizes: Sizes,
    /// S.d. of the sizes before the counts.
    pub size_sd: f64,
    /// Median of β before the counts, in 1 / time, and the s.d. of ln β. Rates far above 20 / `t_max` would make unspliced and
    /// spliced counts rise and fall together, and time without a direction.
    pub beta_prior: [f64; 2],
    /// The same of γ.
    pub gamma_prior: [f64; 2],
    /// What a change of transcription costs: w in `w ln(1 + (Δ ln α / 0.3)²)`, in nats.
    pub switch_cost: f64,
    /// What a difference between lineages costs, likewise.
    pub lineage_cost: f64,
    /// Rounds at most.
    pub max_rounds: usize,
    /// A round that raises the objective by less than this part of it is the last.
    pub tolerance: f64,
    /// Cells at most, drawn at random, on which the shape of the data, its direction and the number of lineages are decided.
    pub choice_cells: usize,
    /// Rounds of every candidate in these decisions.
    pub choice_rounds: usize,
    /// Whether the s.d. of velocities, the scores of genes and their permutations are computed.
    pub uncertainty: bool,
    /// Whether cells are read block after block instead of all at once, for files larger than memory; layers are then
    /// not written.
    pub stream: bool,
    /// `stream`: cells read at a time.
    pub block_cells: usize,
    /// `stream`: passes over the file after the fit to the `choice_cells`.
    pub passes: usize,
}

/// What observations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Negative binomial counts, the dispersion learned per gene and species.
    NegativeBinomial,
    /// Poisson counts.
    Poisson,
    /// Moments with normal errors of a learned s.d. per gene and species.
    Gaussian,
    /// Moments at squared distance over one scalar, without the normal density's factors: the form in which soft
    /// assignment is often sketched.
    Seed,
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

/// How cells spread over the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePrior {
    /// As they are found to.
    Learned,
    /// Evenly.
    Uniform,
}

/// How large cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// One size per cell, learned.
    Shared,
    /// One per cell and species, learned.
    Species,
    /// Total counts over their median, as every other tool has it.
    Total,
}

impl Default for SoftGrid {
    fn default() -> Self {
        Self {
            likelihood: Likelihood::NegativeBinomial,
            time_scope: TimeScope::Shared,
            lineages: 0,
            max_lineages: 4,
            grid: 100,
            pieces: 20,
            t_max: 20.0,
            time_prior: TimePrior::Learned,
            smoothing: 0.01,
            capture_time: String::new(),
            root: String::new(),
            evidence: 3.0,
            sizes: Sizes::Shared,
            size_sd: 0.3,
            beta_prior: [1.0, 0.7],
            gamma_prior: [0.5, 0.7],
            switch_cost: 1.0,
            lineage_cost: 0.3,
            max_rounds: 60,
            tolerance: 5e-6,
            choice_cells: 3000,
            choice_rounds: 15,
            uncertainty: true,
            stream: false,
            block_cells: 20_000,
            passes: 2,
        }
    }
}

impl SoftGrid {
    /// Whether observations are counts.
    pub(super) fn of_counts(&self) -> bool {
        matches!(self.likelihood, Likelihood::NegativeBinomial | Likelihood::Poisson)
    }

    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            require(value.is_finite() && value > 0.0, &format!("model.{name}"), value, "must be above 0")
        };
        let at_least = |name: &str, value: usize, least: usize| {
            require(value >= least, &format!("model.{name}"), value, &format!("must be at least {least}"))
        };
        for (name, [median, sd]) in [("beta_prior", self.beta_prior), ("gamma_prior", self.gamma_prior)] {
            positive(name, median)?;
            positive(name, sd)?;
        }
        for (name, value) in [("t_max", self.t_max), ("tolerance", self.tolerance), ("size_sd", self.size_sd)] {
            positive(name, value)?;
        }
        for (name, value) in [
            ("smoothing", self.smoothing),
            ("evidence", self.evidence),
            ("switch_cost", self.switch_cost),
            ("lineage_cost", self.lineage_cost),
        ] {
            require(value.is_finite() && value >= 0.0, &format!("model.{name}"), value, "must be 0 or more")?;
        }
        at_least("grid", self.grid, 10)?;
        require(self.grid <= 1000, "model.grid", self.grid, "must be at most 1000")?;
        at_least("pieces", self.pieces, 2)?;
        require(self.pieces <= self.grid / 2, "model.pieces", self.pieces, "must be at most half of model.grid")?;
        at_least("max_lineages", self.max_lineages, 1)?;
        require(self.lineages <= 8, "model.lineages", self.lineages, "must be at most 8, or 0 to choose")?;
        require(self.max_lineages <= 8, "model.max_lineages", self.max_lineages, "must be at most 8")?;
        at_least("max_rounds", self.max_rounds, 1)?;
        at_least("choice_rounds", self.choice_rounds, 1)?;
        at_least("choice_cells", self.choice_cells, 100)?;
        at_least("block_cells", self.block_cells, 1)?;
        at_least("passes", self.passes, 1)?;
        require(
            self.root.is_empty() || self.root.contains('='),
            "model.root",
            &self.root,
            "must be column=value, such as clusters=Ductal",
        )?;
        let alone = !self.of_counts() || self.time_scope == TimeScope::Shared;
        require(alone, "model.time_scope", "gene", "needs model.likelihood = \"gaussian\" or \"seed\"")?;
        let streams = !self.stream || self.of_counts();
        require(streams, "model.stream", self.stream, "needs a likelihood of counts")
    }
}

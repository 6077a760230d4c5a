//! What can be set, and why it is as it is.

use serde::{Deserialize, Serialize};

use crate::data::CaptureColumn;
use crate::error::{Result, require, within};
use crate::models::{TIME_AXIS, within_prior};

/// Settings of the EM on a grid of times: `[model]` with `kind = "soft_grid"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftGrid {
    /// Distribution of the data: of counts, `negative_binomial` or `poisson`; or of moments (`Mu`, `Ms`), `gaussian`
    /// or `seed` (squared distances over one scalar).
    pub likelihood: Likelihood,
    /// Time of a cell: `shared`: one for all genes; `gene` (only with gaussian or seed): one for each gene.
    pub time_scope: TimeScope,
    /// Shape of the trajectory: `tree`: a line, or lineages after a branch point; `ring`: a cycle; `auto`: a ring if cells lie on one
    /// and held-out cells are likelier on it.
    pub shape: Shape,
    /// Number of lineages (branches of the trajectory) after the branch point; 1: no branching; 0: chosen by the
    /// likelihood of held-out cells.
    pub lineages: usize,
    /// `lineages = 0`: the largest number of lineages that is tried.
    pub max_lineages: usize,
    /// Number of time points from the root to the end of a lineage.
    pub grid: usize,
    /// Number of time intervals with constant transcription rate from the root to the end of a lineage.
    pub pieces: usize,
    /// Time of the last grid point (by convention 20).
    pub t_max: f64,
    /// Prior of times over the grid: `learned` from the cells, or `uniform`.
    pub time_prior: TimePrior,
    /// Pseudocounts: cells added to every grid point before the prior of times is learned; 0: none.
    pub smoothing: f64,
    /// Column of obs with capture times, the times at which cells were collected (`day`, E8.5): the root is at the
    /// earliest, and each capture time learns a prior of times of its own; empty: none.
    pub capture_time: String,
    /// Labels of `capture_time`, the first captured first: their times are then evenly spaced; empty: labels are read as times (`E8.5`, `day-3`,
    /// `24h` beside `2d`), and refused where they cannot be compared (`E16.5` beside `P2`).
    pub capture_order: Vec<String>,
    /// Column of obs that says which sample a cell is from: each sample captures unspliced molecules in a share of its own, relative to spliced
    /// ones and common to its genes, and all share kinetics, times and tree; empty: one sample.
    pub batch: String,
    /// Where time starts, as `column=value` of obs (`clusters=Ductal`): at the end of the data that is nearest to these cells, or amid
    /// them if they lie at no end; empty: each end is tried, and a place amid the cells, and the likelihood decides.
    pub root: String,
    /// Direction of time: the mean over genes of the log-likelihood ratio, chosen direction against the next best, less
    /// the same on counts without a direction, must be at least this many standard errors to count as determined.
    pub evidence: f64,
    /// Size factor of a cell: `shared`: one for both species (spliced, unspliced), inferred; `species`: one for each,
    /// inferred; `total`: total counts over their median.
    pub sizes: Sizes,
    /// Prior s.d. of the cells' size factors, around a prior mean of 1.
    pub size_sd: f64,
    /// Prior of the splicing rate β, log-normal: its median (in 1 / time), and the s.d. of ln β. With rates far above
    /// 20 / `t_max`, unspliced and spliced counts rise and fall together, and the direction of time cannot be
    /// inferred.
    pub beta_prior: [f64; 2],
    /// Prior of the degradation rate γ, likewise.
    pub gamma_prior: [f64; 2],
    /// Medians of `beta_prior` and `gamma_prior`: `learned`: each is lowered, by a factor of at most 20, to where the genes' rates
    /// are: cells may lie on a shorter part of a trajectory than these suppose; `fixed`: they are as given.
    pub rate_scale: RateScale,
    /// Relative capture of unspliced molecules, κ: `gene`: each gene has its own, around a median of all genes; median and spread are learned; `one`:
    /// unspliced and spliced molecules are counted alike.
    pub scaling: Scaling,
    /// Penalty on changes of the transcription rate α along time: w in `w ln(1 + (Δ ln α / 0.3)²)`, in nats
    /// (natural-log units).
    pub switch_cost: f64,
    /// Penalty on differences of the transcription rate between lineages: w in the same formula.
    pub lineage_cost: f64,
    /// Maximum number of EM rounds.
    pub max_rounds: usize,
    /// The fit ends after a round that raises the objective by less than this fraction.
    pub tolerance: f64,
    /// Maximum number of cells, drawn at random, on which the direction of time and the number of lineages are
    /// decided.
    pub choice_cells: usize,
    /// EM rounds of each candidate in these decisions.
    pub choice_rounds: usize,
    /// Whose velocity is `velocity`: `curve`: the mean of the curve's over the cell's posterior, the same for all cells at one time of one
    /// lineage; `cell`: the cell's own, from its abundances around the curve as its neighbours' counts tell them. The other is written
    /// as `velocity_cell` or `velocity_curve`; s.d. and all else are the curve's.
    pub velocity: VelocityOf,
    /// Whether to compute the posterior s.d. of velocities, the cell's own velocity beside the curve's, and each gene's score on held-out cells
    /// and against permuted ones.
    pub uncertainty: bool,
    /// Whether to read cells block by block, for files larger than memory; no layers are written then.
    pub stream: bool,
    /// `stream`: cells per block.
    pub block_cells: usize,
    /// `stream`: passes over the file after the fit to the `choice_cells`.
    pub passes: usize,
}

/// Distribution of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Negative binomial counts; the dispersion is learned for each gene and species (spliced, unspliced).
    NegativeBinomial,
    /// Poisson counts.
    Poisson,
    /// Moments (`Mu`, `Ms`) with normal errors; their s.d. is learned for each gene and species.
    Gaussian,
    /// Moments: soft assignment by squared distance over one scalar, without the normal density's normalising factors.
    Seed,
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

/// Shape of the trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A ring if cells lie on one and held-out cells are likelier on it, else a tree.
    Auto,
    /// A line, or lineages after a branch point.
    Tree,
    /// A cycle, cut where it is left to the program.
    Ring,
}

/// Prior of times over the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePrior {
    /// Learned from the posteriors of all cells.
    Learned,
    /// The same at all grid points.
    Uniform,
}

/// Medians of the priors of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScale {
    /// Each lowered to where the genes' rates are.
    Learned,
    /// As given.
    Fixed,
}

/// Relative capture of unspliced molecules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// One for each gene, around a median of all.
    Gene,
    /// 1: unspliced and spliced molecules are counted alike.
    One,
}

/// Size factors of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// One size factor per cell, inferred.
    Shared,
    /// One per cell and species (spliced, unspliced), inferred.
    Species,
    /// Total counts over their median, as in other programs.
    Total,
}

/// Whose velocity is written as `velocity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VelocityOf {
    /// The curve's, where the cell is.
    Curve,
    /// The cell's own, around the curve.
    Cell,
}

impl Default for SoftGrid {
    fn default() -> Self {
        Self {
            likelihood: Likelihood::NegativeBinomial,
            time_scope: TimeScope::Shared,
            shape: Shape::Auto,
            lineages: 0,
            max_lineages: 4,
            grid: 100,
            pieces: 20,
            t_max: 20.0,
            time_prior: TimePrior::Learned,
            smoothing: 0.01,
            capture_time: String::new(),
            capture_order: Vec::new(),
            batch: String::new(),
            root: String::new(),
            evidence: 3.5,
            sizes: Sizes::Shared,
            size_sd: 0.3,
            beta_prior: [1.0, 0.7],
            gamma_prior: [0.5, 0.7],
            rate_scale: RateScale::Learned,
            scaling: Scaling::Gene,
            switch_cost: 1.0,
            lineage_cost: 0.3,
            max_rounds: 60,
            tolerance: 5e-6,
            choice_cells: 3000,
            choice_rounds: 15,
            velocity: VelocityOf::Curve,
            uncertainty: true,
            stream: false,
            block_cells: 20_000,
            passes: 2,
        }
    }
}

impl SoftGrid {
    /// The column of capture times.
    pub(super) fn captured(&self) -> CaptureColumn<'_> {
        CaptureColumn { column: &self.capture_time, order: &self.capture_order }
    }

    /// The largest number of lineages that is tried: that asked for, if there is one.
    pub(super) fn most_lineages(&self) -> usize {
        if self.lineages > 0 { self.lineages } else { self.max_lineages }
    }

    /// Whether observations are counts.
    pub(super) fn of_counts(&self) -> bool {
        matches!(self.likelihood, Likelihood::NegativeBinomial | Likelihood::Poisson)
    }

    /// Checks every number by itself.
    fn check_numbers(&self) -> Result<()> {
        let number = |name: &str, value: f64, range, why| within(&format!("model.{name}"), value, range, why);
        let count = |name: &str, value: usize, range, why| within(&format!("model.{name}"), value, range, why);
        for (rate, [median, sd]) in [("beta_prior", self.beta_prior), ("gamma_prior", self.gamma_prior)] {
            within_prior(&format!("model.{rate}"), median, sd)?;
        }
        number("t_max", self.t_max, TIME_AXIS, "rates are in 1 / time, and priors of rates must fit it")?;
        number(
            "tolerance",
            self.tolerance,
            1e-12..=0.1,
            "smaller changes are rounding errors, larger ones no end of a fit",
        )?;
        number("size_sd", self.size_sd, 1e-3..=10.0, "sizes of cells are around 1")?;
        number("smoothing", self.smoothing, 0.0..=1e6, "it is a number of cells")?;
        number("evidence", self.evidence, 0.0..=1e3, "it is a number of standard errors")?;
        for (name, cost) in [("switch_cost", self.switch_cost), ("lineage_cost", self.lineage_cost)] {
            number(name, cost, 0.0..=1e6, "it is weighed against log-likelihoods")?;
        }
        count("grid", self.grid, 10..=1000, "fewer points tell no course, more cost time and tell no more")?;
        count("pieces", self.pieces, 2..=500, "there are at most half as many as grid points")?;
        count(
            "lineages",
            self.lineages,
            0..=8,
            "the number of orders in which lineages can branch explodes; 0 chooses",
        )?;
        count("max_lineages", self.max_lineages, 1..=8, "the number of orders in which lineages can branch explodes")?;
        count("max_rounds", self.max_rounds, 1..=10_000, "a fit converges in tens of rounds")?;
        count("choice_rounds", self.choice_rounds, 1..=1000, "each candidate is fitted for so many rounds")?;
        count(
            "choice_cells",
            self.choice_cells,
            100..=10_000_000,
            "fewer decide nothing, more do not fit into memory",
        )?;
        count("block_cells", self.block_cells, 1..=10_000_000, "a block is held in memory")?;
        count("passes", self.passes, 1..=1000, "each reads the whole file")
    }

    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        self.check_numbers()?;
        require(self.pieces <= self.grid / 2, "model.pieces", self.pieces, "must be at most half of model.grid")?;
        require(
            self.root.is_empty() || self.root.contains('='),
            "model.root",
            &self.root,
            "must be column=value, such as clusters=Ductal",
        )?;
        self.captured().validate()?;
        let begins = !self.root.is_empty() || !self.capture_time.is_empty();
        let round = self.shape == Shape::Ring;
        let wanted = "does not go with model.root or model.capture_time: a ring has no beginning";
        require(!(round && begins), "model.shape", "\"ring\"", wanted)?;
        let wanted = "does not go with model.lineages above 1";
        require(!(round && self.lineages > 1), "model.shape", "\"ring\"", wanted)?;
        let wanted = "needs a likelihood of counts";
        require(!round || self.of_counts(), "model.shape", "\"ring\"", wanted)?;
        let alone = !self.of_counts() || self.time_scope == TimeScope::Shared;
        require(alone, "model.time_scope", "gene", "needs model.likelihood = \"gaussian\" or \"seed\"")?;
        let own = self.velocity == VelocityOf::Cell;
        let wanted = "needs a likelihood of counts";
        require(!own || self.of_counts(), "model.velocity", "\"cell\"", wanted)?;
        let wanted = "does not go with model.stream: a streamed fit writes times and rates, and no velocities";
        require(!(own && self.stream), "model.velocity", "\"cell\"", wanted)?;
        let wanted = "needs a likelihood of counts: models of moments have no sizes of cells";
        require(self.batch.is_empty() || self.of_counts(), "model.batch", &self.batch, wanted)?;
        let wanted =
            "needs model.sizes = \"shared\": other sizes already have a factor of each cell for its unspliced counts";
        require(self.batch.is_empty() || self.sizes == Sizes::Shared, "model.batch", &self.batch, wanted)?;
        let streams = !self.stream || self.of_counts();
        require(streams, "model.stream", self.stream, "needs a likelihood of counts")
    }
}

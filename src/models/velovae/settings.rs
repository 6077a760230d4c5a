//! What can be set.

use serde::{Deserialize, Serialize};

use crate::data::CaptureColumn;
use crate::error::{Result, require, within, within_or_0};
use crate::models::{TIME_AXIS, within_prior};
use crate::train::{OptimizerKind, StopOn, TrainConfig};
use crate::uncertainty::UncertaintyConfig;

/// `[model]` with `kind = "velovae"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velovae {
    /// `full`: the transcription rate depends on the cell's state; `basic`: one transcription rate per gene, switched
    /// on and off once; `branching` (only with a likelihood of counts): as full, and every lineage has rates of
    /// splicing and degradation of its own.
    pub variant: Variant,
    /// `branching`: column of obs with the lineage or cell type of each cell; empty: the lineages that the `soft_grid`
    /// model finds.
    pub lineages: String,
    /// `branching`: prior s.d. of the logarithm of a rate over the lineages.
    pub lineage_sd: f64,
    /// Distribution of the data: `gaussian`: of moments (`Mu`, `Ms`); `negative_binomial` or `poisson`: of counts, with
    /// a size factor of each cell that is inferred.
    pub likelihood: Likelihood,
    /// Counts: prior s.d. of the cells' size factors, around a prior mean of 1.
    pub size_sd: f64,
    /// Time of the latest cell (by convention 20); only products of times and rates are identified.
    pub t_max: f64,
    /// Column of obs with capture times, the times at which cells were collected (numbers, or text such as E8.5):
    /// mean of the prior of a cell's time; empty: none.
    pub capture_time: String,
    /// Labels of `capture_time`, the first captured first: their times are then evenly spaced; empty: labels are read as times (`E8.5`, `day-3`,
    /// `24h` beside `2d`), and refused where they cannot be compared (`E16.5` beside `P2`).
    pub capture_order: Vec<String>,
    /// Initial times where there are no capture times: the latent times of the `soft_grid` model, or from each gene's
    /// `steady_state` fit (median over genes), as also where the layers hold no raw counts.
    pub init: Init,
    /// Prior s.d. of a cell's time as a fraction of `t_max`, where there are no capture times. The prior mean is half
    /// of `t_max`: times are positive, so the paper's standard normal cannot be meant.
    pub time_prior_std: f64,
    /// `full`: number of dimensions of the latent cell state (paper: 5).
    pub n_latent: usize,
    /// `full`: prior s.d. of the latent cell state (paper: 1; the authors' later program: 0.01).
    pub state_prior_std: f64,
    /// Widths of the encoder's two hidden layers; the decoder has them in reverse order.
    pub hidden: [usize; 2],
    /// Dropout: fraction of activations set to 0 in training.
    pub dropout: f64,
    /// Full variational Bayes: whether the rates have log-normal posteriors, whose s.d. are written, instead of one
    /// value each.
    pub rate_posterior: bool,
    /// `rate_posterior`: prior of each rate, log-normal: its median, and the s.d. of its logarithm.
    pub alpha_prior: [f64; 2],
    /// The same of the splicing rate β.
    pub beta_prior: [f64; 2],
    /// The same of the degradation rate γ.
    pub gamma_prior: [f64; 2],
    /// Smallest residual s.d. of a gene, in units of `Mu` and `Ms`.
    pub min_std: f64,
    /// Maximum number of epochs in which the encoder first learns the initial times, and of those in which decoder
    /// and rates then follow; 0: none. Not in the paper: without it times drift to fit the crude initial rates.
    pub start_epochs: usize,
    /// `full`, on moments: whether times, states and rates are learned together before the rounds, each cell from
    /// `u₀ = s₀ = 0`, from where abundances only rise: `always` (paper); `never`: times stay those of the start and
    /// states the principal components, and the rounds learn the s.d. of both; where the times come from the soft grid,
    /// the rates start as its rates, too; `auto`: only where the times do not come from the soft grid, or no round follows.
    pub joint_stage: JointStage,
    /// Maximum number of rounds in which each gene's residual s.d. and, with `full`, the initial conditions are
    /// estimated again and training goes on. They end at the first that does not raise the bound (ELBO) of held-out
    /// cells; that one is undone.
    pub refine_rounds: usize,
    /// Maximum number of epochs in each of these rounds.
    pub refine_epochs: usize,
    /// `full`: initial conditions are the ancestors' `observed` (paper) or `reconstructed` (fitted) abundances.
    pub initial: Initial,
    /// `full`: ancestors of a cell: `time`: all cells of the time window below (paper); `time_and_state`: those of
    /// them that are nearest in the latent cell state.
    pub initial_space: Space,
    /// `full`: number of ancestors per cell with `time_and_state`.
    pub n_ancestors: usize,
    /// `full`: time window of the ancestors, as fractions of the training cells in order of time; [0.06, 0.03]: the
    /// cells that come before the cell by 3 to 6 % of all training cells.
    pub window: [f64; 2],
    /// How far in the future the predicted abundance `fit_s_future` is, in units of time.
    pub future_time: f64,
    /// Posterior samples from which the coefficients of variation (`fit_cv`) are computed; 0: none.
    pub n_samples: usize,
    /// Learning rate of the kinetic rates, which have no weight decay.
    pub rate_learning_rate: f64,
    /// Directional uncertainty of the velocity.
    pub uncertainty: UncertaintyConfig,
    /// Training.
    pub train: TrainConfig,
}

/// The two models of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// One transcription rate per gene (paper 3.3).
    Basic,
    /// The variational mixture of ODEs (paper 3.4).
    Full,
    /// The full model with rates of splicing and degradation for each lineage.
    Branching,
}

/// Distribution of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Moments with normal errors; their s.d. is estimated for each gene and species.
    Gaussian,
    /// Negative binomial counts; the dispersion is estimated for each gene and species.
    NegativeBinomial,
    /// Poisson counts.
    Poisson,
}

/// Source of a cell's initial time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The median over genes of the cell's times in the genes' steady-state fits.
    SteadyState,
    /// The latent times of the soft-grid model with its default settings.
    SoftGrid,
}

/// Whether times, states and rates are learned together before the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JointStage {
    /// Not where the times come from the soft grid and rounds of the full model on moments follow.
    Auto,
    /// They are.
    Always,
    /// They are not.
    Never,
}

/// Source of a cell's initial conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// Means of `Mu` and `Ms` over the ancestors.
    Observed,
    /// Means of the fitted abundances over the ancestors.
    Reconstructed,
}

/// How the ancestors of a cell are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Every cell of the time window is an ancestor.
    Time,
    /// The nearest cells of the time window in the space of cell states are ancestors.
    TimeAndState,
}

impl Default for Velovae {
    fn default() -> Self {
        Self {
            variant: Variant::Full,
            lineages: String::new(),
            lineage_sd: 0.5,
            likelihood: Likelihood::Gaussian,
            size_sd: 0.3,
            t_max: 20.0,
            capture_time: String::new(),
            capture_order: Vec::new(),
            init: Init::SoftGrid,
            time_prior_std: 0.25,
            n_latent: 5,
            state_prior_std: 1.0,
            hidden: [500, 250],
            dropout: 0.2,
            rate_posterior: false,
            alpha_prior: [1.0, 2.0],
            beta_prior: [1.0, 0.7],
            gamma_prior: [0.5, 0.7],
            min_std: 0.1,
            start_epochs: 100,
            joint_stage: JointStage::Auto,
            refine_rounds: 5,
            refine_epochs: 500,
            initial: Initial::Observed,
            initial_space: Space::TimeAndState,
            n_ancestors: 10,
            window: [0.06, 0.03],
            future_time: 1.0,
            n_samples: 30,
            rate_learning_rate: 5e-4,
            uncertainty: UncertaintyConfig::default(),
            train: TrainConfig {
                device: "auto".to_owned(),
                epochs: 1000,
                batch_size: 128,
                optimizer: OptimizerKind::Adam,
                learning_rate: 2e-4,
                weight_decay: 1e-3,
                epsilon: 1e-8,
                clip_norm: 0.0,
                split: String::new(),
                validation_fraction: 0.15,
                test_fraction: 0.15,
                stop_on: StopOn::Validation,
                check_every: 2,
                patience: 10,
                min_gain: 1e-3,
                checkpoint_seconds: 20.0,
                memory: String::new(),
            },
        }
    }
}

impl Velovae {
    /// The column of capture times.
    pub(super) fn captured(&self) -> CaptureColumn<'_> {
        CaptureColumn { column: &self.capture_time, order: &self.capture_order }
    }

    /// Whether the transcription rate depends on the cell's state.
    pub(super) fn is_full(&self) -> bool {
        self.variant != Variant::Basic
    }

    /// Whether counts are explained, and not moments.
    pub(super) fn of_counts(&self) -> bool {
        self.likelihood != Likelihood::Gaussian
    }

    /// Whether the model carries the abundances from the root to every cell itself.
    pub(super) fn carries(&self) -> bool {
        self.is_full() && self.of_counts()
    }

    /// Whether rounds can begin from what the encoder and the decoder learn of the start: those of the full model on moments find
    /// initial conditions anew, and its first stages have epochs.
    fn rounds_from_start(&self) -> bool {
        self.is_full() && !self.of_counts() && self.start_epochs > 0 && self.refine_rounds > 0 && self.refine_epochs > 0
    }

    /// Whether times, states and rates are learned together before the rounds, where the times do or do not come from the soft grid.
    pub(super) fn has_joint_stage(&self, by_soft_grid: bool) -> bool {
        match self.joint_stage {
            JointStage::Always => true,
            JointStage::Never => false,
            JointStage::Auto => !(by_soft_grid && self.rounds_from_start()),
        }
    }

    /// Whether the rates start as those of the soft grid, and wait for the decoder to follow. On moments the decoder follows from
    /// `u₀ = s₀ = 0`, where cells that express a gene from the beginning would draw its rates up, many times what they are; without
    /// a joint stage nothing brings them back.
    pub(super) fn keeps_start_rates(&self, by_soft_grid: bool) -> bool {
        if self.carries() { self.init == Init::SoftGrid } else { by_soft_grid && !self.has_joint_stage(true) }
    }

    /// Shape of the gamma prior of the sizes.
    pub(super) fn size_shape(&self) -> f64 {
        self.size_sd.powi(-2)
    }

    /// Checks every number by itself.
    fn check_numbers(&self) -> Result<()> {
        let number = |name: &str, value: f64, range, why| within(&format!("model.{name}"), value, range, why);
        let count = |name: &str, value: usize, range, why| within(&format!("model.{name}"), value, range, why);
        number("size_sd", self.size_sd, 1e-3..=10.0, "sizes of cells are around 1")?;
        number("lineage_sd", self.lineage_sd, 1e-3..=10.0, "it is the s.d. of a logarithm")?;
        let priors = [("alpha", self.alpha_prior), ("beta", self.beta_prior), ("gamma", self.gamma_prior)];
        for (rate, [median, sd]) in priors {
            within_prior(&format!("model.{rate}_prior"), median, sd)?;
        }
        number("t_max", self.t_max, TIME_AXIS, "rates are in 1 / time, and priors of rates must fit it")?;
        number("time_prior_std", self.time_prior_std, 1e-4..=100.0, "it is a fraction of the time axis")?;
        number("state_prior_std", self.state_prior_std, 1e-4..=1e3, "the networks compute in single precision")?;
        number("min_std", self.min_std, 1e-6..=1e6, "it is in units of Mu and Ms, and divides residuals")?;
        number("rate_learning_rate", self.rate_learning_rate, 1e-30..=1e30, "rates are in single precision")?;
        number("future_time", self.future_time, 1e-6..=1e6, "it is in units of time")?;
        count("n_latent", self.n_latent, 1..=1000, "more dimensions than the data have tell nothing")?;
        count("n_ancestors", self.n_ancestors, 1..=10_000, "they are averaged for every cell")?;
        for width in self.hidden {
            count("hidden", width, 1..=8192, "a layer holds the product of two widths in memory")?;
        }
        number("dropout", self.dropout, 0.0..=0.95, "what is left of the activations must carry the cell's state")?;
        for (name, epochs) in [("start_epochs", self.start_epochs), ("refine_epochs", self.refine_epochs)] {
            count(name, epochs, 0..=1_000_000, "each is a pass over all training cells")?;
        }
        count("refine_rounds", self.refine_rounds, 0..=1000, "each is a training of its own")?;
        within_or_0("model.n_samples", self.n_samples, 1..=10_000, ("off", "each is a pass over all cells"))
    }

    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        self.check_numbers()?;
        require(
            self.variant != Variant::Branching || self.of_counts(),
            "model.variant",
            "branching",
            "needs model.likelihood = \"negative_binomial\" or \"poisson\"",
        )?;
        require(
            self.variant != Variant::Branching || self.train.memory.is_empty(),
            "model.train.memory",
            &self.train.memory,
            "must be empty with model.variant = \"branching\": the lineages of all cells are needed",
        )?;
        require(
            self.lineages.is_empty() || self.variant == Variant::Branching,
            "model.lineages",
            &self.lineages,
            "is only used with model.variant = \"branching\"",
        )?;
        require(
            self.joint_stage != JointStage::Never || self.rounds_from_start(),
            "model.joint_stage",
            "never",
            "needs rounds that begin from the start: must be \"auto\" or \"always\" unless model.variant = \"full\", model.likelihood = \
             \"gaussian\", and model.start_epochs, model.refine_rounds and model.refine_epochs are at least 1",
        )?;
        self.captured().validate()?;
        let [from, to] = self.window;
        let window = format!("{:?}", self.window);
        require(0.0 <= to && to < from && from <= 1.0, "model.window", window, "must fall, within [0, 1]")?;
        self.uncertainty.validate()?;
        require(
            self.of_counts() || self.train.memory.is_empty(),
            "model.train.memory",
            format!("{:?}", self.train.memory),
            "needs counts, which are read as they are needed: must be \"\" while model.likelihood = \"gaussian\", whose \
             moments are over the neighbours among all cells",
        )?;
        self.train.validate()
    }
}

//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};
use crate::train::{OptimizerKind, StopOn, TrainConfig};
use crate::uncertainty::UncertaintyConfig;

/// `[model]` with `kind = "velovae"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velovae {
    /// `basic`: one transcription rate per gene, switched on and off once. `full`: a transcription rate that depends
    /// on the cell's state.
    pub variant: Variant,
    /// Time of the latest cell. Only ratios of times and rates matter; 20 is the field's convention.
    pub t_max: f64,
    /// Column of `obs` that says when a cell was captured (`day`, `E8.5`): it becomes the prior of its time.
    /// Empty: none.
    pub capture_time: String,
    /// Where the first times come from, if there are no capture times.
    pub init: Init,
    /// Prior s.d. of a cell's time as a share of `t_max`, where there is no capture time. The prior mean is half of
    /// `t_max`: the encoder's times are positive, so the paper's standard normal cannot be meant.
    pub time_prior_std: f64,
    /// Number of dimensions of the cell's state (paper: 5).
    pub n_latent: usize,
    /// Prior s.d. of the cell's state (paper: 1; the authors' later program: 0.01).
    pub state_prior_std: f64,
    /// Widths of the encoder's two layers; the decoder has them in reverse.
    pub hidden: [usize; 2],
    /// Share of activations dropped in training.
    pub dropout: f64,
    /// Smallest residual s.d. of a gene, in units of `Mu` and `Ms`.
    pub min_std: f64,
    /// Most epochs in which the encoder first learns the start times, and again most in which decoder and rates then
    /// follow. Not in the paper: without it the times drift to the crude start of the rates. 0 leaves it out.
    pub start_epochs: usize,
    /// Most rounds of re-estimating initial conditions and training on them; the paper has one.
    pub refine_rounds: usize,
    /// Most passes over the training cells in each of these rounds.
    pub refine_epochs: usize,
    /// The rounds end when the initial conditions change by less than this share of their spread.
    pub refine_tolerance: f64,
    /// Where the initial conditions come from: the ancestors' `observed` (paper) or `reconstructed` abundances.
    pub initial: Initial,
    /// How ancestors are found: among all cells of the window (`time`, paper) or the nearest there in state
    /// (`time_and_state`).
    pub initial_space: Space,
    /// Ancestors per cell with `time_and_state`.
    pub n_ancestors: usize,
    /// The window in which ancestors lie, in order of time and as shares of the training cells: `[0.06, 0.03]` are those that
    /// come before the cell by 3 to 6 % of all training cells.
    pub window: [f64; 2],
    /// How far ahead the predicted future state lies, in units of time.
    pub future_time: f64,
    /// Posterior draws behind the coefficients of variation; 0 leaves them out.
    pub n_samples: usize,
    /// Step size of Adam for the rates of the kinetics; they know no weight decay.
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
}

/// Source of a cell's first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The median over genes of the times of each gene's steady-state fit.
    SteadyState,
    /// The latent times of the soft-grid EM with its default settings.
    SoftGrid,
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

/// Space in which ancestors are near.
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
            t_max: 20.0,
            capture_time: String::new(),
            init: Init::SteadyState,
            time_prior_std: 0.25,
            n_latent: 5,
            state_prior_std: 1.0,
            hidden: [500, 250],
            dropout: 0.2,
            min_std: 0.1,
            start_epochs: 100,
            refine_rounds: 5,
            refine_epochs: 500,
            refine_tolerance: 0.01,
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
            },
        }
    }
}

impl Velovae {
    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            require(value.is_finite() && value > 0.0, &format!("model.{name}"), value, "must be above 0")
        };
        positive("t_max", self.t_max)?;
        positive("time_prior_std", self.time_prior_std)?;
        positive("state_prior_std", self.state_prior_std)?;
        positive("min_std", self.min_std)?;
        positive("rate_learning_rate", self.rate_learning_rate)?;
        positive("future_time", self.future_time)?;
        require(self.n_latent > 0, "model.n_latent", self.n_latent, "must be at least 1")?;
        require(self.n_ancestors > 0, "model.n_ancestors", self.n_ancestors, "must be at least 1")?;
        let hidden = format!("{:?}", self.hidden);
        require(self.hidden.iter().all(|&width| width > 0), "model.hidden", hidden, "must be widths of at least 1")?;
        require((0.0..1.0).contains(&self.dropout), "model.dropout", self.dropout, "must be in [0, 1)")?;
        let [from, to] = self.window;
        let window = format!("{:?}", self.window);
        require(0.0 <= to && to < from && from <= 1.0, "model.window", window, "must fall, within [0, 1]")?;
        require(self.refine_tolerance >= 0.0, "model.refine_tolerance", self.refine_tolerance, "must be 0 or more")?;
        self.uncertainty.validate()?;
        self.train.validate()
    }
}

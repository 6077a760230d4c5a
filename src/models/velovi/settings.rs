//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};
use crate::train::{OptimizerKind, StopOn, TrainConfig};
use crate::uncertainty::UncertaintyConfig;

/// `[model]` with `kind = "velovi"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting that users turn on or off")]
pub struct Velovi {
    /// Where the rates start.
    pub init: Init,
    /// Whether γ starts from the ratio of unspliced to spliced abundance in the cells at the top.
    pub gamma_from_data: bool,
    /// End of time; a convention.
    pub t_max: f64,
    /// Number of dimensions of z.
    pub n_latent: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Share of the encoder's activations dropped in training.
    pub dropout: f64,
    /// Whether ρ and τ follow from z linearly (before a sigmoid), so that every gene has loadings on z.
    pub linear_decoder: bool,
    /// Whether transcription approaches a second rate during induction.
    pub time_dependent_transcription: bool,
    /// How the likelihood is averaged over the posterior of the states.
    pub state_posterior: StatePosterior,
    /// Concentration of the Dirichlet prior of the states, the same for all four.
    pub state_prior: f64,
    /// Factors of the residual s.d. in the four states.
    pub state_spread: [f64; 4],
    /// Whether u and s of a gene are in the same state; veloVI sums over the states of each by itself.
    pub joint_state: bool,
    /// Weight of the penalty that draws the switch to the abundance of the cells at the top.
    pub penalty: f64,
    /// How the penalty changes during training.
    pub penalty_schedule: PenaltySchedule,
    /// Epochs in which the weight of a divergence rises from 0 to 1; 0: it is 1 from the start.
    pub warmup_epochs: usize,
    /// Which divergence that is.
    pub warmup: Warmup,
    /// Posterior draws of z behind velocity, times and fit.
    pub n_samples: usize,
    /// What is said of a cell whose state is uncertain.
    pub velocity_statistic: VelocityStatistic,
    /// The time of a gene that is repressed for good.
    pub repressed_time: RepressedTime,
    /// Whether each gene's clock is stretched so that its latest cell is at `t_max`, as scVelo's functions expect of times
    /// and rates.
    pub rescale: bool,
    /// Directional uncertainty of the velocity.
    pub uncertainty: UncertaintyConfig,
    /// Training.
    pub train: TrainConfig,
}

/// Start values of the rates. α starts at the abundance of the cells at the top in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Those of scvi-tools: β 0.974, γ 0.313, switch about 7, s.d. 0.56.
    Shipped,
    /// Those of the paper's example: β 0.1, γ 0.05, switch 10, s.d. 0.1.
    Seed,
}

/// How the likelihood is averaged over the posterior of the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatePosterior {
    /// At one draw for each cell and gene (veloVI).
    Sampled,
    /// By a bound that needs no draws.
    Analytic,
}

/// How the penalty changes during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PenaltySchedule {
    /// It fades out as the divergence warms up (veloVI's program).
    Fade,
    /// It stays (veloVI's paper).
    Constant,
}

/// The divergence that warms up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// That of z.
    Z,
    /// Those of z and of the states.
    All,
}

/// What is said of a cell whose state is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VelocityStatistic {
    /// The mean over its states.
    Mean,
    /// The velocity in the likeliest.
    Max,
}

/// The time of a gene that is repressed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepressedTime {
    /// 0, so that it looks early (veloVI).
    Zero,
    /// `t_max`.
    TMax,
    /// None: the mean is over the other states.
    Exclude,
}

impl Default for Velovi {
    fn default() -> Self {
        Self {
            init: Init::Shipped,
            gamma_from_data: false,
            t_max: 20.0,
            n_latent: 10,
            hidden: 256,
            dropout: 0.1,
            linear_decoder: false,
            time_dependent_transcription: false,
            state_posterior: StatePosterior::Sampled,
            state_prior: 0.25,
            state_spread: [1.0, 1.0, 1.0, 0.1],
            joint_state: false,
            penalty: 0.2,
            penalty_schedule: PenaltySchedule::Fade,
            warmup_epochs: 400,
            warmup: Warmup::Z,
            n_samples: 25,
            velocity_statistic: VelocityStatistic::Mean,
            repressed_time: RepressedTime::Zero,
            rescale: true,
            uncertainty: UncertaintyConfig::default(),
            train: TrainConfig {
                device: "auto".to_owned(),
                epochs: 500,
                batch_size: 256,
                optimizer: OptimizerKind::Adamw,
                learning_rate: 1e-2,
                weight_decay: 1e-2,
                epsilon: 1e-2,
                clip_norm: 10.0,
                split: String::new(),
                validation_fraction: 0.1,
                test_fraction: 0.0,
                stop_on: StopOn::Validation,
                check_every: 1,
                patience: 45,
                min_gain: 0.0,
                checkpoint_seconds: 20.0,
            },
        }
    }
}

impl Velovi {
    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            require(value.is_finite() && value > 0.0, &format!("model.{name}"), value, "must be above 0")
        };
        positive("t_max", self.t_max)?;
        positive("state_prior", self.state_prior)?;
        for (name, value) in [("n_latent", self.n_latent), ("hidden", self.hidden), ("n_samples", self.n_samples)] {
            require(value > 0, &format!("model.{name}"), value, "must be at least 1")?;
        }
        require((0.0..1.0).contains(&self.dropout), "model.dropout", self.dropout, "must be in [0, 1)")?;
        let spread = format!("{:?}", self.state_spread);
        let usable = self.state_spread.iter().all(|&factor| factor.is_finite() && factor > 0.0);
        require(usable, "model.state_spread", spread, "must be four factors above 0")?;
        let penalty = self.penalty;
        require(penalty.is_finite() && penalty >= 0.0, "model.penalty", penalty, "must be 0 or more")?;
        self.uncertainty.validate()?;
        self.train.validate()
    }
}

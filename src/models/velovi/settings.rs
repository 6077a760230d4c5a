//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require, within};
use crate::models::TIME_AXIS;
use crate::train::{OptimizerKind, StopOn, TrainConfig};
use crate::uncertainty::UncertaintyConfig;

/// `[model]` with `kind = "velovi"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting that users turn on or off")]
pub struct Velovi {
    /// Start values of the rates: `shipped` with scvi-tools (beta 0.974, gamma 0.313), or `seed`: of the paper's
    /// example (beta 0.1, gamma 0.05).
    pub init: Init,
    /// Whether gamma starts at the ratio u / s of the 1 % of cells with the highest unspliced abundance of the gene.
    pub gamma_from_data: bool,
    /// Length of the time axis (by convention 20).
    pub t_max: f64,
    /// Number of dimensions of the latent cell state z.
    pub n_latent: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Dropout: fraction of activations of the encoder set to 0 in training.
    pub dropout: f64,
    /// Whether times depend linearly on z (before a sigmoid), so that every gene has loadings on z.
    pub linear_decoder: bool,
    /// Whether the transcription rate changes during induction, towards a second rate.
    pub time_dependent_transcription: bool,
    /// How the likelihood is averaged over the kinetic states: at one draw per cell and gene (`sampled`, veloVI), or
    /// by an analytic bound without draws (`analytic`).
    pub state_posterior: StatePosterior,
    /// Concentration of the symmetric Dirichlet prior over the four kinetic states.
    pub state_prior: f64,
    /// Factors that multiply the residual s.d. in each of the four kinetic states.
    pub state_spread: [f64; 4],
    /// Whether u and s of a gene share one kinetic state; false: each has its own (veloVI).
    pub joint_state: bool,
    /// Weight of the penalty on the squared distance of the abundances at the switch from the median of the 1 % of
    /// cells with the highest unspliced abundance.
    pub penalty: f64,
    /// Weight of the penalty during training: `fade`: it falls to 0 during the warm-up (scvi-tools); `constant` (the
    /// paper).
    pub penalty_schedule: PenaltySchedule,
    /// Epochs of warm-up, in which the weight of the KL divergence rises from 0 to 1; 0: no warm-up.
    pub warmup_epochs: usize,
    /// KL divergences that are warmed up: that of `z`, or `all` (those of z and of the kinetic states).
    pub warmup: Warmup,
    /// Posterior samples of z over which velocity, times and fitted abundances are averaged.
    pub n_samples: usize,
    /// Velocity that is written: `mean`: posterior mean over the kinetic states; `max`: that of the most probable
    /// state.
    pub velocity_statistic: VelocityStatistic,
    /// Time given to the state of repression at steady state: `zero` (veloVI: it looks early), `t_max`, or `exclude`:
    /// it is left out of the mean.
    pub repressed_time: RepressedTime,
    /// Whether each gene's times are rescaled so that its latest cell is at `t_max`, as scVelo's functions expect.
    pub rescale: bool,
    /// Directional uncertainty of the velocity.
    pub uncertainty: UncertaintyConfig,
    /// Training.
    pub train: TrainConfig,
}

/// Start values of the rates. With both, α starts at the median unspliced abundance of the 1 % of cells that have most of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Those of scvi-tools: β 0.974, γ 0.313, switch about 7, s.d. 0.56.
    Shipped,
    /// Those of the paper's example: β 0.1, γ 0.05, switch 10, s.d. 0.1.
    Seed,
}

/// How the likelihood is averaged over the posterior of the kinetic states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatePosterior {
    /// At one draw for each cell and gene (veloVI).
    Sampled,
    /// By an analytic bound, without draws.
    Analytic,
}

/// How the penalty changes during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PenaltySchedule {
    /// Its weight falls to 0 during the warm-up of the KL divergence (veloVI's program).
    Fade,
    /// Its weight stays the same (veloVI's paper).
    Constant,
}

/// The KL divergence that is warmed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// That of z.
    Z,
    /// Those of z and of the states.
    All,
}

/// Velocity that is written for a cell whose kinetic state is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VelocityStatistic {
    /// The posterior mean over the kinetic states.
    Mean,
    /// The velocity in the most probable state.
    Max,
}

/// Time given to the state of repression at steady state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepressedTime {
    /// 0, so that such cells look early (veloVI).
    Zero,
    /// `t_max`.
    TMax,
    /// None: the mean time is over the other states.
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
                memory: String::new(),
            },
        }
    }
}

impl Velovi {
    /// Checks that every value can be used.
    pub(super) fn check(&self) -> Result<()> {
        let number = |name: &str, value: f64, range, why| within(&format!("model.{name}"), value, range, why);
        let count = |name: &str, value: usize, range, why| within(&format!("model.{name}"), value, range, why);
        number("t_max", self.t_max, TIME_AXIS, "rates are in 1 / time, and start at numbers that must fit it")?;
        number(
            "state_prior",
            self.state_prior,
            1e-4..=1e4,
            "it is the concentration of a Dirichlet distribution of four states",
        )?;
        count("n_latent", self.n_latent, 1..=1000, "more dimensions than the data have tell nothing")?;
        count("hidden", self.hidden, 1..=8192, "a layer holds the product of two widths in memory")?;
        count("n_samples", self.n_samples, 1..=10_000, "each is a pass over all cells")?;
        count("warmup_epochs", self.warmup_epochs, 0..=1_000_000, "each is a pass over all training cells")?;
        number("dropout", self.dropout, 0.0..=0.95, "what is left of the activations must carry the cell's state")?;
        for factor in self.state_spread {
            number("state_spread", factor, 1e-4..=1e4, "its four numbers multiply an s.d. in single precision")?;
        }
        number("penalty", self.penalty, 0.0..=1e6, "it is weighed against log-likelihoods")?;
        self.uncertainty.validate()?;
        require(
            self.train.memory.is_empty(),
            "model.train.memory",
            format!("{:?}", self.train.memory),
            "must be \"\": the moments that this model explains are over the neighbours among all cells",
        )?;
        self.train.validate()
    }
}

//! Training of the neural models: the loop, its settings, its log and its checkpoints.
//!
//! A model describes itself as an [`Objective`] and its training as a list of [`Stage`]s; [`Trainer`] knows
//! epochs, optimisers, early stopping, logs and checkpoints, and nothing of velocity.

pub mod adam;
mod adam_constants;
mod adam_flex;
mod batches;
mod checkpoint;
mod clip;
mod events;
mod finite;
pub(crate) mod first_step;
mod log;
mod memory;
mod meter;
mod pool;
mod sealed;
mod source;
mod stopping;
mod stream;
mod timing;
mod trainer;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use batches::{Batch, Columns, Split, TrainingData};
pub use checkpoint::{Checkpoint, Resumption, snapshot, stage_start};
pub use events::Events;
pub use first_step::{FirstStep, Named};
pub use source::{BatchSource, CountData, Pass, WithColumns};
pub use stream::CountStream;
pub use timing::{Plan, Timed, TrafficPerStep, time_steps};
#[cfg(test)]
pub(crate) use trainer::descend;
pub use trainer::{Group, Stage, Trainer};

use self::adam::{AdamConstants, WeightDecay};
use crate::data::CellSource;
use crate::error::{Result, require, within, within_or_0};
use crate::nn::draws::Draws;

/// A module as the trainer sees it: parameters, and one scalar to minimise.
pub trait Objective: Module {
    /// The loss of one batch in epoch number `epoch` of the stage, from 0.
    fn loss(&self, batch: &Batch, epoch: usize, draws: &mut Draws<'_>) -> Loss;

    /// The loss that early stopping compares between epochs, at the posterior means.
    fn held_out_loss(&self, batch: &Batch) -> Loss {
        self.loss(batch, usize::MAX, &mut Draws::Mean)
    }

    /// What the loss is.
    fn minimised(&self) -> Minimised {
        Minimised::Bound
    }

    /// Parameters per gene, and times of the cells of `batch`: logged as histograms, and searched for the culprits of a
    /// loss that is not finite.
    fn monitored(&self, batch: &Batch) -> Vec<Monitored>;

    /// The part of the loss that belongs to each gene, `[1, n_vars]`.
    fn gene_loss(&self, batch: &Batch) -> Tensor<2>;
}

/// What a loss is: it is named so in logs and on the terminal, for losses of different kinds do not go on from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimised {
    /// Minus the bound (ELBO), in nats per cell; logged as `loss`.
    Bound,
    /// A squared distance from what is to be learned; logged as `error`.
    Error,
}

impl Minimised {
    /// Name in logs, under `train/…` and `validation/…`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Bound => "loss",
            Self::Error => "error",
        }
    }

    /// Name and value as people read them.
    fn told(self, loss: f64) -> String {
        match self {
            Self::Bound => format!("ELBO {:.1}", -loss),
            Self::Error => format!("error {loss:.1}"),
        }
    }
}

/// One quantity that [`Objective::monitored`] shows.
pub struct Monitored {
    /// Name in the log: `beta`.
    pub name: &'static str,
    /// Whether there is one value per gene.
    pub per_gene: bool,
    /// The values.
    pub values: Vec<f32>,
}

/// The loss of one batch, averaged over its cells.
pub struct Loss {
    /// What is minimised, in nats per cell.
    pub total: Tensor<1>,
    /// The parts of it that are worth watching, logged under `train/…` and `validation/…`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

/// `[model.train]`: how a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Where to compute: `auto` (a discrete GPU if there is one, else the CPU), `cpu`, `wgpu`, "wgpu:1" and so on (`nascent
    /// devices` lists them); the flag `--device` sets it.
    pub device: String,
    /// Maximum number of epochs (passes over the training cells).
    pub epochs: usize,
    /// Cells per gradient step.
    pub batch_size: usize,
    /// `adam`: weight decay is an L2 penalty, part of the gradient; `adamw`: weight decay is applied to the
    /// parameters directly.
    pub optimizer: OptimizerKind,
    /// Learning rate (step size of the optimizer).
    pub learning_rate: f64,
    /// Weight decay: strength with which parameters are shrunk towards 0; 0: none.
    pub weight_decay: f64,
    /// Adam's epsilon, added to the root of the second moment; the larger, the more slowly parameters with small
    /// gradients change.
    pub epsilon: f64,
    /// Gradient-norm clipping: a gradient (of all parameters together) with a larger norm is scaled down to this
    /// norm; 0: no clipping.
    pub clip_norm: f64,
    /// Column of obs that assigns each cell to `train`, `validation` or `test`; empty: cells are assigned at random,
    /// by the two fractions below.
    pub split: String,
    /// Fraction of cells held out for validation (early stopping), in [0, 1).
    pub validation_fraction: f64,
    /// Fraction of cells held out for the final evaluation, in [0, 1).
    pub test_fraction: f64,
    /// Held-out cells that early stopping uses: `validation`, or `test`, which stops on the cells that are reported
    /// (as the VeloVAE package does).
    pub stop_on: StopOn,
    /// Epochs between two validations.
    pub check_every: usize,
    /// Early stopping: number of validations in a row without sufficient gain that ends a stage of training; 0: no
    /// early stopping.
    pub patience: usize,
    /// Early stopping: smallest decrease of the validation loss that counts as gain, in nats (natural-log units) per
    /// gene and cell.
    pub min_gain: f64,
    /// Seconds between checkpoints; the last epoch of a stage always writes one.
    pub checkpoint_seconds: f64,
    /// Memory for the whole run, as "4GB": cells that do not fit are read from the file while others are trained on;
    /// empty: all cells are kept in memory. The flag `--memory` sets it.
    pub memory: String,
}

/// Memory for counts.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// How much.
    pub bytes: usize,
    /// Whether all cells fit.
    pub for_all: bool,
}

/// What a run takes, with a network of usual size, whatever the number of cells.
const LEAST_MEMORY: usize = 1 << 30;

/// The optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam; weight decay is an L2 penalty, part of the gradient.
    Adam,
    /// `AdamW`; weight decay is applied to the parameters directly.
    Adamw,
}

/// The held-out cells that early stopping uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopOn {
    /// Cells that are used for nothing else.
    Validation,
    /// The cells that are also reported on, as the VeloVAE package does.
    Test,
}

impl TrainConfig {
    /// The optimiser of the parameters under the field `prefix` of a module, with these settings.
    #[must_use]
    pub fn group(&self, prefix: &'static str) -> Group {
        let weight_decay = match self.optimizer {
            OptimizerKind::Adam => WeightDecay::L2(self.weight_decay),
            OptimizerKind::Adamw => WeightDecay::Decoupled(self.weight_decay),
        };
        let adam = AdamConstants { epsilon: self.epsilon, weight_decay, ..AdamConstants::default() };
        Group { prefix, learning_rate: self.learning_rate, adam }
    }

    /// Bytes that the run may take; `None`: any.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if `memory` is no size.
    pub fn memory_limit(&self) -> Result<Option<usize>> {
        memory::parse(&self.memory)
    }

    /// How much of `memory` is for the counts of `n_vars` genes of `source`: half; the other half is for all else.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is too little.
    pub fn room_for_cells(&self, source: &dyn CellSource, n_vars: usize) -> Result<Room> {
        let limit = self.memory_limit()?.unwrap_or(usize::MAX);
        let least = (2 * CountStream::smallest(source, n_vars)).max(LEAST_MEMORY);
        if limit < least {
            let wanted = format!("is too little for these data: must be at least \"{}\"", memory::words(least));
            return Err(memory::wrong(&self.memory, wanted));
        }
        Ok(Room { bytes: limit / 2, for_all: CountStream::whole(source, n_vars) <= limit / 2 })
    }

    /// Checks that every value can be used.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that cannot.
    pub fn validate(&self) -> Result<()> {
        let key = |name: &str| format!("model.train.{name}");
        let share = |value: f64| (0.0..1.0).contains(&value);
        within(&key("epochs"), self.epochs, 1..=10_000_000, "each is a pass over all training cells")?;
        within(&key("batch_size"), self.batch_size, 2..=10_000_000, "a batch is held in memory")?;
        let why = "parameters are in single precision; one that is too large for the data makes the fit diverge, which is said";
        within(&key("learning_rate"), self.learning_rate, 1e-30..=1e30, why)?;
        within(&key("epsilon"), self.epsilon, 1e-30..=1e3, "it is added to a number in single precision, and divides")?;
        within(&key("weight_decay"), self.weight_decay, 0.0..=1e3, "more leaves parameters no freedom")?;
        let why = "it is a norm in single precision, and divides";
        within_or_0(&key("clip_norm"), self.clip_norm, 1e-6..=1e10, ("no clipping", why))?;
        for (name, value) in [
            ("validation_fraction", self.validation_fraction),
            ("test_fraction", self.test_fraction),
            ("validation_fraction + model.train.test_fraction", self.validation_fraction + self.test_fraction),
        ] {
            require(share(value), &key(name), value, "must be in [0, 1)")?;
        }
        let held_out = match self.stop_on {
            StopOn::Validation => ("validation_fraction", self.validation_fraction),
            StopOn::Test => ("test_fraction", self.test_fraction),
        };
        require(
            self.patience == 0 || held_out.1 > 0.0 || !self.split.is_empty(),
            &key(held_out.0),
            held_out.1,
            "must be above 0 while patience is above 0: early stopping needs held-out cells",
        )?;
        within(&key("check_every"), self.check_every, 1..=10_000_000, "it is a number of epochs")?;
        within(&key("patience"), self.patience, 0..=10_000_000, "it is a number of validations")?;
        within(&key("min_gain"), self.min_gain, -1e6..=1e6, "it is in nats per gene and cell")?;
        within(&key("checkpoint_seconds"), self.checkpoint_seconds, 0.0..=1e9, "1e9 seconds are 30 years")?;
        self.memory_limit().map(drop)
    }
}

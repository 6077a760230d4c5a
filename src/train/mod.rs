//! Training of the neural models: the loop, its settings, its log and its checkpoints.
//!
//! A model describes itself as an [`Objective`] and its training as a list of [`Stage`]s; [`Trainer`] knows
//! epochs, optimisers, early stopping, logs and checkpoints, and nothing of velocity.

pub mod adam;
mod adam_flex;
mod batches;
mod checkpoint;
mod log;
mod stopping;
mod trainer;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use batches::{Batch, Split, TrainingData};
pub use checkpoint::Checkpoint;
pub use trainer::{Group, Stage, Timed, Trainer, time_steps};

use crate::error::{Result, require};
use crate::nn::draws::Draws;

/// A module as the trainer sees it: parameters, and one scalar to minimise.
pub trait Objective: Module {
    /// The loss of one batch.
    fn loss(&self, batch: &Batch, draws: &mut Draws<'_>) -> Loss;

    /// Parameters per gene, and times of the cells of `batch`: logged as histograms, and searched for the culprits of a
    /// loss that is not finite.
    fn monitored(&self, batch: &Batch) -> Vec<Monitored>;

    /// The part of the loss that belongs to each gene, `[1, n_vars]`.
    fn gene_loss(&self, batch: &Batch) -> Tensor<2>;
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
    /// Where to compute: `auto`, `flex`, `ndarray`, `wgpu`, `cuda:0`. The flag `--device` sets it.
    pub device: String,
    /// Most passes over the training cells in the first stage.
    pub epochs: usize,
    /// Most passes over the training cells in each later stage.
    pub refine_epochs: usize,
    /// Cells per gradient step.
    pub batch_size: usize,
    /// Step size of Adam for the networks.
    pub learning_rate: f64,
    /// Step size of Adam for the rates of the kinetics.
    pub rate_learning_rate: f64,
    /// L2 penalty on the weights of the networks.
    pub weight_decay: f64,
    /// Share of the cells held out for early stopping, in [0, 1).
    pub validation_fraction: f64,
    /// Share of the cells held out for the final evaluation, in [0, 1).
    pub test_fraction: f64,
    /// Cells that decide when to stop: `validation`, or `test` to repeat published settings.
    pub stop_on: StopOn,
    /// Epochs between looks at the held-out cells.
    pub check_every: usize,
    /// Looks without enough gain before a stage ends; 0 never ends one early.
    pub patience: usize,
    /// What counts as enough gain, in nats per gene and cell.
    pub min_gain: f64,
    /// Seconds between checkpoints; the last epoch of a stage always leaves one.
    pub checkpoint_seconds: f64,
}

/// The cells that early stopping looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopOn {
    /// Cells that are used for nothing else.
    Validation,
    /// The cells that are also reported on, as the VeloVAE package does.
    Test,
}

impl TrainConfig {
    /// Checks that every value can be used.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that cannot.
    pub fn validate(&self) -> Result<()> {
        let key = |name: &str| format!("model.train.{name}");
        let share = |value: f64| (0.0..1.0).contains(&value);
        let rate = |value: f64| value.is_finite() && value > 0.0;
        require(self.epochs > 0, &key("epochs"), self.epochs, "must be at least 1")?;
        require(self.batch_size > 1, &key("batch_size"), self.batch_size, "must be at least 2")?;
        require(rate(self.learning_rate), &key("learning_rate"), self.learning_rate, "must be above 0")?;
        require(rate(self.rate_learning_rate), &key("rate_learning_rate"), self.rate_learning_rate, "must be above 0")?;
        require(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            &key("weight_decay"),
            self.weight_decay,
            "must be 0 or more",
        )?;
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
            self.patience == 0 || held_out.1 > 0.0,
            &key(held_out.0),
            held_out.1,
            "must be above 0 while patience is above 0: early stopping needs held-out cells",
        )?;
        require(self.check_every > 0, &key("check_every"), self.check_every, "must be at least 1")?;
        require(self.min_gain.is_finite(), &key("min_gain"), self.min_gain, "must be a number")?;
        require(
            self.checkpoint_seconds >= 0.0,
            &key("checkpoint_seconds"),
            self.checkpoint_seconds,
            "must be 0 or more",
        )
    }
}

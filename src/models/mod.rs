//! From moments to velocities: the models.
//!
//! A model is its settings, a struct that reads from `[model]` of the config file, and an implementation of
//! [`VelocityModel`]. How to add one is described in `src/README.md`.

pub mod dynamical;
#[cfg(feature = "neural")]
mod quality;
pub mod soft_grid;
#[cfg(feature = "neural")]
mod spread;
pub mod steady_state;
#[cfg(feature = "neural")]
pub mod velovae;
#[cfg(feature = "neural")]
pub mod velovi;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::{CellSource, Dataset, Fit, Run};
use crate::error::Result;
use crate::preprocess::{PreprocessConfig, Recipe};

/// A way from moments to velocities: steady state, EM or a network.
pub trait VelocityModel {
    /// Fits the model to `data` and returns all that it knows of cells and genes.
    ///
    /// # Errors
    /// If the settings or the data cannot be used, the run's folder cannot be written, or the fit diverges.
    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit>;

    /// Checks that every setting can be used.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that cannot.
    fn validate(&self) -> Result<()>;

    /// The column of `obs` with capture times that the model uses, if any.
    fn capture_time(&self) -> Option<&str> {
        None
    }

    /// Whether the model explains counts, so that its abundances and rates are in counts however the moments are scaled.
    fn in_counts(&self) -> bool {
        false
    }

    /// The preprocessing that the model is meant for: the default of `preprocess.recipe` with this model.
    fn recipe(&self) -> Recipe {
        Recipe::default()
    }

    /// The model as one that a run has trained, if it can reconstruct abundances that it was not trained on.
    fn trained(&self) -> Option<&dyn Trained> {
        None
    }

    /// The model as one that reads cells block after block, if its settings ask for that.
    fn streaming(&self) -> Option<&dyn StreamingModel> {
        None
    }

    /// Whether a fit that was stopped can be resumed, because training leaves checkpoints.
    fn resumes(&self) -> bool {
        false
    }

    /// The papers to cite for these settings.
    fn citations(&self) -> &'static [&'static str];
}

/// A model whose runs leave what is needed to look at other abundances.
pub trait Trained {
    /// Reconstructions `[û, ŝ]` of each `[Mu, Ms]`, all `[n_obs, n_vars]` over the cells and genes of `data`, by the model that
    /// `run` has trained on `data`: means over the posterior.
    ///
    /// # Errors
    /// If the run has no checkpoint of a finished training on these data.
    fn reconstruct(&self, data: &Dataset, run: &mut Run, moments: &[[Array2<f32>; 2]])
    -> Result<Vec<[Array2<f32>; 2]>>;
}

/// A model that need not hold all cells in memory.
pub trait StreamingModel {
    /// Fits the model to the cells of `source`, read block after block; genes are chosen by `config` on a sample of them.
    ///
    /// # Errors
    /// As [`VelocityModel::fit`], and whatever reading and preprocessing can meet.
    fn fit(&self, source: &dyn CellSource, config: &PreprocessConfig, run: &mut Run) -> Result<Streamed>;
}

/// What a [`StreamingModel`] returns: no layers.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// Positions of the fitted genes in the file, rising.
    pub genes: Vec<usize>,
    /// The fit; `velocity` is empty.
    pub fit: Fit,
}

/// `[model]` in the config. The tag `kind` is the model's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "a run has one")]
pub enum ModelConfig {
    /// VeloVAE, basic or full.
    #[cfg(feature = "neural")]
    Velovae(velovae::Velovae),
    /// veloVI.
    #[cfg(feature = "neural")]
    Velovi(velovi::Velovi),
    /// The steady-state model, deterministic or stochastic.
    SteadyState(steady_state::SteadyState),
    /// The dynamical model: scVelo's EM.
    Dynamical(dynamical::Dynamical),
    /// The EM on a grid of times that all genes share, on raw counts.
    SoftGrid(soft_grid::SoftGrid),
}

impl ModelConfig {
    /// The model that is trained when no config names one.
    pub const DEFAULT_KIND: &'static str = if cfg!(feature = "neural") { "velovae" } else { "steady_state" };

    /// The names that `kind` can have.
    pub const KINDS: &'static [&'static str] = &[
        #[cfg(feature = "neural")]
        "velovae",
        #[cfg(feature = "neural")]
        "velovi",
        "steady_state",
        "dynamical",
        "soft_grid",
    ];

    /// The model called `kind` with its default settings.
    #[must_use]
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "soft_grid" => Some(Self::SoftGrid(soft_grid::SoftGrid::default())),
            "dynamical" => Some(Self::Dynamical(dynamical::Dynamical::default())),
            #[cfg(feature = "neural")]
            "velovae" => Some(Self::Velovae(velovae::Velovae::default())),
            #[cfg(feature = "neural")]
            "velovi" => Some(Self::Velovi(velovi::Velovi::default())),
            "steady_state" => Some(Self::SteadyState(steady_state::SteadyState::default())),
            _ => None,
        }
    }

    /// The model behind the name.
    #[must_use]
    pub fn as_model(&self) -> &dyn VelocityModel {
        match *self {
            Self::Dynamical(ref model) => model,
            Self::SoftGrid(ref model) => model,
            #[cfg(feature = "neural")]
            Self::Velovae(ref model) => model,
            #[cfg(feature = "neural")]
            Self::Velovi(ref model) => model,
            Self::SteadyState(ref model) => model,
        }
    }
}

/// Speed of training on one device.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// Name of the device.
    pub device: &'static str,
    /// Genes of the data.
    pub genes: usize,
    /// Cells per step.
    pub batch_size: usize,
    /// Gradient steps per second of wall time.
    pub steps_per_second: f64,
    /// Milliseconds of CPU time, over all threads, per step.
    pub cpu_ms_per_step: f64,
}

/// Times training steps of VeloVAE on every device of this build.
///
/// # Errors
/// If a device cannot be opened.
#[cfg(feature = "neural")]
pub fn bench(genes: usize, batch_size: usize, steps: usize) -> Result<Vec<Timing>> {
    let timing = |device: &'static str| {
        let timed = velovae::bench(&crate::nn::device::open(device)?, genes, batch_size, steps);
        Ok(Timing {
            device,
            genes,
            batch_size,
            steps_per_second: 1.0 / timed.wall_seconds,
            cpu_ms_per_step: timed.cpu_seconds * 1e3,
        })
    };
    crate::nn::device::names().into_iter().map(timing).collect()
}

/// A build without neural models has no device to time.
///
/// # Errors
/// None.
#[cfg(not(feature = "neural"))]
pub fn bench(_: usize, _: usize, _: usize) -> Result<Vec<Timing>> {
    Ok(Vec::new())
}

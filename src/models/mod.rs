//! From moments to velocities: the models.
//!
//! A model is its settings, a struct that reads from `[model]` of the config file, and an implementation of
//! [`VelocityModel`]. How to add one is described in `src/README.md`.

mod dispersion;
pub mod dynamical;
#[cfg(feature = "neural")]
mod quality;
mod sized_moments;
pub mod soft_grid;
#[cfg(feature = "neural")]
mod spread;
pub mod steady_state;
#[cfg(feature = "neural")]
pub mod velovae;
#[cfg(feature = "neural")]
pub mod velovi;

use std::ops::RangeInclusive;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::quantities::{self, Numbers, Quantity};
use crate::data::{Bound, CaptureColumn, CellSource, Dataset, Fit, GeneFilter, Layers, Run};
use crate::error::{Result, within};
use crate::preprocess::{PreprocessConfig, Recipe};

/// Columns of var of a fit, by what they hold.
pub type Columns<'a> = &'a dyn Fn(Quantity<Numbers>) -> Option<Vec<f64>>;

/// Length of a time axis.
pub(crate) const TIME_AXIS: RangeInclusive<f64> = 1e-3..=1e6;

/// Checks the median and the s.d. of the logarithm of a rate's prior.
pub(crate) fn within_prior(key: &str, median: f64, sd: f64) -> Result<()> {
    within(key, median, 1e-6..=1e6, "its first number is the median of a rate, in 1 / time")?;
    within(key, sd, 1e-3..=20.0, "its second number is the s.d. of the rate's logarithm")
}

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

    /// The name of the device that the model is fitted on, if it leaves a choice.
    fn device(&self) -> Option<&str> {
        None
    }

    /// The column of `obs` with capture times that the model uses, if any.
    fn capture(&self) -> CaptureColumn<'_> {
        CaptureColumn::default()
    }

    /// Whether the model explains counts, so that its abundances and rates are in counts however the moments are scaled.
    fn in_counts(&self) -> bool {
        false
    }

    /// The preprocessing that the model is meant for: the default of `preprocess.recipe` with this model.
    fn recipe(&self) -> Recipe {
        Recipe::default()
    }

    /// Whether several processes can share a fit with these settings ([`Team`](crate::data::Team)).
    fn shares(&self) -> bool {
        false
    }

    /// The model as one that a run has trained, if it can reconstruct abundances that it was not trained on.
    fn trained(&self) -> Option<&dyn Trained> {
        None
    }

    /// The model as one that reads cells block after block, if its settings ask for that.
    fn streaming(&self) -> Option<&dyn StreamingModel> {
        None
    }

    /// What its velocity genes fulfil, of a fit that is read back, whose columns of var `column` gives, NaN where a gene has no fit; scores
    /// that decide nothing have no bound. What the fit looked at and does not record is not among them.
    fn velocity_gene_filters(&self, column: Columns) -> Vec<GeneFilter> {
        let likelihood = column(quantities::FIT_LIKELIHOOD);
        likelihood
            .map(|values| GeneFilter::new("likelihood", quantities::FIT_LIKELIHOOD.key(), Bound::None, values))
            .into_iter()
            .collect()
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
    fn fit(&self, source: &Arc<dyn CellSource>, config: &PreprocessConfig, run: &mut Run) -> Result<Streamed>;

    /// Whether the fit has layers, without which there is no velocity graph.
    fn has_layers(&self) -> bool {
        true
    }
}

/// What a [`StreamingModel`] returns.
#[derive(Debug)]
pub struct Streamed {
    /// Positions of the fitted genes in the file, rising.
    pub genes: Vec<usize>,
    /// The fit without its layers.
    pub fit: Fit,
    /// Its layers, if the model has any: they are made as they are written.
    pub layers: Option<Layers>,
}

/// What the rest of the program knows of a model, and how it is made. One entry for each model in `models!` below.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct ModelEntry {
    /// Its name: `kind` under `[model]`.
    pub kind: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// Whether its likelihood can be one of counts; other models see moments only.
    pub reads_counts: bool,
    /// Whether its runs leave checkpoints that `--resume` goes on from.
    pub resumes: bool,
    /// Whether `nascent permute` can ask a trained run about shuffled abundances.
    pub permutes: bool,
    /// Whether it draws from a posterior: spreads of velocities and directions.
    pub draws: bool,
    /// Whether a gene's `fit_t` are times along its own curve; false where they are means over kinetic states, on no curve.
    pub times_on_curve: bool,
    /// The quantities that it can write; which of them it does depends on its settings.
    pub writes: &'static [&'static quantities::About],
}

/// Makes [`ModelConfig`] and the list of what is known of each model from one entry a model.
macro_rules! models {
    ($(
        $(#[cfg($condition:meta)])?
        #[doc = $doc:literal]
        $variant:ident($settings:ty) = $kind:literal { $($fact:ident: $value:expr),* $(,)? }
    )*) => {
        /// `[model]` in the config. The tag `kind` is the model's name.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[allow(clippy::large_enum_variant, reason = "a run has one")]
        pub enum ModelConfig {
            $(
                $(#[cfg($condition)])?
                #[doc = $doc]
                #[serde(rename = $kind)]
                $variant($settings),
            )*
        }

        impl ModelConfig {
            /// The names that `kind` can have.
            pub const KINDS: &'static [&'static str] = &[$($(#[cfg($condition)])? $kind),*];

            /// What is known of each model.
            pub const ENTRIES: &'static [ModelEntry] = &[$(
                $(#[cfg($condition)])?
                ModelEntry { kind: $kind, summary: $doc, $($fact: $value),* },
            )*];

            /// The model called `kind` with its default settings.
            #[must_use]
            pub fn named(kind: &str) -> Option<Self> {
                match kind {
                    $($(#[cfg($condition)])? $kind => Some(Self::$variant(<$settings>::default())),)*
                    _ => None,
                }
            }

            /// The model behind the name.
            #[must_use]
            pub fn as_model(&self) -> &dyn VelocityModel {
                match self {
                    $($(#[cfg($condition)])? Self::$variant(model) => model,)*
                }
            }

            /// Its name.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(#[cfg($condition)])? Self::$variant(_) => $kind,)*
                }
            }
        }
    };
}

models! {
    #[cfg(feature = "neural")]
    /// VeloVAE, basic or full.
    Velovae(velovae::Velovae) = "velovae" {
        reads_counts: true, resumes: true, permutes: true, draws: true, times_on_curve: true, writes: velovae::WRITES,
    }
    #[cfg(feature = "neural")]
    /// veloVI.
    Velovi(velovi::Velovi) = "velovi" {
        reads_counts: false, resumes: true, permutes: true, draws: true, times_on_curve: false, writes: velovi::WRITES,
    }
    /// The steady-state model, deterministic or stochastic.
    SteadyState(steady_state::SteadyState) = "steady_state" {
        reads_counts: false, resumes: false, permutes: false, draws: false, times_on_curve: true, writes: steady_state::WRITES,
    }
    /// The dynamical model: scVelo's EM.
    Dynamical(dynamical::Dynamical) = "dynamical" {
        reads_counts: false, resumes: false, permutes: false, draws: false, times_on_curve: true, writes: dynamical::WRITES,
    }
    /// The EM on a grid of times that all genes share, on raw counts.
    SoftGrid(soft_grid::SoftGrid) = "soft_grid" {
        reads_counts: true, resumes: false, permutes: false, draws: false, times_on_curve: true, writes: soft_grid::WRITES,
    }
}

impl ModelConfig {
    /// The model that is trained when no config names one: of all of them the nearest to known truth, and it says whether the direction of
    /// time is determined (`docs/src/which-model.md`).
    pub const DEFAULT_KIND: &'static str = "soft_grid";

    /// What is known of the model.
    ///
    /// # Panics
    /// Never: every model has an entry.
    #[must_use]
    pub fn entry(&self) -> &'static ModelEntry {
        Self::entry_of(self.kind()).expect("every model has an entry")
    }

    /// What is known of the model called `kind`.
    #[must_use]
    pub fn entry_of(kind: &str) -> Option<&'static ModelEntry> {
        Self::ENTRIES.iter().find(|entry| entry.kind == kind)
    }
}

/// Times training steps on a device, on random cells of so many genes.
#[cfg(feature = "neural")]
pub type TimeSteps = fn(&burn::tensor::Device, usize, crate::train::Plan) -> Result<crate::train::Timed>;

/// Neural models whose training steps can be timed, by name.
#[cfg(feature = "neural")]
pub const TIMED: [(&str, TimeSteps); 3] = [
    ("velovae", |device, n_vars, plan| velovae::bench(velovae::Likelihood::Gaussian, device, n_vars, plan)),
    ("velovae_counts", |device, n_vars, plan| {
        velovae::bench(velovae::Likelihood::NegativeBinomial, device, n_vars, plan)
    }),
    ("velovi", velovi::bench),
];

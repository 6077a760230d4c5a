//! What can be set.

use serde::{Deserialize, Serialize};

use super::{SampleSimilarity, Spread};
use crate::error::{Result, within_or_0};

/// `[model.uncertainty]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncertaintyConfig {
    /// Posterior samples of the velocity per cell, from which its uncertainty is computed; 0: none, else at least 2.
    pub n_samples: usize,
    /// Similarity of two samples: true: correlation over genes (scvi-tools); false: cosine (the paper).
    pub centred: bool,
    /// Denominator of variances: true: number of samples (scvi-tools); false: number of samples − 1.
    pub population: bool,
    /// Whether to compute the extrinsic uncertainty too: that of the future state that the velocity graph predicts;
    /// this takes most of the time.
    pub extrinsic: bool,
    /// What the extrinsic uncertainty is measured on: the predicted `state` (scvi-tools), or the `displacement` from
    /// the cell to it.
    pub extrapolation: Extrapolation,
}

/// What the transition matrix predicts for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extrapolation {
    /// Its future state: the weighted sum of the abundances of the cells it may move to (veloVI's choice). Weights can be negative; if
    /// their sum is, the prediction points the opposite way.
    State,
    /// Its displacement: the weighted sum of the differences between their abundances and the cell's own.
    Displacement,
}

impl Default for UncertaintyConfig {
    /// 25 samples, statistics as scvi-tools has them.
    fn default() -> Self {
        Self { n_samples: 25, centred: true, population: true, extrinsic: true, extrapolation: Extrapolation::State }
    }
}

impl UncertaintyConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is one sample: it has no spread.
    pub fn validate(&self) -> Result<()> {
        let why = "one sample has no spread, and all of a cell are held in memory";
        within_or_0("model.uncertainty.n_samples", self.n_samples, 2..=10_000, ("off", why))
    }

    /// How the spread of samples is measured.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread {
            similarity: if self.centred { SampleSimilarity::Correlation } else { SampleSimilarity::Cosine },
            ddof: usize::from(!self.population),
        }
    }
}

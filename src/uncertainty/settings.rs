//! What can be set.

use serde::{Deserialize, Serialize};

use super::{SampleSimilarity, Spread};
use crate::error::{Result, require};

/// `[model.uncertainty]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncertaintyConfig {
    /// Samples of the velocity per cell: 0 for no uncertainties, else 2 or more.
    pub n_samples: usize,
    /// Whether similarities are correlations over genes (scvi-tools) or plain cosines (the paper).
    pub centred: bool,
    /// Whether variances are divided by the number of samples (scvi-tools) or by one less (the paper).
    pub population: bool,
    /// Whether to follow the samples through the velocity graph too: most of the time.
    pub extrinsic: bool,
    /// What the extrinsic uncertainty is that of.
    pub extrapolation: Extrapolation,
}

/// What a transition matrix predicts for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extrapolation {
    /// The weighted sum of the abundances around (veloVI's choice); weights can sum to less than 0, and then it points away.
    State,
    /// The weighted sum of the differences from the cell's own abundances.
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
        require(self.n_samples != 1, "model.uncertainty.n_samples", self.n_samples, "must be 0 (off) or at least 2")
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

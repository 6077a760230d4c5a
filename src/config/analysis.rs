//! Settings of what comes after a fit.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layers;
use crate::embedding::EmbeddingConfig;
use crate::error::Result;
use crate::graph::GraphConfig;
use crate::io::InputConfig;
use crate::scores::ScoresConfig;
use crate::time::TimeConfig;

/// The settings of `nascent graph` and `nascent report`. Each table belongs to the module that it sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// Seed of all random numbers. The flag `--seed` sets it.
    pub seed: u64,
    /// `[input]`: where in the file the counts are, of which the report tells the share of unspliced molecules.
    pub input: InputConfig,
    /// `[graph]`: the velocity graph and the transition matrix.
    pub graph: GraphConfig,
    /// `[embedding]`: arrows, fields for streamlines, and UMAP where the file has no embedding.
    pub embedding: EmbeddingConfig,
    /// `[time]`: roots, pseudotime, latent time.
    pub time: TimeConfig,
    /// `[scores]`: how far the velocities can be trusted.
    pub scores: ScoresConfig,
}

impl Analysis {
    /// The defaults, overlaid by `file`, overlaid by `overrides` of the form `dotted.key=value`; checked.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) or [`Error::Setting`](crate::Error::Setting) naming the file or flag, the key and what was
    /// wanted.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        let settings: Self = layers::settled(&Self::default(), layers::read(file, overrides)?, file)?;
        settings.validate()?;
        Ok(settings)
    }

    /// Checks every value that can be checked before the data are read.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.graph.validate()?;
        self.embedding.validate()?;
        self.time.validate()?;
        self.scores.validate()
    }

    /// The settings as TOML, every value spelled out.
    ///
    /// # Panics
    /// Never: every setting has a form in TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are numbers, words, lists and tables")
    }
}

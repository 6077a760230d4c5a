//! All settings in one struct: defaults, overlaid by a file, overlaid by flags.

mod analysis;
mod layers;
mod shipped;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

pub use analysis::Analysis;
pub use shipped::{shipped, shipped_names};

use crate::error::{Error, Result};
use crate::io::{InputConfig, OutputConfig};
use crate::models::ModelConfig;
use crate::preprocess::PreprocessConfig;

/// The effective settings of a run. Each table belongs to the module that it sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Seed of all random numbers. The flag `--seed` sets it.
    pub seed: u64,
    /// `[input]`: where in the file the counts are.
    pub input: InputConfig,
    /// `[preprocess]`: from counts to moments.
    pub preprocess: PreprocessConfig,
    /// `[model]`: from moments to velocities.
    pub model: ModelConfig,
    /// `[output]`: what is written.
    pub output: OutputConfig,
}

impl Config {
    /// The defaults of the model called `kind`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such model.
    pub fn default_for(kind: &str) -> Result<Self> {
        let model = ModelConfig::named(kind).ok_or_else(|| Error::Setting {
            key: "model.kind".to_owned(),
            value: format!("{kind:?}"),
            wanted: format!("must be one of: {}", ModelConfig::KINDS.join(", ")),
        })?;
        Ok(Self {
            seed: 0,
            input: InputConfig::default(),
            preprocess: PreprocessConfig { recipe: model.as_model().recipe(), ..PreprocessConfig::default() },
            model,
            output: OutputConfig::default(),
        })
    }

    /// The defaults of the model that `file` names, overlaid by `file`, overlaid by `overrides` of the form
    /// `dotted.key=value`; checked.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Setting`] naming the file or flag, the key and what was wanted.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        Self::of_layers(layers::read(file, overrides)?, file)
    }

    fn of_layers(layers: Vec<(String, Table)>, file: Option<&Path>) -> Result<Self> {
        let named = |(_, table): &(String, Table)| Some(table.get("model")?.get("kind")?.as_str()?.to_owned());
        let kind = layers.iter().rev().find_map(named).unwrap_or_else(|| ModelConfig::DEFAULT_KIND.to_owned());
        let defaults = Self::default_for(&kind)?;
        defaults.knows_models_keys(&layers)?;
        let config: Self = layers::settled(&defaults, layers, file)?;
        config.validate()?;
        Ok(config)
    }

    /// Fails at the first setting in `layers` that other models have, but not that of these settings.
    fn knows_models_keys(&self, layers: &[(String, Table)]) -> Result<()> {
        let known = layers::table_of(self);
        for (place, table) in layers {
            let Some(key) = layers::first_unknown(&known, table) else { continue };
            let has = |kind: &&&str| {
                Self::default_for(kind).is_ok_and(|other| layers::value_at(&layers::table_of(&other), &key).is_some())
            };
            let others: Vec<&str> = ModelConfig::KINDS.iter().filter(has).copied().collect();
            if !others.is_empty() {
                return Err(Error::Config {
                    place: place.clone(),
                    problem: format!("the model {} has no setting {key}", self.model.kind()),
                    hint: format!(
                        "it is a setting of {}: name the model, as in `nascent train {} …` or model.kind=\"{}\"",
                        others.join(", "),
                        others[0],
                        others[0]
                    ),
                });
            }
        }
        Ok(())
    }

    /// The settings that a file's record of its fit has, overlaid by `overrides`; checked. What a record of an earlier version lacks is as
    /// by default.
    ///
    /// # Errors
    /// [`Error::Config`] if the record is of settings that this version does not know, or a flag cannot be used.
    pub fn recorded(settings: &serde_json::Value, overrides: &[String]) -> Result<Self> {
        let place = "uns[\"nascent_fit\"]";
        let table = Table::try_from(settings).map_err(|reason| Error::Config {
            place: place.to_owned(),
            problem: format!("the settings cannot be read: {reason}"),
            hint: "give the settings of the fit: --config FILE.run/config.toml".to_owned(),
        })?;
        let mut layers = vec![(place.to_owned(), table)];
        layers.extend(layers::read(None, overrides)?);
        Self::of_layers(layers, None)
    }

    /// Checks every value that can be checked before the data are read.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.input.validate()?;
        self.preprocess.validate()?;
        self.output.validate()?;
        let model = self.model.as_model();
        if model.streaming().is_some() {
            self.preprocess.validate_streaming()?;
        }
        model.validate()
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

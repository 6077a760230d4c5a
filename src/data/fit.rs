//! What every model returns.

use std::ops::Index;

use serde_json::{Map, Value};

use super::quantities::{Kind, Labels, Quantity, VELOCITY_GENES, Values};
use super::{Column, MomentUnits};

/// Result of a model: quantities over the cells and kept genes of a [`Dataset`](super::Dataset), each set where it is computed.
/// Which there are is listed in [`quantities`](super::quantities); a model sets those that it has.
#[derive(Clone, Debug, Default)]
pub struct Fit {
    /// What made the velocities: scVelo's word where it has one (`deterministic`, `stochastic`), else as in `[model] kind`.
    pub mode: String,
    /// What one unit of the fit's abundances is.
    pub moments: MomentUnits,
    /// Single facts for the file's record, such as how far ahead `fit_s_future` looks.
    pub facts: Map<String, Value>,
    values: Values,
}

impl Fit {
    /// A fit without any quantity yet.
    #[must_use]
    pub fn of(mode: &str) -> Self {
        Self { mode: mode.to_owned(), ..Self::default() }
    }

    /// Sets a quantity.
    pub fn set<T: Kind>(&mut self, quantity: Quantity<T>, value: T) {
        self.values.set(quantity, value);
    }

    /// Sets a quantity if there is one.
    pub fn set_some<T: Kind>(&mut self, quantity: Quantity<T>, value: Option<T>) {
        if let Some(value) = value {
            self.set(quantity, value);
        }
    }

    /// The fit with a quantity set.
    #[must_use]
    pub fn with<T: Kind>(mut self, quantity: Quantity<T>, value: T) -> Self {
        self.set(quantity, value);
        self
    }

    /// A quantity, if the model has it.
    #[must_use]
    pub fn get<T: Kind>(&self, quantity: Quantity<T>) -> Option<&T> {
        self.values.get(quantity)
    }

    /// A quantity to change, if the model has it.
    pub fn get_mut<T: Kind>(&mut self, quantity: Quantity<T>) -> Option<&mut T> {
        self.values.get_mut(quantity)
    }

    /// Takes a quantity out, if the model has it.
    pub fn take<T: Kind>(&mut self, quantity: Quantity<T>) -> Option<T> {
        self.values.take(quantity)
    }

    /// All quantities.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// All quantities, for writing.
    #[must_use]
    pub fn into_values(self) -> Values {
        self.values
    }

    /// Number of genes whose velocity should be used.
    #[must_use]
    pub fn n_velocity_genes(&self) -> usize {
        self.get(VELOCITY_GENES).map_or(0, |chosen| chosen.iter().filter(|&&chosen| chosen).count())
    }
}

/// For quantities that the model is known to have.
///
/// # Panics
/// If it does not have it.
impl<T: Kind> Index<Quantity<T>> for Fit {
    type Output = T;

    fn index(&self, quantity: Quantity<T>) -> &T {
        self.get(quantity).unwrap_or_else(|| panic!("the fit of {} has no {quantity:?}", self.mode))
    }
}

/// [`Fit::facts`]: how far ahead `fit_s_future` looks, in units of `latent_time`.
pub const FUTURE_TIME: &str = "future_time";

/// The parts of the data by the number that says which a cell was in.
pub const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// The parts of cells, by number, under their names.
#[must_use]
pub fn split_labels(parts: &[u8]) -> Labels {
    let code = |&part: &u8| (usize::from(part) < SPLITS.len()).then_some(u32::from(part));
    Labels { codes: parts.iter().map(code).collect(), categories: SPLITS.map(str::to_owned).to_vec() }
}

/// The part of each cell by its label; a label of another program counts as training.
#[must_use]
pub fn parts(column: &Column) -> Vec<u8> {
    let part = |label: &String| if label == SPLITS[2] { 2 } else { u8::from(label == SPLITS[1]) };
    column.to_labels().iter().map(part).collect()
}

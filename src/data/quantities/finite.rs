//! Numbers that are not finite, found before they are written.

use ndarray::Array2;

use super::{
    FIT_ALPHA, FIT_BETA, FIT_GAMMA, LATENT_TIME, Slot, VELOCITY, VELOCITY_GAMMA, VELOCITY_PSEUDOTIME, Value, Values,
    path,
};
use crate::error::{Error, Result};

/// What is no finite number among the values of a quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    missing: usize,
    infinite: usize,
    of: usize,
}

impl Count {
    fn over<T: Copy + Into<f64>>(values: impl IntoIterator<Item = T>) -> Self {
        let mut count = Self::default();
        for value in values {
            let value: f64 = value.into();
            count.of += 1;
            count.missing += usize::from(value.is_nan());
            count.infinite += usize::from(value.is_infinite());
        }
        count
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Matrix(matrix) => Self::over(matrix.iter().copied()),
            Value::Numbers(numbers) => Self::over(numbers.iter().copied()),
            Value::Graph(graph) => Self::over(graph.data.iter().copied()),
            Value::Truths(_) | Value::Words(_) | Value::Labels(_) | Value::Record(_) => Self::default(),
        }
    }

    fn refused(self, at: &str) -> Error {
        let Self { missing, infinite, of } = self;
        Error::Data {
            problem: format!(
                "{at} was not written: of {of} numbers, {missing} are missing (NaN) and {infinite} infinite"
            ),
            hint: "look for settings far from their defaults and for extreme values in the counts".to_owned(),
        }
    }
}

/// What later steps count with, so that an infinite value is an error. Elsewhere it is worth a warning.
const NEVER_INFINITE: [(Slot, &str); 7] = [
    (Slot::Obs, LATENT_TIME.key()),
    (Slot::Obs, VELOCITY_PSEUDOTIME.key()),
    (Slot::Layers, VELOCITY.key()),
    (Slot::Var, FIT_ALPHA.key()),
    (Slot::Var, FIT_BETA.key()),
    (Slot::Var, FIT_GAMMA.key()),
    (Slot::Var, VELOCITY_GAMMA.key()),
];

/// Fails if a value of a layer that is made while it is written is infinite: it could only be warned about once all is written.
///
/// # Errors
/// [`Error::Data`] that names the layer and how many.
pub(crate) fn none_infinite(key: &str, values: &Array2<f32>) -> Result<()> {
    match Count::over(values.iter().copied()) {
        Count { infinite: 0, .. } => Ok(()),
        count => Err(count.refused(&path(Slot::Layers, key))),
    }
}

impl Values {
    /// Checks that numbers are finite where they are meant to be, and returns a warning for each quantity with infinite values elsewhere.
    ///
    /// A missing value (NaN) says that there is none: of a gene that was not fitted, of a cell that nothing leads to. It has no meaning in
    /// graphs and coordinates of cells, nor in `latent_time`.
    ///
    /// # Errors
    /// [`Error::Data`] that names the quantity and how many of its values are not finite.
    pub fn check_finite(&self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for (about, key, value) in self.iter() {
            let count @ Count { missing, infinite, of } = Count::of(value);
            let is_time = about.slot == Slot::Obs && key == LATENT_TIME.key();
            let none_missing =
                is_time || matches!(about.slot, Slot::Obsp | Slot::Obsm) || matches!(value, Value::Graph(_));
            let none_infinite = none_missing || NEVER_INFINITE.contains(&(about.slot, key));
            let at = path(about.slot, key);
            if (none_missing && missing > 0) || (none_infinite && infinite > 0) {
                return Err(count.refused(&at));
            }
            if infinite > 0 {
                warnings.push(format!("{at}: {infinite} of {of} numbers are infinite"));
            }
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::quantities::{FIT_LIKELIHOOD, T_FWD};
    use crate::sparse::Csr;

    #[test]
    fn what_is_not_finite_is_named_and_counted() {
        let mut values = Values::default();
        values.set(FIT_BETA, array![1.0, f64::NAN]);
        values.set(FIT_LIKELIHOOD, array![0.5, f64::INFINITY]);
        assert_eq!(values.check_finite().expect("no error"), ["var/fit_likelihood: 1 of 2 numbers are infinite"]);
        let refused = |values: &Values, name: &str, counts: &str| {
            let error = values.check_finite().expect_err("not finite").to_string();
            assert!(error.contains(name) && error.contains(counts), "{error}");
        };
        let graph = |value: f32| Csr::from_rows(2, &[vec![(0, 1.0)], vec![(0, value), (1, 0.5)]]);
        values.set(T_FWD, graph(f32::NAN));
        refused(&values, "T_fwd", "of 3 numbers, 1 are missing");
        values.set(T_FWD, graph(0.5));
        values.set(LATENT_TIME, array![0.0, f64::NAN, f64::NEG_INFINITY]);
        refused(&values, "obs/latent_time", "of 3 numbers, 1 are missing (NaN) and 1 infinite");
        values.set(LATENT_TIME, array![0.0, 1.0, 2.0]);
        values.set(FIT_BETA, array![1.0, f64::INFINITY]);
        refused(&values, "var/fit_beta", "1 infinite");
    }
}

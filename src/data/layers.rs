//! Layers of more cells than memory has room for.

use std::fmt;
use std::ops::Range;

use ndarray::Array2;

use super::quantities::{About, Slot, none_infinite};
use crate::error::{Error, Result};

/// What makes the layers of the cells asked for, one matrix for each layer.
type Make = Box<dyn Fn(Range<usize>) -> Result<Vec<Array2<f32>>>>;

/// Layers of a fit over its cells and genes that are made a block of cells at a time, when they are written.
pub struct Layers {
    /// The layers that are wanted, and where each is among those that `make` makes.
    wanted: Vec<(usize, &'static About)>,
    make: Make,
}

impl Layers {
    /// Cells of a block: enough to keep the device busy, few enough that 2,000 genes of all layers take some tens of MiB.
    pub const BLOCK: usize = 1024;

    /// The layers `which`; `make` returns a matrix `[cells, genes]` for each of them, in this order, of any range of cells.
    pub fn new(which: Vec<&'static About>, make: impl Fn(Range<usize>) -> Result<Vec<Array2<f32>>> + 'static) -> Self {
        debug_assert!(which.iter().all(|about| about.slot == Slot::Layers));
        Self { wanted: which.into_iter().enumerate().collect(), make: Box::new(make) }
    }

    /// The layers that are wanted.
    pub fn which(&self) -> impl Iterator<Item = &'static About> + '_ {
        self.wanted.iter().map(|&(_, about)| about)
    }

    /// Drops the layers of which `keep` says no, and returns them.
    pub fn retain(&mut self, keep: impl Fn(&About) -> bool) -> Vec<&'static About> {
        let (kept, dropped): (Vec<_>, Vec<_>) = self.wanted.iter().partition(|(_, about)| keep(about));
        self.wanted = kept;
        dropped.into_iter().map(|(_, about)| about).collect()
    }

    /// The wanted layers of the cells `rows`, each `[rows.len(), n_vars]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not of this shape, [`Error::Data`] if a value is infinite, and those of reading the cells.
    pub fn rows(&self, rows: Range<usize>, n_vars: usize) -> Result<Vec<Array2<f32>>> {
        let wanted = [rows.len(), n_vars];
        let mut made: Vec<Option<Array2<f32>>> = (self.make)(rows)?.into_iter().map(Some).collect();
        let take = |&(at, about): &(usize, &About)| {
            let layer = made.get_mut(at).and_then(Option::take).unwrap_or_default();
            if layer.shape() == wanted {
                return none_infinite(about.key, &layer).map(|()| layer);
            }
            let what = format!("layers[{:?}] of some cells", about.key);
            Err(Error::Shape { what, wanted: wanted.to_vec(), found: layer.shape().to_vec() })
        };
        self.wanted.iter().map(take).collect()
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.which().map(|about| about.key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::quantities::VELOCITY;

    #[test]
    fn a_layer_with_an_infinite_value_is_refused_as_it_is_made_and_a_missing_value_is_not() {
        let of = |value: f32| {
            Layers::new(vec![VELOCITY.about()], move |rows| {
                Ok(vec![Array2::from_shape_fn((rows.len(), 2), |(row, _)| if row == 1 { value } else { 0.5 })])
            })
        };
        assert_eq!(of(f32::NAN).rows(0..3, 2).expect("layers").len(), 1);
        let error = of(f32::INFINITY).rows(0..3, 2).expect_err("infinite").to_string();
        assert!(
            error.contains("layers/velocity was not written: of 6 numbers, 0 are missing (NaN) and 2 infinite"),
            "{error}"
        );
    }
}

//! Means of losses over the batches of an epoch.

use burn::tensor::Tensor;

use super::Loss;
use crate::nn::{arrays, flex};

/// Batches after which losses are read from a device where reading has to wait for it.
const READ_EVERY: usize = 32;

/// Means of the loss and its terms over the cells of an epoch. On Flex a loss is read at once. On a GPU that would hold up the host until the
/// device has done all that it was told, so there losses stay on the device until several can be read together.
#[derive(Default)]
pub(super) struct Meter {
    cells: f64,
    sums: Vec<(&'static str, f64)>,
    waiting: Vec<Waiting>,
}

/// The loss of some cells, still on the device.
struct Waiting {
    cells: f64,
    names: Vec<&'static str>,
    values: Vec<Tensor<1>>,
}

impl Meter {
    /// Adds the loss of `cells` cells, after the `last` of which all are read; false if one that was read now is not finite.
    pub(super) fn add(&mut self, loss: &Loss, cells: usize, last: bool) -> bool {
        let cells = cells as f64;
        self.cells += cells;
        let terms = std::iter::once(("loss", &loss.total)).chain(loss.terms.iter().map(|(name, term)| (*name, term)));
        let (names, values) = terms.map(|(name, term)| (name, term.clone().without_autodiff())).unzip();
        self.waiting.push(Waiting { cells, names, values });
        let due = last || flex::is_plain(&loss.total) || self.waiting.len() >= READ_EVERY;
        !due || self.read()
    }

    /// Reads what is still on the device; false if a loss is not finite.
    fn read(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.waiting);
        let all = waiting.iter().flat_map(|loss| loss.values.iter().cloned()).collect();
        let mut values = arrays::values(Tensor::cat(all, 0)).into_iter().map(f64::from);
        let mut finite = true;
        for Waiting { cells, names, .. } in waiting {
            for (name, value) in names.into_iter().zip(&mut values) {
                finite &= name != "loss" || value.is_finite();
                match self.sums.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum += value * cells,
                    None => self.sums.push((name, value * cells)),
                }
            }
        }
        finite
    }

    /// Mean of each term over the cells, under `part/name`, where the loss itself is called `loss`; the last was added.
    pub(super) fn means(&self, part: &str, loss: &str) -> Vec<(String, f64)> {
        let named = |name: &'static str| if name == "loss" { loss } else { name };
        let mean = |&(name, sum): &(&'static str, f64)| (format!("{part}/{}", named(name)), sum / self.cells);
        self.sums.iter().map(mean).collect()
    }

    /// Mean loss over the cells; the last was added.
    pub(super) fn loss(&self) -> f64 {
        self.sums.iter().find(|(name, _)| *name == "loss").map_or(f64::NAN, |(_, sum)| sum / self.cells)
    }
}

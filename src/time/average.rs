//! Means over the neighbourhoods of cells, and values from 0 to 1.

use rayon::prelude::*;

use crate::sparse::Csr;
use crate::stats::{count, percentile};

/// The mean of `values` over each cell and the cells that it has a positive entry for, all of equal weight.
pub(super) fn over_neighborhoods(graph: &Csr<f32>, values: &[f64]) -> Vec<f64> {
    of_sources(graph, values, |_| true, Weights::All)
}

/// By what the sum over a neighbourhood is divided.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Weights {
    /// The number of cells in it.
    All,
    /// The number of those that are sources.
    Sources,
}

/// The same over the cells of a neighbourhood that are sources; 0 where none is.
pub(super) fn of_sources(
    graph: &Csr<f32>,
    values: &[f64],
    source: impl Fn(usize) -> bool + Sync,
    weights: Weights,
) -> Vec<f64> {
    let of_cell = |i: usize| {
        let (cells, entries) = graph.row(i);
        let linked = cells.iter().zip(entries).filter(|entry| *entry.1 > 0.0).map(|entry| *entry.0 as usize);
        let (mut sum, mut n, mut sources) = (0.0, 0, 0);
        for j in std::iter::once(i).chain(linked.filter(|&j| j != i)) {
            n += 1;
            if source(j) {
                sources += 1;
                sum += values[j];
            }
        }
        let divisor = if weights == Weights::All { n } else { sources.max(1) };
        sum / count(divisor)
    };
    (0..graph.n_rows).into_par_iter().map(of_cell).collect()
}

/// Moves and stretches the finite values to [0, 1]; equal ones become 0.
pub(super) fn to_unit(values: &mut [f64]) {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let least = finite().fold(f64::INFINITY, f64::min);
    let span = finite().fold(f64::NEG_INFINITY, f64::max) - least;
    for value in values {
        *value = if span > 0.0 { (*value - least) / span } else { *value - least };
    }
}

/// Cuts off what is above the 98th percentile, unless that would leave nothing.
pub(super) fn cut_top(values: &mut [f64]) {
    let bound = percentile(values, 98.0);
    if bound > 0.0 {
        for value in values.iter_mut() {
            *value = value.min(bound);
        }
    }
}

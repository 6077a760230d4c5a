//! Cell sizes, and counts divided by them.
//!
//! With N_i the total of a layer in cell i over *all* genes of the file, cell i is divided by
//! `N_i / median(N)` (1 if that is 0). Each layer is divided by its own totals.
//!
//! Source: scVelo 0.3 `pp.normalize_per_cell`; Bergen et al. 2020, Methods (preprocessing).

use super::config::CountsKind;
use super::report::Report;
use crate::data::{Counts, Dataset, Holds, Tally};
use crate::error::Result;
use crate::sparse::Csr;
use crate::stats::median;

/// What each cell is divided by: `sizes` over their median, and 1 where that is 0. `[n_obs]`
///
/// The median is over all cells, empty ones included; if it is 0, sizes are not divided by it.
#[must_use]
pub fn divisors(sizes: &[f64]) -> Vec<f64> {
    let target = median(sizes);
    let target = if target > 0.0 { target } else { 1.0 };
    sizes.iter().map(|size| if *size > 0.0 { size / target } else { 1.0 }).collect()
}

/// `layer`, `[n_obs, n_vars]`, with each cell divided by its entry of `divisors`, `[n_obs]`.
///
/// # Errors
/// [`crate::Error::Shape`] if there is not one divisor per cell.
pub fn normalize(layer: &Csr<f32>, divisors: &[f64]) -> Result<Csr<f32>> {
    let factors: Vec<f64> = divisors.iter().map(|divisor| divisor.recip()).collect();
    layer.scale_rows(&factors)
}

/// The layers `(unspliced, spliced)` of `data` as they enter the moments: size-normalised, unless they already were.
///
/// # Errors
/// [`crate::Error::Shape`] if `data` does not have one size per cell.
pub fn normalized_layers(data: &Dataset) -> Result<(Csr<f32>, Csr<f32>)> {
    if !data.raw_counts {
        return Ok((data.unspliced.clone(), data.spliced.clone()));
    }
    let unspliced = normalize(&data.unspliced, &divisors(&data.size_unspliced))?;
    let spliced = normalize(&data.spliced, &divisors(&data.size_spliced))?;
    Ok((unspliced, spliced))
}

/// The matrix in which variable genes and neighbours are sought.
pub(super) struct Expression<'a> {
    /// `X` or `spliced`.
    pub(super) name: &'static str,
    matrix: &'a Csr<f32>,
    /// What each cell is divided by; `None` if the matrix is normalised.
    divisors: Option<Vec<f64>>,
}

impl<'a> Expression<'a> {
    /// X, or spliced counts where there is no X that can be what it should be.
    pub(super) fn choose(
        counts: &'a Counts,
        kind: CountsKind,
        raw_layers: bool,
        size_spliced: &[f64],
        report: &mut Report,
    ) -> Self {
        let spliced =
            Self { name: "spliced", matrix: &counts.spliced, divisors: raw_layers.then(|| divisors(size_spliced)) };
        let Some(x) = &counts.x else {
            report.step("expression", counts.n_vars(), "the file has no X: spliced is used".to_owned());
            return spliced;
        };
        let unfit = if !x.data.iter().any(|value| *value != 0.0) && counts.spliced.nnz() > 0 {
            Some("holds zeros alone")
        } else if x.data.iter().any(|value| !value.is_finite() || *value < 0.0) {
            Some("holds negative values or values that are not finite (scaled?)")
        } else if holds(x) == Holds::Other && holds(&counts.spliced) != Holds::Other {
            Some("does not hold counts, though the layers do (logged?)")
        } else {
            None
        };
        if let Some(reason) = unfit {
            report.warn(format!("X {reason}: spliced counts are used for variable genes and neighbours"));
            return spliced;
        }
        let raw = match kind {
            CountsKind::Auto => holds(x) != Holds::Other,
            CountsKind::Raw => true,
            CountsKind::Normalised => false,
        };
        let note = if raw { "X, size-normalised" } else { "X as it is" };
        report.step("expression", counts.n_vars(), note.to_owned());
        Self { name: "X", matrix: x, divisors: raw.then(|| divisors(&x.row_sums())) }
    }

    /// The normalised values of `genes`, `[n_obs, genes.len()]`.
    pub(super) fn normalized(&self, genes: &[usize]) -> Result<Csr<f32>> {
        let selected = self.matrix.select_columns(genes);
        match &self.divisors {
            Some(divisors) => normalize(&selected, divisors),
            None => Ok(selected),
        }
    }
}

fn holds(matrix: &Csr<f32>) -> Holds {
    Tally::of(&matrix.data).holds()
}

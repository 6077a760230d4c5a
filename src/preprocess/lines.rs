//! Lines through the origin, or with an offset, of unspliced over spliced abundance.
//!
//! With sums over the chosen cells and n their number:
//!
//! ```text
//! γ = Σ u s / Σ s²                                          through the origin
//! γ = (Σ u s / n − ū s̄) / (Σ s² / n − s̄²),  o = ū − γ s̄      with an offset
//! ```
//!
//! A negative offset has no meaning (abundance below nothing): the line then goes through the origin. A slope that is not
//! determined (no spliced counts, or values that are not finite) is 0.
//!
//! Here rather than with the steady-state model, whose lines they are, because the recipe of veloVI chooses genes by them.

use ndarray::Array2;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::stats::{mean, percentile_of_sorted};

/// The largest abundance of a gene counts as at least this when cells are compared by their share of it.
const LEAST_MAXIMUM: f64 = 1e-3;

/// `u = slope · s + offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// γ/β, unspliced per spliced count.
    pub slope: f64,
    /// Unspliced abundance without spliced.
    pub offset: f64,
}

impl Line {
    /// How far `u` lies above the line at `s`.
    #[must_use]
    pub fn residual(self, u: f64, s: f64) -> f64 {
        u - self.slope * s - self.offset
    }

    /// The line, with 0 for what is not finite.
    pub(crate) fn determined(self) -> Self {
        let determined = |value: f64| if value.is_finite() { value } else { 0.0 };
        Self { slope: determined(self.slope), offset: determined(self.offset) }
    }
}

/// Which cells are extreme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// Percentile from which cells are extreme, in [50, 100].
    pub percentile: f64,
    /// Whether lines have an offset; cells up to percentile `100 − percentile` then are extreme too.
    pub fit_offset: bool,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { percentile: 95.0, fit_offset: false }
    }
}

impl Extremes {
    /// The extreme ones of `values`; none if one is NaN.
    pub(crate) fn of(self, values: &[f64]) -> Vec<bool> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let upper = percentile_of_sorted(&sorted, self.percentile);
        let lower = match self.fit_offset {
            true => percentile_of_sorted(&sorted, 100.0 - self.percentile),
            false => f64::NEG_INFINITY,
        };
        values.iter().map(|&value| value >= upper || value <= lower).collect()
    }
}

/// The lines of one gene.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeneLines {
    /// Through the extreme cells.
    pub extreme: Line,
    /// R² over all cells of the line through the extreme cells; at most 1, and 0 if u does not vary.
    pub r2: f64,
    /// Through all cells.
    pub full: Line,
    /// R² over all cells of the line through all cells.
    pub full_r2: f64,
}

/// Lines of unspliced (`Mu`) over spliced abundance (`Ms`) of every gene, `[n_vars]`. Genes do not see each other.
///
/// Source: La Manno et al. 2018, Methods (extreme quantile fit).
#[must_use]
pub fn fit_lines(data: &Dataset, extremes: Extremes) -> Vec<GeneLines> {
    (0..data.n_vars()).into_par_iter().map(|gene| GeneMoments::of(data, gene).lines(extremes)).collect()
}

/// First moments of one gene, `[n_obs]`.
pub(crate) struct GeneMoments {
    /// Unspliced.
    pub(crate) u: Vec<f64>,
    /// Spliced.
    pub(crate) s: Vec<f64>,
}

impl GeneMoments {
    /// The moments of one gene of `data`.
    pub(crate) fn of(data: &Dataset, gene: usize) -> Self {
        let column = |matrix: &Array2<f32>| matrix.column(gene).iter().map(|&value| f64::from(value)).collect();
        Self { u: column(&data.mu), s: column(&data.ms) }
    }

    fn lines(&self, extremes: Extremes) -> GeneLines {
        let chosen = self.extreme_cells(extremes);
        let extreme = self.line(|i| chosen[i], extremes.fit_offset);
        let full = self.line(|_| true, extremes.fit_offset);
        GeneLines { extreme, r2: self.r2(extreme), full, full_r2: self.r2(full) }
    }

    /// Cells with extreme `s / max s + u / max u`.
    pub(crate) fn extreme_cells(&self, extremes: Extremes) -> Vec<bool> {
        let largest = |values: &[f64]| values.iter().copied().fold(LEAST_MAXIMUM, f64::max);
        let (max_u, max_s) = (largest(&self.u), largest(&self.s));
        let shares: Vec<f64> = self.u.iter().zip(&self.s).map(|(u, s)| s / max_s + u / max_u).collect();
        extremes.of(&shares)
    }

    /// Least squares over the chosen cells.
    pub(crate) fn line(&self, chosen: impl Fn(usize) -> bool, fit_offset: bool) -> Line {
        let (mut n, mut sum_u, mut sum_s, mut sum_us, mut sum_ss) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (_, (u, s)) in self.u.iter().zip(&self.s).enumerate().filter(|(i, _)| chosen(*i)) {
            n += 1.0;
            sum_u += u;
            sum_s += s;
            sum_us += u * s;
            sum_ss += s * s;
        }
        let through_origin = Line { slope: sum_us / sum_ss, offset: 0.0 };
        if !fit_offset {
            return through_origin.determined();
        }
        let (mean_u, mean_s) = (sum_u / n, sum_s / n);
        let slope = (sum_us / n - mean_u * mean_s) / (sum_ss / n - mean_s * mean_s);
        let offset = mean_u - slope * mean_s;
        if offset < 0.0 { through_origin.determined() } else { Line { slope, offset }.determined() }
    }

    /// How far each cell lies above `line`, `[n_obs]`.
    pub(crate) fn residuals(&self, line: Line) -> Vec<f64> {
        self.u.iter().zip(&self.s).map(|(&u, &s)| line.residual(u, s)).collect()
    }

    /// Share of the variance of u over all cells that `line` explains; 0 where there is none to explain.
    fn r2(&self, line: Line) -> f64 {
        let centre = mean(&self.u);
        let total: f64 = self.u.iter().map(|u| (u - centre).powi(2)).sum();
        let left: f64 = self.residuals(line).iter().map(|residual| residual * residual).sum();
        let r2 = 1.0 - left / total;
        if r2.is_finite() { r2 } else { 0.0 }
    }
}

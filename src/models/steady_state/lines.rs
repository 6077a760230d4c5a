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

use ndarray::Array2;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::stats::{count, mean, percentile_of_sorted, std_dev};

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
    fn determined(self) -> Self {
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
    fn of(self, values: &[f64]) -> Vec<bool> {
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
    (0..data.n_vars()).into_par_iter().map(|gene| Moments::of(data, gene).lines(extremes)).collect()
}

/// First moments of one gene, `[n_obs]`.
pub(super) struct Moments {
    u: Vec<f64>,
    s: Vec<f64>,
}

/// Second moments `(Mus, Mss)` of all genes, `[n_obs, n_vars]`.
#[derive(Clone, Copy)]
pub(super) struct Second<'a> {
    pub(super) us: &'a Array2<f32>,
    pub(super) ss: &'a Array2<f32>,
}

impl Second<'_> {
    /// `(x₂, y₂)` of cell `i` in `gene`, whose first moments are `u` and `s`.
    pub(super) fn equation(self, i: usize, gene: usize, u: f64, s: f64) -> (f64, f64) {
        let [us, ss] = [self.us, self.ss].map(|moments| f64::from(moments[[i, gene]]));
        (2.0 * ss - s, 2.0 * us + u)
    }
}

impl Moments {
    pub(super) fn of(data: &Dataset, gene: usize) -> Self {
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
    fn extreme_cells(&self, extremes: Extremes) -> Vec<bool> {
        let largest = |values: &[f64]| values.iter().copied().fold(LEAST_MAXIMUM, f64::max);
        let (max_u, max_s) = (largest(&self.u), largest(&self.s));
        let shares: Vec<f64> = self.u.iter().zip(&self.s).map(|(u, s)| s / max_s + u / max_u).collect();
        extremes.of(&shares)
    }

    /// Least squares over the chosen cells.
    fn line(&self, chosen: impl Fn(usize) -> bool, fit_offset: bool) -> Line {
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

    fn residuals(&self, line: Line) -> Vec<f64> {
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

    /// The line that satisfies the equations of first and second moments, each divided by the s.d. of its residual: that of
    /// the first from `start`, that of the second from its own least squares.
    ///
    /// `start` is returned where a residual does not vary, so that one equation holds exactly or says nothing.
    pub(super) fn stochastic_line(&self, second: Second<'_>, gene: usize, start: Line, extremes: Extremes) -> Line {
        let cells = self.u.iter().zip(&self.s).enumerate();
        let (x2, y2): (Vec<f64>, Vec<f64>) = cells.map(|(i, (&u, &s))| second.equation(i, gene, u, s)).unzip();
        let second = Self { u: y2, s: x2 };
        let second_line = second.line(|_| true, false);
        let std = |residuals: Vec<f64>| std_dev(&residuals, 0);
        let (std_1, std_2) = (std(self.residuals(start)), std(second.residuals(second_line)));
        if !(std_1 > 0.0 && std_2 > 0.0 && std_1.is_finite() && std_2.is_finite()) {
            return start;
        }

        let (by_both, by_spliced) = (self.extreme_cells(extremes), extremes.of(&self.s));
        let weights = [std_1.powi(-2), std_2.powi(-2)];
        let (mut sum_u, mut sum_s, mut sum_xy, mut sum_xx) = (0.0, 0.0, 0.0, 0.0);
        for (i, (u, s)) in self.u.iter().zip(&self.s).enumerate() {
            if by_both[i] || by_spliced[i] {
                sum_u += weights[0] * u;
                sum_s += weights[0] * s;
                sum_xy += weights[0] * u * s;
                sum_xx += weights[0] * s * s;
            }
            sum_xy += weights[1] * second.u[i] * second.s[i];
            sum_xx += weights[1] * second.s[i] * second.s[i];
        }
        if !extremes.fit_offset {
            return Line { slope: sum_xy / sum_xx, offset: 0.0 }.determined();
        }
        // As in scVelo, cells that are not extreme still vote for an offset of 0 here: u and s are zeroed, the ones are not.
        let sum_one = weights[0] * count(self.u.len());
        let determinant = sum_one * sum_xx - sum_s * sum_s;
        let slope = (sum_one * sum_xy - sum_s * sum_u) / determinant;
        let offset = (sum_xx * sum_u - sum_s * sum_xy) / determinant;
        Line { slope, offset }.determined()
    }
}

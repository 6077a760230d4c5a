//! Order statistics, moments and correlations of plain slices, all in `f64`.
//!
//! NaN in, NaN out: none of these functions skips missing values.

/// The `q`-th percentile, `q` in [0, 100], by linear interpolation between order statistics (numpy's default).
/// NaN if `values` is empty or holds a NaN.
///
/// ```
/// assert_eq!(nascent::stats::percentile(&[4.0, 1.0, 2.0, 3.0], 50.0), 2.5);
/// ```
#[must_use]
pub fn percentile(values: &[f64], q: f64) -> f64 {
    if values.is_empty() || q.is_nan() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    // Two order statistics need no sorting: the second is the least of those above the first.
    let mut values = values.to_vec();
    let (below, t) = place(q, values.len());
    let (_, a, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let a = *a;
    let b = above.iter().copied().fold(f64::INFINITY, f64::min);
    interpolated(a, if above.is_empty() { a } else { b }, t)
}

/// [`percentile`] of values that already rise.
#[must_use]
pub fn percentile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() || q.is_nan() || sorted.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let (below, t) = place(q, sorted.len());
    interpolated(sorted[below], sorted[(below + 1).min(sorted.len() - 1)], t)
}

/// The order statistic below the `q`-th percentile of `n` values, and how far beyond it the percentile lies.
fn place(q: f64, n: usize) -> (usize, f64) {
    let position = (q / 100.0).clamp(0.0, 1.0) * count(n - 1);
    (position as usize, position.fract())
}

/// The value a part `t` of the way from `a` to `b`; from the nearer end, as numpy has it, to the last bit.
fn interpolated(a: f64, b: f64, t: f64) -> f64 {
    if t < 0.5 { a + (b - a) * t } else { b - (b - a) * (1.0 - t) }
}

/// The middle value, or the mean of the two middle values. NaN if `values` is empty or holds a NaN.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// Arithmetic mean; NaN if `values` is empty.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len())
}

/// Whether a vector is constant: the sum of its squared deviations from its mean is rounding error beside the sum of its
/// squares. In double precision that is some 10⁻³²; a last digit in single precision in one of 10⁵ values, 4·10⁻²⁰.
pub(crate) fn is_constant(deviations: f64, squares: f64) -> bool {
    const ROUNDING: f64 = 1e-26;
    deviations.is_nan() || deviations <= ROUNDING * squares
}

/// Variance divided by `n - ddof`: 0 for a population, 1 for a sample. NaN if `n <= ddof`.
#[must_use]
pub fn variance(values: &[f64], ddof: usize) -> f64 {
    if values.len() <= ddof {
        return f64::NAN;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    squares / count(values.len() - ddof)
}

/// Square root of [`variance`].
#[must_use]
pub fn std_dev(values: &[f64], ddof: usize) -> f64 {
    variance(values, ddof).sqrt()
}

/// Ranks between 0 and 1, `(rank − ½) / n`; equal values share the mean of theirs. `[values.len()]`
#[must_use]
pub fn rank_shares(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    ranks(values).into_iter().map(|rank| (rank - 0.5) / n).collect()
}

/// Ranks from 1; equal values share the mean of their ranks. `[values.len()]`
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    // -0.0 and 0.0 are equal here though total_cmp tells them apart.
    #[allow(clippy::float_cmp)]
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = count(2 * start + group.len() + 1) / 2.0;
        for &at in group {
            ranks[at] = shared;
        }
        start += group.len();
    }
    ranks
}

/// Pearson's correlation. NaN if the lengths differ, there are fewer than two values, or one side is constant.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    if x.len() != y.len() || x.len() < 2 {
        return f64::NAN;
    }
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - mean_x, b - mean_y);
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    // One square root of each, not of their product, which can overflow.
    (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)
}

/// Spearman's correlation: Pearson's of the ranks. NaN as in [`pearson`], or if a value is NaN.
#[must_use]
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return f64::NAN;
    }
    pearson(&ranks(x), &ranks(y))
}

/// Probability of the standard normal distribution above `z`, `1 − Φ(z)`.
#[must_use]
pub fn upper_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// A number of things as `f64`: exact below 2^53.
#[must_use]
pub fn count(n: usize) -> f64 {
    n as f64
}

//! Sums of `Σ_{k<x} ln(n + k d)` over many counts, with their derivatives.
//!
//! A count of x has x terms, and most counts are small. So counts are sorted by how large they are, and the terms of one k, of all
//! counts above k, are one vector loop over the values in which those counts differ: the dispersions of the genes of one cell, or the sizes of
//! the cells of one gene. Large counts, and those that are not whole, are taken one by one.

use super::{constant, constant_by_dispersion, constant_by_size};
use crate::simd::{Vectorized, mul_add_f64, vectorize};

/// The largest count that is taken apart into its terms.
const SMALL: usize = 12;

/// Numbers in one vector, or several.
const LANES: usize = 8;

/// Terms whose product is taken before its logarithm: sizes and dispersions are such that no product of this many leaves the range of
/// double precision.
const FACTORS: usize = 24;

/// A sum over counts, and its first and second derivative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) value: f64,
    pub(crate) first: f64,
    pub(crate) second: f64,
}

/// Some counts, each with what it has of its own: the dispersion of its gene, or the size of its cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Values of the counts up to [`SMALL`], those of the largest counts first.
    small: Vec<f64>,
    /// How many of them are of counts above k, for each k.
    above: [usize; SMALL + 1],
    /// All others: count and value.
    others: Vec<(f64, f64)>,
}

impl Counts {
    /// Takes these counts in the place of those before.
    pub(crate) fn fill(&mut self, counts: impl Iterator<Item = (f64, f64)> + Clone) {
        self.others.clear();
        let mut of = [0; SMALL + 1];
        for (x, value) in counts.clone() {
            match small(x) {
                Some(x) => of[x] += 1,
                None => self.others.push((x, value)),
            }
        }
        let mut total = 0;
        for k in (0..=SMALL).rev() {
            self.above[k] = total;
            total += of[k];
        }
        // Where the next value of each count goes.
        let mut next = self.above;
        self.small.resize(total, 0.0);
        for (x, value) in counts {
            if let Some(x) = small(x) {
                self.small[next[x]] = value;
                next[x] += 1;
            }
        }
    }

    /// `Σ [Σ_{k<x} ln(n + k d) − ln x!]` over counts of one cell of size `n`; they were taken with the dispersions d.
    pub(crate) fn constants(&self, n: f64) -> f64 {
        let mut sum = self.above[0] as f64 * n.ln();
        for k in 1..SMALL {
            sum += logarithms(n, k as f64, &self.small[..self.above[k]]);
        }
        sum - self.factorials() + self.others.iter().map(|&(x, d)| constant(x, n, d)).sum::<f64>()
    }

    /// First and second derivative of [`Self::constants`] by n; `value` is left 0.
    pub(crate) fn by_size(&self, n: f64) -> Sum {
        let mut sum = Sum::default();
        let ones = self.above[0] as f64;
        (sum.first, sum.second) = (ones / n, -ones / (n * n));
        for k in 1..SMALL {
            let found = reciprocals(n, k as f64, &self.small[..self.above[k]]);
            sum.first += found[0];
            sum.second -= found[1];
        }
        for &(x, d) in &self.others {
            let (first, second) = constant_by_size(x, n, d);
            sum.first += first;
            sum.second += second;
        }
        sum
    }

    /// The same sum with its derivatives by d, over counts of one gene of dispersion `d > 0`; they were taken with the sizes n of the cells.
    pub(crate) fn by_dispersion(&self, d: f64) -> Sum {
        let mut sum =
            Sum { value: logarithms(0.0, 1.0, &self.small[..self.above[0]]) - self.factorials(), ..Sum::default() };
        for k in 1..SMALL {
            let (values, k) = (&self.small[..self.above[k]], k as f64);
            sum.value += logarithms(k * d, 1.0, values);
            let found = reciprocals(k * d, 1.0, values);
            sum.first += k * found[0];
            sum.second -= k * k * found[1];
        }
        for &(x, n) in &self.others {
            let (by_n, by_n_twice) = constant_by_size(x, n, d);
            sum.value += constant(x, n, d);
            sum.first += constant_by_dispersion(x, n, d);
            // k² / (n + k d)² = (1 − n / (n + k d))² / d²
            sum.second -= (x - 2.0 * n * by_n - n * n * by_n_twice) / (d * d);
        }
        sum
    }

    /// `Σ ln x!` over the small counts.
    fn factorials(&self) -> f64 {
        (1..SMALL).map(|k| self.above[k] as f64 * (k as f64 + 1.0).ln()).sum()
    }
}

/// A whole count up to [`SMALL`].
#[allow(clippy::float_cmp, reason = "whole counts are exact")]
fn small(x: f64) -> Option<usize> {
    let whole = x as usize;
    (whole <= SMALL && whole as f64 == x).then_some(whole)
}

/// `Σ ln(a + b v)` over values v.
fn logarithms(a: f64, b: f64, values: &[f64]) -> f64 {
    let mut sum = 0.0;
    for values in values.chunks(LANES * FACTORS) {
        let mut products = [1.0; LANES];
        vectorize(Products { a, b, values, found: &mut products });
        sum += products[..LANES.min(values.len())].iter().map(|product| product.ln()).sum::<f64>();
    }
    sum
}

/// `Σ 1 / (a + b v)` and `Σ 1 / (a + b v)²` over values v.
fn reciprocals(a: f64, b: f64, values: &[f64]) -> [f64; 2] {
    let mut sums = [[0.0; LANES]; 2];
    vectorize(Reciprocals { a, b, values, sums: &mut sums });
    sums.map(|lanes| lanes.iter().sum())
}

struct Products<'a> {
    a: f64,
    b: f64,
    values: &'a [f64],
    found: &'a mut [f64; LANES],
}

impl Vectorized for Products<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (values, rest) = self.values.as_chunks::<LANES>();
        let mut products = [1.0; LANES];
        for values in values {
            for (product, value) in products.iter_mut().zip(values) {
                *product *= mul_add_f64::<FMA>(self.b, *value, self.a);
            }
        }
        for (product, value) in products.iter_mut().zip(rest) {
            *product *= mul_add_f64::<FMA>(self.b, *value, self.a);
        }
        *self.found = products;
    }
}

struct Reciprocals<'a> {
    a: f64,
    b: f64,
    values: &'a [f64],
    sums: &'a mut [[f64; LANES]; 2],
}

impl Vectorized for Reciprocals<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (values, rest) = self.values.as_chunks::<LANES>();
        let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
        for values in values {
            for ((first, second), value) in first.iter_mut().zip(&mut second).zip(values) {
                let term = 1.0 / mul_add_f64::<FMA>(self.b, *value, self.a);
                *first += term;
                *second = mul_add_f64::<FMA>(term, term, *second);
            }
        }
        for ((first, second), value) in first.iter_mut().zip(&mut second).zip(rest) {
            let term = 1.0 / mul_add_f64::<FMA>(self.b, *value, self.a);
            *first += term;
            *second = mul_add_f64::<FMA>(term, term, *second);
        }
        *self.sums = [first, second];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of every kind with a value of their own.
    fn some() -> Vec<(f64, f64)> {
        let counts = [0.0, 1.0, 1.0, 2.0, 3.0, 5.0, 7.0, 12.0, 13.0, 33.0, 200.0, 1.5, 0.2];
        (0..650).map(|i| (counts[i % counts.len()], 0.02 + (i % 37) as f64 * 0.06)).collect()
    }

    fn filled(counts: &[(f64, f64)]) -> Counts {
        let mut sorted = Counts::default();
        // What was there before is forgotten.
        sorted.fill([(3.0, 0.1), (70.0, 1.0)].into_iter());
        sorted.fill(counts.iter().copied());
        sorted
    }

    #[test]
    fn a_sum_over_the_counts_of_a_cell_is_the_sum_of_each() {
        for n in [1e-2, 0.7, 30.0] {
            let counts = some();
            let sorted = filled(&counts);
            let mut expected = Sum::default();
            for &(x, d) in &counts {
                let (first, second) = constant_by_size(x, n, d);
                expected.value += constant(x, n, d);
                expected.first += first;
                expected.second += second;
            }
            let found = sorted.by_size(n);
            assert!((sorted.constants(n) - expected.value).abs() < 1e-9 * expected.value.abs(), "n {n}");
            assert!((found.first - expected.first).abs() < 1e-4 * expected.first.abs(), "n {n}");
            assert!((found.second - expected.second).abs() < 1e-4 * expected.second.abs(), "n {n}");
        }
    }

    #[test]
    fn the_derivatives_by_dispersion_are_those_of_the_sum() {
        let counts = some();
        let sorted = filled(&counts);
        for d in [1e-3, 0.1, 1.0, 5.0_f64] {
            let expected: f64 = counts.iter().map(|&(x, n)| constant(x, n, d)).sum();
            let found = sorted.by_dispersion(d);
            assert!((found.value - expected).abs() < 1e-9 * expected.abs(), "d {d}");
            let h = 1e-3 * d;
            let [up, down] = [d + h, d - h].map(|d| sorted.by_dispersion(d));
            let (first, second) = ((up.value - down.value) / (2.0 * h), (up.first - down.first) / (2.0 * h));
            assert!((found.first - first).abs() < 1e-4 * first.abs(), "d {d}: {} {first}", found.first);
            assert!((found.second - second).abs() < 1e-3 * second.abs(), "d {d}: {} {second}", found.second);
        }
    }

    #[test]
    fn without_dispersion_the_sum_is_that_of_the_poisson() {
        let sorted = filled(&[(3.0, 0.0), (1.0, 0.0), (20.0, 0.0)]);
        let (n, total) = (1.3_f64, 24.0);
        let factorials: f64 = [3.0, 1.0, 20.0].map(|x: f64| libm::lgamma(x + 1.0)).iter().sum();
        assert!((sorted.constants(n) - (total * n.ln() - factorials)).abs() < 1e-9);
        let by_size = sorted.by_size(n);
        assert!((by_size.first - total / n).abs() < 1e-9 && (by_size.second + total / (n * n)).abs() < 1e-9);
    }

    #[test]
    fn thousands_of_counts_do_not_leave_the_range_of_numbers() {
        for (n, d) in [(1e-3, 1e-4), (50.0, 10.0)] {
            let sorted = filled(&vec![(12.0, d); 5000]);
            let expected = 5000.0 * constant(12.0, n, d);
            assert!((sorted.constants(n) - expected).abs() < 1e-9 * expected.abs(), "n {n}");
        }
    }
}

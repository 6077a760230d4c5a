//! Counts around their mean: Poisson, or negative binomial.
//!
//! A count x of a cell of size n around the abundance μ (of a cell of size 1), with the gene's dispersion d:
//!
//! ```text
//! ln p(x | n, μ, d) = x W(μ) − n C(μ) + Σ_{k<x} ln(n + k d) − ln x!
//! W(μ) = ln μ − ln(1 + d μ)        C(μ) = ln(1 + d μ) / d
//! ```
//!
//! the negative binomial of mean n μ, variance n μ (1 + d μ) and size n/d. At d = 0 it is the Poisson: W = ln μ, C = μ.
//! Two properties make the model cheap. x and n enter the terms with μ linearly, so sums of them over cells are all that the
//! M-step needs; and the other terms do not know μ.

mod sums;

pub(crate) use sums::{Counts, Sum};

use crate::simd::{Vectorized, ln_f64, mul_add_f64, vectorize};

/// `ln(1 + d μ)`, and `C(μ)`, which is μ without dispersion.
fn log_and_c(mu: f64, dispersion: f64) -> (f64, f64) {
    // ln_1p would be exact for small d μ, and three times slower: C is wrong by 1e-16 / d here, and d is above 1e-4.
    let log = (1.0 + dispersion * mu).ln();
    (log, if dispersion > 0.0 { log / dispersion } else { mu })
}

/// `(W(μ), C(μ))`.
pub(crate) fn terms(mu: f64, dispersion: f64) -> (f64, f64) {
    let (log, c) = log_and_c(mu, dispersion);
    (mu.ln() - log, c)
}

/// `W` and `C` of [`terms`] at several means `mu`, into `w` and `c`.
pub(crate) fn all_terms(mu: &[f64], dispersion: f64, w: &mut [f64], c: &mut [f64]) {
    vectorize(AllTerms { mu, dispersion, w, c });
}

struct AllTerms<'a> {
    mu: &'a [f64],
    dispersion: f64,
    w: &'a mut [f64],
    c: &'a mut [f64],
}

impl Vectorized for AllTerms<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((w, c), &mu) in self.w.iter_mut().zip(self.c).zip(self.mu) {
            (*w, *c) = vector_terms::<FMA>(mu, self.dispersion);
        }
    }
}

/// [`terms`] for loops that the compiler vectorises.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn vector_terms<const FMA: bool>(mu: f64, dispersion: f64) -> (f64, f64) {
    // Without dispersion this logarithm is 0.
    let log = ln_f64::<FMA>(mul_add_f64::<FMA>(dispersion, mu, 1.0));
    (ln_f64::<FMA>(mu) - log, if dispersion > 0.0 { log / dispersion } else { mu })
}

/// Counts up to this many are multiplied out; more need the gamma function.
const FEW: f64 = 40.0;

/// `Σ_{k<x} ln(n + k d) − ln x!`: the part of the log-likelihood that does not know μ, for whole and other counts.
pub(crate) fn constant(x: f64, n: f64, dispersion: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    if dispersion > 0.0 && (x > FEW || x.fract() != 0.0) {
        let size = n / dispersion;
        return libm::lgamma(x + size) - libm::lgamma(size) + x * dispersion.ln() - libm::lgamma(x + 1.0);
    }
    if dispersion == 0.0 {
        return x * n.ln() - libm::lgamma(x + 1.0);
    }
    let (mut product, mut k) = (1.0, 0.0);
    while k < x {
        product *= (n + k * dispersion) / (k + 1.0);
        k += 1.0;
    }
    product.ln()
}

/// Whole counts up to this many are added up term by term in the derivatives.
const ADDED_UP: f64 = 6.0;

/// The terms `1/(n + k d)` change slowly enough for Euler and Maclaurin's formula from this many dispersions on: four digits of the first
/// derivative and of the second.
const SLOW: f64 = 4.0;

/// First and second derivative by n of [`constant`], for whole and other counts.
///
/// `Σ_{k<x} 1/(n + k d)` and the like, which is `(ψ(n/d + x) − ψ(n/d)) / d` where x is not whole. The first terms are added up; the others
/// follow Euler and Maclaurin's formula, the asymptotic series of the digamma function ψ.
pub(crate) fn constant_by_size(x: f64, n: f64, dispersion: f64) -> (f64, f64) {
    if dispersion == 0.0 {
        return (x / n, -x / (n * n));
    }
    let (mut first, mut second, mut from) = (0.0, 0.0, n);
    let mut add = |at: f64, sign: f64| {
        let term = 1.0 / at;
        first += sign * term;
        second -= sign * term * term;
    };
    if is_short(x) {
        let mut k = 0.0;
        while k < x {
            add(n + k * dispersion, 1.0);
            k += 1.0;
        }
        return (first, second);
    }
    let mut to = n + x * dispersion;
    while from < SLOW * dispersion {
        add(from, 1.0);
        from += dispersion;
    }
    // Terms beyond the last of a small count that is not whole: the formula adds them, so they are taken off.
    while to < SLOW * dispersion {
        add(to, -1.0);
        to += dispersion;
    }
    let (a, b) = (1.0 / from, 1.0 / to);
    let (a2, b2, d3) = (a * a, b * b, dispersion.powi(3));
    first +=
        (to * a).ln() / dispersion + 0.5 * (a - b) + dispersion / 12.0 * (a2 - b2) - d3 / 120.0 * (a2 * a2 - b2 * b2);
    second -= (a - b) / dispersion + 0.5 * (a2 - b2) + dispersion / 6.0 * (a2 * a - b2 * b)
        - d3 / 30.0 * (a2 * a2 * a - b2 * b2 * b);
    (first, second)
}

/// Derivative by d of [`constant`], for whole and other counts.
pub(crate) fn constant_by_dispersion(x: f64, n: f64, dispersion: f64) -> f64 {
    if !is_short(x) {
        // k / (n + k d) = 1/d − (n/d) / (n + k d)
        return (x - n * constant_by_size(x, n, dispersion).0) / dispersion;
    }
    let (mut sum, mut k) = (0.0, 1.0);
    while k < x {
        sum += k / (n + k * dispersion);
        k += 1.0;
    }
    sum
}

/// Whether a count is whole and so small that its terms are added up.
fn is_short(x: f64) -> bool {
    x <= ADDED_UP && x.fract() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_add_up_to_the_negative_binomial() {
        for (x, n, mu, d) in [(0.0, 0.7, 2.0, 0.1), (3.0, 1.3, 0.5, 0.4), (57.0, 0.9, 30.0, 0.05), (2.5, 1.0, 2.0, 0.3)]
        {
            let (w, c) = terms(mu, d);
            let found = x * w - n * c + constant(x, n, d);
            // Γ(x + r) / (Γ(r) x!) pˣ (1 − p)ʳ with r = n / d and p = d μ / (1 + d μ)
            let (r, p) = (n / d, d * mu / (1.0 + d * mu));
            let density =
                libm::lgamma(x + r) - libm::lgamma(r) - libm::lgamma(x + 1.0) + x * p.ln() + r * (1.0 - p).ln();
            assert!((found - density).abs() < 1e-9 * density.abs(), "{x}: {found} {density}");
        }
    }

    #[test]
    fn terms_of_many_are_those_of_each() {
        let mu: Vec<f64> = (0..203).map(|i| 1e-6 * 1.12_f64.powi(i)).collect();
        for d in [0.0, 1e-4, 0.3, 10.0] {
            let (mut w, mut c) = (vec![0.0; mu.len()], vec![0.0; mu.len()]);
            all_terms(&mu, d, &mut w, &mut c);
            for ((mu, w), c) in mu.iter().zip(w).zip(c) {
                let (of_one, c_of_one) = terms(*mu, d);
                assert!((w - of_one).abs() < 1e-13 * (1.0 + of_one.abs()), "{mu} {d}: {w} {of_one}");
                // 1 + d μ is rounded.
                assert!((c - c_of_one).abs() < 1e-15 / d.max(1e-4) + 1e-13 * c_of_one, "{mu} {d}: {c} {c_of_one}");
            }
        }
    }

    #[test]
    fn without_dispersion_it_is_the_poisson() {
        let (x, n, mu) = (4.0, 1.2, 3.0_f64);
        let poisson = x * (n * mu).ln() - n * mu - libm::lgamma(x + 1.0);
        for d in [0.0, 1e-9] {
            let (w, c) = terms(mu, d);
            assert!((x * w - n * c + constant(x, n, d) - poisson).abs() < 1e-6, "{d}");
        }
    }

    #[test]
    fn the_derivatives_are_those_of_the_constant() {
        for (x, n, d) in [(1.0, 0.5, 0.1), (5.0, 1.5, 0.3), (20.0, 0.8, 0.05), (20.0, 0.8, 3.0), (90.0, 1.1, 0.2)] {
            let h = 1e-4;
            let value = |n: f64, d: f64| libm::lgamma(x + n / d) - libm::lgamma(n / d) + x * d.ln();
            let by_n = (value(n + h, d) - value(n - h, d)) / (2.0 * h);
            let by_n_twice = (value(n + h, d) - 2.0 * value(n, d) + value(n - h, d)) / (h * h);
            let by_d = (value(n, d + h * d) - value(n, d - h * d)) / (2.0 * h * d);
            let (first, second) = constant_by_size(x, n, d);
            assert!((first - by_n).abs() < 2e-3 * by_n.abs(), "{x} {n} {d}: {first} {by_n}");
            assert!((second - by_n_twice).abs() < 2e-2 * by_n_twice.abs(), "{x} {n} {d}: {second} {by_n_twice}");
            let found = constant_by_dispersion(x, n, d);
            assert!((found - by_d).abs() < 2e-3 * (1.0 + by_d.abs()), "{x} {n} {d}: {found} {by_d}");
        }
    }

    #[test]
    fn the_derivatives_of_whole_counts_are_sums_over_k() {
        for n in [0.05, 0.3, 1.0, 3.0, 20.0] {
            for d in [1e-4, 0.01, 0.2, 0.6, 1.0, 5.0, 10.0] {
                for x in [1_u32, 2, 3, 6, 7, 12, 40, 41, 90, 1000] {
                    let sum = |term: &dyn Fn(f64) -> f64| (0..x).map(f64::from).map(term).sum::<f64>();
                    let expected =
                        [sum(&|k| 1.0 / (n + k * d)), -sum(&|k| (n + k * d).powi(-2)), sum(&|k| k / (n + k * d))];
                    let (first, second) = constant_by_size(f64::from(x), n, d);
                    let found = [first, second, constant_by_dispersion(f64::from(x), n, d)];
                    for (found, expected) in found.into_iter().zip(expected) {
                        let error = (found - expected).abs();
                        assert!(error <= 1e-4 * expected.abs(), "x {x}, n {n}, d {d}: {found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_derivatives_of_other_counts_are_those_of_the_constant() {
        for n in [0.3, 1.0, 3.0] {
            for d in [0.01, 0.2, 1.0, 5.0] {
                for x in [0.05, 0.7, 1.3, 6.5, 40.5, 90.2] {
                    let value = |n: f64, d: f64| {
                        libm::lgamma(x + n / d) - libm::lgamma(n / d) + x * d.ln() - libm::lgamma(x + 1.0)
                    };
                    assert!((value(n, d) - constant(x, n, d)).abs() < 1e-9, "x {x}, n {n}, d {d}");
                    let h = 1e-3;
                    let (up, here, down) = (value(n + h * n, d), value(n, d), value(n - h * n, d));
                    let by_d = (value(n, d + h * d) - value(n, d - h * d)) / (2.0 * h * d);
                    let expected = [(up - down) / (2.0 * h * n), (up - 2.0 * here + down) / (h * n).powi(2), by_d];
                    let (first, second) = constant_by_size(x, n, d);
                    let found = [first, second, constant_by_dispersion(x, n, d)];
                    for (found, expected) in found.into_iter().zip(expected) {
                        let error = (found - expected).abs();
                        assert!(error <= 1e-3 * (0.01 + expected.abs()), "x {x}, n {n}, d {d}: {found} {expected}");
                    }
                }
            }
        }
    }
}

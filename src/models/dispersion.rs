//! How much the counts of a gene vary beyond Poisson: its dispersion d, one per species.
//!
//! Given means and sizes the objective is
//!
//! ```text
//! Σ_i Σ_{k<x_i} ln(n_i + k d) − Σ_z [ M_z ln(1 + d μ_z) + N_z ln(1 + d μ_z) / d ] + ln p(d)
//! ```
//!
//! and whole counts of 0 and 1 do not enter its first term. (Of a count that is not whole, its first term is that of
//! [`crate::negative_binomial::constant`].)

use crate::negative_binomial::{Counts, Sum};

/// Dispersion of a gene of which nothing is known yet.
pub(in crate::models) const START: f64 = 0.1;

/// ln d is normal before the counts.
const MEAN: f64 = -2.3;
const SD: f64 = 1.5;

/// Least and largest dispersion.
const RANGE: (f64, f64) = (1e-4, 10.0);

/// `−ln p(d)` up to a constant; without dispersion there is nothing to say.
pub(in crate::models) fn penalty(d: f64) -> f64 {
    if d > 0.0 { 0.5 * ((d.ln() - MEAN) / SD).powi(2) } else { 0.0 }
}

/// Counts around their means.
pub(in crate::models) struct AroundMeans<'a> {
    counts: Counts,
    /// `μ_z`.
    mu: &'a [f64],
    /// `M_z`.
    m: &'a [f64],
    /// `N_z`.
    n: &'a [f64],
}

/// Whether a count of `x` says anything of the dispersion beyond what sums do: whole counts of 0 and 1 do not.
fn tells(x: f64) -> bool {
    x > 1.0 || x.fract() != 0.0
}

impl<'a> AroundMeans<'a> {
    /// `counts` with the sizes of their cells around the means `mu` (`μ_z`), with the sums `m` (`M_z`) and `n` (`N_z`) over cells.
    pub(in crate::models) fn new(counts: impl Iterator<Item = (f64, f64)> + Clone, [mu, m, n]: [&'a [f64]; 3]) -> Self {
        let mut telling = Counts::default();
        telling.fill(counts.filter(|&(x, _)| tells(x)));
        Self { counts: telling, mu, m, n }
    }

    /// The objective, and its derivatives by ln d.
    fn at(&self, d: f64) -> Sum {
        let counts = self.counts.by_dispersion(d);
        let Sum { mut value, mut first, mut second } = counts;
        for ((mu, m), n) in self.mu.iter().zip(self.m).zip(self.n) {
            // Of C = ln(1 + d μ) / d: C' = (r − C) / d and C'' = −(r² + 2 C') / d, where r = μ / (1 + d μ) is the derivative of the logarithm.
            let (log, r) = ((d * mu).ln_1p(), mu / (1.0 + d * mu));
            let c = log / d;
            let c_by_d = (r - c) / d;
            value -= m * log + n * c;
            first -= m * r + n * c_by_d;
            second += m * r * r + n * (r * r + 2.0 * c_by_d) / d;
        }
        let off = (d.ln() - MEAN) / SD;
        Sum {
            value: value - penalty(d),
            first: d * first - off / SD,
            second: d * first + d * d * second - 1.0 / (SD * SD),
        }
    }

    /// At most `most` steps from `now` towards the best dispersion, by Newton's rule on ln d; none is taken that does not help.
    pub(in crate::models) fn fit(&self, now: f64, most: usize) -> f64 {
        let (mut at, mut here) = (now, self.at(now));
        for _ in 0..most {
            let mut step = if here.second < 0.0 {
                (-here.first / here.second).clamp(-1.0, 1.0)
            } else {
                here.first.signum() * 0.5
            };
            if step.abs() < SETTLED {
                break;
            }
            let better = (0..4).find_map(|_| {
                let trial = (at * step.exp()).clamp(RANGE.0, RANGE.1);
                let found = self.at(trial);
                step *= 0.4;
                (found.value > here.value).then_some((trial, found))
            });
            let Some(better) = better else { break };
            (at, here) = better;
        }
        at
    }
}

/// A step on ln d smaller than this is not worth taking.
const SETTLED: f64 = 3e-3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivatives_are_those_of_the_objective() {
        for counts in [
            vec![(3.0, 1.2), (2.0, 0.7), (7.0, 1.0), (4.0, 0.9)],
            vec![(2.8, 1.2), (0.3, 0.7), (7.9, 1.0), (5.0, 0.9)],
            vec![(90.0, 1.0), (0.01, 0.7), (41.5, 1.0)],
        ] {
            compare_slopes(counts);
        }
    }

    fn compare_slopes(counts: Vec<(f64, f64)>) {
        let around = AroundMeans::new(counts.into_iter(), [&[0.5, 2.0, 4.0], &[1.0, 6.0, 8.0], &[2.0, 3.0, 2.0]]);
        for d in [1e-3, 0.1, 1.0, 5.0_f64] {
            let h = 1e-4;
            let [up, here, down] = [h, 0.0, -h].map(|h: f64| around.at(d * h.exp()));
            let (first, second) = ((up.value - down.value) / (2.0 * h), (up.first - down.first) / (2.0 * h));
            assert!((here.first - first).abs() < 1e-4 * (1.0 + first.abs()), "{d}: {} {first}", here.first);
            // It sets the length of steps. Of counts that are not whole it is a difference of larger numbers.
            assert!((here.second - second).abs() < 3e-3 * (1.0 + second.abs()), "{d}: {} {second}", here.second);
        }
    }

    #[test]
    fn fractions_of_molecules_enter_the_fit() {
        // Each count of 2 or 1 has lost a part, which is counted of other cells.
        let counts: Vec<(f64, f64)> =
            [(1.75, 1.0), (0.25, 1.0), (0.9, 1.0), (0.1, 1.0)].into_iter().cycle().take(400).collect();
        let around = AroundMeans::new(counts.into_iter(), [&[0.75], &[300.0], &[400.0]]);
        let fitted = around.fit(START, 80);
        let slope = around.at(fitted).first;
        assert!(slope.abs() < 0.05, "d {fitted}: slope {slope}");
    }
}

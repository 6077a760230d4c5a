//! How much the counts of a gene vary beyond Poisson: its dispersion d, one per species.
//!
//! Given means and sizes the objective is
//!
//! ```text
//! Σ_i Σ_{k<x_i} ln(n_i + k d) − Σ_z [ M_z ln(1 + d μ_z) + N_z ln(1 + d μ_z) / d ] + ln p(d)
//! ```
//!
//! and whole counts of 0 and 1 do not enter its first term. (Of a count that is not whole, its first term is that of
//! [`negative_binomial::constant`].)

use crate::negative_binomial;

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
    /// Counts, and the sizes of their cells.
    pub(in crate::models) counts: Vec<(f64, f64)>,
    /// `μ_z`.
    pub(in crate::models) mu: &'a [f64],
    /// `M_z`.
    pub(in crate::models) m: &'a [f64],
    /// `N_z`.
    pub(in crate::models) n: &'a [f64],
}

/// Whether a count of `x` says anything of the dispersion beyond what sums do: whole counts of 0 and 1 do not.
pub(in crate::models) fn tells(x: f64) -> bool {
    x > 1.0 || x.fract() != 0.0
}

impl AroundMeans<'_> {
    /// The objective.
    pub(in crate::models) fn objective(&self, d: f64) -> f64 {
        let mut counts = negative_binomial::Constants::default();
        self.counts.iter().for_each(|&(x, size)| counts.add(x, size, d));
        let means = |((mu, m), n): ((&f64, &f64), &f64)| {
            let log = (d * mu).ln_1p();
            m * log + n * log / d
        };
        counts.total() - self.nodes().map(means).sum::<f64>() - penalty(d)
    }

    /// Its derivative by ln d.
    fn slope(&self, d: f64) -> f64 {
        let counts: f64 =
            self.counts.iter().map(|&(x, size)| negative_binomial::constant_by_dispersion(x, size, d)).sum();
        let means = |((mu, m), n): ((&f64, &f64), &f64)| {
            let (log, rest) = ((d * mu).ln_1p(), mu / (1.0 + d * mu));
            m * rest + n * (rest - log / d) / d
        };
        d * (counts - self.nodes().map(means).sum::<f64>()) - (d.ln() - MEAN) / (SD * SD)
    }

    fn nodes(&self) -> impl Iterator<Item = ((&f64, &f64), &f64)> {
        self.mu.iter().zip(self.m).zip(self.n)
    }

    /// Two steps from `now` towards the best dispersion, by Newton's rule on ln d; none is taken that does not help.
    pub(in crate::models) fn fit(mut self, now: f64) -> f64 {
        self.counts.retain(|&(x, _)| tells(x));
        let (mut best, mut at) = (f64::NEG_INFINITY, now);
        for _ in 0..2 {
            let here = self.slope(at);
            let curvature = (self.slope(at * AHEAD.exp()) - here) / AHEAD;
            let mut step = if curvature < 0.0 { (-here / curvature).clamp(-1.0, 1.0) } else { here.signum() * 0.5 };
            if step.abs() < SETTLED {
                break;
            }
            if best == f64::NEG_INFINITY {
                best = self.objective(at);
            }
            let helped = (0..4).any(|_| {
                let trial = (at * step.exp()).clamp(RANGE.0, RANGE.1);
                let found = self.objective(trial);
                step *= 0.4;
                let helps = found > best;
                if helps {
                    (best, at) = (found, trial);
                }
                helps
            });
            if !helped {
                break;
            }
        }
        at
    }
}

/// A step on ln d smaller than this is not worth taking.
const SETTLED: f64 = 3e-3;

/// How far ahead on ln d the slope is taken for the curvature.
const AHEAD: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_objective() {
        for counts in [
            vec![(3.0, 1.2), (2.0, 0.7), (7.0, 1.0), (4.0, 0.9)],
            vec![(2.8, 1.2), (0.3, 0.7), (7.9, 1.0), (5.0, 0.9)],
            vec![(90.0, 1.0), (0.01, 0.7), (41.5, 1.0)],
        ] {
            compare_slopes(counts);
        }
    }

    fn compare_slopes(counts: Vec<(f64, f64)>) {
        let around = AroundMeans { counts, mu: &[0.5, 2.0, 4.0], m: &[1.0, 6.0, 8.0], n: &[2.0, 3.0, 2.0] };
        for d in [1e-3, 0.1, 1.0, 5.0_f64] {
            let h = 1e-5;
            let by_difference = (around.objective(d * f64::exp(h)) - around.objective(d * f64::exp(-h))) / (2.0 * h);
            let slope = around.slope(d);
            assert!((slope - by_difference).abs() < 1e-4 * (1.0 + slope.abs()), "{d}: {slope} {by_difference}");
        }
    }

    #[test]
    fn fractions_of_molecules_enter_the_fit() {
        // Each count of 2 or 1 has lost a part, which is counted of other cells.
        let counts: Vec<(f64, f64)> =
            [(1.75, 1.0), (0.25, 1.0), (0.9, 1.0), (0.1, 1.0)].into_iter().cycle().take(400).collect();
        let around = || AroundMeans { counts: counts.clone(), mu: &[0.75], m: &[300.0], n: &[400.0] };
        let mut fitted = START;
        for _ in 0..40 {
            fitted = around().fit(fitted);
        }
        let slope = around().slope(fitted);
        assert!(slope.abs() < 0.05, "d {fitted}: slope {slope}");
    }
}

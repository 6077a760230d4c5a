//! One gene: its cells' first and second moments, its curve, its noise, and their M-step.

use super::curve::Curve;
use super::descent::{Seen, bounded};
use crate::kinetics::{Rates, State};

/// A gene on the grid. Pairs are unspliced (scaled) and spliced.
#[derive(Clone, Debug)]
pub(super) struct Gene {
    /// Position among the kept genes.
    pub index: usize,
    /// Factor by which unspliced abundance is divided.
    pub scaling: f64,
    /// Mean over cells, from which abundances are taken.
    pub centre: [f64; 2],
    /// Variance over cells.
    pub variance: [f64; 2],
    pub curve: Curve,
    /// Residual variance around the curve.
    pub residual: [f64; 2],
    /// Whether `t_on` is learned.
    pub free_on: bool,
    damping: f64,
}

/// What an observation's distance to the curve counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Noise {
    /// The normal density with the gene's own residual variances.
    Learned,
    /// `exp(−|x − μ|²/σ)` with one σ for all.
    Scalar(f64),
}

/// The residual variance is at least this part of the gene's variance: no gene outvotes all others.
const LEAST_RESIDUAL: f64 = 1e-3;
/// Damping of the first step.
const DAMPING: f64 = 1e-2;

/// `N_j` and the gene's `M_jk` on the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub grid: &'a [f64],
    pub shares: &'a [f64],
    pub sums: [&'a [f64]; 2],
}

impl Gene {
    /// A gene whose cells lie around `curve` as far as they lie around their mean.
    pub(super) fn new(index: usize, scaling: f64, u: &[f64], s: &[f64], curve: Curve, free_on: bool) -> Self {
        use crate::stats::{mean, variance};
        let variance = [variance(u, 0), variance(s, 0)];
        let centre = [mean(u), mean(s)];
        Self { index, scaling, centre, variance, curve, residual: variance, free_on, damping: DAMPING }
    }

    /// Weight of a squared distance, `w_k`, twice what it takes from the log density.
    pub(super) fn weights(&self, noise: Noise) -> [f64; 2] {
        match noise {
            Noise::Learned => self.residual.map(f64::recip),
            Noise::Scalar(sigma) => [2.0 / sigma; 2],
        }
    }

    /// The part of a cell's log density that does not depend on the cell.
    pub(super) fn log_normalizer(&self, noise: Noise) -> f64 {
        match noise {
            Noise::Learned => -0.5 * self.residual.iter().map(|v| (std::f64::consts::TAU * v).ln()).sum::<f64>(),
            Noise::Scalar(_) => 0.0,
        }
    }

    fn seen<'a>(&self, found: &Found<'a>, noise: Noise) -> Seen<'a> {
        Seen {
            grid: found.grid,
            shares: found.shares,
            sums: found.sums,
            centre: self.centre,
            weights: self.weights(noise),
            free_on: self.free_on,
        }
    }

    /// The M-step: curve first, then the noise around it. Neither lowers the expected log density.
    pub(super) fn maximize(&mut self, found: &Found<'_>, noise: Noise, steps: usize) {
        let seen = self.seen(found, noise);
        let (curve, _) = seen.descend(self.curve, steps, &mut self.damping);
        self.curve = curve;
        self.learn_residual(found);
    }

    /// As [`maximize`](Self::maximize), but from several curves as well; the lowest end is taken.
    pub(super) fn search(&mut self, found: &Found<'_>, noise: Noise, steps: usize) {
        let seen = self.seen(found, noise);
        let descend = |start: Curve| {
            let mut damping = DAMPING;
            let (curve, value) = seen.descend(start, steps, &mut damping);
            (curve, value, damping)
        };
        let mut best = descend(self.curve);
        for start in self.candidates(&seen) {
            let end = descend(start);
            if end.1 < best.1 {
                best = end;
            }
        }
        self.damping = best.2;
        self.curve = best.0;
        self.learn_residual(found);
    }

    /// Curves of every kind: rising, rising and falling early or late, only falling; each of the size that fits best.
    fn candidates(&self, seen: &Seen<'_>) -> Vec<Curve> {
        let t_max = seen.grid.last().copied().unwrap_or(1.0);
        let Rates { beta, gamma, .. } = self.curve.rates;
        let switches: &[(f64, f64)] = if self.free_on { &SWITCHES } else { &SWITCHES[..FROM_ZERO] };
        let curve = |&(on, off): &(f64, f64)| {
            let unit = Curve { rates: Rates { alpha: 1.0, beta, gamma }, t_on: on * t_max, t_off: off * t_max };
            let alpha = seen.best_size(unit);
            bounded(Curve { rates: Rates { alpha, ..unit.rates }, ..unit }, t_max)
        };
        switches.iter().map(curve).collect()
    }

    /// `σ_k² = (Σ x² − 2 Σ_j μ_j M_j + Σ_j N_j μ_j²)/N`, at least a part of the gene's variance.
    fn learn_residual(&mut self, found: &Found<'_>) {
        let n: f64 = found.shares.iter().sum();
        let mut off = self.variance.map(|variance| variance * n);
        for (j, State { u, s }) in self.curve.states(found.grid).into_iter().enumerate() {
            for (k, x) in [u - self.centre[0], s - self.centre[1]].into_iter().enumerate() {
                off[k] += x * (found.shares[j] * x - 2.0 * found.sums[k][j]);
            }
        }
        for (k, off) in off.into_iter().enumerate() {
            self.residual[k] = (off / n).max(LEAST_RESIDUAL * self.variance[k]);
        }
    }

    /// Parts of the variances that the curve leaves.
    pub(super) fn unexplained(&self) -> [f64; 2] {
        [self.residual[0] / self.variance[0], self.residual[1] / self.variance[1]]
    }

    /// Whether all that is learned is a number.
    pub(super) fn is_finite(&self) -> bool {
        self.curve.is_finite() && self.residual.iter().all(|v| v.is_finite())
    }
}

/// Where switches are tried, times `t_max`; the first few begin at 0.
const SWITCHES: [(f64, f64); 8] =
    [(0.0, 0.2), (0.0, 0.5), (0.0, 0.8), (0.0, 1.5), (0.3, 0.7), (0.3, 1.5), (0.6, 1.5), (-1.0, 0.0)];
const FROM_ZERO: usize = 4;

//! The M-step of a gene's curve: damped Gauss-Newton steps that never raise the weighted sum of squares.
//!
//! With `N_j = Σ_i q_ij`, `M_jk = Σ_i q_ij x_ik` and weights `w_k` of the two species,
//!
//! ```text
//! Q(θ) = ½ Σ_k w_k Σ_j [N_j μ_jk(θ)² − 2 μ_jk(θ) M_jk]
//! ```
//!
//! is minus the expected log density up to a constant, and costs nothing in the number of cells.

use super::curve::{Curve, N};
use crate::kinetics::{Rates, State};
use crate::models::dynamical::solved;

/// What the M-step of a gene needs to know of the cells. Abundances are taken from the gene's `centre` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// `t_j`.
    pub grid: &'a [f64],
    /// `N_j`.
    pub shares: &'a [f64],
    /// `M_jk`.
    pub sums: [&'a [f64]; 2],
    pub centre: [f64; 2],
    /// `w_k`.
    pub weights: [f64; 2],
    /// Whether the gene may be switched on at another time than its curve says.
    pub free_on: bool,
}

/// Q, its gradient and, without the second derivatives of the curve, its Hessian.
struct Equations {
    value: f64,
    gradient: [f64; N],
    hessian: [[f64; N]; N],
}

impl Seen<'_> {
    fn t_max(&self) -> f64 {
        self.grid.last().copied().unwrap_or(1.0)
    }

    /// The α at which Q of this curve, otherwise as it is, is lowest: states are proportional to α.
    pub(super) fn best_size(&self, unit: Curve) -> f64 {
        let frame = unit.frame();
        let (mut along, mut squares) = (0.0, 0.0);
        for (j, &t) in self.grid.iter().enumerate() {
            let State { u, s } = frame.state(t);
            for (k, x) in [u, s].into_iter().enumerate() {
                along += self.weights[k] * x * (self.sums[k][j] + self.shares[j] * self.centre[k]);
                squares += self.weights[k] * self.shares[j] * x * x;
            }
        }
        let size = along / squares * unit.rates.alpha;
        if size.is_finite() && size > 0.0 { size } else { unit.rates.alpha }
    }

    fn centred(&self, State { u, s }: State) -> [f64; 2] {
        [u - self.centre[0], s - self.centre[1]]
    }

    fn equations(&self, curve: Curve) -> Equations {
        let frame = curve.frame();
        let mut out = Equations { value: 0.0, gradient: [0.0; N], hessian: [[0.0; N]; N] };
        for (j, &t) in self.grid.iter().enumerate() {
            let point = frame.point(t);
            let share = self.shares[j];
            for (k, (x, by)) in self.centred(point.state).into_iter().zip([point.u_by, point.s_by]).enumerate() {
                let (weight, sum) = (self.weights[k], self.sums[k][j]);
                out.value += weight * x * (0.5 * share * x - sum);
                let residual = weight * (share * x - sum);
                for a in 0..N {
                    out.gradient[a] += residual * by[a];
                    for b in 0..=a {
                        out.hessian[a][b] += weight * share * by[a] * by[b];
                    }
                }
            }
        }
        for a in 0..N {
            for b in 0..a {
                out.hessian[b][a] = out.hessian[a][b];
            }
        }
        if !self.free_on {
            out.gradient[ON] = 0.0;
            for a in 0..N {
                (out.hessian[ON][a], out.hessian[a][ON]) = (0.0, 0.0);
            }
        }
        out
    }

    /// The curve after at most `steps` steps, and its Q, which is never above that of `curve`; `damping` is kept between descents.
    pub(super) fn descend(&self, curve: Curve, steps: usize, damping: &mut f64) -> (Curve, f64) {
        let mut best = curve;
        let mut here = self.equations(best);
        for _ in 0..steps {
            let mut lowered = false;
            for _ in 0..TRIALS {
                let trial = self.moved(best, &here, *damping);
                let there = self.equations(trial);
                if there.value < here.value {
                    let settled = here.value - there.value < SETTLED * here.value.abs();
                    (best, here) = (trial, there);
                    *damping = (*damping * 0.2).max(1e-9);
                    lowered = !settled;
                    break;
                }
                *damping *= 8.0;
            }
            if !lowered {
                *damping = damping.min(1.0);
                break;
            }
        }
        (best, here.value)
    }

    /// The curve after one damped step, within bounds.
    fn moved(&self, curve: Curve, equations: &Equations, damping: f64) -> Curve {
        let mut a = equations.hessian;
        let scale = (0..N).map(|k| a[k][k]).fold(0.0, f64::max);
        for (k, row) in a.iter_mut().enumerate() {
            // A parameter that moves nothing (a switch outside the grid) stays where it is.
            row[k] = row[k] * (1.0 + damping) + 1e-9 * scale + f64::MIN_POSITIVE;
        }
        let step = solved(&a, equations.gradient);
        let factor = |k: usize| (-step[k].clamp(-LONGEST, LONGEST)).exp();
        let t_max = self.t_max();
        let later = |k: usize| -step[k].clamp(-LONGEST_TIME * t_max, LONGEST_TIME * t_max);
        let Rates { alpha, beta, gamma } = curve.rates;
        let rates = Rates { alpha: alpha * factor(0), beta: beta * factor(1), gamma: gamma * factor(2) };
        bounded(Curve { rates, t_on: curve.t_on + later(ON), t_off: curve.t_off + later(ON + 1) }, t_max)
    }
}

/// Position of `t_on` among the parameters.
const ON: usize = 3;
/// Trials of a step with growing damping.
const TRIALS: usize = 6;
/// A step that lowers Q by less than this part of it is the last.
const SETTLED: f64 = 1e-7;
/// No rate changes by more than this factor's logarithm in one step, no switch by more than this part of the grid.
const LONGEST: f64 = 1.0;
const LONGEST_TIME: f64 = 0.2;
/// Bounds of β and γ, times `t_max`: slower nothing would change, faster no state would be between the steady ones.
const SLOWEST: f64 = 0.05;
const FASTEST: f64 = 1e3;
/// Shortest time of transcription, times `t_max`.
const SHORTEST: f64 = 1e-3;

/// The nearest curve that a fit may end in.
pub(super) fn bounded(curve: Curve, t_max: f64) -> Curve {
    let Rates { alpha, beta, gamma } = curve.rates;
    let rate = |value: f64| value.clamp(SLOWEST / t_max, FASTEST / t_max);
    let t_on = curve.t_on.clamp(-t_max, t_max * (1.0 - SHORTEST));
    Curve {
        rates: Rates { alpha: alpha.clamp(1e-12, 1e12), beta: rate(beta), gamma: rate(gamma) },
        t_on,
        t_off: curve.t_off.clamp(t_on + SHORTEST * t_max, 2.0 * t_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_found_from_afar_and_no_step_goes_uphill() {
        let grid: Vec<f64> = (0..80).map(|j| f64::from(j) * 0.25).collect();
        let truth = Curve { rates: Rates { alpha: 4.0, beta: 0.7, gamma: 0.35 }, t_on: 3.0, t_off: 11.0 };
        let shares: Vec<f64> = (0..80).map(|j| 1.0 + f64::from(j % 3)).collect();
        let centre = [2.0, 5.0];
        let columns = |pick: fn(&State) -> f64, centre: f64| -> Vec<f64> {
            truth.states(&grid).iter().zip(&shares).map(|(state, share)| share * (pick(state) - centre)).collect()
        };
        let sums = [columns(|x| x.u, centre[0]), columns(|x| x.s, centre[1])];
        let seen = Seen {
            grid: &grid,
            shares: &shares,
            sums: [&sums[0], &sums[1]],
            centre,
            weights: [3.0, 1.0],
            free_on: true,
        };
        let mut curve = Curve { rates: Rates { alpha: 1.0, beta: 1.0, gamma: 1.0 }, t_on: 0.0, t_off: 15.0 };
        let mut damping = 1e-2;
        let (_, mut before) = seen.descend(curve, 0, &mut damping);
        for _ in 0..60 {
            let (next, value) = seen.descend(curve, 1, &mut damping);
            assert!(value <= before);
            (curve, before) = (next, value);
        }
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-3;
        let Rates { alpha, beta, gamma } = curve.rates;
        assert!(near(alpha, 4.0) && near(beta, 0.7) && near(gamma, 0.35), "{curve:?}");
        assert!(near(curve.t_on, 3.0) && near(curve.t_off, 11.0), "{curve:?}");
    }
}

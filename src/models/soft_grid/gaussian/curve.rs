//! The curve of one gene over the grid, and its derivatives.

use crate::kinetics::{self, Rates, State};
use crate::models::dynamical::{Frame as Branches, Shape};

/// Number of parameters: ln α, ln β, ln γ, `t_on`, `t_off`.
pub(super) const N: usize = 5;

/// A gene that is silent until `t_on`, transcribed at α until `t_off`, then silent: [`kinetics::switch`] at many times.
///
/// u is the scaled unspliced abundance. Both times may lie outside the grid: a gene can be on from the beginning, to the end,
/// or only fade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    pub rates: Rates,
    pub t_on: f64,
    pub t_off: f64,
}

/// A state with its derivatives by the parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub state: State,
    pub u_by: [f64; N],
    pub s_by: [f64; N],
}

/// A curve with what all its points have in common.
///
/// The branches are those of the dynamical model, in units of 1/β: two exponentials carry a point and its derivatives, thirty times
/// as fast as [`kinetics::partials`]. Close to γ = β they take γ for β (1 ± 10⁻⁶).
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    curve: Curve,
    branches: Branches,
}

impl Curve {
    /// The curve, ready to be drawn.
    pub(super) fn frame(self) -> Frame {
        let Rates { alpha, beta, gamma } = self.rates;
        let t_switch = beta * (self.t_off - self.t_on).max(0.0);
        let shape = Shape { size: alpha / beta, scaling: 1.0, ratio: gamma / beta, t_switch, spreads: 1.0 };
        Frame { curve: self, branches: Branches::new(shape) }
    }

    /// `(u, s)` at the times of `grid`.
    pub(super) fn states(self, grid: &[f64]) -> Vec<State> {
        let frame = self.frame();
        grid.iter().map(|&t| frame.state(t)).collect()
    }

    /// Whether the gene is transcribed at time `t`.
    pub(super) fn is_on(&self, t: f64) -> bool {
        t >= self.t_on && t <= self.t_off
    }

    /// `(du/dt, ds/dt)` at time `t`, where the state is `state`.
    pub(super) fn velocity(&self, t: f64, state: State) -> State {
        let alpha = if self.is_on(t) { self.rates.alpha } else { 0.0 };
        kinetics::velocity(state, Rates { alpha, ..self.rates })
    }

    /// Whether all parameters are numbers.
    pub(super) fn is_finite(&self) -> bool {
        let Rates { alpha, beta, gamma } = self.rates;
        [alpha, beta, gamma, self.t_on, self.t_off].into_iter().all(f64::is_finite)
    }
}

impl Frame {
    /// The state at time `t`.
    pub(super) fn state(&self, t: f64) -> State {
        self.point(t).state
    }

    /// The state at time `t` with its derivatives.
    pub(super) fn point(&self, t: f64) -> Point {
        let Curve { rates: Rates { beta, .. }, t_on, t_off } = self.curve;
        let Shape { ratio, t_switch, .. } = self.branches.shape;
        let on = t <= t_off;
        let since = beta * if on { (t - t_on).max(0.0) } else { t - t_off };
        let at = if on { self.branches.at::<false, true>(since) } else { self.branches.at::<false, false>(since) };
        // The branches know A = α/β, ρ = γ/β, and times in units of 1/β: since it began, and until the switch.
        let by = |x: f64, by_ratio: f64, by_tau: f64, by_switch: f64| {
            let by_gamma = ratio * by_ratio;
            let by_beta = since * by_tau + t_switch * by_switch - x - by_gamma;
            let [by_on, by_off] =
                if on { [if since > 0.0 { -by_tau } else { 0.0 }, 0.0] } else { [-by_switch, by_switch - by_tau] };
            [x, by_beta, by_gamma, beta * by_on, beta * by_off]
        };
        Point {
            state: State { u: at.u, s: at.s },
            u_by: by(at.u, 0.0, at.u_by_tau, at.u_by_switch),
            s_by: by(at.s, at.s_by_ratio, at.s_by_tau, at.s_by_switch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVES: [Curve; 4] = [
        Curve { rates: Rates { alpha: 3.0, beta: 0.8, gamma: 0.4 }, t_on: 2.0, t_off: 9.0 },
        Curve { rates: Rates { alpha: 3.0, beta: 0.5, gamma: 0.502 }, t_on: -4.0, t_off: 7.3 },
        Curve { rates: Rates { alpha: 0.1, beta: 5.0, gamma: 0.01 }, t_on: 5.0, t_off: 40.0 },
        Curve { rates: Rates { alpha: 9.0, beta: 0.2, gamma: 1.4 }, t_on: -8.0, t_off: -1.0 },
    ];
    const TIMES: [f64; 5] = [0.0, 1.0, 6.1, 12.0, 20.0];

    #[test]
    fn states_are_those_of_the_kinetics() {
        let equal = Curve { rates: Rates { alpha: 2.0, beta: 0.5, gamma: 0.5 }, ..CURVES[0] };
        for curve in CURVES.into_iter().chain([equal]) {
            for (t, state) in TIMES.into_iter().zip(curve.states(&TIMES)) {
                let wanted = kinetics::switch(t, curve.t_on, curve.t_off, curve.rates);
                let near = |a: f64, b: f64| (a - b).abs() < 1e-5 * (1e-3 + b.abs());
                assert!(near(state.u, wanted.u) && near(state.s, wanted.s), "{curve:?} at {t}: {state:?} {wanted:?}");
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_states() {
        const H: f64 = 1e-5;
        let moved = |curve: Curve, k: usize, by: f64| {
            let Rates { alpha, beta, gamma } = curve.rates;
            let f = by.exp();
            match k {
                0 => Curve { rates: Rates { alpha: alpha * f, ..curve.rates }, ..curve },
                1 => Curve { rates: Rates { beta: beta * f, ..curve.rates }, ..curve },
                2 => Curve { rates: Rates { gamma: gamma * f, ..curve.rates }, ..curve },
                3 => Curve { t_on: curve.t_on + by, ..curve },
                _ => Curve { t_off: curve.t_off + by, ..curve },
            }
        };
        for curve in CURVES {
            for t in TIMES {
                let point = curve.frame().point(t);
                for k in 0..N {
                    let at = |by: f64| moved(curve, k, by).frame().state(t);
                    let (a, b) = (at(-H), at(H));
                    let want = [(b.u - a.u) / (2.0 * H), (b.s - a.s) / (2.0 * H)];
                    for (got, want) in [point.u_by[k], point.s_by[k]].into_iter().zip(want) {
                        assert!(
                            (got - want).abs() < 1e-6 * (1.0 + want.abs()),
                            "{k} of {curve:?} at {t}: {got} {want}"
                        );
                    }
                }
            }
        }
    }
}

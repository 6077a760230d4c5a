//! The curve of one gene without what its data cannot tell: the unit of time.
//!
//! Every cell's time is free, so a clock that runs twice as fast, with rates half as large, draws the same curve. With time
//! in units of 1/β and abundances in units of their spreads σ_u and σ_s, four parameters draw it:
//!
//! ```text
//! x = e^{−τ},  z = e^{−ρτ},  ρ = γ/β,  h = (x − z)/(ρ − 1)
//!
//! induction     u = A_u (1 − x)      s = A_s g(τ),   g = (1 − z)/ρ − h
//! repression    u = A_u E x          s = A_s (G z + E h)
//!
//! E = 1 − e^{−t_s},  G = g(t_s),  A_s = α/(β σ_s),  A_u = A_s·scaling·σ_s/σ_u
//! ```
//!
//! h is φ(τ; 1, ρ) of [`kinetics`](crate::kinetics). The functions are inlined into loops over cells and compiled for the
//! processor's widest instructions ([`simd`](crate::simd)).

use super::curve::Params;
use super::gene::Gene;
use crate::simd::exp_f64;

/// The four parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::models) struct Shape {
    /// `A_s`: spliced abundance at the steady state, times ρ, in units of σ_s.
    pub size: f64,
    /// Factor by which unspliced abundance is divided.
    pub scaling: f64,
    /// `ρ = γ/β`.
    pub ratio: f64,
    /// Time of the switch, in units of 1/β.
    pub t_switch: f64,
    /// `σ_s/σ_u`, which no fit changes.
    pub spreads: f64,
}

impl Shape {
    /// The shape of the curve of `params` for a gene with these spreads.
    pub(super) fn new(params: &Params, std_u: f64, std_s: f64) -> Self {
        let Params { alpha, beta, gamma, scaling, t_switch } = *params;
        Self {
            size: alpha / (beta * std_s),
            scaling,
            ratio: gamma / beta,
            t_switch: t_switch * beta,
            spreads: std_s / std_u,
        }
    }

    /// The parameters on a clock on which splicing has rate `beta`.
    pub(super) fn params(&self, beta: f64, gene: &Gene) -> Params {
        Params {
            alpha: self.size * gene.std_s * beta,
            beta,
            gamma: self.ratio * beta,
            scaling: self.scaling,
            t_switch: self.t_switch / beta,
        }
    }

    /// The slower of the two rates.
    pub(super) fn slower(&self) -> f64 {
        self.ratio.min(1.0)
    }
}

/// A point of the curve with its derivatives. Those by ln A_u and ln A_s are u and s themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::models) struct Point {
    pub u: f64,
    pub s: f64,
    /// By τ.
    pub u_by_tau: f64,
    pub s_by_tau: f64,
    pub s_by_ratio: f64,
    /// By the time of the switch, τ since the branch began unchanged.
    pub u_by_switch: f64,
    pub s_by_switch: f64,
}

/// What all points of a curve have in common.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Frame {
    pub shape: Shape,
    /// `A_u`.
    u: f64,
    /// `1/ρ` and `1/(ρ − 1)`, kept finite.
    per_ratio: f64,
    per_gap: f64,
    /// E, G and their derivatives.
    e: f64,
    g: f64,
    e_by_switch: f64,
    g_by_switch: f64,
    g_by_ratio: f64,
}

/// A gap `ρ − 1` smaller than this is taken for this: s changes by less than a millionth of A_s.
const LEAST_GAP: f64 = 1e-6;

impl Frame {
    pub(in crate::models) fn new(shape: Shape) -> Self {
        let gap = shape.ratio - 1.0;
        let gap = if gap.abs() < LEAST_GAP { LEAST_GAP.copysign(gap) } else { gap };
        let shape = Shape { ratio: 1.0 + gap, ..shape };
        let rising = Self {
            shape,
            u: shape.size * shape.scaling * shape.spreads,
            per_ratio: shape.ratio.recip(),
            per_gap: gap.recip(),
            e: 0.0,
            g: 0.0,
            e_by_switch: 0.0,
            g_by_switch: 0.0,
            g_by_ratio: 0.0,
        };
        let (g, g_by_ratio, x) = rising.rise::<false>(shape.t_switch);
        Self { e: 1.0 - x, g, g_by_ratio, e_by_switch: x, g_by_switch: 1.0 - x - shape.ratio * g, ..rising }
    }

    /// `h` and `∂h/∂ρ`, given z.
    #[allow(clippy::inline_always, reason = "see simd::Vectorized")]
    #[inline(always)]
    fn mixing(&self, tau: f64, x: f64, z: f64) -> (f64, f64) {
        let h = (x - z) * self.per_gap;
        (h, (tau * z - h) * self.per_gap)
    }

    /// `g`, `∂g/∂ρ` and x.
    #[allow(clippy::inline_always, reason = "see simd::Vectorized")]
    #[inline(always)]
    fn rise<const FMA: bool>(&self, tau: f64) -> (f64, f64, f64) {
        let (x, z) = (exp_f64::<FMA>(-tau), exp_f64::<FMA>(-self.shape.ratio * tau));
        let (h, h_by_ratio) = self.mixing(tau, x, z);
        let level = (1.0 - z) * self.per_ratio;
        (level - h, (tau * z - level) * self.per_ratio - h_by_ratio, x)
    }

    /// The point of the induction branch (`ON`) or the repression branch, τ after it begins.
    #[allow(clippy::inline_always, reason = "see simd::Vectorized")]
    #[inline(always)]
    pub(in crate::models) fn at<const FMA: bool, const ON: bool>(&self, tau: f64) -> Point {
        let Shape { size, ratio, .. } = self.shape;
        if ON {
            let (g, g_by_ratio, x) = self.rise::<FMA>(tau);
            return Point {
                u: self.u * (1.0 - x),
                s: size * g,
                u_by_tau: self.u * x,
                s_by_tau: size * (1.0 - x - ratio * g),
                s_by_ratio: size * g_by_ratio,
                u_by_switch: 0.0,
                s_by_switch: 0.0,
            };
        }
        let (x, z) = (exp_f64::<FMA>(-tau), exp_f64::<FMA>(-ratio * tau));
        let (h, h_by_ratio) = self.mixing(tau, x, z);
        let level = self.g * z + self.e * h;
        let u = self.u * self.e * x;
        Point {
            u,
            s: size * level,
            u_by_tau: -u,
            s_by_tau: size * (self.e * x - ratio * level),
            s_by_ratio: size * ((self.g_by_ratio - self.g * tau) * z + self.e * h_by_ratio),
            u_by_switch: self.u * self.e_by_switch * x,
            s_by_switch: size * (self.g_by_switch * z + self.e_by_switch * h),
        }
    }

    /// Where the branches meet.
    pub(super) fn switch(&self) -> Point {
        self.at::<false, false>(0.0)
    }

    /// u and s at the steady state of transcription.
    pub(super) fn steady(&self) -> (f64, f64) {
        (self.u, self.shape.size * self.per_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinetics::{Rates, State, switch};

    const T_SWITCH: f64 = 1.7;

    fn shape(ratio: f64, t_switch: f64) -> Shape {
        Shape { size: 3.0, scaling: 0.5, ratio, t_switch, spreads: 1.5 }
    }

    #[test]
    fn points_are_those_of_the_kinetics() {
        for ratio in [0.2, 0.97, 1.0, 1.000_5, 3.0] {
            let frame = Frame::new(shape(ratio, T_SWITCH));
            for t in [0.0, 0.05, 0.8, 1.69, 2.5, 9.0] {
                let point =
                    if t < T_SWITCH { frame.at::<true, true>(t) } else { frame.at::<true, false>(t - T_SWITCH) };
                let State { u, s } = switch(t, 0.0, T_SWITCH, Rates { alpha: 3.0, beta: 1.0, gamma: ratio });
                assert!((point.u - u * 0.75).abs() < 1e-5, "u at {t}, {ratio}");
                assert!((point.s - s).abs() < 1e-5, "s at {t}, {ratio}: {} {s}", point.s);
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_points() {
        const H: f64 = 1e-5;
        fn check<const ON: bool>(ratio: f64, tau: f64) {
            let at = |shape: Shape, tau: f64| Frame::new(shape).at::<false, ON>(tau);
            let slope = |a: f64, b: f64| (b - a) / (2.0 * H);
            let here = at(shape(ratio, T_SWITCH), tau);
            let same = |what: &str, a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{what} at {tau}, {ratio}: {a}, {b}");
            let (a, b) = (at(shape(ratio, T_SWITCH), tau - H), at(shape(ratio, T_SWITCH), tau + H));
            same("u by tau", slope(a.u, b.u), here.u_by_tau);
            same("s by tau", slope(a.s, b.s), here.s_by_tau);
            let (a, b) = (at(shape(ratio - H, T_SWITCH), tau), at(shape(ratio + H, T_SWITCH), tau));
            same("s by ratio", slope(a.s, b.s), here.s_by_ratio);
            let (a, b) = (at(shape(ratio, T_SWITCH - H), tau), at(shape(ratio, T_SWITCH + H), tau));
            same("u by switch", slope(a.u, b.u), here.u_by_switch);
            same("s by switch", slope(a.s, b.s), here.s_by_switch);
        }
        for ratio in [0.2, 0.97, 1.02, 3.0] {
            for tau in [0.05, 0.8, 4.0] {
                check::<true>(ratio, tau);
                check::<false>(ratio, tau);
            }
        }
    }
}

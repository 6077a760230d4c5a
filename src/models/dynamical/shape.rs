//! The curve of a gene freed of what its data cannot tell: the unit of time.
//!
//! Times of each gene are free, so a clock that runs twice as fast, with rates half as large, draws the same curve. With time
//! in units of 1/β the curve has four parameters:
//!
//! ```text
//! x = e^{−τ},  z = e^{−ρτ},  ρ = γ/β
//!
//! induction     u = A_u (1 − x)      s = A_s g(τ),              g = (1 − z)/ρ − h
//! repression    u = A_u E x          s = A_s (G z + E h),       h = (x − z)/(ρ − 1)
//!
//! E = 1 − e^{−t_s},  G = g(t_s),  A_u = α·scaling/β,  A_s = α/β
//! ```
//!
//! u is in units of `Mu` here, and h is φ(τ; 1, ρ) of [`kinetics`](crate::kinetics).

use super::curve::Params;

/// The four parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// `A_u`: unspliced abundance at the steady state.
    pub u: f64,
    /// `A_s`: spliced abundance at the steady state, times ρ.
    pub s: f64,
    /// `ρ = γ/β`.
    pub ratio: f64,
    /// Time of the switch, in units of 1/β.
    pub t_switch: f64,
}

/// Derivatives by ln A_u act on u alone, by ln A_s on s alone, each as the value itself; the others are of s, and of u by
/// t_s.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    pub u: f64,
    pub s: f64,
    /// By τ.
    pub du: f64,
    pub ds: f64,
    /// ∂s/∂ρ.
    pub s_by_ratio: f64,
    /// By t_s.
    pub u_by_switch: f64,
    pub s_by_switch: f64,
}

/// What all cells have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub shape: Shape,
    /// `1/(ρ − 1)`, kept finite.
    inverse_gap: f64,
    /// E, G and their derivatives.
    e: f64,
    g: f64,
    e_by_switch: f64,
    g_by_switch: f64,
    g_by_ratio: f64,
}

/// A gap `ρ − 1` smaller than this is taken for this: s changes by less than a millionth of A_s.
const LEAST_GAP: f64 = 1e-6;

impl Shape {
    pub(super) fn of(params: &Params) -> Self {
        let Params { alpha, beta, gamma, scaling, t_switch } = *params;
        Self { u: alpha * scaling / beta, s: alpha / beta, ratio: gamma / beta, t_switch: t_switch * beta }
    }

    /// The parameters on a clock on which splicing has rate `beta`.
    pub(super) fn params(&self, beta: f64) -> Params {
        Params {
            alpha: self.s * beta,
            beta,
            gamma: self.ratio * beta,
            scaling: self.u / self.s,
            t_switch: self.t_switch / beta,
        }
    }
}

impl Frame {
    pub(super) fn new(shape: Shape) -> Self {
        let gap = shape.ratio - 1.0;
        let gap = if gap.abs() < LEAST_GAP { LEAST_GAP.copysign(gap) } else { gap };
        let inverse_gap = gap.recip();
        let frame = Self { shape, inverse_gap, e: 0.0, g: 0.0, e_by_switch: 0.0, g_by_switch: 0.0, g_by_ratio: 0.0 };
        let (g, g_by_ratio, x) = frame.rise(shape.t_switch);
        let e = 1.0 - x;
        Self { e, g, g_by_ratio, e_by_switch: x, g_by_switch: e - shape.ratio * g, ..frame }
    }

    /// `g`, `∂g/∂ρ` and x at τ.
    #[inline(always)]
    fn rise(&self, tau: f64) -> (f64, f64, f64) {
        let per_ratio = self.shape.ratio.recip();
        let (x, z) = ((-tau).exp(), (-self.shape.ratio * tau).exp());
        let h = (x - z) * self.inverse_gap;
        let h_by_ratio = (tau * z - h) * self.inverse_gap;
        let level = (1.0 - z) * per_ratio;
        (level - h, (tau * z - level) * per_ratio - h_by_ratio, x)
    }

    /// The point of the induction branch at τ.
    #[inline(always)]
    pub(super) fn on(&self, tau: f64) -> Point {
        let Shape { u, s, ratio, .. } = self.shape;
        let (g, g_by_ratio, x) = self.rise(tau);
        Point {
            u: u * (1.0 - x),
            s: s * g,
            du: u * x,
            ds: s * (1.0 - x - ratio * g),
            s_by_ratio: s * g_by_ratio,
            u_by_switch: 0.0,
            s_by_switch: 0.0,
        }
    }

    /// The point of the repression branch τ after the switch.
    #[inline(always)]
    pub(super) fn off(&self, tau: f64) -> Point {
        let Shape { u, s, ratio, .. } = self.shape;
        let (x, z) = ((-tau).exp(), (-ratio * tau).exp());
        let h = (x - z) * self.inverse_gap;
        let h_by_ratio = (tau * z - h) * self.inverse_gap;
        let level = self.g * z + self.e * h;
        Point {
            u: u * self.e * x,
            s: s * level,
            du: -u * self.e * x,
            ds: s * (self.e * x - ratio * level),
            s_by_ratio: s * (self.g_by_ratio * z - self.g * tau * z + self.e * h_by_ratio),
            u_by_switch: u * self.e_by_switch * x,
            s_by_switch: s * (self.g_by_switch * z + self.e_by_switch * h),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_curve() {
        for ratio in [0.2, 0.97, 1.000_5, 3.0] {
            for tau in [0.05, 0.8, 4.0] {
                let shape = Shape { u: 2.0, s: 3.0, ratio, t_switch: 1.7 };
                let h = 1e-5;
                let check = |point: fn(&Frame, f64) -> Point| {
                    let at = |shape: Shape, tau: f64| point(&Frame::new(shape), tau);
                    let here = at(shape, tau);
                    let slope = |a: f64, b: f64| (b - a) / (2.0 * h);
                    let (a, b) = (at(shape, tau - h), at(shape, tau + h));
                    assert!((slope(a.u, b.u) - here.du).abs() < 1e-7, "{ratio} {tau}");
                    assert!((slope(a.s, b.s) - here.ds).abs() < 1e-7, "{ratio} {tau}");
                    let moved = |by: f64| at(Shape { ratio: ratio + by, ..shape }, tau);
                    assert!((slope(moved(-h).s, moved(h).s) - here.s_by_ratio).abs() < 1e-5, "{ratio} {tau}");
                    let moved = |by: f64| at(Shape { t_switch: 1.7 + by, ..shape }, tau);
                    assert!((slope(moved(-h).s, moved(h).s) - here.s_by_switch).abs() < 1e-7, "{ratio} {tau}");
                    assert!((slope(moved(-h).u, moved(h).u) - here.u_by_switch).abs() < 1e-7, "{ratio} {tau}");
                };
                check(Frame::on);
                check(Frame::off);
            }
        }
    }
}

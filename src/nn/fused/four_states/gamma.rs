//! [`crate::nn::special`] of one number, for loops that the compiler vectorises.

use crate::simd::{ln, mul_add};

/// ½ ln 2π.
pub(super) const HALF_LN_TAU: f32 = 0.918_938_5;

/// `ln Γ(x)`, `ψ(x)` and `ψ′(x)`.
#[derive(Clone, Copy)]
pub(super) struct GammaFunctions {
    pub(super) ln_gamma: f32,
    pub(super) digamma: f32,
    pub(super) trigamma: f32,
}

/// All three for `x` in [1e-6, 1e9], to 1e-6 or 1e-6 of the value, whichever is more: the formulas of [`crate::nn::special`],
/// moved by four everywhere.
#[allow(clippy::inline_always, reason = "see simd::Vectorized")]
#[inline(always)]
pub(super) fn gamma_functions<const FMA: bool>(x: f32) -> GammaFunctions {
    let w = x + 4.0;
    let ln_w = ln::<FMA>(w);
    let r = w.recip();
    let r2 = r * r;
    let q = x * (x + 3.0);
    let (per_q, per_q2) = (q.recip(), (q + 2.0).recip());
    let even = 2.0 * x + 3.0;

    let series = mul_add::<FMA>(mul_add::<FMA>(r2, 1.0 / 1260.0, -1.0 / 360.0), r2, 1.0 / 12.0) * r;
    let stirling = mul_add::<FMA>(w - 0.5, ln_w, HALF_LN_TAU - w) + series;
    let ln_gamma = stirling - ln::<FMA>(q * (q + 2.0));

    let series = mul_add::<FMA>(mul_add::<FMA>(r2, -1.0 / 252.0, 1.0 / 120.0), r2, -1.0 / 12.0) * r2 - 0.5 * r;
    let digamma = ln_w + series - even * (per_q + per_q2);

    let tail = mul_add::<FMA>(mul_add::<FMA>(r2, 1.0 / 42.0, -1.0 / 30.0), r2, 1.0 / 6.0) * r2 * r;
    let steps = mul_add::<FMA>(2.0, q, 9.0) * per_q * per_q + mul_add::<FMA>(2.0, q, 5.0) * per_q2 * per_q2;
    let trigamma = r + 0.5 * r2 + tail + steps;
    GammaFunctions { ln_gamma, digamma, trigamma }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Closed forms at ½ and at 3, and the value at 1e-4 and 1e4, in 16 digits (scipy.special).
    #[test]
    fn agrees_with_closed_forms() {
        for (x, ln_gamma, digamma, trigamma) in [
            (1e-4_f32, 9.210_282_658_633_963, -10_000.577_051_183_514, 100_000_001.644_693_67),
            (0.5, 0.572_364_942_924_700_1, -1.963_510_026_021_423_5, 4.934_802_200_544_679),
            (3.0, std::f64::consts::LN_2, 0.922_784_335_098_467_1, 0.394_934_066_848_226_4),
            (1e4, 82_099.717_496_442_38, 9.210_290_371_142_85, 1.000_050_001_666_666_7e-4),
        ] {
            for found in [gamma_functions::<false>(x), gamma_functions::<true>(x)] {
                let close = |found: f32, want: f64| (f64::from(found) - want).abs() <= 2e-6 * want.abs();
                assert!(close(found.ln_gamma, ln_gamma), "ln gamma({x}) = {}", found.ln_gamma);
                assert!(close(found.digamma, digamma), "digamma({x}) = {}", found.digamma);
                assert!(close(found.trigamma, trigamma), "trigamma({x}) = {}", found.trigamma);
            }
        }
    }
}

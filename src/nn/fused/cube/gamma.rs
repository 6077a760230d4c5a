//! [`crate::nn::fused::four_states::gamma`] for GPUs.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// `ln Γ(x)`, `ψ(x)` and `ψ′(x)`.
#[derive(CubeType)]
pub(super) struct GammaFunctions {
    pub(super) ln_gamma: f32,
    pub(super) digamma: f32,
    pub(super) trigamma: f32,
}

/// All three for `x` in [1e-6, 1e9], by the same formulas as on the CPU.
#[cube]
pub(super) fn gamma_functions(x: f32) -> GammaFunctions {
    let w = x + 4.0;
    let ln_w = w.ln();
    let r = 1.0 / w;
    let r2 = r * r;
    let q = x * (x + 3.0);
    let per_q = 1.0 / q;
    let per_q2 = 1.0 / (q + 2.0);
    let even = 2.0 * x + 3.0;

    let series = (1.0 - r2 / 30.0 * (1.0 - 2.0 * r2 / 7.0)) * r / 12.0;
    let stirling = (w - 0.5) * ln_w + (0.918_938_5 - w) + series;
    let ln_gamma = stirling - (q * (q + 2.0)).ln();

    let series = -(1.0 - r2 / 10.0 * (1.0 - 10.0 * r2 / 21.0)) * r2 / 12.0 - 0.5 * r;
    let digamma = ln_w + series - even * (per_q + per_q2);

    let tail = (1.0 - r2 / 5.0 * (1.0 - 5.0 * r2 / 7.0)) * r2 * r / 6.0;
    let steps = (2.0 * q + 9.0) * per_q * per_q + (2.0 * q + 5.0) * per_q2 * per_q2;
    let trigamma = r + 0.5 * r2 + tail + steps;
    GammaFunctions { ln_gamma, digamma, trigamma }
}

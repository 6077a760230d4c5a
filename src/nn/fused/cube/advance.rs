//! [`crate::nn::fused::advance`] for GPUs.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

use crate::nn::fused::advance::Advanced;

/// `eˣ − 1` of x ≤ 0, without cancellation near 0.
#[cube]
fn exp_m1(x: f32, exp: f32) -> f32 {
    let series = x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))));
    select(x > -0.25_f32, series, exp - 1.0_f32)
}

/// The state a time `t` after it was `(u0, s0)`, with transcription rate `a`.
#[cube]
pub(super) fn advance(t: f32, a: f32, u0: f32, s0: f32, b: f32, g: f32) -> Advanced {
    let exp_beta = (-b * t).exp();
    let exp_gamma = (-g * t).exp();
    let made = -exp_m1(-b * t, exp_beta) / b;
    let made_gamma = -exp_m1(-g * t, exp_gamma) / g;

    let gap = g - b;
    let q = 0.5 * gap * t;
    let y = q * q;
    let near = q.abs() < 0.25;
    // No division by 0 where the series is taken.
    let per_gap = 1.0 / select(near, 1.0_f32, gap);
    let exp_mean = (-(b + g) * t / 2.0).exp();
    let sinh_quotient = 1.0 + y / 6.0 * (1.0 + y / 20.0 * (1.0 + y / 42.0));
    let phi_near = t * exp_mean * sinh_quotient;
    let phi = select(near, phi_near, (exp_beta - exp_gamma) * per_gap);
    let psi = made_gamma - phi;

    let u = a * made + u0 * exp_beta;
    let s = a * psi + b * u0 * phi + s0 * exp_gamma;

    let tau_exp_beta = t * exp_beta;
    let tau_exp_gamma = t * exp_gamma;
    let phi_m = -t * phi_near;
    let phi_h_series = (1.0 + y / 10.0 * (1.0 + y / 28.0)) / 3.0;
    let phi_h = t * t * exp_mean * q * phi_h_series;
    let phi_beta = select(near, 0.5 * (phi_m - phi_h), (phi - tau_exp_beta) * per_gap);
    let phi_gamma = select(near, 0.5 * (phi_m + phi_h), (tau_exp_gamma - phi) * per_gap);

    let excess = a - b * u0;
    Advanced {
        u,
        s,
        exp_beta,
        exp_gamma,
        made,
        psi,
        s_u0: b * phi,
        u_beta: a / b * (tau_exp_beta - made) - u0 * tau_exp_beta,
        s_beta: u0 * phi - excess * phi_beta,
        s_gamma: a / g * (tau_exp_gamma - made_gamma) - s0 * tau_exp_gamma - excess * phi_gamma,
        u_tau: excess * exp_beta,
        s_tau: b * u - g * s,
    }
}

//! The splicing kinetics of one gene in one cell, with derivatives, for loops that the compiler vectorises.
//!
//! The formulas are those of [`crate::nn::kinetics`]; where that module picks a series so that a difference does not cancel,
//! so does this one, except that ψ is left as `H(τ; γ) − φ`: its error, one unit in the last place of `α τ`, is far below any σ.

#[cfg(feature = "cube")]
use burn_cubecl::cubecl::{self, prelude::*};

use crate::simd::{exp_and_m1, mul_add};

/// Below this `|γ − β| τ`, φ is its series; see [`crate::nn::kinetics::phi`].
const SERIES_BELOW: f32 = 0.5;

/// Rates of a gene and what follows from them alone.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub(super) beta: f32,
    pub(super) gamma: f32,
    pub(super) per_beta: f32,
    pub(super) per_gamma: f32,
    /// `1/(γ − β)`; 0 where they are equal, and the series is used.
    pub(super) per_gap: f32,
}

/// `1/(γ − β)`, or 0 where they are equal.
pub(super) fn per_gap(beta: f32, gamma: f32) -> f32 {
    let gap = gamma - beta;
    if gap.abs() < f32::MIN_POSITIVE { 0.0 } else { gap.recip() }
}

/// The state after a time τ and its derivatives, here and in the kernels of GPUs. What the caller does not read is not computed.
#[cfg_attr(feature = "cube", derive(CubeType))]
pub(super) struct Advanced {
    pub(super) u: f32,
    pub(super) s: f32,
    /// `∂u/∂u₀ = ∂s/∂s₀`-like decays `e^{−βτ}`, `e^{−γτ}`.
    pub(super) exp_beta: f32,
    pub(super) exp_gamma: f32,
    /// `∂u/∂α`
    pub(super) made: f32,
    /// `∂s/∂α`
    pub(super) psi: f32,
    /// `∂s/∂u₀`
    pub(super) s_u0: f32,
    pub(super) u_beta: f32,
    pub(super) s_beta: f32,
    pub(super) s_gamma: f32,
    pub(super) u_tau: f32,
    pub(super) s_tau: f32,
}

/// The state a time `t` after it was `(u0, s0)`, with transcription rate `a`. `START` says that the start is not zero.
///
/// Derivatives of φ: with `q = (γ − β)τ/2`, near γ = β from the series in the mean and half the difference of the rates,
/// elsewhere `∂φ/∂β = (φ − τe^{−βτ})/(γ − β)`.
#[allow(clippy::inline_always, reason = "see simd::Vectorized")]
#[inline(always)]
pub(super) fn advance<const FMA: bool, const START: bool>(t: f32, a: f32, u0: f32, s0: f32, rates: Rates) -> Advanced {
    let Rates { beta: b, gamma: g, per_beta, per_gamma, per_gap } = rates;
    let (exp_beta, exp_beta_m1) = exp_and_m1::<FMA>(-b * t);
    let (exp_gamma, exp_gamma_m1) = exp_and_m1::<FMA>(-g * t);
    let (exp_mean, _) = exp_and_m1::<FMA>(-0.5 * (b + g) * t);
    let made = -exp_beta_m1 * per_beta;
    let made_gamma = -exp_gamma_m1 * per_gamma;

    let q = 0.5 * (g - b) * t;
    let y = q * q;
    let near = 2.0 * q.abs() < SERIES_BELOW;
    let sinh_quotient =
        mul_add::<FMA>(mul_add::<FMA>(mul_add::<FMA>(y, 1.0 / 5040.0, 1.0 / 120.0), y, 1.0 / 6.0), y, 1.0);
    let phi_near = t * exp_mean * sinh_quotient;
    let phi_away = (exp_beta - exp_gamma) * per_gap;
    let phi = if near { phi_near } else { phi_away };
    let psi = made_gamma - phi;

    let (mut u, mut s) = (a * made, a * psi);
    if START {
        u = mul_add::<FMA>(u0, exp_beta, u);
        s = mul_add::<FMA>(s0, exp_gamma, mul_add::<FMA>(b * u0, phi, s));
    }

    let (tau_exp_beta, tau_exp_gamma) = (t * exp_beta, t * exp_gamma);
    let phi_m = -t * phi_near;
    let phi_h_series = mul_add::<FMA>(mul_add::<FMA>(y, 1.0 / 840.0, 1.0 / 30.0), y, 1.0 / 3.0);
    let phi_h = t * t * exp_mean * q * phi_h_series;
    let phi_beta = if near { 0.5 * (phi_m - phi_h) } else { (phi - tau_exp_beta) * per_gap };
    let phi_gamma = if near { 0.5 * (phi_m + phi_h) } else { (tau_exp_gamma - phi) * per_gap };

    let mut excess = a;
    let mut u_beta = a * per_beta * (tau_exp_beta - made);
    let mut s_gamma = a * per_gamma * (tau_exp_gamma - made_gamma);
    let mut s_beta = 0.0;
    if START {
        excess -= b * u0;
        u_beta -= u0 * tau_exp_beta;
        s_gamma -= s0 * tau_exp_gamma;
        s_beta = u0 * phi;
    }
    s_beta -= excess * phi_beta;
    s_gamma -= excess * phi_gamma;
    Advanced {
        u,
        s,
        exp_beta,
        exp_gamma,
        made,
        psi,
        s_u0: b * phi,
        u_beta,
        s_beta,
        s_gamma,
        u_tau: excess * exp_beta,
        s_tau: b * u - g * s,
    }
}

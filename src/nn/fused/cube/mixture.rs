//! The steps of [`super::states`] for one gene of one cell, as in [`crate::nn::fused::four_states`]; arrays have an entry for each state.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::gamma::gamma_functions;
use super::noise::ln_gamma_draw;
use crate::nn::dirichlet::LEAST_LN_WEIGHT;
use crate::nn::fused::four_states::{LEAST_LN_DENSITY, STATES};

/// ½ ln 2π.
const HALF_LN_TAU: f32 = 0.918_938_5;

/// What the weights of the states, drawn or in the mean, have besides their arrays.
#[derive(CubeType)]
pub(super) struct Divergence {
    /// A, the sum of the concentrations, and ψ′ of it.
    pub(super) total: f32,
    pub(super) trigamma: f32,
    pub(super) kl: f32,
}

/// KL of concentrations `a` from the prior, with ψ′ of each; and `E[ln π]` to `ln_pi`. `constant`: `4 ln Γ(c) − ln Γ(4c)`.
#[cube]
pub(super) fn divergence(
    a: &Array<f32>,
    prior: f32,
    constant: f32,
    ln_pi: &mut Array<f32>,
    trigamma: &mut Array<f32>,
) -> Divergence {
    let total = a[0] + a[1] + a[2] + a[3];
    let of_total = gamma_functions(total);
    let mut kl = of_total.ln_gamma + constant;
    #[unroll]
    for k in 0..STATES {
        let of = gamma_functions(a[k]);
        let mean_ln = of.digamma - of_total.digamma;
        ln_pi[k] = mean_ln;
        trigamma[k] = of.trigamma;
        kl += (a[k] - prior) * mean_ln - of.ln_gamma;
    }
    Divergence { total, trigamma: of_total.trigamma, kl: max(kl, 0.0) }
}

/// A draw of `ln π` in the place of its mean, and its derivatives before normalisation; `first` is the position of state 1 among all
/// concentrations, of which the next state is `apart` further.
#[cube]
pub(super) fn draw(
    a: &Array<f32>,
    first: usize,
    apart: usize,
    seed_low: u32,
    seed_high: u32,
    ln_pi: &mut Array<f32>,
    slope: &mut Array<f32>,
) {
    #[unroll]
    for k in 0..STATES {
        let drawn = ln_gamma_draw(a[k], (first + k * apart) as u32, seed_low, seed_high);
        ln_pi[k] = drawn.ln_z;
        slope[k] = drawn.slope;
    }
    let ln_total = ln_sum_exp(ln_pi[0], ln_pi[1], ln_pi[2], ln_pi[3]);
    #[unroll]
    for k in 0..STATES {
        ln_pi[k] = max(ln_pi[k] - ln_total, LEAST_LN_WEIGHT);
    }
}

/// z and `ln N` of `observed` in every state, the last of which has the mean 0.
#[cube]
pub(super) fn densities(
    observed: f32,
    std: f32,
    means: &Array<f32>,
    spread: &Array<f32>,
    z: &mut Array<f32>,
    ln_density: &mut Array<f32>,
) {
    #[unroll]
    for k in 0..STATES {
        let width = std * spread[k];
        z[k] = (observed - means[k]) / width;
        ln_density[k] = max(-z[k] * z[k] / 2.0 - width.ln() - HALF_LN_TAU, LEAST_LN_DENSITY);
    }
}

/// Responsibilities of the states for u and for s, to `r_u` and `r_s`, and their sum to `weight`, which is that of one where both species are
/// in the same state; returns the log-likelihood.
#[cube]
pub(super) fn responsibilities(
    ln_pi: &Array<f32>,
    ln_u: &Array<f32>,
    ln_s: &Array<f32>,
    r_u: &mut Array<f32>,
    r_s: &mut Array<f32>,
    weight: &mut Array<f32>,
    #[comptime] joint: bool,
) -> f32 {
    #[unroll]
    for k in 0..STATES {
        r_u[k] = ln_pi[k] + ln_u[k];
        if joint {
            r_u[k] += ln_s[k];
        } else {
            r_s[k] = ln_pi[k] + ln_s[k];
        }
    }
    let mut ln_likelihood = soft_max(r_u);
    if !joint {
        ln_likelihood += soft_max(r_s);
    }
    #[unroll]
    for k in 0..STATES {
        weight[k] = r_u[k];
        if joint {
            r_s[k] = r_u[k];
        } else {
            weight[k] += r_s[k];
        }
    }
    ln_likelihood
}

/// `x_k` by `exp x_k / Σ exp x`; returns `ln Σ exp x`.
#[cube]
fn soft_max(x: &mut Array<f32>) -> f32 {
    let ln_total = ln_sum_exp(x[0], x[1], x[2], x[3]);
    #[unroll]
    for k in 0..STATES {
        x[k] = (x[k] - ln_total).exp();
    }
    ln_total
}

#[cube]
fn ln_sum_exp(a: f32, b: f32, c: f32, d: f32) -> f32 {
    let largest = max(max(a, b), max(c, d));
    let total = (a - largest).exp() + (b - largest).exp() + (c - largest).exp() + (d - largest).exp();
    largest + total.ln()
}

/// Derivatives of NLL by the means, to `d_mean`, and by σ.
#[cube]
pub(super) fn by_means(
    responsibility: &Array<f32>,
    ln_density: &Array<f32>,
    z: &Array<f32>,
    std: f32,
    spread: &Array<f32>,
    d_mean: &mut Array<f32>,
) -> f32 {
    let mut d_std = 0.0_f32;
    #[unroll]
    for k in 0..STATES {
        let told = select(ln_density[k] > LEAST_LN_DENSITY, responsibility[k], 0.0_f32);
        d_mean[k] = -told * z[k] / (std * spread[k]);
        d_std += told * (1.0 - z[k] * z[k]) / std;
    }
    d_std
}

/// Derivatives of NLL and `kl_weight` KL by the concentrations, in the place of the `weight` of each state: the sum of its responsibilities.
#[cube]
pub(super) fn by_concentrations(
    a: &Array<f32>,
    of: &Divergence,
    prior: f32,
    kl_weight: f32,
    ln_pi: &Array<f32>,
    slope: &Array<f32>,
    trigamma: &Array<f32>,
    weight: &mut Array<f32>,
    #[comptime] drawn: bool,
) {
    if drawn {
        #[unroll]
        for k in 0..STATES {
            weight[k] = select(ln_pi[k] > LEAST_LN_WEIGHT, weight[k], 0.0_f32);
        }
    }
    let total_weight = weight[0] + weight[1] + weight[2] + weight[3];
    #[unroll]
    for k in 0..STATES {
        let mut of_likelihood = total_weight * of.trigamma - weight[k] * trigamma[k];
        if drawn {
            of_likelihood = (ln_pi[k].exp() * total_weight - weight[k]) * slope[k];
        }
        let of_kl = (a[k] - prior) * trigamma[k] - (of.total - 4.0 * prior) * of.trigamma;
        weight[k] = of_likelihood + kl_weight * of_kl;
    }
}

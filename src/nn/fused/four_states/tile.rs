//! The steps of the calculation for one tile of genes of one cell.

#![allow(clippy::needless_range_loop, reason = "loops over lanes, each of several arrays at the same place")]

use super::gamma::{GammaFunctions, gamma_functions};
use super::inputs::{GeneTile, KlConstants, Lanes, PerState, Spread, TILE, Values};
use super::{LEAST_LN_DENSITY, ROWS, STATES};
use crate::nn::dirichlet::{BOOST, LEAST_LN_WEIGHT, ln_gamma_one};
use crate::nn::fused::advance::{Advanced, Rates, advance};
use crate::simd::{exp_and_m1, ln, mul_add};

/// A branch of the kinetics with its derivatives, for one tile.
pub(super) struct Branch {
    pub(super) u: Lanes,
    pub(super) s: Lanes,
    pub(super) u_alpha: Lanes,
    pub(super) s_alpha: Lanes,
    pub(super) u_u0: Lanes,
    pub(super) s_u0: Lanes,
    pub(super) s_s0: Lanes,
    pub(super) u_beta: Lanes,
    pub(super) s_beta: Lanes,
    pub(super) s_gamma: Lanes,
    pub(super) u_t: Lanes,
    pub(super) s_t: Lanes,
}

/// `ln π`, its derivative by the concentrations, and the divergence.
pub(super) struct WeightsOf {
    pub(super) ln_pi: PerState,
    /// `∂ ln π_k / ∂ a_k` without the normalisation, where π is drawn.
    pub(super) slope: PerState,
    pub(super) trigamma: PerState,
    pub(super) trigamma_total: Lanes,
    pub(super) kl: Lanes,
}

/// Residuals, densities and responsibilities of one species.
pub(super) struct Species {
    pub(super) z: PerState,
    pub(super) ln_density: PerState,
    pub(super) responsibility: PerState,
    pub(super) nll: Lanes,
    pub(super) d_mean: PerState,
    pub(super) d_std: Lanes,
}

/// All of one tile of one cell.
pub(super) struct Tile {
    pub(super) concentration: PerState,
    pub(super) rho: Lanes,
    pub(super) tau: Lanes,
    pub(super) induction: Branch,
    pub(super) repression: Branch,
    pub(super) weights: WeightsOf,
    pub(super) species: [Species; 2],
    pub(super) d_concentration: PerState,
    pub(super) d_rho: Lanes,
    pub(super) d_tau: Lanes,
    pub(super) d_rows: [Lanes; ROWS],
}

pub(super) const ZERO: Lanes = [0.0; TILE];

impl Tile {
    pub(super) fn new() -> Self {
        let branch = || Branch {
            u: ZERO,
            s: ZERO,
            u_alpha: ZERO,
            s_alpha: ZERO,
            u_u0: ZERO,
            s_u0: ZERO,
            s_s0: ZERO,
            u_beta: ZERO,
            s_beta: ZERO,
            s_gamma: ZERO,
            u_t: ZERO,
            s_t: ZERO,
        };
        let states = [ZERO; STATES];
        let species = || Species {
            z: states,
            ln_density: states,
            responsibility: states,
            nll: ZERO,
            d_mean: states,
            d_std: ZERO,
        };
        let weights = WeightsOf { ln_pi: states, slope: states, trigamma: states, trigamma_total: ZERO, kl: ZERO };
        Self {
            concentration: states,
            rho: ZERO,
            tau: ZERO,
            induction: branch(),
            repression: branch(),
            weights,
            species: [species(), species()],
            d_concentration: states,
            d_rho: ZERO,
            d_tau: ZERO,
            d_rows: [ZERO; ROWS],
        }
    }

    /// The sums over the first `n` genes.
    pub(super) fn values(&self, n: usize) -> Values {
        let sum = |lanes: &Lanes| f64::from(lanes[..n].iter().sum::<f32>());
        Values { nll: sum(&self.species[0].nll) + sum(&self.species[1].nll), kl: sum(&self.weights.kl) }
    }

    pub(super) fn add_rows(&self, index: usize, rows: &mut [Vec<Lanes>; ROWS], n_cells: usize) {
        let share = 1.0 / n_cells as f32;
        for (total, part) in rows.iter_mut().zip(&self.d_rows) {
            total[index].iter_mut().zip(part).for_each(|(total, part)| *total += part * share);
        }
    }
}

/// Induction and repression with their derivatives.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn kinetics<const FMA: bool>(genes: &GeneTile, t_max: f32, tile: &mut Tile) {
    let put = |branch: &mut Branch, j: usize, at: &Advanced| {
        branch.u[j] = at.u;
        branch.s[j] = at.s;
        branch.u_alpha[j] = at.made;
        branch.s_alpha[j] = at.psi;
        branch.u_u0[j] = at.exp_beta;
        branch.s_u0[j] = at.s_u0;
        branch.s_s0[j] = at.exp_gamma;
        branch.u_beta[j] = at.u_beta;
        branch.s_beta[j] = at.s_beta;
        branch.s_gamma[j] = at.s_gamma;
        branch.u_t[j] = at.u_tau;
        branch.s_t[j] = at.s_tau;
    };
    let rates = |j: usize| Rates {
        beta: genes.beta[j],
        gamma: genes.gamma[j],
        per_beta: genes.per_beta[j],
        per_gamma: genes.per_gamma[j],
        per_gap: genes.per_gap[j],
    };
    for j in 0..TILE {
        let t = tile.rho[j] * genes.t_switch[j];
        put(&mut tile.induction, j, &advance::<FMA, false>(t, genes.alpha[j], 0.0, 0.0, rates(j)));
    }
    for j in 0..TILE {
        let t = tile.tau[j] * (t_max - genes.t_switch[j]);
        let start = (genes.switch[0][j], genes.switch[1][j]);
        put(&mut tile.repression, j, &advance::<FMA, true>(t, 0.0, start.0, start.1, rates(j)));
    }
}

/// KL, ψ′ of every concentration, and `E[ln π]` with its derivative.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn divergence<const FMA: bool>(concentration: &PerState, constants: &KlConstants, weights: &mut WeightsOf) {
    let mut total = ZERO;
    for a in concentration {
        for j in 0..TILE {
            total[j] += a[j];
        }
    }
    let mut digamma_total = ZERO;
    for j in 0..TILE {
        let GammaFunctions { ln_gamma, digamma, trigamma } = gamma_functions::<FMA>(total[j]);
        digamma_total[j] = digamma;
        weights.trigamma_total[j] = trigamma;
        weights.kl[j] = ln_gamma + constants.constant;
    }
    for (k, a) in concentration.iter().enumerate() {
        for j in 0..TILE {
            let GammaFunctions { ln_gamma, digamma, trigamma } = gamma_functions::<FMA>(a[j]);
            let mean_ln = digamma - digamma_total[j];
            weights.ln_pi[k][j] = mean_ln;
            weights.trigamma[k][j] = trigamma;
            weights.kl[j] += (a[j] - constants.prior) * mean_ln - ln_gamma;
        }
    }
    weights.kl.iter_mut().for_each(|kl| *kl = kl.max(0.0));
}

/// Replaces `E[ln π]` by a draw; see [`crate::nn::dirichlet::sample_log`].
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn draw<const FMA: bool>(
    concentration: &PerState,
    normals: &[PerState; 2],
    ln_accept: &PerState,
    ln_uniforms: &[PerState; BOOST],
    weights: &mut WeightsOf,
) {
    for k in 0..STATES {
        for j in 0..TILE {
            let uniforms = std::array::from_fn(|i| ln_uniforms[i][k][j]);
            let normals = [normals[0][k][j], normals[1][k][j]];
            (weights.ln_pi[k][j], weights.slope[k][j]) =
                ln_gamma_one::<FMA>(concentration[k][j], normals, ln_accept[k][j], uniforms);
        }
    }
    let mut scratch = weights.ln_pi;
    let mut ln_total = ZERO;
    soft_max::<FMA>(&mut scratch, &mut ln_total);
    for ln_pi in &mut weights.ln_pi {
        for j in 0..TILE {
            ln_pi[j] = (ln_pi[j] - ln_total[j]).max(LEAST_LN_WEIGHT);
        }
    }
}

/// `x_k` by `exp x_k / Σ exp x`, and `ln Σ exp x` to `ln_total`.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn soft_max<const FMA: bool>(x: &mut PerState, ln_total: &mut Lanes) {
    for j in 0..TILE {
        let largest = x[0][j].max(x[1][j]).max(x[2][j].max(x[3][j]));
        let mut total = 0.0;
        for lanes in x.iter_mut() {
            let (exp, _) = exp_and_m1::<FMA>(lanes[j] - largest);
            lanes[j] = exp;
            total += exp;
        }
        let share = total.recip();
        for lanes in x.iter_mut() {
            lanes[j] *= share;
        }
        ln_total[j] = largest + ln::<FMA>(total);
    }
}

/// z and `ln N` of every state.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn densities<const FMA: bool>(
    observed: &Lanes,
    means: &PerState,
    genes: &GeneTile,
    species: usize,
    spread: &Spread,
    to: &mut Species,
) {
    for k in 0..STATES {
        for j in 0..TILE {
            let z = (observed[j] - means[k][j]) * genes.per_std[species][j] * spread.per[k];
            to.z[k][j] = z;
            let ln_scale = genes.ln_scale[species][j] + spread.ln[k];
            to.ln_density[k][j] = mul_add::<FMA>(-0.5 * z, z, -ln_scale).max(LEAST_LN_DENSITY);
        }
    }
}

/// Responsibilities and likelihood of one species by itself.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn likelihood<const FMA: bool>(ln_pi: &PerState, of: &mut Species) {
    for k in 0..STATES {
        for j in 0..TILE {
            of.responsibility[k][j] = ln_pi[k][j] + of.ln_density[k][j];
        }
    }
    soft_max::<FMA>(&mut of.responsibility, &mut of.nll);
    of.nll.iter_mut().for_each(|nll| *nll = -*nll);
}

/// Responsibilities and likelihood of both species in the same state; all of the likelihood is put with u.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn joint_likelihood<const FMA: bool>(ln_pi: &PerState, of_u: &mut Species, of_s: &mut Species) {
    for k in 0..STATES {
        for j in 0..TILE {
            of_u.responsibility[k][j] = ln_pi[k][j] + of_u.ln_density[k][j] + of_s.ln_density[k][j];
        }
    }
    soft_max::<FMA>(&mut of_u.responsibility, &mut of_u.nll);
    of_u.nll.iter_mut().for_each(|nll| *nll = -*nll);
    of_s.responsibility = of_u.responsibility;
    of_s.nll = ZERO;
}

/// Derivatives by the means and by σ.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn residual_gradient(of: &mut Species, per_std: &Lanes, spread: &Spread) {
    of.d_std = ZERO;
    for k in 0..STATES {
        for j in 0..TILE {
            let told_apart = of.ln_density[k][j] > LEAST_LN_DENSITY;
            let responsibility = if told_apart { of.responsibility[k][j] } else { 0.0 };
            let z = of.z[k][j];
            of.d_mean[k][j] = -responsibility * z * per_std[j] * spread.per[k];
            of.d_std[j] += responsibility * (1.0 - z * z) * per_std[j];
        }
    }
}

/// Derivatives by the concentrations.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn weight_gradient<const FMA: bool>(tile: &mut Tile, constants: &KlConstants, drawn: bool, joint: bool) {
    let [of_u, of_s] = &tile.species;
    let share = if joint { 0.5 } else { 1.0 };
    let weights = &tile.weights;
    let (mut total, mut total_weight) = (ZERO, ZERO);
    let mut weight = [ZERO; STATES];
    for k in 0..STATES {
        for j in 0..TILE {
            let told_apart = !drawn || weights.ln_pi[k][j] > LEAST_LN_WEIGHT;
            let responsibility = share * (of_u.responsibility[k][j] + of_s.responsibility[k][j]);
            weight[k][j] = if told_apart { responsibility } else { 0.0 };
            total_weight[j] += weight[k][j];
            total[j] += tile.concentration[k][j];
        }
    }
    let states = STATES as f32;
    for k in 0..STATES {
        for j in 0..TILE {
            let weight = weight[k][j];
            let a = tile.concentration[k][j];
            let (trigamma, trigamma_total) = (weights.trigamma[k][j], weights.trigamma_total[j]);
            let of_likelihood = if drawn {
                let (pi, _) = exp_and_m1::<FMA>(weights.ln_pi[k][j]);
                (pi * total_weight[j] - weight) * weights.slope[k][j]
            } else {
                total_weight[j] * trigamma_total - weight * trigamma
            };
            let of_kl = (a - constants.prior) * trigamma - (total[j] - states * constants.prior) * trigamma_total;
            tile.d_concentration[k][j] = of_likelihood + constants.weight * of_kl;
        }
    }
}

/// From the derivatives by the means to those by the inputs.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(super) fn chain(tile: &mut Tile, genes: &GeneTile, t_max: f32) {
    let [of_u, of_s] = &tile.species;
    let (on, off) = (&tile.induction, &tile.repression);
    for j in 0..TILE {
        let (du_1, ds_1) = (of_u.d_mean[0][j], of_s.d_mean[0][j]);
        let (du_3, ds_3) = (of_u.d_mean[2][j], of_s.d_mean[2][j]);
        let dt_1 = du_1 * on.u_t[j] + ds_1 * on.s_t[j];
        let dt_3 = du_3 * off.u_t[j] + ds_3 * off.s_t[j];
        tile.d_rho[j] = dt_1 * genes.t_switch[j];
        tile.d_tau[j] = dt_3 * (t_max - genes.t_switch[j]);
        let rows = &mut tile.d_rows;
        rows[0][j] = du_1 * on.u_alpha[j] + ds_1 * on.s_alpha[j];
        rows[1][j] = du_1 * on.u_beta[j] + ds_1 * on.s_beta[j] + du_3 * off.u_beta[j] + ds_3 * off.s_beta[j];
        rows[2][j] = ds_1 * on.s_gamma[j] + ds_3 * off.s_gamma[j];
        rows[3][j] = dt_1 * tile.rho[j] - dt_3 * tile.tau[j];
        rows[4][j] = of_u.d_mean[1][j];
        rows[5][j] = of_s.d_mean[1][j];
        rows[6][j] = du_3 * off.u_u0[j] + ds_3 * off.s_u0[j];
        rows[7][j] = ds_3 * off.s_s0[j];
        rows[8][j] = of_u.d_std[j];
        rows[9][j] = of_s.d_std[j];
    }
}

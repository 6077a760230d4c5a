//! [`crate::nn::fused::four_states::states_loss`] on a GPU.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use super::advance::advance;
use super::gamma::gamma_functions;
use super::noise::ln_gamma_draw;
use super::{CELLS, blocks, constant, empty, in_order, tensor, threads, tracked, with_gradients};
use crate::nn::dirichlet::LEAST_LN_WEIGHT;
use crate::nn::fused::four_states::{FourStates, LEAST_LN_DENSITY, Mixture, ROWS, StatesLoss, Weights};

/// What is summed over cells: the derivatives by the rows, NLL and KL.
const SUMS: usize = ROWS + 2;

/// What is the same for all genes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    t_max: f32,
    mixture: Mixture,
    weights: Weights,
}

/// The kernel as an operation of the backend.
#[backend_extension(Cube, Fusion)]
pub(super) trait StatesKernel: Backend {
    /// Derivatives by the concentrations, ρ and τ, of their shapes, and the sums of every block, `[n_blocks, 12, n_genes]`.
    ///
    /// - `concentration`: `[n_cells, 4, n_genes]`; `rows`: `[10, n_genes]`; the others: `[n_cells, n_genes]`
    #[fusion(meta = |concentration, rho, tau, _, _, _, _| {
        let sums = TensorSpec::new(sums_of(&rho.shape), rho.dtype);
        (concentration.clone(), rho.clone(), tau.clone(), sums)
    })]
    fn states(
        concentration: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        tau: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        u: FloatTensor<Self>,
        s: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn sums_of(shape: &Shape) -> Shape {
    Shape::from(vec![blocks(shape[0]), SUMS, shape[1]])
}

impl StatesKernel for CubeBackend {
    fn states(
        concentration: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        tau: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        u: FloatTensor<Self>,
        s: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [concentration, rho, tau, rows, u, s] = in_order([concentration, rho, tau, rows, u, s]);
        let shape = rho.meta.shape().clone();
        let d_concentration = empty(&rho, concentration.meta.shape().clone());
        let [d_rho, d_tau] = [(); 2].map(|()| empty(&rho, shape.clone()));
        let sums = empty(&rho, sums_of(&shape));
        let (count, dim) = threads(shape[0], shape[1]);
        let client = rho.client.clone();
        let Settings { t_max, mixture: Mixture { spread, prior, joint, kl_weight }, weights } = settings;
        let [spread_1, spread_2, spread_3, spread_4] = spread.map(|factor| factor as f32);
        let (drawn, seed) = match weights {
            Weights::Bounded => (false, 0),
            Weights::Drawn(seed) => (true, seed),
        };
        let constant = 4.0 * libm::lgamma(prior) - libm::lgamma(4.0 * prior);
        states_kernel::launch(
            &client,
            count,
            dim,
            concentration.into_buffer_arg(),
            rho.into_buffer_arg(),
            tau.into_buffer_arg(),
            rows.into_buffer_arg(),
            u.into_buffer_arg(),
            s.into_buffer_arg(),
            d_concentration.clone().into_buffer_arg(),
            d_rho.clone().into_buffer_arg(),
            d_tau.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            ScalarsLaunch::new(
                shape[0] as u32,
                shape[1] as u32,
                t_max,
                spread_1,
                spread_2,
                spread_3,
                spread_4,
                prior as f32,
                constant as f32,
                kl_weight as f32,
                seed as u32,
                (seed >> 32) as u32,
            ),
            joint,
            drawn,
        );
        (d_concentration, d_rho, d_tau, sums)
    }
}

/// Numbers that a kernel is handed.
#[derive(CubeLaunch, CubeType)]
struct Scalars {
    n_cells: u32,
    n_genes: u32,
    t_max: f32,
    spread_1: f32,
    spread_2: f32,
    spread_3: f32,
    spread_4: f32,
    prior: f32,
    /// `4 ln Γ(c) − ln Γ(4c)`.
    constant: f32,
    kl_weight: f32,
    seed_low: u32,
    seed_high: u32,
}

/// One gene of some cells: see [`StatesKernel::states`].
#[cube(launch)]
fn states_kernel(
    concentration: &[f32],
    rho: &[f32],
    tau: &[f32],
    rows: &[f32],
    u: &[f32],
    s: &[f32],
    d_concentration: &mut [f32],
    d_rho: &mut [f32],
    d_tau: &mut [f32],
    sums: &mut [f32],
    scalars: Scalars,
    #[comptime] joint: bool,
    #[comptime] drawn: bool,
) {
    let gene = ABSOLUTE_POS_X as usize;
    let block = ABSOLUTE_POS_Y as usize;
    let n = scalars.n_genes as usize;
    if gene >= n {
        terminate!();
    }
    let alpha = rows[gene];
    let beta = rows[n + gene];
    let gamma = rows[2 * n + gene];
    let t_switch = rows[3 * n + gene];
    let steady_u = rows[4 * n + gene];
    let steady_s = rows[5 * n + gene];
    let switch_u = rows[6 * n + gene];
    let switch_s = rows[7 * n + gene];
    let std_u = rows[8 * n + gene];
    let std_s = rows[9 * n + gene];
    let share = 1.0 / f32::cast_from(scalars.n_cells);

    let mut spread = Array::<f32>::new(4usize);
    spread[0] = scalars.spread_1;
    spread[1] = scalars.spread_2;
    spread[2] = scalars.spread_3;
    spread[3] = scalars.spread_4;
    let mut ln_spread = Array::<f32>::new(4usize);
    #[unroll]
    for k in 0..4usize {
        ln_spread[k] = spread[k].ln();
    }
    let mut total_rows = Array::<f32>::new(12usize);
    #[unroll]
    for row in 0..12usize {
        total_rows[row] = 0.0;
    }
    let mut a = Array::<f32>::new(4usize);
    let mut ln_pi = Array::<f32>::new(4usize);
    let mut slope = Array::<f32>::new(4usize);
    let mut trigamma = Array::<f32>::new(4usize);
    let mut weight = Array::<f32>::new(4usize);
    let mut z_u = Array::<f32>::new(4usize);
    let mut z_s = Array::<f32>::new(4usize);
    let mut ln_u = Array::<f32>::new(4usize);
    let mut ln_s = Array::<f32>::new(4usize);
    let mut r_u = Array::<f32>::new(4usize);
    let mut r_s = Array::<f32>::new(4usize);
    let mut d_mean_u = Array::<f32>::new(4usize);
    let mut d_mean_s = Array::<f32>::new(4usize);

    let first = block * CELLS;
    for cell in first..min(first + CELLS, scalars.n_cells as usize) {
        let at = cell * n + gene;
        let at_state = cell * 4 * n + gene;
        let rho_here = rho[at];
        let tau_here = tau[at];
        let on = advance(rho_here * t_switch, alpha, 0.0, 0.0, beta, gamma);
        let off = advance(tau_here * (scalars.t_max - t_switch), 0.0, switch_u, switch_s, beta, gamma);

        // KL, and E[ln π] or a draw of ln π.
        let mut total = 0.0_f32;
        #[unroll]
        for k in 0..4usize {
            a[k] = concentration[at_state + k * n];
            total += a[k];
        }
        let of_total = gamma_functions(total);
        let mut kl = of_total.ln_gamma + scalars.constant;
        #[unroll]
        for k in 0..4usize {
            let of = gamma_functions(a[k]);
            let mean_ln = of.digamma - of_total.digamma;
            ln_pi[k] = mean_ln;
            trigamma[k] = of.trigamma;
            kl += (a[k] - scalars.prior) * mean_ln - of.ln_gamma;
        }
        kl = max(kl, 0.0);
        if comptime!(drawn) {
            #[unroll]
            for k in 0..4usize {
                let position = (at_state + k * n) as u32;
                let draw = ln_gamma_draw(a[k], position, scalars.seed_low, scalars.seed_high);
                ln_pi[k] = draw.ln_z;
                slope[k] = draw.slope;
            }
            let ln_total = ln_sum_exp(&ln_pi);
            #[unroll]
            for k in 0..4usize {
                ln_pi[k] = max(ln_pi[k] - ln_total, LEAST_LN_WEIGHT);
            }
        }

        // Densities of the four states.
        #[unroll]
        for k in 0..4usize {
            let mut mean_u = 0.0_f32;
            let mut mean_s = 0.0_f32;
            if comptime!(k == 0) {
                mean_u = on.u;
                mean_s = on.s;
            }
            if comptime!(k == 1) {
                mean_u = steady_u;
                mean_s = steady_s;
            }
            if comptime!(k == 2) {
                mean_u = off.u;
                mean_s = off.s;
            }
            z_u[k] = (u[at] - mean_u) / (std_u * spread[k]);
            z_s[k] = (s[at] - mean_s) / (std_s * spread[k]);
            let half_ln_tau = 0.918_938_5_f32;
            ln_u[k] = max(-z_u[k] * z_u[k] / 2.0 - std_u.ln() - ln_spread[k] - half_ln_tau, LEAST_LN_DENSITY);
            ln_s[k] = max(-z_s[k] * z_s[k] / 2.0 - std_s.ln() - ln_spread[k] - half_ln_tau, LEAST_LN_DENSITY);
        }

        // Responsibilities.
        let mut nll = 0.0_f32;
        if comptime!(joint) {
            #[unroll]
            for k in 0..4usize {
                r_u[k] = ln_pi[k] + ln_u[k] + ln_s[k];
            }
            let ln_likelihood = ln_sum_exp(&r_u);
            nll -= ln_likelihood;
            #[unroll]
            for k in 0..4usize {
                r_u[k] = (r_u[k] - ln_likelihood).exp();
                r_s[k] = r_u[k];
            }
        } else {
            #[unroll]
            for k in 0..4usize {
                r_u[k] = ln_pi[k] + ln_u[k];
                r_s[k] = ln_pi[k] + ln_s[k];
            }
            let of_u = ln_sum_exp(&r_u);
            let of_s = ln_sum_exp(&r_s);
            nll -= of_u + of_s;
            #[unroll]
            for k in 0..4usize {
                r_u[k] = (r_u[k] - of_u).exp();
                r_s[k] = (r_s[k] - of_s).exp();
            }
        }

        // By means and σ.
        let mut d_std_u = 0.0_f32;
        let mut d_std_s = 0.0_f32;
        #[unroll]
        for k in 0..4usize {
            let told_u = select(ln_u[k] > LEAST_LN_DENSITY, r_u[k], 0.0_f32);
            let told_s = select(ln_s[k] > LEAST_LN_DENSITY, r_s[k], 0.0_f32);
            d_mean_u[k] = -told_u * z_u[k] / (std_u * spread[k]);
            d_mean_s[k] = -told_s * z_s[k] / (std_s * spread[k]);
            d_std_u += told_u * (1.0 - z_u[k] * z_u[k]) / std_u;
            d_std_s += told_s * (1.0 - z_s[k] * z_s[k]) / std_s;
        }

        // By the concentrations.
        let both = if comptime!(joint) { 0.5_f32 } else { 1.0_f32 };
        let mut total_weight = 0.0_f32;
        #[unroll]
        for k in 0..4usize {
            weight[k] = both * (r_u[k] + r_s[k]);
            if comptime!(drawn) {
                weight[k] = select(ln_pi[k] > LEAST_LN_WEIGHT, weight[k], 0.0_f32);
            }
            total_weight += weight[k];
        }
        #[unroll]
        for k in 0..4usize {
            let mut of_likelihood = total_weight * of_total.trigamma - weight[k] * trigamma[k];
            if comptime!(drawn) {
                of_likelihood = (ln_pi[k].exp() * total_weight - weight[k]) * slope[k];
            }
            let of_kl = (a[k] - scalars.prior) * trigamma[k] - (total - 4.0 * scalars.prior) * of_total.trigamma;
            d_concentration[at_state + k * n] = (of_likelihood + scalars.kl_weight * of_kl) * share;
        }

        // By what the means follow from.
        let dt_1 = d_mean_u[0] * on.u_tau + d_mean_s[0] * on.s_tau;
        let dt_3 = d_mean_u[2] * off.u_tau + d_mean_s[2] * off.s_tau;
        d_rho[at] = dt_1 * t_switch * share;
        d_tau[at] = dt_3 * (scalars.t_max - t_switch) * share;
        total_rows[0] += d_mean_u[0] * on.made + d_mean_s[0] * on.psi;
        total_rows[1] +=
            d_mean_u[0] * on.u_beta + d_mean_s[0] * on.s_beta + d_mean_u[2] * off.u_beta + d_mean_s[2] * off.s_beta;
        total_rows[2] += d_mean_s[0] * on.s_gamma + d_mean_s[2] * off.s_gamma;
        total_rows[3] += dt_1 * rho_here - dt_3 * tau_here;
        total_rows[4] += d_mean_u[1];
        total_rows[5] += d_mean_s[1];
        total_rows[6] += d_mean_u[2] * off.exp_beta + d_mean_s[2] * off.s_u0;
        total_rows[7] += d_mean_s[2] * off.exp_gamma;
        total_rows[8] += d_std_u;
        total_rows[9] += d_std_s;
        total_rows[10] += nll;
        total_rows[11] += kl;
    }
    let to = block * 12 * n + gene;
    #[unroll]
    for row in 0..12usize {
        sums[to + row * n] = total_rows[row] * share;
    }
}

/// `ln Σ_k exp x_k`.
#[cube]
fn ln_sum_exp(x: &Array<f32>) -> f32 {
    let largest = max(max(x[0], x[1]), max(x[2], x[3]));
    let total = (x[0] - largest).exp() + (x[1] - largest).exp() + (x[2] - largest).exp() + (x[3] - largest).exp();
    largest + total.ln()
}

/// See [`crate::nn::fused::four_states::states_loss`]. All tensors are on a GPU, and transcription is constant.
pub(in crate::nn::fused) fn states_loss(
    states: &FourStates,
    u: Tensor<2>,
    s: Tensor<2>,
    mixture: &Mixture,
    weights: Weights,
) -> StatesLoss {
    let FourStates { concentration, rho, tau, .. } = states;
    let rows = states.rows().map(Clone::clone);
    let (d_concentration, d_rho, d_tau, sums) = Cube::states(
        constant(concentration.clone()),
        constant(rho.clone()),
        constant(tau.clone()),
        constant::<2>(Tensor::cat(rows.clone().map(Tensor::without_autodiff).to_vec(), 0)),
        constant(u),
        constant(s),
        Settings { t_max: states.t_max as f32, mixture: *mixture, weights },
    );
    let sums: Tensor<2> = tensor::<3>(sums).sum_dim(0).squeeze_dim(0);
    let row = |row: usize| sums.clone().narrow(0, row, 1);
    let (nll, kl) = (row(ROWS).sum(), row(ROWS + 1).sum());
    let total = nll.clone() + kl.clone() * mixture.kl_weight;
    if !concentration.is_tracked() && !rows.iter().chain([rho, tau]).any(Tensor::is_tracked) {
        return StatesLoss { total, nll, kl };
    }
    let [of_0, of_1, of_2, of_3, of_4, of_5, of_6, of_7, of_8, of_9] =
        std::array::from_fn(|index| constant(row(index)));
    let gradients = [d_concentration, d_rho, d_tau, of_0, of_1, of_2, of_3, of_4, of_5, of_6, of_7, of_8, of_9];
    let mut matrices = [rho, tau].into_iter().chain(&rows).cloned();
    let inputs = std::array::from_fn(|index| match index {
        0 => tracked(concentration.clone()),
        _ => tracked(matrices.next().expect("rho, tau and the rows")),
    });
    StatesLoss { total: with_gradients(total, inputs, gradients), nll, kl }
}

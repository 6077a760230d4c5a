//! [`crate::nn::fused::four_states::states_loss`] on a GPU.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use super::advance::advance;
use super::mixture::{by_concentrations, by_means, densities, divergence, draw, responsibilities};
use super::{CELLS, blocks, constant, empty, in_order, tensor, threads, tracked, with_gradients};
use crate::nn::fused::four_states::{FourStates, Mixture, ROWS, STATES, StatesLoss, Weights};

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
    scalars: &Scalars,
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
    let switch_u = rows[6 * n + gene];
    let switch_s = rows[7 * n + gene];
    let std_u = rows[8 * n + gene];
    let std_s = rows[9 * n + gene];
    let share = 1.0 / f32::cast_from(scalars.n_cells);

    let mut spread = Array::<f32>::new(STATES);
    spread[0] = scalars.spread_1;
    spread[1] = scalars.spread_2;
    spread[2] = scalars.spread_3;
    spread[3] = scalars.spread_4;
    let mut totals = Array::<f32>::new(SUMS);
    #[unroll]
    for row in 0..SUMS {
        totals[row] = 0.0;
    }
    let mut means_u = Array::<f32>::new(STATES);
    means_u[1] = rows[4 * n + gene];
    means_u[3] = 0.0;
    let mut means_s = Array::<f32>::new(STATES);
    means_s[1] = rows[5 * n + gene];
    means_s[3] = 0.0;
    let mut a = Array::<f32>::new(STATES);
    let mut ln_pi = Array::<f32>::new(STATES);
    let mut slope = Array::<f32>::new(STATES);
    let mut trigamma = Array::<f32>::new(STATES);
    let mut weight = Array::<f32>::new(STATES);
    let mut z_u = Array::<f32>::new(STATES);
    let mut z_s = Array::<f32>::new(STATES);
    let mut ln_u = Array::<f32>::new(STATES);
    let mut ln_s = Array::<f32>::new(STATES);
    let mut r_u = Array::<f32>::new(STATES);
    let mut r_s = Array::<f32>::new(STATES);
    let mut d_u = Array::<f32>::new(STATES);
    let mut d_s = Array::<f32>::new(STATES);

    let first = block * CELLS;
    for cell in first..min(first + CELLS, scalars.n_cells as usize) {
        let at = cell * n + gene;
        let at_state = cell * STATES * n + gene;
        #[unroll]
        for k in 0..STATES {
            a[k] = concentration[at_state + k * n];
        }
        let of = divergence(&a, scalars.prior, scalars.constant, &mut ln_pi, &mut trigamma);
        if drawn {
            draw(&a, at_state, n, scalars.seed_low, scalars.seed_high, &mut ln_pi, &mut slope);
        }

        let rho_here = rho[at];
        let tau_here = tau[at];
        let on = advance(rho_here * t_switch, alpha, 0.0, 0.0, beta, gamma);
        let off = advance(tau_here * (scalars.t_max - t_switch), 0.0, switch_u, switch_s, beta, gamma);
        means_u[0] = on.u;
        means_u[2] = off.u;
        means_s[0] = on.s;
        means_s[2] = off.s;
        densities(u[at], std_u, &means_u, &spread, &mut z_u, &mut ln_u);
        densities(s[at], std_s, &means_s, &spread, &mut z_s, &mut ln_s);

        totals[ROWS] -= responsibilities(&ln_pi, &ln_u, &ln_s, &mut r_u, &mut r_s, &mut weight, joint);
        totals[ROWS + 1] += of.kl;
        totals[8] += by_means(&r_u, &ln_u, &z_u, std_u, &spread, &mut d_u);
        totals[9] += by_means(&r_s, &ln_s, &z_s, std_s, &spread, &mut d_s);
        let (prior, kl_weight) = (scalars.prior, scalars.kl_weight);
        by_concentrations(&a, &of, prior, kl_weight, &ln_pi, &slope, &trigamma, &mut weight, drawn);
        #[unroll]
        for k in 0..STATES {
            d_concentration[at_state + k * n] = weight[k] * share;
        }

        // By what the means follow from.
        let dt_1 = d_u[0] * on.u_tau + d_s[0] * on.s_tau;
        let dt_3 = d_u[2] * off.u_tau + d_s[2] * off.s_tau;
        d_rho[at] = dt_1 * t_switch * share;
        d_tau[at] = dt_3 * (scalars.t_max - t_switch) * share;
        totals[0] += d_u[0] * on.made + d_s[0] * on.psi;
        totals[1] += d_u[0] * on.u_beta + d_s[0] * on.s_beta + d_u[2] * off.u_beta + d_s[2] * off.s_beta;
        totals[2] += d_s[0] * on.s_gamma + d_s[2] * off.s_gamma;
        totals[3] += dt_1 * rho_here - dt_3 * tau_here;
        totals[4] += d_u[1];
        totals[5] += d_s[1];
        totals[6] += d_u[2] * off.exp_beta + d_s[2] * off.s_u0;
        totals[7] += d_s[2] * off.exp_gamma;
    }
    let to = block * SUMS * n + gene;
    #[unroll]
    for row in 0..SUMS {
        sums[to + row * n] = totals[row] * share;
    }
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
    StatesLoss { total: with_gradients(total, &inputs, gradients), nll, kl }
}

//! [`crate::nn::fused::kinetic_nll`] on a GPU.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use super::advance::advance;
use super::{CELLS, blocks, constant, empty, in_order, tensor, threads, tracked, with_gradients};
use crate::nn::fused::{KineticNll, Kinetics, Observed, half_ln_tau};

/// Rows of what is summed over cells: derivatives by β and γ, `z²` of u and of s.
const SUMS: usize = 4;

/// The kernel as an operation of the backend.
#[backend_extension(Cube, Fusion)]
pub(super) trait GaussianKernel: Backend {
    /// Derivatives by τ, α, u₀ and s₀, `[n_cells, n_genes]` each, and the sums of every block, `[n_blocks, 4, n_genes]`.
    ///
    /// - `tau`: `[n_cells, 1]` or `[n_cells, n_genes]`; `rows`: β, γ, scaling, `σ_u` and `σ_s`, `[5, n_genes]`; the others:
    ///   `[n_cells, n_genes]`
    #[fusion(meta = |_, alpha, _, _, _, _, _| gradients_and_sums(alpha))]
    fn gaussian(
        tau: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        u0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        u: FloatTensor<Self>,
        s: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

type Specs = (TensorSpec, TensorSpec, TensorSpec, TensorSpec, TensorSpec);

fn gradients_and_sums(alpha: &TensorSpec) -> Specs {
    let sums = TensorSpec::new(sums_of(&alpha.shape), alpha.dtype);
    (alpha.clone(), alpha.clone(), alpha.clone(), alpha.clone(), sums)
}

fn sums_of(shape: &Shape) -> Shape {
    Shape::from(vec![blocks(shape[0]), SUMS, shape[1]])
}

impl GaussianKernel for CubeBackend {
    fn gaussian(
        tau: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        u0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        u: FloatTensor<Self>,
        s: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [tau, alpha, u0, s0, rows, u, s] = in_order([tau, alpha, u0, s0, rows, u, s]);
        let shape = alpha.meta.shape().clone();
        let (n_cells, n_genes) = (shape[0], shape[1]);
        let [d_tau, d_alpha, d_u0, d_s0] = [(); 4].map(|()| empty(&alpha, shape.clone()));
        let sums = empty(&alpha, sums_of(&shape));
        let (count, dim) = threads(n_cells, n_genes);
        let tau_per_gene = tau.meta.shape()[1] == n_genes;
        let client = alpha.client.clone();
        gaussian_kernel::launch(
            &client,
            count,
            dim,
            tau.into_buffer_arg(),
            alpha.into_buffer_arg(),
            u0.into_buffer_arg(),
            s0.into_buffer_arg(),
            rows.into_buffer_arg(),
            u.into_buffer_arg(),
            s.into_buffer_arg(),
            d_tau.clone().into_buffer_arg(),
            d_alpha.clone().into_buffer_arg(),
            d_u0.clone().into_buffer_arg(),
            d_s0.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            n_cells as u32,
            n_genes as u32,
            tau_per_gene,
        );
        (d_tau, d_alpha, d_u0, d_s0, sums)
    }
}

/// One gene of some cells: see [`GaussianKernel::gaussian`].
#[cube(launch)]
fn gaussian_kernel(
    tau: &[f32],
    alpha: &[f32],
    u0: &[f32],
    s0: &[f32],
    rows: &[f32],
    u: &[f32],
    s: &[f32],
    d_tau: &mut [f32],
    d_alpha: &mut [f32],
    d_u0: &mut [f32],
    d_s0: &mut [f32],
    sums: &mut [f32],
    n_cells: u32,
    n_genes: u32,
    #[comptime] tau_per_gene: bool,
) {
    let gene = ABSOLUTE_POS_X as usize;
    let block = ABSOLUTE_POS_Y as usize;
    let n = n_genes as usize;
    if gene >= n {
        terminate!();
    }
    let beta = rows[gene];
    let gamma = rows[n + gene];
    let scaling = rows[2 * n + gene];
    let per_sigma_u = 1.0 / rows[3 * n + gene];
    let per_sigma_s = 1.0 / rows[4 * n + gene];
    let share = 1.0 / f32::cast_from(n_cells);
    let mut d_beta = 0.0_f32;
    let mut d_gamma = 0.0_f32;
    let mut z2_u = 0.0_f32;
    let mut z2_s = 0.0_f32;
    let first = block * CELLS;
    for cell in first..min(first + CELLS, n_cells as usize) {
        let at = cell * n + gene;
        let t = if comptime!(tau_per_gene) { tau[at] } else { tau[cell] };
        let hat = advance(t, alpha[at], u0[at], s0[at], beta, gamma);
        let z_u = (u[at] - hat.u * scaling) * per_sigma_u;
        let z_s = (s[at] - hat.s) * per_sigma_s;
        z2_u += z_u * z_u;
        z2_s += z_s * z_s;
        let du = -z_u * scaling * per_sigma_u * share;
        let ds = -z_s * per_sigma_s * share;
        d_alpha[at] = du * hat.made + ds * hat.psi;
        d_u0[at] = du * hat.exp_beta + ds * hat.s_u0;
        d_s0[at] = ds * hat.exp_gamma;
        d_tau[at] = du * hat.u_tau + ds * hat.s_tau;
        d_beta += du * hat.u_beta + ds * hat.s_beta;
        d_gamma += ds * hat.s_gamma;
    }
    let to = block * SUMS * n + gene;
    sums[to] = d_beta;
    sums[to + n] = d_gamma;
    sums[to + 2 * n] = z2_u;
    sums[to + 3 * n] = z2_s;
}

/// See [`crate::nn::fused::kinetic_nll`]. All tensors are on a GPU.
pub(in crate::nn::fused) fn kinetic_nll(kinetics: Kinetics, observed: Observed) -> KineticNll {
    let [n_cells, n_genes] = observed.u.dims();
    let Kinetics { tau, alpha, start, beta, gamma } = kinetics;
    let sigmas = [&observed.sigma_u, &observed.sigma_s].map(|sigma| sigma.clone().without_autodiff());
    let per_gene = [&observed.scaling, &observed.sigma_u, &observed.sigma_s].map(|row| row.clone().unsqueeze());
    let rows = [beta.clone(), gamma.clone()].into_iter().chain(per_gene).map(Tensor::without_autodiff).collect();
    let nothing = || Tensor::zeros([n_cells, n_genes], &alpha.device().inner());
    let (u0, s0) = start.clone().unwrap_or_else(|| (nothing(), nothing()));
    let (d_tau, d_alpha, d_u0, d_s0, sums) = Cube::gaussian(
        constant(tau.clone()),
        constant(alpha.clone()),
        constant(u0),
        constant(s0),
        constant::<2>(Tensor::cat(rows, 0)),
        constant(observed.u),
        constant(observed.s),
    );
    let sums: Tensor<2> = tensor::<3>(sums).sum_dim(0).squeeze_dim(0);
    let part = |row: usize, sigma: &Tensor<1>| {
        let z2 = sums.clone().narrow(0, row, 1).sum();
        z2 * (0.5 / n_cells as f64) + sigma.clone().log().sum() + half_ln_tau() * n_genes as f64
    };
    let (unspliced, spliced) = (part(2, &sigmas[0]), part(3, &sigmas[1]));
    let total = unspliced.clone() + spliced.clone();
    let d_tau = match tau.dims()[1] == n_genes {
        true => d_tau,
        false => constant(tensor::<2>(d_tau).sum_dim(1)),
    };
    let [d_beta, d_gamma] = [0, 1].map(|row| constant(sums.clone().narrow(0, row, 1)));
    let gradients = [d_tau, d_alpha, d_beta, d_gamma];
    let inputs = [tau, alpha, beta, gamma];
    let is_tracked = inputs.iter().chain(start.iter().flat_map(|(u0, s0)| [u0, s0])).any(Tensor::is_tracked);
    let total = match (is_tracked, start) {
        (false, _) => total,
        (true, None) => with_gradients(total, &inputs.map(tracked), gradients),
        (true, Some((u0, s0))) => {
            let ([tau, alpha, beta, gamma], [d_tau, d_alpha, d_beta, d_gamma]) = (inputs, gradients);
            let inputs = [tau, alpha, beta, gamma, u0, s0].map(tracked);
            with_gradients(total, &inputs, [d_tau, d_alpha, d_beta, d_gamma, d_u0, d_s0])
        }
    };
    KineticNll { total, unspliced, spliced }
}

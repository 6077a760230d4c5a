//! [`crate::nn::fused::solve::solve`] on a GPU.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Cube, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use super::advance::advance;
use super::{CELLS, Primitive, constant, empty, in_order, tensor, threads, tracked};

/// The kernels as operations of the backend. `tau`: `[n, 1]` or `[n, n_genes]`; `beta`, `gamma`: `[1, n_genes]` or `[n, n_genes]`; the
/// others: `[n, n_genes]`.
#[backend_extension(Cube, Fusion)]
pub(super) trait SolveKernels: Backend {
    /// u above s, `[2 n, n_genes]`.
    #[fusion(meta = |_, u0, _, _, _, _| TensorSpec::new(both(&u0.shape), u0.dtype))]
    fn state(
        tau: FloatTensor<Self>,
        u0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Derivatives by the inputs in their order, `[n, n_genes]` each, from those by the state, `outer`.
    #[fusion(meta = |_, u0, _, _, _, _, _| {
        let like = || u0.clone();
        (like(), like(), like(), like(), like(), like())
    })]
    fn state_derivatives(
        tau: FloatTensor<Self>,
        u0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        outer: FloatTensor<Self>,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
}

fn both(shape: &Shape) -> Shape {
    Shape::from(vec![2 * shape[0], shape[1]])
}

impl SolveKernels for CubeBackend {
    fn state(
        tau: FloatTensor<Self>,
        u0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [tau, u0, s0, alpha, beta, gamma] = in_order([tau, u0, s0, alpha, beta, gamma]);
        let shape = u0.meta.shape().clone();
        let output = empty(&u0, both(&shape));
        let (count, dim) = threads(shape[0], shape[1]);
        let (of_tau, of_rates) = (per_gene(&tau, shape[1]), per_cell(&beta, shape[0]));
        let client = u0.client.clone();
        state_kernel::launch(
            &client,
            count,
            dim,
            tau.into_buffer_arg(),
            u0.into_buffer_arg(),
            s0.into_buffer_arg(),
            alpha.into_buffer_arg(),
            beta.into_buffer_arg(),
            gamma.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            shape[0] as u32,
            shape[1] as u32,
            of_tau,
            of_rates,
        );
        output
    }

    fn state_derivatives(
        tau: FloatTensor<Self>,
        u0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        outer: FloatTensor<Self>,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        let [tau, u0, s0, alpha, beta, gamma, outer] = in_order([tau, u0, s0, alpha, beta, gamma, outer]);
        let shape = u0.meta.shape().clone();
        let outputs = [(); 6].map(|()| empty(&u0, shape.clone()));
        let (count, dim) = threads(shape[0], shape[1]);
        let (of_tau, of_rates) = (per_gene(&tau, shape[1]), per_cell(&beta, shape[0]));
        let client = u0.client.clone();
        let [d_tau, d_u0, d_s0, d_alpha, d_beta, d_gamma] = outputs.clone().map(CubeTensor::into_buffer_arg);
        derivatives_kernel::launch(
            &client,
            count,
            dim,
            tau.into_buffer_arg(),
            u0.into_buffer_arg(),
            s0.into_buffer_arg(),
            alpha.into_buffer_arg(),
            beta.into_buffer_arg(),
            gamma.into_buffer_arg(),
            outer.into_buffer_arg(),
            d_tau,
            d_u0,
            d_s0,
            d_alpha,
            d_beta,
            d_gamma,
            shape[0] as u32,
            shape[1] as u32,
            of_tau,
            of_rates,
        );
        outputs.into()
    }
}

fn per_gene(tau: &FloatTensor<CubeBackend>, n_genes: usize) -> bool {
    tau.meta.shape()[1] == n_genes
}

fn per_cell(rate: &FloatTensor<CubeBackend>, n: usize) -> bool {
    rate.meta.shape()[0] == n
}

/// One gene of some cells: see [`SolveKernels::state`].
#[cube(launch)]
fn state_kernel(
    tau: &[f32],
    u0: &[f32],
    s0: &[f32],
    alpha: &[f32],
    beta: &[f32],
    gamma: &[f32],
    output: &mut [f32],
    n_cells: u32,
    n_genes: u32,
    #[comptime] tau_per_gene: bool,
    #[comptime] rates_per_cell: bool,
) {
    let gene = ABSOLUTE_POS_X as usize;
    let n = n_genes as usize;
    let cells = n_cells as usize;
    if gene >= n {
        terminate!();
    }
    let first = ABSOLUTE_POS_Y as usize * CELLS;
    for cell in first..min(first + CELLS, cells) {
        let at = cell * n + gene;
        let t = if comptime!(tau_per_gene) { tau[at] } else { tau[cell] };
        let of_rate = if comptime!(rates_per_cell) { at } else { gene };
        let state = advance(t, alpha[at], u0[at], s0[at], beta[of_rate], gamma[of_rate]);
        output[at] = state.u;
        output[cells * n + at] = state.s;
    }
}

/// One gene of some cells: see [`SolveKernels::state_derivatives`].
#[cube(launch)]
fn derivatives_kernel(
    tau: &[f32],
    u0: &[f32],
    s0: &[f32],
    alpha: &[f32],
    beta: &[f32],
    gamma: &[f32],
    outer: &[f32],
    d_tau: &mut [f32],
    d_u0: &mut [f32],
    d_s0: &mut [f32],
    d_alpha: &mut [f32],
    d_beta: &mut [f32],
    d_gamma: &mut [f32],
    n_cells: u32,
    n_genes: u32,
    #[comptime] tau_per_gene: bool,
    #[comptime] rates_per_cell: bool,
) {
    let gene = ABSOLUTE_POS_X as usize;
    let n = n_genes as usize;
    let cells = n_cells as usize;
    if gene >= n {
        terminate!();
    }
    let first = ABSOLUTE_POS_Y as usize * CELLS;
    for cell in first..min(first + CELLS, cells) {
        let at = cell * n + gene;
        let t = if comptime!(tau_per_gene) { tau[at] } else { tau[cell] };
        let of_rate = if comptime!(rates_per_cell) { at } else { gene };
        let state = advance(t, alpha[at], u0[at], s0[at], beta[of_rate], gamma[of_rate]);
        let du = outer[at];
        let ds = outer[cells * n + at];
        d_tau[at] = du * state.u_tau + ds * state.s_tau;
        d_u0[at] = du * state.exp_beta + ds * state.s_u0;
        d_s0[at] = ds * state.exp_gamma;
        d_alpha[at] = du * state.made + ds * state.psi;
        d_beta[at] = du * state.u_beta + ds * state.s_beta;
        d_gamma[at] = ds * state.s_gamma;
    }
}

/// u above s, `[2 n, n_genes]`, of τ, u₀, s₀, α, β, γ as in [`SolveKernels`]. All tensors are on a GPU.
pub(in crate::nn::fused) fn solve(inputs: [Tensor<2>; 6]) -> Tensor<2> {
    if !inputs.iter().any(Tensor::is_tracked) {
        return tensor(state(inputs.map(constant)));
    }
    let inputs = inputs.map(tracked);
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<Cube>>::node);
    let primitives = inputs.map(FloatTensor::<Autodiff<Cube>>::into_primitive);
    let output = state(primitives.clone());
    let output = match StateBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(primitives, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Cube>>(output)
}

fn state([tau, u0, s0, alpha, beta, gamma]: [Primitive; 6]) -> Primitive {
    Cube::state(tau, u0, s0, alpha, beta, gamma)
}

/// The backward pass of [`SolveKernels::state`]: the derivatives are found again.
#[derive(Debug)]
struct StateBackward;

impl Backward<Cube, 6> for StateBackward {
    type State = [Primitive; 6];

    fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
        let outer = grads.consume::<Cube>(&ops.node);
        let shapes = ops.state.each_ref().map(|input| input.shape.clone());
        let [tau, u0, s0, alpha, beta, gamma] = ops.state;
        let gradients: [Primitive; 6] = Cube::state_derivatives(tau, u0, s0, alpha, beta, gamma, outer).into();
        for ((parent, gradient), shape) in ops.parents.into_iter().zip(gradients).zip(shapes) {
            let Some(node) = parent else { continue };
            let mut gradient = tensor::<2>(gradient);
            for axis in 0..2 {
                if shape[axis] < gradient.dims()[axis] {
                    gradient = gradient.sum_dim(axis);
                }
            }
            grads.register::<Cube>(node.id, constant(gradient));
        }
    }
}

//! The fused operations as kernels of GPUs, written in `CubeCL`: one source, which burn compiles to the shaders of the device.
//!
//! Written as tensor operations a likelihood costs some seventy launches, forward and backward; here it is one kernel that gives the
//! value and every gradient, and a few sums. The formulas are those of the CPU's kernels beside this folder, and the tests of twins
//! (`tests/twin`) hold both to the tensor operations.
//!
//! Each thread takes one gene of [`CELLS`] consecutive cells, so that neighbouring threads read neighbouring numbers, and adds up its
//! cells in order; the sums over the blocks of cells are tensor operations. Nothing depends on the order in which threads run.

#![allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::type_complexity,
    reason = "an array of a kernel is but a handle here, and operations of burn's backends return their tensors as tuples"
)]

mod advance;
mod counts;
mod gamma;
mod gaussian;
mod mixture;
mod noise;
mod solve;
mod states;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Cube, DispatchDevice};
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

pub(super) use counts::count_nll;
pub(super) use gaussian::kinetic_nll;
pub(super) use solve::solve;
pub(super) use states::states_loss;

use crate::nn::flex::is_whole_f32;

/// Cells per thread.
const CELLS: usize = 8;
/// Threads that run together, along the genes.
const WIDTH: usize = 64;

/// A tensor of the backend, outside gradients.
type Primitive = FloatTensor<Cube>;

/// Whether `tensor` is on a GPU, in a form that the kernels take.
pub(super) fn is_on_gpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    is_whole_f32(tensor) && matches!(tensor.device().inner().as_dispatch(), DispatchDevice::Cube(_))
}

/// The values, without their graph. `tensor` is on a GPU.
fn constant<const D: usize>(tensor: Tensor<D>) -> Primitive {
    tensor.without_autodiff().try_into_primitive::<Cube>().expect("a tensor on a GPU")
}

/// The tensor with its place in the graph. `tensor` is on a GPU.
fn tracked<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Autodiff<Cube>> {
    tensor.autodiff().try_into_primitive::<Autodiff<Cube>>().expect("a tensor on a GPU")
}

fn tensor<const D: usize>(primitive: Primitive) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(primitive)
}

/// `value`, `[1]`, with `gradients` by `inputs`, of their shapes.
fn with_gradients<const N: usize>(
    value: Tensor<1>,
    inputs: &[FloatTensor<Autodiff<Cube>>; N],
    gradients: [Primitive; N],
) -> Tensor<1> {
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<Cube>>::node);
    let value = constant(value);
    let value = match KnownGradients.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(gradients, value),
        OpsKind::UnTracked(prep) => prep.finish(value),
    };
    Tensor::from_primitive::<Autodiff<Cube>>(value)
}

/// Of an operation with one value, `[1]`, and `N` inputs, the gradients by which it keeps.
#[derive(Debug)]
struct KnownGradients;

impl<const N: usize> Backward<Cube, N> for KnownGradients {
    type State = [Primitive; N];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let outer = grads.consume::<Cube>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state) {
            let Some(node) = parent else { continue };
            let ones = Shape::from(vec![1; gradient.shape.num_dims()]);
            let outer = Cube::float_reshape(outer.clone(), ones);
            grads.register::<Cube>(node.id, Cube::float_mul(gradient, outer));
        }
    }
}

/// Number of blocks of cells.
fn blocks(n_cells: usize) -> usize {
    n_cells.div_ceil(CELLS)
}

/// Threads for every gene of every block.
fn threads(n_cells: usize, n_genes: usize) -> (CubeCount, CubeDim) {
    let count = CubeCount::Static(n_genes.div_ceil(WIDTH) as u32, blocks(n_cells) as u32, 1);
    (count, CubeDim::new_2d(WIDTH as u32, 1))
}

/// Memory for a result, beside `like`.
fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), DType::F32)
}

/// In row-major order, as the kernels read.
fn in_order<const N: usize>(tensors: [CubeTensor; N]) -> [CubeTensor; N] {
    tensors.map(into_contiguous)
}

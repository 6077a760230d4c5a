//! Direct access to the memory of tensors of burn's CPU backend, Flex, for operations of our own.

use std::sync::{Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, Flex};
use burn::tensor::{DType, GradientCheckpointingStrategy, Tensor};

/// Whether `tensor` holds f32 in the memory of Flex, outside autodiff or in a graph that keeps what
/// the backward pass needs (no gradient checkpointing): what the functions below ask for.
pub(crate) fn is_plain<const D: usize>(tensor: &Tensor<D>) -> bool {
    is_whole_f32(tensor) && matches!(tensor.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether `tensor` holds f32, outside autodiff or in a graph that keeps what the backward pass needs, on any device.
pub(crate) fn is_whole_f32<const D: usize>(tensor: &Tensor<D>) -> bool {
    let strategy = tensor.device().gradient_checkpointing_strategy().unwrap_or_default();
    tensor.dtype() == DType::F32 && strategy == GradientCheckpointingStrategy::default()
}

/// The values, without their graph, in row-major order. `tensor` is plain.
pub(crate) fn constant<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let primitive = tensor.without_autodiff().try_into_primitive::<Flex>();
    primitive.expect("a plain tensor").to_contiguous()
}

/// The tensor with its place in the graph. `tensor` is plain.
pub(crate) fn tracked<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Autodiff<Flex>> {
    let primitive = tensor.autodiff().try_into_primitive::<Autodiff<Flex>>();
    primitive.expect("a plain tensor")
}

/// The values of a tensor that is in row-major order, as [`constant`] gives.
pub(crate) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("f32 in row-major order")
}

/// As [`constant`], and as [`whole_primitive`].
pub(crate) fn whole<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    whole_primitive(constant(tensor))
}

/// `tensor` in row-major order, with nothing before or behind it in its memory, so that
/// [`slice_mut`] is exactly its values.
pub(crate) fn whole_primitive(tensor: FlexTensor) -> FlexTensor {
    let fills = tensor.layout().num_elements() == tensor.storage::<f32>().len();
    if fills && tensor.is_contiguous() { tensor } else { FlexTensor::from_data(tensor.into_data()) }
}

/// The values of a [`whole`] tensor, to write; copied first if another tensor shares them.
pub(crate) fn slice_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    tensor.storage_mut()
}

/// Numbers that a vector has at least to be kept: below, asking for new memory is cheaper.
const LEAST_KEPT: usize = 1 << 16;
/// Vectors that are kept at most: more than a network has wide layers.
const MOST_KEPT: usize = 16;

/// Memory of tensors that are used up, for others of the same size.
///
/// A step makes gradients as large as the weights and drops them. New memory for them has to be cleared, by the system or by us, on one
/// thread: a tenth of a step.
static KEPT: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A vector of `length` numbers, whatever they are: every one is to be written.
pub(crate) fn any_numbers(length: usize) -> Vec<f32> {
    if length >= LEAST_KEPT {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|vector| vector.len() == length) {
            return kept.swap_remove(at);
        }
    }
    vec![0.0; length]
}

/// Keeps the memory of `tensor` for [`any_numbers`] if nothing else holds it.
pub(crate) fn keep_memory(tensor: FlexTensor) {
    if tensor.layout().num_elements() < LEAST_KEPT || !tensor.is_unique() {
        return;
    }
    if let Ok(vector) = tensor.into_data().try_into_vec::<f32>() {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(vector);
        }
    }
}

/// Gives back what [`keep_memory`] has kept.
pub(crate) fn forget_memory() {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

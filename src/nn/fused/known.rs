//! The backward pass of an operation whose gradients are found with its value.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::TensorData;

use crate::nn::flex::slice;

/// Of an operation with one value, `[1]`, and `N` inputs, the gradients by which it keeps.
#[derive(Debug)]
pub(super) struct KnownGradients;

impl<const N: usize> Backward<Flex, N> for KnownGradients {
    type State = [FlexTensor; N];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let outer = grads.consume::<Flex>(&ops.node).to_contiguous();
        let outer = slice(&outer)[0];
        #[allow(clippy::float_cmp, reason = "saves a pass over the gradients where the loss is not scaled")]
        let is_one = outer == 1.0;
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let Some(node) = parent {
                let gradient = if is_one { gradient } else { Flex::float_mul_scalar(gradient, outer.into()) };
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// `gradients` as tensors of the shapes of the inputs.
pub(super) fn shaped<const N: usize>(
    gradients: impl Iterator<Item = Vec<f32>>,
    inputs: &[FlexTensor; N],
) -> [FlexTensor; N] {
    let mut pairs = gradients.zip(inputs);
    std::array::from_fn(|_| {
        let (values, input) = pairs.next().expect("a gradient for each input");
        FlexTensor::from_data(TensorData::new(values, input.layout().shape().clone()))
    })
}

//! [`super::dense`] on Flex.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Shape, Tensor, TensorData};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::blocks::{both, in_order};
use crate::nn::flex::{any_numbers, constant, is_plain, slice, slice_mut, tracked, whole_primitive};
use crate::simd::{Vectorized, exp_and_m1, ln, vectorize};

/// Columns or rows of a product per task of the thread pool: enough that cutting it up costs 5 %. A product that has no more is
/// cut in two.
const BLOCK: usize = 256;
/// Multiplications of a product that is worth more than one thread.
const LEAST_SHARED: usize = 1 << 21;
/// Numbers per task of an activation, which costs some 20 µs.
const TASK: usize = 1 << 15;

pub(super) fn supports(x: &Tensor<2>) -> bool {
    is_plain(x)
}

pub(super) fn supports_linear(x: &Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>) -> bool {
    is_plain(x) && is_plain(weight) && is_plain(bias)
}

/// `x w + b`; see [`supports_linear`].
pub(super) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    if !(x.is_tracked() || weight.is_tracked() || bias.is_tracked()) {
        let output = affine(&constant(x), &constant(weight), &constant(bias));
        return Tensor::from_primitive::<Flex>(output);
    }
    let (x, weight, bias) = (tracked(x), tracked(weight), tracked(bias));
    let nodes = [x.node(), weight.node(), bias.node()];
    let [x, weight, bias] = [x, weight, bias].map(|input| input.into_primitive().to_contiguous());
    let output = affine(&x, &weight, &bias);
    let output = match LinearBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((x, weight), output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// `left right`; both are plain and not tracked.
pub(super) fn untracked_product(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    let (left, right) = (constant(left), constant(right));
    let (left, right) = (matrix(&left), matrix(&right));
    Tensor::from_primitive::<Flex>(new_product(left, right))
}

fn affine(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
    let (x, weight) = (matrix(x), matrix(weight));
    let mut output = slice(bias).repeat(x.nrows());
    product(&mut output, Accum::Add, x, weight);
    tensor(output, [x.nrows(), weight.ncols()])
}

#[derive(Debug)]
struct LinearBackward;

impl Backward<Flex, 3> for LinearBackward {
    /// x and the weight.
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_output = grads.consume::<Flex>(&ops.node).to_contiguous();
        let d_output = matrix(&d_output);
        let (x, weight) = (matrix(&ops.state.0), matrix(&ops.state.1));
        let [of_x, of_weight, of_bias] = ops.parents;
        let by_bias = || of_bias.is_some().then(|| column_sums(d_output));
        let by_weight = || of_weight.is_some().then(|| new_product(x.transpose(), d_output));
        let by_x = || of_x.is_some().then(|| new_product(d_output, weight.transpose()));
        let ((d_weight, d_bias), d_x) = both(|| (by_weight(), by_bias()), by_x);
        for (node, gradient) in [(&of_x, d_x), (&of_weight, d_weight), (&of_bias, d_bias)] {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// Sums over rows, `[n_columns]`.
fn column_sums(values: MatRef<f32>) -> FlexTensor {
    let mut sums = vec![0.0; values.ncols()];
    for row in values.row_iter() {
        sums.iter_mut().zip(row.iter()).for_each(|(sum, value)| *sum += value);
    }
    let shape = [sums.len()];
    tensor(sums, shape)
}

fn new_product(left: MatRef<f32>, right: MatRef<f32>) -> FlexTensor {
    let shape = [left.nrows(), right.ncols()];
    let mut output = any_numbers(shape[0] * shape[1]);
    product(&mut output, Accum::Replace, left, right);
    tensor(output, shape)
}

/// A row-major tensor of rank 2.
fn matrix(tensor: &FlexTensor) -> MatRef<'_, f32> {
    let shape = tensor.layout().shape();
    MatRef::from_row_major_slice(slice(tensor), shape[0], shape[1])
}

/// The product in blocks of columns or rows of the output, whichever it has more of: the same blocks on any number of threads, and so
/// the same bits. (faer's own threads wait for each other in busy loops, which costs several times the work where processors are
/// shared.)
fn product(output: &mut [f32], accum: Accum, left: MatRef<f32>, right: MatRef<f32>) {
    let (n_rows, n_columns) = (left.nrows(), right.ncols());
    let longest = n_rows.max(n_columns);
    let blocks = Blocks {
        left,
        right,
        accum,
        of_columns: n_columns >= n_rows,
        length: if longest <= BLOCK { BLOCK / 2 } else { BLOCK },
        alone: n_rows * n_columns * left.ncols() < LEAST_SHARED,
    };
    blocks.multiply(0, MatMut::from_row_major_slice_mut(output, n_rows, n_columns));
}

/// How a product is cut.
struct Blocks<'a> {
    left: MatRef<'a, f32>,
    right: MatRef<'a, f32>,
    accum: Accum,
    /// Whether blocks are columns of the output, or rows.
    of_columns: bool,
    /// Columns or rows of a block.
    length: usize,
    /// Whether one thread does all.
    alone: bool,
}

impl Blocks<'_> {
    /// The part `output` of the product, which begins at column or row `first`.
    fn multiply(&self, first: usize, output: MatMut<f32>) {
        let length = if self.of_columns { output.ncols() } else { output.nrows() };
        if length > self.length {
            let half = length.div_ceil(self.length) / 2 * self.length;
            let (before, behind) =
                if self.of_columns { output.split_at_col_mut(half) } else { output.split_at_row_mut(half) };
            let (before, behind) = (|| self.multiply(first, before), || self.multiply(first + half, behind));
            if self.alone {
                (before(), behind())
            } else {
                both(before, behind)
            };
        } else if self.of_columns {
            matmul(output, self.accum, self.left, self.right.subcols(first, length), 1.0, Par::Seq);
        } else {
            matmul(output, self.accum, self.left.subrows(first, length), self.right, 1.0, Par::Seq);
        }
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::new(shape)))
}

/// See [`super::dense::leaky_relu`].
pub(super) fn leaky_relu(x: Tensor<2>, slope: f64) -> Tensor<2> {
    #[allow(clippy::cast_possible_truncation, reason = "tensors are f32")]
    activate(x, Activation::LeakyRelu(slope as f32))
}

/// See [`super::dense::sigmoid`].
pub(super) fn sigmoid(x: Tensor<2>) -> Tensor<2> {
    activate(x, Activation::Sigmoid)
}

/// See [`super::dense::softplus`].
pub(super) fn softplus(x: Tensor<2>) -> Tensor<2> {
    activate(x, Activation::Softplus)
}

fn activate(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    if !x.is_tracked() {
        let mut values = whole_primitive(constant(x));
        forward(activation, slice_mut(&mut values));
        return Tensor::from_primitive::<Flex>(values);
    }
    let x = tracked(x);
    let node = x.node();
    let mut values = whole_primitive(x.into_primitive());
    forward(activation, slice_mut(&mut values));
    let output = match activation.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(values.clone(), values),
        OpsKind::UnTracked(prep) => prep.finish(values),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

fn forward(activation: Activation, values: &mut [f32]) {
    in_order(values.chunks_mut(TASK).collect(), |values| vectorize(Forward { activation, values }));
}

/// Functions whose slope follows from their value.
#[derive(Clone, Copy, Debug)]
enum Activation {
    /// With a positive slope for negative numbers: the sign of the value is the sign of the input.
    LeakyRelu(f32),
    Sigmoid,
    Softplus,
}

impl Backward<Flex, 1> for Activation {
    /// The values of the function.
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let mut gradient = whole_primitive(grads.consume::<Flex>(&ops.node));
        let [parent] = ops.parents;
        if let Some(node) = parent {
            let values = slice(&ops.state);
            let tasks = slice_mut(&mut gradient).chunks_mut(TASK).zip(values.chunks(TASK)).collect();
            in_order(tasks, |(gradient, values)| vectorize(Slope { activation: self, values, gradient }));
            grads.register::<Flex>(node.id, gradient);
        }
    }
}

/// Replaces the numbers by the function's values.
struct Forward<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl Vectorized for Forward<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        match self.activation {
            Activation::LeakyRelu(slope) => {
                for value in self.values {
                    *value = if *value >= 0.0 { *value } else { slope * *value };
                }
            }
            Activation::Sigmoid => {
                for value in self.values {
                    let (exp, _) = exp_and_m1::<FMA>(-*value);
                    *value = 1.0 / (1.0 + exp);
                }
            }
            Activation::Softplus => {
                for value in self.values {
                    let (exp, _) = exp_and_m1::<FMA>(-value.abs());
                    // ln(1 + e) as of the rounded sum, times what rounding took from e.
                    let sum = 1.0 + exp;
                    let kept = sum - 1.0;
                    let ln_1p = if kept > 0.0 { ln::<FMA>(sum) * exp / kept } else { exp };
                    *value = value.max(0.0) + ln_1p;
                }
            }
        }
    }
}

/// Multiplies the gradient by the function's slope.
struct Slope<'a> {
    activation: Activation,
    values: &'a [f32],
    gradient: &'a mut [f32],
}

impl Vectorized for Slope<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let pairs = self.gradient.iter_mut().zip(self.values);
        match self.activation {
            Activation::LeakyRelu(slope) => {
                pairs.for_each(|(gradient, &value)| *gradient *= if value >= 0.0 { 1.0 } else { slope });
            }
            Activation::Sigmoid => {
                pairs.for_each(|(gradient, &value)| *gradient *= value * (1.0 - value));
            }
            Activation::Softplus => {
                pairs.for_each(|(gradient, &value)| *gradient *= -exp_and_m1::<FMA>(-value).1);
            }
        }
    }
}

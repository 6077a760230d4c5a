//! Layers of a dense network, each one operation on Flex with its own backward pass.
//!
//! burn's layers compute the same in several passes, through temporaries; these are what a training
//! step of two thousand genes spends its time in besides the products themselves. Elsewhere they
//! are burn's own operations, with the same numbers to rounding.

use burn::tensor::{Tensor, activation};

use super::dense_flex;

/// `x w + b`.
///
/// - `x`: `[n_cells, n_in]`; `weight`: `[n_in, n_out]`; `bias`: `[n_out]`
/// - returns `[n_cells, n_out]`
///
/// # Panics
/// If the shapes do not fit together.
#[must_use]
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    assert_eq!(x.dims()[1], weight.dims()[0], "columns of x and rows of the weight");
    assert_eq!(bias.dims()[0], weight.dims()[1], "length of the bias and columns of the weight");
    if dense_flex::supports_linear(&x, &weight, &bias) {
        return dense_flex::linear(x, weight, bias);
    }
    x.matmul(weight) + bias.unsqueeze()
}

/// `left right`, outside any gradient.
#[must_use]
pub fn product(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    if dense_flex::supports(&left) && dense_flex::supports(&right) {
        return dense_flex::untracked_product(left, right);
    }
    left.matmul(right)
}

/// `x` where it is not negative, `slope x` elsewhere; `slope` is positive.
#[must_use]
pub fn leaky_relu(x: Tensor<2>, slope: f64) -> Tensor<2> {
    if dense_flex::supports(&x) {
        return dense_flex::leaky_relu(x, slope);
    }
    activation::leaky_relu(x, slope)
}

/// `ln(1 + eˣ)`.
#[must_use]
pub fn softplus(x: Tensor<2>) -> Tensor<2> {
    if dense_flex::supports(&x) {
        return dense_flex::softplus(x);
    }
    activation::softplus(x, 1.0)
}

/// `1/(1 + e⁻ˣ)`.
#[must_use]
pub fn sigmoid(x: Tensor<2>) -> Tensor<2> {
    if dense_flex::supports(&x) {
        return dense_flex::sigmoid(x);
    }
    activation::sigmoid(x)
}

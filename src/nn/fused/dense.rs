//! Layers of a dense network, each one operation on Flex with its own backward pass.
//!
//! burn's layers compute the same in several passes, through temporaries; these are what a training
//! step of two thousand genes spends its time in besides the products themselves. Elsewhere they
//! are burn's own operations, with the same numbers to rounding.

use burn::tensor::{Device, Shape, Tensor, TensorData, activation};
use rand::RngCore;

#[cfg(feature = "flex")]
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
    #[cfg(feature = "flex")]
    if dense_flex::supports_linear(&x, &weight, &bias) {
        return dense_flex::linear(x, weight, bias);
    }
    x.matmul(weight) + bias.unsqueeze()
}

/// `x` where it is not negative, `slope x` elsewhere; `slope` is positive.
#[must_use]
pub fn leaky_relu(x: Tensor<2>, slope: f64) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if dense_flex::supports(&x) {
        return dense_flex::leaky_relu(x, slope);
    }
    activation::leaky_relu(x, slope)
}

/// `1/(1 + e⁻ˣ)`.
#[must_use]
pub fn sigmoid(x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if dense_flex::supports(&x) {
        return dense_flex::sigmoid(x);
    }
    activation::sigmoid(x)
}

/// Sets each number to zero with `probability` and scales the others so that the mean stays.
///
/// The draws come from `rng`, one after another, and are the same on every device. `probability` is
/// rounded to a multiple of 2⁻¹⁶; 0 draws nothing.
///
/// # Panics
/// If `probability` is not in [0, 1).
///
/// Source: Srivastava et al. 2014, in the usual inverted form.
#[must_use]
pub fn dropout(x: Tensor<2>, probability: f64, rng: &mut impl RngCore) -> Tensor<2> {
    if probability == 0.0 {
        return x;
    }
    let mask = dropout_mask(x.dims(), probability, rng, &x.device().inner());
    x * mask
}

/// Zeros with `probability`, else `1/(1 − probability)`.
fn dropout_mask(shape: [usize; 2], probability: f64, rng: &mut impl RngCore, device: &Device) -> Tensor<2> {
    const STEPS: f64 = 65536.0;
    assert!((0.0..1.0).contains(&probability), "dropout probability {probability} is not in [0, 1)");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 0..65536")]
    let dropped = (probability * STEPS).round().min(STEPS - 1.0) as u16;
    #[allow(clippy::cast_possible_truncation, reason = "tensors are f32")]
    let scale = (STEPS / (STEPS - f64::from(dropped))) as f32;

    let mut bytes = vec![0; 2 * shape[0] * shape[1]];
    rng.fill_bytes(&mut bytes);
    let (draws, _) = bytes.as_chunks::<2>();
    let mask = draws.iter().map(|&draw| if u16::from_le_bytes(draw) < dropped { 0.0 } else { scale });
    Tensor::from_data(TensorData::new(mask.collect::<Vec<f32>>(), Shape::new(shape)), device)
}

//! Between `ndarray` on the host and `Tensor` on a device.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array1, Array2, ArrayView2};

/// A matrix on `device`.
#[must_use]
pub fn matrix(values: ArrayView2<'_, f32>, device: &Device) -> Tensor<2> {
    let shape = [values.nrows(), values.ncols()];
    let values: Vec<f32> = values.iter().copied().collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A row `[1, n]` on `device`, to be broadcast over cells.
#[must_use]
pub fn row(values: &[f64], device: &Device) -> Tensor<2> {
    let narrowed: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(narrowed, [1, values.len()]), device)
}

/// Row numbers on `device`.
#[must_use]
#[allow(clippy::cast_possible_wrap)] // cells are counted far below 2^63
pub fn positions(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// The number in a tensor of one, on the host.
///
/// # Panics
/// If the device fails while it is read.
#[must_use]
pub fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

/// The tensor's values on the host.
///
/// # Panics
/// If the device fails while it is read.
#[must_use]
pub fn to_array(tensor: Tensor<2>) -> Array2<f32> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), values(tensor)).expect("a tensor holds as many values as its shape says")
}

/// The values of a tensor with one element per gene or cell, widened to f64.
///
/// # Panics
/// If the device fails while it is read.
#[must_use]
pub fn to_array1<const D: usize>(tensor: Tensor<D>) -> Array1<f64> {
    values(tensor).into_iter().map(f64::from).collect()
}

/// The tensor's values on the host, in row-major order.
///
/// # Panics
/// If the device fails while it is read.
#[must_use]
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data_as::<f32>();
    data.try_into_vec::<f32>().expect("the data were just cast to f32")
}

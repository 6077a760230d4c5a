//! Random numbers for the networks, drawn on the host.
//!
//! burn's devices each have a generator of their own, seeded for the whole process. Drawing here instead gives
//! every epoch its own stream, makes a resumed run repeat an uninterrupted one, and gives all devices the same
//! numbers.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Where a forward pass gets its randomness from.
pub enum Draws<'a> {
    /// Training: dropout is on, latent variables are sampled.
    Sampled(&'a mut ChaCha8Rng),
    /// Prediction: dropout is off, latent variables are at their posterior mean.
    Mean,
}

impl Draws<'_> {
    /// Standard normal draws, or zeros at the posterior mean.
    #[must_use]
    pub fn normal(&mut self, shape: [usize; 2], device: &Device) -> Tensor<2> {
        match self {
            Self::Sampled(rng) => from_host(shape, device, || rng.sample(StandardNormal)),
            Self::Mean => Tensor::zeros(shape, device),
        }
    }

    /// Draws from `U(-bound, bound)`, or zeros at the posterior mean.
    #[must_use]
    pub fn uniform(&mut self, shape: [usize; 2], bound: f64, device: &Device) -> Tensor<2> {
        let bound = bound as f32;
        match self {
            Self::Sampled(rng) => from_host(shape, device, || rng.random_range(-bound..bound)),
            Self::Mean => Tensor::zeros(shape, device),
        }
    }

    /// A seed for draws that are made elsewhere; `None` at the posterior mean.
    pub fn seed(&mut self) -> Option<u64> {
        match self {
            Self::Sampled(rng) => Some(rng.next_u64()),
            Self::Mean => None,
        }
    }

    /// A mask that is 0 with probability `share` and `1 / (1 - share)` otherwise; `None` where nothing is dropped.
    #[must_use]
    pub fn dropout_mask(&mut self, shape: [usize; 2], share: f64, device: &Device) -> Option<Tensor<2>> {
        let Self::Sampled(rng) = self else { return None };
        if share == 0.0 {
            return None;
        }
        // 16 bits decide one element: the share is met to 1e-5, and a mask costs an eighth of float draws.
        let threshold = (share * 65_536.0).round() as u16;
        let kept = 1.0 / (1.0 - share as f32);
        let mut bits = vec![0_u8; 2 * shape[0] * shape[1]];
        rng.fill_bytes(&mut bits);
        let keep = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]) >= threshold;
        let mask: Vec<f32> = bits.chunks_exact(2).map(|pair| if keep(pair) { kept } else { 0.0 }).collect();
        Some(Tensor::from_data(TensorData::new(mask, shape), device))
    }
}

fn from_host(shape: [usize; 2], device: &Device, mut draw: impl FnMut() -> f32) -> Tensor<2> {
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

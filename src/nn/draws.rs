//! Random numbers for the networks.
//!
//! burn's devices each have a generator of their own, seeded for the whole process. Here every draw has a key from a stream of the run, and its
//! numbers follow from the key (`counter.rs`): every epoch has its own stream, a resumed run repeats an uninterrupted one, all
//! devices get the same numbers, and nothing is sent to them.

use burn::tensor::{Device, Tensor};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;

use super::counter::{Key, Law};

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
            Self::Sampled(rng) => Key::new(rng.next_u64()).tensor(Law::Normal, shape, device),
            Self::Mean => Tensor::zeros(shape, device),
        }
    }

    /// Draws from `U(-bound, bound)`, or zeros at the posterior mean.
    #[must_use]
    pub fn uniform(&mut self, shape: [usize; 2], bound: f64, device: &Device) -> Tensor<2> {
        let law = Law::Uniform(bound as f32);
        match self {
            Self::Sampled(rng) => Key::new(rng.next_u64()).tensor(law, shape, device),
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
        // 16 bits decide one element: the share is met to 1e-5.
        let law = Law::Mask { threshold: (share * 65_536.0).round() as u32, kept: 1.0 / (1.0 - share as f32) };
        Some(Key::new(rng.next_u64()).tensor(law, shape, device))
    }
}

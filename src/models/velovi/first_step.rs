//! The first step on random data, to be compared between devices.

use burn::tensor::Device;
use ndarray::Array2;
use rand::Rng;

use super::network::VeloviModule;
use super::settings::Velovi;
use super::start::Start;
use crate::data::stream;
use crate::train::{FirstStep, TrainingData};

/// The epoch of the step, in which the warm-up is half over: both what warms up and the penalty, which fades, count.
const EPOCH: usize = 200;

/// The first step on `device`: `n_obs` cells of `n_vars` genes with random moments, which are the same on every device.
#[must_use]
pub fn first_step(settings: &Velovi, device: &Device, n_obs: usize, n_vars: usize) -> FirstStep {
    let mut rng = stream(0, "first steps", 0);
    let mut moments = || Array2::from_shape_fn((n_obs, n_vars), |_| rng.random_range(0.0..1.0_f32));
    let [u, s] = [moments(), moments()];
    let data = TrainingData::from_abundance(u.view(), s.view(), Vec::new(), device);
    let top =
        |matrix: &Array2<f32>| matrix.columns().into_iter().map(|gene| f64::from(gene.sum()) / n_obs as f64).collect();
    let start = Start::from_top(settings, top(&u), top(&s), stream(0, "start", 0));
    let device = device.clone().autodiff();
    let module = VeloviModule::new(settings, &start, &stream(0, "weights", 0), &device);
    let batch = data.batch(&(0..n_obs).collect::<Vec<_>>()).on(&device);
    FirstStep::of(&module, &batch, EPOCH)
}

//! Training steps of the full model on random data, to be timed.

use burn::tensor::Device;
use ndarray::Array2;
use rand::Rng;

use super::columns;
use super::network::{Phase, VelovaeModule};
use super::settings::Velovae;
use super::start::Start;
use crate::data::stream;
use crate::train::{Timed, TrainingData, time_steps};

/// Times `steps` steps of the stage that learns everything at once, with `batch_size` cells of `n_vars` genes each.
#[must_use]
pub fn bench(device: &Device, n_vars: usize, batch_size: usize, steps: usize) -> Timed {
    let settings = Velovae::default();
    let mut rng = stream(0, "bench", 0);
    let mut abundance = || Array2::from_shape_fn((4 * batch_size, n_vars), |_| rng.random_range(0.0..2.0_f32));
    let data = TrainingData::from_abundance(abundance().view(), abundance().view(), Vec::new(), device);
    let start = Start::flat(&settings, 4 * batch_size, n_vars);
    let module =
        VelovaeModule::new(&settings, &start, 4 * batch_size, &stream(0, "weights", 0), &device.clone().autodiff());
    let stage = settings.stages().swap_remove(2);
    time_steps(module.with_phase(Phase::Joint), &columns::with_start(data, &start), &stage, batch_size, steps)
}

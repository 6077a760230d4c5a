//! Training steps on random data, to be timed.

use burn::tensor::Device;
use ndarray::Array2;
use rand::Rng;

use super::Velovi;
use super::network::VeloviModule;
use super::start::Start;
use crate::data::stream;
use crate::error::Result;
use crate::train::{Plan, Timed, TrainingData, time_steps};

/// Times steps on cells of `n_vars` genes.
///
/// # Errors
/// None but those of [`time_steps`].
pub fn bench(device: &Device, n_vars: usize, plan: Plan) -> Result<Timed> {
    let settings = Velovi::default();
    let n_obs = 2 * plan.batch_size;
    let mut rng = stream(0, "bench", 0);
    let mut abundance = || Array2::from_shape_fn((n_obs, n_vars), |_| rng.random_range(0.0..1.0_f32));
    let genes = (0..n_vars).map(|gene| format!("g{gene}")).collect();
    let data = TrainingData::from_abundance(abundance().view(), abundance().view(), genes, device);
    let start = Start::from_top(&settings, vec![0.9; n_vars], vec![0.9; n_vars], stream(0, "start", 0));
    let module = VeloviModule::new(&settings, &start, &stream(0, "weights", 0), &device.clone().autodiff());
    time_steps(module, &data, &settings.stage(), plan)
}

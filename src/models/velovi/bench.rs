//! Training steps on random data, to be timed.

use burn::tensor::Device;
use rand::Rng;

use super::Velovi;
use super::network::VeloviModule;
use super::start::Start;
use crate::data::stream;
use crate::error::Result;
use crate::train::{Plan, Timed, time_steps};

/// Times steps on cells of `n_vars` genes.
///
/// # Errors
/// None but those of [`time_steps`].
pub fn bench(device: &Device, n_vars: usize, plan: Plan) -> Result<Timed> {
    let settings = Velovi::default();
    let data = plan.cells(n_vars, device, |rng| rng.random_range(0.0..1.0));
    let start = Start::from_top(&settings, vec![0.9; n_vars], vec![0.9; n_vars], stream(0, "start", 0));
    let module = VeloviModule::new(&settings, &start, &stream(0, "weights", 0), &device.clone().autodiff());
    time_steps(module, &data, &settings.stage(), plan)
}

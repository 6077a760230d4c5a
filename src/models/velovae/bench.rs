//! Training steps of the full model on random data, to be timed.

use burn::tensor::Device;
use rand::Rng;

use super::columns;
use super::network::{Phase, VelovaeModule};
use super::settings::{Likelihood, Velovae};
use super::start::Start;
use crate::data::stream;
use crate::error::Result;
use crate::train::{Plan, Timed, time_steps};

/// Times steps of the stage that learns everything at once, on cells of `n_vars` genes.
///
/// # Errors
/// None but those of [`time_steps`].
pub fn bench(likelihood: Likelihood, device: &Device, n_vars: usize, plan: Plan) -> Result<Timed> {
    let settings = Velovae { likelihood, ..Velovae::default() };
    let counts = likelihood != Likelihood::Gaussian;
    let data = plan.cells(n_vars, device, |rng| {
        let drawn = rng.random_range(0.0..2.0_f32);
        // Counts of a usual depth: 15 % are above 0.
        if counts { ((drawn - 1.7).max(0.0) * 10.0).ceil() } else { drawn }
    });
    let n_obs = data.n_obs();
    let start = Start::flat(&settings, n_obs, n_vars);
    let weights = stream(0, "weights", 0);
    let module = VelovaeModule::new(&settings, &start, n_obs, &weights, &device.clone().autodiff());
    let stage = settings.stages(false).swap_remove(2);
    time_steps(module.with_phase(Phase::Joint), &columns::with_start(data, &start), &stage, plan)
}

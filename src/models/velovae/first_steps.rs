//! The first step of each stage on random data, to be compared between devices.

use burn::tensor::Device;
use ndarray::{Array1, Array2};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::columns;
use super::initial::InitialConditions;
use super::lineage::Lineage;
use super::network::{Phase, VelovaeModule};
use super::settings::Velovae;
use super::start::Start;
use crate::data::stream;
use crate::train::{FirstStep, TrainingData};

/// The first steps of what the stages of `settings` learn, by name, on `device`: `n_obs` cells of `n_vars` genes with random
/// abundances (counts, where these are explained), rates, times and initial conditions, which are the same on every device.
#[must_use]
pub fn first_steps(settings: &Velovae, device: &Device, n_obs: usize, n_vars: usize) -> Vec<(&'static str, FirstStep)> {
    let mut rng = stream(0, "first steps", 0);
    let abundances = [0, 1].map(|_| abundance(settings, n_obs, n_vars, &mut rng));
    let start = start(settings, n_obs, n_vars, &mut rng);
    let data = TrainingData::from_abundance(abundances[0].view(), abundances[1].view(), Vec::new(), device);
    let data = columns::with_start(data, &start);
    let uniform = |columns: usize, most: f32, rng: &mut ChaCha8Rng| {
        Array2::from_shape_fn((n_obs, columns), |_| rng.random_range(0.0..most))
    };
    let initial = InitialConditions {
        u0: uniform(n_vars, 1.0, &mut rng),
        s0: uniform(n_vars, 1.0, &mut rng),
        t0: uniform(1, 5.0, &mut rng),
    };
    let data = columns::with_initial(&data, &initial);
    let device = device.clone().autodiff();
    let lineage = settings.carries().then(|| {
        let states = uniform(settings.n_latent, 1.0, &mut rng);
        let cells: Vec<usize> = (0..n_obs).collect();
        Lineage::new(&Array1::from(start.cell_time.clone()), &states, None, &cells, &device)
    });
    let batch = data.batch(&(0..n_obs).collect::<Vec<_>>()).on(&device);
    let mut phases = vec![("times", Phase::Times), ("joint", Phase::Joint)];
    if settings.is_full() && !settings.carries() {
        phases.extend([("refine", Phase::Refine), ("refine and spread", Phase::RefineAndSpread)]);
    }
    let step = |(name, phase): (&'static str, Phase)| {
        let module = VelovaeModule::new(settings, &start, n_obs, &stream(0, "weights", 0), &device);
        let module = module.with_lineage(lineage.clone()).with_phase(phase);
        (name, FirstStep::of(&module, &batch, 0))
    };
    phases.into_iter().map(step).collect()
}

/// Moments from 0 to 2, or counts from 0 to 5.
fn abundance(settings: &Velovae, n_obs: usize, n_vars: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    Array2::from_shape_fn((n_obs, n_vars), |_| match settings.of_counts() {
        true => rng.random_range(0..6_u8).into(),
        false => rng.random_range(0.0..2.0),
    })
}

/// Rates equal in the first gene and apart in the others, noise and times that differ.
fn start(settings: &Velovae, n_obs: usize, n_vars: usize, rng: &mut ChaCha8Rng) -> Start {
    let mut some = |count: usize, low: f64, high: f64| -> Vec<f64> {
        (0..count).map(|_| f64::from(rng.random_range(low..high) as f32)).collect()
    };
    let beta = some(n_vars, 0.2, 2.0);
    let mut gamma = some(n_vars, 0.2, 2.0);
    gamma[0] = beta[0];
    Start {
        scaling: some(n_vars, 0.5, 1.5),
        noise_u: some(n_vars, 0.2, 1.0),
        noise_s: some(n_vars, 0.2, 1.0),
        alpha: some(n_vars, 0.5, 3.0),
        u0: some(n_vars, 0.1, 1.0),
        s0: some(n_vars, 0.1, 1.0),
        t_off: some(n_vars, 0.3 * settings.t_max, 0.7 * settings.t_max),
        cell_time: some(n_obs, 0.0, settings.t_max),
        prior_mean: some(n_obs, 0.0, settings.t_max),
        beta,
        gamma,
        ..Start::flat(settings, n_obs, n_vars)
    }
}

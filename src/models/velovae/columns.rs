//! What is known of each cell that is not learned by gradients: columns of the data that batches are drawn from.

use ndarray::ArrayView2;

use super::initial::InitialConditions;
use super::start::Start;
use crate::train::{CountData, TrainingData};

/// Time that the encoder learns first, `[n_obs, 1]`.
pub(super) const START_TIME: &str = "start time";
/// State that the encoder learns with it, `[n_obs, n_latent]`; only where there is one.
pub(super) const START_STATE: &str = "start state";
/// Mean and s.d. of the prior of time, `[n_obs, 1]`.
pub(super) const PRIOR_MEAN: &str = "prior mean of time";
pub(super) const PRIOR_STD: &str = "prior s.d. of time";
/// Initial conditions: `u₀`, `s₀`, `[n_obs, n_vars]`, and their time, `[n_obs, 1]`.
pub(super) const U0: &str = "u0";
pub(super) const S0: &str = "s0";
pub(super) const T0: &str = "t0";

/// `data` with the columns that `start` gives.
pub(super) fn with_start(data: TrainingData, start: &Start) -> TrainingData {
    let data = data
        .with_numbers(START_TIME, &start.cell_time)
        .with_numbers(PRIOR_MEAN, &start.prior_mean)
        .with_numbers(PRIOR_STD, &start.prior_std);
    match states(start) {
        Some(states) => data.with_column(START_STATE, states),
        None => data,
    }
}

/// The cells of a sample with the columns that `start`, made from them, gives.
pub(super) fn with_sample_start(data: CountData, start: &Start) -> CountData {
    let data = data
        .with_numbers(START_TIME, &start.cell_time)
        .with_numbers(PRIOR_MEAN, &start.prior_mean)
        .with_numbers(PRIOR_STD, &start.prior_std);
    match states(start) {
        Some(states) => data.with_column(START_STATE, states),
        None => data,
    }
}

/// The states of the start, `[n_obs, n_latent]`, if it has any.
fn states(start: &Start) -> Option<ArrayView2<'_, f32>> {
    let n_obs = start.cell_time.len();
    let shape = (n_obs, start.cell_state.len() / n_obs);
    let states = ArrayView2::from_shape(shape, &start.cell_state).expect("as many states as cells");
    (!start.cell_state.is_empty()).then_some(states)
}

/// `data` with initial conditions.
pub(super) fn with_initial(data: &TrainingData, initial: &InitialConditions) -> TrainingData {
    let InitialConditions { u0, s0, t0 } = initial;
    data.clone().with_column(U0, u0.view()).with_column(S0, s0.view()).with_column(T0, t0.view())
}

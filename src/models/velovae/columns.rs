//! What is known of each cell that is not learned by gradients: columns of the data that batches are drawn from.

use ndarray::Array2;

use super::initial::InitialConditions;
use super::start::Start;
use crate::train::{TrainingData, WithColumns};

/// Time that the encoder learns first, `[n_obs, 1]`.
pub(super) const START_TIME: &str = "start time";
/// State that the encoder learns with it, `[n_obs, n_latent]`; only where there is one.
pub(super) const START_STATE: &str = "start state";
/// Share of each lineage, `[n_obs, n_lineages]`; only where lineages have rates of their own.
pub(super) const LINEAGES: &str = "lineages";
/// Mean and s.d. of the prior of time, `[n_obs, 1]`.
pub(super) const PRIOR_MEAN: &str = "prior mean of time";
pub(super) const PRIOR_STD: &str = "prior s.d. of time";
/// Initial conditions: `u₀`, `s₀`, `[n_obs, n_vars]`, and their time, `[n_obs, 1]`.
pub(super) const U0: &str = "u0";
pub(super) const S0: &str = "s0";
pub(super) const T0: &str = "t0";

/// `cells`, all or those of a sample, with the columns that `start`, made from them, gives.
pub(super) fn with_start<T: WithColumns>(cells: T, start: &Start) -> T {
    let cells = cells
        .with_numbers(START_TIME, &start.cell_time)
        .with_numbers(PRIOR_MEAN, &start.prior_mean)
        .with_numbers(PRIOR_STD, &start.prior_std);
    added(start).into_iter().fold(cells, |cells, (name, values)| cells.with_column(name, values.view()))
}

/// The columns of several numbers a cell that the start has.
fn added(start: &Start) -> Vec<(&'static str, Array2<f32>)> {
    let n_obs = start.cell_time.len();
    let matrix = |values: &[f32]| {
        Array2::from_shape_vec((n_obs, values.len() / n_obs), values.to_vec()).expect("as many rows as cells")
    };
    [(START_STATE, &start.cell_state), (LINEAGES, &start.lineages)]
        .into_iter()
        .filter(|(_, of)| !of.is_empty())
        .map(|(name, values)| (name, matrix(values)))
        .collect()
}

/// `data` with initial conditions.
pub(super) fn with_initial(data: &TrainingData, initial: &InitialConditions) -> TrainingData {
    let InitialConditions { u0, s0, t0 } = initial;
    data.clone().with_column(U0, u0.view()).with_column(S0, s0.view()).with_column(T0, t0.view())
}

//! The state of each cell from which the refined model integrates.

use ndarray::Array2;

/// Where each cell starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InitialConditions {
    /// Unspliced abundance divided by the scaling, `[n_obs, n_vars]`.
    pub u0: Array2<f32>,
    /// Spliced abundance, `[n_obs, n_vars]`.
    pub s0: Array2<f32>,
    /// Time, `[n_obs, 1]`.
    pub t0: Array2<f32>,
}

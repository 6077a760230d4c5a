//! The state of each cell from which the refined model integrates.

use ndarray::{Array1, Array2, Axis};

/// Where each cell starts, and how far the fit is from the data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InitialConditions {
    /// Unspliced abundance divided by the scaling, `[n_obs, n_vars]`.
    pub u0: Array2<f32>,
    /// Spliced abundance, `[n_obs, n_vars]`.
    pub s0: Array2<f32>,
    /// Time, `[n_obs, 1]`.
    pub t0: Array2<f32>,
    /// Residual s.d. of unspliced abundance, `[n_vars]`.
    pub sigma_u: Vec<f64>,
    /// Residual s.d. of spliced abundance, `[n_vars]`.
    pub sigma_s: Vec<f64>,
}

impl InitialConditions {
    /// Root-mean-square change of `u₀` and `s₀` since `before`, as a share of their spread.
    pub(super) fn change_from(&self, before: &Self) -> f64 {
        let square = |now: &Array2<f32>, then: &Array2<f32>| -> f64 {
            now.iter().zip(then).map(|(now, then)| f64::from(now - then).powi(2)).sum()
        };
        let spread = |values: &Array2<f32>| -> f64 {
            let means = values.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(values.ncols()));
            values
                .rows()
                .into_iter()
                .map(|row| (&row - &means).iter().map(|d| f64::from(*d).powi(2)).sum::<f64>())
                .sum()
        };
        let change = square(&self.u0, &before.u0) + square(&self.s0, &before.s0);
        (change / (spread(&before.u0) + spread(&before.s0)).max(f64::MIN_POSITIVE)).sqrt()
    }
}

//! How much the direction of a cell's velocity varies between samples of it.

use ndarray::Array1;

/// Spread of directions per cell, each `[n_obs]`; the similarities are those of a cell's samples with their mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directional {
    /// Variance of the angles to the mean, in squared radians.
    pub variance: Array1<f64>,
    /// 95th percentile less 5th of the angles, in radians.
    pub difference: Array1<f64>,
    /// Variance of the similarities.
    pub cos_variance: Array1<f64>,
    /// 95th percentile less 5th of the similarities.
    pub cos_difference: Array1<f64>,
    /// Mean of the similarities.
    pub cos_mean: Array1<f64>,
}

/// Directional uncertainty of velocities, as [`uncertainty`](crate::uncertainty::uncertainty) finds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uncertainty {
    /// Of the velocities themselves.
    pub intrinsic: Directional,
    /// Of the states that the velocities lead to among the cells nearby.
    pub extrinsic: Option<Directional>,
}

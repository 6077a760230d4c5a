//! How much the direction of a cell's velocity varies between samples of it.

use ndarray::Array1;

use super::Fit;
use super::quantities::{
    DIRECTIONAL_COSINE_SIM_DIFFERENCE, DIRECTIONAL_COSINE_SIM_DIFFERENCE_EXTRINSIC, DIRECTIONAL_COSINE_SIM_MEAN,
    DIRECTIONAL_COSINE_SIM_MEAN_EXTRINSIC, DIRECTIONAL_COSINE_SIM_VARIANCE, DIRECTIONAL_COSINE_SIM_VARIANCE_EXTRINSIC,
    DIRECTIONAL_DIFFERENCE, DIRECTIONAL_DIFFERENCE_EXTRINSIC, DIRECTIONAL_VARIANCE, DIRECTIONAL_VARIANCE_EXTRINSIC,
};

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

impl Uncertainty {
    /// Sets the columns of the fit.
    pub fn add_to(self, fit: &mut Fit) {
        let Directional { variance, difference, cos_variance, cos_difference, cos_mean } = self.intrinsic;
        fit.set(DIRECTIONAL_VARIANCE, variance);
        fit.set(DIRECTIONAL_DIFFERENCE, difference);
        fit.set(DIRECTIONAL_COSINE_SIM_VARIANCE, cos_variance);
        fit.set(DIRECTIONAL_COSINE_SIM_DIFFERENCE, cos_difference);
        fit.set(DIRECTIONAL_COSINE_SIM_MEAN, cos_mean);
        let Some(Directional { variance, difference, cos_variance, cos_difference, cos_mean }) = self.extrinsic else {
            return;
        };
        fit.set(DIRECTIONAL_VARIANCE_EXTRINSIC, variance);
        fit.set(DIRECTIONAL_DIFFERENCE_EXTRINSIC, difference);
        fit.set(DIRECTIONAL_COSINE_SIM_VARIANCE_EXTRINSIC, cos_variance);
        fit.set(DIRECTIONAL_COSINE_SIM_DIFFERENCE_EXTRINSIC, cos_difference);
        fit.set(DIRECTIONAL_COSINE_SIM_MEAN_EXTRINSIC, cos_mean);
    }
}

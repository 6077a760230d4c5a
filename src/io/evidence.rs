//! What is measured of a fitted file.

use super::FittedFile;
use crate::data::quantities::{
    FIT_BETA, FIT_GAMMA, FIT_S, FIT_STD_S, FIT_STD_U, FIT_U, LATENT_TIME, MS, MS_MIN, MS_SPAN, MU, MU_MIN, MU_SPAN,
    Matrix, Numbers, Quantity, TRUE_BETA, TRUE_GAMMA, TRUE_T, TRUE_VELOCITY, VELOCITY, VELOCITY_GAMMA, VELOCITY_SPLIT,
};
use crate::data::{MinMax, MomentScaling, MomentUnits, parts};
use crate::error::{Error, Result};
use crate::metrics::Evidence;

impl FittedFile {
    /// The fit and, where the file holds it, the truth. Matrices are `[n_obs, n_vars]`; genes that were not fitted are NaN.
    ///
    /// Abundances, velocities and ratios are in counts: what was fitted to scaled moments is brought back.
    ///
    /// # Errors
    /// [`Error::Input`] if the file holds no velocities, or is damaged.
    pub fn evidence(&self) -> Result<Evidence> {
        let velocity =
            self.needed_layer(VELOCITY, "only a file with velocities can be evaluated: run `nascent train` first")?;
        let ratio = |above: Quantity<Numbers>, below: Quantity<Numbers>| -> Option<Vec<f64>> {
            let (above, below) = (self.numbers(above)?, self.numbers(below)?);
            Some(above.iter().zip(&below).map(|(above, below)| above / below).collect())
        };
        let pair = |first: Quantity<Matrix>, second: Quantity<Matrix>| -> Result<Option<_>> {
            // Both or none: a single one is not worth reading.
            if !self.has_layer(first) || !self.has_layer(second) {
                return Ok(None);
            }
            Ok(self.layer(first)?.zip(self.layer(second)?).map(|(u, s)| [u, s]))
        };
        let residual_std = self.numbers(FIT_STD_U).zip(self.numbers(FIT_STD_S));
        let capture_time = self.fit().and_then(|fit| fit.capture_times(self.obs()));
        let mut evidence = Evidence {
            velocity: Some(velocity),
            reconstruction: pair(FIT_U, FIT_S)?,
            moments: pair(MU, MS)?,
            residual_std: residual_std.map(|(u, s)| [u.into(), s.into()]),
            measured: self.fit().map(|fit| fit.reconstruction),
            bound: ["elbo_train", "elbo_test"].map(|name| self.fit()?.facts.get(name)?.as_f64()),
            split: self.column(VELOCITY_SPLIT).map(parts),
            true_velocity: self.layer(TRUE_VELOCITY)?,
            time: self.numbers(LATENT_TIME),
            true_time: self.numbers(TRUE_T),
            capture_time,
            ratio: ratio(FIT_GAMMA, FIT_BETA).or_else(|| self.numbers(VELOCITY_GAMMA)),
            true_ratio: ratio(TRUE_GAMMA, TRUE_BETA),
        };
        if self.fit().is_some_and(|fit| fit.moments == MomentUnits::Scaled) {
            evidence.restore(&self.scaling()?)?;
        }
        Ok(evidence)
    }

    /// How the moments were scaled, NaN for genes that were not fitted.
    fn scaling(&self) -> Result<MomentScaling> {
        let column = |quantity: Quantity<Numbers>| {
            self.numbers(quantity).map(Numbers::from).ok_or_else(|| {
                let problem = format!("the fit is of scaled moments, and the column {:?} is missing", quantity.key());
                Error::input(self.path(), "var", problem, "train again, or keep this column when the file is changed")
            })
        };
        let min_max = |min, span| Ok(MinMax { min: column(min)?, span: column(span)? });
        Ok(MomentScaling { mu: min_max(MU_MIN, MU_SPAN)?, ms: min_max(MS_MIN, MS_SPAN)? })
    }
}

//! What is evaluated in a file that a model was fitted to.

use std::path::Path;

use ndarray::{Array1, Array2};

use super::{keys, read_layer, read_obs, read_params, read_var};
use crate::data::{Column, Frame};
use crate::error::{Error, Result};
use crate::metrics::Evidence;

/// The fit and, where the file holds it, the truth. Matrices are `[n_obs, n_vars]`; genes that were not fitted are NaN.
#[derive(Clone, Debug)]
pub struct Fitted {
    moments: Option<[Array2<f32>; 2]>,
    reconstruction: Option<[Array2<f32>; 2]>,
    residual_std: Option<[Array1<f64>; 2]>,
    split: Option<Vec<u8>>,
    velocity: Array2<f32>,
    true_velocity: Option<Array2<f32>>,
    time: Option<Vec<f64>>,
    true_time: Option<Vec<f64>>,
    capture_time: Option<Vec<f64>>,
    ratio: Option<Vec<f64>>,
    true_ratio: Option<Vec<f64>>,
}

/// Reads what can be evaluated in the file at `path`.
///
/// # Errors
/// [`Error::Input`] if the file cannot be read or holds no velocities.
pub fn read_fitted(path: &Path) -> Result<Fitted> {
    let velocity = read_layer(path, keys::VELOCITY).map_err(|error| match error {
        Error::Input { path, place, problem, .. } => {
            let hint = "only a file with velocities can be evaluated: run `nascent train` first".to_owned();
            Error::Input { path, place, problem, hint }
        }
        other => other,
    })?;
    let (obs, var) = (read_obs(path)?, read_var(path)?);
    let pair = |first: &str, second: &str| -> Option<[Array2<f32>; 2]> {
        Some([read_layer(path, first).ok()?, read_layer(path, second).ok()?])
    };
    Ok(Fitted {
        velocity,
        moments: pair(keys::MU, keys::MS),
        reconstruction: pair(keys::FIT_U, keys::FIT_S),
        residual_std: numbers(&var, keys::FIT_STD_U)
            .zip(numbers(&var, keys::FIT_STD_S))
            .map(|(u, s)| [Array1::from(u), Array1::from(s)]),
        split: obs.get(keys::VELOCITY_SPLIT).map(parts),
        true_velocity: read_layer(path, keys::TRUE_VELOCITY).ok(),
        time: numbers(&obs, keys::LATENT_TIME),
        true_time: numbers(&obs, keys::TRUE_T),
        capture_time: capture_column(path)?.and_then(|column| numbers(&obs, &column)),
        ratio: ratio(&var, keys::FIT_GAMMA, keys::FIT_BETA).or_else(|| numbers(&var, keys::VELOCITY_GAMMA)),
        true_ratio: ratio(&var, keys::TRUE_GAMMA, keys::TRUE_BETA),
    })
}

impl Fitted {
    /// The same, as the metrics take it.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            moments: self.moments.as_ref().map(|[u, s]| [u.view(), s.view()]),
            reconstruction: self.reconstruction.as_ref().map(|[u, s]| [u.view(), s.view()]),
            residual_std: self.residual_std.as_ref().map(|[u, s]| [u.view(), s.view()]),
            split: self.split.as_deref(),
            velocity: Some(self.velocity.view()),
            true_velocity: self.true_velocity.as_ref().map(Array2::view),
            time: self.time.as_deref(),
            true_time: self.true_time.as_deref(),
            capture_time: self.capture_time.as_deref(),
            ratio: self.ratio.as_deref(),
            true_ratio: self.true_ratio.as_deref(),
        }
    }
}

fn numbers(frame: &Frame, name: &str) -> Option<Vec<f64>> {
    frame.get(name).and_then(Column::to_numbers)
}

fn ratio(frame: &Frame, above: &str, below: &str) -> Option<Vec<f64>> {
    let (above, below) = (numbers(frame, above)?, numbers(frame, below)?);
    Some(above.iter().zip(&below).map(|(above, below)| above / below).collect())
}

/// The part of each cell by its label; a label of another program counts as training.
fn parts(column: &Column) -> Vec<u8> {
    let part = |label: &String| if label == keys::SPLITS[2] { 2 } else { u8::from(label == keys::SPLITS[1]) };
    column.to_labels().iter().map(part).collect()
}

/// The column of capture times that the fit was told of.
fn capture_column(path: &Path) -> Result<Option<String>> {
    let params = read_params(path)?.unwrap_or_default();
    Ok(params.get(keys::CAPTURE_TIME).and_then(|value| value.as_str()).map(str::to_owned))
}

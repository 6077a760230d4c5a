//! What is evaluated in a file that a model was fitted to.

use std::path::Path;

use ndarray::{Array1, Array2, Axis};

use super::{keys, read_layer, read_obs, read_params, read_var};
use crate::data::{Column, Frame, MinMax, MomentScaling};
use crate::error::{Error, Result};
use crate::metrics::Evidence;

/// The fit and, where the file holds it, the truth. Matrices are `[n_obs, n_vars]`; genes that were not fitted are NaN.
///
/// Abundances, velocities and ratios are in counts: what was fitted to scaled moments is brought back when it is read.
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
    let params = read_params(path)?.unwrap_or_default();
    let capture_column = params.get(keys::CAPTURE_TIME).and_then(|value| value.as_str());
    let mut fitted = Fitted {
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
        capture_time: capture_column.and_then(|column| numbers(&obs, column)),
        ratio: ratio(&var, keys::FIT_GAMMA, keys::FIT_BETA).or_else(|| numbers(&var, keys::VELOCITY_GAMMA)),
        true_ratio: ratio(&var, keys::TRUE_GAMMA, keys::TRUE_BETA),
    };
    // The columns alone prove nothing: an earlier fit may have left them.
    if params.get(keys::MOMENTS_SCALED).and_then(serde_json::Value::as_bool) == Some(true) {
        let scaling = scaling(&var).ok_or_else(|| {
            let columns = [keys::MU_MIN, keys::MU_SPAN, keys::MS_MIN, keys::MS_SPAN].join(", ");
            let problem = format!("the fit is of scaled moments, and of the columns {columns} one is missing");
            Error::input(path, "var", problem, "train again, or keep these columns when the file is changed")
        })?;
        fitted.restore(&scaling)?;
    }
    Ok(fitted)
}

impl Fitted {
    /// From units of scaled moments to counts. With `u' = (u − min_u) / span_u` and s' likewise,
    /// `ds/dt = span_s ds'/dt`, and `ds'/dt = β' u' − γ' s'` has `γ/β = γ'/β' · span_u / span_s` in counts.
    fn restore(&mut self, scaling: &MomentScaling) -> Result<()> {
        let MomentScaling { mu, ms } = scaling;
        for layer in
            std::iter::once(&self.velocity).chain([&self.moments, &self.reconstruction].into_iter().flatten().flatten())
        {
            if layer.ncols() != ms.span.len() {
                let (wanted, found) = (vec![layer.nrows(), ms.span.len()], layer.shape().to_vec());
                return Err(Error::Shape { what: "layers of the fit".to_owned(), wanted, found });
            }
        }
        ms.restore_differences(&mut self.velocity);
        for [u, s] in [&mut self.moments, &mut self.reconstruction].into_iter().flatten() {
            mu.restore(u);
            ms.restore(s);
        }
        if let Some([std_u, std_s]) = &mut self.residual_std {
            *std_u *= &mu.span;
            *std_s *= &ms.span;
        }
        for (gene, ratio) in self.ratio.iter_mut().flatten().enumerate() {
            *ratio *= mu.span[gene] / ms.span[gene];
        }
        Ok(())
    }

    /// `ds/dt`, in counts; NaN for genes that were not fitted.
    #[must_use]
    pub fn velocity(&self) -> &Array2<f32> {
        &self.velocity
    }

    /// The same of the cells and genes at these positions.
    #[must_use]
    pub fn select(&self, cells: &[usize], genes: &[usize]) -> Self {
        let matrix = |all: &Array2<f32>| all.select(Axis(1), genes).select(Axis(0), cells);
        let pair = |all: &Option<[Array2<f32>; 2]>| all.as_ref().map(|all| all.each_ref().map(matrix));
        let of_cells = |all: &Option<Vec<f64>>| all.as_ref().map(|all| cells.iter().map(|&i| all[i]).collect());
        let of_genes = |all: &Option<Vec<f64>>| all.as_ref().map(|all| genes.iter().map(|&gene| all[gene]).collect());
        Self {
            moments: pair(&self.moments),
            reconstruction: pair(&self.reconstruction),
            residual_std: self.residual_std.as_ref().map(|all| all.each_ref().map(|std| std.select(Axis(0), genes))),
            split: self.split.as_ref().map(|all| cells.iter().map(|&i| all[i]).collect()),
            velocity: matrix(&self.velocity),
            true_velocity: self.true_velocity.as_ref().map(matrix),
            time: of_cells(&self.time),
            true_time: of_cells(&self.true_time),
            capture_time: of_cells(&self.capture_time),
            ratio: of_genes(&self.ratio),
            true_ratio: of_genes(&self.true_ratio),
        }
    }

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

/// How the moments were scaled, NaN for genes that were not fitted.
fn scaling(var: &Frame) -> Option<MomentScaling> {
    let column = |name: &str| numbers(var, name).map(Array1::from);
    let min_max = |min: &str, span: &str| Some(MinMax { min: column(min)?, span: column(span)? });
    Some(MomentScaling { mu: min_max(keys::MU_MIN, keys::MU_SPAN)?, ms: min_max(keys::MS_MIN, keys::MS_SPAN)? })
}

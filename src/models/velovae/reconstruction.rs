//! What a trained module says of all cells, piece after piece.

use burn::module::Module;
use burn::tensor::Tensor;
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

use super::network::{Decoded, VelovaeModule};
use crate::error::Result;
use crate::nn::draws::Draws;
use crate::nn::{arrays, kinetics};
use crate::train::{Batch, BatchSource, TrainingData};

/// Cells in pieces that fit the device.
pub(super) struct Chunks {
    n_obs: usize,
}

impl Chunks {
    pub(super) const SIZE: usize = 1024;

    pub(super) fn all(n_obs: usize) -> Self {
        Self { n_obs }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Vec<usize>> + use<> {
        let n_obs = self.n_obs;
        (0..n_obs).step_by(Self::SIZE).map(move |from| (from..(from + Self::SIZE).min(n_obs)).collect())
    }
}

/// What the module says of all cells.
pub(super) struct Reconstruction {
    /// Posterior mean of time, or a draw of it, `[n_obs]`.
    pub time: Array1<f64>,
    /// Posterior s.d. of time, `[n_obs]`.
    pub time_std: Array1<f64>,
    /// Posterior mean of the state, or a draw of it, `[n_obs, n_latent]`.
    pub state: Option<Array2<f32>>,
    /// Posterior s.d. of the state, `[n_obs, n_latent]`.
    pub state_std: Option<Array2<f32>>,
    /// Unspliced abundance divided by the scaling, `[n_obs, n_vars]`.
    pub u: Array2<f32>,
    /// Spliced abundance, `[n_obs, n_vars]`.
    pub s: Array2<f32>,
    /// `β u − γ s`, `[n_obs, n_vars]`.
    pub velocity: Array2<f32>,
}

/// What else a fit is asked for.
pub(super) struct Further {
    /// `α̃ − β u`, divided by the scaling, `[n_obs, n_vars]`.
    pub velocity_u: Array2<f32>,
    /// Spliced abundance after some time under the present transcription rates, `[n_obs, n_vars]`.
    pub future: Array2<f32>,
}

impl Reconstruction {
    /// Posterior means with [`Draws::Mean`], a posterior sample otherwise.
    pub(super) fn of(module: &VelovaeModule, data: &TrainingData, chunks: &Chunks, draws: &mut Draws<'_>) -> Self {
        let module = module.valid();
        let parts: Vec<Self> = chunks.rows().map(|rows| Self::of_rows(&module, data, &rows, draws)).collect();
        Self {
            time: parts.iter().flat_map(|part| part.time.to_vec()).collect(),
            time_std: parts.iter().flat_map(|part| part.time_std.to_vec()).collect(),
            state: stack_some(&parts, |part| part.state.as_ref()),
            state_std: stack_some(&parts, |part| part.state_std.as_ref()),
            u: stack(&parts, |part| &part.u),
            s: stack(&parts, |part| &part.s),
            velocity: stack(&parts, |part| &part.velocity),
        }
    }

    /// The same of some cells; `module` is out of training.
    pub(super) fn of_rows(module: &VelovaeModule, data: &TrainingData, rows: &[usize], draws: &mut Draws<'_>) -> Self {
        Self::of_batch(module, &data.batch(rows), draws)
    }

    /// The same of the cells of `batch`.
    pub(super) fn of_batch(module: &VelovaeModule, batch: &Batch, draws: &mut Draws<'_>) -> Self {
        // Dropout stays off: only time and state are uncertain, not the network.
        let posterior = module.encode(batch, &mut Draws::Mean);
        let (t, c) = posterior.draw(draws);
        let Decoded { u, s, beta, gamma, .. } = module.decode(batch, t.clone(), c.clone(), &mut Draws::Mean);
        Self {
            time: arrays::to_array1(t),
            time_std: arrays::to_array1(posterior.time_std),
            state: c.map(arrays::to_array),
            state_std: posterior.state.map(|(_, std)| arrays::to_array(std)),
            velocity: arrays::to_array(u.clone() * beta - s.clone() * gamma),
            u: arrays::to_array(u),
            s: arrays::to_array(s),
        }
    }
}

impl Further {
    /// At the posterior means; `ahead` is how far the future is.
    pub(super) fn of(module: &VelovaeModule, data: &TrainingData, ahead: f64) -> Self {
        let module = module.valid();
        let of_rows = |rows: Vec<usize>| {
            let batch = data.batch(&rows);
            let (t, c) = module.encode(&batch, &mut Draws::Mean).draw(&mut Draws::Mean);
            let Decoded { u, s, alpha, beta, gamma } = module.decode(&batch, t, c, &mut Draws::Mean);
            let velocity_u = alpha.clone() - u.clone() * beta.clone();
            let tau = Tensor::full([rows.len(), 1], ahead, &data.device);
            let (_, future) = kinetics::solve(&tau, u, s, alpha, &beta, &gamma);
            (arrays::to_array(velocity_u), arrays::to_array(future))
        };
        let (velocity_u, future): (Vec<_>, Vec<_>) = Chunks::all(data.n_obs()).rows().map(of_rows).unzip();
        let stacked = |parts: &[Array2<f32>]| {
            let views: Vec<_> = parts.iter().map(Array2::view).collect();
            ndarray::concatenate(Axis(0), &views).expect("all parts have the same genes")
        };
        Self { velocity_u: stacked(&velocity_u), future: stacked(&future) }
    }
}

/// Posterior means of the times, `[n_obs]`, and states, `[n_obs, n_latent]`, of all cells. Of the full model only.
///
/// # Errors
/// If cells cannot be read.
pub(super) fn times_and_states(module: &VelovaeModule, cells: &dyn BatchSource) -> Result<(Array1<f64>, Array2<f32>)> {
    let module = module.valid();
    let chunks: Vec<Vec<usize>> = Chunks::all(cells.n_obs()).rows().collect();
    let (mut times, mut states) = (Vec::with_capacity(cells.n_obs()), Vec::new());
    for batch in cells.pass(&chunks) {
        let posterior = module.encode(&batch?, &mut Draws::Mean);
        times.extend(arrays::to_array1(posterior.time_mean));
        states.push(arrays::to_array(posterior.state.expect("the full model has states").0));
    }
    let views: Vec<_> = states.iter().map(Array2::view).collect();
    Ok((times.into(), ndarray::concatenate(Axis(0), &views).expect("states have one width")))
}

/// Residual s.d. of u and s of each gene over the training cells, in units of `data`, but at least `least`: the rule by which the
/// likelihood's s.d. follow from a fit, in training and in what is written.
///
/// `σ_g² = mean over training cells of (x − x̂)²`
pub(super) fn residual_spreads(
    fitted: &Reconstruction,
    [mu, ms]: [&Array2<f32>; 2],
    scaling: &Array1<f32>,
    train: &[usize],
    least: f64,
) -> [Vec<f64>; 2] {
    let spread = |observed: &Array2<f32>, model: &Array2<f32>, factor: &(dyn Fn(usize) -> f32 + Sync)| -> Vec<f64> {
        let of_gene = |gene: usize| {
            let residual = |&cell: &usize| f64::from(observed[[cell, gene]] - model[[cell, gene]] * factor(gene));
            let total: f64 = train.iter().map(|cell| residual(cell).powi(2)).sum();
            (total / train.len() as f64).sqrt().max(least)
        };
        (0..observed.ncols()).into_par_iter().map(of_gene).collect()
    };
    [spread(mu, &fitted.u, &|gene| scaling[gene]), spread(ms, &fitted.s, &|_| 1.0)]
}

fn stack(parts: &[Reconstruction], pick: impl Fn(&Reconstruction) -> &Array2<f32>) -> Array2<f32> {
    let views: Vec<_> = parts.iter().map(|part| pick(part).view()).collect();
    ndarray::concatenate(Axis(0), &views).expect("all parts have the same genes")
}

fn stack_some(parts: &[Reconstruction], pick: impl Fn(&Reconstruction) -> Option<&Array2<f32>>) -> Option<Array2<f32>> {
    let views: Option<Vec<_>> = parts.iter().map(|part| pick(part).map(Array2::view)).collect();
    views.map(|views| ndarray::concatenate(Axis(0), &views).expect("all parts have the same columns"))
}

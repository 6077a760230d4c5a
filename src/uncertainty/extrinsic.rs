//! Spread of what the samples predict from the cells around.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::{Extrapolation, Spread, columns, directional};
use crate::data::{Directional, Neighbors};
use crate::error::{Error, Result};
use crate::graph::{Candidates, Kernel, States, confidence, confidence_bound, self_transition, similarities};
use crate::pca::pca_dense;
use crate::stats::count;

/// Genes up to which the graph lives in their space.
const MOST_GENES: usize = 100;
/// Principal components beyond.
const N_COMPONENTS: usize = 30;
/// Genes extrapolated together: some hundred candidates' share of them fits the second-level cache.
const TILE: usize = 512;
/// Weights of the transition matrix.
const KERNEL: Kernel = Kernel { scale: 10.0, negative: true };

/// The space of the velocity graph.
pub(super) struct Space {
    candidates: Candidates,
    states: States,
    /// Principal components of the genes, `[n_vars, n_dims]`; `None` for the genes themselves.
    components: Option<Array2<f32>>,
}

impl Space {
    /// The space of cells with abundances `ms`, `[n_obs, n_vars]`.
    pub(super) fn new(ms: ArrayView2<'_, f32>, neighbors: &Neighbors) -> Result<Self> {
        let candidates = Candidates::new(&neighbors.distances)?;
        if candidates.n_obs() != ms.nrows() {
            let (wanted, found) = (vec![ms.nrows()], vec![candidates.n_obs()]);
            return Err(Error::Shape { what: "cells of the neighbour graph".to_owned(), wanted, found });
        }
        if ms.iter().any(|value| !value.is_finite()) {
            return Err(Error::Data {
                problem: "uncertainty: Ms holds a value that is not finite".to_owned(),
                hint: String::new(),
            });
        }
        if ms.ncols() <= MOST_GENES || ms.nrows() < 2 {
            return Ok(Self { candidates, states: States::new(ms), components: None });
        }
        let pca = pca_dense(ms, N_COMPONENTS.min(ms.nrows() - 1))?;
        let components = pca.components.mapv(|value| value as f32);
        Ok(Self { candidates, states: States::new(pca.scores.view()), components: Some(components) })
    }

    pub(super) fn n_dims(&self) -> usize {
        self.states.n_dims()
    }

    /// Writes the samples of one cell, `[n_samples, n_vars]`, in this space: `[n_samples, n_dims]`, not centred.
    pub(super) fn project(&self, samples: ArrayView2<'_, f32>, mut target: ArrayViewMut2<'_, f32>) {
        match &self.components {
            Some(components) => general_mat_mul(1.0, &samples, components, 0.0, &mut target),
            None => target.assign(&samples),
        }
    }

    /// Takes from each sample of `velocities`, `[n_obs, n_samples, n_dims]`, its mean over cells. A cell that does not move still
    /// does not: a row of zeros remains.
    fn centre(&self, velocities: &mut Array3<f32>) {
        if self.components.is_none() {
            return;
        }
        let (n_obs, n_samples, n_dims) = velocities.dim();
        let mut mean = Array2::<f64>::zeros((n_samples, n_dims));
        for cell in velocities.outer_iter() {
            mean.zip_mut_with(&cell, |sum, &value| *sum += f64::from(value));
        }
        mean /= count(n_obs.max(1));
        for mut cell in velocities.outer_iter_mut() {
            for (mut velocity, mean) in cell.rows_mut().into_iter().zip(mean.rows()) {
                if velocity.iter().any(|&value| value != 0.0) {
                    velocity.zip_mut_with(&mean, |value, &mean| *value = (f64::from(*value) - mean) as f32);
                }
            }
        }
    }
}

/// Spread of the extrapolations of all cells; `velocities` are in `space`, `[n_obs, n_samples, n_dims]`.
pub(super) fn extrinsic(
    ms: ArrayView2<'_, f32>,
    space: &Space,
    mut velocities: Array3<f32>,
    extrapolation: Extrapolation,
    spread: Spread,
) -> Directional {
    space.centre(&mut velocities);
    let bounds = bounds(space, &velocities);
    let of_cell = |i: usize| {
        let near = space.candidates.of(i);
        // Found a second time: of all cells and samples at once they would not fit in memory.
        let mut weights = similarities(&space.states, i, &near, velocities.index_axis(Axis(0), i));
        let own = near.binary_search(&(i as u32)).expect("every cell is a candidate of itself");
        for (mut row, &bound) in weights.rows_mut().into_iter().zip(&bounds) {
            let row = row.as_slice_mut().expect("rows of an owned array are contiguous");
            row[own] = self_transition(bound, confidence(row));
            KERNEL.apply(row);
        }
        let from = (extrapolation == Extrapolation::Displacement).then_some(i);
        let extrapolated = extrapolated(ms, &near, &weights, from);
        directional(extrapolated.view(), spread)
    };
    let cells: Vec<[f64; 5]> = (0..ms.nrows()).into_par_iter().map(of_cell).collect();
    columns(&cells)
}

/// What the confidences of each sample are compared with, `[n_samples]`.
fn bounds(space: &Space, velocities: &Array3<f32>) -> Vec<f64> {
    let of_cell = |i: usize| {
        let found = similarities(&space.states, i, &space.candidates.of(i), velocities.index_axis(Axis(0), i));
        let of_sample =
            |row: ArrayView1<'_, f32>| confidence(row.to_slice().expect("rows of an owned array are contiguous"));
        found.rows().into_iter().map(of_sample).collect::<Vec<f32>>()
    };
    let (n_obs, n_samples, _) = velocities.dim();
    let confidences: Vec<Vec<f32>> = (0..n_obs).into_par_iter().map(of_cell).collect();
    let of_sample = |l: usize| confidences.iter().map(|cell| cell[l]).collect::<Vec<f32>>();
    (0..n_samples).map(|l| confidence_bound(&of_sample(l))).collect()
}

/// `Σ_j T_lj x_j`, or `Σ_j T_lj (x_j − x_from)`, for each sample l: `[n_samples, n_vars]`.
fn extrapolated(ms: ArrayView2<'_, f32>, near: &[u32], weights: &Array2<f32>, from: Option<usize>) -> Array2<f32> {
    let n_vars = ms.ncols();
    let mut found = Array2::zeros((weights.nrows(), n_vars));
    let mut states = Array2::<f32>::zeros((near.len(), TILE.min(n_vars)));
    for start in (0..n_vars).step_by(TILE) {
        let genes = start..n_vars.min(start + TILE);
        let mut states = states.slice_mut(s![.., ..genes.len()]);
        let origin = match from {
            Some(i) => ms.slice(s![i, genes.clone()]).to_owned(),
            None => Array1::zeros(genes.len()),
        };
        for (mut state, &j) in states.rows_mut().into_iter().zip(near) {
            state.assign(&ms.slice(s![j as usize, genes.clone()]));
            state -= &origin;
        }
        general_mat_mul(1.0, weights, &states, 0.0, &mut found.slice_mut(s![.., genes]));
    }
    found
}

//! From similarities to probabilities of moving.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::Candidates;
use crate::error::{Error, Result};
use crate::sparse::Csr;
use crate::stats;

/// The percentile of the confidences from which a cell has no self-transition.
const CONFIDENT: f64 = 98.0;

/// How similarities become weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// λ, the steepness.
    pub scale: f64,
    /// Whether cells that the velocity points away from get negative weights; else small positive ones.
    pub negative: bool,
}

impl Default for Kernel {
    /// λ = 10, no negative weights.
    fn default() -> Self {
        Self { scale: 10.0, negative: false }
    }
}

impl Kernel {
    /// Turns similarities of one cell into transitions: weights, divided by the sum of their sizes. Zeros stay zeros.
    pub(crate) fn apply(self, similarities: &mut [f32]) {
        let mut sum = 0.0;
        for value in &mut *similarities {
            *value = self.weight(f64::from(*value)) as f32;
            sum += f64::from(value.abs());
        }
        if sum > 0.0 {
            for value in similarities {
                *value = (f64::from(*value) / sum) as f32;
            }
        }
    }

    fn weight(self, similarity: f64) -> f64 {
        if similarity == 0.0 {
            0.0
        } else if self.negative {
            (self.scale * similarity.abs()).exp_m1().copysign(similarity)
        } else {
            (self.scale * similarity).exp()
        }
    }
}

/// The positive part of a graph of both signs and the negative part: `velocity_graph`, `velocity_graph_neg`.
#[must_use]
pub fn split(graph: &Csr<f32>) -> (Csr<f32>, Csr<f32>) {
    let part = |keep: fn(f32) -> bool| {
        let of_row = |i: usize| {
            let (cells, values) = graph.row(i);
            cells.iter().copied().zip(values.iter().copied()).filter(|entry| keep(entry.1)).collect()
        };
        Csr::from_rows(graph.n_cols, &(0..graph.n_rows).map(of_row).collect::<Vec<_>>())
    };
    (part(|value| value > 0.0), part(|value| value < 0.0))
}

/// c of one cell: the largest of its similarities, at least 0.
#[must_use]
pub fn confidence(similarities: &[f32]) -> f32 {
    similarities.iter().copied().fold(0.0, f32::max)
}

/// P98 of the confidences of all cells; 0 if there are none.
pub(crate) fn confidence_bound(confidences: &[f32]) -> f64 {
    let confidences: Vec<f64> = confidences.iter().map(|&c| f64::from(c)).collect();
    if confidences.is_empty() { 0.0 } else { stats::percentile(&confidences, CONFIDENT) }
}

/// s of a cell, from its confidence and the bound of all.
pub(crate) fn self_transition(bound: f64, confidence: f32) -> f32 {
    (bound - f64::from(confidence)).clamp(0.0, 1.0) as f32
}

/// s of every cell from the [`confidence`] of every cell, both `[n_obs]`: `velocity_self_transition`.
#[must_use]
pub fn self_transitions(confidences: &[f32]) -> Vec<f32> {
    let bound = confidence_bound(confidences);
    confidences.iter().map(|&confidence| self_transition(bound, confidence)).collect()
}

/// The transition matrix of a graph of both signs, `[n_obs, n_obs]`.
///
/// - `self_transitions`: s of each cell, `[n_obs]`; without, the diagonal is as in `graph`
///
/// # Errors
/// [`Error::Shape`] if `graph` is not square or there is not one self-transition per cell.
pub fn transition_matrix(graph: &Csr<f32>, self_transitions: Option<&[f32]>, kernel: Kernel) -> Result<Csr<f32>> {
    let n_obs = graph.n_rows;
    if graph.n_cols != n_obs || self_transitions.is_some_and(|own| own.len() != n_obs) {
        let found = self_transitions.map_or(graph.n_cols, <[f32]>::len);
        let what = "velocity graph and its self-transitions".to_owned();
        return Err(Error::Shape { what, wanted: vec![n_obs, n_obs], found: vec![n_obs, found] });
    }
    let of_row = |i: usize| transitions_of(i, graph.row(i), self_transitions.map(|own| own[i]), kernel);
    let rows: Vec<_> = (0..n_obs).into_par_iter().map(of_row).collect();
    Ok(Csr::from_rows(n_obs, &rows))
}

/// Row `i` of the transition matrix, from row `i` of the graph and the cell's self-transition.
pub(crate) fn transitions_of(i: usize, row: (&[u32], &[f32]), own: Option<f32>, kernel: Kernel) -> Vec<(u32, f32)> {
    let mut entries: Vec<(u32, f32)> = row.0.iter().copied().zip(row.1.iter().copied()).collect();
    if let Some(own) = own {
        match entries.binary_search_by_key(&(i as u32), |entry| entry.0) {
            Ok(at) => entries[at].1 = own,
            Err(at) => entries.insert(at, (i as u32, own)),
        }
    }
    entries.retain(|entry| entry.1 != 0.0);
    let mut weights: Vec<f32> = entries.iter().map(|entry| entry.1).collect();
    kernel.apply(&mut weights);
    entries.iter().zip(weights).map(|(entry, weight)| (entry.0, weight)).collect()
}

/// The weights w of a graph of both signs before rows are divided by their sums, `[n_obs, n_obs]`.
#[must_use]
pub fn weights(graph: &Csr<f32>, kernel: Kernel) -> Csr<f32> {
    graph.map(|similarity| kernel.weight(f64::from(similarity)) as f32)
}

/// The transitions of time run backward: the transpose, each row divided by its sum; rows without entries stay empty.
///
/// As in scVelo, the unnormalised [`weights`] are transposed, not the transitions; rows are normalised afterwards. So the total
/// weight of what leaves a cell plays no role.
#[must_use]
pub fn backward(weights: &Csr<f32>) -> Csr<f32> {
    let mut reversed = weights.transpose();
    for i in 0..reversed.n_rows {
        let values = &mut reversed.data[reversed.indptr[i]..reversed.indptr[i + 1]];
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        if sum != 0.0 {
            for value in values.iter_mut() {
                *value = (f64::from(*value) / sum) as f32;
            }
        }
    }
    reversed
}

/// CellRank's transition matrix of a graph of both signs: the softmax of λπ over all candidates but the cell itself, `[n_obs, n_obs]`.
/// A cell without any similarity, which has no velocity, moves to each of them alike.
///
/// - `scale`: λ; by default one over the median of |π|
///
/// # Errors
/// [`Error::Shape`] if `graph` and `candidates` do not belong together.
///
/// Source: behaviour of CellRank 2 `VelocityKernel` (`model="deterministic"`, with connectivities as candidates).
pub fn softmax(graph: &Csr<f32>, candidates: &Candidates, scale: Option<f64>) -> Result<Csr<f32>> {
    let n_obs = candidates.n_obs();
    if (graph.n_rows, graph.n_cols) != (n_obs, n_obs) {
        let (wanted, found) = (vec![n_obs, n_obs], vec![graph.n_rows, graph.n_cols]);
        return Err(Error::Shape { what: "velocity graph".to_owned(), wanted, found });
    }
    let scale = scale.unwrap_or_else(|| {
        let sizes: Vec<f64> = graph.data.iter().map(|&value| f64::from(value.abs())).collect();
        if sizes.is_empty() { 1.0 } else { stats::median(&sizes).recip() }
    });
    let of_row = |i: usize| {
        let (cells, values) = graph.row(i);
        let mut near = candidates.of(i);
        near.retain(|&j| j as usize != i);
        let logit = |j: &u32| cells.binary_search(j).map_or(0.0, |at| scale * f64::from(values[at]));
        let logits: Vec<f64> = near.iter().map(logit).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        near.into_iter().zip(weights).map(|(j, weight)| (j, (weight / sum) as f32)).collect::<Vec<_>>()
    };
    Ok(Csr::from_rows(n_obs, &(0..n_obs).into_par_iter().map(of_row).collect::<Vec<_>>()))
}

/// Transitions along an embedding: each multiplied by `exp(−d²/2w²)` of the distance d that it covers there, with w the mean
/// such distance times `scale`, mixed with movement in any direction, and rows divided by the sums of their sizes.
///
/// - `coordinates`: of the embedding, `[n_obs, n_dims]`
/// - `weight`: of movement in any direction, `exp(−2d²/w²)`; 0 for none
///
/// # Errors
/// [`Error::Shape`] if there is not one point per cell.
///
/// Source: behaviour of scVelo 0.3.4 `tl.transition_matrix(basis=…, scale_diffusion=…, weight_diffusion=…)`.
pub fn along_embedding(
    transitions: &Csr<f32>,
    coordinates: ArrayView2<'_, f32>,
    scale: f64,
    weight: f64,
) -> Result<Csr<f32>> {
    let n_obs = transitions.n_rows;
    if coordinates.nrows() != n_obs {
        let (wanted, found) = (vec![n_obs], vec![coordinates.nrows()]);
        return Err(Error::Shape { what: "cells of the embedding".to_owned(), wanted, found });
    }
    let squared = |i: usize, j: u32| -> f64 {
        let pairs = coordinates.row(i).into_iter().zip(coordinates.row(j as usize));
        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    };
    let moves = |i: usize| {
        let (cells, values) = transitions.row(i);
        let entries = cells.iter().zip(values).filter(|entry| *entry.1 > 0.0);
        entries.map(move |(&j, &value)| (j, f64::from(value), squared(i, j)))
    };
    let sums: Vec<(f64, usize)> = (0..n_obs)
        .into_par_iter()
        .map(|i| moves(i).fold((0.0, 0), |(sum, n), entry| (sum + entry.2.sqrt(), n + 1)))
        .collect();
    let (sum, n) = sums.into_iter().fold((0.0, 0), |(sum, n), row| (sum + row.0, n + row.1));
    let width = scale * sum / stats::count(n.max(1));
    let of_row = |i: usize| {
        let weighted = moves(i).map(|(j, value, squared)| {
            let along = value * (-squared / (2.0 * width * width)).exp();
            let anywhere = (-2.0 * squared / (width * width)).exp();
            (j, if weight > 0.0 { (1.0 - weight) * along + weight * anywhere } else { along })
        });
        let weighted: Vec<(u32, f64)> = weighted.collect();
        let sum: f64 = weighted.iter().map(|entry| entry.1).sum();
        let sum = if sum > 0.0 { sum } else { 1.0 };
        weighted.into_iter().map(|(j, weight)| (j, (weight / sum) as f32)).collect::<Vec<_>>()
    };
    Ok(Csr::from_rows(n_obs, &(0..n_obs).into_par_iter().map(of_row).collect::<Vec<_>>()))
}

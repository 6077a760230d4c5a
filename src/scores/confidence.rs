//! Length of the velocity, and its agreement with what is around.
//!
//! With ṽ the velocity of a cell less its mean over genes and N(i) the nearest neighbours of cell i:
//!
//! ```text
//! length                 ‖ṽ_i‖
//! confidence             max(0, mean over j in N(i) of corr(v_i, v_j))
//! transition confidence  corr(v_i, Σ_j T_ij x_j − x_i)
//! ```
//!
//! Velocities of neighbours agree because their moments are averages over almost the same cells: high confidence does not mean that
//! the direction is right. (On data with known truth it is 0.93 where 32 % of the signs are.)
//!
//! Source: behaviour of scVelo 0.3.4 `tl.velocity_confidence`, which rounds lengths to two digits; these are not.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, CowArray, Ix2};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::graph::Candidates;
use crate::simd::{Vectorized, mul_add, vectorize};
use crate::sparse::Csr;
use crate::stats::{count, is_constant};

/// ‖ṽ‖ of each cell, `[n_obs]`, from its velocity in the velocity genes, `[n_obs, n_genes]`.
#[must_use]
pub fn length(velocities: ArrayView2<'_, f32>) -> Vec<f64> {
    velocities.rows().into_iter().map(|v| centred(v.iter().map(|&v| f64::from(v))).1).collect()
}

/// Agreement of the velocity of each cell with those of its direct neighbours, `[n_obs]`; 0 where there is no direction.
///
/// # Errors
/// [`Error::Shape`] if `candidates` are not of these cells.
pub fn confidence(velocities: ArrayView2<'_, f32>, candidates: &Candidates) -> Result<Vec<f64>> {
    if candidates.n_obs() != velocities.nrows() {
        let (wanted, found) = (vec![velocities.nrows()], vec![candidates.n_obs()]);
        return Err(Error::Shape { what: "cells of the neighbour graph".to_owned(), wanted, found });
    }
    let units = units(velocities);
    let of_cell = |i: usize| {
        let mut sum = Array1::<f32>::zeros(units.ncols());
        candidates.direct(i).iter().for_each(|&j| sum += &units.row(j as usize));
        let agreement: f64 = sum.iter().zip(units.row(i)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        (agreement / count(candidates.direct(i).len().max(1))).max(0.0)
    };
    Ok((0..velocities.nrows()).into_par_iter().map(of_cell).collect())
}

/// Agreement of the velocity of each cell with where `transitions`, `[n_obs, n_obs]`, lead it on average, `[n_obs]`.
///
/// - `states`, `velocities`: in the velocity genes, `[n_obs, n_genes]`
///
/// # Errors
/// [`Error::Shape`] if they do not belong together.
pub fn transition_confidence(
    states: ArrayView2<'_, f32>,
    velocities: ArrayView2<'_, f32>,
    transitions: &Csr<f32>,
) -> Result<Vec<f64>> {
    let n_obs = states.nrows();
    for (what, found) in [
        ("velocities", velocities.shape().to_vec()),
        ("transitions", vec![transitions.n_rows, states.ncols()]),
        ("transitions", vec![transitions.n_cols, states.ncols()]),
    ] {
        if found != states.shape() {
            return Err(Error::Shape { what: what.to_owned(), wanted: states.shape().to_vec(), found });
        }
    }
    let states = states.as_standard_layout();
    let of_cell = |i: usize| {
        let (displacement, distance) = centred(displacement(&states, i, transitions.row(i)).into_iter());
        let (velocity, length) = centred(velocities.row(i).iter().map(|&v| f64::from(v)));
        if distance == 0.0 || length == 0.0 {
            return 0.0;
        }
        displacement.iter().zip(velocity).map(|(a, b)| a * b).sum::<f64>() / (distance * length)
    };
    Ok((0..n_obs).into_par_iter().map(of_cell).collect())
}

/// `Σ_j T_ij x_j − x_i` of a cell. Differences are added, so that in single precision little is lost; what a row of T lacks to 1
/// comes at the end.
fn displacement(states: &CowArray<'_, f32, Ix2>, i: usize, (cells, weights): (&[u32], &[f32])) -> Vec<f64> {
    let mut sum = vec![0.0_f32; states.ncols()];
    let rows = states.as_slice().expect("in standard layout");
    vectorize(WeightedDifferences { states: rows, i, cells, weights, sum: &mut sum });
    let remaining = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() - 1.0;
    sum.iter().zip(states.row(i)).map(|(&sum, &x)| f64::from(sum) + remaining * f64::from(x)).collect()
}

struct WeightedDifferences<'a> {
    /// `[n_obs, n_genes]`, row after row.
    states: &'a [f32],
    i: usize,
    cells: &'a [u32],
    weights: &'a [f32],
    /// `Σ_j T_ij (x_j − x_i)`, `[n_genes]`.
    sum: &'a mut [f32],
}

impl Vectorized for WeightedDifferences<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let n_genes = self.sum.len();
        let row = |i: usize| &self.states[i * n_genes..(i + 1) * n_genes];
        let from = row(self.i);
        for (&j, &weight) in self.cells.iter().zip(self.weights) {
            for ((sum, to), from) in self.sum.iter_mut().zip(row(j as usize)).zip(from) {
                *sum = mul_add::<FMA>(weight, to - from, *sum);
            }
        }
    }
}

/// Velocities less their means over genes, in units of their lengths; zero where there is no direction.
pub(super) fn units(velocities: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut units = Array2::zeros(velocities.raw_dim());
    let rows: Vec<(ArrayView1<'_, f32>, _)> = velocities.axis_iter(Axis(0)).zip(units.axis_iter_mut(Axis(0))).collect();
    rows.into_par_iter().for_each(|(velocity, mut unit)| {
        let (values, length) = centred(velocity.iter().map(|&v| f64::from(v)));
        if length > 0.0 {
            unit.iter_mut().zip(values).for_each(|(to, value)| *to = (value / length) as f32);
        }
    });
    units
}

/// Values less their mean, and their length; 0 if they are constant.
fn centred(values: impl Iterator<Item = f64>) -> (Vec<f64>, f64) {
    let mut values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / count(values.len().max(1));
    let squares: f64 = values.iter().map(|value| value * value).sum();
    for value in &mut values {
        *value -= mean;
    }
    let remaining: f64 = values.iter().map(|value| value * value).sum();
    let length = if is_constant(remaining, squares) { 0.0 } else { remaining.sqrt() };
    (values, length)
}

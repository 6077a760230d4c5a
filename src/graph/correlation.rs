//! Correlations of displacements with velocities.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::Candidates;
use crate::error::{Error, Result};
use crate::simd::{Vectorized, mul_add, vectorize};
use crate::sparse::Csr;
use crate::stats::{count, is_constant};

/// Numbers added side by side; rows are filled up with zeros to a multiple of it.
const LANES: usize = 16;

/// States of all cells, each less its mean over the dimensions: the differences of these rows are centred.
#[derive(Clone, Debug)]
pub struct States {
    n_dims: usize,
    /// `[n_obs, n_dims]`, and zeros up to a multiple of [`LANES`] columns.
    centred: Array2<f32>,
}

impl States {
    /// States from coordinates `x`, `[n_obs, n_dims]`, of genes or of principal components.
    #[must_use]
    pub fn new(x: ArrayView2<'_, f32>) -> Self {
        let mut centred = Array2::zeros((x.nrows(), padded(x.ncols())));
        for (mut to, from) in centred.rows_mut().into_iter().zip(x.rows()) {
            let mean = mean(from);
            for (to, &value) in to.iter_mut().zip(from) {
                *to = (f64::from(value) - mean) as f32;
            }
        }
        Self { n_dims: x.ncols(), centred }
    }

    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.centred.nrows()
    }

    /// Number of dimensions.
    #[must_use]
    pub fn n_dims(&self) -> usize {
        self.n_dims
    }

    fn row(&self, i: usize) -> &[f32] {
        self.centred.row(i).to_slice().expect("rows of an owned array are contiguous")
    }
}

/// Rows of the velocity graph: π_ij of the cells in `cells` with their candidates, `[cells.len(), n_obs]`, both signs, without
/// zeros.
///
/// - `velocities`: of these cells only, in the space of `states`, `[cells.len(), n_dims]`
///
/// # Errors
/// [`Error::Shape`] if `states`, `candidates`, `cells` and `velocities` do not belong together.
pub fn rows(
    states: &States,
    candidates: &Candidates,
    cells: Range<usize>,
    velocities: ArrayView2<'_, f32>,
) -> Result<Csr<f32>> {
    let n_obs = states.n_obs();
    let shape = |what: &str, wanted: Vec<usize>, found: Vec<usize>| {
        if wanted == found { Ok(()) } else { Err(Error::Shape { what: what.to_owned(), wanted, found }) }
    };
    shape("candidates of cells", vec![n_obs], vec![candidates.n_obs()])?;
    shape("velocities", vec![cells.len(), states.n_dims], velocities.shape().to_vec())?;
    if cells.end > n_obs {
        return Err(Error::Shape { what: "cells".to_owned(), wanted: vec![n_obs], found: vec![cells.end] });
    }
    let start = cells.start;
    let of_cell = |i: usize| {
        let near = candidates.of(i);
        let velocity = velocities.row(i - start).insert_axis(ndarray::Axis(0));
        let found = correlations(states, i, &near, velocity);
        near.into_iter().zip(found).filter(|entry| entry.1 != 0.0).collect::<Vec<(u32, f32)>>()
    };
    let rows: Vec<_> = cells.into_par_iter().map(of_cell).collect();
    Ok(Csr::from_rows(n_obs, &rows))
}

/// π of cell `i` with each of `candidates` for several velocities, `[n_velocities, n_dims]`, that it might have; returns
/// `[n_velocities, candidates.len()]`. A correlation with something constant (or not finite) is 0.
pub(crate) fn correlations(
    states: &States,
    i: usize,
    candidates: &[u32],
    velocities: ArrayView2<'_, f32>,
) -> Array2<f32> {
    debug_assert_eq!(velocities.ncols(), states.n_dims);
    let mut directions = Array2::zeros((velocities.nrows(), states.centred.ncols()));
    for (mut to, velocity) in directions.rows_mut().into_iter().zip(velocities.rows()) {
        to.iter_mut().zip(direction(velocity)).for_each(|(to, value)| *to = value);
    }
    let mut found = Array2::zeros((velocities.nrows(), candidates.len()));
    vectorize(Correlate { states, i, candidates, directions: &directions, found: &mut found });
    found
}

/// The centred velocity in units of its length; zero if it is constant.
fn direction(velocity: ArrayView1<'_, f32>) -> impl Iterator<Item = f32> {
    let mean = mean(velocity);
    let (mut squares, mut centred) = (0.0, 0.0);
    for &value in velocity {
        let value = f64::from(value);
        squares += value * value;
        centred += (value - mean).powi(2);
    }
    let factor = if is_constant(centred, squares) { 0.0 } else { 1.0 / centred.sqrt() };
    velocity.into_iter().map(move |&value| ((f64::from(value) - mean) * factor) as f32)
}

fn mean(values: ArrayView1<'_, f32>) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / count(values.len().max(1))
}

fn padded(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

struct Correlate<'a> {
    states: &'a States,
    i: usize,
    candidates: &'a [u32],
    /// Unit vectors, `[n_velocities, padded]`.
    directions: &'a Array2<f32>,
    /// `[n_velocities, candidates]`
    found: &'a mut Array2<f32>,
}

impl Vectorized for Correlate<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let from = self.states.row(self.i);
        let mut delta = vec![0.0_f32; from.len()];
        for (c, &j) in self.candidates.iter().enumerate() {
            let to = self.states.row(j as usize);
            for ((delta, to), from) in delta.iter_mut().zip(to).zip(from) {
                *delta = to - from;
            }
            let length = dot::<FMA>(&delta, &delta).sqrt();
            if length == 0.0 {
                continue;
            }
            for (direction, mut found) in self.directions.rows().into_iter().zip(self.found.rows_mut()) {
                let direction = direction.to_slice().expect("rows of an owned array are contiguous");
                let similarity = dot::<FMA>(&delta, direction) / length;
                // A state that is not finite makes this NaN, and the comparison false.
                found[c] = if similarity.abs() <= 2.0 { similarity.clamp(-1.0, 1.0) } else { 0.0 };
            }
        }
    }
}

/// `Σ a b` of slices whose length is a multiple of [`LANES`].
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] = mul_add::<FMA>(a[lane], b[lane], sums[lane]);
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

//! Similarities of displacements and velocities.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Candidates;
use crate::data::Reporter;
use crate::error::{Error, Result};
use crate::simd::{Vectorized, mul_add, vectorize};
use crate::sparse::Csr;
use crate::stats::{count, is_constant};

/// Numbers added side by side; rows are filled up with zeros to a multiple of it.
const LANES: usize = 16;
/// Cells between two messages to the user.
const BLOCK: usize = 1024;

/// What is compared, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Similarity {
    /// How a displacement vector and a velocity are compared.
    pub measure: Measure,
    /// Whether square roots of both are compared, signs kept: `sign(x) √|x|`, which evens out the variances of counts.
    pub square_root: bool,
}

/// How a displacement vector δ and a velocity v are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Pearson's correlation over the dimensions (scVelo, CellRank).
    #[default]
    Correlation,
    /// The cosine of the angle between them.
    Cosine,
    /// `δ · v`, which is not bounded: for the softmax kernel.
    DotProduct,
}

/// States of all cells.
#[derive(Clone, Debug)]
pub struct States {
    n_dims: usize,
    similarity: Similarity,
    /// `[n_obs, n_dims]`, and zeros up to a multiple of [`LANES`] columns. For correlations (not of square roots), each row
    /// less its mean: the differences of such rows are centred.
    rows: Array2<f32>,
}

impl States {
    /// States from coordinates `x`, `[n_obs, n_dims]`, of genes or of principal components, for correlations.
    #[must_use]
    pub fn new(x: ArrayView2<'_, f32>) -> Self {
        Self::compared_by(x, Similarity::default())
    }

    /// States from coordinates `x`, `[n_obs, n_dims]`, for comparison by `similarity`.
    #[must_use]
    pub fn compared_by(x: ArrayView2<'_, f32>, similarity: Similarity) -> Self {
        let centred = similarity.measure == Measure::Correlation && !similarity.square_root;
        let mut rows = Array2::zeros((x.nrows(), padded(x.ncols())));
        for (mut to, from) in rows.rows_mut().into_iter().zip(x.rows()) {
            let mean = if centred { mean(from) } else { 0.0 };
            for (to, &value) in to.iter_mut().zip(from) {
                *to = (f64::from(value) - mean) as f32;
            }
        }
        Self { n_dims: x.ncols(), similarity, rows }
    }

    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.rows.nrows()
    }

    /// Number of dimensions.
    #[must_use]
    pub fn n_dims(&self) -> usize {
        self.n_dims
    }

    fn row(&self, i: usize) -> &[f32] {
        self.rows.row(i).to_slice().expect("rows of an owned array are contiguous")
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
        let found = similarities(states, i, &near, velocity);
        near.into_iter().zip(found).filter(|entry| entry.1 != 0.0).collect::<Vec<(u32, f32)>>()
    };
    let rows: Vec<_> = cells.into_par_iter().map(of_cell).collect();
    Ok(Csr::from_rows(n_obs, &rows))
}

/// The velocity graph of all cells, `[n_obs, n_obs]`, both signs: [`rows`] of some cells after the other, which `reporter` is told.
///
/// - `velocities`: in the space of `states`, `[n_obs, n_dims]`
///
/// # Errors
/// [`Error::Shape`] if `states`, `candidates` and `velocities` do not belong together.
pub fn velocity_graph(
    states: &States,
    candidates: &Candidates,
    velocities: ArrayView2<'_, f32>,
    reporter: &mut dyn Reporter,
) -> Result<Csr<f32>> {
    let n_obs = states.n_obs();
    if velocities.nrows() != n_obs {
        let (wanted, found) = (vec![n_obs, states.n_dims], velocities.shape().to_vec());
        return Err(Error::Shape { what: "velocities".to_owned(), wanted, found });
    }
    let mut graph = Csr::empty(0, n_obs);
    reporter.begin("velocity graph", 0, n_obs as u64);
    for start in (0..n_obs).step_by(BLOCK) {
        let cells = start..n_obs.min(start + BLOCK);
        graph.append(rows(states, candidates, cells.clone(), velocities.slice(s![cells.clone(), ..]))?);
        reporter.advance(cells.end as u64, "");
    }
    reporter.end(&format!("velocity graph: {} similarities of {n_obs} cells", graph.nnz()));
    Ok(graph)
}

/// π of cell `i` with each of `candidates` for several velocities, `[n_velocities, n_dims]`, that it might have; returns
/// `[n_velocities, candidates.len()]`. A similarity with something that has no direction (or is not finite) is 0.
pub(crate) fn similarities(
    states: &States,
    i: usize,
    candidates: &[u32],
    velocities: ArrayView2<'_, f32>,
) -> Array2<f32> {
    debug_assert_eq!(velocities.ncols(), states.n_dims);
    let mut directions = Array2::zeros((velocities.nrows(), states.rows.ncols()));
    for (mut to, velocity) in directions.rows_mut().into_iter().zip(velocities.rows()) {
        to.iter_mut().zip(direction(velocity, states.similarity)).for_each(|(to, value)| *to = value);
    }
    let mut found = Array2::zeros((velocities.nrows(), candidates.len()));
    vectorize(Compare { states, i, candidates, directions: &directions, found: &mut found });
    found
}

/// What a displacement vector is multiplied with: the velocity or its square roots, centred for correlations, and divided by its
/// length except for dot products; zero if it has no direction.
fn direction(velocity: ArrayView1<'_, f32>, Similarity { measure, square_root }: Similarity) -> Vec<f32> {
    let root = |value: f64| if square_root { value.abs().sqrt().copysign(value) } else { value };
    let mut values: Vec<f64> = velocity.iter().map(|&value| root(f64::from(value))).collect();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if measure == Measure::Correlation {
        let mean = values.iter().sum::<f64>() / count(values.len().max(1));
        for value in &mut values {
            *value -= mean;
        }
    }
    let remaining: f64 = values.iter().map(|value| value * value).sum();
    let factor = match measure {
        _ if is_constant(remaining, squares) => 0.0,
        Measure::DotProduct => 1.0,
        Measure::Correlation | Measure::Cosine => 1.0 / remaining.sqrt(),
    };
    values.into_iter().map(|value| (value * factor) as f32).collect()
}

fn mean(values: ArrayView1<'_, f32>) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / count(values.len().max(1))
}

fn padded(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

struct Compare<'a> {
    states: &'a States,
    i: usize,
    candidates: &'a [u32],
    /// `[n_velocities, padded]`, see [`direction`].
    directions: &'a Array2<f32>,
    /// `[n_velocities, candidates]`
    found: &'a mut Array2<f32>,
}

impl Vectorized for Compare<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Similarity { measure, square_root } = self.states.similarity;
        let from = self.states.row(self.i);
        let mut delta = vec![0.0_f32; from.len()];
        for (c, &j) in self.candidates.iter().enumerate() {
            let to = self.states.row(j as usize);
            for ((delta, to), from) in delta.iter_mut().zip(to).zip(from) {
                *delta = to - from;
            }
            if square_root {
                for delta in &mut delta {
                    *delta = delta.abs().sqrt().copysign(*delta);
                }
            }
            let length = match measure {
                Measure::DotProduct => 1.0,
                // The directions are centred: a displacement vector less its mean has the same product with them.
                Measure::Correlation if square_root => length_without_mean(&delta, self.states.n_dims),
                Measure::Correlation | Measure::Cosine => dot::<FMA>(&delta, &delta).sqrt(),
            };
            if length == 0.0 {
                continue;
            }
            for (direction, mut found) in self.directions.rows().into_iter().zip(self.found.rows_mut()) {
                let direction = direction.to_slice().expect("rows of an owned array are contiguous");
                let similarity = dot::<FMA>(&delta, direction) / length;
                // A state that is not finite makes this NaN.
                found[c] = match measure {
                    _ if !similarity.is_finite() => 0.0,
                    Measure::DotProduct => similarity,
                    Measure::Correlation | Measure::Cosine => similarity.clamp(-1.0, 1.0),
                };
            }
        }
    }
}

/// The length of a displacement vector less its mean; 0 if it is constant.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn length_without_mean(delta: &[f32], n_dims: usize) -> f32 {
    let [mut sums, mut squares] = [[0.0_f32; LANES]; 2];
    for delta in delta.chunks_exact(LANES) {
        for lane in 0..LANES {
            sums[lane] += delta[lane];
            squares[lane] += delta[lane] * delta[lane];
        }
    }
    let total = |lanes: [f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    let (sum, squares) = (total(sums), total(squares));
    let remaining = squares - sum * sum / count(n_dims);
    // In single precision, what remains of a constant.
    if remaining <= 1e-6 * squares { 0.0 } else { remaining.sqrt() as f32 }
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

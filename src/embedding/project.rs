//! Arrows of cells: what a velocity in the space of genes looks like where cells are drawn.
//!
//! With y_i the coordinates of cell i, T its transitions without the diagonal
//! ([`graph`](crate::graph)), sums and means over the K_i cells j with T_ij ≠ 0,
//!
//! ```text
//! d_ij = (y_j − y_i) / |y_j − y_i|               0 where two cells have one place; not divided if `full`
//! v_i  = Σ_j T_ij d_ij − r_i Σ_j d_ij
//! r_i  = mean_j T_ij                             row_mean
//!      = 1 / K_i                                 one_over_k
//!      = 0                                       none
//! ```
//!
//! `kernel` replaces d_ij by `e^{−|y_j − y_i|² / 2 h_i²} d_ij`, h_i the median of |y_j − y_i|; `confidence` multiplies v_i
//! by c_i.
//!
//! With negative cosines, rows of T do not sum to 1 and the two corrections differ. Negating all velocities turns every
//! arrow around; its length stays too if there are no self-transitions, which know only of agreement.
//!
//! **Lengths.** T says how sure a direction is, not how fast a cell moves, so lengths have no unit and are for the eye.
//! scVelo divides by a number that matplotlib finds for the size of a figure. Here it is the one with which the 90th
//! percentile of lengths is 3 % of the diagonal of the cells' bounding box, and it is returned beside the arrows.
//!
//! Source: Bergen et al. 2020, Methods (projection of velocities); behaviour: scVelo 0.3.4 `tl.velocity_embedding`.
//! Departures: coordinates that are not finite are an error; `kernel` and `confidence` are ours.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::settings::{DensityCorrection, Displacement, ProjectionSettings, STEEPEST, Weighting};
use super::{all_finite, has_shape};
use crate::error::{Error, Result};
use crate::graph::{Kernel, confidence, self_transitions, transitions_of};
use crate::sparse::Csr;
use crate::stats;

/// Length of the arrow at [`LONG`], in diagonals of the embedding.
const LENGTH: f64 = 0.03;
/// The percentile of lengths that is fixed.
const LONG: f64 = 90.0;
/// Where scVelo's `retain_scale` stops: velocities that go a tenth of a unit towards the expected state.
const RETAINED: f64 = 10.0;

/// What to do about coordinates that are not numbers.
const HINT: &str = "cells outside the embedding cannot be drawn: remove them, or name another embedding";

/// Arrows on an embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Arrows before they are scaled, always finite, `[n_obs, n_dims]`.
    pub arrows: Array2<f64>,
    /// What arrows are divided by for pictures, above 0: then the 90th percentile of their lengths is 3 % of the diagonal of
    /// the embedding. 1 if no cell moves.
    pub scale: f64,
}

impl Projection {
    /// The arrows for pictures, in the embedding's units, `[n_obs, n_dims]`.
    #[must_use]
    pub fn scaled(&self) -> Array2<f64> {
        &self.arrows / self.scale
    }

    fn new(arrows: Array2<f64>, coordinates: ArrayView2<'_, f32>) -> Self {
        let lengths: Vec<f64> = arrows.rows().into_iter().map(norm).collect();
        let long = if lengths.is_empty() { 0.0 } else { stats::percentile(&lengths, LONG) };
        // Where hardly a cell moves, the longest arrow stands for the percentile.
        let long = if long > 0.0 { long } else { lengths.iter().copied().fold(0.0, f64::max) };
        let scale = long / (LENGTH * diagonal(coordinates));
        Self { arrows, scale: if scale.is_finite() && scale > 0.0 { scale } else { 1.0 } }
    }
}

/// Velocities on an embedding, from the signed velocity graph.
///
/// - `graph`: π of both signs, as [`graph::rows`](crate::graph::rows) makes it, `[n_obs, n_obs]`
/// - `coordinates`: `[n_obs, n_dims]`; any number of dimensions
///
/// Cells without velocity, and cells whose every transition leads to their own place, have arrows of length 0.
///
/// # Errors
/// [`Error::Shape`] if the graph is not one of the cells with coordinates;
/// [`Error::Data`] if a coordinate or a similarity is not finite, or similarities are so large that e^{λπ} overflows;
/// [`Error::Setting`] as [`ProjectionSettings::validate`].
///
/// Source: Bergen et al. 2020, Methods.
pub fn project(
    graph: &Csr<f32>,
    coordinates: ArrayView2<'_, f32>,
    settings: &ProjectionSettings,
) -> Result<Projection> {
    settings.validate()?;
    let (n_obs, n_dims) = coordinates.dim();
    all_finite("embedding: coordinates are", coordinates, HINT)?;
    let transitions = Transitions::new(graph, n_obs, settings)?;
    let mut arrows = Array2::zeros((n_obs, n_dims));
    let rows: Vec<_> = arrows.rows_mut().into_iter().collect();
    rows.into_par_iter().enumerate().for_each(|(i, mut arrow)| {
        arrow.assign(&arrow_of(i, &transitions.of(i), coordinates, settings));
        if settings.weighting == Weighting::Confidence {
            arrow *= f64::from(transitions.confidences[i]);
        }
    });
    Ok(Projection::new(arrows, coordinates))
}

/// [`project`]; with [`Displacement::Full`] each arrow is also multiplied by how far the cell's velocity goes
/// towards the state that its transitions expect, times 10, within [0, 1].
///
/// - `states`, `velocities`: of the genes in the graph, `[n_obs, n_genes]`
///
/// # Errors
/// As [`project`], of states and velocities too where they are needed.
pub fn arrows(
    graph: &Csr<f32>,
    coordinates: ArrayView2<'_, f32>,
    [states, velocities]: [ArrayView2<'_, f32>; 2],
    settings: &ProjectionSettings,
) -> Result<Projection> {
    let projection = project(graph, coordinates, settings)?;
    if settings.displacement == Displacement::Unit {
        return Ok(projection);
    }
    let factors = retained_scale(graph, states, velocities, settings)?;
    let mut arrows = projection.arrows;
    arrows.rows_mut().into_iter().zip(factors).for_each(|(mut arrow, factor)| arrow *= factor);
    Ok(Projection::new(arrows, coordinates))
}

/// How far each cell's velocity goes towards the state that its transitions expect, times 10, within [0, 1]: what scVelo
/// multiplies arrows with under `retain_scale`, `[n_obs]`.
///
/// `clip(10 v_i · δ_i / |δ_i|, 0, 1)`, `δ_i = Σ_j T_ij x_j − x_i` without the diagonal; 0 where δ_i = 0.
fn retained_scale(
    graph: &Csr<f32>,
    states: ArrayView2<'_, f32>,
    velocities: ArrayView2<'_, f32>,
    settings: &ProjectionSettings,
) -> Result<Vec<f64>> {
    settings.validate()?;
    has_shape("velocities", velocities.dim(), states.dim())?;
    all_finite("embedding: states are", states, "")?;
    all_finite("embedding: velocities are", velocities, "leave out genes without velocities")?;
    let transitions = Transitions::new(graph, states.nrows(), settings)?;
    let of_cell = |i: usize| {
        let mut delta = states.row(i).mapv(|x| -f64::from(x));
        for (j, weight) in transitions.of(i) {
            delta.zip_mut_with(&states.row(j), |sum, &x| *sum += weight * f64::from(x));
        }
        let along: f64 = delta.iter().zip(velocities.row(i)).map(|(d, &v)| d * f64::from(v)).sum();
        let length = norm(delta.view());
        if length > 0.0 { (RETAINED * along / length).clamp(0.0, 1.0) } else { 0.0 }
    };
    Ok((0..states.nrows()).into_par_iter().map(of_cell).collect())
}

/// The rows of T without its diagonal, made when asked for: T is as large as the graph.
struct Transitions<'a> {
    graph: &'a Csr<f32>,
    kernel: Kernel,
    /// c, `[n_obs]`.
    confidences: Vec<f32>,
    /// s, `[n_obs]`, if cells may stay.
    own: Option<Vec<f32>>,
}

impl<'a> Transitions<'a> {
    fn new(graph: &'a Csr<f32>, n_obs: usize, settings: &ProjectionSettings) -> Result<Self> {
        has_shape("velocity graph", (graph.n_rows, graph.n_cols), (n_obs, n_obs))?;
        let entries = ArrayView2::from_shape((graph.nnz(), 1), &graph.data).expect("one row per entry");
        all_finite("velocity graph: similarities (each a row) are", entries, "")?;
        let largest = graph.data.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        if f64::from(largest) * settings.kernel_scale > STEEPEST {
            return Err(Error::Data {
                problem: format!(
                    "embedding: similarities up to {largest} overflow with a kernel_scale of {}",
                    settings.kernel_scale
                ),
                hint: "dot products have no bound: take correlations, or a smaller kernel_scale".to_owned(),
            });
        }
        let confidences: Vec<f32> = (0..n_obs).map(|i| confidence(graph.row(i).1)).collect();
        let own = settings.self_transitions.then(|| self_transitions(&confidences));
        let kernel = Kernel { scale: settings.kernel_scale, negative: settings.negative_cosines };
        Ok(Self { graph, kernel, confidences, own })
    }

    /// Cells j ≠ i and T_ij ≠ 0.
    fn of(&self, i: usize) -> Vec<(usize, f64)> {
        let own = self.own.as_ref().map(|own| own[i]);
        let row = transitions_of(i, self.graph.row(i), own, self.kernel).into_iter();
        row.map(|(j, weight)| (j as usize, f64::from(weight))).filter(|&(j, weight)| j != i && weight != 0.0).collect()
    }
}

/// v_i, before confidence.
fn arrow_of(
    i: usize,
    transitions: &[(usize, f64)],
    coordinates: ArrayView2<'_, f32>,
    settings: &ProjectionSettings,
) -> Array1<f64> {
    let n_dims = coordinates.ncols();
    let mut displacements: Vec<f64> = Vec::with_capacity(transitions.len() * n_dims);
    for &(j, _) in transitions {
        displacements.extend(
            coordinates.row(j).iter().zip(coordinates.row(i)).map(|(&to, &from)| f64::from(to) - f64::from(from)),
        );
    }
    let displacements: Vec<ArrayView1<'_, f64>> = displacements.chunks(n_dims.max(1)).map(ArrayView1::from).collect();
    let lengths: Vec<f64> = displacements.iter().map(|displacement| norm(*displacement)).collect();
    let width = if settings.weighting == Weighting::Kernel { stats::median(&lengths) } else { f64::INFINITY };
    let (mut expected, mut everywhere) = (Array1::zeros(n_dims), Array1::zeros(n_dims));
    for ((displacement, &length), &(_, weight)) in displacements.iter().zip(&lengths).zip(transitions) {
        if length == 0.0 {
            continue;
        }
        // A median of 0 leaves cells in the same place, which have no direction: the others are infinitely far.
        let near = if width > 0.0 { (-0.5 * (length / width).powi(2)).exp() } else { 0.0 };
        let factor = match settings.displacement {
            Displacement::Unit => near / length,
            Displacement::Full => near,
        };
        expected.scaled_add(weight * factor, displacement);
        everywhere.scaled_add(factor, displacement);
    }
    let k = stats::count(transitions.len().max(1));
    let correction = match settings.density_correction {
        DensityCorrection::RowMean => transitions.iter().map(|entry| entry.1).sum::<f64>() / k,
        DensityCorrection::OneOverK => 1.0 / k,
        DensityCorrection::None => 0.0,
    };
    expected.scaled_add(-correction, &everywhere);
    expected
}

fn norm(vector: ArrayView1<'_, f64>) -> f64 {
    vector.dot(&vector).sqrt()
}

/// Length of the diagonal of the cells' bounding box; 0 if there are none.
fn diagonal(coordinates: ArrayView2<'_, f32>) -> f64 {
    let extent = |column: ArrayView1<'_, f32>| {
        let (least, most) = super::range(column.iter().map(|&x| f64::from(x)));
        (most - least).max(0.0)
    };
    coordinates.columns().into_iter().map(|column| extent(column).powi(2)).sum::<f64>().sqrt()
}

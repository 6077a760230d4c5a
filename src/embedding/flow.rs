//! A field of arrows on a regular grid.
//!
//! With x a place of the grid, N(x) the k cells nearest to it, h the mean spacing of the grid's axes and σ = `smooth` h,
//!
//! ```text
//! w_i(x) = e^{−|x − y_i|² / 2σ²} / (σ √2π)
//! m(x)   = Σ_{i ∈ N(x)} w_i                         mass
//! v(x)   = Σ_{i ∈ N(x)} w_i v_i / max(1, m)
//! ```
//!
//! The grid has 50 × `density` places per axis, over the cells' bounding box and 1 % more at each end; k is a fiftieth of the
//! cells. No arrow is drawn
//!
//! - on a `grid`: where m ≤ `min_mass` % of the 99th percentile of m;
//! - for a `stream`: where |v(x)| < min(10^(`min_mass` − 6), 0.9 max |v|), or where the mean of |v_i,1| + |v_i,2| over N(x) is
//!   below its `cutoff_percentile`-th percentile over the grid.
//!
//! w is a density in one dimension, so `max(1, m)` depends on the embedding's unit: a field is damped where less than one cell
//! per unit of length is near. That is scVelo's rule, kept so that its pictures and ours are alike.
//!
//! Behaviour: scVelo 0.3.4 `pl.velocity_embedding_grid`, `pl.velocity_embedding_stream`. Departures: with less than 50 cells
//! k is 1, where scVelo fails; numbers that are not finite are an error, where scVelo leaves the cells out.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::nearest::Lattice;
use super::settings::{FieldKind, FieldSettings};
use super::{all_finite, has_shape, range};
use crate::error::{Error, Result};
use crate::stats::{count, percentile};

/// Room around the cells, in extents of their bounding box.
const MARGIN: f64 = 0.01;
/// An arrow is a mean over one of so many cells.
const SHARE: usize = 50;

/// Velocities on a regular grid over an embedding of two dimensions, for pictures with streamlines or arrows.
#[derive(Clone, Debug)]
pub struct Flow {
    /// First coordinates of the grid's columns, rising by equal steps, `[n_x]`.
    pub x: Vec<f64>,
    /// Second coordinates of its rows, rising by equal steps, `[n_y]`.
    pub y: Vec<f64>,
    /// First components, `[n_y, n_x]`; NaN where there are too few cells for an arrow.
    pub u: Array2<f64>,
    /// Second components, likewise.
    pub v: Array2<f64>,
}

/// What there is at one place of the grid.
struct Place {
    velocity: [f64; 2],
    mass: f64,
    /// Mean over the cells around of |v_i,1| + |v_i,2|.
    activity: f64,
}

impl Flow {
    /// The field of the arrows of cells.
    ///
    /// - `coordinates`: `[n_obs, 2]`
    /// - `arrows`: of the cells, in any unit, `[n_obs, 2]`; `u` and `v` have the same
    ///
    /// # Errors
    /// [`Error::Setting`] as [`FieldSettings::validate`]; [`Error::Shape`] unless there are two dimensions and one arrow per
    /// cell; [`Error::Data`] if a number is not finite, or all cells are on one line parallel to an axis.
    pub fn new(
        coordinates: ArrayView2<'_, f32>,
        arrows: ArrayView2<'_, f64>,
        settings: &FieldSettings,
    ) -> Result<Self> {
        settings.validate()?;
        let n_obs = coordinates.nrows();
        has_shape("coordinates of the field", coordinates.dim(), (n_obs, 2))?;
        has_shape("arrows of the field", arrows.dim(), (n_obs, 2))?;
        all_finite("field: coordinates are", coordinates, "remove the cells outside the embedding")?;
        all_finite("field: arrows are", arrows, "")?;
        let points: Vec<[f64; 2]> = coordinates.rows().into_iter().map(|p| [p[0], p[1]].map(f64::from)).collect();
        let [x, y] = [axis(&points, 0, settings.n_places())?, axis(&points, 1, settings.n_places())?];
        let sd = settings.smooth * f64::midpoint(x[1] - x[0], y[1] - y[0]);
        let k = if settings.n_neighbors == 0 { n_obs / SHARE } else { settings.n_neighbors }.clamp(1, n_obs);
        let lattice = Lattice::new(points);
        let at = |place: usize| {
            let near = lattice.nearest([x[place % x.len()], y[place / x.len()]], k);
            mean_around(&near, arrows, sd)
        };
        let places: Vec<Place> = (0..x.len() * y.len()).into_par_iter().map(at).collect();
        let kept = match settings.kind {
            FieldKind::Grid => with_mass(&places, settings),
            FieldKind::Stream => with_motion(&places, settings),
        };
        let component = |axis: usize| {
            let value = |at: usize| if kept[at] { places[at].velocity[axis] } else { f64::NAN };
            Array2::from_shape_fn((y.len(), x.len()), |(row, column)| value(row * x.len() + column))
        };
        Ok(Self { u: component(0), v: component(1), x, y })
    }
}

/// Coordinates of the grid along one axis, at least two.
fn axis(points: &[[f64; 2]], axis: usize, n: usize) -> Result<Vec<f64>> {
    let (least, most) = range(points.iter().map(|point| point[axis]));
    let (least, most) = {
        let least = least - MARGIN * (most - least);
        // scVelo's upper margin is a hundredth of the extent with the lower margin.
        (least, most + MARGIN * (most - least))
    };
    let step = (most - least) / count(n - 1);
    if !(step > 0.0 && step.is_finite()) {
        return Err(Error::Data {
            problem: format!("field: {} cells with the same coordinate {} span no plane", points.len(), axis + 1),
            hint: "name another embedding".to_owned(),
        });
    }
    Ok((0..n).map(|at| least + count(at) * step).collect())
}

/// v, m and the cells' motion at a place, from the squared distances of the cells around.
fn mean_around(near: &[(f64, usize)], arrows: ArrayView2<'_, f64>, sd: f64) -> Place {
    let height = 1.0 / (sd * (2.0 * std::f64::consts::PI).sqrt());
    let mut place = Place { velocity: [0.0; 2], mass: 0.0, activity: 0.0 };
    for &(squared, cell) in near {
        let weight = height * (-0.5 * squared / (sd * sd)).exp();
        let arrow = [arrows[[cell, 0]], arrows[[cell, 1]]];
        place.velocity[0] += weight * arrow[0];
        place.velocity[1] += weight * arrow[1];
        place.mass += weight;
        place.activity += arrow[0].abs() + arrow[1].abs();
    }
    place.velocity = place.velocity.map(|sum| sum / place.mass.max(1.0));
    place.activity /= count(near.len());
    place
}

/// Places of a grid of arrows that keep theirs.
fn with_mass(places: &[Place], settings: &FieldSettings) -> Vec<bool> {
    let masses: Vec<f64> = places.iter().map(|place| place.mass).collect();
    let bound = settings.min_mass * percentile(&masses, 99.0) / 100.0;
    masses.iter().map(|&mass| mass > bound).collect()
}

/// Places of a field of streamlines that keep their arrow.
fn with_motion(places: &[Place], settings: &FieldSettings) -> Vec<bool> {
    let lengths: Vec<f64> = places.iter().map(|place| place.velocity[0].hypot(place.velocity[1])).collect();
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    let shortest = 10.0_f64.powf(settings.min_mass - 6.0).min(0.9 * longest);
    let activities: Vec<f64> = places.iter().map(|place| place.activity).collect();
    let least = percentile(&activities, settings.cutoff_percentile);
    lengths.iter().zip(&activities).map(|(&length, &activity)| length >= shortest && activity >= least).collect()
}

//! A field of arrows on a regular grid.

use ndarray::Array2;

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

//! Velocities on an embedding: arrows of cells, the field that they make, and an embedding for files that bring none.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | what can be set |
//! | `project.rs` | arrows of cells, from the velocity graph |
//! | `flow.rs` | arrows on a regular grid |
//! | `nearest.rs` | the cells nearest to a place in the plane |
//! | `umap.rs` | an embedding |

mod flow;
mod nearest;
mod project;
mod settings;
mod umap;

use ndarray::ArrayView2;

pub use flow::Flow;
pub use project::{Projection, arrows, project};
pub use settings::{
    DensityCorrection, Displacement, EmbeddingConfig, FieldKind, FieldSettings, ProjectionSettings, UmapSettings,
    Weighting,
};
pub use umap::{curve, umap};

use crate::error::{Error, Result};

/// Fails unless every number is finite, saying in how many rows there are others and which is the first.
fn all_finite<T: Copy + Into<f64>>(what: &str, values: ArrayView2<'_, T>, hint: &str) -> Result<()> {
    let broken = |row: &ndarray::ArrayView1<'_, T>| row.iter().any(|&value| !value.into().is_finite());
    let cells: Vec<usize> =
        values.rows().into_iter().enumerate().filter(|(_, row)| broken(row)).map(|(cell, _)| cell).collect();
    let Some(first) = cells.first() else { return Ok(()) };
    Err(Error::Data {
        problem: format!(
            "{what} not finite in {} of {} cells, first in cell {first} (counted from 0)",
            cells.len(),
            values.nrows()
        ),
        hint: hint.to_owned(),
    })
}

/// Fails unless an array has the shape wanted.
fn has_shape(what: &str, found: (usize, usize), wanted: (usize, usize)) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    let (wanted, found) = (vec![wanted.0, wanted.1], vec![found.0, found.1]);
    Err(Error::Shape { what: what.to_owned(), wanted, found })
}

/// The least and the largest of some numbers; infinite if there are none.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
}

//! Counts of more cells than memory has room for.

use std::ops::Range;
use std::path::Path;

use super::{Counts, Frame};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Counts of many cells, read some at a time.
///
/// Threads may share a source and read from it at once; what they get does not depend on each other.
pub trait CellSource: Send + Sync {
    /// Annotation of all cells.
    fn obs(&self) -> &Frame;

    /// Annotation of all genes of the file.
    fn var(&self) -> &Frame;

    /// The file, for messages.
    fn path(&self) -> &Path;

    /// Unspliced and spliced counts of the cells `rows`, in this order, each `[rows.len(), n_vars]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no such cells. From a file, [`Error::Input`] if it is damaged or holds there what
    /// cannot be counts, [`Error::File`] if the system refuses to read.
    fn cells(&self, rows: Range<usize>) -> Result<[Csr<f32>; 2]>;

    /// The most entries that [`CellSource::cells`] finds in cell `row`, both layers together.
    fn entries(&self, row: usize) -> usize {
        let _ = row;
        2 * self.n_vars()
    }

    /// Number of cells.
    fn n_obs(&self) -> usize {
        self.obs().index.len()
    }

    /// Number of genes of the file.
    fn n_vars(&self) -> usize {
        self.var().index.len()
    }

    /// Fails unless there are the cells `rows`.
    ///
    /// # Errors
    /// [`Error::Shape`].
    fn require_cells(&self, rows: &Range<usize>) -> Result<()> {
        if rows.start <= rows.end && rows.end <= self.n_obs() {
            return Ok(());
        }
        Err(Error::Shape {
            what: format!("cells {rows:?} of {}", self.path().display()),
            wanted: vec![self.n_obs()],
            found: vec![rows.end],
        })
    }
}

impl CellSource for Counts {
    fn obs(&self) -> &Frame {
        &self.obs
    }

    fn var(&self) -> &Frame {
        &self.var
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn cells(&self, rows: Range<usize>) -> Result<[Csr<f32>; 2]> {
        self.require_cells(&rows)?;
        let positions: Vec<usize> = rows.collect();
        Ok([&self.unspliced, &self.spliced].map(|layer| layer.select_rows(&positions)))
    }

    fn entries(&self, row: usize) -> usize {
        self.unspliced.row_nnz(row) + self.spliced.row_nnz(row)
    }
}

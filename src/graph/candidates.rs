//! The cells that a cell may move to.

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::sparse::Csr;

/// The cells that each cell may move to: its nearest neighbours, theirs, and itself.
///
/// Only the neighbours are kept, `[n_obs, k]`; the second level, of up to k² cells, is looked up cell by cell. k is the
/// least number of distances that a cell has stored; of a cell with more, the k nearest count (of equally near ones the
/// first).
///
/// Source: behaviour of scVelo 0.3.4 `tl.velocity_graph` with `n_recurse_neighbors=2`, no limit on the candidates.
#[derive(Clone, Debug)]
pub struct Candidates {
    nearest: Array2<u32>,
}

impl Candidates {
    /// Candidates from the directed `distances` to the nearest neighbours, `[n_obs, n_obs]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `distances` is not square; [`Error::Data`] if a cell has no neighbour.
    pub fn new(distances: &Csr<f32>) -> Result<Self> {
        let n_obs = distances.n_rows;
        if distances.n_cols != n_obs {
            return Err(Error::Shape {
                what: "distances between cells".to_owned(),
                wanted: vec![n_obs, n_obs],
                found: vec![n_obs, distances.n_cols],
            });
        }
        let k = (0..n_obs).map(|i| distances.row_nnz(i)).min().unwrap_or(0);
        if k == 0 && n_obs > 0 {
            return Err(Error::Data {
                problem: "velocity graph: a cell has no distance to any neighbour".to_owned(),
                hint: "set preprocess.neighbors = \"compute\"".to_owned(),
            });
        }
        let mut nearest = Array2::zeros((n_obs, k));
        for (i, mut kept) in nearest.rows_mut().into_iter().enumerate() {
            let (cells, lengths) = distances.row(i);
            let mut order: Vec<usize> = (0..cells.len()).collect();
            order.sort_by(|&a, &b| lengths[a].total_cmp(&lengths[b]));
            for (to, &at) in kept.iter_mut().zip(&order) {
                *to = cells[at];
            }
        }
        Ok(Self { nearest })
    }

    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.nearest.nrows()
    }

    /// The candidates of cell `i`, rising, `i` among them.
    #[must_use]
    pub fn of(&self, i: usize) -> Vec<u32> {
        let first = self.nearest.row(i);
        let second = first.iter().flat_map(|&j| self.nearest.row(j as usize).to_vec());
        let mut cells: Vec<u32> = std::iter::once(i as u32).chain(first.iter().copied()).chain(second).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }
}

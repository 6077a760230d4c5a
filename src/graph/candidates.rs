//! The cells that a cell may move to.

use rand::seq::index::sample;

use crate::data::stream;
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// The cells that each cell may move to.
///
/// Only direct neighbours are kept; a second level, of up to k² cells, is looked up cell by cell.
///
/// Source: behaviour of scVelo 0.3.4 `tl.velocity_graph` (`n_neighbors`, `n_recurse_neighbors`, `mode_neighbors`,
/// `random_neighbors_at_max`).
#[derive(Clone, Debug)]
pub struct Candidates {
    /// Cell i's direct neighbours are `cells[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    cells: Vec<u32>,
    two_levels: bool,
    limit: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    most: usize,
    seed: u64,
}

impl Candidates {
    /// The nearest neighbours of each cell by the directed `distances`, `[n_obs, n_obs]`, the neighbours of those, and the cell
    /// itself.
    ///
    /// A cell with few neighbours has few, and takes none from others (scVelo gives every cell as many as the poorest has).
    ///
    /// # Errors
    /// [`Error::Shape`] if `distances` is not square; [`Error::Data`] if a cell has no neighbour.
    pub fn new(distances: &Csr<f32>) -> Result<Self> {
        Self::two_levels(distances, usize::MAX)
    }

    /// The same with at most `k` neighbours of each cell, the nearest (of equally near ones the first).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn two_levels(distances: &Csr<f32>, k: usize) -> Result<Self> {
        Ok(Self { two_levels: true, ..Self::nearest(distances, k)? })
    }

    /// The nearest neighbours alone, at most `k` of each cell, and the cell itself.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn nearest(distances: &Csr<f32>, k: usize) -> Result<Self> {
        let n_obs = square(distances, "distances between cells")?;
        if let Some(cell) = (0..n_obs).find(|&i| distances.row_nnz(i) == 0) {
            return Err(Error::Data {
                problem: format!("velocity graph: cell {cell} (counted from 0) has no distance to any neighbour"),
                hint: "set preprocess.neighbors = \"compute\"".to_owned(),
            });
        }
        let mut found = Vec::with_capacity(distances.nnz());
        let mut starts = vec![0];
        for i in 0..n_obs {
            let (cells, lengths) = distances.row(i);
            let mut order: Vec<usize> = (0..cells.len()).collect();
            order.sort_by(|&a, &b| lengths[a].total_cmp(&lengths[b]));
            found.extend(order.iter().take(k).map(|&at| cells[at]));
            starts.push(found.len());
        }
        Ok(Self { starts, cells: found, two_levels: false, limit: None })
    }

    /// The cells that each is connected with by `connectivities`, `[n_obs, n_obs]`, and the cell itself.
    ///
    /// # Errors
    /// [`Error::Shape`] if `connectivities` is not square.
    pub fn connected(connectivities: &Csr<f32>) -> Result<Self> {
        square(connectivities, "connectivities of cells")?;
        let (starts, cells) = (connectivities.indptr.clone(), connectivities.indices.clone());
        Ok(Self { starts, cells, two_levels: false, limit: None })
    }

    /// At most `most` of these candidates for each cell, drawn at random.
    #[must_use]
    pub fn limited(self, most: usize, seed: u64) -> Self {
        Self { limit: Some(Limit { most, seed }), ..self }
    }

    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.starts.len() - 1
    }

    /// The direct neighbours of cell `i`, without the cell itself; of [`Self::new`] and [`Self::nearest`] the nearest first.
    #[must_use]
    pub fn direct(&self, i: usize) -> &[u32] {
        &self.cells[self.starts[i]..self.starts[i + 1]]
    }

    /// The candidates of cell `i`, rising, `i` among them unless it was not drawn.
    #[must_use]
    pub fn of(&self, i: usize) -> Vec<u32> {
        let first = self.direct(i);
        let mut cells = vec![i as u32];
        cells.extend_from_slice(first);
        if self.two_levels {
            for &j in first {
                cells.extend_from_slice(self.direct(j as usize));
            }
        }
        cells.sort_unstable();
        cells.dedup();
        match self.limit {
            Some(Limit { most, seed }) if cells.len() > most => {
                let mut drawn =
                    sample(&mut stream(seed, "candidates of a cell", i as u64), cells.len(), most).into_vec();
                drawn.sort_unstable();
                drawn.into_iter().map(|at| cells[at]).collect()
            }
            _ => cells,
        }
    }
}

/// The number of cells between which `matrix` is.
fn square(matrix: &Csr<f32>, what: &str) -> Result<usize> {
    if matrix.n_cols == matrix.n_rows {
        return Ok(matrix.n_rows);
    }
    let (wanted, found) = (vec![matrix.n_rows; 2], vec![matrix.n_rows, matrix.n_cols]);
    Err(Error::Shape { what: what.to_owned(), wanted, found })
}

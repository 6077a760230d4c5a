//! Matrices in all the ways AnnData stores them: dense, CSR and CSC, of any number type.

use std::ops::Range;

use hdf5::{Dataset, Group, H5Type};
use ndarray::Array2;

use super::h5::{self, Kind, Node};
use super::place::{At, Place};
use super::sparse;
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Numbers handled at once when a matrix is walked through.
const BLOCK: usize = 1 << 20;

/// A matrix in a file, opened but not read.
#[derive(Clone, Debug)]
pub(super) struct Matrix<'a> {
    place: Place<'a>,
    shape: [usize; 2],
    stored: Stored,
}

/// How a matrix is stored.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// A two-dimensional dataset.
    Dense(Dataset),
    /// Compressed rows, or columns if `by_column`.
    Sparse { parts: Parts, by_column: bool },
}

/// The three arrays of a compressed matrix.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) indptr: Dataset,
    pub(super) indices: Dataset,
    pub(super) data: Dataset,
}

impl<'a> Matrix<'a> {
    /// Opens the matrix at `node`.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no matrix of numbers or its parts are missing.
    pub(super) fn open(node: &Node, place: Place<'a>) -> Result<Self> {
        match node {
            Node::Dataset(dataset) => Self::open_dense(dataset, place),
            Node::Group(group) => Self::open_sparse(group, place),
        }
    }

    fn open_dense(dataset: &Dataset, place: Place<'a>) -> Result<Self> {
        let shape = <[usize; 2]>::try_from(dataset.shape());
        let numeric = matches!(h5::kind(dataset), Kind::Float | Kind::Int | Kind::Bool);
        match shape {
            Ok(shape) if numeric => Ok(Self { place, shape, stored: Stored::Dense(dataset.clone()) }),
            _ => Err(place.damaged(format!(
                "a matrix of numbers was expected, found {} of shape {:?}",
                h5::dtype_name(dataset),
                dataset.shape()
            ))),
        }
    }

    fn open_sparse(group: &Group, place: Place<'a>) -> Result<Self> {
        let format = h5::attr_text(group, "encoding-type").or_else(|| h5::attr_text(group, "h5sparse_format"));
        let by_column = match format.as_deref() {
            Some("csr_matrix" | "csr") => false,
            Some("csc_matrix" | "csc") => true,
            other => {
                return Err(place.error(
                    format!("a matrix was expected, found a group of encoding {other:?}"),
                    "dense, CSR and CSC matrices are read",
                ));
            }
        };
        let shape = h5::attr_ints(group, "shape").or_else(|| h5::attr_ints(group, "h5sparse_shape"));
        let shape: Option<Vec<usize>> =
            shape.unwrap_or_default().iter().map(|&length| usize::try_from(length).ok()).collect();
        let Ok(shape) = <[usize; 2]>::try_from(shape.unwrap_or_default()) else {
            return Err(place.damaged("the sparse matrix has no valid `shape`"));
        };
        let part = |name: &str| match Node::open(group, name) {
            Some(Node::Dataset(dataset)) if dataset.ndim() == 1 => Ok(dataset),
            _ => Err(place.damaged(format!("the sparse matrix lacks the array `{name}`"))),
        };
        let parts = Parts { indptr: part("indptr")?, indices: part("indices")?, data: part("data")? };
        Ok(Self { place, shape, stored: Stored::Sparse { parts, by_column } })
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// How it is stored.
    pub(super) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Where it is.
    pub(super) fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// Fails unless the matrix has `n_obs` rows and `n_vars` columns.
    pub(super) fn require_shape(&self, n_obs: usize, n_vars: usize) -> Result<()> {
        if self.shape == [n_obs, n_vars] {
            return Ok(());
        }
        let [rows, columns] = self.shape;
        Err(self
            .place
            .damaged(format!("the shape is {rows} × {columns}, but obs and var have {n_obs} cells and {n_vars} genes")))
    }

    /// The nonzero entries, row by row.
    pub(super) fn to_csr(&self) -> Result<Csr<f32>> {
        let [n_rows, n_cols] = self.shape;
        if u32::try_from(n_cols).is_err() {
            return Err(self.place.damaged(format!("{n_cols} columns are more than can be")));
        }
        match &self.stored {
            Stored::Dense(dataset) => self.dense_to_csr(dataset),
            Stored::Sparse { parts, by_column } => {
                let (n_major, n_minor) = if *by_column { (n_cols, n_rows) } else { (n_rows, n_cols) };
                let major = self.read_parts(parts, n_major, n_minor)?;
                let matrix = if *by_column { major.transpose() } else { major };
                Ok(sparse::canonical(matrix))
            }
        }
    }

    fn dense_to_csr(&self, dataset: &Dataset) -> Result<Csr<f32>> {
        let [n_rows, n_cols] = self.shape;
        let mut matrix = Csr { n_rows, n_cols, indptr: vec![0], indices: Vec::new(), data: Vec::new() };
        for rows in row_blocks(dataset, n_rows, n_cols) {
            let block = self.read_rows(dataset, rows)?;
            for row in block.chunks_exact(n_cols.max(1)) {
                for (column, &value) in (0_u32..).zip(row) {
                    if value != 0.0 {
                        matrix.indices.push(column);
                        matrix.data.push(value);
                    }
                }
                matrix.indptr.push(matrix.data.len());
            }
        }
        Ok(matrix)
    }

    /// All values, zeros included.
    pub(super) fn to_dense(&self) -> Result<Array2<f32>> {
        let [n_rows, n_cols] = self.shape;
        match &self.stored {
            Stored::Dense(dataset) => {
                let values = h5::numbers::<f32>(dataset, &self.place)?;
                Array2::from_shape_vec((n_rows, n_cols), values).map_err(|error| self.place.damaged(error.to_string()))
            }
            Stored::Sparse { .. } => {
                let matrix = self.to_csr()?;
                let mut dense = Array2::zeros((n_rows, n_cols));
                for (i, mut row) in dense.rows_mut().into_iter().enumerate() {
                    let (columns, values) = matrix.row(i);
                    for (&column, &value) in columns.iter().zip(values) {
                        row[column as usize] = value;
                    }
                }
                Ok(dense)
            }
        }
    }

    /// Reads the arrays of a compressed matrix and checks that they fit together.
    fn read_parts(&self, parts: &Parts, n_major: usize, n_minor: usize) -> Result<Csr<f32>> {
        let indptr = self.read_indptr(parts, n_major)?;
        let n_entries = indptr.last().copied().unwrap_or_default();
        let mut matrix = Csr {
            n_rows: n_major,
            n_cols: n_minor,
            indptr,
            indices: reserved(n_entries, &self.place)?,
            data: reserved(n_entries, &self.place)?,
        };
        for range in blocks(n_entries, BLOCK) {
            matrix.indices.extend(self.read_indices(parts, range.clone(), n_minor)?);
            matrix.data.extend(self.read_slice::<f32>(&parts.data, range)?);
        }
        Ok(matrix)
    }

    /// Where each row (column) starts among the entries; checked against the other arrays.
    pub(super) fn read_indptr(&self, parts: &Parts, n_major: usize) -> Result<Vec<usize>> {
        let place = self.place.child("indptr");
        if parts.indptr.size() != n_major + 1 {
            return Err(place.damaged(format!(
                "{} offsets for {n_major} rows or columns, one more than rows was expected",
                parts.indptr.size()
            )));
        }
        let offsets = h5::numbers::<i64>(&parts.indptr, &place)?;
        let n_entries = parts.data.size();
        if parts.indices.size() != n_entries {
            return Err(self.place.damaged(format!("{n_entries} values but {} indices", parts.indices.size())));
        }
        let rising = offsets.first() == Some(&0) && offsets.is_sorted();
        let offsets: Option<Vec<usize>> = offsets.iter().map(|&at| usize::try_from(at).ok()).collect();
        match offsets {
            Some(offsets) if rising && offsets.last().is_some_and(|&end| end <= n_entries) => Ok(offsets),
            _ => Err(place.damaged(format!("the offsets do not rise from 0 to the number of entries, {n_entries}"))),
        }
    }

    /// Some of the column (row) numbers, each below `n_minor`.
    pub(super) fn read_indices(&self, parts: &Parts, range: Range<usize>, n_minor: usize) -> Result<Vec<u32>> {
        // Signed and wide, because HDF5 turns a negative number into 0 where the type has no sign.
        let wide: Vec<i64> = self.read_slice(&parts.indices, range)?;
        wide.iter()
            .map(|&index| match u32::try_from(index) {
                Ok(narrow) if (narrow as usize) < n_minor => Ok(narrow),
                _ => Err(self
                    .place
                    .child("indices")
                    .damaged(format!("index {index} is out of range, there are {n_minor}"))),
            })
            .collect()
    }

    /// Some of the numbers of a one-dimensional dataset.
    pub(super) fn read_slice<T: H5Type>(&self, dataset: &Dataset, range: Range<usize>) -> Result<Vec<T>> {
        let values = dataset.read_slice_1d::<T, _>(range).at(&self.place)?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// Some rows of a two-dimensional dataset, in C order.
    fn read_rows(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>> {
        let values = dataset.read_slice_2d::<f32, _>((rows, ..)).at(&self.place)?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// Hands every stored value to `visit`, in blocks.
    pub(super) fn for_each_block(&self, mut visit: impl FnMut(&[f32])) -> Result<()> {
        match &self.stored {
            Stored::Dense(dataset) => {
                let [n_rows, n_cols] = self.shape;
                for rows in row_blocks(dataset, n_rows, n_cols) {
                    visit(&self.read_rows(dataset, rows)?);
                }
            }
            Stored::Sparse { parts, .. } => {
                for range in blocks(parts.data.size(), BLOCK) {
                    visit(&self.read_slice::<f32>(&parts.data, range)?);
                }
            }
        }
        Ok(())
    }
}

/// An empty vector with room for `n` values.
fn reserved<T>(n: usize, place: &Place) -> Result<Vec<T>> {
    let mut values = Vec::new();
    match values.try_reserve_exact(n) {
        Ok(()) => Ok(values),
        Err(error) => Err(Error::file(place.path(), format!("read {} with {n} entries", place.name()), error)),
    }
}

/// `0..length` in pieces of at most `step`.
pub(super) fn blocks(length: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(step).map(move |start| start..length.min(start.saturating_add(step)))
}

/// Rows in pieces that hold whole chunks of the file, so that none is decompressed twice.
pub(super) fn row_blocks(dataset: &Dataset, n_rows: usize, n_cols: usize) -> impl Iterator<Item = Range<usize>> {
    let chunk_rows = dataset.chunk().map_or(1, |chunk| chunk[0]).max(1);
    let wanted = (BLOCK / n_cols.max(1)).max(1);
    blocks(n_rows, wanted.next_multiple_of(chunk_rows))
}

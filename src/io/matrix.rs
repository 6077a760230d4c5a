//! Matrices in all the ways AnnData stores them: dense, CSR and CSC, of any number type.

use std::ops::Range;

use hdf5::{Dataset, Group};
use ndarray::Array2;

use super::chunks::Number;
use super::h5::{self, Kind, Node};
use super::place::{At, Place};
use super::{numbers, sparse};
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

    /// The same matrix, to be kept.
    pub(super) fn into_owned(self) -> Matrix<'static> {
        Matrix { place: self.place.into_owned(), shape: self.shape, stored: self.stored }
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// How it is stored.
    pub(super) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Whether it is stored column by column.
    pub(super) fn is_by_column(&self) -> bool {
        matches!(self.stored, Stored::Sparse { by_column: true, .. })
    }

    /// Entries of a sparse matrix; 0 of a dense one.
    pub(super) fn n_entries(&self) -> usize {
        match &self.stored {
            Stored::Dense(_) => 0,
            Stored::Sparse { parts, .. } => parts.data.size(),
        }
    }

    /// Bytes that HDF5 decompresses, of one dataset, to read a single row; 0 if it need not.
    pub(super) fn bytes_across(&self) -> usize {
        let of = |dataset: &Dataset| {
            let chunk = dataset.chunk().filter(|_| !dataset.filters().is_empty())?;
            let across = chunk.iter().zip(dataset.shape()).skip(1).map(|(&chunk, length)| length.div_ceil(chunk));
            let values = chunk.iter().copied().chain(across).fold(1, usize::saturating_mul);
            Some(values.saturating_mul(dataset.dtype().ok()?.size()))
        };
        let bytes = match &self.stored {
            Stored::Dense(dataset) => vec![of(dataset)],
            Stored::Sparse { parts, .. } => vec![of(&parts.indices), of(&parts.data)],
        };
        bytes.into_iter().flatten().max().unwrap_or_default()
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
        match &self.stored {
            Stored::Sparse { parts, by_column: true } => {
                let columns = self.read_majors(parts, &self.read_indptr(parts, n_cols)?, n_rows)?;
                Ok(sparse::canonical(columns.transpose()))
            }
            _ => self.rows(&self.row_offsets()?, 0..n_rows),
        }
    }

    /// What [`Matrix::rows`] needs to find rows: where each starts among the entries; nothing if the matrix is dense.
    ///
    /// # Errors
    /// [`Error::Input`] if the offsets contradict the other arrays, or the matrix is stored column by column.
    pub(super) fn row_offsets(&self) -> Result<Vec<usize>> {
        match &self.stored {
            Stored::Dense(_) => Ok(Vec::new()),
            Stored::Sparse { parts, by_column: false } => self.read_indptr(parts, self.shape[0]),
            Stored::Sparse { .. } => Err(self.place.error(
                "the matrix is stored column by column (CSC), so that its rows cannot be read alone",
                "convert it in Python with .tocsr(), then write the file again",
            )),
        }
    }

    /// The nonzero entries of some rows, of which there are as many; `offsets` are those of [`Matrix::row_offsets`].
    pub(super) fn rows(&self, offsets: &[usize], rows: Range<usize>) -> Result<Csr<f32>> {
        let n_cols = self.shape[1];
        match &self.stored {
            Stored::Dense(dataset) => self.dense_rows(dataset, rows),
            Stored::Sparse { parts, .. } => {
                self.read_majors(parts, &offsets[rows.start..=rows.end], n_cols).map(sparse::canonical)
            }
        }
    }

    fn dense_rows(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Csr<f32>> {
        let n_cols = self.shape[1];
        narrow_columns(n_cols, &self.place)?;
        let mut matrix = Csr { n_rows: rows.len(), n_cols, indptr: vec![0], indices: Vec::new(), data: Vec::new() };
        for block in row_blocks(dataset, rows, n_cols) {
            let values = self.read_rows(dataset, block)?;
            for row in values.chunks_exact(n_cols.max(1)) {
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

    /// Some rows (columns) of a compressed matrix as they are stored, given where each starts and the last ends.
    fn read_majors(&self, parts: &Parts, offsets: &[usize], n_minor: usize) -> Result<Csr<f32>> {
        narrow_columns(n_minor, &self.place)?;
        let [start, end] = [offsets.first(), offsets.last()].map(|at| at.copied().unwrap_or_default());
        let mut matrix = Csr {
            n_rows: offsets.len().saturating_sub(1),
            n_cols: n_minor,
            indptr: offsets.iter().map(|at| at - start).collect(),
            indices: reserved(end - start, &self.place)?,
            data: reserved(end - start, &self.place)?,
        };
        for range in blocks(start..end, BLOCK) {
            matrix.indices.extend(self.read_indices(parts, range.clone(), n_minor)?);
            matrix.data.extend(numbers::values(&parts.data, range, &self.place)?);
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
        numbers::indices(&parts.indices, range, n_minor, &self.place)
    }

    /// Some of the numbers of a one-dimensional dataset.
    pub(super) fn read_slice<T: Number>(&self, dataset: &Dataset, range: Range<usize>) -> Result<Vec<T>> {
        numbers::slice(dataset, range, &self.place)
    }

    /// Some rows of a two-dimensional dataset, in C order.
    fn read_rows(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>> {
        let values = dataset.read_slice_2d::<f32, _>((rows, ..)).at(&self.place)?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// Hands the nonzero entries of a matrix of counts to `visit` as rows of `[cells, genes]`, in blocks: some cells and all genes or, of a
    /// matrix stored column by column, all cells and some genes.
    pub(super) fn for_each_part(
        &self,
        mut visit: impl FnMut(&Csr<f32>, [Range<usize>; 2]) -> Result<()>,
    ) -> Result<()> {
        /// Rows or columns at once.
        const AT_ONCE: usize = 1 << 11;
        let [n_rows, n_cols] = self.shape;
        if let Stored::Sparse { parts, by_column: true } = &self.stored {
            let offsets = self.read_indptr(parts, n_cols)?;
            for columns in blocks(0..n_cols, AT_ONCE) {
                let part = self.read_majors(parts, &offsets[columns.start..=columns.end], n_rows)?;
                visit(&part.transpose(), [0..n_rows, columns])?;
            }
            return Ok(());
        }
        let offsets = self.row_offsets()?;
        for rows in blocks(0..n_rows, AT_ONCE) {
            visit(&self.rows(&offsets, rows.clone())?, [rows, 0..n_cols])?;
        }
        Ok(())
    }

    /// Hands every stored value to `visit`, in blocks.
    pub(super) fn for_each_block(&self, mut visit: impl FnMut(&[f32])) -> Result<()> {
        match &self.stored {
            Stored::Dense(dataset) => {
                let [n_rows, n_cols] = self.shape;
                for rows in row_blocks(dataset, 0..n_rows, n_cols) {
                    visit(&self.read_rows(dataset, rows)?);
                }
            }
            Stored::Sparse { parts, .. } => {
                for range in blocks(0..parts.data.size(), BLOCK) {
                    visit(&numbers::values(&parts.data, range, &self.place)?);
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

/// Fails unless column (row) numbers below `n` fit the type in which we keep them.
fn narrow_columns(n: usize, place: &Place) -> Result<()> {
    if u32::try_from(n).is_ok() {
        return Ok(());
    }
    Err(place.damaged(format!("{n} rows or columns are more than can be")))
}

/// A range in pieces of at most `step`.
pub(super) fn blocks(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(step).map(move |start| start..end.min(start.saturating_add(step)))
}

/// Rows in pieces that hold whole chunks of the file, so that none is decompressed twice.
pub(super) fn row_blocks(dataset: &Dataset, rows: Range<usize>, n_cols: usize) -> impl Iterator<Item = Range<usize>> {
    let chunk_rows = dataset.chunk().map_or(1, |chunk| chunk[0]).max(1);
    let wanted = (BLOCK / n_cols.max(1)).max(1);
    blocks(rows, wanted.next_multiple_of(chunk_rows))
}

//! Compressed sparse rows: the form in which counts and graphs are kept.

/// A matrix `[n_rows, n_cols]` of which only the nonzero entries are stored, row by row.
///
/// Column indices rise within a row and occur once; stored entries may be zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Csr<T> {
    /// Number of rows.
    pub n_rows: usize,
    /// Number of columns.
    pub n_cols: usize,
    /// Row `i` holds the entries `indptr[i]..indptr[i + 1]`; `[n_rows + 1]`.
    pub indptr: Vec<usize>,
    /// Column of each entry.
    pub indices: Vec<u32>,
    /// Value of each entry.
    pub data: Vec<T>,
}

impl<T: Copy> Csr<T> {
    /// Columns and values of row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.data[range])
    }

    /// Number of stored entries.
    #[must_use]
    pub fn nnz(&self) -> usize {
        self.data.len()
    }
}

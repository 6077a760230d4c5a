//! Compressed sparse rows: the form in which counts and graphs are kept.
//!
//! Sums are taken in `f64` and in the order of the entries, so that no result depends on the number of threads.

use std::borrow::Cow;
use std::ops::AddAssign;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::error::{Error, Result};

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
    /// A matrix `[n_rows, n_cols]` without stored entries.
    #[must_use]
    pub fn empty(n_rows: usize, n_cols: usize) -> Self {
        Self { n_rows, n_cols, indptr: vec![0; n_rows + 1], indices: Vec::new(), data: Vec::new() }
    }

    /// The matrix of the given rows, each a list of `(column, value)` with rising columns below `n_cols`.
    #[must_use]
    pub fn from_rows(n_cols: usize, rows: &[Vec<(u32, T)>]) -> Self {
        let mut matrix = Self::empty(0, n_cols);
        for row in rows {
            debug_assert!(row.windows(2).all(|pair| pair[0].0 < pair[1].0));
            debug_assert!(row.last().is_none_or(|last| (last.0 as usize) < n_cols));
            matrix.indices.extend(row.iter().map(|entry| entry.0));
            matrix.data.extend(row.iter().map(|entry| entry.1));
            matrix.indptr.push(matrix.indices.len());
        }
        matrix.n_rows = rows.len();
        matrix
    }

    /// Adds the rows of `other`, which has as many columns, below these.
    ///
    /// # Panics
    /// If the numbers of columns differ.
    pub fn append(&mut self, other: Self) {
        assert_eq!(self.n_cols, other.n_cols, "rows over the same columns");
        let before = self.nnz();
        self.indices.extend(other.indices);
        self.data.extend(other.data);
        self.indptr.extend(other.indptr[1..].iter().map(|end| before + end));
        self.n_rows += other.n_rows;
    }

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

    /// Number of stored entries of row `i`.
    #[must_use]
    pub fn row_nnz(&self, i: usize) -> usize {
        self.indptr[i + 1] - self.indptr[i]
    }

    /// The rows at `positions`, in that order.
    #[must_use]
    pub fn select_rows(&self, positions: &[usize]) -> Self {
        let mut selected = Self::empty(0, self.n_cols);
        for &position in positions {
            let (columns, values) = self.row(position);
            selected.indices.extend_from_slice(columns);
            selected.data.extend_from_slice(values);
            selected.indptr.push(selected.indices.len());
        }
        selected.n_rows = positions.len();
        selected
    }

    /// The columns at `positions`, in that order, each named at most once.
    #[must_use]
    pub fn select_columns(&self, positions: &[usize]) -> Self {
        let mut target = vec![u32::MAX; self.n_cols];
        for (to, &from) in positions.iter().enumerate() {
            target[from] = narrow(to);
        }
        let rising = positions.is_sorted();
        let mut selected = Self::empty(0, positions.len());
        let mut entries: Vec<(u32, T)> = Vec::new();
        for i in 0..self.n_rows {
            let (columns, values) = self.row(i);
            let placed = columns.iter().zip(values).map(|(&column, &value)| (target[column as usize], value));
            entries.clear();
            entries.extend(placed.filter(|entry| entry.0 != u32::MAX));
            if !rising {
                entries.sort_unstable_by_key(|entry| entry.0);
            }
            selected.indices.extend(entries.iter().map(|entry| entry.0));
            selected.data.extend(entries.iter().map(|entry| entry.1));
            selected.indptr.push(selected.indices.len());
        }
        selected.n_rows = self.n_rows;
        selected
    }

    /// The rows and the columns at `positions` of a square matrix, rising; the matrix itself where they are all of them.
    #[must_use]
    pub fn within(&self, positions: &[usize]) -> Cow<'_, Self> {
        debug_assert!(self.n_rows == self.n_cols && positions.is_sorted_by(|before, after| before < after));
        if positions.len() == self.n_rows {
            return Cow::Borrowed(self);
        }
        Cow::Owned(self.select_rows(positions).select_columns(positions))
    }

    /// The matrix with rows and columns exchanged, `[n_cols, n_rows]`.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut indptr = vec![0_usize; self.n_cols + 1];
        for &column in &self.indices {
            indptr[column as usize + 1] += 1;
        }
        for i in 0..self.n_cols {
            indptr[i + 1] += indptr[i];
        }
        let mut next = indptr.clone();
        let mut source = vec![0_usize; self.nnz()];
        let mut indices = vec![0_u32; self.nnz()];
        for i in 0..self.n_rows {
            for at in self.indptr[i]..self.indptr[i + 1] {
                let slot = &mut next[self.indices[at] as usize];
                source[*slot] = at;
                indices[*slot] = narrow(i);
                *slot += 1;
            }
        }
        Self {
            n_rows: self.n_cols,
            n_cols: self.n_rows,
            indptr,
            indices,
            data: source.into_iter().map(|at| self.data[at]).collect(),
        }
    }

    /// The same entries with `function` applied to every stored value; entries that are not stored stay zero.
    #[must_use]
    pub fn map<U>(&self, function: impl Fn(T) -> U) -> Csr<U> {
        Csr {
            n_rows: self.n_rows,
            n_cols: self.n_cols,
            indptr: self.indptr.clone(),
            indices: self.indices.clone(),
            data: self.data.iter().map(|&value| function(value)).collect(),
        }
    }
}

impl<T: Copy + Default + AddAssign> Csr<T> {
    /// The matrix `[n_rows, n_cols]` of `(row, column, value)` in any order; values of the same place are added
    /// in the order given.
    ///
    /// # Errors
    /// [`Error::Shape`] if a place lies outside the matrix.
    pub fn from_triplets(n_rows: usize, n_cols: usize, triplets: &[(usize, usize, T)]) -> Result<Self> {
        if let Some(&(row, column, _)) = triplets.iter().find(|t| t.0 >= n_rows || t.1 >= n_cols) {
            return Err(Error::Shape {
                what: "sparse entry".to_owned(),
                wanted: vec![n_rows, n_cols],
                found: vec![row + 1, column + 1],
            });
        }
        let mut rows: Vec<Vec<(u32, T)>> = vec![Vec::new(); n_rows];
        for &(row, column, value) in triplets {
            rows[row].push((narrow(column), value));
        }
        for row in &mut rows {
            row.sort_by_key(|entry| entry.0);
            row.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
        Ok(Self::from_rows(n_cols, &rows))
    }
}

impl<T: Copy + Default + PartialEq> Csr<T> {
    /// The nonzero entries of `dense`, `[n_rows, n_cols]`.
    #[must_use]
    pub fn from_dense(dense: ArrayView2<'_, T>) -> Self {
        let mut matrix = Self::empty(0, dense.ncols());
        for row in dense.rows() {
            for (column, &value) in row.iter().enumerate() {
                if value != T::default() {
                    matrix.indices.push(narrow(column));
                    matrix.data.push(value);
                }
            }
            matrix.indptr.push(matrix.indices.len());
        }
        matrix.n_rows = dense.nrows();
        matrix
    }

    /// All entries, `[n_rows, n_cols]`.
    #[must_use]
    pub fn to_dense(&self) -> Array2<T> {
        let mut dense = Array2::from_elem((self.n_rows, self.n_cols), T::default());
        for (i, mut row) in dense.rows_mut().into_iter().enumerate() {
            let (columns, values) = self.row(i);
            for (&column, &value) in columns.iter().zip(values) {
                row[column as usize] = value;
            }
        }
        dense
    }
}

impl Csr<f32> {
    /// Sum of each row, `[n_rows]`.
    #[must_use]
    pub fn row_sums(&self) -> Vec<f64> {
        // A sum of nothing is -0 in Rust, which would be shown as such.
        let sum = |i| self.row(i).1.iter().map(|&value| f64::from(value)).sum::<f64>() + 0.0;
        (0..self.n_rows).map(sum).collect()
    }

    /// Sum and sum of squares of each column, each `[n_cols]`.
    #[must_use]
    pub fn column_sums(&self) -> (Vec<f64>, Vec<f64>) {
        let mut sums = vec![0.0; self.n_cols];
        let mut squares = vec![0.0; self.n_cols];
        for (&column, &value) in self.indices.iter().zip(&self.data) {
            let value = f64::from(value);
            sums[column as usize] += value;
            squares[column as usize] += value * value;
        }
        (sums, squares)
    }

    /// Row `i` multiplied by `factors[i]`, for every row; `factors` is `[n_rows]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one factor per row.
    pub fn scale_rows(&self, factors: &[f64]) -> Result<Self> {
        if factors.len() != self.n_rows {
            return Err(shape("row factors", &[self.n_rows], &[factors.len()]));
        }
        let mut scaled = self.clone();
        for (i, &factor) in factors.iter().enumerate() {
            for value in &mut scaled.data[self.indptr[i]..self.indptr[i + 1]] {
                *value = to_f32(f64::from(*value) * factor);
            }
        }
        Ok(scaled)
    }

    /// Elementwise product with `other` of the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ.
    pub fn hadamard(&self, other: &Self) -> Result<Self> {
        if (self.n_rows, self.n_cols) != (other.n_rows, other.n_cols) {
            let wanted = [self.n_rows, self.n_cols];
            return Err(shape("elementwise product", &wanted, &[other.n_rows, other.n_cols]));
        }
        let product = |i| {
            let common = shared_entries(self.row(i), other.row(i));
            common.map(|(column, a, b)| (column, a * b)).collect::<Vec<_>>()
        };
        let rows: Vec<_> = (0..self.n_rows).into_par_iter().map(product).collect();
        Ok(Self::from_rows(self.n_cols, &rows))
    }

    /// Product with `dense`, `[n_cols, k]`; returns `[n_rows, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `dense` does not have one row per column of this matrix.
    pub fn dot(&self, dense: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        if dense.nrows() != self.n_cols {
            let wanted = [self.n_cols, dense.ncols()];
            return Err(shape("right factor", &wanted, &[dense.nrows(), dense.ncols()]));
        }
        let mut product = Array2::<f64>::zeros((self.n_rows, dense.ncols()));
        let rows: Vec<_> = product.rows_mut().into_iter().collect();
        rows.into_par_iter().enumerate().for_each(|(i, mut out)| {
            let (columns, values) = self.row(i);
            for (&column, &value) in columns.iter().zip(values) {
                out.scaled_add(f64::from(value), &dense.row(column as usize));
            }
        });
        Ok(product)
    }
}

/// The columns that two rows have in common, with both values, in rising order.
pub fn shared_entries<'a, T: Copy, U: Copy>(
    a: (&'a [u32], &'a [T]),
    b: (&'a [u32], &'a [U]),
) -> impl Iterator<Item = (u32, T, U)> + use<'a, T, U> {
    let (mut i, mut j) = (0, 0);
    std::iter::from_fn(move || {
        while i < a.0.len() && j < b.0.len() {
            match a.0[i].cmp(&b.0[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    (i, j) = (i + 1, j + 1);
                    return Some((a.0[i - 1], a.1[i - 1], b.1[j - 1]));
                }
            }
        }
        None
    })
}

fn shape(what: &str, wanted: &[usize], found: &[usize]) -> Error {
    Error::Shape { what: what.to_owned(), wanted: wanted.to_vec(), found: found.to_vec() }
}

/// Positions are stored in 32 bits: no file of cells or genes comes near 4 billion.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).expect("fewer than 2^32 rows and columns")
}

fn to_f32(value: f64) -> f32 {
    value as f32
}

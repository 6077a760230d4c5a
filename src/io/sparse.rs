//! Putting sparse matrices from files into the order that [`Csr`] promises.

use crate::sparse::Csr;

/// The same matrix with columns rising in every row; entries of the same column are added, as scipy does.
pub(super) fn canonical(matrix: Csr<f32>) -> Csr<f32> {
    let rises = |row: usize| matrix.row(row).0.is_sorted_by(|before, after| before < after);
    if (0..matrix.n_rows).all(rises) {
        return matrix;
    }
    let mut tidy = Csr {
        n_rows: matrix.n_rows,
        n_cols: matrix.n_cols,
        indptr: vec![0],
        indices: Vec::with_capacity(matrix.nnz()),
        data: Vec::with_capacity(matrix.nnz()),
    };
    let mut entries: Vec<(u32, f32)> = Vec::new();
    for row in 0..matrix.n_rows {
        let (columns, values) = matrix.row(row);
        entries.clear();
        entries.extend(columns.iter().copied().zip(values.iter().copied()));
        entries.sort_by_key(|&(column, _)| column);
        let start = tidy.indices.len();
        for &(column, value) in &entries {
            match tidy.data.last_mut() {
                Some(sum) if tidy.indices.len() > start && tidy.indices.last() == Some(&column) => {
                    *sum += value;
                }
                _ => {
                    tidy.indices.push(column);
                    tidy.data.push(value);
                }
            }
        }
        tidy.indptr.push(tidy.indices.len());
    }
    tidy
}

/// The same matrix without its diagonal.
pub(super) fn without_diagonal(matrix: &Csr<f32>) -> Csr<f32> {
    let mut rest = Csr {
        n_rows: matrix.n_rows,
        n_cols: matrix.n_cols,
        indptr: vec![0],
        indices: Vec::with_capacity(matrix.nnz()),
        data: Vec::with_capacity(matrix.nnz()),
    };
    for row in 0..matrix.n_rows {
        let (columns, values) = matrix.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            if column as usize != row {
                rest.indices.push(column);
                rest.data.push(value);
            }
        }
        rest.indptr.push(rest.indices.len());
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(n_rows: usize, n_cols: usize, indptr: &[usize], indices: &[u32], data: &[f32]) -> Csr<f32> {
        Csr { n_rows, n_cols, indptr: indptr.to_vec(), indices: indices.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn transposing_sorts_the_columns() {
        let by_column = matrix(3, 2, &[0, 1, 3, 4], &[1, 1, 0, 0], &[1.0, 2.0, 3.0, 4.0]);
        let expected = matrix(2, 3, &[0, 2, 4], &[1, 2, 0, 1], &[3.0, 4.0, 1.0, 2.0]);
        assert_eq!(by_column.transpose(), expected);
    }

    #[test]
    fn repeated_entries_are_added_and_rows_sorted() {
        let wild = matrix(2, 3, &[0, 3, 4], &[2, 0, 2, 2], &[1.0, 2.0, 3.0, 5.0]);
        let expected = matrix(2, 3, &[0, 2, 3], &[0, 2, 2], &[2.0, 4.0, 5.0]);
        assert_eq!(canonical(wild), expected);
    }

    #[test]
    fn the_diagonal_can_be_left_out() {
        let loops = matrix(2, 2, &[0, 2, 3], &[0, 1, 1], &[1.0, 2.0, 3.0]);
        assert_eq!(without_diagonal(&loops), matrix(2, 2, &[0, 1, 1], &[1], &[2.0]));
    }
}

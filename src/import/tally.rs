//! Entries of a matrix as they come, summed where they fall on the same place.

use crate::sparse::Csr;

/// Entries that are held before those of the same place are summed.
const HELD: usize = 1 << 24;

/// Entries of a matrix under way. Sources that go cell by cell leave every row sorted and summed behind them; of others, entries
/// of the same place are summed whenever they have doubled in number, so that memory follows the matrix and not its source.
#[derive(Default)]
pub(super) struct Tally {
    entries: Vec<(u32, u32, f32)>,
    /// Where the entries of the last row begin.
    tail: usize,
    /// Entries that were left when all were last summed.
    summed: usize,
}

impl Tally {
    /// Adds `value` at `row`, `col`.
    pub(super) fn add(&mut self, row: u32, col: u32, value: f32) {
        if value == 0.0 {
            return;
        }
        if self.entries.last().is_some_and(|last| last.0 != row) {
            self.sum_from(self.tail);
            self.tail = self.entries.len();
            if self.entries.len() > HELD.max(2 * self.summed) {
                self.sum_from(0);
                self.tail = self.entries.len();
                self.summed = self.entries.len();
            }
        }
        self.entries.push((row, col, value));
    }

    fn sum_from(&mut self, start: usize) {
        let part = &mut self.entries[start..];
        if part.is_sorted_by(|before, after| (before.0, before.1) < (after.0, after.1)) {
            return;
        }
        part.sort_by_key(|entry| (entry.0, entry.1));
        let mut last = 0;
        for at in 1..part.len() {
            if (part[at].0, part[at].1) == (part[last].0, part[last].1) {
                part[last].2 += part[at].2;
            } else {
                last += 1;
                part[last] = part[at];
            }
        }
        self.entries.truncate(start + last + 1);
    }

    /// The matrix `[n_rows, n_cols]`.
    pub(super) fn into_csr(mut self, n_rows: usize, n_cols: usize) -> Csr<f32> {
        self.sum_from(0);
        let mut matrix = Csr::empty(n_rows, n_cols);
        for &(row, _, _) in &self.entries {
            matrix.indptr[row as usize + 1] += 1;
        }
        for row in 0..n_rows {
            matrix.indptr[row + 1] += matrix.indptr[row];
        }
        matrix.indices = self.entries.iter().map(|entry| entry.1).collect();
        matrix.data = self.entries.iter().map(|entry| entry.2).collect();
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_place_are_summed_in_any_order() {
        let mut tally = Tally::default();
        for (row, col, value) in [(1, 2, 1.0), (0, 1, 2.0), (1, 2, 3.0), (1, 0, 5.0), (0, 0, 0.0), (0, 1, 1.0)] {
            tally.add(row, col, value);
        }
        let expected = Csr::from_rows(3, &[vec![(1, 3.0)], vec![(0, 5.0), (2, 4.0)], vec![]]);
        assert_eq!(tally.into_csr(3, 3), expected);
    }
}

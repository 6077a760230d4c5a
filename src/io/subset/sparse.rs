//! Sparse matrices cut to some genes or cells, a block of entries at a time.

use hdf5::Group;
use hdf5::types::{FloatSize, TypeDescriptor};

use super::{Axes, Cut};
use crate::error::Result;
use crate::io::chunks::Number;
use crate::io::matrix::{Matrix, Parts, Stored, blocks};

/// Entries of a sparse matrix handled at once.
const BLOCK: usize = 1 << 20;

impl Cut<'_> {
    /// A sparse matrix, some entries at a time.
    pub(super) fn sparse(&mut self, group: &Group, matrix: &Matrix, to: &Group, name: &str, axes: Axes) -> Result<()> {
        let Stored::Sparse { parts, by_column } = matrix.stored() else {
            return self.leave_out(matrix.place());
        };
        let [n_rows, n_cols] = matrix.shape();
        let [cut_rows, cut_cols] = match axes {
            Axes::Rows => [true, false],
            Axes::Columns => [false, true],
            Axes::Both => [true, true],
        };
        if (cut_rows && n_rows != self.n) || (cut_cols && n_cols != self.n) {
            return self.leave_out(matrix.place());
        }
        let kept = |cut: bool, n: usize| if cut { self.kept.len() } else { n };
        let shape = [kept(cut_rows, n_rows), kept(cut_cols, n_cols)];
        let encoding = if *by_column { "csc_matrix" } else { "csr_matrix" };
        let copy = self.sink.sparse_group(to, name, encoding, shape)?;
        let major_first = |pair: [bool; 2]| if *by_column { [pair[1], pair[0]] } else { pair };
        let [cut_major, cut_minor] = major_first([cut_rows, cut_cols]);
        let [n_major, n_minor] = if *by_column { [n_cols, n_rows] } else { [n_rows, n_cols] };
        let offsets = matrix.read_indptr(parts, n_major)?;
        let filter = Filter {
            major: cut_major.then(|| self.positions(n_major)),
            minor: cut_minor.then(|| self.positions(n_minor)),
            n_minor,
        };
        let value_kind = parts.data.dtype().and_then(|stored| stored.to_descriptor());
        match value_kind {
            Ok(TypeDescriptor::Float(FloatSize::U8)) => {
                self.entries::<f64>(matrix, parts, &offsets, &filter, &copy)?;
            }
            Ok(TypeDescriptor::Integer(_)) => {
                self.entries::<i64>(matrix, parts, &offsets, &filter, &copy)?;
            }
            Ok(TypeDescriptor::Unsigned(_)) => {
                self.entries::<u64>(matrix, parts, &offsets, &filter, &copy)?;
            }
            Ok(TypeDescriptor::Boolean) => {
                self.entries::<u8>(matrix, parts, &offsets, &filter, &copy)?;
            }
            _ => self.entries::<f32>(matrix, parts, &offsets, &filter, &copy)?,
        }
        // Whatever else was noted at the matrix.
        self.attributes_except(group, &copy, &["shape", "h5sparse_shape"], matrix.place())
    }

    /// For each position before the cut, the one after it.
    fn positions(&self, n: usize) -> Vec<Option<u32>> {
        let mut positions = vec![None; n];
        for (&at, position) in self.kept.iter().zip(0_u32..) {
            positions[at] = Some(position);
        }
        positions
    }

    fn entries<T: Number>(
        &self,
        matrix: &Matrix,
        parts: &Parts,
        offsets: &[usize],
        filter: &Filter,
        to: &Group,
    ) -> Result<()> {
        let n_entries = offsets.last().copied().unwrap_or_default();
        let mut all_indices = self.sink.growing::<i32>(to, "indices")?;
        let mut all_values = self.sink.growing::<T>(to, "data")?;
        let mut new_offsets = vec![0];
        let mut row = 0;
        let mut n_kept = 0;
        let mut close_rows = |upto: usize, n_kept: usize, row: &mut usize| {
            while *row + 1 < offsets.len() && offsets[*row + 1] <= upto {
                if filter.keeps(*row) {
                    new_offsets.push(n_kept);
                }
                *row += 1;
            }
        };
        close_rows(0, 0, &mut row);
        for range in blocks(0..n_entries, BLOCK) {
            let start = range.start;
            let indices = matrix.read_indices(parts, range.clone(), filter.n_minor)?;
            let values = matrix.read_slice::<T>(&parts.data, range)?;
            let mut kept = (Vec::new(), Vec::new());
            for (i, (&index, &value)) in indices.iter().zip(&values).enumerate() {
                if filter.keeps(row)
                    && let Some(position) = filter.position(index)
                {
                    // scipy has signed indices only; ours count genes or cells.
                    kept.0.push(i32::try_from(position).unwrap_or(i32::MAX));
                    kept.1.push(value);
                    n_kept += 1;
                }
                close_rows(start + i + 1, n_kept, &mut row);
            }
            self.sink.sure(all_indices.extend(&kept.0), "indices")?;
            self.sink.sure(all_values.extend(&kept.1), "data")?;
        }
        self.sink.sure(all_indices.finish(), "indices")?;
        self.sink.sure(all_values.finish(), "data")?;
        self.sink.indptr(to, &new_offsets)
    }
}

/// Which entries of a compressed matrix stay.
struct Filter {
    major: Option<Vec<Option<u32>>>,
    minor: Option<Vec<Option<u32>>>,
    n_minor: usize,
}

impl Filter {
    fn keeps(&self, row: usize) -> bool {
        self.major.as_ref().is_none_or(|positions| positions.get(row).copied().flatten().is_some())
    }

    fn position(&self, index: u32) -> Option<u32> {
        match &self.minor {
            Some(positions) => positions[index as usize],
            None => Some(index),
        }
    }
}

//! Arrays cut to some genes or cells.

use hdf5::types::TypeDescriptor;
use hdf5::{Dataset, Group, H5Type};

use super::{Axes, Cut};
use crate::error::Result;
use crate::io::matrix::row_blocks;
use crate::io::place::{At, Place};
use crate::io::{h5, raw};

impl Cut<'_> {
    pub(super) fn words<T: H5Type + Clone>(
        &self,
        dataset: &Dataset,
        to: &Group,
        name: &str,
        place: &Place,
    ) -> Result<()> {
        let words = h5::values::<T>(dataset).at(place)?;
        let per_row = words.len() / self.n.max(1);
        let kept = self.kept.iter().flat_map(|&gene| &words[gene * per_row..(gene + 1) * per_row]);
        let kept: Vec<T> = kept.cloned().collect();
        let mut shape = dataset.shape();
        shape[0] = self.kept.len();
        let copy = self.sink.dataset::<T>(to, name, &shape, &shape)?;
        if kept.is_empty() {
            return Ok(());
        }
        self.sink.sure(copy.write_raw(&kept), name)
    }

    /// A matrix of cells and genes, some rows at a time.
    pub(super) fn columns(&self, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<()> {
        let n_rows = dataset.shape()[0];
        let mut copy = self.sink.rows_in_order(to, name, [n_rows, self.kept.len()])?;
        for rows in row_blocks(dataset, 0..n_rows, self.n) {
            let whole = dataset.read_slice_2d::<f32, _>((rows, ..)).at(place)?.into_raw_vec_and_offset().0;
            let rows = whole.chunks_exact(self.n.max(1));
            let kept: Vec<f32> = rows.flat_map(|row| self.kept.iter().map(|&gene| row[gene])).collect();
            self.sink.sure(copy.extend(&kept), name)?;
        }
        self.sink.sure(copy.finish(), name)
    }

    /// A matrix with cells as rows, some rows at a time.
    pub(super) fn rows(&self, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<()> {
        let [n_rows, n_cols] = [dataset.shape()[0], dataset.shape()[1]];
        let mut copy = self.sink.rows_in_order(to, name, [self.kept.len(), n_cols])?;
        for rows in row_blocks(dataset, 0..n_rows, n_cols) {
            let within =
                self.kept.partition_point(|&at| at < rows.start)..self.kept.partition_point(|&at| at < rows.end);
            if within.is_empty() {
                continue;
            }
            let start = rows.start;
            let whole = dataset.read_slice_2d::<f32, _>((rows, ..)).at(place)?;
            let kept: Vec<f32> = self.kept[within].iter().flat_map(|&at| whole.row(at - start).to_vec()).collect();
            self.sink.sure(copy.extend(&kept), name)?;
        }
        self.sink.sure(copy.finish(), name)
    }

    /// Values of a fixed size, whatever they are.
    pub(super) fn plain(
        &self,
        dataset: &Dataset,
        kind: &TypeDescriptor,
        to: &Group,
        name: &str,
        axes: Axes,
        place: &Place,
    ) -> Result<()> {
        let bytes = raw::read_bytes(dataset, kind).at(place)?;
        let mut shape = dataset.shape();
        let size = kind.size();
        let inner: usize = shape[1..].iter().product();
        let kept = match axes {
            Axes::Rows => pick(&bytes, self.kept, inner * size),
            Axes::Columns => pick_within(&bytes, self.kept, self.n * size, size),
            Axes::Both => {
                let rows = pick(&bytes, self.kept, inner * size);
                pick_within(&rows, self.kept, self.n * size, size)
            }
        };
        if matches!(axes, Axes::Rows | Axes::Both) {
            shape[0] = self.kept.len();
        }
        if matches!(axes, Axes::Columns | Axes::Both) {
            shape[1] = self.kept.len();
        }
        let copy = to.new_dataset_builder().empty_as(kind.clone()).shape(shape).create(name);
        let copy = self.sink.sure(copy, name)?;
        self.sink.sure(raw::write_bytes(&copy, kind, &kept), name)
    }
}

fn pick(bytes: &[u8], rows: &[usize], row: usize) -> Vec<u8> {
    rows.iter().flat_map(|&at| &bytes[at * row..(at + 1) * row]).copied().collect()
}

fn pick_within(bytes: &[u8], columns: &[usize], row: usize, size: usize) -> Vec<u8> {
    bytes
        .chunks_exact(row.max(1))
        .flat_map(|row| columns.iter().flat_map(move |&at| &row[at * size..(at + 1) * size]))
        .copied()
        .collect()
}

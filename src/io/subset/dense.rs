//! Arrays cut to some genes.

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
        let per_row = words.len() / self.n_vars.max(1);
        let kept = self.genes.iter().flat_map(|&gene| &words[gene * per_row..(gene + 1) * per_row]);
        let kept: Vec<T> = kept.cloned().collect();
        let mut shape = dataset.shape();
        shape[0] = self.genes.len();
        let copy = self.sink.dataset::<T>(to, name, &shape, &shape)?;
        if kept.is_empty() {
            return Ok(());
        }
        self.sink.sure(copy.write_raw(&kept), name)
    }

    /// A matrix of cells and genes, some rows at a time.
    pub(super) fn columns(&self, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<()> {
        let n_rows = dataset.shape()[0];
        let mut copy = self.sink.rows_in_order(to, name, [n_rows, self.genes.len()])?;
        for rows in row_blocks(dataset, 0..n_rows, self.n_vars) {
            let whole = dataset.read_slice_2d::<f32, _>((rows, ..)).at(place)?.into_raw_vec_and_offset().0;
            let rows = whole.chunks_exact(self.n_vars.max(1));
            let kept: Vec<f32> = rows.flat_map(|row| self.genes.iter().map(|&gene| row[gene])).collect();
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
            Axes::Rows => pick(&bytes, self.genes, inner * size),
            Axes::Columns => pick_within(&bytes, self.genes, self.n_vars * size, size),
            Axes::Both => {
                let rows = pick(&bytes, self.genes, inner * size);
                pick_within(&rows, self.genes, self.n_vars * size, size)
            }
        };
        if matches!(axes, Axes::Rows | Axes::Both) {
            shape[0] = self.genes.len();
        }
        if matches!(axes, Axes::Columns | Axes::Both) {
            shape[1] = self.genes.len();
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

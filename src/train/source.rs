//! What batches are drawn from: cells on the device, sparse in memory, or in a file.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;

use super::batches::{Batch, Columns, TrainingData, deal};
use crate::error::{Error, Result};
use crate::nn::arrays;
use crate::sparse::Csr;

/// Cells to which a model adds what it knows of each of them.
pub trait WithColumns: Sized {
    /// The columns, and the device on which they are.
    #[doc(hidden)]
    fn columns(&mut self) -> (&mut Columns, &Device);

    /// The same with a column `name` that batches will have, `[n_obs, any]`: what a model knows of each cell that is not
    /// learned by gradients. It replaces a column of the same name.
    #[must_use]
    fn with_column(mut self, name: &'static str, values: ArrayView2<'_, f32>) -> Self {
        let (columns, device) = self.columns();
        columns.set(name, arrays::matrix(values, device));
        self
    }

    /// The same with one number a cell in column `name`.
    #[must_use]
    fn with_numbers(mut self, name: &'static str, values: &[f64]) -> Self {
        let (columns, device) = self.columns();
        columns.set(name, arrays::row(values, device).reshape([values.len(), 1]));
        self
    }
}

/// Batches as a source yields them, one after the other.
pub type Pass<'a> = Box<dyn Iterator<Item = Result<Batch>> + 'a>;

/// Cells from which batches are drawn. What a batch holds does not depend on where the cells are kept.
pub trait BatchSource: Sync {
    /// Device of the batches, without gradients.
    fn device(&self) -> &Device;

    /// Names of the genes, for messages.
    fn genes(&self) -> &[String];

    /// Number of cells.
    fn n_obs(&self) -> usize;

    /// Number of genes.
    fn n_vars(&self) -> usize {
        self.genes().len()
    }

    /// The cells at `rows`, in this order, outside any gradient.
    ///
    /// # Errors
    /// If they cannot be read.
    fn batch(&self, rows: &[usize]) -> Result<Batch>;

    /// The cells of each of `batches`, one batch after the other; a source that reads from a file reads ahead.
    fn pass<'a>(&'a self, batches: &'a [Vec<usize>]) -> Pass<'a> {
        Box::new(batches.iter().map(|rows| self.batch(rows)))
    }

    /// `rows`, which rise, in the random order of an epoch, in batches of at most `size` cells whose lengths differ by at most one.
    fn deal(&self, rows: &[usize], size: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        deal(rows, size, rng)
    }
}

impl WithColumns for TrainingData {
    fn columns(&mut self) -> (&mut Columns, &Device) {
        self.columns_mut()
    }
}

impl BatchSource for TrainingData {
    fn device(&self) -> &Device {
        &self.device
    }

    fn genes(&self) -> &[String] {
        &self.genes
    }

    fn n_obs(&self) -> usize {
        Self::n_obs(self)
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        Ok(Self::batch(self, rows))
    }

    fn pass<'a>(&'a self, batches: &'a [Vec<usize>]) -> Pass<'a> {
        Box::new(self.all_of(batches).map(Ok))
    }
}

/// Counts of all cells in memory as sparse rows, which become dense a batch at a time: of 30,000 cells and 2,000 genes, a tenth of
/// the entries nonzero, a fifth of what [`TrainingData`] takes.
#[derive(Clone, Debug)]
pub struct CountData {
    device: Device,
    genes: Vec<String>,
    counts: [Csr<f32>; 2],
    columns: Columns,
}

impl CountData {
    /// Unspliced and spliced `counts`, each `[n_obs, n_vars]`, of `genes`, for batches on `device`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the layers or the names disagree on cells or genes.
    pub fn new(counts: [Csr<f32>; 2], genes: Vec<String>, device: &Device) -> Result<Self> {
        let wanted = [counts[1].n_rows, genes.len()];
        for (layer, counts) in ["unspliced counts", "spliced counts"].into_iter().zip(&counts) {
            let found = [counts.n_rows, counts.n_cols];
            if found != wanted {
                return Err(Error::Shape { what: layer.to_owned(), wanted: wanted.to_vec(), found: found.to_vec() });
            }
        }
        Ok(Self { device: device.clone().inner(), genes, counts, columns: Columns::default() })
    }

    pub(super) fn with_columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }
}

impl WithColumns for CountData {
    fn columns(&mut self) -> (&mut Columns, &Device) {
        (&mut self.columns, &self.device)
    }
}

impl BatchSource for CountData {
    fn device(&self) -> &Device {
        &self.device
    }

    fn genes(&self) -> &[String] {
        &self.genes
    }

    fn n_obs(&self) -> usize {
        self.counts[1].n_rows
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let mut dense = Dense::new(rows.len(), self.n_vars());
        for &row in rows {
            dense.push(&self.counts, row);
        }
        Ok(dense.batch(rows, &self.columns, &self.device))
    }
}

/// A batch as it is filled, cell after cell.
pub(super) struct Dense {
    n_rows: usize,
    n_vars: usize,
    filled: usize,
    values: [Vec<f32>; 2],
}

impl Dense {
    pub(super) fn new(n_rows: usize, n_vars: usize) -> Self {
        Self { n_rows, n_vars, filled: 0, values: [vec![0.0; n_rows * n_vars], vec![0.0; n_rows * n_vars]] }
    }

    /// Adds row `row` of `counts` as the next cell.
    pub(super) fn push(&mut self, counts: &[Csr<f32>; 2], row: usize) {
        let at = self.filled * self.n_vars;
        for (values, counts) in self.values.iter_mut().zip(counts) {
            let (columns, entries) = counts.row(row);
            let cell = &mut values[at..at + self.n_vars];
            for (&column, &value) in columns.iter().zip(entries) {
                cell[column as usize] = value;
            }
        }
        self.filled += 1;
    }

    /// The cells as a batch, which are those at `rows` of the columns.
    pub(super) fn batch(self, rows: &[usize], columns: &Columns, device: &Device) -> Batch {
        let shape = [self.n_rows, self.n_vars];
        let [u, s] = self.values.map(|values| Tensor::from_data(TensorData::new(values, shape), device));
        Batch::new([u, s], columns.of(rows, device))
    }
}

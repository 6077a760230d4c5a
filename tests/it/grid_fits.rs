//! Fits of the soft grid to counts, for the tests of its several sides.

use std::sync::Arc;

use nascent::Error;
use nascent::data::{CellSource, Column, Counts, Dataset, Fit, Run, Silent};
use nascent::models::soft_grid::SoftGrid;
use nascent::models::{Streamed, VelocityModel};
use nascent::preprocess::{self, PreprocessConfig};

/// Every gene is kept.
pub(crate) fn all_genes() -> PreprocessConfig {
    PreprocessConfig { min_shared_counts: 0, n_top_genes: 0, ..PreprocessConfig::default() }
}

/// A fit to preprocessed counts.
pub(crate) fn fit(settings: &SoftGrid, data: &Dataset) -> Result<Fit, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    VelocityModel::fit(settings, data, &mut run)
}

/// A fit to all genes of `counts`.
pub(crate) fn in_memory(settings: &SoftGrid, counts: &Counts) -> Result<Fit, Error> {
    fit(settings, &preprocess::run(counts, &all_genes())?.0)
}

/// The same, block after block.
pub(crate) fn streamed(settings: &SoftGrid, counts: &Counts) -> Result<Streamed, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    let source: Arc<dyn CellSource> = Arc::new(counts.clone());
    VelocityModel::streaming(settings).expect("it streams").fit(&source, &all_genes(), &mut run)
}

/// A column of numbers of the cells.
pub(crate) fn numbers(counts: &Counts, column: &str) -> Vec<f64> {
    counts.obs.get(column).and_then(Column::to_numbers).expect("the simulation says")
}

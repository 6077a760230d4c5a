//! What a file holds, before anything is done to it.

use std::path::PathBuf;

use ndarray::Array2;

use super::{Frame, Neighbors};
use crate::hash::fnv1a;
use crate::sparse::Csr;

/// The content of an `.h5ad` file that velocity needs. Axis 0 is cells (`n_obs`), axis 1 genes (`n_vars`).
#[derive(Clone, Debug)]
pub struct Counts {
    /// The file, for messages.
    pub path: PathBuf,
    /// Annotation of cells.
    pub obs: Frame,
    /// Annotation of genes.
    pub var: Frame,
    /// The main matrix `X`; `None` if the file has none.
    pub x: Option<Csr<f32>>,
    /// Spliced counts, `[n_obs, n_vars]`.
    pub spliced: Csr<f32>,
    /// Unspliced counts, `[n_obs, n_vars]`.
    pub unspliced: Csr<f32>,
    /// First moments `(Mu, Ms)` of the file, `[n_obs, n_vars]`, if it has them.
    pub moments: Option<(Array2<f32>, Array2<f32>)>,
    /// Neighbour graph of the file, if it has one.
    pub neighbors: Option<Neighbors>,
    /// Embeddings (`obsm`): name as in the file (`X_pca`) and coordinates, `[n_obs, n_dims]`.
    pub obsm: Vec<(String, Array2<f32>)>,
}

impl Counts {
    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.spliced.n_rows
    }

    /// Number of genes.
    #[must_use]
    pub fn n_vars(&self) -> usize {
        self.spliced.n_cols
    }

    /// A fingerprint of the counts and of the names of cells and genes: that of other counts is another.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let names = self.obs.index.iter().chain(&self.var.index).flat_map(|name| name.bytes().chain([0]));
        let entries = [&self.spliced, &self.unspliced].into_iter().flat_map(|layer| {
            let rows = layer.indptr.iter().flat_map(|&at| (at as u64).to_le_bytes());
            let entry =
                |(gene, value): (&u32, &f32)| (u64::from(*gene) << 32 | u64::from(value.to_bits())).to_le_bytes();
            rows.chain(layer.indices.iter().zip(&layer.data).flat_map(entry))
        });
        let hash = fnv1a(names.chain(entries));
        format!("{} cells x {} genes, {:016x}", self.n_obs(), self.n_vars(), hash)
    }
}

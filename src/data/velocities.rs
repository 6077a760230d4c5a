//! A fit as what comes after it takes it.

use ndarray::{ArcArray2, Array2};
use serde::{Deserialize, Serialize};

use super::{Column, Frame, Neighbors};

/// States and velocities of the genes that are used, and what is known of the cells. Axis 0 is cells (`n_obs`).
#[derive(Clone, Debug)]
pub struct Velocities {
    /// Annotation of cells.
    pub obs: Frame,
    /// Annotation of all genes of the file.
    pub var: Frame,
    /// Positions in `var` of the genes used, rising.
    pub genes: Vec<usize>,
    /// Number of genes that were asked for but have a velocity or abundance that is not a number.
    pub unusable: usize,
    /// Smoothed spliced abundances of the genes used, `[n_obs, genes.len()]`.
    pub ms: ArcArray2<f32>,
    /// `ds/dt` of the genes used, the same shape, in units of `ms` per time.
    pub velocity: ArcArray2<f32>,
    /// Neighbour graph of the file, if it has one, and where in `uns` it is described.
    pub neighbors: Option<(String, Neighbors)>,
    /// Embeddings: name as in the file (`X_umap`) and coordinates, `[n_obs, n_dims]`.
    pub obsm: Vec<(String, Array2<f32>)>,
    /// What made the velocities: scVelo's word where it has one.
    pub mode: String,
    /// Whether `obs["latent_time"]` is the model's own, rather than a shared time of the genes.
    pub own_time: bool,
}

/// Genes whose velocity is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum GenesUsed {
    /// Those in the column `velocity_genes`; all, if there is no such column.
    #[default]
    VelocityGenes,
    /// All that have velocities.
    All,
    /// Those for which a column of truth values in `var` is true.
    Column(String),
    /// Those with these names.
    Named(Vec<String>),
}

impl Velocities {
    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.ms.nrows()
    }

    /// Coordinates of the embedding `basis`: those called `X_<basis>`, else `<basis>` itself, as files from R have them.
    #[must_use]
    pub fn embedding(&self, basis: &str) -> Option<&Array2<f32>> {
        embedding_of(&self.obsm, basis)
    }

    /// A column of numbers of the genes used, `[genes.len()]`.
    #[must_use]
    pub fn gene_numbers(&self, column: &str) -> Option<Vec<f64>> {
        let numbers = self.var.get(column).and_then(Column::to_numbers)?;
        Some(self.genes.iter().map(|&gene| numbers[gene]).collect())
    }
}

/// The coordinates in `obsm` that `basis` names: `X_<basis>`, else `<basis>`.
#[must_use]
pub fn embedding_of<'a>(obsm: &'a [(String, Array2<f32>)], basis: &str) -> Option<&'a Array2<f32>> {
    let named = |key: &str| obsm.iter().find(|(name, _)| name == key).map(|(_, coordinates)| coordinates);
    named(&format!("X_{basis}")).or_else(|| named(basis))
}

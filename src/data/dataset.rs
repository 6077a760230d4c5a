//! What models see.

use ndarray::Array2;

use super::Frame;
use crate::sparse::Csr;

/// The neighbour graph of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbors {
    /// Weights of the symmetric graph, `[n_obs, n_obs]`, without self-loops.
    pub connectivities: Csr<f32>,
    /// Distances to the directed nearest neighbours, `[n_obs, n_obs]`, without the cell itself.
    pub distances: Csr<f32>,
    /// Neighbours asked for, the cell itself included.
    pub n_neighbors: usize,
}

/// Kept genes, their counts and moments. Axis 0 is cells (`n_obs`), axis 1 kept genes (`n_vars`), as in AnnData.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Annotation of cells.
    pub obs: Frame,
    /// Annotation of the kept genes.
    pub var: Frame,
    /// Position of each kept gene in the input file, rising.
    pub genes: Vec<usize>,
    /// Number of genes in the input file.
    pub n_vars_input: usize,
    /// Spliced counts of the kept genes, as in the file.
    pub spliced: Csr<f32>,
    /// Unspliced counts of the kept genes, as in the file.
    pub unspliced: Csr<f32>,
    /// First moments of unspliced counts over neighbours.
    pub mu: Array2<f32>,
    /// First moments of spliced counts over neighbours.
    pub ms: Array2<f32>,
    /// Neighbour graph.
    pub neighbors: Neighbors,
    /// Principal components, `[n_obs, n_pcs]`; empty if the graph came from the file.
    pub pca: Array2<f32>,
}

impl Dataset {
    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.ms.nrows()
    }

    /// Number of kept genes.
    #[must_use]
    pub fn n_vars(&self) -> usize {
        self.ms.ncols()
    }
}

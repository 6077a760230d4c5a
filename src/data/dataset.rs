//! What models see.

use ndarray::{Array2, Axis};

use super::{Frame, MomentScaling, Neighbors};
use crate::error::{Error, Result};
use crate::sparse::Csr;

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
    /// Spliced counts of each cell over *all* genes of the file, `[n_obs]`.
    pub size_spliced: Vec<f64>,
    /// Unspliced counts of each cell over *all* genes of the file, `[n_obs]`.
    pub size_unspliced: Vec<f64>,
    /// Whether the layers hold counts. The moments then come from size-normalised counts; otherwise the layers
    /// were normalised before and are used as they are.
    pub raw_counts: bool,
    /// First moments of unspliced counts over neighbours.
    pub mu: Array2<f32>,
    /// First moments of spliced counts over neighbours.
    pub ms: Array2<f32>,
    /// How `mu` and `ms` were scaled, if they were: by the recipe `velovi`.
    pub scaling: Option<MomentScaling>,
    /// Neighbour graph.
    pub neighbors: Neighbors,
    /// Whether `neighbors` was read from the file rather than computed.
    pub neighbors_from_file: bool,
    /// Principal components, `[n_obs, n_pcs]`; empty if the graph came from the file.
    pub pca: Array2<f32>,
}

impl Dataset {
    /// Fails if the layers hold no counts, for a likelihood of counts; `instead` is what can be done with them.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn require_counts(&self, instead: &str) -> Result<()> {
        if self.raw_counts {
            return Ok(());
        }
        Err(Error::Data {
            problem: "the layers hold normalised values, but the model explains raw counts (model.likelihood)"
                .to_owned(),
            hint: format!(
                "give raw counts, or {instead}; if the layers are counts of molecules that were divided among genes, set \
                 preprocess.counts = \"raw\""
            ),
        })
    }

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

    /// The data with the kept genes at `positions`, rising. Neighbours and principal components stay.
    #[must_use]
    pub fn select_genes(self, positions: &[usize]) -> Self {
        Self {
            var: self.var.select(positions),
            genes: positions.iter().map(|&at| self.genes[at]).collect(),
            spliced: self.spliced.select_columns(positions),
            unspliced: self.unspliced.select_columns(positions),
            mu: self.mu.select(Axis(1), positions),
            ms: self.ms.select(Axis(1), positions),
            scaling: self.scaling.map(|scaling| scaling.select(positions)),
            ..self
        }
    }

    /// The data with moments in counts: unscaled, if they were scaled.
    #[must_use]
    pub fn in_counts(mut self) -> Self {
        if let Some(MomentScaling { mu, ms }) = self.scaling.take() {
            mu.restore(&mut self.mu);
            ms.restore(&mut self.ms);
        }
        self
    }
}

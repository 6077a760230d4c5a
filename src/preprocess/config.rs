//! The settings of `[preprocess]`.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// `[preprocess]`: which genes are kept, and whence neighbours and moments come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessConfig {
    /// The steps and their order.
    pub recipe: Recipe,
    /// What the layers hold: `auto` takes whole numbers for raw counts and says what it found.
    pub counts: CountsKind,
    /// Least sum of spliced and unspliced counts of a gene over the cells that have both; 0 keeps all.
    pub min_shared_counts: u32,
    /// Least number of cells that have both spliced and unspliced counts of a gene; 0 keeps all.
    pub min_shared_cells: u32,
    /// Number of most variable genes kept (more, if several are equally variable); 0 keeps all.
    pub n_top_genes: usize,
    /// How variability is scored.
    pub flavor: HvgFlavor,
    /// If not empty, exactly these genes are kept: every filter is off.
    pub genes: Vec<String>,
    /// Genes that are kept whatever the filters say.
    pub retain_genes: Vec<String>,
    /// Principal components in which neighbours are sought; at most cells − 1 and genes − 1 are used.
    pub n_pcs: usize,
    /// Neighbours of a cell, itself included.
    pub n_neighbors: usize,
    /// Whence the neighbour graph comes: `auto` takes the file's if it has at least `n_neighbors`.
    pub neighbors: GraphSource,
    /// Whence `Mu` and `Ms` come.
    pub moments: MomentsSource,
}

/// The steps of the preprocessing and their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipe {
    /// scVelo 0.3: size-normalise each layer by its own initial totals, log X only, score variable genes before the
    /// logarithm. (0.3.4 leaves logarithm and variable genes to scanpy, with the same result.)
    #[default]
    #[serde(rename = "scvelo-0.3")]
    Scvelo03,
    /// That of veloVI's tutorial: the steps of scVelo 0.3, then `Mu` and `Ms` scaled to \[0, 1\] per gene, then the genes that a
    /// steady-state line explains ([`velovi`](super::velovi)).
    #[serde(rename = "velovi")]
    Velovi,
}

/// What the layers hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountsKind {
    /// Whole numbers are raw counts, others are normalised.
    #[default]
    Auto,
    /// Counts, whole or not (some quantifiers give fractions): they are size-normalised.
    Raw,
    /// Values that were size-normalised before: they are used as they are.
    Normalised,
}

/// How the variability of genes is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HvgFlavor {
    /// Log dispersion standardised within 20 bins of mean expression (Satija et al. 2015).
    #[default]
    Seurat,
}

/// Whence the neighbour graph comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphSource {
    /// From the file if it has a graph of at least `n_neighbors`, else computed.
    #[default]
    Auto,
    /// Computed from the principal components.
    Compute,
    /// From the file.
    File,
}

/// Whence `Mu` and `Ms` come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentsSource {
    /// Computed from the layers and the neighbour graph.
    #[default]
    Compute,
    /// From the file.
    File,
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self {
            recipe: Recipe::Scvelo03,
            counts: CountsKind::Auto,
            min_shared_counts: 20,
            min_shared_cells: 0,
            n_top_genes: 2000,
            flavor: HvgFlavor::Seurat,
            genes: Vec::new(),
            retain_genes: Vec::new(),
            n_pcs: 30,
            n_neighbors: 30,
            neighbors: GraphSource::Auto,
            moments: MomentsSource::Compute,
        }
    }
}

impl PreprocessConfig {
    /// Checks the settings by themselves, before any data are there.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for a value out of range.
    pub fn validate(&self) -> Result<()> {
        require(self.n_pcs >= 1, "preprocess.n_pcs", self.n_pcs, "must be at least 1")?;
        require(
            self.n_neighbors >= 2,
            "preprocess.n_neighbors",
            self.n_neighbors,
            "must be at least 2, for it counts the cell itself",
        )?;
        require(
            self.n_top_genes != 1,
            "preprocess.n_top_genes",
            self.n_top_genes,
            "must be at least 2, or 0 for all genes",
        )
    }

    /// Checks that cells can be read some at a time.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for a recipe that changes the moments of all cells.
    pub fn validate_streaming(&self) -> Result<()> {
        require(
            self.recipe != Recipe::Velovi,
            "preprocess.recipe",
            "\"velovi\"",
            "scales moments over all cells, of which a model that streams has none: must be \"scvelo-0.3\" where model.stream = true",
        )
    }
}

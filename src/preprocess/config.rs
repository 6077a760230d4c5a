//! The settings of `[preprocess]`.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require, within};

/// `[preprocess]`: which genes are kept, and where neighbours and moments come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessConfig {
    /// Steps of preprocessing and their order: `scvelo-0.3`; `velovi` then scales `Mu` and `Ms` of each gene to
    /// [0, 1] and keeps the genes whose unspliced abundance a steady-state line explains.
    pub recipe: Recipe,
    /// What the layers hold: `raw` counts, `normalised` values, or `auto`: whole numbers are taken for raw counts, and so are fractional
    /// counts, of which at least 15 % are whole; the program says what it found.
    pub counts: CountsKind,
    /// Genes are kept whose spliced and unspliced counts, summed over the cells that have both, are at least this; 0
    /// keeps all.
    pub min_shared_counts: u32,
    /// Genes are kept that have both spliced and unspliced counts in at least this many cells; 0 keeps all.
    pub min_shared_cells: u32,
    /// Number of highly variable genes to keep (more if several are equally variable); 0 keeps all.
    pub n_top_genes: usize,
    /// How the variability of genes is scored; `seurat`: standardised log dispersion.
    pub flavor: HvgFlavor,
    /// If not empty, exactly these genes are kept and no filter is used: names of the file, ids or symbols.
    pub genes: Vec<String>,
    /// If not empty, exactly the genes of a column of var, those for which it is true, or `all` genes are kept and no filter is used.
    #[serde(default)]
    pub genes_from: String,
    /// Genes that are kept even if a filter would remove them.
    pub retain_genes: Vec<String>,
    /// Number of principal components in which neighbours are found; at most cells − 1 and genes − 1 are used.
    pub n_pcs: usize,
    /// Number of nearest neighbours of a cell, the cell itself included.
    pub n_neighbors: usize,
    /// Neighbour graph: from the `file`, or computed (`compute`); `auto` takes the file's if it has at least
    /// `n_neighbors`.
    pub neighbors: GraphSource,
    /// Key in obsm of an embedding of the file, all columns of which neighbours are found in (`X_pca_harmony`); empty: principal components.
    #[serde(default)]
    pub use_rep: String,
    /// Column of obs with batches: neighbours of a cell are the nearest `n_neighbors` / number of batches in each batch, rounded down, as BBKNN
    /// has it (in its own, the cell itself is one of them); empty: the nearest wherever they are.
    #[serde(default)]
    pub batch: String,
    /// `Mu` and `Ms` (means over neighbours): computed (`compute`), or taken from the `file`.
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
    /// Whole numbers are raw counts; so are values of which at least 15 % are whole, as of programs that divide a molecule among the genes
    /// that it fits, unless they are logarithms or roots of whole numbers; others are normalised.
    #[default]
    Auto,
    /// Counts, whole or not (some quantifiers give fractions): they are size-normalised.
    Raw,
    /// Values that are size-normalised already: they are used as they are.
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

/// Where the neighbour graph comes from.
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

/// Where `Mu` and `Ms` come from.
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
            genes_from: String::new(),
            retain_genes: Vec::new(),
            n_pcs: 30,
            n_neighbors: 30,
            neighbors: GraphSource::Auto,
            use_rep: String::new(),
            batch: String::new(),
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
        within("preprocess.n_pcs", self.n_pcs, 1..=10_000, "each is a dense vector over all cells")?;
        let why = "it counts the cell itself, and every cell has as many entries in memory";
        within("preprocess.n_neighbors", self.n_neighbors, 2..=10_000, why)?;
        require(
            self.n_top_genes != 1,
            "preprocess.n_top_genes",
            self.n_top_genes,
            "must be at least 2, or 0 for all genes",
        )?;
        require(
            self.neighbors != GraphSource::File || !self.seeks_neighbors(),
            "preprocess.neighbors",
            "\"file\"",
            "must be \"compute\" or \"auto\" where preprocess.use_rep or preprocess.batch says how neighbours are found",
        )?;
        require(
            self.genes.is_empty() || self.genes_from.is_empty(),
            "preprocess.genes_from",
            format!("{:?}", self.genes_from),
            "must be empty where preprocess.genes lists genes",
        )
    }

    /// Whether genes are listed, so that no filter is used.
    #[must_use]
    pub fn lists_genes(&self) -> bool {
        !self.genes.is_empty() || !self.genes_from.is_empty()
    }

    /// Whether settings say how neighbours are found, so that the file's graph is not taken.
    #[must_use]
    pub fn seeks_neighbors(&self) -> bool {
        !self.use_rep.is_empty() || !self.batch.is_empty()
    }

    /// Checks that cells can be read some at a time.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for a recipe that changes the moments of all cells, or an embedding, which is not read.
    pub fn validate_streaming(&self) -> Result<()> {
        require(
            self.use_rep.is_empty(),
            "preprocess.use_rep",
            format!("{:?}", self.use_rep),
            "must be empty where model.stream = true: counts alone are read block after block",
        )?;
        require(
            self.recipe != Recipe::Velovi,
            "preprocess.recipe",
            "\"velovi\"",
            "scales moments over all cells, of which a model that streams has none: must be \"scvelo-0.3\" where model.stream = true",
        )
    }
}

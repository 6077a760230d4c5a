//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require, within};

/// `[scores]`: how far the velocities can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoresConfig {
    /// Sizes of gene sets whose velocity graph is compared with that of all genes (reconstructability).
    pub sizes: Vec<usize>,
    /// Number of random gene sets of each size, for comparison.
    pub draws: usize,
    /// Maximum number of cells over which this is averaged, drawn at random.
    pub cells: usize,
    /// Column of numbers in var that ranks the genes, largest first; empty: how well each gene is fitted
    /// (`fit_likelihood`, or what the model has instead).
    pub order: String,
    /// Gene set of your own to test for reconstructability: do these genes alone give the velocity graph of all?
    pub genes: Vec<String>,
    /// Known directions between groups of cells, as `Ductal > Beta`.
    pub edges: Vec<String>,
    /// Number of times that velocities are permuted over cells, for a null distribution.
    pub shuffles: usize,
    /// Number of top-ranked velocity genes listed for each group.
    pub top_genes: usize,
}

impl Default for ScoresConfig {
    fn default() -> Self {
        Self {
            sizes: vec![10, 30, 100, 300],
            draws: 5,
            cells: 1000,
            order: String::new(),
            genes: Vec::new(),
            edges: Vec::new(),
            shuffles: 20,
            top_genes: 100,
        }
    }
}

impl ScoresConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the value out of its range.
    pub fn validate(&self) -> Result<()> {
        within("scores.draws", self.draws, 1..=1000, "a graph is made for each, of every size")?;
        within("scores.cells", self.cells, 1..=1_000_000_000, "it is a number of cells")?;
        within(
            "scores.shuffles",
            self.shuffles,
            2..=10_000,
            "their spread is reported, and each is a pass over all cells",
        )?;
        within("scores.top_genes", self.top_genes, 0..=1_000_000, "it is a number of genes")?;
        for &size in &self.sizes {
            within("scores.sizes", size, 1..=1_000_000, "it is a list of numbers of genes")?;
        }
        let sizes = format!("{} sizes", self.sizes.len());
        require(self.sizes.len() <= 100, "scores.sizes", sizes, "must be at most 100: a graph is made for each")?;
        self.edges.iter().try_for_each(|edge| {
            let parts: Vec<&str> = edge.split('>').map(str::trim).collect();
            let fine = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
            require(fine, "scores.edges", format!("{edge:?}"), "must look like \"Ductal > Beta\"")
        })
    }
}

//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// `[scores]`: how far velocities may be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoresConfig {
    /// Numbers of genes whose graph is compared with that of all.
    pub sizes: Vec<usize>,
    /// Random sets of genes of each size.
    pub draws: usize,
    /// Cells over which that is averaged, drawn at random where there are more.
    pub cells: usize,
    /// Column of numbers in var that says which genes come first: the larger, the earlier. Empty: how well a gene fits, as the model
    /// has it.
    pub order: String,
    /// Genes of which is asked whether they alone would give the graph.
    pub genes: Vec<String>,
    /// Known directions between groups, as "Ductal > Beta".
    pub edges: Vec<String>,
    /// Times that velocities are handed to other cells.
    pub shuffles: usize,
    /// Genes named for each group.
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
        require(self.draws > 0, "scores.draws", self.draws, "must be at least 1")?;
        require(self.cells > 0, "scores.cells", self.cells, "must be at least 1")?;
        require(self.shuffles > 1, "scores.shuffles", self.shuffles, "must be at least 2: their spread is reported")?;
        self.edges.iter().try_for_each(|edge| {
            let parts: Vec<&str> = edge.split('>').map(str::trim).collect();
            let fine = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
            require(fine, "scores.edges", format!("{edge:?}"), "must look like \"Ductal > Beta\"")
        })
    }
}

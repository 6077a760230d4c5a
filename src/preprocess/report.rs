//! What preprocessing did and what looked wrong.

use std::fmt;

use crate::data::{Column, Frame, GeneFilter};

/// The account of one preprocessing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// What looked wrong, in the order it was met.
    pub warnings: Vec<String>,
    /// One row per gene of the file, with the columns
    ///
    /// - `status`: `kept`, `retained` (kept by `retain_genes` against a filter), or the filter that removed it:
    ///   `shared_counts`, `shared_cells`, `not_variable`, `not_listed`, `no_line` (recipe `velovi`);
    /// - `shared_counts`, `shared_cells`: what these filters looked at;
    /// - `means`, `dispersions`, `dispersions_norm`: the score of variability, NaN where a gene was not scored.
    pub genes: Frame,
    /// The filters that were used, in order, over all genes of the file. A gene that fell out is of the first that takes it.
    pub filters: Vec<GeneFilter>,
}

/// One step and the genes that were left after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The step.
    pub name: &'static str,
    /// Genes left.
    pub n_genes: usize,
    /// How it was done.
    pub note: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>20}  {:>6} genes  {}", self.name, self.n_genes, self.note)
    }
}

impl Report {
    pub(super) fn new(var: &Frame) -> Self {
        let genes = Frame { index: var.index.clone(), columns: Vec::new() };
        Self { genes, ..Self::default() }
    }

    pub(super) fn step(&mut self, name: &'static str, n_genes: usize, note: String) {
        self.steps.push(Step { name, n_genes, note });
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Number of genes with this `status`.
    #[must_use]
    pub fn n_genes(&self, status: &str) -> usize {
        match self.genes.get("status") {
            Some(column @ Column::Categorical { .. }) => {
                column.to_labels().iter().filter(|label| *label == status).count()
            }
            _ => 0,
        }
    }
}

/// At most five names in quotes, and how many more there are.
pub(super) fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let n = names.len();
    let text = names.take(5).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if n > 5 { format!("{text} and {} more", n - 5) } else { text }
}

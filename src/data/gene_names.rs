//! Genes by any of their names: that of the row, an id, a symbol.

use std::collections::HashMap;

use super::{Column, Frame};

/// Columns of genes that hold ids.
pub(crate) const IDS: [&str; 6] = ["Accession", "gene_ids", "gene_id", "ensembl_id", "GeneID", "id"];
/// Columns of genes that hold symbols.
pub(crate) const SYMBOLS: [&str; 5] = ["Gene", "gene_symbol", "gene_name", "gene_symbols", "gene_names"];
/// The same in files of CELLxGENE and of scverse's tutorials.
const MORE: [&str; 4] = ["feature_name", "feature_id", "symbol", "SYMBOL"];

/// Where each name of a gene stands in a file.
pub struct GeneNames {
    index: HashMap<String, Vec<usize>>,
    others: HashMap<String, Vec<usize>>,
}

impl GeneNames {
    /// The names of the genes of `var`: its rows' own, and those in columns with ids and symbols.
    #[must_use]
    pub fn of(var: &Frame) -> Self {
        let mut names = Self { index: HashMap::new(), others: HashMap::new() };
        for (gene, name) in var.index.iter().enumerate() {
            names.index.entry(name.clone()).or_default().push(gene);
        }
        let mut add = |name: String, gene: usize| {
            let genes = names.others.entry(name).or_default();
            if !genes.contains(&gene) {
                genes.push(gene);
            }
        };
        for column in columns(var) {
            for (gene, name) in column.to_labels().into_iter().enumerate() {
                add(without_version(&name).to_owned(), gene);
                add(name, gene);
            }
        }
        for (gene, name) in var.index.iter().enumerate() {
            add(without_version(name).to_owned(), gene);
        }
        names
    }

    /// Positions of the genes of this name: the row's own name counts first, then ids and symbols, then ids without their version.
    #[must_use]
    pub fn find(&self, name: &str) -> &[usize] {
        let other = || self.others.get(name).or_else(|| self.others.get(without_version(name)));
        self.index.get(name).or_else(other).map_or(&[], Vec::as_slice)
    }

    /// All names, in no order.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.index.keys().chain(self.others.keys()).map(String::as_str)
    }
}

/// For each gene, its other name: the first column of ids or symbols that differs from the rows' names.
#[must_use]
pub fn other_names(var: &Frame) -> Option<Vec<String>> {
    columns(var).map(Column::to_labels).find(|labels| *labels != var.index)
}

fn columns(var: &Frame) -> impl Iterator<Item = &Column> {
    let known = IDS.iter().chain(&SYMBOLS).chain(&MORE).filter_map(|name| var.get(name));
    known.filter(|column| matches!(column, Column::Text(_) | Column::Categorical { .. }))
}

/// Ensembl's ids without what counts their revisions; other names as they are.
pub(crate) fn without_version(name: &str) -> &str {
    match name.split_once('.') {
        Some((id, _)) if id.starts_with("ENS") => id,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gene_is_found_by_row_id_and_symbol() {
        let mut var = Frame { index: vec!["Gad1".to_owned(), "Sox2".to_owned()], columns: Vec::new() };
        let ids = ["ENSMUSG00000070880.5", "ENSMUSG00000074637.9"];
        var.set("gene_ids", Column::Text(ids.map(str::to_owned).to_vec()));
        let names = GeneNames::of(&var);
        for name in ["Sox2", "ENSMUSG00000074637.9", "ENSMUSG00000074637", "ENSMUSG00000074637.2"] {
            assert_eq!(names.find(name), [1], "{name}");
        }
        assert!(names.find("sox2").is_empty());
        assert_eq!(other_names(&var).unwrap()[0], ids[0]);
    }
}

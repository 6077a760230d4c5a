//! Two runs on the same reads, one with introns and one without: what the first has more is unspliced.
//!
//! Folders of 10x's shape (`matrix.mtx`, `barcodes.tsv`, `features.tsv`; genes × cells), as Cell Ranger before 5, PIPseeker and
//! others write them. A molecule that only the run without introns has, which alignment makes possible, counts as spliced; the
//! difference is never below zero.

use std::path::{Path, PathBuf};

use super::choice::places;
use super::find::sample_of;
use super::source::{Called, Entries, Genes, Part, Source, Split, Visit};
use super::tally::Tally;
use super::text::{find, find_any, first_fields};
use super::{genes, mtx};
use crate::data::Reporter;
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// One run, and where its barcodes and genes are in the lists of the source.
struct Run {
    file: PathBuf,
    cells: Vec<Option<u32>>,
    genes: Vec<Option<u32>>,
}

struct Runs {
    runs: [Run; 2],
    shape: [usize; 2],
}

impl Run {
    fn counts(&self, shape: [usize; 2], reporter: &mut dyn Reporter) -> Result<Csr<f32>> {
        let mut tally = Tally::default();
        mtx::read(&self.file, [self.genes.len(), self.cells.len()], reporter, |gene, cell, [value]| {
            if let (Some(cell), Some(gene)) = (self.cells[cell], self.genes[gene]) {
                tally.add(cell, gene, value as f32);
            }
            Ok(())
        })?;
        Ok(tally.into_csr(shape[0], shape[1]))
    }
}

impl Entries for Runs {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        let first = self.runs[0].counts(self.shape, reporter)?;
        let second = self.runs[1].counts(self.shape, reporter)?;
        let sum = |counts: &Csr<f32>| counts.data.iter().map(|&value| f64::from(value)).sum::<f64>();
        let (with, without) = if sum(&first) >= sum(&second) { (first, second) } else { (second, first) };
        for cell in 0..with.n_rows {
            let (exonic_genes, exonic) = without.row(cell);
            for (&gene, &value) in exonic_genes.iter().zip(exonic) {
                visit(cell, gene, Part::Spliced, f64::from(value))?;
            }
            let (genes, all) = with.row(cell);
            for (&gene, &value) in genes.iter().zip(all) {
                let spliced = exonic_genes.binary_search(&gene).map_or(0.0, |at| exonic[at]);
                visit(cell, gene, Part::Unspliced, f64::from(value - spliced).max(0.0))?;
            }
        }
        Ok(())
    }
}

/// The folder with a 10x matrix at or below `path`; of raw and filtered ones the raw, because runs call other cells.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    let below = ["", "raw_feature_bc_matrix", "outs/raw_feature_bc_matrix", "raw_gene_bc_matrices", "raw_matrix"];
    let is_matrix = |folder: &PathBuf| {
        find(folder, "matrix.mtx").is_some()
            && ["features.tsv", "genes.tsv"].iter().any(|name| find(folder, name).is_some())
    };
    below.iter().map(|name| path.join(name)).find(is_matrix).into_iter().collect()
}

/// Opens two runs as one source. Its cells are those that were called, or all barcodes if the user wants others.
///
/// # Errors
/// [`Error::Input`] if there are not two, or they share no barcodes or genes.
pub(super) fn open(folders: &[PathBuf], others: bool) -> Result<Source> {
    let [first, second] = folders else {
        return Err(Error::input(
            folders.first().map_or(Path::new("."), PathBuf::as_path),
            "source",
            format!(
                "a matrix of one run holds no split; two runs were wanted, with introns and without, found {}",
                folders.len()
            ),
            "give both folders; or, of Cell Ranger 5 and later, outs/molecule_info.h5, which needs no second run",
        ));
    };
    let lists = |folder: &Path| {
        let genes = genes::from_features(&find_any(folder, &["features.tsv", "genes.tsv"])?)?;
        Ok::<_, Error>((
            find_any(folder, &["matrix.mtx"])?,
            first_fields(&find_any(folder, &["barcodes.tsv"])?)?,
            genes,
        ))
    };
    let ((file, barcodes, known), (other_file, other_barcodes, other_known)) = (lists(first)?, lists(second)?);
    let calls = [first, second].into_iter().find_map(|folder| called(folder));
    let listed = calls.as_ref().map(|file| first_fields(file)).transpose()?;
    let wanted = listed.as_ref().filter(|_| !others).map(|names| places(names));
    let there = places(&other_barcodes);
    let in_both = |name: &&String| {
        there.contains_key(name.as_str()) && wanted.as_ref().is_none_or(|wanted| wanted.contains_key(name.as_str()))
    };
    let cells: Vec<String> = barcodes.iter().filter(in_both).cloned().collect();
    let genes = if known.ids == other_known.ids { known.clone() } else { shared(&known, &other_known) };
    if cells.is_empty() || genes.ids.is_empty() {
        let problem = format!("{} barcodes and {} genes are in both runs", cells.len(), genes.ids.len());
        return Err(Error::input(second, "names", problem, "give two runs on the same reads with the same reference"));
    }
    let at = |names: &[String], all: &[String]| {
        let all = places(all);
        names.iter().map(|name| all.get(name.as_str()).map(|&at| at as u32)).collect::<Vec<_>>()
    };
    let run = |file: PathBuf, barcodes: &[String], known: &Genes| Run {
        file,
        cells: at(barcodes, &cells),
        genes: at(&known.ids, &genes.ids),
    };
    let runs = [run(file.clone(), &barcodes, &known), run(other_file.clone(), &other_barcodes, &other_known)];
    let hint = "name the cells: --barcodes FILE, such as the barcodes.tsv.gz of the filtered matrix".to_owned();
    Ok(Source {
        name: sample_of(first),
        files: vec![file, other_file],
        called: match (listed, calls) {
            (Some(names), Some(file)) => Called::Listed { names, file },
            _ if is_raw(first) => Called::Nobody { hint },
            _ => Called::All,
        },
        obs: Vec::new(),
        ambiguous: None,
        split: Split::Exonic,
        notes: vec!["unspliced is what the run with more molecules has more than the other".to_owned()],
        entries: Box::new(Runs { runs, shape: [cells.len(), genes.ids.len()] }),
        cells,
        genes,
    })
}

/// The genes of the first list that are in the second.
fn shared(first: &Genes, second: &Genes) -> Genes {
    let there = places(&second.ids);
    let kept: Vec<usize> = (0..first.ids.len()).filter(|&at| there.contains_key(first.ids[at].as_str())).collect();
    let pick = |names: &[String]| kept.iter().map(|&at| names[at].clone()).collect();
    Genes { ids: pick(&first.ids), symbols: first.symbols.as_deref().map(pick), more: Vec::new() }
}

fn is_raw(folder: &Path) -> bool {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    absolute.file_name().is_some_and(|name| name.to_string_lossy().contains("raw"))
}

/// The list of called cells beside a folder of raw counts.
fn called(folder: &Path) -> Option<PathBuf> {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let above = absolute.parent().filter(|_| is_raw(folder))?;
    let names = ["filtered_feature_bc_matrix", "filtered_gene_bc_matrices", "filtered_matrix"];
    names.iter().find_map(|name| find(&above.join(name), "barcodes.tsv"))
}

//! Two runs on the same reads, one with introns and one without: what the first has more is unspliced.
//!
//! Folders of 10x's shape (`matrix.mtx`, `barcodes.tsv`, `features.tsv`; genes × cells), as Cell Ranger, PIPseeker and others write
//! them, or Cell Ranger's `.h5`, which holds the same. Before Cell Ranger 3 a folder or file holds one matrix for each genome
//! (`raw_gene_bc_matrices/GRCh38`). Of several types of features, genes are kept. A molecule that only the run without introns has,
//! which alignment makes possible, counts as spliced; the difference is never below zero.

use std::path::{Path, PathBuf};

use super::cellranger::GENES;
use super::choice::places;
use super::find::{entries, sample_of};
use super::lists::{first_names, list};
use super::source::{Called, Entries, Genes, Part, Source, Split, Visit};
use super::tally::Tally;
use super::text::{find, find_any};
use super::{genes, mtx};
use crate::data::Reporter;
use crate::error::{Error, Result};
use crate::io::{self, Feature, FeatureMatrix, FileKind};
use crate::sparse::Csr;

/// Types of features that are no genes, as Cell Ranger names them.
const OTHERS: [&str; 5] =
    ["Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture", "Antigen Capture", "Custom"];

/// Folders of raw matrices; files have `.h5` or `_h5.h5` behind these names.
const RAW: [&str; 3] = ["raw_feature_bc_matrix", "raw_gene_bc_matrices", "raw_matrix"];
/// Folders in which Cell Ranger before version 3 puts a folder for each genome.
const OF_GENOMES: &str = "gene_bc_matrices";

/// Where the counts of a run are.
enum Matrix {
    /// `matrix.mtx`.
    Text(PathBuf),
    /// Cell Ranger's `.h5`.
    Hdf5(Box<FeatureMatrix>),
}

/// What the lists of a run say.
struct Lists {
    matrix: Matrix,
    file: PathBuf,
    barcodes: Vec<String>,
    features: Genes,
    /// Which features are genes.
    is_gene: Vec<bool>,
}

/// One run, and where its barcodes and genes are in the lists of the source.
struct Run {
    matrix: Matrix,
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
        let mut add = |gene: usize, cell: usize, value: f32| {
            if let (Some(cell), Some(gene)) = (self.cells[cell], self.genes[gene]) {
                tally.add(cell, gene, value);
            }
            Ok(())
        };
        match &self.matrix {
            Matrix::Text(file) => {
                let shape = [self.genes.len(), self.cells.len()];
                mtx::read(file, shape, reporter, |gene, cell, [value]| add(gene, cell, value as f32))?;
            }
            Matrix::Hdf5(file) => {
                file.for_each(reporter, &mut |cell, gene, value| add(gene as usize, cell, value))?;
            }
        }
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

/// The 10x matrix at or below `path`, a folder or an `.h5`; of raw and filtered ones the raw, because runs call other cells.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return is_matrix_file(path).then(|| path.to_path_buf()).into_iter().collect();
    }
    let above = ["", "outs"].map(|name| path.join(name));
    let below = || above.iter().flat_map(|folder| RAW.map(|name| folder.join(name)));
    let folder = std::iter::once(path.to_path_buf()).chain(below()).find_map(|folder| folder_of_matrix(&folder));
    let files =
        below().flat_map(|folder| ["", "_h5"].map(|more| PathBuf::from(format!("{}{more}.h5", folder.display()))));
    let file = || files.into_iter().find(|file| is_matrix_file(file));
    match folder {
        // Where each of several genomes has a folder, the file has them all.
        Some(folder) if has_matrix(&folder) => vec![folder],
        other => file().or(other).into_iter().collect(),
    }
}

fn has_matrix(folder: &Path) -> bool {
    find(folder, "matrix.mtx").is_some()
        && ["features.tsv", "genes.tsv"].iter().any(|name| find(folder, name).is_some())
}

/// The folder that has the matrix: this one, or that of the only genome below it; this one, too, if there are several genomes.
fn folder_of_matrix(folder: &Path) -> Option<PathBuf> {
    if has_matrix(folder) {
        return Some(folder.to_path_buf());
    }
    match &genomes(folder)[..] {
        [] => None,
        [only] => Some(only.clone()),
        _ => Some(folder.to_path_buf()),
    }
}

/// The folders of genomes in one of Cell Ranger before version 3.
fn genomes(folder: &Path) -> Vec<PathBuf> {
    if !name_of(folder).ends_with(OF_GENOMES) {
        return Vec::new();
    }
    entries(folder).into_iter().filter(|genome| has_matrix(genome)).collect()
}

/// The name of a folder or file, whatever the path to it looks like.
fn name_of(path: &Path) -> String {
    absolute(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The folder that says whether a matrix is raw: its own, or, before Cell Ranger 3, that of all genomes with the name of its genome.
fn top(place: &Path) -> (PathBuf, Option<String>) {
    let own = absolute(place);
    match own.parent().filter(|above| name_of(above).ends_with(OF_GENOMES)) {
        Some(above) => (above.to_path_buf(), Some(name_of(&own))),
        None => (own, None),
    }
}

/// Whether Cell Ranger's matrix is in the file.
pub(super) fn is_matrix_file(path: &Path) -> bool {
    path.is_file() && io::file_kind(path).is_ok_and(|kind| kind == FileKind::FeatureMatrix)
}

/// One matrix alone tells nothing apart.
pub(super) fn summed(path: &Path) -> Error {
    Error::input(
        path,
        "file",
        "this is Cell Ranger's matrix, where reads of exons and introns are summed",
        "give molecule_info.h5 (of multi: sample_molecule_info.h5), which lies in the same folder outs and tells them apart; or the \
         matrices of two runs, with introns and without",
    )
}

/// Names of the cells and features of a run.
fn lists(place: &Path) -> Result<Lists> {
    if place.is_file() {
        let matrix = FeatureMatrix::open(place)?;
        let part = |of: fn(&Feature) -> &String| matrix.features().iter().map(|feature| of(feature).clone()).collect();
        let features = Genes { ids: part(|own| &own.id), symbols: Some(part(|own| &own.name)), more: Vec::new() };
        let is_gene = matrix.features().iter().map(|feature| feature.kind == GENES).collect();
        let barcodes = matrix.barcodes().to_vec();
        return Ok(Lists {
            matrix: Matrix::Hdf5(Box::new(matrix)),
            file: place.to_path_buf(),
            barcodes,
            features,
            is_gene,
        });
    }
    if let [one, ..] = &genomes(place)[..] {
        let names = genomes(place).iter().map(|genome| name_of(genome)).collect::<Vec<_>>().join(", ");
        let hint =
            format!("give the folders of one genome, such as {}, or the .h5 files, which have all", one.display());
        return Err(Error::input(place, "folder", format!("each genome has a matrix of its own here: {names}"), hint));
    }
    let names = find_any(place, &["features.tsv", "genes.tsv"])?;
    let mut is_gene = Vec::new();
    // Before Cell Ranger 3, and of others, there is no third field: all are genes.
    list(&names, |fields| {
        is_gene.push(fields.get(2).is_none_or(|kind| !OTHERS.contains(&kind.trim())));
        Ok(())
    })?;
    let file = find_any(place, &["matrix.mtx"])?;
    let barcodes = first_names(&find_any(place, &["barcodes.tsv"])?)?;
    Ok(Lists { matrix: Matrix::Text(file.clone()), file, barcodes, features: genes::from_features(&names)?, is_gene })
}

/// Opens two runs as one source. Its cells are those that were called, or all barcodes if the user wants others.
///
/// # Errors
/// [`Error::Input`] if there are not two, or they share no barcodes or genes.
pub(super) fn open(places_of_runs: &[PathBuf], others: bool) -> Result<Source> {
    let (first, second) = match places_of_runs {
        [first, second] => (first, second),
        [only] if only.is_file() => return Err(summed(only)),
        _ => {
            return Err(Error::input(
                places_of_runs.first().map_or(Path::new("."), PathBuf::as_path),
                "source",
                format!(
                    "a matrix of one run holds no split; two runs were wanted, with introns and without, found {}",
                    places_of_runs.len()
                ),
                "give both folders, or both .h5; or, of Cell Ranger 5 and later, outs/molecule_info.h5, which needs no second run",
            ));
        }
    };
    let (one, other) = (lists(first)?, lists(second)?);
    let calls = [first, second].into_iter().find_map(|place| called(place).transpose()).transpose()?;
    let wanted = calls.as_ref().filter(|_| !others).map(|(_, names)| places(names));
    let there = places(&other.barcodes);
    let in_both = |name: &&String| {
        there.contains_key(name.as_str()) && wanted.as_ref().is_none_or(|wanted| wanted.contains_key(name.as_str()))
    };
    let cells: Vec<String> = one.barcodes.iter().filter(in_both).cloned().collect();
    let genes = shared(&one, &other);
    if cells.is_empty() || genes.ids.is_empty() {
        let problem = format!("{} barcodes and {} genes are in both runs", cells.len(), genes.ids.len());
        return Err(Error::input(second, "names", problem, "give two runs on the same reads with the same reference"));
    }
    let at = |names: &[String], all: &[String]| {
        let all = places(all);
        names.iter().map(|name| all.get(name.as_str()).map(|&at| at as u32)).collect::<Vec<_>>()
    };
    let files = vec![one.file.clone(), other.file.clone()];
    let run = |lists: Lists| Run {
        cells: at(&lists.barcodes, &cells),
        genes: at(&lists.features.ids, &genes.ids),
        matrix: lists.matrix,
    };
    let runs = [run(one), run(other)];
    let hint = "name the cells: --barcodes FILE, such as the barcodes.tsv.gz of the filtered matrix".to_owned();
    Ok(Source {
        name: sample_of(&top(first).0),
        files,
        called: match calls {
            Some((file, names)) => Called::Listed { names, file },
            None if is_raw(first) => Called::Nobody { hint },
            None => Called::All,
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

/// The genes of the first run that are in the second.
fn shared(first: &Lists, second: &Lists) -> Genes {
    let there = places(&second.features.ids);
    let all = &first.features;
    let in_both = |at: &usize| first.is_gene[*at] && there.contains_key(all.ids[*at].as_str());
    let kept: Vec<usize> = (0..all.ids.len()).filter(in_both).collect();
    let pick = |names: &[String]| kept.iter().map(|&at| names[at].clone()).collect();
    Genes { ids: pick(&all.ids), symbols: all.symbols.as_deref().map(pick), more: Vec::new() }
}

fn is_raw(place: &Path) -> bool {
    name_of(&top(place).0).contains("raw")
}

/// The called cells beside raw counts, and the file that names them.
fn called(place: &Path) -> Result<Option<(PathBuf, Vec<String>)>> {
    let (top, genome) = top(place);
    let Some(above) = top.parent().filter(|_| is_raw(place)) else { return Ok(None) };
    for name in ["filtered_feature_bc_matrix", "filtered_gene_bc_matrices", "filtered_matrix"] {
        let folder = above.join(name);
        let folder = match &genome {
            Some(genome) => folder.join(genome),
            None => folder_of_matrix(&folder).unwrap_or(folder),
        };
        if let Some(list) = find(&folder, "barcodes.tsv") {
            return Ok(Some((list.clone(), first_names(&list)?)));
        }
        // The file has the cells of all genomes.
        let files = [".h5", "_h5.h5"].map(|end| above.join(format!("{name}{end}")));
        if let Some(file) = files.into_iter().find(|file| genome.is_none() && is_matrix_file(file)) {
            let barcodes = FeatureMatrix::open(&file)?.barcodes().to_vec();
            return Ok(Some((file, barcodes)));
        }
    }
    Ok(None)
}

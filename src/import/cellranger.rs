//! Cell Ranger's `molecule_info.h5`: exonic and intronic molecules without BAM, GTF or new alignment.
//!
//! A molecule with a read in the transcriptome is exonic, one with reads in introns alone intronic. Exonic reads of molecules
//! that are not spliced yet count as spliced, as in Parse's own recipe for velocity; the file and the last line say so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::find::{entries, sample_of};
use super::source::{Called, Entries, Genes, Part, Source, Split, Visit};
use crate::data::{Column, Reporter};
use crate::error::{Error, Result};
use crate::io::{self, FileKind, Molecules};

/// The type of features and libraries that hold genes.
pub(super) const GENES: &str = "Gene Expression";

/// What to do about a run without introns.
pub(super) const WITH_INTRONS: &str = "count again with introns: cellranger count --include-introns=true (5 or later; 7 or later does it \
                                       unless told otherwise); probe-based runs (Flex, Visium FFPE) see no introns at all";

struct Rows {
    molecules: Molecules,
    /// Position of each cell by channel and barcode.
    cells: HashMap<[u64; 2], usize>,
    /// Position of each feature among the genes.
    genes: Vec<Option<u32>>,
    /// Whether a library is of genes.
    libraries: Vec<bool>,
}

impl Entries for Rows {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        reporter.begin("reading molecules", 0, self.molecules.len().max(1) as u64);
        // Rows of one cell are contiguous: a cell is looked up once.
        let (mut before, mut cell) = ([u64::MAX; 2], None);
        for range in self.molecules.blocks() {
            let block = self.molecules.read(range.clone())?;
            for at in 0..block.barcode.len() {
                let key = [u64::from(block.gem_group[at]), block.barcode[at]];
                if key != before {
                    (before, cell) = (key, self.cells.get(&key).copied());
                }
                let gene = self.genes[block.feature[at] as usize];
                if let (Some(cell), Some(gene), true) = (cell, gene, self.libraries[usize::from(block.library[at])]) {
                    let part = if block.umi_type[at] & 1 == 1 { Part::Spliced } else { Part::Unspliced };
                    visit(cell, gene, part, 1.0)?;
                }
            }
            if range.end < self.molecules.len() {
                reporter.advance(range.end as u64, "");
            }
        }
        reporter.end(&format!("read {} molecules", self.molecules.len()));
        Ok(())
    }
}

/// The files at or below `path`: of a run of `cellranger multi` one for each sample.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        let known = io::file_kind(path).is_ok_and(|kind| kind == FileKind::Molecules);
        return if known { vec![path.to_path_buf()] } else { Vec::new() };
    }
    let in_folder = |folder: &Path| {
        let names = ["sample_molecule_info.h5", "count/sample_molecule_info.h5", "molecule_info.h5"];
        names.iter().map(|name| folder.join(name)).find(|file| file.is_file())
    };
    for folder in [path.to_path_buf(), path.join("outs")] {
        let samples: Vec<PathBuf> =
            entries(&folder.join("per_sample_outs")).iter().filter_map(|sample| in_folder(sample)).collect();
        if !samples.is_empty() {
            return samples;
        }
        if let Some(file) = in_folder(&folder) {
            return vec![file];
        }
    }
    Vec::new()
}

/// Opens a file. Its cells are those that were called, or all barcodes if the user wants others.
///
/// # Errors
/// [`Error::Input`] if it is too old, or its run counted no introns.
pub(super) fn open(path: &Path, others: bool) -> Result<Source> {
    let molecules = Molecules::open(path)?;
    if molecules.introns() == Some(false) {
        let problem = "the run did not count introns (include_introns is false): all its molecules are exonic";
        return Err(Error::input(path, "metrics_json", problem, WITH_INTRONS));
    }
    let mut genes = Genes { ids: Vec::new(), symbols: Some(Vec::new()), more: Vec::new() };
    let (mut position, mut genomes) = (Vec::new(), Vec::new());
    for feature in molecules.features() {
        let is_gene = feature.kind == GENES;
        position.push(is_gene.then_some(genes.ids.len() as u32));
        if is_gene {
            genes.ids.push(feature.id.clone());
            genes.symbols.get_or_insert_default().push(feature.name.clone());
            genomes.push(feature.genome.clone());
        }
    }
    genes.more.push(("genome".to_owned(), Column::Text(genomes)));
    let called = molecules.called().map(<[_]>::to_vec);
    let keys = match &called {
        Some(called) if !others => called.clone(),
        _ => all(&molecules),
    };
    let name = |key: &[u64; 2]| format!("{}-{}", molecules.barcodes()[key[1] as usize], key[0]);
    if let Some([_, wrong]) = keys.iter().find(|[_, barcode]| *barcode >= molecules.barcodes().len() as u64) {
        let problem = format!("barcode {wrong} of {}", molecules.barcodes().len());
        return Err(Error::input(path, "barcode_info[\"pass_filter\"]", problem, "the file is damaged; copy it again"));
    }
    let version = molecules.version();
    Ok(Source {
        name: sample_of(path),
        files: vec![path.to_path_buf()],
        cells: keys.iter().map(name).collect(),
        obs: Vec::new(),
        genes,
        called: match &called {
            Some(called) => Called::Listed { names: called.iter().map(name).collect(), file: path.to_path_buf() },
            None => Called::Nobody {
                hint: "name the cells: --barcodes filtered_feature_bc_matrix/barcodes.tsv.gz".to_owned(),
            },
        },
        ambiguous: None,
        split: Split::Exonic,
        notes: vec![format!(
            "{} molecules, file_version {version}; exonic ones count as spliced, intronic ones as unspliced",
            molecules.len()
        )],
        entries: Box::new(Rows {
            cells: keys.iter().enumerate().map(|(at, &key)| (key, at)).collect(),
            genes: position,
            libraries: molecules.libraries().iter().map(|library| library.kind == GENES).collect(),
            molecules,
        }),
    })
}

/// Every barcode in every channel.
fn all(molecules: &Molecules) -> Vec<[u64; 2]> {
    let mut channels: Vec<u16> = molecules.libraries().iter().map(|library| library.gem_group).collect();
    channels.sort_unstable();
    channels.dedup();
    let barcodes = 0..molecules.barcodes().len() as u64;
    channels.iter().flat_map(|&channel| barcodes.clone().map(move |at| [u64::from(channel), at])).collect()
}

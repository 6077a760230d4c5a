//! Matrices of alevin-fry in its mode for spliced, unspliced and ambiguous molecules (USA), plain or below simpleaf's folder.
//!
//! Layout: alevin-fry 0.18 (`quant.rs`), simpleaf 0.24: `quants_mat.mtx` is cells × 3 G, in blocks of G columns: spliced, unspliced,
//! ambiguous. `spliced` leaves out what is ambiguous; pyroe's format `velocity` and scVelo's workflows add it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::choice::first_file;
use super::find::sample_of;
use super::lists::first_names;
use super::mtx;
use super::source::{Ambiguous, Called, Entries, Genes, Part, Source, Split, Visit};
use super::text::{find, find_any};
use crate::data::Reporter;
use crate::error::{Error, Result};

struct Blocks {
    file: PathBuf,
    n_cells: usize,
    n_genes: usize,
}

impl Entries for Blocks {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        let n_genes = self.n_genes;
        mtx::read(&self.file, [self.n_cells, 3 * n_genes], reporter, |cell, column, [value]| {
            visit(cell, (column % n_genes) as u32, Part::ALL[column / n_genes], value)
        })
    }
}

/// The folder that holds `quants_mat.mtx`, at or below `path`.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    let places = ["", "alevin", "af_quant/alevin", "quant/alevin"].iter().map(|below| path.join(below));
    places.into_iter().find(|place| find(place, "quants_mat.mtx").is_some()).into_iter().collect()
}

/// Opens one folder.
///
/// # Errors
/// [`Error::Input`] if the run did not tell the classes apart or lists of names are missing.
pub(super) fn open(folder: &Path) -> Result<Source> {
    let file = find_any(folder, &["quants_mat.mtx"])?;
    let columns_file = find_any(folder, &["quants_mat_cols.txt"])?;
    let (cells, columns) = (first_names(&find_any(folder, &["quants_mat_rows.txt"])?)?, first_names(&columns_file)?);
    let above = folder.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
    let usa = ["quant.json", "meta_info.json"].iter().find_map(|name| {
        let text = std::fs::read_to_string(above.join(name)).ok()?;
        serde_json::from_str::<Value>(&text).ok()?.get("usa_mode")?.as_bool()
    });
    let n_genes = columns.len() / 3;
    let blocks = columns.len().is_multiple_of(3)
        && columns[n_genes..2 * n_genes].iter().all(|name| name.ends_with("-U"))
        && columns[2 * n_genes..].iter().all(|name| name.ends_with("-A"));
    if usa == Some(false) || !blocks || columns.is_empty() {
        return Err(Error::input(
            &columns_file,
            "columns",
            "the run did not tell spliced from unspliced molecules: columns ID, ID-U and ID-A were wanted",
            "map to a splici or spliceu index and give alevin-fry quant the transcript-to-gene map with three columns",
        ));
    }
    let genes = Genes { ids: columns[..n_genes].to_vec(), symbols: None, more: Vec::new() };
    let names = [above.join("gene_id_to_name.tsv"), above.join("../gene_id_to_name.tsv")];
    let mut source = Source {
        name: sample_of(folder),
        files: vec![file.clone()],
        obs: Vec::new(),
        called: Called::All,
        genes: match names.iter().find(|path| path.is_file()) {
            Some(path) => genes.named_by(path)?,
            None => genes,
        },
        ambiguous: Some(Ambiguous::Spliced),
        split: Split::Splicing,
        notes: Vec::new(),
        entries: Box::new(Blocks { file, n_cells: cells.len(), n_genes }),
        cells,
    };
    if unfiltered(above) {
        let hint = format!(
            "name the cells: --barcodes FILE; {} lists all barcodes near a known one",
            first_file(&source).display()
        );
        source.called = Called::Nobody { hint };
    }
    if source.genes.symbols.is_none() {
        let note =
            "genes have ids alone; symbols come with --gene-names FILE (simpleaf: gene_id_to_name.tsv of the index)";
        source.notes.push(note.to_owned());
    }
    Ok(source)
}

/// Whether the run kept all barcodes of a list of what could be.
fn unfiltered(above: &Path) -> bool {
    ["generate_permit_list.json", "../generate_permit_list.json"].iter().any(|name| {
        let text = std::fs::read_to_string(above.join(name)).unwrap_or_default();
        text.contains("unfiltered-pl") || text.contains("-u ") || text.contains("UnfilteredExternalList")
    })
}

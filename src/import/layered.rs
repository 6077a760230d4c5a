//! Loom and `.h5ad` files: velocyto's, kb-python's, simpleaf's, nf-core's, anybody's with layers of one of the known names.
//!
//! Layouts: velocyto.py 0.17.17 (`_run.py`), loompy 3.0.8, kb-python 0.30.2 (`utils.py`), af-anndata 0.4.3, nf-core/scrnaseq 4.0.0.

use std::path::Path;
use std::rc::Rc;

use super::find::sample_of;
use super::source::{Ambiguous, Called, Entries, Genes, Part, Source, Split, Visit};
use crate::data::gene_names::{IDS, SYMBOLS};
use crate::data::{Column, Frame, Reporter};
use crate::error::{Error, Result};
use crate::io::{LayeredFile, known_pair};

/// Name of the layer of molecules that may be of either form.
pub const AMBIGUOUS: &str = "ambiguous";

struct Layers {
    file: Rc<LayeredFile>,
    parts: Vec<(Part, String)>,
}

impl Entries for Layers {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        for (part, layer) in &self.parts {
            self.file.for_each(layer, reporter, &mut |cell, gene, value| visit(cell, gene, *part, f64::from(value)))?;
        }
        Ok(())
    }
}

/// Opens a loom or `.h5ad` file, of which `named` are the layers with spliced and unspliced counts, or those of a known pair.
///
/// # Errors
/// [`Error::Input`] if it is neither or has no layers of known names.
pub(super) fn open(path: &Path, named: Option<&[String; 2]>) -> Result<Source> {
    let file = LayeredFile::open(path)?;
    let known =
        || known_pair(|wanted| file.layer_names().any(|name| name == wanted)).map(|pair| pair.map(str::to_owned));
    let Some(names) = named.cloned().or_else(known) else {
        let present: Vec<&str> = file.layer_names().collect();
        let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        return Err(Error::input(
            path,
            "layers",
            format!(
                "two layers were wanted, spliced and unspliced, mature and nascent, or exon and intron; present: {present}"
            ),
            "this run did not count the two apart (of kb, workflow standard or nucleus; of Cell Ranger, any matrix): give the \
             output of a workflow for velocity, or Cell Ranger's molecule_info.h5",
        ));
    };
    let mut parts = vec![(Part::Spliced, names[0].clone()), (Part::Unspliced, names[1].clone())];
    let ambiguous = file.layer_names().any(|name| name == AMBIGUOUS);
    let mut notes = Vec::new();
    if ambiguous {
        parts.push((Part::Ambiguous, AMBIGUOUS.to_owned()));
    }
    if file.layer_names().any(|name| name == "spanning") {
        notes.push(
            "layer \"spanning\" (Smart-seq2: reads over an end of an intron) is left out, as scVelo does".to_owned(),
        );
    }
    // kb's mature and alevin-fry's spliced leave out what exons alone can say; velocyto's and STAR's spliced do not.
    let exons_are_ambiguous = names[0] == "mature" || file.uns().iter().any(|key| key == "quant_info");
    let default = if exons_are_ambiguous { Ambiguous::Spliced } else { Ambiguous::Drop };
    let cells = file.obs().index.clone();
    Ok(Source {
        name: sample(path, &cells),
        files: vec![path.to_path_buf()],
        obs: columns(file.obs(), &["CellID", "obs_names", "barcodes"]),
        genes: genes(file.var()),
        called: called(path, cells.len()),
        ambiguous: ambiguous.then_some(default),
        split: if names[0].starts_with("exon") { Split::Exonic } else { Split::Splicing },
        notes,
        entries: Box::new(Layers { file: Rc::new(file), parts }),
        cells,
    })
}

/// The name before the colon of velocyto's CellIDs, or what the file's place says.
fn sample(path: &Path, cells: &[String]) -> String {
    let prefix = cells.first().and_then(|cell| cell.rsplit_once(':')).map(|(prefix, _)| prefix);
    match prefix {
        Some(prefix) if cells.iter().all(|cell| cell.rsplit_once(':').is_some_and(|(own, _)| own == prefix)) => {
            prefix.to_owned()
        }
        _ => sample_of(path),
    }
}

/// Files of raw counts hold all barcodes: their names say so (kb-python's folder, nf-core's files).
fn called(path: &Path, n_cells: usize) -> Called {
    /// No experiment has so many cells in one file of raw counts.
    const MANY: usize = 200_000;
    let name = super::text::short(path).to_lowercase();
    let raw = name.contains("counts_unfiltered") || name.contains("raw_matrix") || n_cells > MANY;
    if raw {
        let hint = "name the cells: --barcodes FILE, such as the barcodes.tsv of the filtered matrix".to_owned();
        return Called::Nobody { hint };
    }
    Called::All
}

fn columns(frame: &Frame, without: &[&str]) -> Vec<(String, Column)> {
    let names_rows = |column: &Column| matches!(column, Column::Text(words) if *words == frame.index);
    let kept = frame.columns.iter().filter(|(name, column)| !without.contains(&name.as_str()) && !names_rows(column));
    kept.cloned().collect()
}

/// Genes from the columns that hold ids and symbols, whichever the index is.
fn genes(var: &Frame) -> Genes {
    let words = |names: &[&str]| {
        let column = names.iter().find_map(|name| var.get(name));
        column.filter(|column| matches!(column, Column::Text(_) | Column::Categorical { .. })).map(Column::to_labels)
    };
    let ids = words(&IDS);
    let symbols = words(&SYMBOLS).or_else(|| ids.as_ref().filter(|ids| **ids != var.index).map(|_| var.index.clone()));
    let known: Vec<&str> = IDS.iter().chain(&SYMBOLS).copied().chain(["var_names", "target_name"]).collect();
    Genes { ids: ids.unwrap_or_else(|| var.index.clone()), symbols, more: columns(var, &known) }
}

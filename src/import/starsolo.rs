//! STARsolo's `Velocyto` folders.
//!
//! Layout: STAR 2.7.8a and later, `SoloFeature_outputResults.cpp`: `spliced.mtx`, `unspliced.mtx`, `ambiguous.mtx`, genes × cells, all
//! three over the same coordinates, so that zeros are stored. Before, one `matrix.mtx` with three counts behind each coordinate.

use std::path::{Path, PathBuf};

use super::find::{entries, sample_of};
use super::lists::first_names;
use super::source::{Ambiguous, Called, Entries, Part, Source, Split, Visit};
use super::text::{find, find_any};
use super::{genes, mtx};
use crate::data::Reporter;
use crate::error::Result;

const FEATURES: [&str; 3] = ["features.tsv", "genes.tsv", "genes.txt"];
const BARCODES: [&str; 2] = ["barcodes.tsv", "barcodes.txt"];

/// Matrices of one folder.
enum Layout {
    /// One file for each class.
    Apart([PathBuf; 3]),
    /// One file for all.
    Together(PathBuf),
}

struct Folder {
    layout: Layout,
    /// Genes and cells.
    shape: [usize; 2],
}

impl Entries for Folder {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        match &self.layout {
            Layout::Apart(files) => Part::ALL.iter().zip(files).try_for_each(|(&part, file)| {
                mtx::read(file, self.shape, reporter, |gene, cell, [value]| visit(cell, gene as u32, part, value))
            }),
            Layout::Together(file) => mtx::read(file, self.shape, reporter, |gene, cell, values: [f64; 3]| {
                Part::ALL.iter().zip(values).try_for_each(|(&part, value)| visit(cell, gene as u32, part, value))
            }),
        }
    }
}

fn layout(folder: &Path) -> Option<Layout> {
    let [spliced, unspliced, ambiguous] =
        ["spliced.mtx", "unspliced.mtx", "ambiguous.mtx"].map(|name| find(folder, name));
    match (spliced, unspliced, ambiguous) {
        (Some(spliced), Some(unspliced), Some(ambiguous)) => Some(Layout::Apart([spliced, unspliced, ambiguous])),
        _ => find(folder, "matrix.mtx").filter(|_| is_velocyto(folder)).map(Layout::Together),
    }
}

/// A folder `Velocyto/raw`, or `velocyto_raw` of nf-core.
fn is_velocyto(folder: &Path) -> bool {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    absolute.iter().rev().take(2).any(|part| part.to_string_lossy().to_lowercase().starts_with("velocyto"))
}

/// The folders with matrices at or below `path`, one for each sample: of `filtered` and `raw`, the filtered one.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    if layout(path).is_some() {
        return vec![path.to_path_buf()];
    }
    let below = ["filtered", "velocyto_filtered", "raw", "velocyto_raw"].iter().map(|name| path.join(name));
    if let Some(folder) = below.into_iter().find(|folder| layout(folder).is_some()) {
        return vec![folder];
    }
    let named = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        folder.is_dir() && (name == "Velocyto" || name.ends_with("Solo.out"))
    };
    entries(path).iter().filter(|folder| named(folder)).flat_map(|folder| at(folder)).collect()
}

/// Opens one folder.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if lists of names are missing.
pub(super) fn open(folder: &Path) -> Result<Source> {
    let Some(layout) = layout(folder) else { return Err(super::find::nothing_at(folder)) };
    let genes = genes::from_features(&find_any(folder, &FEATURES)?)?;
    let cells = first_names(&find_any(folder, &BARCODES)?)?;
    let shape = [genes.ids.len(), cells.len()];
    let files = match &layout {
        Layout::Apart(files) => files.to_vec(),
        Layout::Together(file) => vec![file.clone()],
    };
    Ok(Source {
        name: sample_of(folder),
        files,
        called: called(folder)?,
        cells,
        obs: Vec::new(),
        genes,
        ambiguous: Some(Ambiguous::Drop),
        split: Split::Splicing,
        notes: Vec::new(),
        entries: Box::new(Folder { layout, shape }),
    })
}

/// A folder `filtered` holds cells. For a folder `raw`, the calls lie beside it, or with those of `Gene` and `GeneFull`.
fn called(folder: &Path) -> Result<Called> {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    if !absolute.file_name().is_some_and(|name| name.to_string_lossy().ends_with("raw")) {
        return Ok(Called::All);
    }
    let solo = absolute.parent().and_then(Path::parent);
    let places = [
        absolute.parent().map(|above| above.join("filtered")),
        absolute.parent().map(|above| above.join("velocyto_filtered")),
        solo.map(|solo| solo.join("Gene/filtered")),
        solo.map(|solo| solo.join("GeneFull/filtered")),
        solo.map(|solo| solo.join("GeneFull_Ex50pAS/filtered")),
    ];
    let list = places.into_iter().flatten().find_map(|place| BARCODES.iter().find_map(|name| find(&place, name)));
    Ok(match list {
        Some(file) => Called::Listed { names: first_names(&file)?, file },
        None => Called::Nobody {
            hint: "name the cells: --barcodes FILE (STAR calls them unless --soloCellFilter is None)".to_owned(),
        },
    })
}

//! What a file or folder is, whether it is ready for velocity, and which command gets it there.
//!
//! `marks` of the file, its layers and its columns say which program made it; `shares` how much of each class of molecules each sample
//! has. What cannot be read for counts is told apart by what lies there: probes, matrices without a split, reads.

mod origin;
mod shares;

use std::path::Path;

use serde::Serialize;

pub use shares::Shares;
pub(crate) use shares::{FEW, MANY, VERY_FEW};

use super::find::{self, kind_of};
use super::layered;
use crate::data::Reporter;
use crate::data::quantities::VELOCITY_GRAPH;
use crate::error::{Error, Result};
use crate::import::Kind;
use crate::io::{self, Description, FileKind, Foreign, InputConfig, Marks};

/// What lies at a path.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// What it is: which pipeline made it, of which chemistry, as far as can be told.
    pub what: String,
    /// Whether a model can be trained on it as it is.
    pub ready: bool,
    /// What an `.h5ad` file holds.
    #[serde(flatten)]
    pub description: Option<Description>,
    /// Molecules of each sample, where classes are told apart.
    pub samples: Vec<Shares>,
    /// Why it is not ready; empty if it is.
    pub missing: Vec<String>,
    /// What `nascent train` would say of counts that are there but cannot be used.
    pub refused: Option<String>,
    /// What should not be overlooked.
    pub warnings: Vec<String>,
    /// The command, or what else gets on from here.
    pub next: Option<String>,
}

/// Why probes give no velocity.
const PROBES: &str = "this assay counts probes (Flex, Visium of fixed tissue, Visium HD), which bind to spliced RNA: unspliced \
                      molecules are not seen, and no program can get them out";

/// Says what lies at `path`. Counts are walked through once and never held.
///
/// # Errors
/// [`Error::Input`] if nothing is there or the file is damaged, [`Error::File`] if the system refuses to read.
pub fn inspect(path: &Path, config: &InputConfig, reporter: &mut dyn Reporter) -> Result<Inspection> {
    if !path.exists() {
        return Err(Error::input(path, "path", "no such file or folder", "check the path"));
    }
    if !path.is_file() && !path.is_dir() {
        let hint = "write it to a file first: COMMAND > FILE";
        return Err(Error::input(path, "path", "this is a pipe or a device, and files are read more than once", hint));
    }
    let named = *config != InputConfig::default();
    // What is no HDF5 file may be a source of counts, or something else that is known.
    let hdf5 = if path.is_file() && io::is_hdf5(path)? { Some(io::file_kind(path)?) } else { None };
    if named && !matches!(hdf5, Some(FileKind::H5ad | FileKind::Other)) {
        reporter.warn("input.spliced and input.unspliced are of .h5ad files: they are not looked at here");
    }
    match hdf5 {
        // Of a file that is something else, describing it says why it has no cells.
        Some(FileKind::H5ad | FileKind::Other) => processed(path, config, reporter),
        Some(FileKind::FeatureMatrix) => Ok(matrix(path, &io::marks(path)?)),
        Some(FileKind::Molecules) => molecules(path, reporter),
        Some(FileKind::Loom) | None => counts(path, reporter),
    }
}

fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(' ') { format!("'{text}'") } else { text }
}

fn import_of(path: &Path, more: &str) -> String {
    format!("nascent import {}{more} --output counts.h5ad", shown(path))
}

/// An `.h5ad` file.
fn processed(path: &Path, config: &InputConfig, reporter: &mut dyn Reporter) -> Result<Inspection> {
    let description = io::describe(path, config)?;
    there(path, config, &description)?;
    let marks = io::marks(path)?;
    let names = io::outline(path)?;
    let origin = origin::of(&description, &marks, &names);
    let mut warnings = origin::repeated(&names);
    let mut samples = Vec::new();
    if description.count_layers.is_some() {
        // What is no count is said by those who read counts.
        match layered::open(path, description.count_layers.as_ref())
            .and_then(|source| shares::count(&[source], reporter))
        {
            Ok(found) => samples = found,
            Err(error) => warnings.push(format!("counts could not be added up: {error}")),
        }
    }
    warnings.extend(shares::warnings(&samples));
    let mut missing = Vec::new();
    let probes = marks.probes || origin.probes;
    if description.count_layers.is_none() {
        missing.push("layers with spliced and unspliced counts".to_owned());
        if let Some(x) = description.x.as_ref().filter(|x| !x.raw_counts) {
            warnings.push(format!("X holds {}: velocity needs counts, which come as layers", origin::values(x)));
        }
    }
    if probes {
        warnings.push(PROBES.to_owned());
    }
    let next = match (&description.model, missing.is_empty()) {
        (Some(_), true) if description.uns.iter().any(|key| key == VELOCITY_GRAPH.key()) => {
            Some(format!("nascent report {}", shown(path)))
        }
        (Some(_), true) => Some(format!("nascent graph {}", shown(path))),
        (None, true) if origin.import_first => Some(import_of(path, origin.import_flags)),
        (None, true) => {
            let moments = if description.holds_counts() { "" } else { " --set model.likelihood=gaussian" };
            Some(format!("nascent train --input {} --output velocity.h5ad{}{moments}", shown(path), named(config)))
        }
        (_, false) if probes => None,
        (_, false) => Some(origin.next(&shown(path))),
    };
    let (refused, next) = match usable(path, &description) {
        Some((refused, hint)) => (Some(refused), hint.or(next)),
        None => (None, next),
    };
    let mut what = origin.what;
    if let Some(chemistry) = marks.chemistry.or(origin.chemistry) {
        what = format!("{what}; chemistry: {chemistry}");
    }
    let ready = missing.is_empty() && refused.is_none();
    Ok(Inspection { what, ready, description: Some(description), samples, missing, refused, warnings, next })
}

/// Why the counts of a file cannot be used, and what to do about it.
fn usable(path: &Path, description: &Description) -> Option<(String, Option<String>)> {
    let [spliced, unspliced] = description.count_layers.clone()?;
    let error = io::check_counts(path, &InputConfig { spliced, unspliced }).err()?;
    let said = match &error {
        Error::Input { place, problem, .. } => format!("{place}: {problem}"),
        other => other.to_string(),
    };
    Some((said, error.hint()))
}

/// Layers that are asked for by names of their own are there.
fn there(path: &Path, config: &InputConfig, found: &Description) -> Result<()> {
    let usual = InputConfig::default();
    let asked =
        [(&config.spliced, &usual.spliced, "input.spliced"), (&config.unspliced, &usual.unspliced, "input.unspliced")];
    for (name, usual, key) in asked {
        if name != usual && !found.layers.iter().any(|layer| layer.name == *name) {
            let present: Vec<String> = found.layers.iter().map(|layer| format!("{:?}", layer.name)).collect();
            let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
            let problem = format!("not found; layers present: {present}");
            return Err(Error::input(path, format!("layers[{name:?}]"), problem, format!("set {key} to one of these")));
        }
    }
    Ok(())
}

/// The flags that name the layers as they were asked for; nothing for the usual names.
fn named(config: &InputConfig) -> String {
    if *config == InputConfig::default() {
        return String::new();
    }
    format!(" --set input.spliced={} --set input.unspliced={}", config.spliced, config.unspliced)
}

/// Cell Ranger's matrix, where both classes are one.
fn matrix(path: &Path, marks: &Marks) -> Inspection {
    let [features, barcodes] = marks.matrix.unwrap_or_default();
    let software = marks.software.clone().unwrap_or_else(|| "Cell Ranger".to_owned());
    let chemistry = marks.chemistry.clone().unwrap_or_else(|| "unknown".to_owned());
    let kinds =
        if marks.feature_types.is_empty() { String::new() } else { format!(" ({})", marks.feature_types.join(", ")) };
    let folder = path.parent().unwrap_or(Path::new("."));
    let spatial = folder.join("spatial").is_dir() || chemistry.contains("Visium");
    let of = if spatial { "a spatial matrix" } else { "a matrix" };
    let what = format!("{of} of {software}: {barcodes} barcodes x {features} features{kinds}; chemistry: {chemistry}");
    let missing = vec!["spliced and unspliced counts: reads of exons and introns are one number here".to_owned()];
    let places = ["molecule_info.h5", "sample_molecule_info.h5", "../sample_molecule_info.h5", "../molecule_info.h5"];
    let molecules = places.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    let (warnings, next) = if marks.probes {
        (vec![PROBES.to_owned()], None)
    } else if marks.by_genome {
        // Nor does the molecule_info.h5 of such a run tell them apart.
        let next = "count the reads again with Cell Ranger 7 or later, and give its molecule_info.h5; or give the matrices of two \
                    runs, with introns and without: nascent import WITH.h5 WITHOUT.h5 --output counts.h5ad";
        (Vec::new(), Some(next.to_owned()))
    } else {
        let file = molecules.map_or_else(|| shown(&folder.join("molecule_info.h5")), |file| shown(&file));
        (Vec::new(), Some(format!("nascent import {file} --output counts.h5ad")))
    };
    let samples = Vec::new();
    Inspection { what, ready: false, description: None, samples, missing, refused: None, warnings, next }
}

/// Cell Ranger's molecules.
fn molecules(path: &Path, reporter: &mut dyn Reporter) -> Result<Inspection> {
    let marks = io::marks(path)?;
    let mut found = counts(path, reporter)?;
    if let Some(chemistry) = &marks.chemistry {
        found.what = format!("{}; chemistry: {chemistry}", found.what);
    }
    if marks.probes {
        found.warnings.push(PROBES.to_owned());
        found.next = None;
    }
    Ok(found)
}

/// What `nascent import` reads, or does not.
fn counts(path: &Path, reporter: &mut dyn Reporter) -> Result<Inspection> {
    let title = kind_of(path).map(Kind::title);
    let mut found = Inspection {
        what: title.unwrap_or("nothing that a pipeline for velocity writes").to_owned(),
        ready: false,
        description: None,
        samples: Vec::new(),
        missing: Vec::new(),
        refused: None,
        warnings: Vec::new(),
        next: None,
    };
    if title.is_none()
        && let Some(Foreign { what, wanted, next }) = io::foreign(path)
    {
        (found.what, found.next) = (what, Some(next));
        found.missing.push(wanted.to_owned());
        return Ok(found);
    }
    match find::open(&[path.to_path_buf()], None, false) {
        Ok((kind, sources)) => {
            let (cells, genes): (usize, usize) =
                sources.iter().fold((0, 0), |(cells, _), source| (cells + source.cells.len(), source.genes.ids.len()));
            let samples = if sources.len() > 1 { format!(" of {} samples", sources.len()) } else { String::new() };
            let stranded = sources.iter().any(|source| source.genes.more.iter().any(|(name, _)| name == "Strand"));
            let title = if kind == Kind::Loom && stranded { "a loom file of velocyto" } else { kind.title() };
            found.what = format!("{title}: {cells} barcodes{samples}, {genes} genes");
            found.samples = shares::count(&sources, reporter)?;
            found.warnings = shares::warnings(&found.samples);
            let nobody = sources.iter().any(|source| matches!(source.called, super::source::Called::Nobody { .. }));
            if nobody {
                found.warnings.push("these are all barcodes, and nothing says which are cells".to_owned());
            }
            found.missing.push("an .h5ad file: nascent import makes one".to_owned());
            found.next = Some(import_of(path, if nobody { " --min-molecules 500" } else { "" }));
        }
        Err(error) => {
            found.missing.push(error.to_string());
            found.next = error.hint();
        }
    }
    Ok(found)
}

//! What files of other programs say of themselves.
//!
//! Cell Ranger and Space Ranger: attributes `chemistry_description` and `software_version` of the root of a matrix
//! (cellranger 10.0.0, `h5_constants.py`), groups of genes or probes in `matrix/features/target_sets`, and `targeting_method` in
//! `metrics_json` of `molecule_info.h5` (`molecule_counter.py`), which is `templated_ligation` where probes are counted.
//! scanpy keeps the attributes of spatial matrices in `uns["spatial"][LIBRARY]["metadata"]`.

use std::collections::HashSet;
use std::path::Path;

use hdf5::File;
use serde_json::Value;

use super::features;
use super::h5::{self, Node};
use super::place::{At, Place};
use super::read;
use crate::error::Result;

/// What a file says of its making.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The chemistry, in the words of the pipeline.
    pub chemistry: Option<String>,
    /// The program and its version.
    pub software: Option<String>,
    /// Whether probes were counted, which bind to spliced molecules, where the file says so.
    pub probes: bool,
    /// Of Cell Ranger's matrix: numbers of features and barcodes.
    pub matrix: Option<[usize; 2]>,
    /// Of Cell Ranger's matrix: whether it is of a version before 3, which has a matrix for each genome.
    pub by_genome: bool,
    /// Of Cell Ranger's matrix: kinds of features.
    pub feature_types: Vec<String>,
    /// Of `.h5ad`: where `nascent import` found the counts, and those that `nascent merge` added.
    pub imported: Option<String>,
    /// See `imported`.
    pub merged: Option<String>,
}

/// Reads what the HDF5 file at `path` says of its making.
///
/// # Errors
/// [`Error::File`](crate::Error::File) or [`Error::Input`](crate::Error::Input) if it cannot be opened, or what it says cannot be read.
pub fn marks(path: &Path) -> Result<Marks> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let mut marks = Marks {
        chemistry: h5::attr_text(&file, "chemistry_description"),
        software: h5::attr_text(&file, "software_version"),
        ..Marks::default()
    };
    if let Some(metrics) = h5::word(&file, "metrics_json").and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
        let word = |key: &str| metrics.get(key).and_then(Value::as_str).map(str::to_owned);
        marks.chemistry = marks.chemistry.or_else(|| word("chemistry_description")).or_else(|| word("chemistry_name"));
        marks.software =
            marks.software.or_else(|| word("cellranger_version").map(|version| format!("cellranger-{version}")));
        marks.probes = word("targeting_method").is_some_and(|method| method == "templated_ligation");
    }
    matrix(&file, &mut marks, &place)?;
    let source = |key: &str| -> Result<Option<String>> {
        let record = read::uns(&file, key, &place)?;
        Ok(record.and_then(|record| record.get("source").and_then(Value::as_str).map(str::to_owned)))
    };
    (marks.imported, marks.merged) = (source("nascent_import")?, source("nascent_merge")?);
    spatial(&file, &mut marks, &place)?;
    marks.probes |= marks.chemistry.as_deref().is_some_and(of_probes);
    Ok(marks)
}

/// Whether a chemistry counts probes: Flex (once called Fixed RNA Profiling), and Visium on fixed tissue or of the second version.
fn of_probes(chemistry: &str) -> bool {
    let lower = chemistry.to_lowercase();
    ["flex", "fixed rna", "ffpe", "cytassist", "visium hd", "visium v2", "visium v4", "visium v5", "probe"]
        .iter()
        .any(|word| lower.contains(word))
}

fn matrix(file: &File, marks: &mut Marks, place: &Place) -> Result<()> {
    let Some(Node::Group(matrix)) = Node::open(file, "matrix") else { return of_genomes(file, marks, place) };
    let place = place.child("matrix");
    let size = |name: &str| matrix.dataset(name).map_or(0, |dataset| dataset.size());
    marks.matrix = Some([size("features/id"), size("barcodes")]);
    if let Ok(kinds) = matrix.dataset("features/feature_type") {
        let mut kinds = h5::texts(&kinds).at(&place.child("features"))?;
        kinds.sort_unstable();
        kinds.dedup();
        marks.feature_types = kinds;
    }
    Ok(())
}

/// Before Cell Ranger 3, each genome has a matrix of its own, and lists the barcodes that it has.
fn of_genomes(file: &File, marks: &mut Marks, place: &Place) -> Result<()> {
    let (mut n_genes, mut barcodes) = (0, HashSet::new());
    let genomes = features::genomes(file);
    for genome in &genomes {
        let size = |name: &str| file.dataset(&format!("{genome}/{name}")).map_or(0, |dataset| dataset.size());
        n_genes += size("genes");
        if let Ok(list) = file.dataset(&format!("{genome}/barcodes")) {
            barcodes.extend(h5::texts(&list).at(&place.child(genome).child("barcodes"))?);
        }
    }
    if !genomes.is_empty() {
        marks.by_genome = true;
        marks.matrix = Some([n_genes, barcodes.len()]);
        marks.feature_types = genomes.iter().map(|genome| format!("genes of {genome}")).collect();
    }
    Ok(())
}

fn spatial(file: &File, marks: &mut Marks, place: &Place) -> Result<()> {
    let libraries = match file.group("uns/spatial") {
        Ok(group) => h5::members(&group),
        Err(_) => return Ok(()),
    };
    for library in libraries {
        let Ok(group) = file.group(&format!("uns/spatial/{library}/metadata")) else { continue };
        let place = place.child("uns").child("spatial");
        let word = |name: &str| group.dataset(name).ok().map(|dataset| h5::texts(&dataset).at(&place)).transpose();
        let first = |words: Option<Vec<String>>| words.and_then(|words| words.into_iter().next());
        marks.chemistry = marks.chemistry.take().or(first(word("chemistry_description")?));
        marks.software = marks.software.take().or(first(word("software_version")?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chemistries_of_probes_are_told_from_those_of_reads() {
        for chemistry in
            ["Flex Gene Expression", "Fixed RNA Profiling", "Visium V1 Slide - FFPE", "Visium V4 Slide - FFPE v2"]
        {
            assert!(of_probes(chemistry), "{chemistry}");
        }
        for chemistry in ["Single Cell 3' v3", "Single Cell 5' R2-only", "Visium V1 Slide", "Spatial 3' v1"] {
            assert!(!of_probes(chemistry), "{chemistry}");
        }
    }
}

//! Cell Ranger's `molecule_info.h5`: one row per molecule, some rows at a time.
//!
//! Layout: cellranger 10.0.0, `molecule_counter.py`, `molecule_info.rs`. The root's attribute `file_version` is 5 or more where
//! `umi_type` is there. Bit 0 of `umi_type` is set if a read of the molecule lies in the transcriptome.

use std::ops::Range;
use std::path::Path;

use hdf5::{Dataset, File};
use serde_json::Value;

use super::frame::quoted;
use super::h5::{self, Node};
use super::numbers;
use super::place::{At, Place};
use crate::error::Result;

/// Molecules that are read at once.
const BLOCK: usize = 1 << 20;
/// `file_version` since which molecules have a type.
const FIRST_VERSION: i64 = 5;

/// An open `molecule_info.h5`.
#[derive(Debug)]
pub struct Molecules {
    place: Place<'static>,
    columns: [Dataset; 5],
    length: usize,
    version: i64,
    barcodes: Vec<String>,
    features: Vec<Feature>,
    libraries: Vec<Library>,
    called: Option<Vec<[u64; 2]>>,
    introns: Option<bool>,
}

/// A feature that molecules are counted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its id.
    pub id: String,
    /// Its name, of a gene the symbol.
    pub name: String,
    /// `Gene Expression`, `Antibody Capture`, ….
    pub kind: String,
    /// Its genome.
    pub genome: String,
}

/// A library that was sequenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// `Gene Expression`, `Antibody Capture`, ….
    pub kind: String,
    /// The channel that it comes from, the number behind a barcode.
    pub gem_group: u16,
}

/// Some molecules, column by column.
#[derive(Clone, Debug, Default)]
pub struct MoleculeBlock {
    /// Position in [`Molecules::barcodes`].
    pub barcode: Vec<u64>,
    /// Position in [`Molecules::features`].
    pub feature: Vec<u32>,
    /// The channel.
    pub gem_group: Vec<u16>,
    /// Position in [`Molecules::libraries`].
    pub library: Vec<u16>,
    /// Bit 0 is set where a read lies in the transcriptome.
    pub umi_type: Vec<u32>,
}

impl Molecules {
    /// Opens a file; of its molecules nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it is of a version without types of molecules, or lacks a part.
    pub fn open(path: &Path) -> Result<Self> {
        let file = h5::open(path)?;
        let place = Place::root(path).into_owned();
        let version = h5::attr_ints(&file, "file_version").and_then(|all| all.first().copied()).unwrap_or_default();
        if version < FIRST_VERSION || !file.link_exists("umi_type") {
            return Err(place.child("umi_type").error(
                format!(
                    "file_version is {version}, and molecules have no type, which says whether a read lies in an exon"
                ),
                "count again with Cell Ranger 5 or later (7 or later counts introns unless told otherwise)",
            ));
        }
        let names = ["barcode_idx", "feature_idx", "gem_group", "library_idx", "umi_type"];
        let columns = names.map(|name| dataset(&file, name, &place));
        let [barcode, feature, gem_group, library, umi_type] = columns;
        let columns = [barcode?, feature?, gem_group?, library?, umi_type?];
        let n_molecules = columns[0].size();
        for (column, name) in columns.iter().zip(names) {
            if column.size() != n_molecules {
                return Err(place.child(name).damaged(format!("{} values for {n_molecules} molecules", column.size())));
            }
        }
        let libraries = libraries(&file, &place)?;
        Ok(Self {
            length: n_molecules,
            columns,
            version,
            barcodes: words(&file, "barcodes", &place)?,
            features: features(&place.child("features"), |name| words(&file, &format!("features/{name}"), &place))?,
            called: called(&file, &libraries, &place)?,
            introns: introns(&file),
            libraries,
            place,
        })
    }

    /// Number of molecules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The file's `file_version`.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Sequences of the barcodes, without channels.
    #[must_use]
    pub fn barcodes(&self) -> &[String] {
        &self.barcodes
    }

    /// The features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The libraries.
    #[must_use]
    pub fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// The cells that Cell Ranger called: channel and position of the barcode, rising; `None` if the file does not say.
    #[must_use]
    pub fn called(&self) -> Option<&[[u64; 2]]> {
        self.called.as_deref()
    }

    /// Whether the run counted introns, if the file says so.
    #[must_use]
    pub fn introns(&self) -> Option<bool> {
        self.introns
    }

    /// Ranges of molecules that are read at once.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        super::matrix::blocks(0..self.length, BLOCK)
    }

    /// The molecules of a range.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they cannot be read, or one names a barcode, feature or library that is not there.
    pub fn read(&self, range: Range<usize>) -> Result<MoleculeBlock> {
        let [barcode, feature, gem_group, library, umi_type] = &self.columns;
        let place = &self.place;
        let block = MoleculeBlock {
            barcode: numbers::slice(barcode, range.clone(), &place.child("barcode_idx"))?,
            feature: numbers::slice(feature, range.clone(), &place.child("feature_idx"))?,
            gem_group: numbers::slice(gem_group, range.clone(), &place.child("gem_group"))?,
            library: numbers::slice(library, range.clone(), &place.child("library_idx"))?,
            umi_type: numbers::slice(umi_type, range, &place.child("umi_type"))?,
        };
        let past = |name: &str, most: Option<u64>, n: usize| match most {
            Some(most) if most >= n as u64 => {
                Err(place.child(name).damaged(format!("{most} is out of range, there are {n}")))
            }
            _ => Ok(()),
        };
        past("barcode_idx", block.barcode.iter().copied().max(), self.barcodes.len())?;
        past("feature_idx", block.feature.iter().copied().max().map(u64::from), self.features.len())?;
        past("library_idx", block.library.iter().copied().max().map(u64::from), self.libraries.len())?;
        Ok(block)
    }
}

fn dataset(file: &File, name: &str, place: &Place) -> Result<Dataset> {
    match Node::open(file, name) {
        Some(Node::Dataset(dataset)) if dataset.ndim() == 1 => Ok(dataset),
        _ => Err(place.child(name).error(
            format!("not found; at the top there are: {}", quoted(&h5::members(file))),
            "give molecule_info.h5 or sample_molecule_info.h5 as Cell Ranger 5 or later writes them",
        )),
    }
}

fn words(file: &File, name: &str, place: &Place) -> Result<Vec<String>> {
    let list = dataset(file, name, place)?;
    h5::texts(&list).at(&place.child(name))
}

/// The features, of whose lists at `place` the reader `part` gives each by its name.
pub(super) fn features(place: &Place, part: impl Fn(&str) -> Result<Vec<String>>) -> Result<Vec<Feature>> {
    let (ids, names, kinds) = (part("id")?, part("name")?, part("feature_type")?);
    let genomes = part("genome").unwrap_or_else(|_| vec![String::new(); ids.len()]);
    if [names.len(), kinds.len(), genomes.len()].iter().any(|&length| length != ids.len()) {
        return Err(place.damaged("lists of other lengths"));
    }
    let all = ids.into_iter().zip(names).zip(kinds.into_iter().zip(genomes));
    Ok(all.map(|((id, name), (kind, genome))| Feature { id, name, kind, genome }).collect())
}

/// `library_info` is JSON: a list of libraries with `library_type` and `gem_group`.
fn libraries(file: &File, place: &Place) -> Result<Vec<Library>> {
    let place = place.child("library_info");
    let text = h5::word(file, "library_info").ok_or_else(|| place.damaged("not found"))?;
    let list: Vec<Value> = serde_json::from_str(&text).map_err(|error| place.damaged(format!("not JSON: {error}")))?;
    let library = |library: &Value| Library {
        kind: library.get("library_type").and_then(Value::as_str).unwrap_or("Gene Expression").to_owned(),
        gem_group: library.get("gem_group").and_then(Value::as_u64).and_then(|at| u16::try_from(at).ok()).unwrap_or(1),
    };
    Ok(list.iter().map(library).collect())
}

/// Rows of `barcode_info/pass_filter` are barcode, library and genome.
fn called(file: &File, libraries: &[Library], place: &Place) -> Result<Option<Vec<[u64; 2]>>> {
    let place = place.child("barcode_info").child("pass_filter");
    let Ok(dataset) = file.dataset("barcode_info/pass_filter") else { return Ok(None) };
    if dataset.ndim() != 2 || dataset.shape()[1] < 2 {
        return Err(place.damaged(format!("three columns were expected, found the shape {:?}", dataset.shape())));
    }
    let width = dataset.shape()[1];
    let numbers = h5::numbers::<u64>(&dataset, &place)?;
    let mut cells = Vec::new();
    for row in numbers.chunks_exact(width) {
        let library = usize::try_from(row[1]).ok().and_then(|at| libraries.get(at));
        let library = library.ok_or_else(|| place.damaged(format!("library {} of {}", row[1], libraries.len())))?;
        cells.push([u64::from(library.gem_group), row[0]]);
    }
    cells.sort_unstable();
    cells.dedup();
    Ok(Some(cells))
}

/// `metrics_json` holds the parameters of the run.
fn introns(file: &File) -> Option<bool> {
    let metrics: Value = serde_json::from_str(&h5::word(file, "metrics_json")?).ok()?;
    metrics.get("analysis_parameters")?.get("include_introns")?.as_bool()
}

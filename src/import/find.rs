//! What lies at a path: which pipeline wrote it, and of which samples.

use std::path::{Path, PathBuf};

use super::source::Source;
use super::{alevin, cellranger, kb, layered, matrices, parse, runs, starsolo};
use crate::data::quantities::UNSPLICED;
use crate::error::{Error, Result};
use crate::io::{self, FileKind, Foreign};

/// Where counts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STARsolo's folder `Velocyto`.
    StarSolo,
    /// A folder of kb-python, workflow `nac` or `lamanno`.
    Kb,
    /// A folder of alevin-fry or simpleaf.
    AlevinFry,
    /// Cell Ranger's `molecule_info.h5`.
    CellRanger,
    /// Parse's table of transcripts.
    Parse,
    /// Matrices of spliced and of unspliced counts.
    Matrices,
    /// Two runs, one with introns and one without.
    Runs,
    /// A loom file of velocyto, kb-python or loompy.
    Loom,
    /// An `.h5ad` file with layers of counts: kb-python's, simpleaf's, nf-core's.
    H5ad,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Loom,
        Self::StarSolo,
        Self::Kb,
        Self::AlevinFry,
        Self::CellRanger,
        Self::Parse,
        Self::H5ad,
        Self::Matrices,
        Self::Runs,
    ];

    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::StarSolo => "starsolo",
            Self::Kb => "kb",
            Self::AlevinFry => "alevin-fry",
            Self::CellRanger => "cellranger",
            Self::Parse => "parse",
            Self::Matrices => "matrices",
            Self::Runs => "runs",
            Self::Loom => "loom",
            Self::H5ad => "h5ad",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::StarSolo => "a Velocyto folder of STARsolo",
            Self::Kb => "a folder of kb-python",
            Self::AlevinFry => "a folder of alevin-fry",
            Self::CellRanger => "molecule_info.h5 of Cell Ranger",
            Self::Parse => "transcripts of Parse's split-pipe",
            Self::Matrices => "matrices of spliced and unspliced counts",
            Self::Runs => "runs with introns and without",
            Self::Loom => "a loom file",
            Self::H5ad => "an .h5ad file",
        }
    }

    /// What is wrong, and what to do, where nothing is `which`.
    pub(super) fn without(self, which: &str) -> (String, &'static str) {
        match self {
            Self::CellRanger if which == UNSPLICED.key() => (
                "every molecule is exonic: the run counted without introns, or cannot see any".to_owned(),
                cellranger::WITH_INTRONS,
            ),
            _ => (
                format!("no molecule is {which} in the cells that are kept"),
                "were reads counted on a reference with introns? Without both classes there is no velocity",
            ),
        }
    }

    /// The samples of this kind at `path`.
    fn at(self, path: &Path) -> Vec<PathBuf> {
        let file = |wanted: &[FileKind]| {
            let known = path.is_file() && io::file_kind(path).is_ok_and(|kind| wanted.contains(&kind));
            if known { vec![path.to_path_buf()] } else { Vec::new() }
        };
        match self {
            Self::Loom if path.is_dir() => {
                let mut found = with_extension(path, "loom");
                found.extend(with_extension(&path.join("velocyto"), "loom"));
                found
            }
            Self::Loom => file(&[FileKind::Loom]),
            Self::StarSolo => starsolo::at(path),
            Self::Kb => kb::at(path),
            Self::CellRanger => cellranger::at(path),
            Self::Parse => parse::at(path),
            Self::Matrices => matrices::at(path),
            Self::Runs => runs::at(path),
            Self::AlevinFry => alevin::at(path),
            Self::H5ad if path.is_dir() => {
                let places = [
                    "adata.h5ad",
                    "counts_filtered/adata.h5ad",
                    "counts_unfiltered/adata.h5ad",
                    "quants.h5ad",
                    "alevin/quants.h5ad",
                    "af_quant/alevin/quants.h5ad",
                ];
                places.iter().map(|place| path.join(place)).find(|place| place.is_file()).into_iter().collect()
            }
            Self::H5ad => file(&[FileKind::H5ad]),
        }
    }

    /// Opens what was found, of most kinds a sample in each place.
    fn open(self, places: &[PathBuf], others: bool) -> Result<Vec<Source>> {
        let each = |open: &dyn Fn(&Path) -> Result<Source>| places.iter().map(|place| open(place)).collect();
        match self {
            Self::StarSolo => each(&starsolo::open),
            Self::Kb => each(&kb::open),
            Self::AlevinFry => each(&alevin::open),
            Self::Loom | Self::H5ad => each(&|path| layered::open(path, None)),
            Self::CellRanger => each(&|place| cellranger::open(place, others)),
            Self::Parse => parse::open(places, others),
            Self::Matrices => Ok(vec![matrices::open(places)?]),
            Self::Runs => Ok(vec![runs::open(places, others)?]),
        }
    }
}

/// Opens all samples of all paths, which are of one kind. If the user may keep `others` than the called cells, all are opened.
///
/// # Errors
/// [`Error::Input`] if nothing known lies at a path, or other kinds at others.
pub(super) fn open(paths: &[PathBuf], format: Option<Kind>, others: bool) -> Result<(Kind, Vec<Source>)> {
    let (mut found, mut first) = (Vec::new(), None);
    for path in paths {
        if !path.exists() {
            return Err(Error::input(path, "path", "no such file or folder", "check the path"));
        }
        let kind = format.or_else(|| kind_of(path));
        let known = kind.map(|kind| (kind, kind.at(path))).filter(|(_, samples)| !samples.is_empty());
        let Some((kind, samples)) = known else { return Err(unknown(path, format)) };
        let (before, at) = *first.get_or_insert((kind, path));
        if before != kind {
            let problem = format!("this is {}, but {} is {}", kind.title(), at.display(), before.title());
            return Err(Error::input(path, "source", problem, "import them one by one"));
        }
        found.extend(samples);
    }
    let Some((kind, _)) = first else {
        return Err(Error::Data { problem: "no source is named".to_owned(), hint: "nascent import --help".to_owned() });
    };
    Ok((kind, kind.open(&found, others)?))
}

/// Which kind of source lies at `path`.
pub(super) fn kind_of(path: &Path) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| !kind.at(path).is_empty())
}

/// What was found a moment ago is not there any more.
pub(super) fn nothing_at(path: &Path) -> Error {
    unknown(path, None)
}

fn unknown(path: &Path, format: Option<Kind>) -> Error {
    if runs::is_matrix_file(path) {
        return runs::summed(path);
    }
    // A file that is damaged or locked is told of as such.
    if path.is_file()
        && io::is_hdf5(path).unwrap_or(false)
        && let Err(error) = io::file_kind(path)
    {
        return error;
    }
    if let Some((problem, hint)) = without_split(path) {
        return Error::input(path, "source", problem, hint);
    }
    if let Some(Foreign { what, wanted, next }) = io::foreign(path) {
        return Error::input(path, "source", format!("this is {what}; wanted is {wanted}"), next);
    }
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    let problem = match format {
        Some(kind) => format!("{} was wanted, and nothing of it is here", kind.title()),
        None => "nothing that a pipeline for velocity writes was found here".to_owned(),
    };
    let hint =
        format!("give a file or folder as the pipeline wrote it; --format names what it is: {}", words.join(", "));
    Error::input(path, "source", problem, hint)
}

/// Outputs of the same pipelines that do not tell the classes apart: what they are, and what to do.
fn without_split(path: &Path) -> Option<(&'static str, &'static str)> {
    let has = |places: &[&str]| {
        places.iter().any(|place| path.join(place).exists() || path.join(format!("{place}.gz")).exists())
    };
    match () {
        () if has(&["counts_unfiltered/cells_x_genes.mtx", "cells_x_genes.mtx"]) => Some((
            "this is a run of kb's workflow standard or nucleus, which sums what is spliced and what is not",
            "count again with: kb ref --workflow nac, kb count --workflow nac",
        )),
        () if has(&["Gene/raw", "GeneFull/raw", "Solo.out/Gene/raw"]) => Some((
            "STAR was not asked for spliced and unspliced counts: there is no folder Velocyto",
            "run STAR again with --soloFeatures Gene Velocyto",
        )),
        () => None,
    }
}

fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = entries(folder)
        .into_iter()
        .filter(|path| path.is_file() && path.extension().is_some_and(|own| own == extension))
        .collect();
    found.sort();
    found
}

/// What lies in a folder, sorted; nothing where there is none.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// A sample's name from its path: the last part that is no name of pipelines.
pub(super) fn sample_of(path: &Path) -> String {
    const COMMON: [&str; 39] = [
        "raw",
        "filtered",
        "velocyto",
        "velocyto_raw",
        "velocyto_filtered",
        "solo.out",
        "outs",
        "count",
        "counts_unfiltered",
        "counts_filtered",
        "counts_unfiltered_modified",
        "alevin",
        "af_quant",
        "quant",
        "process",
        "dge_filtered",
        "all-sample",
        "molecule_info",
        "sample_molecule_info",
        "adata",
        "quants",
        "tscp_assignment",
        "matrix",
        "spliced",
        "unspliced",
        "mature",
        "exon",
        "exons",
        "exonic",
        "per_sample_outs",
        "sample_filtered_feature_bc_matrix",
        "filtered_feature_bc_matrix",
        "raw_feature_bc_matrix",
        "raw_gene_bc_matrices",
        "filtered_gene_bc_matrices",
        "raw_gene_bc_matrices_h5",
        "filtered_gene_bc_matrices_h5",
        "gene",
        "genefull",
    ];
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    for part in absolute.iter().rev() {
        let mut name = part.to_string_lossy().into_owned();
        for end in [
            ".gz",
            ".h5ad",
            ".loom",
            ".h5",
            ".csv",
            ".tsv",
            ".txt",
            ".mtx",
            ".Solo.out",
            "_raw_matrix",
            "_filtered_matrix",
        ] {
            name = name.strip_suffix(end).unwrap_or(&name).to_owned();
        }
        if !COMMON.contains(&name.to_lowercase().as_str()) && name != "/" {
            return name;
        }
    }
    "sample".to_owned()
}

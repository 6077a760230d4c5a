//! Files and folders that are none of AnnData's, but that people have in hand: what they are, and what to do with them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hdf5::Group;

use super::{features, h5};

/// What lies at a path instead of an `.h5ad` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is, with its article.
    pub what: String,
    /// What is wanted instead.
    pub wanted: &'static str,
    /// How to get there.
    pub next: String,
}

/// An `.h5ad` file.
const H5AD: &str = "an .h5ad file";
/// What reads have not been made yet.
const COUNTS: &str = "counts of spliced and unspliced molecules";

/// What lies at `path`, where it is known and no HDF5 file.
#[must_use]
pub fn foreign(path: &Path) -> Option<Foreign> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let here = path.display();
    let is = |what: &str, wanted: &'static str, next: String| Some(Foreign { what: what.to_owned(), wanted, next });
    if path.is_dir() {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let of_dropest = files.filter(|file| file.is_file()).find_map(|file| dropest(&file));
        return match () {
            () if of_dropest.is_some() => of_dropest,
            () if ends(&[".zarr"])
                || path.join(".zattrs").exists()
                || path.join(".zgroup").exists()
                || path.join("zarr.json").exists() =>
            {
                is(
                    "a .zarr store",
                    H5AD,
                    format!("python -c \"import anndata; anndata.read_zarr('{here}').write_h5ad('OUT.h5ad')\""),
                )
            }
            () if path.join("experiment.xenium").exists() => is(
                "an output of Xenium",
                "unspliced molecules: probes bind to spliced RNA",
                "no program can get them out".to_owned(),
            ),
            () => None,
        };
    }
    let start = start_of(path).unwrap_or_default();
    let begins = |signs: &[&[u8]]| signs.iter().any(|sign| start.starts_with(sign));
    match () {
        () if ends(&[".fastq", ".fastq.gz", ".fq", ".fq.gz"]) => is(
            "a file of reads",
            COUNTS,
            "count with kb count --workflow nac, STAR --soloFeatures Gene Velocyto, simpleaf quant, or Cell Ranger 7 or later"
                .to_owned(),
        ),
        () if ends(&[".bam", ".cram", ".sam"]) => is(
            "a file of aligned reads",
            COUNTS,
            "of Cell Ranger, nascent import takes molecule_info.h5 from the same folder outs, without the reads; of others, count \
             with velocyto, STARsolo, kb or alevin-fry"
                .to_owned(),
        ),
        () if dropest(path).is_some() => dropest(path),
        () if ends(&[".rds", ".rdata", ".rda", ".qs"]) => is("an R object", H5AD, FROM_R.to_owned()),
        () if begins(&[b"version https://git-lfs"]) => is(
            "a pointer of Git LFS, in place of the file itself",
            "the file",
            "fetch it: git lfs pull".to_owned(),
        ),
        () if begins(&[b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML", b"<?xml"]) => is(
            "a web page, as servers send it in place of a file",
            "the file",
            "download it again from a direct link, or after signing in".to_owned(),
        ),
        () if begins(&[b"\x1f\x8b"]) && !tabular(name.trim_end_matches(".gz")) => Some(packed(path, "gzip", "gunzip -k")),
        () if begins(&[b"BZh"]) => Some(packed(path, "bzip2", "bunzip2 -k")),
        () if begins(&[b"\xfd7zXZ"]) => Some(packed(path, "xz", "unxz -k")),
        () if begins(&[b"\x28\xb5\x2f\xfd"]) => Some(packed(path, "zstd", "unzstd -k")),
        () if begins(&[b"PK\x03\x04"]) => Some(packed(path, "zip", "unzip")),
        () if tabular(name.trim_end_matches(".gz")) => is(
            "a table",
            H5AD,
            "tables are made an .h5ad file by: nascent import SPLICED UNSPLICED --output counts.h5ad".to_owned(),
        ),
        () => None,
    }
}

/// What an HDF5 file is that has no cells and genes where AnnData has them.
pub(super) fn other_hdf5(root: &Group) -> Option<(&'static str, &'static str)> {
    let has = |name: &str| root.link_exists(name);
    match () {
        () if has("row_attrs") => Some(("a loom file", "convert it: nascent import IN.loom --output OUT.h5ad")),
        () if h5::attr_text(root, "encoding-type").is_some_and(|kind| kind == "MuData")
            || (has("mod") && !has("X")) =>
        {
            Some((
                "a file of several modalities (MuData, .h5mu)",
                "write the one with RNA: python -c \"import mudata; mudata.read_h5mu('IN.h5mu').mod['rna'].write_h5ad('OUT.h5ad')\"",
            ))
        }
        () if has("assays") && has("cell.names") => Some(("a file of Seurat (.h5seurat)", FROM_R)),
        () if has("barcode_idx") => {
            Some(("Cell Ranger's molecule_info.h5", "convert it: nascent import IN.h5 --output OUT.h5ad"))
        }
        () if !has("obs") && (has("matrix") || !features::genomes(root).is_empty()) => Some((
            "a 10x matrix, in which spliced and unspliced molecules are one number",
            "take molecule_info.h5 of the same run: nascent import molecule_info.h5 --output OUT.h5ad",
        )),
        () => None,
    }
}

/// Ways from R to an `.h5ad` file.
const FROM_R: &str = "in R: zellkonverter::writeH5AD, anndataR::write_h5ad, sceasy::convertFormat or SeuratDisk::Convert; then nascent merge";

/// What dropEst leaves: objects of R, of which those with classes of reads can be written as text. Where both lie
/// in a folder, those are told of.
fn dropest(path: &Path) -> Option<Foreign> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_object = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("rds"));
    if is_object && name.contains("counts.matrices") {
        let file = path.file_name()?.to_string_lossy();
        return Some(Foreign {
            what: "dropEst's matrices of exons, introns and reads that span both, as an object of R".to_owned(),
            wanted: "the same matrices as text",
            next: format!(
                "in R, in this folder: library(Matrix); m <- readRDS(\"{file}\"); for (n in names(m)) {{ writeMM(m[[n]], paste0(n, \".mtx\")); \
                 writeLines(rownames(m[[n]]), paste0(n, \".genes.tsv\")); writeLines(colnames(m[[n]]), paste0(n, \".barcodes.tsv\")) }}; \
                 then nascent import {} --output counts.h5ad",
                folder.display()
            ),
        });
    }
    let summed = is_object && name.contains("cell.counts");
    let beside = || folder.join("cell.counts.matrices.rds");
    if summed && beside().is_file() {
        return dropest(&beside());
    }
    summed.then(|| Foreign {
        what: "dropEst's counts, in which exons and introns are one number".to_owned(),
        wanted: COUNTS,
        next: "run dropest again with -V, which writes cell.counts.matrices.rds, and give that".to_owned(),
    })
}

fn tabular(name: &str) -> bool {
    [".csv", ".tsv", ".txt", ".mtx"].iter().any(|end| name.ends_with(end))
}

fn packed(path: &Path, with: &str, command: &str) -> Foreign {
    let next = format!("unpack it first: {command} '{}'", path.display());
    Foreign { what: format!("a file packed with {with}"), wanted: H5AD, next }
}

fn start_of(path: &Path) -> Option<Vec<u8>> {
    // A pipe would wait, and what is taken from it is gone.
    path.metadata().ok()?.is_file().then_some(())?;
    let mut start = Vec::new();
    File::open(path).ok()?.take(64).read_to_end(&mut start).ok()?;
    Some(start)
}

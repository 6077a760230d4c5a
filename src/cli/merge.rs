//! The words after `nascent merge`.

use std::path::PathBuf;

use clap::Args;

use super::import::{kinds, policies};
use super::print;
use crate::error::Result;
use crate::import::{self, Ambiguous, Kind, MergeJob};
use crate::io::OutputConfig;
use crate::progress::Terminal;

/// Adds spliced and unspliced counts to a file that already has its clusters and embedding.
///
/// Cells are found whatever stands around their barcodes (SAMPLE:…x, SAMPLE_…-1, …-1-0, …-1_2), sample by sample; genes by ids or
/// symbols. What was matched by which rule is said, and too few matches are refused with the likely reason. Everything in PROCESSED
/// stays as it is: scanpy's files, and Seurat's by zellkonverter, anndataR, SeuratDisk or sceasy.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Merge {
    /// The .h5ad file with clusters and embedding
    processed: PathBuf,
    /// Counts of its cells: what `nascent import` wrote or takes, of several samples one after the other
    #[arg(required = true, value_name = "COUNTS")]
    counts: Vec<PathBuf>,
    /// The .h5ad file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// What the counts are [default: found out]
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    format: Option<Kind>,
    /// Ambiguous molecules: drop (kept in a layer of their own), or count them as spliced or unspliced [default: as for import]
    #[arg(long, value_name = "drop|spliced|unspliced", value_parser = policies())]
    ambiguous: Option<Ambiguous>,
    /// Symbols of the genes of the counts: an id and a symbol on each line, a tab between
    #[arg(long, value_name = "FILE")]
    gene_names: Option<PathBuf>,
    /// Column of obs that tells samples apart [default: found out, where barcodes need it]
    #[arg(long, value_name = "COLUMN")]
    sample_column: Option<String>,
    /// A sample of PROCESSED and the sample of COUNTS that it is; may be repeated [default: found by barcodes and names]
    #[arg(long = "pair", value_name = "SAMPLE=SAMPLE", value_parser = pair)]
    pairs: Vec<(String, String)>,
    /// Least share of the cells of PROCESSED that must have counts, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    min_cells: f64,
    /// Least share of the genes of PROCESSED that must have counts, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    min_genes: f64,
    /// Keep cells without counts, with zeros and False in the column `has_counts` of obs [default: they are left out]
    #[arg(long)]
    keep_unmatched: bool,
    /// Replace layers of counts that PROCESSED has already
    #[arg(long)]
    replace: bool,
    /// gzip level of what is added, 0 (none) to 9
    #[arg(long, value_name = "LEVEL", default_value_t = OutputConfig::default().compression)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=9))]
    compression: u8,
}

const EXAMPLES: &str = "\
Examples:
  nascent merge processed.h5ad counts.h5ad --output merged.h5ad
  nascent merge processed.h5ad day0.loom day3.loom --output merged.h5ad
  nascent merge seurat.h5ad run1/outs/molecule_info.h5 --output merged.h5ad
  nascent merge processed.h5ad a.loom b.loom --pair 0=a --pair 1=b --output merged.h5ad";

fn pair(word: &str) -> std::result::Result<(String, String), String> {
    match word.split_once('=') {
        Some((ours, theirs)) if !ours.is_empty() && !theirs.is_empty() => Ok((ours.to_owned(), theirs.to_owned())),
        _ => Err("two names were wanted, that of the sample in PROCESSED and that in COUNTS: day0=s1".to_owned()),
    }
}

impl Merge {
    pub(super) fn run(self) -> Result<()> {
        let job = MergeJob {
            processed: self.processed,
            counts: self.counts,
            format: self.format,
            ambiguous: self.ambiguous,
            gene_names: self.gene_names,
            sample_column: self.sample_column,
            pairs: self.pairs,
            min_cells: self.min_cells,
            min_genes: self.min_genes,
            keep_unmatched: self.keep_unmatched,
            replace: self.replace,
            output: self.output,
            compression: self.compression,
        };
        let merged = import::merge(&job, &mut Terminal::default())?;
        print(&merged.to_string())
    }
}

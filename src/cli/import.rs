//! The words after `nascent import`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;

use super::print;
use crate::error::Result;
use crate::import::{self, Ambiguous, ImportJob, Kind};
use crate::io::OutputConfig;
use crate::progress::Terminal;

/// Gets spliced and unspliced counts out of what a pipeline wrote.
///
/// What lies at SOURCE is found out: a loom file of velocyto; STARsolo's Solo.out; Cell Ranger's outs or molecule_info.h5, from
/// which no BAM, GTF or new alignment is needed; the output folder, .h5ad or .loom of kb-python (nac, lamanno); that of alevin-fry or
/// simpleaf; an .h5ad of nf-core/scrnaseq; Parse's folder, or a combined one with those of its sublibraries; matrices called spliced
/// and unspliced; or two 10x matrices, folders or .h5, one run with introns and one without.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Import {
    /// Files or folders of a pipeline; of several samples, one after the other
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// The .h5ad file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// What the sources are [default: found out]
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    format: Option<Kind>,
    /// Keep the cells in this list, one barcode a line (.csv, .tsv: the first column) [default: the pipeline's own cells]
    #[arg(long, value_name = "FILE")]
    barcodes: Option<PathBuf>,
    /// Keep barcodes with at least N molecules of all classes, whether or not the pipeline took them for cells
    #[arg(long, value_name = "N")]
    min_molecules: Option<f64>,
    /// Ambiguous molecules, which exons alone do not tell: drop (kept in a layer of their own), or count them as spliced or unspliced
    /// [default: drop for velocyto and STARsolo; spliced for kb and alevin-fry, for nuclei choose unspliced]
    #[arg(long, value_name = "drop|spliced|unspliced", value_parser = policies())]
    ambiguous: Option<Ambiguous>,
    /// Symbols of genes, where the source has ids alone: an id and a symbol on each line, a tab between
    #[arg(long, value_name = "FILE")]
    gene_names: Option<PathBuf>,
    /// Names of the samples, one for each, separated by commas [default: found in names of files and folders]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    sample: Vec<String>,
    /// gzip level of the file, 0 (none) to 9
    #[arg(long, value_name = "LEVEL", default_value_t = OutputConfig::default().compression)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=9))]
    compression: u8,
}

const EXAMPLES: &str = "\
Examples:
  nascent import s1.loom s2.loom --output counts.h5ad
  nascent import Solo.out --output counts.h5ad
  nascent import run/outs/molecule_info.h5 --output counts.h5ad
  nascent import kb_nac --min-molecules 500 --output counts.h5ad
  nascent import parse_combined sub1 sub2 --output counts.h5ad
  nascent import af_quant --ambiguous unspliced --output nuclei.h5ad";

pub(super) fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    let words = PossibleValuesParser::new(Kind::ALL.map(Kind::word));
    words.map(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word).expect("a possible value"))
}

pub(super) fn policies() -> impl clap::builder::TypedValueParser<Value = Ambiguous> {
    const ALL: [Ambiguous; 3] = [Ambiguous::Drop, Ambiguous::Spliced, Ambiguous::Unspliced];
    let words = PossibleValuesParser::new(ALL.map(Ambiguous::word));
    words.map(|word| ALL.into_iter().find(|policy| policy.word() == word).expect("a possible value"))
}

impl Import {
    pub(super) fn run(self) -> Result<()> {
        let job = ImportJob {
            sources: self.sources,
            format: self.format,
            barcodes: self.barcodes,
            min_molecules: self.min_molecules,
            ambiguous: self.ambiguous,
            gene_names: self.gene_names,
            samples: self.sample,
            output: self.output,
            compression: self.compression,
        };
        let imported = import::import(&job, &mut Terminal::default())?;
        print(&imported.to_string())
    }
}

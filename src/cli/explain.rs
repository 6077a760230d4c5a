//! The words after `nascent explain`.

use std::path::PathBuf;

use clap::Args;

use super::{genes, print};
use crate::config::Config;
use crate::error::Result;
use crate::pipeline::{self, ExplainJob, Settings};
use crate::progress::Terminal;
use crate::report::put;

/// Says of each gene whether it is kept, and which filter took it otherwise, with its value and the bound.
///
/// Preprocessing is done as `nascent train` does it. Of a fitted file, its settings are those of the fit, and what the model looked at
/// when it chose velocity genes is told, too. Without --genes, it is said how many genes each filter takes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// An .h5ad file with counts, fitted or not
    file: PathBuf,
    /// Genes to explain, by names, symbols or ids: with commas between them, or a file with one per line
    #[arg(long, value_name = "A,B|FILE")]
    genes: Option<String>,
    /// Write every value, bound and outcome of all genes to a table
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Settings in TOML, as for train [default: those of the fit in the file, else those of train]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, as preprocess.min_shared_counts=10; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  nascent explain counts.h5ad
  nascent explain velocity.h5ad --genes Gad1,ENSMUSG00000074637
  nascent explain counts.h5ad --set preprocess.min_shared_counts=10 --csv genes.csv";

impl Explain {
    pub(super) fn run(self) -> Result<()> {
        let settings = match &self.config {
            Some(path) => Settings::Given(Box::new(Config::load(Some(path), &self.set)?)),
            None => Settings::OfFile(self.set),
        };
        let genes = self.genes.as_deref().map(|words| genes::asked(words, &self.file)).transpose()?.unwrap_or_default();
        let explained = pipeline::explain(&ExplainJob { input: self.file, genes, settings }, &mut Terminal::default())?;
        if let Some(path) = &self.csv {
            put(path, explained.csv().as_bytes())?;
        }
        print(&explained.to_string())
    }
}

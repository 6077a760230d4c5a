//! The words for what comes after a fit.

use std::path::PathBuf;

use clap::Args;

use super::{genes, print, print_json, use_threads};
use crate::config::Analysis;
use crate::error::Result;
use crate::pipeline::{self, GraphJob, ReportJob};
use crate::progress::Terminal;

/// Settings are the defaults, overridden by `--config`, overridden by `--set`; configs/graph.toml lists them all. Results are
/// added to the file under scVelo's names.
#[derive(Args, Debug, Default)]
pub(super) struct Graph {
    /// A file with velocities and moments (layers velocity, Ms, Mu), from nascent, scVelo or veloVI
    pub(super) file: PathBuf,
    /// The .h5ad file to write [default: the same file]
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Settings in TOML
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Genes whose velocity is used: all, a true/false column of var, or a file with one gene name per line (of one name, column:NAME
    /// and ./NAME) [default: the column velocity_genes]
    #[arg(long, value_name = "all|COLUMN|FILE")]
    pub(super) genes: Option<String>,
    /// Where time starts: a cell, a label, COLUMN=LABEL, cell=NAME, a true/false column of obs, or a column of capture times (the earliest
    /// are the root) [default: the stationary states of the reversed Markov chain]
    #[arg(long, value_name = "ROOT", default_value = "", hide_default_value = true)]
    pub(super) root: String,
    /// Column of obs with groups of cells [default: clusters, cell_type, leiden, …]
    #[arg(long, value_name = "COLUMN", default_value = "", hide_default_value = true)]
    pub(super) groups: String,
    /// Embedding for the arrows, as umap for X_umap [default: umap, tsne, …; a UMAP is computed if there is none]
    #[arg(long, value_name = "BASIS", default_value = "", hide_default_value = true)]
    pub(super) basis: String,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Seed of all random draws [default: 0]
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// Change one setting, as graph.transitions.scale=5; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// The report asks first whether the arrows can be trusted. The page is one file that needs no others.
#[derive(Args, Debug, Default)]
pub(super) struct Report {
    /// A fitted file that `nascent graph` has been run on
    pub(super) file: PathBuf,
    /// The folder to write report.html and figures/ to [default: the file's name with .report instead of .h5ad]
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// The run's folder, for the curve of its loss [default: the file's name with .run instead of .h5ad]
    #[arg(long, value_name = "DIR")]
    pub(super) run: Option<PathBuf>,
    /// Column of obs with groups of cells [default: clusters, cell_type, leiden, …]
    #[arg(long, value_name = "COLUMN", default_value = "", hide_default_value = true)]
    pub(super) groups: String,
    /// Another fit of the same cells, to compare velocities with; may be repeated
    #[arg(long = "with", value_name = "FILE")]
    pub(super) others: Vec<PathBuf>,
    /// Column of obs that tells samples apart [default: the one that the fit was told of; sample, batch, …]
    #[arg(long, value_name = "COLUMN")]
    pub(super) samples: Option<String>,
    /// Settings in TOML, the same as for nascent graph
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Change one setting, as embedding.field.density=2 or input.spliced=NAME; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// Velocities are compared over the cells and velocity genes that all files have in common; and within a fit, between its samples: of one
/// that was told of samples (model.batch), and where --samples names them. For that, one file is enough.
#[derive(Args, Debug)]
pub(super) struct Compare {
    /// Fitted .h5ad files, of nascent or another program
    #[arg(num_args = 1.., required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Column of obs with groups of cells: agreement is also given for each group
    #[arg(long, value_name = "COLUMN")]
    pub(super) groups: Option<String>,
    /// Column of obs that tells samples apart: do they agree? [default: the one that the fit was told of; of a single file, also
    /// sample, batch, …]
    #[arg(long, value_name = "COLUMN")]
    pub(super) samples: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Graph {
    pub(super) fn run(self) -> Result<()> {
        use_threads(self.threads)?;
        let mut overrides = self.set;
        overrides.extend(self.seed.map(|seed| format!("seed={seed}")));
        let settings = Analysis::load(self.config.as_deref(), &overrides)?;
        let job = GraphJob {
            genes: genes::used(self.genes.as_deref(), &self.file)?,
            output: self.output.unwrap_or_else(|| self.file.clone()),
            input: self.file,
            root: self.root,
            groups: self.groups,
            basis: self.basis,
        };
        print(&pipeline::graph(&settings, &job, &mut Terminal::default())?.to_string())
    }
}

impl Report {
    pub(super) fn run(self) -> Result<()> {
        let settings = Analysis::load(self.config.as_deref(), &self.set)?;
        let job = ReportJob {
            run: self.run.unwrap_or_else(|| self.file.with_extension("run")),
            folder: self.output.unwrap_or_else(|| self.file.with_extension("report")),
            input: self.file,
            groups: self.groups,
            others: self.others,
            samples: self.samples,
        };
        let written = pipeline::report(&settings, &job, &mut Terminal::default())?;
        print(&format!("wrote {} ({:.1} MB)", written.page.display(), written.page_bytes as f64 / 1e6))
    }
}

impl Compare {
    pub(super) fn run(self) -> Result<()> {
        let found = pipeline::compare(&self.files, self.groups.as_deref(), self.samples.as_deref())?;
        if self.json { print_json(&found) } else { print(&found.to_string()) }
    }
}

//! What each command does, step by step.

#[cfg(feature = "neural")]
mod bench;
mod claim;
mod compare;
mod explain;
mod folder;
mod graph;
mod keys;
mod memory;
mod permute;
mod report;
mod samples;
mod train;
mod truth;

#[cfg(feature = "neural")]
pub use bench::{Bench, BenchJob, BenchRow, Spread, bench};
pub use claim::MARK;
pub use compare::{Comparison, One, Pair, compare};
pub use explain::{ExplainJob, Explained, Settings, explain};
pub use graph::{GraphJob, GraphSummary, graph};
pub use keys::keys;
pub use permute::{Permutation, PermuteJob, permute};
pub use report::{ReportJob, report};
pub use samples::SamplesOfFit;
pub use train::{Summary, require_velocities, train, train_shared};
pub use truth::{Known, TruthScores, against, score};

use std::path::{Path, PathBuf};

use crate::data::quantities::{SPLICED, TRUE_SPLICED, TRUE_UNSPLICED, TRUE_VELOCITY, UNSPLICED};
use crate::error::Result;
use crate::io::{self, FittedFile, OutputConfig};
use crate::metrics::{self, Evaluation};
use crate::models::VelocityModel;
use crate::simulate::{self, SimulateConfig, Simulation};

/// The files of one training run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The `.h5ad` file with counts.
    pub input: PathBuf,
    /// The `.h5ad` file to write.
    pub output: PathBuf,
    /// The run's folder.
    pub run: PathBuf,
    /// Whether to continue from the run's last checkpoint.
    pub resume: bool,
}

/// Does `work` on the device of `model`, which is opened first: one that is not there is said before anything is read.
fn on_device<R>(model: &dyn VelocityModel, work: impl FnOnce() -> Result<R>) -> Result<R> {
    match model.device() {
        #[cfg(feature = "neural")]
        Some(name) => crate::nn::device::guarded(name, work),
        _ => work(),
    }
}

/// Simulates counts and writes them with their truth. Of `written`, compression alone matters: all genes are written.
///
/// # Errors
/// If a setting cannot be used or the file cannot be written.
pub fn simulate(config: &SimulateConfig, output: &Path, written: &OutputConfig) -> Result<()> {
    written.validate()?;
    io::check_writable(output)?;
    let Simulation { counts, truth, .. } = simulate::simulate(config)?;
    let file = io::NewFile {
        counts: Vec::new(),
        x: counts.x,
        sparse_layers: vec![(SPLICED.key().to_owned(), counts.spliced), (UNSPLICED.key().to_owned(), counts.unspliced)],
        dense_layers: truth.map_or_else(Vec::new, |truth| {
            vec![
                (TRUE_VELOCITY.key().to_owned(), truth.velocity),
                (TRUE_UNSPLICED.key().to_owned(), truth.unspliced),
                (TRUE_SPLICED.key().to_owned(), truth.spliced),
            ]
        }),
        obs: counts.obs,
        var: counts.var,
        obsm: counts.obsm,
        uns: Vec::new(),
    };
    io::write_new(output, written, &file)
}

/// Evaluates the fitted file at `path`.
///
/// # Errors
/// If the file cannot be read or holds no fit.
pub fn evaluate(path: &Path) -> Result<Evaluation> {
    metrics::evaluate(&FittedFile::open(path)?.evidence()?)
}

/// Names of the devices of this build, with what is known of them.
#[must_use]
pub fn devices() -> Vec<String> {
    #[cfg(feature = "neural")]
    return crate::nn::device::describe();
    #[cfg(not(feature = "neural"))]
    return vec!["this build has no neural models, and needs no device".to_owned()];
}

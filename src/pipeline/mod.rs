//! What each command does, step by step.

mod compare;
mod graph;
mod permute;
mod report;
mod train;

pub use compare::{Comparison, One, Pair, compare};
pub use graph::{GraphJob, GraphSummary, graph};
pub use permute::{Permutation, PermuteJob, permute};
pub use report::{ReportJob, report};
pub use train::{Summary, train};

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::data::quantities::{SPLICED, TRUE_SPLICED, TRUE_UNSPLICED, TRUE_VELOCITY, UNSPLICED};
use crate::data::{Dataset, Reporter};
use crate::error::{Error, Result};
use crate::io::{self, FittedFile, OutputConfig};
use crate::metrics::{self, Evaluation};
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

/// Makes the run's folder, or clears what an earlier run left there; a folder of anything else is not touched.
fn open_folder(config: &Config, job: &Job, reporter: &mut dyn Reporter) -> Result<()> {
    let settings = job.run.join("config.toml");
    let failed = |action: &'static str| move |reason| Error::file(&job.run, action, reason);
    let is_empty = !job.run.exists() || fs::read_dir(&job.run).map_err(failed("read"))?.next().is_none();
    if !is_empty && !settings.exists() {
        return Err(Error::Config {
            place: job.run.display().to_string(),
            problem: "is not the folder of a run, and not empty".to_owned(),
            hint: "name another with --run DIR".to_owned(),
        });
    }
    if !is_empty && !job.resume {
        let message = format!("beginning anew in {} (--resume would have continued there)", job.run.display());
        reporter.say(&message);
        remove_earlier_run(&job.run)?;
    }
    fs::create_dir_all(&job.run).map_err(failed("create the folder"))?;
    if job.resume && settings.exists() {
        return Ok(());
    }
    fs::write(&settings, config.to_toml()).map_err(failed("write config.toml in"))
}

fn remove_earlier_run(dir: &Path) -> Result<()> {
    let failed = |reason| Error::file(dir, "clear", reason);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name == "checkpoints" {
            fs::remove_dir_all(&path).map_err(failed)?;
        } else if name == "metrics.jsonl" || name.starts_with("events.out.tfevents.") {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// What must be the same before and after a resumption: the settings that decide the result, and the data.
fn fingerprint(config: &Config, data: &Dataset) -> String {
    const FREE: [&str; 2] = ["device", "checkpoint_seconds"];
    let text = config.to_toml();
    let decisive = text.lines().take_while(|line| *line != "[output]");
    let kept = decisive.filter(|line| !FREE.iter().any(|key| line.starts_with(&format!("{key} = "))));
    let values = data.mu.iter().chain(&data.ms).map(|value| u64::from(value.to_bits()));
    let hash = values.fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| (hash ^ bits).wrapping_mul(0x0000_0100_0000_01b3));
    let shape = format!("data = {} cells x {} genes, {hash:016x}", data.n_obs(), data.n_vars());
    kept.chain([shape.as_str()]).collect::<Vec<_>>().join("\n")
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

/// Times training steps of VeloVAE on each device of this build.
///
/// # Errors
/// If a device cannot be used.
pub fn bench(genes: usize, batch_size: usize, steps: usize) -> Result<Vec<crate::models::Timing>> {
    crate::models::bench(genes, batch_size, steps)
}

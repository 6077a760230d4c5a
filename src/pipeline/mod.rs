//! What each command does, step by step.

mod compare;
mod folder;
mod graph;
mod permute;
mod report;

pub use compare::{Comparison, One, Pair, compare};
pub use graph::{GraphJob, GraphSummary, graph};
pub use permute::{Permutation, PermuteJob, permute};
pub use report::{ReportJob, report};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::config::Config;
use crate::data::{CellSource, Reporter};
use crate::error::Result;
use crate::io::{self, GenesWritten, OutputConfig, keys};
use crate::metrics::{self, Evaluation};
use crate::models::{Streamed, StreamingModel};
use crate::preprocess;
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

/// What a training run has to say for itself.
#[derive(Clone, Debug)]
pub struct Summary {
    n_obs: usize,
    n_vars: usize,
    velocity_genes: usize,
    output: PathBuf,
    run: PathBuf,
    citations: &'static [&'static str],
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "velocities of {} cells in {} genes, {} of them velocity genes",
            self.n_obs, self.n_vars, self.velocity_genes
        )?;
        writeln!(f, "  written to   {}", self.output.display())?;
        writeln!(f, "  run's folder {} (tensorboard --logdir {})", self.run.display(), self.run.display())?;
        write!(f, "  please cite  {}", self.citations.join("; "))
    }
}

/// Runs `config` from file to file.
///
/// # Errors
/// Whatever stopped the run; the output is then as it was before.
pub fn train(config: &Config, job: &Job, mut reporter: Box<dyn Reporter>, stop: Arc<AtomicBool>) -> Result<Summary> {
    folder::check(config, job)?;
    io::check_writable(&job.output)?;
    if let Some(model) = config.model.as_model().streaming() {
        return train_streaming(config, model, job, reporter, stop);
    }
    let counts = io::read(&job.input, &config.input)?;
    let (mut data, report) = preprocess::run(&counts, &config.preprocess)?;
    drop(counts);
    report.steps.iter().for_each(|step| reporter.say(&step.to_string()));
    report.warnings.iter().for_each(|warning| reporter.warn(warning));
    let model = config.model.as_model();
    if model.in_counts() && data.scaling.is_some() {
        reporter.say("this model explains counts: of the recipe it takes the genes, and Mu and Ms stay in counts");
        data = data.in_counts();
    }

    let mut run = folder::run(config, job, Some(&data), reporter).stopped_by(stop);
    let fit = model.fit(&data, &mut run)?;
    run.prepare()?;
    io::write(&job.output, &job.input, &config.output, &data, &fit, &params(config))?;
    Ok(Summary {
        n_obs: data.n_obs(),
        n_vars: data.n_vars(),
        velocity_genes: fit.genes.velocity_genes.iter().filter(|&&chosen| chosen).count(),
        output: job.output.clone(),
        run: job.run.clone(),
        citations: model.citations(),
    })
}

/// The same with cells read block after block. Nothing is written that runs over cells *and* genes.
fn train_streaming(
    config: &Config,
    model: &dyn StreamingModel,
    job: &Job,
    reporter: Box<dyn Reporter>,
    stop: Arc<AtomicBool>,
) -> Result<Summary> {
    let source = io::CellStream::open(&job.input, &config.input)?;
    let mut run = folder::run(config, job, None, reporter).stopped_by(stop);
    let Streamed { genes, fit } = model.fit(&source, &config.preprocess, &mut run)?;
    run.prepare()?;
    let n_obs = source.n_obs();
    drop(source);
    // Without layers there is no reason to cut the file.
    let kept = if config.output.genes == GenesWritten::Auto { GenesWritten::All } else { config.output.genes };
    let written = OutputConfig { genes: kept, ..config.output.clone() };
    let results = io::Results::without_layers(&fit, &params(config));
    io::write_results(&job.output, &job.input, &written, &genes, &results)?;
    Ok(Summary {
        n_obs,
        n_vars: genes.len(),
        velocity_genes: fit.genes.velocity_genes.iter().filter(|&&chosen| chosen).count(),
        output: job.output.clone(),
        run: job.run.clone(),
        citations: config.model.as_model().citations(),
    })
}

/// What `uns["velocity_params"]` records.
fn params(config: &Config) -> serde_json::Value {
    serde_json::json!({
        keys::CAPTURE_TIME: config.model.as_model().capture_time().unwrap_or_default(),
        "program": concat!("nascent ", env!("CARGO_PKG_VERSION")),
        "seed": config.seed,
        "config": config.to_toml(),
    })
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
        sparse_layers: vec![(keys::SPLICED.to_owned(), counts.spliced), (keys::UNSPLICED.to_owned(), counts.unspliced)],
        dense_layers: truth.map_or_else(Vec::new, |truth| {
            vec![
                (keys::TRUE_VELOCITY.to_owned(), truth.velocity),
                (keys::TRUE_UNSPLICED.to_owned(), truth.unspliced),
                (keys::TRUE_SPLICED.to_owned(), truth.spliced),
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
    metrics::evaluate(&io::read_fitted(path)?.evidence())
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

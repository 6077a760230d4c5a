//! From a file with counts to a file with velocities.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Claimed;
use super::{Job, folder, memory, on_device};
use crate::config::Config;
use crate::data::{
    CaptureTimes, CellSource, Dataset, Fit, FitRecord, Frame, NeighborsRecord, Reporter, Run, Silent, Stop, Team,
};
use crate::error::{Error, Result, require};
use crate::io::{self, GenesWritten, InputConfig, OutputConfig, Written};
use crate::models::{Streamed, StreamingModel, VelocityModel};
use crate::preprocess::{self, GraphSource, PreprocessConfig};

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
#[allow(clippy::missing_panics_doc, reason = "a process that is alone leads, and has a summary")]
pub fn train(config: &Config, job: &Job, reporter: Box<dyn Reporter>, stop: impl Into<Stop>) -> Result<Summary> {
    let summary = train_shared(config, job, Team::default(), reporter, stop.into())?;
    Ok(summary.expect("the only process leads"))
}

/// The same by the processes of `team`, of which one leads, talks and writes: the others have no summary.
///
/// # Errors
/// As [`train`]; [`Error::Setting`] if the model cannot be shared; if another process has ended.
pub fn train_shared(
    config: &Config,
    job: &Job,
    team: Team,
    reporter: Box<dyn Reporter>,
    stop: Stop,
) -> Result<Option<Summary>> {
    let model = config.model.as_model();
    require(
        team.is_alone() || model.shares(),
        "model.kind",
        config.model.kind(),
        "must be dynamical, or soft_grid with a likelihood of counts, for several processes to share a fit; start one process",
    )?;
    let mut reporter = if team.leads() { reporter } else { Box::new(Silent) };
    let claimed = if team.leads() { Some(claim(config, job, reporter.as_mut())?) } else { None };
    team.meet(&mut |words| reporter.say(words))?;
    let config = &with_known_layers(config, &job.input, reporter.as_mut());
    // The claim itself stays here to the end: the run gives up its own once its folder is made.
    let begun = Begun { job, claimed: claimed.clone(), team, reporter, stop };
    on_device(model, || match config.model.as_model().streaming() {
        Some(model) => train_streaming(config, model, begun),
        None => train_held(config, begun),
    })
}

/// Checks that the output can be written, and claims the run's folder.
fn claim(config: &Config, job: &Job, reporter: &mut dyn Reporter) -> Result<Claimed> {
    require(
        job.output != job.run,
        "--output",
        job.output.display(),
        "must differ from the run's folder, which --run names",
    )?;
    // Before the run's folder is made, with which the output's could come to be.
    io::check_writable(&job.output)?;
    folder::claim(config, job, reporter)
}

/// A training run before its data are read.
struct Begun<'a> {
    job: &'a Job,
    /// The folder of the run, of the process that leads.
    claimed: Option<Claimed>,
    team: Team,
    reporter: Box<dyn Reporter>,
    stop: Stop,
}

impl Begun<'_> {
    /// The run, which all processes begin alike.
    fn run(self, config: &Config, data: Option<&Prepared>) -> Result<Run> {
        let run = folder::run(config, self.job, data, self.claimed.as_ref(), self.reporter);
        let run = run.stopped_by(self.stop).shared_by(self.team);
        run.team().agree(&run.fingerprint())?;
        Ok(run)
    }
}

/// Fails unless a fit of `config` will have velocities of cells, which a velocity graph and a report need.
///
/// # Errors
/// [`Error::Setting`].
pub fn require_velocities(config: &Config) -> Result<()> {
    match config.model.as_model().streaming() {
        Some(model) if !model.has_layers() => Err(Error::Setting {
            key: "model.stream".to_owned(),
            value: "true".to_owned(),
            wanted:
                "a fit that streams writes no velocities of cells, so it can have no velocity graph and no --report; \
                     leave out --report, or set model.stream = false"
                    .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// With all cells in memory.
fn train_held(config: &Config, mut begun: Begun) -> Result<Option<Summary>> {
    let job = begun.job;
    let read = io::Stamp::of(&job.input)?;
    memory::tell(config, &io::sizes(&job.input, &config.input)?, begun.reporter.as_mut())?;
    let prepared = prepare(config, &job.input, begun.reporter.as_mut())?;
    let mut run = begun.run(config, Some(&prepared))?;
    let Prepared { data, counts } = prepared;
    tell_capture(config.model.as_model(), &data.obs, &mut run)?;
    let fit = config.model.as_model().fit(&data, &mut run)?;
    if !run.team().leads() {
        return Ok(None);
    }
    finite(&fit, &mut run)?;
    run.prepare()?;

    let summary = Summary::new(config, job, [data.n_obs(), data.n_vars()], &fit);
    let PreprocessConfig { use_rep, batch, .. } = config.preprocess.clone();
    let neighbors = NeighborsRecord { use_rep, batch, ..NeighborsRecord::default() };
    let record = FitRecord { neighbors, ..record(config, &fit, counts) };
    let written = io::write_fit(&job.output, &read, &config.output, data, fit, record)?;
    account(&written, run.reporter());
    Ok(Some(summary))
}

/// The same settings; where the file has its counts under other names of the field, with these.
pub(super) fn with_known_layers(config: &Config, input: &Path, reporter: &mut dyn Reporter) -> Config {
    let known = config.input.or_known(input);
    if known != config.input {
        let InputConfig { spliced, unspliced } = &known;
        reporter.say(&format!("layers {spliced:?} and {unspliced:?} are taken as spliced and unspliced counts"));
        if spliced == "mature" {
            reporter.warn(
                "of kb-python, most spliced molecules are in the layer \"ambiguous\", which is left out: nascent import counts them",
            );
        }
    }
    Config { input: known, ..config.clone() }
}

/// The data of a run, and the fingerprint of the counts that they come from.
pub(super) struct Prepared {
    pub(super) data: Dataset,
    pub(super) counts: String,
}

/// Reads and preprocesses the counts for the model of `config`, and says what was done.
///
/// # Errors
/// Whatever reading and preprocessing can meet.
pub(super) fn prepare(config: &Config, input: &Path, reporter: &mut dyn Reporter) -> Result<Prepared> {
    // A graph that is not used need not be sound.
    let computed = config.preprocess.neighbors == GraphSource::Compute || config.preprocess.seeks_neighbors();
    let read = if computed { io::read_without_neighbors } else { io::read };
    let counts = read(input, &config.input)?;
    let fingerprint = counts.fingerprint();
    let (mut data, report) = preprocess::run(&counts, &config.preprocess)?;
    drop(counts);
    report.steps.iter().for_each(|step| reporter.say(&step.to_string()));
    report.warnings.iter().for_each(|warning| reporter.warn(warning));
    if config.model.as_model().in_counts() && data.scaling.is_some() {
        reporter.say("this model is fitted to counts: only the choice of genes is used of the recipe \"velovi\"; Mu and Ms are not scaled");
        data = data.in_counts();
    }
    Ok(Prepared { data, counts: fingerprint })
}

/// The same with cells read block after block. What runs over cells *and* genes is made as it is written.
fn train_streaming(config: &Config, model: &dyn StreamingModel, begun: Begun) -> Result<Option<Summary>> {
    let job = begun.job;
    let read = io::Stamp::of(&job.input)?;
    let source: Arc<dyn CellSource> = Arc::new(io::CellStream::open(&job.input, &config.input)?);
    let mut run = begun.run(config, None)?;
    tell_capture(config.model.as_model(), source.obs(), &mut run)?;
    let Streamed { genes, fit, layers } = model.fit(&source, &config.preprocess, &mut run)?;
    if !run.team().leads() {
        return Ok(None);
    }
    finite(&fit, &mut run)?;
    run.prepare()?;
    let summary = Summary::new(config, job, [source.n_obs(), genes.len()], &fit);
    let input = format!("{} cells x {} genes, streamed", source.n_obs(), source.n_vars());
    drop(source);
    // Without layers there is no reason to cut the file.
    let cut = layers.is_some() || config.output.genes != GenesWritten::Auto;
    let kept = if cut { config.output.genes } else { GenesWritten::All };
    if layers.is_some() {
        run.reporter().say("layers are computed and written, cells block after block");
    }
    let output = OutputConfig { genes: kept, ..config.output.clone() };
    let record = record(config, &fit, input);
    let written = io::write_streamed_fit(&job.output, &read, &output, &genes, (fit, layers), record)?;
    account(&written, run.reporter());
    Ok(Some(summary))
}

/// Stops before numbers are written that are not finite where they should be.
fn finite(fit: &Fit, run: &mut Run) -> Result<()> {
    fit.values().check_finite()?.iter().for_each(|warning| run.reporter().warn(warning));
    Ok(())
}

/// Says how capture times were understood.
fn tell_capture(model: &dyn VelocityModel, obs: &Frame, run: &mut Run) -> Result<()> {
    let times = CaptureTimes::read(obs, model.capture())?;
    if !times.told().is_empty() {
        run.reporter().say(times.told());
    }
    Ok(())
}

/// What there is to say of a fit, but for its neighbours and what is written.
fn record(config: &Config, fit: &Fit, input: String) -> FitRecord {
    FitRecord {
        model: config.model.kind().to_owned(),
        mode: fit.mode.clone(),
        seed: config.seed,
        settings: serde_json::to_value(config).expect("settings are words, numbers, lists and tables"),
        input,
        capture_time: config.model.as_model().capture().column.to_owned(),
        facts: fit.facts.clone(),
        ..FitRecord::default()
    }
}

/// What the file lost and what it did not get, a line each.
fn account(written: &Written, reporter: &mut dyn Reporter) {
    if !written.removed.is_empty() {
        reporter.say(&format!("removed, as results of an earlier fit: {}", by_slot(&written.removed)));
    }
    if !written.left_out.is_empty() {
        reporter.say(&format!("not written (output.layers = \"all\" writes them): {}", by_slot(&written.left_out)));
    }
    if !written.uncut.is_empty() {
        reporter.say(&format!(
            "not copied, because they cannot be restricted to the fitted genes: {}",
            written.uncut.join(", ")
        ));
    }
}

/// Names such as `layers/fit_t`, those of one place together: `layers fit_t, velocity; obs latent_time`.
pub(super) fn by_slot(paths: &[String]) -> String {
    let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
    for (slot, key) in paths.iter().filter_map(|path| path.split_once('/')) {
        match parts.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, keys)) => keys.push(key),
            None => parts.push((slot, vec![key])),
        }
    }
    parts.iter().map(|(slot, keys)| format!("{slot} {}", keys.join(", "))).collect::<Vec<_>>().join("; ")
}

impl Summary {
    fn new(config: &Config, job: &Job, [n_obs, n_vars]: [usize; 2], fit: &Fit) -> Self {
        Self {
            n_obs,
            n_vars,
            velocity_genes: fit.n_velocity_genes(),
            output: job.output.clone(),
            run: job.run.clone(),
            citations: config.model.as_model().citations(),
        }
    }
}

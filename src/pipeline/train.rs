//! From a file with counts to a file with velocities.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Job, folder};
use crate::config::Config;
use crate::data::quantities::{
    CONNECTIVITIES, DISTANCES, FIT_S, FIT_STD_S, FIT_STD_U, FIT_U, MS, MS_MIN, MS_RAW, MS_SPAN, MU, MU_MIN, MU_RAW, MU_SPAN, NEIGHBORS, VELOCITY_SPLIT, Values,
    X_PCA,
};
use crate::data::{
    CellSource, Dataset, Fit, FitRecord, MomentScaling, Moments, NeighborsRecord, ReconstructionRecord, Reporter, Source, parts,
};
use crate::error::Result;
use crate::io::{self, GenesWritten, OutputConfig, Written};
use crate::metrics::{self, Evidence};
use crate::models::{Streamed, StreamingModel};
use crate::preprocess;

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
    let prepared = prepare(config, &job.input, reporter.as_mut())?;
    let mut run = folder::run(config, job, Some(&prepared), reporter).stopped_by(stop);
    let Prepared { data, counts } = prepared;
    let fit = config.model.as_model().fit(&data, &mut run)?;
    run.prepare()?;

    let summary = Summary::new(config, job, [data.n_obs(), data.n_vars()], &fit);
    let record = FitRecord { neighbors: neighbors_of(&data), ..record(config, &fit, counts) };
    let (genes, values, record) = results(data, fit, record, &config.output)?;
    let written = io::write_fit(&job.output, &job.input, &config.output, &genes, values, record)?;
    account(&written, run.reporter());
    Ok(summary)
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
    let counts = io::read(input, &config.input)?;
    let fingerprint = counts.fingerprint();
    let (mut data, report) = preprocess::run(&counts, &config.preprocess)?;
    drop(counts);
    report.steps.iter().for_each(|step| reporter.say(&step.to_string()));
    report.warnings.iter().for_each(|warning| reporter.warn(warning));
    if config.model.as_model().in_counts() && data.scaling.is_some() {
        reporter.say("this model explains counts: of the recipe it takes the genes, and Mu and Ms stay in counts");
        data = data.in_counts();
    }
    Ok(Prepared { data, counts: fingerprint })
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
    let summary = Summary::new(config, job, [source.n_obs(), genes.len()], &fit);
    let input = format!("{} cells x {} genes, streamed", source.n_obs(), source.n_vars());
    drop(source);
    // Without layers there is no reason to cut the file.
    let kept = if config.output.genes == GenesWritten::Auto { GenesWritten::All } else { config.output.genes };
    let output = OutputConfig { genes: kept, ..config.output.clone() };
    let record = record(config, &fit, input);
    let written = io::write_fit(&job.output, &job.input, &output, &genes, fit.into_values(), record)?;
    account(&written, run.reporter());
    Ok(summary)
}

/// What there is to say of a fit, but for its neighbours and what is written.
fn record(config: &Config, fit: &Fit, input: String) -> FitRecord {
    FitRecord {
        model: config.model.kind().to_owned(),
        mode: fit.mode.clone(),
        seed: config.seed,
        settings: serde_json::to_value(config).expect("settings are words, numbers, lists and tables"),
        input,
        moments: fit.moments,
        capture_time: config.model.as_model().capture_time().unwrap_or_default().to_owned(),
        facts: fit.facts.clone(),
        ..FitRecord::default()
    }
}

fn neighbors_of(data: &Dataset) -> NeighborsRecord {
    NeighborsRecord {
        source: if data.neighbors_from_file { Source::File } else { Source::Computed },
        key: NEIGHBORS.key().to_owned(),
        n_neighbors: data.neighbors.n_neighbors,
    }
}

/// What is written of a fit and of the data that it was made from: positions of the genes, quantities, and the record with what
/// was measured. Moments are the data's unless the model brings its own.
fn results(data: Dataset, fit: Fit, mut record: FitRecord, output: &OutputConfig) -> Result<(Vec<usize>, Values, FitRecord)> {
    let mut values = fit.into_values();
    let of_model = record.moments == Moments::CellSize;
    if !of_model {
        values.set(MS, data.ms);
        values.set(MU, data.mu);
    }
    record.reconstruction = reconstruction(&mut values, data.scaling.as_ref())?;
    if let Some(scaling) = data.scaling {
        record.moments = Moments::Scaled;
        for (raw, scaled, of) in [(MS_RAW, MS, &scaling.ms), (MU_RAW, MU, &scaling.mu)] {
            if output.wants(raw.about()) {
                let mut restored = values.get(scaled).expect("set above").clone();
                of.restore(&mut restored);
                values.set(raw, restored);
            } else {
                record.left_out.push(raw.about().path(raw.key()));
            }
        }
        values.set(MS_MIN, scaling.ms.min);
        values.set(MS_SPAN, scaling.ms.span);
        values.set(MU_MIN, scaling.mu.min);
        values.set(MU_SPAN, scaling.mu.span);
    }
    if !data.neighbors_from_file {
        if !data.pca.is_empty() {
            values.set(X_PCA, data.pca);
        }
        values.set(NEIGHBORS, io::neighbors_record(data.neighbors.n_neighbors));
        values.set(CONNECTIVITIES, data.neighbors.connectivities);
        values.set(DISTANCES, data.neighbors.distances);
    }
    Ok((data.genes, values, record))
}

/// How well a fit reconstructs its moments, in counts.
fn reconstruction(values: &mut Values, scaling: Option<&MomentScaling>) -> Result<ReconstructionRecord> {
    let layers = [MU, MS, FIT_U, FIT_S];
    if layers.iter().any(|&layer| values.get(layer).is_none()) {
        return Ok(ReconstructionRecord::default());
    }
    // Lent, not copied: these are the largest arrays there are.
    let shared = layers.map(|layer| values.take(layer).expect("looked up above").into_shared());
    let [mu, ms, fit_u, fit_s] = &shared;
    let std = values.get(FIT_STD_U).cloned().zip(values.get(FIT_STD_S).cloned());
    let mut evidence = Evidence {
        moments: Some([mu.clone(), ms.clone()]),
        reconstruction: Some([fit_u.clone(), fit_s.clone()]),
        residual_std: std.map(|(u, s)| [u, s]),
        split: values.get(VELOCITY_SPLIT).map(|split| parts(&split.clone().into())),
        ..Evidence::default()
    };
    if let Some(scaling) = scaling {
        evidence.restore(scaling)?;
    }
    let found = metrics::reconstructed(&evidence);
    drop(evidence);
    for (layer, matrix) in layers.into_iter().zip(shared) {
        values.set(layer, matrix.into_owned());
    }
    found
}

/// What the file lost and what it did not get, a line each.
fn account(written: &Written, reporter: &mut dyn Reporter) {
    if !written.removed.is_empty() {
        reporter.say(&format!("removed, as results of an earlier fit: {}", written.removed.join(", ")));
    }
    if !written.left_out.is_empty() {
        reporter.say(&format!("not written (output.layers = \"all\" writes them): {}", written.left_out.join(", ")));
    }
    if !written.uncut.is_empty() {
        reporter.say(&format!("left out, for they cannot be cut to the fitted genes: {}", written.uncut.join(", ")));
    }
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

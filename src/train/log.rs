//! What training leaves behind to look at: `metrics.jsonl` and TensorBoard events.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tensorboard_rs::summary_writer::SummaryWriter;

use super::Monitored;
use crate::error::{Error, Result};

/// Scalars and histograms of one run, in two formats.
pub(super) struct Log {
    path: PathBuf,
    lines: File,
    events: SummaryWriter,
}

impl Log {
    /// Opens the log of the run in `dir`. Lines after step `last_step` are dropped: they belong to epochs that a
    /// resumed run repeats.
    pub(super) fn open(dir: &Path, last_step: Option<u64>) -> Result<Self> {
        let path = dir.join("metrics.jsonl");
        let kept = last_step.map_or_else(String::new, |last| lines_up_to(&path, last));
        fs::write(&path, kept).map_err(|reason| Error::file(&path, "write", reason))?;
        let lines = OpenOptions::new().append(true).open(&path);
        Ok(Self {
            lines: lines.map_err(|reason| Error::file(&path, "write", reason))?,
            events: SummaryWriter::new(dir),
            path,
        })
    }

    /// Records `values` at `step`.
    pub(super) fn scalars(&mut self, stage: &str, epoch: usize, step: u64, values: &[(String, f64)]) -> Result<()> {
        let mut line = Map::from_iter([
            ("stage".to_owned(), json!(stage)),
            ("epoch".to_owned(), json!(epoch)),
            ("step".to_owned(), json!(step)),
        ]);
        for (name, value) in values {
            line.insert(name.clone(), json!(value));
            self.events.add_scalar(name, *value as f32, step as usize);
        }
        self.events.flush();
        writeln!(self.lines, "{}", Value::Object(line)).map_err(|reason| Error::file(&self.path, "write", reason))
    }

    /// Records the distributions of `quantities` at `step`.
    pub(super) fn histograms(&mut self, step: u64, quantities: &[Monitored]) {
        for quantity in quantities.iter().filter(|quantity| !quantity.values.is_empty()) {
            add_histogram(&mut self.events, quantity, step as usize);
        }
        self.events.flush();
    }
}

fn lines_up_to(path: &Path, last_step: u64) -> String {
    // A missing log is no reason to refuse to go on, and a line that a kill cut in half belongs to the epochs
    // that are repeated.
    let text = fs::read_to_string(path).unwrap_or_default();
    let step_of = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
    let kept = text.lines().filter(|line| step_of(line).is_some_and(|step| step <= last_step));
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn add_histogram(events: &mut SummaryWriter, quantity: &Monitored, step: usize) {
    const BINS: usize = 40;
    let values: Vec<f64> = quantity.values.iter().map(|&value| f64::from(value)).collect();
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    if !low.is_finite() || !high.is_finite() {
        return;
    }
    let width = ((high - low) / BINS as f64).max(f64::EPSILON);
    let limits: Vec<f64> = (1..=BINS).map(|bin| low + width * bin as f64).collect();
    let mut counts = vec![0.0; BINS];
    for value in &values {
        counts[(((value - low) / width) as usize).min(BINS - 1)] += 1.0;
    }
    events.add_histogram_raw(
        &format!("parameters/{}", quantity.name),
        low,
        high,
        values.len() as f64,
        values.iter().sum(),
        values.iter().map(|value| value * value).sum(),
        &limits,
        &counts,
        step,
    );
}

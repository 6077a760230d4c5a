//! What training leaves behind to look at: `metrics.jsonl` and TensorBoard events.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tensorboard_rs::summary_writer::SummaryWriter;

use super::Monitored;
use crate::error::{Error, Result};

/// Scalars and histograms of one run, in two formats. Nothing is opened or written before there is something to record.
pub(super) struct Log {
    dir: PathBuf,
    /// Last step of the checkpoint that the run goes on from.
    last_step: Option<u64>,
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    lines: File,
    events: SummaryWriter,
}

impl Log {
    /// The log of the run in `dir`. Lines after step `last_step` are dropped before the first new one is written: they belong to
    /// epochs that a resumed run repeats.
    pub(super) fn new(dir: &Path, last_step: Option<u64>) -> Self {
        Self { dir: dir.to_path_buf(), last_step, open: None }
    }

    fn open(&mut self) -> Result<&mut Open> {
        if self.open.is_none() {
            self.open = Some(Open::new(&self.dir, self.last_step)?);
        }
        Ok(self.open.as_mut().expect("it has just been opened"))
    }

    /// Records `values` at `step`.
    pub(super) fn scalars(&mut self, stage: &str, epoch: usize, step: u64, values: &[(String, f64)]) -> Result<()> {
        let mut line = Map::from_iter([
            ("stage".to_owned(), json!(stage)),
            ("epoch".to_owned(), json!(epoch)),
            ("step".to_owned(), json!(step)),
        ]);
        let log = self.open()?;
        for (name, value) in values {
            line.insert(name.clone(), json!(value));
            log.events.add_scalar(name, *value as f32, step as usize);
        }
        log.events.flush();
        // In one piece, so that a kill leaves whole lines wherever the system does.
        let line = format!("{}\n", Value::Object(line));
        log.lines.write_all(line.as_bytes()).map_err(|reason| Error::file(&log.path, "write", reason))
    }

    /// Makes sure that what was recorded is on disk: a checkpoint must not outlive the lines of its epochs.
    pub(super) fn sync(&self) -> Result<()> {
        let Some(log) = &self.open else { return Ok(()) };
        log.lines.sync_data().map_err(|reason| Error::file(&log.path, "write", reason))
    }

    /// Records the distributions of `quantities` at `step`.
    pub(super) fn histograms(&mut self, step: u64, quantities: &[Monitored]) -> Result<()> {
        let log = self.open()?;
        for quantity in quantities.iter().filter(|quantity| !quantity.values.is_empty()) {
            add_histogram(&mut log.events, quantity, step as usize);
        }
        log.events.flush();
        Ok(())
    }
}

impl Open {
    fn new(dir: &Path, last_step: Option<u64>) -> Result<Self> {
        let path = dir.join("metrics.jsonl");
        let failed = |reason| Error::file(&path, "write", reason);
        // A missing log is no reason to refuse to go on.
        let before = fs::read(&path).unwrap_or_default();
        let kept = last_step.map_or_else(String::new, |last| lines_up_to(&String::from_utf8_lossy(&before), last));
        if kept.as_bytes() != before {
            // Beside its place, then renamed: a kill at this moment leaves one or the other.
            let beside = path.with_extension("partial");
            fs::write(&beside, kept).map_err(failed)?;
            fs::rename(&beside, &path).map_err(failed)?;
        }
        let lines = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        Ok(Self { lines, events: SummaryWriter::new(dir), path })
    }
}

/// The whole lines of `text` up to step `last_step`, one for each step; a line that a kill cut in half belongs to the epochs that
/// are repeated.
fn lines_up_to(text: &str, last_step: u64) -> String {
    let step_of = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
    let mut before = None;
    let mut follows = |line: &str| {
        let step = step_of(line).filter(|&step| step <= last_step && before.is_none_or(|before| step > before));
        before = step.or(before);
        step.is_some()
    };
    let kept = text.lines().filter(|line| follows(line));
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

#[cfg(test)]
mod tests {
    use super::lines_up_to;

    #[test]
    fn what_a_kill_left_of_a_log_is_cut_to_whole_lines_each_once() {
        let line = |step: u64| format!("{{\"step\":{step}}}\n");
        let text =
            [line(1), line(2), line(2), "{\"st\n".to_owned(), line(3), line(4), "{\"step\":5".to_owned()].concat();
        assert_eq!(lines_up_to(&text, 3), [line(1), line(2), line(3)].concat());
        assert_eq!(lines_up_to(line(1).trim_end(), 3), line(1));
    }
}

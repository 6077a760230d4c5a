//! What training leaves behind to look at: `metrics.jsonl` and TensorBoard events.

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Monitored;
use super::events::Events;
use crate::data::{Reporter, write_whole};

/// Scalars and histograms of one run, in two formats. Nothing is opened or written before there is something to record.
///
/// Logs are there to be looked at: one that cannot be written is given up with a warning, and training goes on without it.
pub(super) struct Log {
    dir: PathBuf,
    /// Last step of the checkpoint that the run goes on from.
    last_step: Option<u64>,
    lines: Place<File>,
    events: Place<Events>,
}

/// One of the logs.
enum Place<T> {
    Unopened,
    Open(T),
    GivenUp,
}

impl<T> Place<T> {
    /// Does `work` with the log, which `open` opens if need be. The first failure is told, and is the end of this log.
    fn with(
        &mut self,
        what: &str,
        reporter: &mut dyn Reporter,
        open: impl FnOnce() -> Result<T>,
        work: impl FnOnce(&mut T) -> Result<()>,
    ) {
        if matches!(self, Self::GivenUp) {
            return;
        }
        let done = match self {
            Self::Open(log) => work(log),
            _ => open().and_then(|mut log| {
                work(&mut log)?;
                *self = Self::Open(log);
                Ok(())
            }),
        };
        if let Err(reason) = done {
            *self = Self::GivenUp;
            reporter.warn(&format!("{what} cannot be written: {reason}; training goes on without it"));
        }
    }
}

impl Log {
    /// The log of the run in `dir`. Lines after step `last_step` are dropped before the first new one is written: they belong to
    /// epochs that a resumed run repeats. TensorBoard is told to drop its own.
    pub(super) fn new(dir: &Path, last_step: Option<u64>) -> Self {
        Self { dir: dir.to_path_buf(), last_step, lines: Place::Unopened, events: Place::Unopened }
    }

    /// Records `values` at `step`.
    pub(super) fn scalars(
        &mut self,
        (stage, epoch, step): (&str, usize, u64),
        values: &[(String, f64)],
        reporter: &mut dyn Reporter,
    ) {
        let mut line = Map::from_iter([
            ("stage".to_owned(), json!(stage)),
            ("epoch".to_owned(), json!(epoch)),
            ("step".to_owned(), json!(step)),
        ]);
        line.extend(values.iter().map(|(name, value)| (name.clone(), json!(value))));
        // In one piece, so that a kill leaves whole lines wherever the system does.
        let line = format!("{}\n", Value::Object(line));
        let path = self.path();
        let open = || opened(&path, self.last_step);
        self.lines.with(&path.display().to_string(), reporter, open, |file| file.write_all(line.as_bytes()));
        self.event(reporter, |events| events.scalars(step, values));
    }

    /// Makes sure that what was recorded is on disk: a checkpoint should not outlive the lines of its epochs.
    pub(super) fn sync(&mut self, reporter: &mut dyn Reporter) {
        if matches!(self.lines, Place::Open(_)) {
            let path = self.path();
            let open = || opened(&path, self.last_step);
            self.lines.with(&path.display().to_string(), reporter, open, |file| file.sync_data());
        }
    }

    /// Records the distributions of `quantities` at `step`.
    pub(super) fn histograms(&mut self, step: u64, quantities: &[Monitored], reporter: &mut dyn Reporter) {
        self.event(reporter, |events| {
            quantities.iter().try_for_each(|quantity| {
                events.histogram(step, &format!("parameters/{}", quantity.name), &quantity.values)
            })
        });
    }

    fn event(&mut self, reporter: &mut dyn Reporter, work: impl FnOnce(&mut Events) -> Result<()>) {
        let what = format!("{}: events of TensorBoard", self.dir.display());
        let next_step = self.last_step.map_or(0, |last| last + 1);
        self.events.with(&what, reporter, || Events::create(&self.dir, next_step), work);
    }

    fn path(&self) -> PathBuf {
        self.dir.join("metrics.jsonl")
    }
}

/// `metrics.jsonl` at `path`, cut to what belongs before the first line that is to come.
fn opened(path: &Path, last_step: Option<u64>) -> Result<File> {
    // A missing log is no reason to refuse to go on.
    let before = fs::read(path).unwrap_or_default();
    let kept = last_step.map_or_else(String::new, |last| lines_up_to(&String::from_utf8_lossy(&before), last));
    if kept.as_bytes() != before {
        // Beside its place, then renamed: a kill at this moment leaves one or the other.
        write_whole(path, &[kept.as_bytes()])?;
    }
    OpenOptions::new().create(true).append(true).open(path)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Log, lines_up_to};
    use crate::data::Heard;

    #[test]
    fn a_log_that_cannot_be_written_is_warned_of_once_and_no_error() {
        let mut heard = Heard::default();
        let mut log = Log::new(Path::new("no/such/folder"), None);
        for step in 1..5 {
            log.scalars(("joint", 1, step), &[("train/loss".to_owned(), 1.0)], &mut heard);
            log.sync(&mut heard);
        }
        let heard = heard.warned();
        assert!(
            heard.len() == 2 && heard[0].contains("metrics.jsonl") && heard[1].contains("TensorBoard"),
            "{heard:?}"
        );
    }

    #[test]
    fn what_a_kill_left_of_a_log_is_cut_to_whole_lines_each_once() {
        let line = |step: u64| format!("{{\"step\":{step}}}\n");
        let text =
            [line(1), line(2), line(2), "{\"st\n".to_owned(), line(3), line(4), "{\"step\":5".to_owned()].concat();
        assert_eq!(lines_up_to(&text, 3), [line(1), line(2), line(3)].concat());
        assert_eq!(lines_up_to(line(1).trim_end(), 3), line(1));
    }
}

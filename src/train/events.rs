//! Events as TensorBoard reads them, in records of the crate tensorboard-rs.
//!
//! Its writers work in a thread of their own, which panics where a disk is full, and cannot say that a run goes on: the file is ours.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use protobuf::Message;
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::summary::Summary;
use tensorboard_rs::record_writer::RecordWriter;
use tensorboard_rs::summary;

/// What stands before the time in the name of a file with events.
const NAME: &str = "events.out.tfevents.";
/// Bars of a histogram.
const BINS: usize = 40;

/// A file with events, written to as they come.
pub struct Events {
    file: File,
}

impl Events {
    /// A new file in the folder `dir`, behind those that are there. If there are any, TensorBoard is told to forget what they say of step
    /// `next_step` and of what lies after it: a run that goes on repeats these steps.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn create(dir: &Path, next_step: u64) -> Result<Self> {
        let before = last_second(dir)?;
        let now = seconds() as u64;
        // TensorBoard reads files in the order of their names.
        let second = before.map_or(now, |before| now.max(before + 1));
        let path = dir.join(format!("{NAME}{second:010}.{}.nascent", std::process::id()));
        let mut events = Self { file: File::options().append(true).create_new(true).open(path)? };
        events.put(0, |event| event.set_file_version("brain.Event:2".to_owned()))?;
        if before.is_some() {
            let mut begins = SessionLog::new();
            begins.set_status(SessionLog_SessionStatus::START);
            events.put(next_step, |event| event.set_session_log(begins))?;
        }
        Ok(events)
    }

    /// Records `values`, by name, at `step`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        let mut all = Summary::new();
        for (name, number) in values {
            all.mut_value().extend(summary::scalar(name, *number as f32).take_value());
        }
        self.put(step, |event| event.set_summary(all))
    }

    /// Records the distribution of `values`, called `name`, at `step`; nothing if there are none or one is not finite.
    pub(super) fn histogram(&mut self, step: u64, name: &str, values: &[f32]) -> Result<()> {
        let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        if values.is_empty() || !low.is_finite() || !high.is_finite() {
            return Ok(());
        }
        let width = ((high - low) / BINS as f64).max(f64::EPSILON);
        let limits: Vec<f64> = (1..=BINS).map(|bin| low + width * bin as f64).collect();
        let mut counts = vec![0.0; BINS];
        for value in &values {
            counts[(((value - low) / width) as usize).min(BINS - 1)] += 1.0;
        }
        let squares = values.iter().map(|value| value * value).sum();
        let (all, sum) = (values.len() as f64, values.iter().sum());
        let drawn = summary::histogram_raw(name, low, high, all, sum, squares, &limits, &counts);
        self.put(step, |event| event.set_summary(drawn))
    }

    /// Writes one event in one piece, so that a kill leaves whole records wherever the system does.
    fn put(&mut self, step: u64, what: impl FnOnce(&mut Event)) -> Result<()> {
        let mut event = Event::new();
        event.set_wall_time(seconds());
        event.set_step(step.cast_signed());
        what(&mut event);
        let mut record = Vec::new();
        RecordWriter::new(&mut record).write(&event.write_to_bytes()?)?;
        self.file.write_all(&record)
    }
}

/// The second in the name of the last file with events in `dir`, if there is one.
fn last_second(dir: &Path) -> Result<Option<u64>> {
    let mut last = None;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(rest) = name.to_string_lossy().strip_prefix(NAME) {
            let second = rest.split('.').next().and_then(|second| second.parse().ok());
            last = last.max(Some(second.unwrap_or(0)));
        }
    }
    Ok(last)
}

/// Seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |passed| passed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn files_of_one_run_are_in_the_order_in_which_they_were_made() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut made: Vec<String> = Vec::new();
        for _ in 0..3 {
            Events::create(folder.path(), 0).expect("written");
            let names = std::fs::read_dir(folder.path()).expect("readable");
            let mut names: Vec<String> =
                names.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            assert!(names.len() == made.len() + 1 && names[..made.len()] == made, "{names:?}");
            made = names;
        }
    }
}

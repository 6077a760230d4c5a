//! Events as TensorBoard reads them: records of a length, the event in protocol buffers, and checksums of both.
//!
//! Source: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto, tensorflow/core/lib/io/record_writer.h.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

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
        events.put(0, |event| event.bytes(3, b"brain.Event:2"))?;
        if before.is_some() {
            // SessionLog: status = START.
            events.put(next_step, |event| event.message(7, |log| log.integer(1, 1)))?;
        }
        Ok(events)
    }

    /// Records `values`, by name, at `step`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        self.put(step, |event| {
            event.message(5, |summary| {
                for (name, number) in values {
                    summary.message(1, |value| {
                        value.bytes(1, name.as_bytes());
                        value.float(2, *number as f32);
                    });
                }
            });
        })
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
        self.put(step, |event| {
            event.message(5, |summary| {
                summary.message(1, |value| {
                    value.bytes(1, name.as_bytes());
                    value.message(5, |histogram| {
                        let of_all = [low, high, values.len() as f64, values.iter().sum(), squares];
                        (1..).zip(of_all).for_each(|(field, number)| histogram.double(field, number));
                        histogram.doubles(6, &limits);
                        histogram.doubles(7, &counts);
                    });
                });
            });
        })
    }

    /// Writes one event in one piece, so that a kill leaves whole records wherever the system does.
    fn put(&mut self, step: u64, what: impl FnOnce(&mut Message)) -> Result<()> {
        let mut event = Message::default();
        event.double(1, seconds());
        event.integer(2, step);
        what(&mut event);
        let length = (event.0.len() as u64).to_le_bytes();
        let sums = [&length[..], &event.0].map(|bytes| masked(crc32c(bytes)).to_le_bytes());
        self.file.write_all(&[&length[..], &sums[0], &event.0, &sums[1]].concat())
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

/// A message of protocol buffers under construction: numbered fields, one behind the other.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Base 128, the least significant digits first.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.number(field << 3);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.number(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.number(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.number(field << 3 | 2);
        self.number(value.len() as u64);
        self.0.extend(value);
    }

    fn doubles(&mut self, field: u64, values: &[f64]) {
        let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &packed);
    }

    fn message(&mut self, field: u64, what: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        what(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// CRC-32C (Castagnoli).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

/// As records store it: a checksum of bytes that hold their own checksum says little.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::{Events, crc32c, masked};

    /// RFC 3720, B.4; record_writer of TensorFlow for the mask.
    #[test]
    fn checksums_are_those_of_their_definitions() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked(0), 0xa282_ead8);
    }

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

//! Damaged files can send HDF5 round in a circle, in a single call that never returns. Nothing in the process can end that call: a thread
//! that looks on notices it, and ends the program with an error.
//!
//! A call is taken for stuck if it holds HDF5's lock, and for a while nothing is read or written though the processor works. The longest
//! that HDF5 computes between two reads of a good file is a chunk to be decompressed.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::place::Place;
use super::system::told_by_system;
use crate::error::Error;

/// How long a call may compute without reading or writing.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes that say nothing: what a progress bar writes meanwhile, and what it takes to look.
const LITTLE: u64 = 64 << 10;
/// How often is looked.
const LOOK: Duration = Duration::from_millis(500);

/// The file that was opened last, for the message.
static LAST: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Remembers which file is read.
pub(super) fn reading(path: &Path) {
    if let Ok(mut last) = LAST.lock() {
        *last = Some(path.to_path_buf());
    }
}

/// Watches this process's calls of HDF5 from a thread of its own. Where one does not return, `end` is called with the
/// error; it ends the process. Does nothing on systems that do not tell how much a process has read.
pub(crate) fn watch_for_stuck_calls(end: impl Fn(&Error) + Send + 'static) {
    if bytes_moved().is_none() {
        return;
    }
    thread::spawn(move || {
        let mut since: Option<(Instant, ProcessTime, u64)> = None;
        loop {
            if hdf5_sys::LOCK.try_lock_for(LOOK).is_some() {
                since = None;
                thread::sleep(LOOK);
                continue;
            }
            let moved = bytes_moved().unwrap_or_default();
            match &since {
                Some((begun, worked, before)) if moved - *before < LITTLE => {
                    // A process that waits for its disk, or was stopped, has not worked.
                    if begun.elapsed() > PATIENCE && worked.elapsed() > PATIENCE / 2 {
                        end(&error());
                        return;
                    }
                }
                _ => since = Some((Instant::now(), ProcessTime::now(), moved)),
            }
        }
    });
}

fn error() -> Error {
    let last = LAST.lock().ok().and_then(|last| last.clone()).unwrap_or_default();
    Place::root(&last).damaged("HDF5 does not come to an end with what it was to read or write")
}

/// Bytes that this process has read and written, also those that the system had at hand; `None` where the system does not say.
fn bytes_moved() -> Option<u64> {
    let of = |key: &str| told_by_system("/proc/self/io", key)?.parse::<u64>().ok();
    Some(of("rchar:")? + of("wchar:")?)
}

//! Ctrl-C, and the signals by which systems and clusters end a program.
//!
//! The first one ends training after its epoch, with a checkpoint; everything else, and the second one, at once: files appear whole
//! or not at all, and what is under construction is removed.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::complain;
use crate::data::{self, Ending, Stop};
use crate::error::Error;
use crate::io::told_by_system;
use crate::pipeline::MARK;

/// What a run is asked by to end.
pub(super) fn heeded() -> Stop {
    let stop = Stop::default();
    listen(stop.clone());
    stop
}

fn on_signal(stop: &Stop) {
    match stop.ask() {
        // If stderr is gone there is nobody left to tell.
        Ending::AfterEpoch => {
            let _ = writeln!(std::io::stderr(), "\nending after this epoch; press Ctrl-C again to end at once");
        }
        Ending::Now { saved } => end(&Error::Interrupted { run: saved }),
    }
}

/// Ends the program from wherever it is: removes what is under construction, and says why.
pub(super) fn end(error: &Error) -> ! {
    remove_unfinished();
    complain(error);
    exit(error.exit_code().into());
}

#[cfg(unix)]
fn listen(stop: Stop) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    // `nohup` has the end of the terminal ignored, and so it stays.
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| signal != SIGHUP || !is_ignored(signal));
    // Without a handler Ctrl-C still works, only less gracefully.
    if let Ok(mut signals) = Signals::new(heeded) {
        std::thread::spawn(move || signals.forever().for_each(|_| on_signal(&stop)));
    }
}

#[cfg(not(unix))]
fn listen(stop: Stop) {
    // Without a handler Ctrl-C still works, only less gracefully.
    let _ = ctrlc::set_handler(move || on_signal(&stop));
}

/// Whether `signal` is ignored. Linux says so in a file; elsewhere only unsafe code can ask, and the answer is no.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mask = told_by_system("/proc/self/status", "SigIgn:");
    let mask = mask.and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Ends the program without the functions that libraries registered for its end: HDF5's would wait for, or take apart, the files that
/// other threads are writing.
#[cfg(unix)]
fn exit(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

#[cfg(not(unix))]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Removes what this process is writing beside the place where it will stand, and a run's folder with nothing in it: Linux says which
/// files are open; elsewhere it stays.
fn remove_unfinished() {
    data::remove_unfinished();
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<PathBuf> = open.flatten().filter_map(|link| std::fs::read_link(link.path()).ok()).collect();
    for path in open {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // What cannot be removed does no harm.
        if name == MARK
            && let Some(folder) = path.parent()
            && holds_nothing_else(folder)
        {
            let _ = std::fs::remove_file(&path).and_then(|()| std::fs::remove_dir(folder));
        }
    }
}

/// Whether a run's folder has been claimed and no more.
fn holds_nothing_else(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| entries.count() == 1)
}

//! The start of a run, kept in its folder: a run that is resumed or asked later does not fit the soft grid again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::start::Start;
use crate::data::{Run, write_whole};
use crate::error::{Error, Result};
use crate::hash::fnv1a;
use crate::train::Checkpoint;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    fingerprint: String,
    /// Of the text of the start: a file that was damaged is not believed.
    checksum: u64,
    start: Start,
}

/// Numbers are read as they were written, so that the same start has the same sum.
fn checksum(start: &Start) -> Option<u64> {
    serde_json::to_vec(start).ok().map(fnv1a)
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("start.json")
}

/// The start of `run`: the one that it has kept if it is resumed, or else that which `make` finds, which is then kept.
///
/// # Errors
/// Those of `make`, of a checkpoint that cannot be resumed from, and of writing the run's folder.
pub(super) fn of_run(run: &mut Run, make: impl FnOnce(&mut Run) -> Result<Start>) -> Result<Start> {
    if run.resumes() {
        // A run that cannot be resumed is to fail before anything is written over.
        Checkpoint::to_resume(run)?;
        if let Some(start) = load(run) {
            return Ok(start);
        }
    }
    let start = make(run)?;
    save(run, &start)?;
    Ok(start)
}

/// The start that `run` has kept; `None` if it has kept none, or one of other settings or another
/// input, or a damaged one: what is made anew is the same.
pub(super) fn load(run: &Run) -> Option<Start> {
    let text = fs::read(path_in(run.dir())).ok()?;
    let kept: Kept = serde_json::from_slice(&text).ok()?;
    let same = kept.fingerprint == run.fingerprint() && checksum(&kept.start) == Some(kept.checksum);
    same.then_some(kept.start)
}

/// Keeps `start` in the folder of `run`, which is made ready.
///
/// # Errors
/// [`Error::File`] if the folder cannot be written.
fn save(run: &mut Run, start: &Start) -> Result<()> {
    run.prepare()?;
    let path = path_in(run.dir());
    let failed = |reason: &dyn std::fmt::Display| Error::file(&path, "write", reason);
    let checksum = checksum(start).ok_or_else(|| failed(&"a number has no spelling in JSON"))?;
    let kept = Kept { fingerprint: run.fingerprint().to_owned(), checksum, start: start.clone() };
    let text = serde_json::to_vec(&kept).map_err(|reason| failed(&reason))?;
    fs::create_dir_all(run.dir()).and_then(|()| write_whole(&path, &[&text])).map_err(|reason| failed(&reason))
}

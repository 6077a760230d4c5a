//! All that the next step of a training run depends on, in one file.
//!
//! ```text
//! "nascent2" | length of the header, u64 | header, JSON | module | best module | optimisers …
//! ```
//!
//! The parts after the header are burnpack archives, whose lengths the header lists. The file is written beside
//! its place and renamed into it, so a run that is killed at any moment finds a whole checkpoint: the last one
//! or the one before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use super::stopping::Stopper;
use crate::data::Run;
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"nascent2";
/// How checkpoints of earlier versions begin: they do not say whether all stages are over.
const EARLIER: &[u8; 8] = b"nascent1";
const FOLDER: &str = "checkpoints";

/// How far training has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Number of the stage.
    pub stage: usize,
    /// Epochs of that stage that lie behind.
    pub epoch: usize,
    /// Whether the stage is over.
    pub finished: bool,
    /// Gradient steps of the whole run that lie behind.
    pub step: u64,
    pub(super) stopper: Stopper,
}

#[derive(Serialize, Deserialize)]
struct Header {
    position: Position,
    program_finished: bool,
    fingerprint: String,
    lengths: Vec<usize>,
}

/// A training run at the end of an epoch.
pub struct Checkpoint {
    /// How far training had come.
    pub position: Position,
    /// Whether training is over: no stage that the model needs is left.
    pub program_finished: bool,
    fingerprint: String,
    module: Vec<u8>,
    best: Vec<u8>,
    optimizers: Vec<Vec<u8>>,
}

impl Checkpoint {
    /// The state of a run after an epoch.
    pub(super) fn new<M: Module>(
        position: Position,
        run: &Run,
        module: &M,
        best: Option<&ModuleRecord>,
        optimizers: &[ModuleOptimizer],
    ) -> Result<Self> {
        let path = path_in(run.dir());
        let pack = |record: ModuleRecord| packed(&path, record);
        let states: Result<Vec<Vec<u8>>> = optimizers
            .iter()
            .map(|optimizer| {
                let bytes = optimizer.into_bytes().map_err(|reason| Error::file(&path, "write", reason))?;
                Ok(bytes.to_vec())
            })
            .collect();
        Ok(Self {
            position,
            program_finished: false,
            fingerprint: run.fingerprint().to_owned(),
            module: pack(snapshot(module))?,
            best: best.cloned().map(pack).transpose()?.unwrap_or_default(),
            optimizers: states?,
        })
    }

    /// Writes the checkpoint into the folder of a run, in place of the one before.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let path = path_in(dir);
        let parts = [&self.module, &self.best].into_iter().chain(&self.optimizers);
        let header = serde_json::to_vec(&Header {
            position: self.position.clone(),
            program_finished: self.program_finished,
            fingerprint: self.fingerprint.clone(),
            lengths: parts.clone().map(Vec::len).collect(),
        })
        .map_err(|reason| Error::file(&path, "write", reason))?;
        let length = (header.len() as u64).to_le_bytes();
        let parts = parts.map(Vec::as_slice);
        replace(&path, [MAGIC.as_slice(), &length, &header].into_iter().chain(parts))
    }

    /// The end of the program: `module`, of which `stage` was the last stage that counts, without optimisers.
    pub(super) fn finished_with<M: Module>(mut self, run: &Run, module: &M, stage: usize) -> Result<Self> {
        self.module = packed(&path_in(run.dir()), snapshot(module))?;
        (self.best, self.optimizers) = (Vec::new(), Vec::new());
        self.position.stage = stage;
        self.program_finished = true;
        Ok(self)
    }

    /// Reads the checkpoint of `run`; `None` if the run has not left one yet.
    ///
    /// # Errors
    /// [`Error::Input`] if the file is damaged or belongs to a run with other settings or another input.
    pub fn load(run: &Run) -> Result<Option<Self>> {
        let path = path_in(run.dir());
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(|reason| Error::file(&path, "read", reason))?;
        let damaged = || {
            let problem = match bytes.starts_with(EARLIER) {
                true => "a checkpoint of an earlier version of nascent",
                false => "not a whole checkpoint",
            };
            Error::input(&path, "file", problem, "begin anew without --resume: this run is then moved aside")
        };
        let checkpoint = Self::parse(&bytes).ok_or_else(damaged)?;
        if let Some(difference) = first_difference(&checkpoint.fingerprint, run.fingerprint()) {
            return Err(Error::input(
                &path,
                "settings",
                format!("the run was made with other settings: {difference}"),
                "resume with the same config, flags and input, or begin anew in another folder with --run DIR",
            ));
        }
        Ok(Some(checkpoint))
    }

    /// Reads the checkpoint of a run whose training is over. Nothing is written.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Config`] naming the run's folder if there is training left to do.
    pub fn finished(run: &Run) -> Result<Self> {
        let problem = match Self::load(run)? {
            Some(checkpoint) if checkpoint.program_finished => return Ok(checkpoint),
            Some(Self { position: Position { stage, epoch, .. }, .. }) => {
                format!("training is not finished: it stands at epoch {epoch} of stage {}", stage + 1)
            }
            None => "has no checkpoint of a finished training".to_owned(),
        };
        Err(Error::Config {
            place: run.dir().display().to_string(),
            problem,
            hint: "finish it first: nascent train with the same words and --resume".to_owned(),
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_at_checked(8)?;
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (header, mut rest) = rest.split_at_checked(length)?;
        let header: Header = serde_json::from_slice(header).ok()?;
        let mut parts = Vec::new();
        for length in header.lengths {
            let (part, behind) = rest.split_at_checked(length)?;
            parts.push(part.to_vec());
            rest = behind;
        }
        let mut parts = parts.into_iter();
        Some(Self {
            position: header.position,
            program_finished: header.program_finished,
            fingerprint: header.fingerprint,
            module: parts.next()?,
            best: parts.next()?,
            optimizers: parts.collect(),
        })
    }

    /// `module` with the parameters of the checkpoint.
    ///
    /// # Errors
    /// [`Error::Input`] if the checkpoint is of another network.
    pub fn restore<M: Module>(&self, dir: &Path, module: M) -> Result<M> {
        let loaded = record_of(&self.module).and_then(|record| module.try_load_record(record));
        loaded.map_err(|reason| foreign(dir, &reason))
    }

    /// The best parameters so far, if the checkpoint holds any.
    pub(super) fn best(&self, dir: &Path) -> Result<Option<ModuleRecord>> {
        if self.best.is_empty() {
            return Ok(None);
        }
        record_of(&self.best).map(Some).map_err(|reason| foreign(dir, &reason))
    }

    /// `fresh` optimisers with the state of the checkpoint.
    pub(super) fn restore_optimizers(&self, dir: &Path, fresh: Vec<ModuleOptimizer>) -> Result<Vec<ModuleOptimizer>> {
        let states = self.optimizers.iter().map(|state| Bytes::from_bytes_vec(state.clone()));
        let restored = fresh.into_iter().zip(states).map(|(optimizer, state)| optimizer.from_bytes(state));
        restored.collect::<std::result::Result<_, _>>().map_err(|reason| foreign(dir, &reason))
    }
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join("last.ckpt")
}

/// Writes `parts` to a file beside `path` and renames it into its place.
fn replace<'a>(path: &Path, parts: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let failed = |action: &'static str| move |reason: std::io::Error| Error::file(path, action, reason);
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
    let beside = path.with_extension("partial");
    let mut file = File::create(&beside).map_err(failed("write"))?;
    for part in parts {
        file.write_all(part).map_err(failed("write"))?;
    }
    file.sync_all().map_err(failed("write"))?;
    fs::rename(&beside, path).map_err(failed("rename"))
}

fn packed(path: &Path, record: ModuleRecord) -> Result<Vec<u8>> {
    let bytes = record.into_bytes();
    bytes.map(|bytes| bytes.to_vec()).map_err(|reason| Error::file(path, "write", reason))
}

fn stage_path(dir: &Path, index: usize) -> PathBuf {
    dir.join(FOLDER).join(format!("stage-{index}.params"))
}

/// Keeps the parameters with which stage `index` begins in the run's folder.
pub(super) fn keep_stage_start<M: Module>(run: &Run, index: usize, module: &M) -> Result<()> {
    let path = stage_path(run.dir(), index);
    let bytes = packed(&path, snapshot(module))?;
    replace(&path, std::iter::once(bytes.as_slice()))
}

/// `module` with the parameters with which stage `index` of the run began.
///
/// # Errors
/// If they are not in the run's folder, or are of another network.
pub fn stage_start<M: Module>(run: &Run, index: usize, module: M) -> Result<M> {
    let path = stage_path(run.dir(), index);
    let bytes = fs::read(&path).map_err(|reason| Error::file(&path, "read", reason))?;
    record_of(&bytes).and_then(|record| module.try_load_record(record)).map_err(|reason| foreign(run.dir(), &reason))
}

/// Whether the run in the folder `dir` has a checkpoint.
pub(super) fn exists(dir: &Path) -> bool {
    path_in(dir).exists()
}

/// The values of all parameters and running statistics of `module`.
#[must_use]
pub fn snapshot<M: Module>(module: &M) -> ModuleRecord {
    // Batch norm holds its latest statistics back until asked for a validation module; a record of the module itself
    // would be one batch behind, and a clone would go on sharing them.
    module.valid().into_record()
}

fn record_of(bytes: &[u8]) -> std::result::Result<ModuleRecord, RecordError> {
    ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()))
}

fn foreign(dir: &Path, reason: &dyn std::fmt::Display) -> Error {
    let hint = "begin anew without --resume: this run is then moved aside";
    Error::input(&path_in(dir), "network", format!("not of this model: {reason}"), hint)
}

/// The first key, in the order of the alphabet, whose values in two fingerprints differ, as `was …, is …`.
fn first_difference(before: &str, now: &str) -> Option<String> {
    fn by_key(text: &str) -> BTreeMap<&str, &str> {
        text.lines().map(|line| (line.split(" = ").next().unwrap_or(line), line)).collect()
    }
    let (before, now) = (by_key(before), by_key(now));
    let key = before.keys().chain(now.keys()).filter(|key| before.get(*key) != now.get(*key)).min()?;
    let show = |lines: &BTreeMap<&str, &str>| lines.get(key).map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Some(format!("was `{}`, is `{}`", show(&before), show(&now)))
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn fingerprints_are_compared_by_key_and_the_first_that_differs_is_named() {
        let before = "data = 1\nmodel.dropout = 0.2\nseed = 1";
        assert_eq!(first_difference(before, "seed = 1\ndata = 1\nmodel.dropout = 0.2"), None);
        let found = first_difference(before, "data = 1\nmodel.dropout = 0.3\nseed = 2");
        assert_eq!(found.as_deref(), Some("was `model.dropout = 0.2`, is `model.dropout = 0.3`"));
        let found = first_difference(before, "data = 1\nmodel.depth = 3\nmodel.dropout = 0.2\nseed = 1");
        assert_eq!(found.as_deref(), Some("was `nothing`, is `model.depth = 3`"));
    }
}

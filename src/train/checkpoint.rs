//! All that the next step of a training run depends on, in one file.
//!
//! ```text
//! sealed (sealed.rs): length of the header, u64 | header, JSON | module | best module | optimisers …
//! ```
//!
//! The parts after the header are burnpack archives, whose lengths the header lists. The file is written beside
//! its place and renamed into it, and the one before stays as `previous.ckpt`: a run that is killed at any moment finds a whole
//! checkpoint, and one whose last checkpoint was damaged goes on from the one before it. Both lead to the same end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use super::sealed;
use super::stopping::Stopper;
use crate::data::Run;
use crate::error::{Error, Result};

const FOLDER: &str = "checkpoints";
const BEGIN_ANEW: &str = "begin anew without --resume: this run is then moved aside";

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

/// The checkpoint that a run goes on from.
pub struct Resumption {
    checkpoint: Checkpoint,
    /// Whether it is the last one that was written.
    is_last: bool,
    /// What there is to say of the last one, if that is damaged.
    pub(super) damage: Option<String>,
}

impl Resumption {
    /// The checkpoint, which is from now on the last one of the run in `dir`. One that is damaged is kept as `damaged.ckpt`.
    ///
    /// # Errors
    /// [`Error::File`] if the system refuses.
    pub(super) fn taken_up(self, dir: &Path) -> Result<Checkpoint> {
        let path = path_in(dir);
        let moved = |from: &Path, to: &Path| fs::rename(from, to).map_err(|reason| Error::file(from, "rename", reason));
        if self.damage.is_some() {
            moved(&path, &path.with_file_name("damaged.ckpt"))?;
        }
        if !self.is_last {
            moved(&previous_in(dir), &path)?;
        }
        Ok(self.checkpoint)
    }
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

    /// Writes the checkpoint into the folder of a run. The one that was the last is kept as the one before it.
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
        let all: Vec<&[u8]> = [length.as_slice(), &header].into_iter().chain(parts.map(Vec::as_slice)).collect();
        let next = path.with_file_name("next.ckpt");
        sealed::write(&next, &all)?;
        if path.exists() {
            fs::rename(&path, previous_in(dir)).map_err(|reason| Error::file(&path, "rename", reason))?;
        }
        fs::rename(&next, &path).map_err(|reason| Error::file(&next, "rename", reason))
    }

    /// The end of the program: `module`, of which `stage` was the last stage that counts, without optimisers.
    pub(super) fn finished_with<M: Module>(mut self, run: &Run, module: &M, stage: usize) -> Result<Self> {
        self.module = packed(&path_in(run.dir()), snapshot(module))?;
        (self.best, self.optimizers) = (Vec::new(), Vec::new());
        self.position.stage = stage;
        self.program_finished = true;
        Ok(self)
    }

    /// Reads the last checkpoint of `run`; `None` if the run has not left one yet.
    ///
    /// # Errors
    /// [`Error::Input`] if the file is damaged or belongs to a run with other settings or another input.
    pub fn load(run: &Run) -> Result<Option<Self>> {
        Ok(match Found::of(run, &path_in(run.dir()))? {
            Found::Nothing => None,
            Found::Whole(checkpoint) => Some(*checkpoint),
            Found::Damaged(error) => return Err(error),
        })
    }

    /// Reads the checkpoint that `run` goes on from: the last one or, where that is damaged or a kill fell between two of them, the
    /// one before it; `None` if the run has not left one yet. Nothing is written.
    ///
    /// # Errors
    /// As [`load`](Self::load), if there is none before it that is whole.
    pub fn to_resume(run: &Run) -> Result<Option<Resumption>> {
        let damage = match Found::of(run, &path_in(run.dir()))? {
            Found::Whole(checkpoint) => {
                return Ok(Some(Resumption { checkpoint: *checkpoint, is_last: true, damage: None }));
            }
            Found::Nothing => None,
            Found::Damaged(error) => Some(error),
        };
        let previous = previous_in(run.dir());
        match (Found::of(run, &previous)?, damage) {
            (Found::Whole(checkpoint), damage) => {
                let damage = damage.map(|error| {
                    let previous = previous.display();
                    format!(
                        "{error}; the run goes on from the one before it, {previous}, and repeats the epochs after that"
                    )
                });
                Ok(Some(Resumption { checkpoint: *checkpoint, is_last: false, damage }))
            }
            (Found::Nothing, None) => Ok(None),
            (_, Some(error)) | (Found::Damaged(error), None) => Err(error),
        }
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
        let (length, rest) = bytes.split_at_checked(8)?;
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

fn previous_in(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join("previous.ckpt")
}

/// What stands where a checkpoint of a run can be.
enum Found {
    Nothing,
    Whole(Box<Checkpoint>),
    /// Or of an earlier version, with the error that says so.
    Damaged(Error),
}

impl Found {
    /// # Errors
    /// [`Error::Input`] if a whole one belongs to a run with other settings or another input.
    fn of(run: &Run, path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::Nothing);
        }
        let contents = sealed::read(path)?;
        let parsed = contents.and_then(|bytes| Checkpoint::parse(&bytes).ok_or("not a checkpoint"));
        let checkpoint = match parsed {
            Ok(checkpoint) => checkpoint,
            Err(problem) => return Ok(Self::Damaged(Error::input(path, "file", problem, BEGIN_ANEW))),
        };
        if let Some(difference) = first_difference(&checkpoint.fingerprint, run.fingerprint()) {
            return Err(Error::input(
                path,
                "settings",
                format!("the run was made with other settings: {difference}"),
                "resume with the same config, flags and input, or begin anew in another folder with --run DIR",
            ));
        }
        Ok(Self::Whole(Box::new(checkpoint)))
    }
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
    sealed::write(&path, &[&bytes])
}

/// `module` with the parameters with which stage `index` of the run began.
///
/// # Errors
/// If they are not in the run's folder, damaged, or of another network.
pub fn stage_start<M: Module>(run: &Run, index: usize, module: M) -> Result<M> {
    let path = stage_path(run.dir(), index);
    let bytes = sealed::read(&path)?.map_err(|problem| Error::input(&path, "file", problem, BEGIN_ANEW))?;
    record_of(&bytes).and_then(|record| module.try_load_record(record)).map_err(|reason| foreign(run.dir(), &reason))
}

/// Whether the run in the folder `dir` has a checkpoint.
pub(super) fn exists(dir: &Path) -> bool {
    path_in(dir).exists() || previous_in(dir).exists()
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
    Error::input(&path_in(dir), "network", format!("not of this model: {reason}"), BEGIN_ANEW)
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

//! The record of one run: its folder, its random streams, what it says and when it must stop.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Stop, Team};
use crate::error::Result;
use crate::hash::fnv1a;

/// What a run tells its user while it works.
pub trait Reporter: Send {
    /// A line of information.
    fn say(&mut self, message: &str);
    /// A line that should not be overlooked.
    fn warn(&mut self, message: &str);
    /// A stretch of `total` steps begins, `done` of which lie behind.
    fn begin(&mut self, title: &str, done: u64, total: u64);
    /// `done` steps lie behind; `state` says how it stands (the current ELBO).
    fn advance(&mut self, done: u64, state: &str);
    /// The stretch is over.
    fn end(&mut self, summary: &str);
}

/// A [`Reporter`] that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn say(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
    fn begin(&mut self, _: &str, _: u64, _: u64) {}
    fn advance(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
}

/// A [`Reporter`] that keeps what it is told, for whoever asks afterwards; its clones share it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    said: Arc<Mutex<Vec<String>>>,
    warned: Arc<Mutex<Vec<String>>>,
}

impl Heard {
    /// What was said so far.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The warnings so far.
    #[must_use]
    pub fn warned(&self) -> Vec<String> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Heard {
    fn say(&mut self, message: &str) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
    }
    fn warn(&mut self, message: &str) {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
    }
    fn begin(&mut self, _: &str, _: u64, _: u64) {}
    fn advance(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
}

/// Makes the folder of a run ready to be written in.
pub type Prepare = Box<dyn FnOnce(&mut dyn Reporter) -> Result<()> + Send>;

/// One run of a model: the only thing that models touch besides arrays.
pub struct Run {
    dir: PathBuf,
    seed: u64,
    resume: bool,
    fingerprint: String,
    stop: Stop,
    team: Team,
    prepare: Option<Prepare>,
    reporter: Box<dyn Reporter>,
}

impl Run {
    /// A run that records in `dir`, draws from `seed` and talks through `reporter`.
    ///
    /// `fingerprint` is whatever must not change between the parts of a resumed run: the effective settings
    /// and the input.
    #[must_use]
    pub fn new(dir: &Path, seed: u64, fingerprint: String, reporter: Box<dyn Reporter>) -> Self {
        Self {
            dir: dir.to_path_buf(),
            seed,
            resume: false,
            fingerprint,
            stop: Stop::default(),
            team: Team::default(),
            prepare: None,
            reporter,
        }
    }

    /// The same run, continuing from its last checkpoint if `resume`.
    #[must_use]
    pub fn resuming(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// The same run, ending at the next epoch once `stop` asks for it.
    #[must_use]
    pub fn stopped_by(mut self, stop: impl Into<Stop>) -> Self {
        self.stop = stop.into();
        self
    }

    /// The same run, whose work is shared with the other processes of `team`.
    #[must_use]
    pub fn shared_by(mut self, team: Team) -> Self {
        self.team = team;
        self
    }

    /// The same run, whose folder `prepare` makes ready before the first thing is written there.
    #[must_use]
    pub fn prepared_by(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// Makes the run's folder ready. To be called when all that can be checked has been checked and before anything is written:
    /// until then a failure leaves what an earlier run left. Does nothing the second time.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn prepare(&mut self) -> Result<()> {
        self.prepare.take().map_or(Ok(()), |prepare| prepare(self.reporter.as_mut()))
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The seed that all random streams derive from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether the run continues from its last checkpoint.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.resume
    }

    /// What must not change between the parts of a resumed run.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether the user asked the run to end.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.stop.asked()
    }

    /// What asks the run to end.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The processes that share the run's work.
    #[must_use]
    pub fn team(&self) -> &Team {
        &self.team
    }

    /// Where the run talks to.
    pub fn reporter(&mut self) -> &mut dyn Reporter {
        self.reporter.as_mut()
    }

    /// The random stream called `name`, number `index`.
    ///
    /// Streams are independent of each other, so a new draw in one place leaves every other draw as it was,
    /// and an epoch's draws do not depend on whether the epochs before it ran in the same process.
    #[must_use]
    pub fn rng(&self, name: &str, index: u64) -> ChaCha8Rng {
        stream(self.seed, name, index)
    }
}

/// The random stream called `name`, number `index`, of `seed`.
#[must_use]
pub fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let numbers = seed.to_le_bytes().into_iter().chain(index.to_le_bytes());
    ChaCha8Rng::seed_from_u64(fnv1a(numbers.chain(name.bytes())))
}

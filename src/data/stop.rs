//! The wish that a run ends, and what is in the way of fulfilling it at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a run ends that is asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with a checkpoint, when the epoch is over.
    AfterEpoch,
    /// At once: nothing would be won by waiting.
    Now {
        /// The run's folder, if the run can be continued.
        saved: Option<PathBuf>,
    },
}

/// Shared by a run and whoever may ask it to end. While epochs are trained, a run that is asked ends by itself after one of them;
/// before and after that, and when it is asked again, it can be ended at any moment, for files appear whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    training: bool,
    saved: Option<PathBuf>,
}

impl From<Arc<AtomicBool>> for Stop {
    /// With a flag that others set.
    fn from(asked: Arc<AtomicBool>) -> Self {
        Self { asked, ..Self::default() }
    }
}

impl Stop {
    /// Asks the run to end, and says how it does.
    #[must_use]
    pub fn ask(&self) -> Ending {
        let state = self.state();
        let first = !self.asked.swap(true, Ordering::Relaxed);
        if first && state.training { Ending::AfterEpoch } else { Ending::Now { saved: state.saved.clone() } }
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Epochs are trained from now on: whoever asks is to wait for one.
    pub fn training(&self) {
        self.state().training = true;
    }

    /// No epochs are trained from now on. Whether the run was asked to end before: who asked waits for it.
    #[must_use]
    pub fn trained(&self) -> bool {
        let mut state = self.state();
        state.training = false;
        self.asked()
    }

    /// The run in the folder `dir` can be continued from now on.
    pub fn saved_in(&self, dir: &Path) {
        self.state().saved = Some(dir.to_path_buf());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Stop};

    #[test]
    fn a_run_ends_after_its_epoch_when_asked_in_training_and_at_once_otherwise_or_when_asked_again() {
        assert_eq!(Stop::default().ask(), Ending::Now { saved: None });
        let stop = Stop::default();
        stop.training();
        assert_eq!(stop.ask(), Ending::AfterEpoch);
        assert!(stop.trained() && stop.asked(), "who asked in the last epoch is not forgotten");
        stop.saved_in("fit.run".as_ref());
        assert_eq!(stop.ask(), Ending::Now { saved: Some("fit.run".into()) });
    }
}

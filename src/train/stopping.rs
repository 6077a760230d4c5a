//! When a stage has learned what it can.

use serde::{Deserialize, Serialize};

/// Watches the held-out loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stopper {
    /// Lowest held-out loss so far; `None` before the first validation.
    pub best: Option<f64>,
    /// Validations since the loss last fell by enough.
    pub idle: usize,
}

/// Result of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The loss is the lowest so far.
    pub is_best: bool,
    /// The stage should end.
    pub stop: bool,
}

impl Stopper {
    pub(super) fn new() -> Self {
        Self { best: None, idle: 0 }
    }

    /// Takes in one held-out `loss`; a fall by less than `min_gain` is no gain.
    pub(super) fn look(&mut self, loss: f64, min_gain: f64, patience: usize) -> Verdict {
        let is_best = self.best.is_none_or(|best| loss < best);
        let gained = self.best.is_none_or(|best| loss < best - min_gain);
        self.idle = if gained { 0 } else { self.idle + 1 };
        if is_best {
            self.best = Some(loss);
        }
        Verdict { is_best, stop: patience > 0 && self.idle >= patience }
    }
}

#[cfg(test)]
mod tests {
    use super::Stopper;

    #[test]
    fn a_stage_ends_after_patience_looks_without_gain() {
        let mut stopper = Stopper::new();
        let losses = [10.0, 8.0, 7.99, 7.98, 7.0, 7.0, 7.0, 7.0];
        let stops: Vec<bool> = losses.iter().map(|&loss| stopper.look(loss, 0.1, 3).stop).collect();
        assert_eq!(stops, [false, false, false, false, false, false, false, true]);
    }

    #[test]
    fn without_patience_a_stage_never_ends_early() {
        let mut stopper = Stopper::new();
        assert!((0..100).all(|_| !stopper.look(1.0, 0.1, 0).stop));
    }
}

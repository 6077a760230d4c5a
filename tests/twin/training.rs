//! A short training, and one that was interrupted and resumed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nascent::data::quantities::{FIT_BETA, FIT_GAMMA, LATENT_TIME, VELOCITY};
use nascent::data::{Dataset, Fit, Reporter, Run, Silent};
use nascent::models::VelocityModel;
use nascent::models::velovae::{Init, Variant, Velovae};
use nascent::preprocess::{self, PreprocessConfig};
use nascent::simulate::{SimulateConfig, simulate};
use nascent::stats::pearson;
use serde_json::Value;

use crate::{is_flex, name};

fn simulated(cells: usize, genes: usize) -> Dataset {
    let config = SimulateConfig { cells, genes, seed: 5, ..SimulateConfig::default() };
    let simulation = simulate(&config).expect("valid settings");
    preprocess::run(&simulation.counts, &PreprocessConfig::default()).expect("valid data").0
}

/// Full VeloVAE through its first three stages.
fn settings(device: &str, epochs: usize) -> Velovae {
    let mut settings = Velovae {
        variant: Variant::Full,
        init: Init::SteadyState,
        hidden: [32, 16],
        n_samples: 1,
        start_epochs: epochs,
        refine_rounds: 0,
        ..Velovae::default()
    };
    device.clone_into(&mut settings.train.device);
    (settings.train.epochs, settings.train.patience, settings.train.check_every) = (epochs, 0, 1);
    (settings.train.learning_rate, settings.train.batch_size) = (2e-3, 120);
    settings
}

/// The bound of held-out cells after the last epoch, as logged.
fn held_out(folder: &Path) -> f64 {
    let log = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("a log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut losses = lines.filter_map(|line| line["validation/loss"].as_f64());
    -losses.next_back().expect("validations are logged")
}

/// The bound that a run on `device` ends at, and the fit.
fn train(device: &str, data: &Dataset, epochs: usize, seed: u64) -> (f64, Fit) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), seed, String::new(), Box::new(Silent));
    let fit = settings(device, epochs).fit(data, &mut run).expect("the model can be fitted");
    (held_out(folder.path()), fit)
}

/// Noise, order and first weights are the same on every device, so that rounding alone sets two devices apart: by less than a tenth of
/// what another seed does on flex.
#[test]
fn a_short_training_ends_where_flex_does() {
    let data = simulated(600, 200);
    let epochs = 8;
    let bounds = [0, 1, 2].map(|seed| train("flex", &data, epochs, seed).0);
    let spread = bounds.iter().fold(f64::MIN, |a, &b| a.max(b)) - bounds.iter().fold(f64::MAX, |a, &b| a.min(b));
    let (found, fit) = train(&name(), &data, epochs, 0);
    let (wanted, of_flex) = train("flex", &data, epochs, 0);
    let of = |fit: &Fit| -> Vec<f64> { fit[VELOCITY].iter().map(|&value| f64::from(value)).collect() };
    let alike = pearson(&of(&fit), &of(&of_flex));
    eprintln!("bound {found:.4}, flex {wanted:.4}, over seeds {spread:.4}; velocities correlate {alike:.6}");
    assert!((found - wanted).abs() < 0.1 * spread, "{found}, flex {wanted}, over seeds {spread}");
    assert!(alike > 0.99, "velocities: {alike}");
    if is_flex() {
        assert!(found.to_bits() == wanted.to_bits() && fit[VELOCITY] == of_flex[VELOCITY], "one device, one fit");
    }
}

/// Presses Ctrl-C after so many epochs.
struct Interrupting {
    epochs_left: usize,
    stop: Arc<AtomicBool>,
}

impl Reporter for Interrupting {
    fn say(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
    fn begin(&mut self, _: &str, _: u64, _: u64) {}
    fn advance(&mut self, _: u64, _: &str) {
        self.epochs_left = self.epochs_left.saturating_sub(1);
        self.stop.store(self.epochs_left == 0, Ordering::Relaxed);
    }
    fn end(&mut self, _: &str) {}
}

/// Bit for bit, within one process; a GPU that tunes its kernels may choose others in the next.
#[test]
fn a_run_that_is_interrupted_and_resumed_ends_as_if_it_had_not_been() {
    let data = simulated(600, 200);
    let settings = settings(&name(), 3);
    let whole = train(&name(), &data, 3, 0).1;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stop = Arc::new(AtomicBool::new(false));
    let reporter = Interrupting { epochs_left: 5, stop: stop.clone() };
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(reporter)).stopped_by(stop);
    assert!(settings.fit(&data, &mut run).is_err(), "the fifth of nine epochs is interrupted");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent)).resuming(true);
    let resumed = settings.fit(&data, &mut run).expect("the run can be resumed");
    assert!(whole[VELOCITY] == resumed[VELOCITY]);
    for column in [FIT_BETA, FIT_GAMMA, LATENT_TIME] {
        assert!(whole[column] == resumed[column], "{column:?}");
    }
}

//! A run whose files were damaged ends as one whose files were not, or is refused; it never ends as another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nascent::config::Config;
use nascent::data::{Reporter, Silent};
use nascent::pipeline::{self, Job};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::program::{Program, errors};
use crate::runs::SHORT;

fn program() -> Program {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 20, 1);
    program
}

/// Presses Ctrl-C after the second epoch of the stage.
pub(crate) struct EndingIn {
    pub(crate) stage: &'static str,
    pub(crate) stop: Arc<AtomicBool>,
    epochs: Option<usize>,
}

impl EndingIn {
    pub(crate) fn stage(stage: &'static str) -> (Self, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        (Self { stage, stop: Arc::clone(&stop), epochs: None }, stop)
    }
}

impl Reporter for EndingIn {
    fn say(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
    fn begin(&mut self, title: &str, _: u64, _: u64) {
        self.epochs = (title == self.stage).then_some(0);
    }
    fn advance(&mut self, _: u64, _: &str) {
        self.epochs = self.epochs.map(|epochs| epochs + 1);
        self.stop.fetch_or(self.epochs == Some(2), Ordering::Relaxed);
    }
    fn end(&mut self, _: &str) {}
}

pub(crate) fn settings() -> Config {
    let sets: Vec<String> = SHORT.split("--set ").skip(1).map(|word| word.trim().to_owned()).collect();
    Config::load(None, &sets).expect("settings")
}

pub(crate) fn job(program: &Program, name: &str, resume: bool) -> Job {
    let path = |name: String| program.path(&name);
    Job {
        input: path("counts.h5ad".into()),
        output: path(format!("{name}.h5ad")),
        run: path(format!("{name}.run")),
        resume,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path()).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for path in files(from) {
        let place = to.join(path.file_name().expect("a name"));
        if path.is_dir() { copy(&path, &place) } else { fs::copy(&path, place).map(drop).expect("copied") }
    }
}

#[test]
fn a_bit_flipped_or_a_block_zeroed_anywhere_in_what_a_run_goes_on_from_is_refused_or_changes_nothing() {
    let program = program();
    let config = settings();
    pipeline::train(&config, &job(&program, "whole", false), Box::new(Silent), Arc::new(AtomicBool::new(false)))
        .expect("a run");
    let whole = fs::read(program.path("whole.h5ad")).expect("the output is there");
    let (reporter, stop) = EndingIn::stage("round 1");
    pipeline::train(&config, &job(&program, "half", false), Box::new(reporter), stop).expect_err("it is interrupted");
    let half = program.path("half.run");
    let mut damaged = files(&half.join("checkpoints"));
    damaged.push(half.join("start.json"));
    for name in ["last.ckpt", "previous.ckpt", "stage-3.params", "start.json"] {
        assert!(damaged.iter().any(|path| path.ends_with(name)), "{name} is not in {damaged:?}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut refused, mut same) = (0, 0);
    for trial in 0..6 * damaged.len() {
        let _ = fs::remove_dir_all(program.path("parts.run"));
        copy(&half, &program.path("parts.run"));
        let path = program.path("parts.run").join(damaged[trial % damaged.len()].strip_prefix(&half).expect("within"));
        let mut bytes = fs::read(&path).expect("readable");
        if (trial / damaged.len()).is_multiple_of(2) {
            let bit = rng.random_range(0..8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        } else {
            let first = rng.random_range(0..bytes.len() / 512) * 512;
            let end = bytes.len().min(first + 512);
            bytes[first..end].fill(0);
        }
        fs::write(&path, bytes).expect("written");
        let _ = fs::remove_file(program.path("parts.h5ad"));
        match pipeline::train(
            &config,
            &job(&program, "parts", true),
            Box::new(Silent),
            Arc::new(AtomicBool::new(false)),
        ) {
            Ok(_) => {
                assert!(whole == fs::read(program.path("parts.h5ad")).expect("the output"), "trial {trial}: {path:?}");
                same += 1;
            }
            Err(error) => {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                assert!(error.exit_code() == 2 && error.to_string().contains(&name), "trial {trial}: {error}");
                assert!(error.hint().is_some_and(|hint| hint.contains("--resume")), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 6 && same >= 12, "{refused} refused, {same} to the same end");
}

#[test]
fn a_run_whose_last_checkpoint_is_damaged_says_so_and_goes_on_from_the_one_before_it() {
    let program = program();
    let words = format!("train --input counts.h5ad --output out.h5ad {SHORT}");
    program.succeed(&words);
    let whole = fs::read(program.path("out.h5ad")).expect("the output is there");
    let last = program.path("out.run/checkpoints/last.ckpt");
    let bytes = fs::read(&last).expect("a checkpoint");
    for length in [0, 5, 20, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&last, &bytes[..length]).expect("written");
        let permute = program.fail("permute --input counts.h5ad --output out.h5ad --groups clusters", 2);
        assert!(permute.contains("last.ckpt") && permute.contains("damaged"), "{permute}");
        fs::remove_file(program.path("out.h5ad")).expect("removed");
        let output = program.run(&format!("{words} --resume"));
        let said = errors(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("warning:") && said.contains("last.ckpt") && said.contains("previous.ckpt"), "{said}");
        assert!(whole == fs::read(program.path("out.h5ad")).expect("the output is there"), "{said}");
        // The run is finished again.
        program.succeed("permute --input counts.h5ad --output out.h5ad --groups clusters");
    }
    // A kill between the two names leaves the one before alone.
    fs::remove_file(&last).expect("removed");
    let said = errors(&program.run(&format!("{words} --resume")));
    assert!(said.contains("resuming after") && !said.contains("damaged"), "{said}");

    for name in ["last.ckpt", "previous.ckpt"] {
        fs::write(last.with_file_name(name), &bytes[..bytes.len() / 2]).expect("written");
    }
    let complaint = program.fail(&format!("{words} --resume"), 2);
    assert!(complaint.contains("last.ckpt") && complaint.contains("hint:"), "{complaint}");
    fs::write(&last, [b"nascent2".as_slice(), &bytes[8..]].concat()).expect("written");
    assert!(program.fail(&format!("{words} --resume"), 2).contains("earlier version"));
}

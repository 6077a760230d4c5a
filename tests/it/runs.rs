//! Nothing that a run has left is lost, whatever command comes after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nascent::config::Config;
use nascent::data::Silent;
use nascent::pipeline::{self, Job};
use serde_json::Value;

use crate::program::{Program, errors};

/// A run of a second.
pub(crate) const SHORT: &str = "--threads 1 --set model.kind=velovae --set model.init=steady_state --set model.train.epochs=12 --set model.start_epochs=2 --set model.refine_epochs=4 \
                     --set model.n_samples=2 --set model.hidden=[16,8] --set model.train.checkpoint_seconds=0";

fn program() -> Program {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 20, 1);
    program
}

/// Files below `folder` and what they hold.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(contents(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).expect("readable"));
        }
    }
    found
}

/// The lines of the log of a run, without the speeds.
pub(crate) fn logged(program: &Program, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(program.path(run).join("metrics.jsonl")).expect("a log");
    let read = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("a whole line");
        line.as_object_mut().expect("an object").remove("speed/cells_per_second").expect("a speed");
        line
    };
    text.lines().map(read).collect()
}

#[test]
fn a_run_that_is_not_resumed_is_moved_aside_whole() {
    let program = program();
    let words = format!("train --input counts.h5ad --output out.h5ad {SHORT}");
    program.succeed(&format!("{words} --seed 1"));
    let first = contents(&program.path("out.run"));
    let said = errors(&program.run(&format!("{words} --seed 2")));
    assert!(said.contains("out.run.1"), "{said}");
    assert!(first == contents(&program.path("out.run.1")));
    let second = contents(&program.path("out.run"));
    program.succeed(&format!("{words} --seed 3"));
    assert!(first == contents(&program.path("out.run.1")) && second == contents(&program.path("out.run.2")));
    assert!(fs::read_to_string(program.path("out.run/config.toml")).expect("settings").contains("seed = 3"));
}

#[test]
fn a_command_that_fails_leaves_the_run_before_it_as_it_was() {
    let program = program();
    program.succeed(&format!("train --input counts.h5ad --output out.h5ad {SHORT}"));
    let before = contents(&program.path("out.run"));
    fs::create_dir(program.path("folder.h5ad")).expect("created");
    for (words, code) in [
        ("--input counts.h5ad --output out.h5ad --device cuda", 2),
        ("--input missing.h5ad --output out.h5ad", 2),
        ("--input counts.h5ad --output out.h5ad --set preprocess.min_shared_counts=1000000", 2),
        ("--input counts.h5ad --output out.h5ad --set model.capture_time=day", 2),
        ("--input counts.h5ad --output folder.h5ad --run out.run", 1),
        ("--input counts.h5ad --output out.h5ad --resume --set model.dropout=0.3", 2),
        ("--input counts.h5ad --output out.h5ad --resume --device cuda", 2),
    ] {
        program.fail(&format!("train {words} {SHORT}"), code);
        assert!(before == contents(&program.path("out.run")), "{words}");
        assert!(!program.path("out.run.1").exists(), "{words}");
    }
    fs::write(program.path("grid.toml"), "[model]\nkind = \"soft_grid\"\nroot = \"clusters=nothing\"\n")
        .expect("written");
    program.fail("train grid.toml --input counts.h5ad --output out.h5ad", 2);
    assert!(before == contents(&program.path("out.run")), "a model without checkpoints");
}

#[test]
fn models_without_checkpoints_are_not_resumed() {
    let program = program();
    for kind in ["steady_state", "dynamical", "soft_grid"] {
        let config = format!("{kind}.toml");
        fs::write(program.path(&config), format!("[model]\nkind = \"{kind}\"\n")).expect("written");
        let words = format!("train {config} --input counts.h5ad --output {kind}.h5ad");
        // Before anything is read: the input is not even there.
        let complaint = program.fail(&format!("train {config} --input nothing.h5ad --output {kind}.h5ad --resume"), 2);
        assert!(
            complaint.contains("--resume") && complaint.contains(kind) && complaint.contains("hint:"),
            "{complaint}"
        );
        assert!(!program.path(&format!("{kind}.run")).exists());
        if kind == "steady_state" {
            program.succeed(&words);
            let before = contents(&program.path("steady_state.run"));
            program.fail(&format!("{words} --resume --seed 5"), 2);
            assert!(before == contents(&program.path("steady_state.run")));
        }
    }
}

/// A run is stopped at the end of its first stage, the only place where the end of a stage could be taken for that of training.
#[test]
fn permute_neither_trains_nor_writes_into_the_run() {
    let program = program();
    let words = format!("train --input counts.h5ad --output out.h5ad {SHORT} --set model.start_epochs=1");
    let sets: Vec<String> = words.split("--set ").skip(1).map(|word| word.trim().to_owned()).collect();
    let config = Config::load(None, &sets).expect("settings");
    let path = |name: &str| program.path(name);
    let job = Job { input: path("counts.h5ad"), output: path("out.h5ad"), run: path("out.run"), resume: false };
    let stop = Arc::new(AtomicBool::new(true));
    let stopped = pipeline::train(&config, &job, Box::new(Silent), stop).expect_err("it is stopped after one epoch");
    assert_eq!(stopped.exit_code(), 130);

    let permute = "permute --input counts.h5ad --output out.h5ad --groups clusters";
    let before = contents(&path("out.run"));
    let complaint = program.fail(permute, 2);
    assert!(complaint.contains("out.run") && complaint.contains("nascent train"), "{complaint}");
    assert!(complaint.contains("--resume"), "{complaint}");
    assert!(before == contents(&path("out.run")));

    program.succeed(&format!("{words} --resume"));
    let before = contents(&path("out.run"));
    program.succeed(permute);
    assert!(before == contents(&path("out.run")), "a run that is asked is not changed");
    assert!(program.fail(&format!("{permute}_"), 2).contains("clusters_"));
    assert!(before == contents(&path("out.run")), "nor by a command that fails");
    fs::remove_file(path("out.run/checkpoints/last.ckpt")).expect("removed");
    program.fail(permute, 2);
    let log = |files: &BTreeMap<String, Vec<u8>>| files.get("metrics.jsonl").cloned();
    assert!(log(&before) == log(&contents(&path("out.run"))), "the log is worth keeping without a checkpoint too");
}

/// What a kill leaves: a line cut in half, whole lines of epochs after the checkpoint.
#[test]
fn the_log_of_a_killed_and_resumed_run_is_that_of_one_that_was_not() {
    let program = program();
    let words = format!("train --input counts.h5ad {SHORT}");
    program.succeed(&format!("{words} --output whole.h5ad"));
    let whole = fs::read_to_string(program.path("whole.run/metrics.jsonl")).expect("a log");
    let torn = whole.lines().next_back().expect("a line");
    for cut in [1, torn.len() / 2, torn.len() - 1, torn.len()] {
        // Stopped after the first epoch; what the log then has is put there.
        let config = words.split("--set ").skip(1).map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        let config = Config::load(None, &config).expect("settings");
        let path = |name: &str| program.path(name);
        let job = Job { input: path("counts.h5ad"), output: path("parts.h5ad"), run: path("parts.run"), resume: false };
        pipeline::train(&config, &job, Box::new(Silent), Arc::new(AtomicBool::new(true))).expect_err("stopped");
        let log = path("parts.run").join("metrics.jsonl");
        let after: String = whole.lines().skip(1).take(2).flat_map(|line| [line, "\n"]).collect();
        let text = fs::read_to_string(&log).expect("a log") + &after + &torn[..cut];
        fs::write(&log, text).expect("written");
        program.succeed(&format!("{words} --output parts.h5ad --resume"));
        assert_eq!(logged(&program, "parts.run"), logged(&program, "whole.run"), "cut after {cut} letters");
    }
}

/// Step sizes at which the parameters leave the finite numbers at once, after an epoch, or never.
#[test]
fn a_run_that_diverges_leaves_a_checkpoint_that_loads_and_is_finite_or_none() {
    let program = program();
    for (name, set) in [
        ("all", "--set model.train.learning_rate=1e6 --set model.start_epochs=0"),
        ("stages", "--set model.train.learning_rate=1e6"),
        ("rates", "--set model.rate_learning_rate=1e6"),
        ("far", "--set model.train.learning_rate=1e30"),
    ] {
        let words = format!("train --input counts.h5ad --output {name}.h5ad {SHORT} {set}");
        let complaint = errors(&program.run(&words));
        let ended = complaint.contains("is not finite");
        assert!(ended || program.path(&format!("{name}.h5ad")).exists(), "{complaint}");
        let path = program.path(&format!("{name}.run/checkpoints/last.ckpt"));
        assert_eq!(ended && path.exists(), complaint.contains("the last good checkpoint is in"), "{name}: {complaint}");
        if !path.exists() {
            continue;
        }
        let numbers = parameters(&fs::read(&path).expect("a checkpoint"));
        assert!(numbers.len() > 1000 && numbers.iter().all(|number| number.is_finite()), "{name}");
        let again = errors(&program.run(&format!("{words} --resume")));
        assert_eq!(again.contains("is not finite"), ended, "{name}: it loads, and ends as before: {again}");
    }
    let complaint = program
        .fail(&format!("train --input counts.h5ad --output out.h5ad {SHORT} --set model.rate_learning_rate=1e6"), 1);
    assert!(
        complaint.contains("is not finite") && program.path("out.run/checkpoints/last.ckpt").exists(),
        "{complaint}"
    );
}

/// All numbers of the module, and of the best one, in a checkpoint: the first two archives behind the header.
fn parameters(bytes: &[u8]) -> Vec<f32> {
    // Behind eight letters and a checksum.
    let length = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[24..24 + length]).expect("a header");
    let mut at = 24 + length;
    let mut found = Vec::new();
    for length in header["lengths"].as_array().expect("lengths").iter().take(2) {
        let archive = &bytes[at..at + length.as_u64().expect("a number") as usize];
        at += archive.len();
        if archive.is_empty() {
            continue;
        }
        // burnpack: ten bytes, the last four of them the length of a description; numbers from the next multiple of 256.
        let described = 10 + u32::from_le_bytes(archive[6..10].try_into().expect("four bytes")) as usize;
        let numbers = archive[described.div_ceil(256) * 256..].chunks_exact(4);
        found.extend(numbers.map(|number| f32::from_le_bytes(number.try_into().expect("four bytes"))));
    }
    found
}

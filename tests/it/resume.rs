//! A run that was stopped and resumed ends as if it had not been.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Program, errors};
use crate::runs::logged;

/// A run of some seconds, with a checkpoint after every epoch and all stages of the full model.
pub(crate) const WORDS: &str = "train velovae --input counts.h5ad --threads 1 --set model.train.epochs=60 --set model.start_epochs=15 \
                     --set model.refine_epochs=25 --set model.train.checkpoint_seconds=0 \
                     --set model.train.patience=0 --set model.n_samples=4 --set model.hidden=[64,32]";

fn program() -> Program {
    let program = Program::new();
    program.simulate("counts.h5ad", 300, 40, 2);
    program
}

#[test]
fn a_run_killed_three_times_and_resumed_gives_the_bytes_of_one_that_was_not() {
    let program = program();
    let words = format!("{WORDS} --set model.joint_stage=always");
    program.succeed(&format!("{words} --output whole.h5ad"));
    let whole = fs::read(program.path("whole.h5ad")).expect("the output is there");

    // The kills fall where the number of logged epochs says, whatever the speed of the machine: in each of the stages.
    for epochs in [7, 40, 85] {
        let mut child = program.start(&format!("{words} --output parts.h5ad --resume"));
        wait_for_lines(&program, epochs);
        child.kill().expect("the run can be killed");
        child.wait().expect("the run is over");
        assert!(!program.path("parts.h5ad").exists(), "the run was over before it was killed");
    }
    program.succeed(&format!("{words} --output parts.h5ad --resume"));
    assert!(whole == fs::read(program.path("parts.h5ad")).expect("the output is there"));

    assert_eq!(
        logged(&program, "parts.run"),
        logged(&program, "whole.run"),
        "each epoch is logged once, with the same numbers"
    );
}

/// Without a joint stage, as is the default: the first round begins where the second stage ended. The log of the run that was not killed says which of its lines belong to which round, so that each kill falls in the middle of one.
#[test]
fn a_run_killed_inside_each_of_the_first_two_rounds_gives_the_bytes_of_one_that_was_not() {
    let program = program();
    let words = format!("{WORDS} --set model.train.min_gain=-1000");
    program.succeed(&format!("{words} --output whole.h5ad"));
    let whole = fs::read(program.path("whole.h5ad")).expect("the output is there");
    let lines = logged(&program, "whole.run");
    for epochs in [within(&lines, "round 1"), within(&lines, "round 2")] {
        let mut child = program.start(&format!("{words} --output parts.h5ad --resume"));
        wait_for_lines(&program, epochs);
        child.kill().expect("the run can be killed");
        child.wait().expect("the run is over");
        assert!(!program.path("parts.h5ad").exists(), "the run was over before it was killed");
    }
    let said = errors(&program.run(&format!("{words} --output parts.h5ad --resume")));
    assert!(said.contains("resuming after epoch"), "{said}");
    assert!(whole == fs::read(program.path("parts.h5ad")).expect("the output is there"), "{said}");
    assert_eq!(logged(&program, "parts.run"), lines, "each epoch is logged once, with the same numbers");
}

/// On counts, kept dense and as sparse rows: the joint stage, whose end is judged against its beginning, and a round after it.
#[test]
fn a_run_on_counts_killed_in_the_joint_stage_and_in_a_round_gives_the_bytes_of_one_that_was_not() {
    for memory in ["", "--memory 1GB"] {
        let program = program();
        let words = format!(
            "{WORDS} --set model.likelihood=negative_binomial --set model.train.epochs=20 --set model.refine_epochs=10 \
             --set model.refine_rounds=2 --set model.train.min_gain=-1000 {memory}"
        );
        program.succeed(&format!("{words} --output whole.h5ad"));
        let whole = fs::read(program.path("whole.h5ad")).expect("the output is there");
        let lines = logged(&program, "whole.run");
        for stage in ["times and states", "round 1"] {
            let mut child = program.start(&format!("{words} --output parts.h5ad --resume"));
            wait_for_lines(&program, within(&lines, stage));
            child.kill().expect("the run can be killed");
            child.wait().expect("the run is over");
            assert!(!program.path("parts.h5ad").exists(), "the run was over before it was killed");
        }
        program.succeed(&format!("{words} --output parts.h5ad --resume"));
        assert!(whole == fs::read(program.path("parts.h5ad")).expect("the output is there"), "{memory}");
        assert_eq!(logged(&program, "parts.run"), lines, "each epoch is logged once, with the same numbers");
    }
}

/// Number of the line of a log in the middle of a stage.
fn within(lines: &[serde_json::Value], stage: &str) -> usize {
    let of_stage = |line: &serde_json::Value| line["stage"] == stage;
    let first = lines.iter().position(of_stage).unwrap_or_else(|| panic!("{stage} is not in {lines:?}"));
    first + lines.iter().filter(|line| of_stage(line)).count() / 2
}

/// What the soft grid says when it is fitted.
const SOFT_GRID: &str = "rounds, objective";

/// A run that starts from the soft grid keeps its start; without it, the grid would be fitted again each time.
#[test]
fn the_soft_grid_that_a_run_starts_from_is_fitted_once() {
    let program = program();
    let words = format!("{WORDS} --output parts.h5ad --set model.init=soft_grid");
    let run = |words: &str| {
        let output = program.run(words);
        assert!(output.status.success(), "{}", errors(&output));
        (errors(&output).contains(SOFT_GRID), output.stdout)
    };
    let fits = |words: &str| run(words).0;
    let mut child = program.start(&words);
    wait_for_lines(&program, 7);
    child.kill().expect("the run can be killed");
    child.wait().expect("the run is over");
    let path = |name: &str| program.path(name);
    assert!(!path("parts.h5ad").exists(), "the run was over before it was killed");
    assert!(!fits(&format!("{words} --resume")), "resumed in training");
    fs::remove_file(path("parts.h5ad")).expect("removed");
    assert!(!fits(&format!("{words} --resume")), "resumed at the end");
    let permute = "permute --input counts.h5ad --output parts.h5ad --groups clusters";
    let (fitted, scores) = run(permute);
    assert!(!fitted, "asked");

    // A run that has kept no start, as those of earlier versions: the grid is fitted again, to the same end.
    fs::remove_file(path("parts.run/start.json")).expect("the start is kept");
    assert!(run(permute) == (true, scores), "asked without a start");
    assert!(fits(&format!("{words} --resume")), "resumed without a start");
    assert!(fits(&words), "begun anew");
}

/// Both ways of dealing with the states, with the schedule of their weights: the number of the epoch matters.
#[test]
fn velovi_killed_and_resumed_gives_the_bytes_of_a_run_that_was_not() {
    let program = program();
    fs::write(program.path("velovi.toml"), "[model]\nkind = \"velovi\"\n").expect("written");
    for posterior in ["sampled", "analytic"] {
        let words = format!(
            "train velovi.toml --input counts.h5ad --threads 1 --set model.train.epochs=60 --set model.warmup_epochs=40 \
             --set model.train.checkpoint_seconds=0 --set model.train.patience=0 --set model.n_samples=3 \
             --set model.uncertainty.n_samples=3 --set model.state_posterior={posterior}"
        );
        program.succeed(&format!("{words} --output whole.h5ad"));
        let whole = fs::read(program.path("whole.h5ad")).expect("the output is there");
        for (epochs, resume) in [(9, ""), (31, "--resume")] {
            let mut child = program.start(&format!("{words} --output parts.h5ad {resume}"));
            sleep(Duration::from_millis(300));
            wait_for_lines(&program, epochs);
            child.kill().expect("the run can be killed");
            child.wait().expect("the run is over");
            assert!(!program.path("parts.h5ad").exists(), "the run was over before it was killed");
        }
        program.succeed(&format!("{words} --output parts.h5ad --resume"));
        assert!(whole == fs::read(program.path("parts.h5ad")).expect("the output is there"), "{posterior}");
        fs::remove_file(program.path("parts.h5ad")).expect("removed");
        fs::remove_dir_all(program.path("parts.run")).expect("removed");
    }
}

pub(crate) fn wait_for_lines(program: &Program, count: usize) {
    let log = program.path("parts.run").join("metrics.jsonl");
    let begun = Instant::now();
    while fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < count {
        assert!(begun.elapsed() < Duration::from_mins(2), "no {count} epochs in two minutes");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn resuming_a_finished_run_trains_no_more_and_repeats_its_output() {
    let program = program();
    program.succeed(&format!("{WORDS} --output out.h5ad"));
    let first = fs::read(program.path("out.h5ad")).expect("the output is there");
    let log = fs::read(program.path("out.run/metrics.jsonl")).expect("a log");
    fs::remove_file(program.path("out.h5ad")).expect("removed");
    program.succeed(&format!("{WORDS} --output out.h5ad --resume"));
    assert!(first == fs::read(program.path("out.h5ad")).expect("the output is there"));
    assert!(log == fs::read(program.path("out.run/metrics.jsonl")).expect("a log"));
}

#[test]
fn a_run_is_not_resumed_with_other_settings() {
    let program = program();
    program.succeed(&format!("{WORDS} --output out.h5ad"));
    let complaint = program.fail(&format!("{WORDS} --output out.h5ad --resume --set model.dropout=0.3"), 2);
    assert!(complaint.contains("model.dropout = 0.2") && complaint.contains("model.dropout = 0.3"), "{complaint}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_with_a_checkpoint_to_resume_from() {
    let program = program();
    let set = format!("{WORDS} --set model.train.checkpoint_seconds=1000");
    program.succeed(&format!("{set} --output whole.h5ad"));
    let words = format!("{set} --output parts.h5ad");
    let mut child = program.start(&words);
    wait_for_lines(&program, 20);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let status = child.wait().expect("the run is over");
    assert_eq!(status.code(), Some(130));
    program.succeed(&format!("{words} --resume"));
    let read = |name: &str| fs::read(program.path(name)).expect("the output is there");
    assert!(read("whole.h5ad") == read("parts.h5ad"));
    assert_eq!(logged(&program, "parts.run"), logged(&program, "whole.run"));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_names_the_culprit() {
    let program = program();
    let complaint = program.fail(&format!("{WORDS} --output out.h5ad --set model.rate_learning_rate=1e6"), 1);
    assert!(complaint.contains("is not finite") && complaint.contains("epoch"), "{complaint}");
    assert!(complaint.contains("genes") && complaint.contains("learning_rate"), "{complaint}");
    assert!(!program.path("out.h5ad").exists());
    // The last good checkpoint is whole: from it the run comes to the same end.
    assert!(program.path("out.run/checkpoints/last.ckpt").exists(), "the last good checkpoint is kept");
    let words = format!("{WORDS} --output out.h5ad --resume --set model.rate_learning_rate=1e6");
    let again = program.fail(&words, 1);
    let error = |text: &str| text.lines().find(|line| line.starts_with("error:")).map(str::to_owned);
    assert!(error(&complaint).is_some() && error(&again) == error(&complaint), "{complaint}\n{again}");
}

//! Ctrl-C and its like, in every phase of a run.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Program, errors};
use crate::resume::{WORDS, wait_for_lines};

fn program() -> Program {
    let program = Program::new();
    program.simulate("counts.h5ad", 300, 40, 2);
    program
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

fn wait_until(what: &str, there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_mins(2), "no {what} in two minutes");
        sleep(Duration::from_millis(2));
    }
}

/// What the program says that is sent `name` now, and that it ends within seconds.
fn ended(program: &Program, child: Child, name: &str) -> Output {
    let begun = Instant::now();
    signal(&child, name);
    let output = child.wait_with_output().expect("the program is over");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    let left = fs::read_dir(program.path("")).expect("a folder").map(|entry| entry.expect("readable").file_name());
    let left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(!left.iter().any(|name| name == "parts.h5ad"), "{left:?}");
    assert!(cfg!(not(target_os = "linux")) || !left.iter().any(|name| name.starts_with(".nascent-")), "{left:?}");
    output
}

#[cfg(target_os = "linux")]
#[test]
fn the_end_of_the_terminal_ends_a_run_unless_it_was_started_with_nohup() {
    let program = program();
    // Tests can be started with nohup themselves, which the program inherits.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status
        .lines()
        .any(|line| line.starts_with("SigIgn:") && line.ends_with(['0', '2', '4', '6', '8', 'a', 'c', 'e']))
    {
        let mut child = program.start(&format!("{WORDS} --output parts.h5ad"));
        wait_for_lines(&program, 5);
        signal(&child, "HUP");
        assert_eq!(child.wait().expect("the run is over").code(), Some(130));
    }

    let line = format!("trap '' HUP; exec {} {WORDS} --output parts.h5ad --resume", env!("CARGO_BIN_EXE_nascent"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(program.path("")).stdin(Stdio::null());
    let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
    wait_for_lines(&program, 12);
    signal(&child, "HUP");
    assert!(child.wait().expect("the run is over").success());
    assert!(program.path("parts.h5ad").exists());
}

#[test]
fn ctrl_c_after_the_last_epoch_ends_a_run_at_once_and_training_is_not_repeated() {
    let program = program();
    // Without a place for all samples at once: hours of them, and little memory.
    let words = format!(
        "{WORDS} --output parts.h5ad --set model.uncertainty.extrinsic=false --set model.uncertainty.n_samples=10000"
    );
    let child = program.listened(&words);
    let last = program.path("parts.run/checkpoints/last.ckpt");
    let finished = || {
        let text = fs::read(&last).unwrap_or_default();
        String::from_utf8_lossy(&text[..text.len().min(4096)]).contains("\"program_finished\":true")
    };
    wait_until("end of training", finished);
    sleep(Duration::from_millis(200));
    let said = errors(&ended(&program, child, "INT"));
    assert!(said.contains("the run is saved in") && said.contains("--resume"), "{said}");
    assert!(finished());
}

#[test]
fn ctrl_c_before_anything_is_written_leaves_nothing() {
    let program = program();
    let child = program.listened("train --input counts.h5ad --output parts.h5ad --set model.kind=soft_grid");
    wait_until("claim on the folder", || program.path("parts.run/.nascent-run").exists());
    sleep(Duration::from_millis(50));
    let said = errors(&ended(&program, child, "INT"));
    assert!(said.contains("nothing was written"), "{said}");
    assert!(cfg!(not(target_os = "linux")) || !program.path("parts.run").exists());
}

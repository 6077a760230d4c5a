//! Processes that share one fit come to what one process alone comes to, and end together.

use std::fs;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nascent::data::quantities::SOFT_GRID;
use nascent::io::FittedFile;
use serde_json::Value;

use crate::program::{Program, errors};

/// A soft grid of a second or two, whose shape is sought on a part of the cells.
const GRID: &str = "soft_grid.toml --threads 1 --set model.grid=30 --set model.pieces=6 --set model.choice_cells=150 --set model.choice_rounds=4 \
                    --set model.max_rounds=8";

fn program() -> Program {
    let program = Program::new();
    program.simulate("counts.h5ad", 400, 24, 2);
    for model in ["soft_grid", "dynamical", "velovi", "steady_state"] {
        let config = format!("{}/configs/{model}.toml", env!("CARGO_MANIFEST_DIR"));
        fs::copy(config, program.path(&format!("{model}.toml"))).expect("a config");
    }
    program
}

/// What `n` processes of the same `words` say, each with its number; whether each succeeded.
fn together(program: &Program, words: &str, output: &str, n: usize) -> Vec<(bool, String)> {
    let words = |i: usize| format!("train {words} --input counts.h5ad --output {output} --shard {i}/{n}");
    let begun: Vec<Child> = (1..=n).rev().map(|i| program.listened(&words(i))).collect();
    let mut ended: Vec<(bool, String)> = begun.into_iter().map(ending).collect();
    ended.reverse();
    ended
}

fn ending(process: Child) -> (bool, String) {
    let output = process.wait_with_output().expect("it ends");
    (output.status.success(), errors(&output))
}

fn alone(program: &Program, words: &str, output: &str) -> Vec<u8> {
    program.succeed(&format!("train {words} --input counts.h5ad --output {output}"));
    fs::read(program.path(output)).expect("written")
}

fn all_succeed(program: &Program, words: &str, output: &str, n: usize) -> Vec<u8> {
    for (at, (succeeded, said)) in together(program, words, output, n).into_iter().enumerate() {
        assert!(succeeded, "{} of {n}: {said}", at + 1);
        assert!(at == 0 || said.is_empty(), "the first one talks, not number {}: {said}", at + 1);
    }
    assert!(!program.path(output).with_extension("shards").exists(), "what the processes told each other is tidied up");
    fs::read(program.path(output)).expect("written")
}

#[test]
fn processes_with_all_cells_in_memory_write_the_bytes_that_one_writes() {
    let program = program();
    for (words, n) in [(GRID, 2), (GRID, 3), ("dynamical.toml --threads 1", 2)] {
        let whole = alone(&program, words, "alone.h5ad");
        assert!(whole == all_succeed(&program, words, "shared.h5ad", n), "{words}: {n} processes");
    }
}

#[test]
fn processes_that_stream_their_own_cells_come_to_the_same_objective() {
    let program = program();
    // Blocks that no number of processes divides, and more processes than the first pass has blocks.
    let words = format!("{GRID} --set model.stream=true --set model.block_cells=130 --set model.passes=3");
    alone(&program, &words, "alone.h5ad");
    let evidence = |name: &str| -> Vec<f64> {
        let file = FittedFile::open(&program.path(name)).expect("a fit");
        let record = file.record(SOFT_GRID).expect("readable").expect("written");
        let Value::Array(passes) = &record["evidence_by_pass"] else { panic!("{record}") };
        passes.iter().map(|pass| pass.as_f64().expect("a number")).collect()
    };
    let wanted = evidence("alone.h5ad");
    assert_eq!(wanted.len(), 3);
    for n in [2, 5] {
        all_succeed(&program, &words, "shared.h5ad", n);
        for (found, wanted) in evidence("shared.h5ad").iter().zip(&wanted) {
            assert!((found / wanted - 1.0).abs() < 1e-10, "{n} processes: {found}, alone {wanted}");
        }
    }
}

fn nothing_is_left(program: &Program) {
    for left in ["out.h5ad", "out.run", "out.shards"] {
        assert!(!program.path(left).exists(), "{left}");
    }
}

#[test]
fn processes_that_do_not_begin_alike_all_end_and_nothing_is_written() {
    let program = program();
    let words =
        |i: usize, seed: u64| format!("train {GRID} --seed {seed} --input counts.h5ad --output out.h5ad --shard {i}/2");
    let second = program.listened(&words(2, 5));
    let first = ending(program.listened(&words(1, 4)));
    for (succeeded, said) in [first, ending(second)] {
        assert!(!succeeded && said.contains("do not begin alike"), "{said}");
    }
    nothing_is_left(&program);
}

#[test]
fn a_process_that_has_ended_ends_the_others() {
    let program = program();
    let words = |i: usize| {
        format!(
            "train {GRID} --set model.max_rounds=10000 --set model.tolerance=1e-12 --input counts.h5ad --output out.h5ad --shard {i}/2"
        )
    };
    let (first, mut second) = (program.listened(&words(1)), program.start(&words(2)));
    // (`session` is there when both have come.)
    let until = Instant::now() + Duration::from_mins(2);
    while !program.path("out.shards/session").exists() {
        assert!(Instant::now() < until, "they do not meet: {}", ending(first).1);
        sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").arg(second.id().to_string()).status().expect("kill is there");
    assert!(killed.success());
    second.wait().expect("it ends");
    let (succeeded, said) = ending(first);
    assert!(!succeeded && said.contains("process 2 of 2 has ended"), "{said}");
    nothing_is_left(&program);
}

#[test]
fn models_without_work_to_share_say_so() {
    let program = program();
    for words in ["steady_state.toml", "soft_grid.toml --set model.likelihood=gaussian"] {
        let said = program.fail(&format!("train {words} --input counts.h5ad --output out.h5ad --shard 1/2"), 2);
        assert!(said.contains("model.kind") && said.contains("start one process"), "{said}");
    }
    let said = program.fail("train --input counts.h5ad --output out.h5ad --shard 3/2", 2);
    assert!(said.contains("--shard") && said.contains("as 2/4"), "{said}");
}

//! `nascent simulate` from flags to files.

use nascent::io::{InputConfig, read, read_layer};

use crate::program::Program;

const MOLECULES: &str = "simulate --cells 300 --genes 40 --branches 2 --process gillespie --burst 8 --capture 0.2";

#[test]
fn a_file_without_true_layers_has_the_same_counts_and_can_be_read() {
    let program = Program::new();
    program.succeed(&format!("{MOLECULES} --output with.h5ad"));
    program.succeed(&format!("{MOLECULES} --no-truth-layers --output without.h5ad"));
    let counts = |name: &str| read(&program.path(name), &InputConfig::default()).expect("a readable file");
    let (with, without) = (counts("with.h5ad"), counts("without.h5ad"));
    assert_eq!(with.spliced, without.spliced);
    assert_eq!(with.unspliced, without.unspliced);
    assert_eq!(with.obs, without.obs);
    assert_eq!(with.obsm, without.obsm);
    assert!(with.x.is_some() && without.x.is_none());
    assert!(without.var.get("true_gamma").is_some());
    for layer in ["true_velocity", "true_unspliced", "true_spliced"] {
        assert!(read_layer(&program.path("with.h5ad"), layer).is_ok());
        assert!(read_layer(&program.path("without.h5ad"), layer).is_err());
    }
}

#[test]
fn compression_changes_the_size_of_a_file_and_not_its_counts() {
    let program = Program::new();
    let [none, best] = ["0", "9"].map(|level| {
        program.succeed(&format!("simulate --cells 1000 --compression {level} --output {level}.h5ad"));
        let path = program.path(&format!("{level}.h5ad"));
        let size = std::fs::metadata(&path).expect("written").len();
        (size, read(&path, &InputConfig::default()).expect("a readable file").spliced)
    });
    assert!(best.0 < none.0, "{} {}", best.0, none.0);
    assert_eq!(best.1, none.1);
}

#[test]
fn flags_reach_the_counts() {
    let program = Program::new();
    let sum = |flags: &str| {
        program.succeed(&format!("simulate --cells 300 --genes 40 {flags} --output out.h5ad"));
        let counts = read(&program.path("out.h5ad"), &InputConfig::default()).expect("a readable file");
        counts.spliced.data.iter().map(|&count| count as u64).sum::<u64>()
    };
    let half = sum("");
    assert_eq!(half, sum("--process ode --capture 0.5 --dispersion 0.1 --burst 3"));
    assert_ne!(half, sum("--dispersion 0.5"));
    assert!((half / 7..half / 4).contains(&sum("--capture 0.1")));
    assert_ne!(sum("--process gillespie"), sum("--process gillespie --burst 6"));
}

#[test]
fn flags_out_of_range_are_named() {
    let program = Program::new();
    let cases = [
        ("--process sde", ["simulate.process = \"sde\": must be ode or gillespie", "--process"]),
        ("--process gillespie --burst 0.9", ["simulate.burst = 0.9: must be from 1 to 10^6", "--burst"]),
        ("--capture 1.5", ["simulate.capture = 1.5", "--capture"]),
        ("--dispersion=-1", ["simulate.dispersion = -1", "--dispersion"]),
        ("--compression 12", ["12", "--compression"]),
    ];
    for (flags, parts) in cases {
        let complaint = program.fail(&format!("simulate {flags} --output out.h5ad"), 2);
        assert!(parts.iter().all(|part| complaint.contains(part)), "{flags}:\n{complaint}");
        assert!(!program.path("out.h5ad").exists());
    }
}

//! Where an output may stand, and what a write that fails leaves: all of it or nothing.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use nascent::io;

use crate::program::Program;

/// Commands that write `OUT`, of a fitted file `fit.h5ad` and counts `in.h5ad`.
const WRITERS: [&str; 4] = [
    "simulate --cells 60 --genes 20 --seed 3 --output OUT",
    "train CONFIG --input in.h5ad --output OUT",
    "graph fit.h5ad --output OUT",
    "import in.h5ad --output OUT",
];

fn fitted() -> Program {
    let program = Program::new();
    program.simulate("in.h5ad", 60, 20, 1);
    fs::write(program.path("steady.toml"), "[model]\nkind = \"steady_state\"\n").unwrap();
    program.succeed("train steady.toml --input in.h5ad --output fit.h5ad");
    program
}

fn words(writer: &str, output: &str) -> String {
    writer.replace("CONFIG", "steady.toml").replace("OUT", output)
}

/// Names in the folder of `program` that a file under construction has.
fn unfinished(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".nascent-")).count()
}

#[test]
fn what_is_no_regular_file_or_read_only_is_not_replaced() {
    let program = fitted();
    let pipe = program.path("pipe.h5ad");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let protected = program.path("protected.h5ad");
    fs::write(&protected, "mine").unwrap();
    fs::set_permissions(&protected, fs::Permissions::from_mode(0o444)).unwrap();
    fs::create_dir(program.path("folder.h5ad")).unwrap();
    for writer in WRITERS {
        let said = program.fail(&words(writer, "pipe.h5ad"), 1);
        assert!(said.contains("not a regular file"), "{said}");
        let said = program.fail(&words(writer, "protected.h5ad"), 1);
        assert!(said.contains("read-only") && said.contains("hint: give another --output"), "{said}");
        let said = program.fail(&words(writer, "folder.h5ad"), 1);
        assert!(said.contains("a folder is in the way"), "{said}");
        let said = program.fail(&words(writer, "nowhere/out.h5ad"), 1);
        assert!(said.contains("there is no folder nowhere") && said.contains("mkdir -p"), "{said}");
    }
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_to_string(&protected).unwrap(), "mine");
    assert_eq!(unfinished(&program.path(".")), 0);
}

#[test]
fn links_are_followed_to_what_is_not_there_yet_and_not_in_a_circle() {
    let program = fitted();
    fs::create_dir(program.path("scratch")).unwrap();
    symlink("scratch/first", program.path("link.h5ad")).unwrap();
    symlink("real.h5ad", program.path("scratch/first")).unwrap();
    for writer in WRITERS {
        program.succeed(&words(writer, "link.h5ad"));
        assert!(fs::symlink_metadata(program.path("link.h5ad")).unwrap().is_symlink());
        fs::remove_file(program.path("scratch/real.h5ad")).expect("written where the links lead");
    }
    symlink("b.h5ad", program.path("a.h5ad")).unwrap();
    symlink("a.h5ad", program.path("b.h5ad")).unwrap();
    let said = program.fail(&words(WRITERS[0], "a.h5ad"), 1);
    assert!(said.contains("circle"), "{said}");
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_and_what_a_running_one_writes_is_not() {
    let program = Program::new();
    let old = SystemTime::now() - Duration::from_hours(1);
    let make = |name: &str| {
        let file = fs::File::create(program.path(name)).unwrap();
        file.set_modified(old).unwrap();
        file
    };
    drop(make(".nascent-killed.tmp"));
    drop(make("mine.tmp"));
    let running = make(".nascent-runs.tmp");
    running.lock().unwrap();
    fs::write(program.path(".nascent-new.tmp"), "just begun").unwrap();
    program.simulate("out.h5ad", 60, 20, 1);
    let stands = |name: &str| program.path(name).exists();
    assert_eq!(
        [".nascent-killed.tmp", "mine.tmp", ".nascent-runs.tmp", ".nascent-new.tmp"].map(stands),
        [false, true, true, true]
    );
}

/// With less and less room for the file, as on a disk that is full, each command ends with an error and what stood at the output
/// stands there, or has written the same file as ever.
#[test]
fn a_write_that_fails_anywhere_leaves_the_file_as_it_was() {
    let program = fitted();
    for writer in WRITERS {
        program.succeed(&words(writer, "ref.h5ad"));
        let whole = fs::read(program.path("ref.h5ad")).unwrap();
        for share in 0..=20 {
            let kib = whole.len() * share / 20 / 1024;
            fs::write(program.path("out.h5ad"), "before").unwrap();
            let command = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" {}", words(writer, "out.h5ad"));
            let shell = Command::new("bash")
                .args(["-c", &command, env!("CARGO_BIN_EXE_nascent")])
                .current_dir(program.path("."))
                .output();
            let output = shell.unwrap();
            let now = fs::read(program.path("out.h5ad")).unwrap();
            match output.status.code() {
                Some(0) => assert_eq!(now, whole, "{writer}, {kib} KiB"),
                Some(1) => assert_eq!(now, b"before", "{writer}, {kib} KiB"),
                other => panic!("{writer}, {kib} KiB: {other:?}: {}", String::from_utf8_lossy(&output.stderr)),
            }
            let _ = fs::remove_dir_all(program.path("out.run"));
        }
        assert_eq!(unfinished(&program.path(".")), 0, "{writer}");
    }
}

#[test]
fn of_two_commands_that_add_to_one_file_the_second_does_not_undo_the_first() {
    let program = Program::new();
    program.simulate("counts.h5ad", 60, 20, 1);
    program.succeed("train steady_state --input counts.h5ad --output fit.h5ad --set preprocess.min_shared_counts=0");
    let path = program.path("fit.h5ad");
    // The first holds the place for a moment; the second has computed its results and waits.
    let turn = fs::File::open(path.parent().unwrap()).unwrap();
    turn.lock().unwrap();
    let mut second = program.listened("graph fit.h5ad");
    let drafted = || {
        let of = |entry: fs::DirEntry| (entry.file_name(), entry.metadata().map_or(0, |about| about.len()));
        let mut entries = fs::read_dir(path.parent().unwrap()).unwrap().flatten().map(of);
        let size = fs::metadata(&path).unwrap().len();
        entries.any(|(name, bytes)| name.to_string_lossy().starts_with(".nascent-") && bytes >= size)
    };
    while !drafted() {
        assert!(second.try_wait().unwrap().is_none(), "it did not wait for its turn");
        sleep(Duration::from_millis(5));
    }
    fs::copy(&path, program.path("first.h5ad")).unwrap();
    fs::rename(program.path("first.h5ad"), &path).unwrap();
    let before = fs::read(&path).unwrap();
    drop(turn);
    let ended = second.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(2) && said.contains("changed or replaced after it was read"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), before);
    program.succeed("graph fit.h5ad");
}

#[test]
fn results_are_not_put_into_another_file_than_was_read() {
    let program = Program::new();
    let path = program.simulate("in.h5ad", 60, 20, 1);
    let stamp = io::Stamp::of(&path).unwrap();
    stamp.require_same().unwrap();
    fs::copy(&path, program.path("copy.h5ad")).unwrap();
    fs::rename(program.path("copy.h5ad"), &path).unwrap();
    let error = stamp.require_same().unwrap_err();
    assert!(error.to_string().contains("changed or replaced after it was read"), "{error}");
}

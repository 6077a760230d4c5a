//! The folder of a run: what is not ours is not touched, and one process at a time works in it.

use std::fs;

use crate::program::{Program, errors};
use crate::resume::{WORDS, wait_for_lines};
use crate::runs::{SHORT, contents};

fn program() -> Program {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 20, 1);
    program
}

#[test]
fn a_folder_with_files_of_others_that_are_called_like_ours_is_not_touched() {
    let program = program();
    let mine = program.path("mine");
    for (files, what) in [
        (vec!["config.toml"], "a config"),
        (
            vec!["config.toml", "metrics.jsonl", "checkpoints/model.pt", "checkpoints/last.ckpt"],
            "another program's run",
        ),
    ] {
        for file in files {
            let path = mine.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, "[model]\nkind = \"velovae\"\n").expect("written");
        }
        let before = contents(&mine);
        for resume in ["", "--resume"] {
            let words = format!("train --input counts.h5ad --output out.h5ad --run mine {resume} {SHORT}");
            let complaint = program.fail(&words, 2);
            assert!(complaint.contains("mine") && complaint.contains("--run DIR"), "{what}: {complaint}");
            assert!(before == contents(&mine) && !program.path("mine.1").exists(), "{what}");
        }
    }
}

#[test]
fn a_run_is_known_by_its_mark_and_one_of_an_earlier_version_by_its_checkpoint() {
    let program = program();
    let words = format!("train --input counts.h5ad --output out.h5ad {SHORT}");
    program.succeed(&words);
    let mark = program.path("out.run/.nascent-run");
    assert!(fs::read_to_string(&mark).expect("a mark").starts_with("A run of nascent"));
    fs::remove_file(&mark).expect("removed");
    program.succeed(&words);
    assert!(program.path("out.run.1/config.toml").exists() && mark.exists());
}

#[test]
fn a_second_run_in_the_folder_of_one_that_works_is_refused_before_it_reads() {
    let program = Program::new();
    program.simulate("counts.h5ad", 300, 40, 2);
    let mut child = program.start(&format!("{WORDS} --output parts.h5ad"));
    wait_for_lines(&program, 3);
    for resume in ["", "--resume"] {
        let words = format!("train velovae --input nothing.h5ad --output other.h5ad --run parts.run {resume}");
        let complaint = program.fail(&words, 2);
        let owner = format!("process {}", child.id());
        assert!(complaint.contains("parts.run") && complaint.contains(&owner), "{complaint}");
    }
    assert!(child.wait().expect("the run is over").success());
    assert!(!program.path("parts.run.1").exists());
    program.succeed(&format!("{WORDS} --output parts.h5ad --resume"));
}

#[test]
fn models_without_checkpoints_say_so_before_they_start() {
    let program = program();
    let said = errors(&program.run("train --input counts.h5ad --output out.h5ad --set model.kind=dynamical"));
    assert!(said.lines().next().is_some_and(|line| line.contains("keeps no checkpoint")), "{said}");
}

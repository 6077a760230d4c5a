//! Files that reach beyond themselves, contain themselves or claim more than they hold are refused before anything in them is believed.

use std::fs;
use std::path::Path;

use hdf5::filters::Filter;
use hdf5::types::VarLenUnicode;
use hdf5::{Extents, Hyperslab};
use nascent::io::{self, InputConfig, read};
use nascent::{Error, Result};
use tempfile::TempDir;

use crate::io_bad_input::edited;
use crate::io_samples::small;
use crate::program::Program;

/// What reading and describing the file of `small` after `edit` say, which is the same.
fn refused(edit: impl FnOnce(&hdf5::File)) -> String {
    let (_folder, path) = edited(edit);
    let said = |outcome: Result<()>| match outcome {
        Err(error @ Error::Input { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let first = said(read(&path, &InputConfig::default()).map(drop));
    assert_eq!(first, said(io::describe(&path, &InputConfig::default()).map(drop)));
    first
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_link_into_another_file_is_refused_and_that_file_stays_as_it_was() {
    let program = Program::new();
    let [ours, theirs] = ["ours.h5ad", "theirs.h5ad"].map(|name| program.simulate(name, 60, 20, 1));
    let before = fs::read(&theirs).unwrap();
    let file = io::h5_options().open_rw(&ours).unwrap();
    file.unlink("layers").unwrap();
    file.link_external(theirs.to_str().unwrap(), "/layers", "layers").unwrap();
    file.close().unwrap();
    for command in
        ["inspect ours.h5ad", "train --input ours.h5ad --output out.h5ad", "graph ours.h5ad", "evaluate ours.h5ad"]
    {
        says(&program.fail(command, 2), &["layers", "link into another file"]);
    }
    assert_eq!(fs::read(&theirs).unwrap(), before);
    assert!(!program.path("out.h5ad").exists());
}

#[test]
fn values_that_lie_in_another_file_are_refused_without_being_read() {
    let secret = TempDir::new().unwrap();
    let place = secret.path().join("secret");
    fs::write(&place, [7; 64]).unwrap();
    let outside = |name: &str| {
        let place = place.to_str().unwrap().to_owned();
        let name = name.to_owned();
        refused(move |file| {
            if file.link_exists(&name) {
                file.unlink(&name).unwrap();
            }
            file.new_dataset::<f64>().shape(4).external(&place, 0, 32).create(name.as_str()).unwrap();
        })
    };
    says(&outside("obs/share"), &["obs[\"share\"]", "lie in another file", "secret"]);
    says(&outside("obs/unlisted"), &["obs[\"unlisted\"]", "lie in another file"]);
}

#[test]
fn datasets_put_together_from_others_are_refused() {
    let message = refused(|file| {
        file.unlink("X").unwrap();
        let all = || Hyperslab::from((..4, ..3));
        let shape = || Extents::from((4, 3));
        file.new_dataset::<f32>()
            .shape((4, 3))
            .virtual_map(".", "X", shape(), all(), shape(), all())
            .create("X")
            .unwrap();
    });
    says(&message, &["X", "virtual dataset"]);
}

#[test]
fn elements_that_contain_themselves_or_have_no_end_are_refused() {
    let message = refused(|file| file.group("uns/nested").unwrap().link_hard("/uns/nested", "again").unwrap());
    says(&message, &["uns[\"nested\"][\"again\"]", "contains itself"]);
    let message = refused(|file| {
        let names: Vec<&str> = vec!["a"; 200];
        for depth in 1..=names.len() {
            file.create_group(&format!("uns/{}", names[..depth].join("/"))).unwrap();
        }
    });
    says(&message, &["more than 64 groups within each other"]);
    // Two links in each of 20 groups to the next: a million ways.
    let message = refused(|file| {
        let mut inner = file.create_group("uns/deepest").unwrap();
        for depth in 0..20 {
            let outer = file.create_group(&format!("uns/way {depth}")).unwrap();
            for side in ["left", "right"] {
                outer.link_hard(&inner.name(), side).unwrap();
            }
            inner = outer;
        }
    });
    says(&message, &["more than 250000 elements"]);
}

#[test]
fn sizes_that_the_file_cannot_hold_are_refused() {
    let rows = refused(|file| {
        file.new_dataset::<f32>().shape((1_000_000_000, 3)).chunk((1024, 3)).create("layers/Mu").unwrap();
    });
    says(&rows, &["layers[\"Mu\"]", "1000000000", "the file holds 0 bytes"]);
    let entries = refused(|file| {
        file.unlink("layers/spliced/data").unwrap();
        file.new_dataset::<f32>().shape(1 << 40).chunk(1024).create("layers/spliced/data").unwrap();
    });
    says(&entries, &["layers[\"spliced\"][\"data\"]"]);
    // 4 MB of zeros, for which HDF5 would take 4 GB.
    let pieces = refused(|file| drop(file.new_dataset::<i32>().shape(1 << 20).chunk(1).create("uns/pieces").unwrap()));
    says(&pieces, &["uns[\"pieces\"]", "1048576 pieces", "the file holds 0 bytes"]);
}

#[test]
fn what_compresses_well_or_has_two_names_is_read() {
    const ROWS: usize = 20_000;
    const COLUMNS: usize = 1_000;
    let (_folder, path) = edited(|file| {
        // 80 MB of zeros in some 80 kB.
        let builder = file.new_dataset::<f32>().shape((ROWS, COLUMNS)).chunk((ROWS, 50)).deflate(9);
        builder.create("uns/zeros").unwrap().write_raw(&vec![0.0_f32; ROWS * COLUMNS]).unwrap();
        file.link_hard("/X", "uns/the same as X").unwrap();
        file.link_soft("/nowhere", "uns/nothing").unwrap();
    });
    let stored = io::h5_options().open(&path).unwrap().dataset("uns/zeros").unwrap();
    assert!(matches!(stored.filters()[..], [Filter::Deflate(9)]) && stored.storage_size() < 200_000);
    drop(stored);
    let counts = read(&path, &InputConfig::default()).unwrap();
    assert_eq!(counts.x, small().x);
}

/// 512 zero bytes in a heap of words, as after a crash of the machine: HDF5 goes round in a circle.
#[cfg(target_os = "linux")]
#[test]
fn a_call_of_hdf5_that_does_not_come_back_ends_the_program_and_leaves_nothing() {
    let program = Program::new();
    let path = program.simulate("in.h5ad", 100, 30, 1);
    let mut bytes = fs::read(&path).unwrap();
    let heap = bytes.windows(4).position(|four| four == b"GCOL").expect("a heap of words");
    bytes[heap + 64..heap + 576].fill(0);
    fs::write(&path, bytes).unwrap();
    let message = program.fail("train --set model.kind=steady_state --input in.h5ad --output out.h5ad", 2);
    says(&message, &["in.h5ad", "HDF5 does not come to an end", "hint:"]);
    assert!(!program.path("out.h5ad").exists() && !program.path("out.run").exists());
}

#[test]
fn labels_that_are_labelled_themselves_are_refused() {
    let message = refused(|file| {
        let column = file.group("obs/clusters").unwrap();
        column.unlink("categories").unwrap();
        column.create_group("categories").unwrap();
    });
    says(&message, &["obs[\"clusters\"]"]);
}

#[test]
fn what_stands_where_a_group_belongs_is_named_before_the_work() {
    let message = refused_by_train("uns");
    says(&message, &["uns", "a group of elements was expected", "float64"]);
}

fn refused_by_train(group: &str) -> String {
    let program = Program::new();
    let input = program.simulate("in.h5ad", 60, 20, 1);
    replace_by_number(&input, group);
    let message = program.fail("train velovae --set model.train.epochs=1 --input in.h5ad --output out.h5ad", 2);
    assert!(!program.path("out.run").exists(), "the run had begun");
    message
}

fn replace_by_number(path: &Path, group: &str) {
    let file = io::h5_options().open_rw(path).unwrap();
    file.unlink(group).unwrap();
    file.new_dataset::<f64>().create(group).unwrap().write_scalar(&3.0).unwrap();
    file.close().unwrap();
}

/// A dataset of three words, in which HDF5 writes for each its length, and where in which heap it lies.
fn three_words(file: &hdf5::File, chunked: bool) {
    let builder = file.new_dataset::<VarLenUnicode>().shape(3);
    let builder = if chunked { builder.chunk(2) } else { builder };
    let dataset = builder.create("uns/words").unwrap();
    let word = |word: &str| word.parse::<VarLenUnicode>().unwrap();
    dataset.write_raw(&[word("one"), word("two, which is long"), word("three")]).unwrap();
}

/// Where in the file the place of the second of [`three_words`] stands: four bytes of length, eight of an address.
fn second_word(bytes: &[u8]) -> usize {
    let follows = |&at: &usize| {
        bytes[at..].starts_with(&[3, 0, 0, 0])
            && bytes[at + 16..].starts_with(&[18, 0, 0, 0])
            && bytes[at + 4..at + 12] == bytes[at + 20..at + 28]
    };
    let found: Vec<usize> = (0..bytes.len() - 32).filter(follows).collect();
    let [first] = found[..] else { panic!("{found:?}") };
    first + 16
}

/// HDF5 sets memory aside for a word's length before it looks for the word.
#[test]
fn words_longer_than_the_file_are_refused_without_memory_for_them() {
    for chunked in [false, true] {
        let (_folder, path) = edited(|file| three_words(file, chunked));
        read(&path, &InputConfig::default()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = second_word(&bytes);
        bytes[at..at + 4].copy_from_slice(&[0, 0, 0, 0xf0]);
        fs::write(&path, bytes).unwrap();
        let message = read(&path, &InputConfig::default()).unwrap_err().to_string();
        says(&message, &["uns[\"words\"]", "4026531840 bytes are declared"]);
    }
}

/// What the copy lacks is damaged in the input, and so the input is named, not the output.
#[test]
fn an_element_that_cannot_be_copied_is_named_in_the_file_that_it_is_in() {
    let program = Program::new();
    program.simulate("in.h5ad", 60, 20, 1);
    program.succeed("train --set model.kind=steady_state --input in.h5ad --output fit.h5ad");
    let path = program.path("fit.h5ad");
    let file = io::h5_options().open_rw(&path).unwrap();
    three_words(&file, false);
    file.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = second_word(&bytes);
    bytes[at + 4..at + 12].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let message = program.fail("train --set model.kind=steady_state --input fit.h5ad --output again.h5ad", 2);
    says(&message, &["fit.h5ad: uns[\"words\"]", "HDF5 cannot read it", "hint:"]);
    assert!(!program.path("again.h5ad").exists());
}

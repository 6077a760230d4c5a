//! A file that reaches into others is put into one by `gather`, and by nothing else.

use std::fs;
use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Extents, File, Hyperslab};
use nascent::io::{self, InputConfig, OutputConfig, gather, read, write_new};
use tempfile::TempDir;

use crate::io_samples::small;
use crate::program::Program;

/// Two files as `small` makes them, `main.h5ad` and `other.h5ad`, both after an edit.
fn two(edit_main: impl FnOnce(&File, &str), edit_other: impl FnOnce(&File)) -> TempDir {
    let folder = TempDir::new().unwrap();
    let [main, other] = ["main.h5ad", "other.h5ad"].map(|name| folder.path().join(name));
    for path in [&main, &other] {
        write_new(path, &OutputConfig::default(), &small()).unwrap();
    }
    let edited = |path: &Path| io::h5_options().open_rw(path).unwrap();
    let file = edited(&main);
    edit_main(&file, folder.path().to_str().unwrap());
    file.close().unwrap();
    let file = edited(&other);
    edit_other(&file);
    file.close().unwrap();
    folder
}

/// Puts a link to `path` in `other` under the name `at`.
fn link(file: &File, other: &str, path: &str, at: &str) {
    if file.link_exists(at) {
        file.unlink(at).unwrap();
    }
    file.link_external(other, path, at).unwrap();
}

/// A dataset at `at` that has the four values of the dataset `source` in `other`.
fn virtual_four<T: hdf5::H5Type>(file: &File, [other, source]: [&str; 2], at: &str) {
    let attributes = file.dataset(at).ok();
    let marks = attributes.map(|column| ["encoding-type", "encoding-version"].map(|name| mark(&column, name)));
    if file.link_exists(at) {
        file.unlink(at).unwrap();
    }
    let (all, shape) = (|| Hyperslab::from((..4,)), || Extents::from((4,)));
    let column = file.new_dataset::<T>().shape(4).virtual_map(other, source, shape(), all(), shape(), all());
    let column = column.create(at).unwrap();
    for (name, word) in ["encoding-type", "encoding-version"].into_iter().zip(marks.into_iter().flatten()) {
        column.new_attr::<VarLenUnicode>().create(name).unwrap().write_scalar(&word).unwrap();
    }
}

fn mark(column: &hdf5::Dataset, name: &str) -> VarLenUnicode {
    column.attr(name).unwrap().read_scalar().unwrap()
}

/// What `gather` says against the file; it leaves nothing, and all files as they were.
fn refused(folder: &TempDir) -> String {
    let listed = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.is_file()).map(|path| (fs::read(&path).unwrap(), path)).collect();
        files.sort_unstable();
        files
    };
    let before = listed();
    let error = gather(&folder.path().join("whole.h5ad"), &folder.path().join("main.h5ad")).unwrap_err();
    assert_eq!(listed(), before);
    assert!(error.hint().is_some());
    error.to_string()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn links_virtual_datasets_and_external_values_are_put_into_one_file_that_reads_like_the_one_they_came_from() {
    let folder = two(
        |file, folder| {
            link(file, "other.h5ad", "/layers", "layers");
            link(file, "other.h5ad", "obs/clusters", "obs/clusters");
            virtual_four::<f64>(file, ["other.h5ad", "obs/share"], "obs/share");
            virtual_four::<VarLenUnicode>(file, ["other.h5ad", "obs/sample"], "obs/sample");
            let raw = Path::new(folder).join("depth.bin");
            fs::write(&raw, [3_i64, 3, 4, -5].map(i64::to_ne_bytes).concat()).unwrap();
            let marks =
                ["encoding-type", "encoding-version"].map(|name| mark(&file.dataset("obs/depth").unwrap(), name));
            file.unlink("obs/depth").unwrap();
            let depth = file.new_dataset::<i64>().shape(4).external(raw.to_str().unwrap(), 0, 32);
            let depth = depth.create("obs/depth").unwrap();
            for (name, word) in ["encoding-type", "encoding-version"].into_iter().zip(marks) {
                depth.new_attr::<VarLenUnicode>().create(name).unwrap().write_scalar(&word).unwrap();
            }
            file.link_soft("/X", "uns/the same as X").unwrap();
        },
        |_| {},
    );
    let [main, other, whole] = ["main.h5ad", "other.h5ad", "whole.h5ad"].map(|name| folder.path().join(name));
    let before = [&main, &other].map(|path| fs::read(path).unwrap());
    read(&main, &InputConfig::default()).unwrap_err();
    let found = gather(&whole, &main).unwrap();
    assert_eq!([&main, &other].map(|path| fs::read(path).unwrap()), before);
    let mut elements = found.elements;
    elements.sort_unstable();
    let expected = ["layers", r#"obs["clusters"]"#, r#"obs["depth"]"#, r#"obs["sample"]"#, r#"obs["share"]"#];
    assert_eq!(elements, expected);
    let mut files = found.files;
    files.sort_unstable();
    assert_eq!(files, [folder.path().join("depth.bin"), other.clone()]);

    // The other files can go.
    fs::remove_file(folder.path().join("depth.bin")).unwrap();
    fs::rename(&other, folder.path().join("elsewhere.h5ad")).unwrap();
    let original = folder.path().join("elsewhere.h5ad");
    let [ours, theirs] = [&whole, &original].map(|path| read(path, &InputConfig::default()).unwrap());
    assert_eq!(format!("{ours:?}").replace("whole.h5ad", ""), format!("{theirs:?}").replace("elsewhere.h5ad", ""));
    let [ours, theirs] = [&whole, &original].map(|path| io::h5_options().open(path).unwrap());
    for name in ["X/data", "layers/true_velocity", "obsm/X_umap"] {
        let [ours, theirs] = [&ours, &theirs].map(|file| file.dataset(name).unwrap().read_raw::<f32>().unwrap());
        assert_eq!(ours, theirs, "{name}");
    }
    assert_eq!(ours.group("uns/the same as X").unwrap().len(), 3);
}

#[test]
fn a_file_that_lies_within_itself_is_gathered_as_it_is_and_may_take_its_own_place() {
    let folder = two(|_, _| {}, |file| link(file, "main.h5ad", "/layers", "layers"));
    let [main, other] = ["main.h5ad", "other.h5ad"].map(|name| folder.path().join(name));
    let found = gather(&folder.path().join("copy.h5ad"), &main).unwrap();
    assert!(found.elements.is_empty() && found.files.is_empty());
    gather(&other, &other).unwrap();
    let [ours, theirs] = [&other, &main].map(|path| read(path, &InputConfig::default()).unwrap());
    assert_eq!(ours.spliced, theirs.spliced);
}

#[test]
fn what_a_link_names_must_be_there() {
    let of = |other: &'static str, path: &'static str| two(move |file, _| link(file, other, path, "layers"), |_| {});
    says(&refused(&of("gone.h5ad", "/layers")), &["main.h5ad: layers", "gone.h5ad, which is no file"]);
    says(&refused(&of("other.h5ad", "/nowhere")), &["main.h5ad: layers", "\"/nowhere\"", "no such element"]);
    says(&refused(&of("other.h5ad", "/obs/share/more")), &["main.h5ad: layers", "no such element"]);
    let folder = of("text.txt", "/layers");
    fs::write(folder.path().join("text.txt"), "no HDF5").unwrap();
    says(&refused(&folder), &["text.txt", "not an HDF5 file"]);
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_opened() {
    let folder = two(|file, _| link(file, "pipe", "/layers", "layers"), |_| {});
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    says(&refused(&folder), &["main.h5ad: layers", "pipe, which is no file"]);
    // A link by name that leads through the link, and comes before it.
    let folder = two(
        |file, _| {
            file.link_soft("/uns/the pipe/layers", "obs/first").unwrap();
            file.link_soft("/uns/the pipe/layers", "uns/first").unwrap();
            link(file, "pipe", "/", "uns/the pipe");
        },
        |_| {},
    );
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let error = read(&folder.path().join("main.h5ad"), &InputConfig::default()).unwrap_err();
    says(&error.to_string(), &["uns[\"the pipe\"]", "link into another file"]);
}

#[test]
fn links_that_lead_on_or_round_are_refused() {
    let on = two(
        |file, _| link(file, "other.h5ad", "/uns/on", "layers"),
        |file| file.link_external("main.h5ad", "/obs", "uns/on").unwrap(),
    );
    says(&refused(&on), &["other.h5ad: uns[\"on\"]", "links that lead to links"]);
    let soft = two(
        |file, _| link(file, "other.h5ad", "/uns", "uns/theirs"),
        |file| file.link_soft("/obs", "uns/by name").unwrap(),
    );
    says(&refused(&soft), &["other.h5ad: uns[\"by name\"]", "links that lead to links"]);
    let round = two(
        |file, _| link(file, "other.h5ad", "/uns", "uns/theirs"),
        |file| file.link_external("main.h5ad", "/uns", "uns/ours").unwrap(),
    );
    says(&refused(&round), &["main.h5ad: uns", "contains itself"]);
}

#[test]
fn links_by_name_that_lead_in_a_circle_are_named_in_the_file_that_has_them() {
    let folder = two(|file, _| file.link_soft("/uns", "uns/again").unwrap(), |_| {});
    says(&refused(&folder), &["main.h5ad: uns[\"again\"]", "contains itself"]);
}

/// HDF5 itself fills what is missing.
#[test]
fn values_that_the_other_files_do_not_have_are_not_made_up() {
    let part = |source: &'static str, edit: fn(&File)| {
        two(move |file, _| virtual_four::<f64>(file, ["other.h5ad", source], "obs/share"), edit)
    };
    says(&refused(&part("obs/gone", |_| {})), &["main.h5ad: obs[\"share\"]", "no such element"]);
    says(&refused(&part("obs/share%%b", |_| {})), &["main.h5ad: obs[\"share\"]", "it grows with what there is"]);
    let short = part("obs/share", |file| {
        file.unlink("obs/share").unwrap();
        file.new_dataset_builder().with_data(&[1.0_f64, 2.0]).create("obs/share").unwrap();
    });
    says(&refused(&short), &["other.h5ad: obs[\"share\"]", "takes other values from it than its [2]"]);
    let again = part("obs/share", |file| virtual_four::<f64>(file, [".", "obs/depth"], "obs/share"));
    says(&refused(&again), &["other.h5ad: obs[\"share\"]", "virtual dataset"]);
    let itself = two(|file, _| virtual_four::<f64>(file, [".", "obs/share"], "obs/share"), |_| {});
    says(&refused(&itself), &["main.h5ad: obs[\"share\"]", "virtual dataset"]);

    let external = |bytes: usize| {
        two(
            move |file, folder| {
                let raw = Path::new(folder).join("share.bin");
                fs::write(&raw, vec![0; bytes]).unwrap();
                file.unlink("obs/share").unwrap();
                let share = file.new_dataset::<f64>().shape(4).external(raw.to_str().unwrap(), 0, 32);
                share.create("obs/share").unwrap();
            },
            |_| {},
        )
    };
    says(&refused(&external(31)), &["main.h5ad: obs[\"share\"]", "[4] values are declared", "31 bytes"]);
    let huge = two(
        |file, _| {
            let source = || Hyperslab::from((..4,));
            let all = Extents::from((1_usize << 40,));
            let column = file.new_dataset::<f64>().shape(1_usize << 40);
            let column = column.virtual_map("other.h5ad", "obs/share", Extents::from((4,)), source(), all, source());
            column.create("uns/huge").unwrap();
        },
        |_| {},
    );
    says(&refused(&huge), &["main.h5ad: uns[\"huge\"]", "[1099511627776] values are declared"]);
}

#[test]
fn the_command_says_what_it_read_and_others_send_there() {
    let program = Program::new();
    let [_, theirs] = ["ours.h5ad", "theirs.h5ad"].map(|name| program.simulate(name, 60, 20, 1));
    let file = io::h5_options().open_rw(program.path("ours.h5ad")).unwrap();
    link(&file, "theirs.h5ad", "/layers", "layers");
    file.close().unwrap();
    says(&program.fail("train steady_state --input ours.h5ad --output out.h5ad", 2), &["layers", "nascent gather"]);
    let said = program.succeed("gather ours.h5ad --output whole.h5ad");
    says(&said, &["wrote whole.h5ad, with 1 element that lay elsewhere: layers", "theirs.h5ad"]);
    fs::remove_file(theirs).unwrap();
    program.succeed("train steady_state --input whole.h5ad --output out.h5ad");
    says(&program.succeed("gather whole.h5ad --output again.h5ad"), &["lies within one file already"]);
}

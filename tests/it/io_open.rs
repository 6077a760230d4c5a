//! One file, opened by several at once: by threads of this process, and by another program that writes.

use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use nascent::Error;
use nascent::io::{self, CellStream, InputConfig, OutputConfig};
use tempfile::TempDir;

use crate::golden;
use crate::io_samples::{opened, small};

fn file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("one.h5ad");
    io::write_new(&path, &OutputConfig::default(), &small()).unwrap();
    (folder, path)
}

/// HDF5 refuses a second opening of a file in one process where one asks for locks and the other does not.
#[test]
fn threads_open_one_file_in_every_way_at_once() {
    let (_folder, path) = file();
    let input = InputConfig::default();
    let ways: [&(dyn Fn() + Sync); 7] = [
        &|| drop(io::read(&path, &input).unwrap()),
        &|| drop(opened(&path)),
        &|| drop(io::read_layer(&path, "true_velocity").unwrap()),
        &|| drop(io::describe(&path, &input).unwrap()),
        &|| drop(CellStream::open(&path, &input).unwrap()),
        &|| drop(golden::array(&path, "obsm/X_umap")),
        &|| io::h5_options().open(&path).unwrap().close().unwrap(),
    ];
    let start = Barrier::new(ways.len());
    thread::scope(|scope| {
        for way in ways {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                (0..20).for_each(|_| way());
            });
        }
    });
}

#[test]
fn a_file_that_another_program_writes_is_refused_until_it_is_done() {
    let (_folder, path) = file();
    // As HDF5 locks the files that it writes.
    let writer = fs::File::open(&path).unwrap();
    writer.lock().unwrap();
    let input = InputConfig::default();
    for error in [io::read(&path, &input).unwrap_err(), CellStream::open(&path, &input).unwrap_err()] {
        assert!(matches!(error, Error::Input { .. }), "{error:?}");
        assert!(error.to_string().ends_with("file: another program has it open to write"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("close it there")), "{error:?}");
    }
    drop(writer);
    io::read(&path, &input).unwrap();
}

#[test]
fn a_file_whose_cells_are_read_in_turn_cannot_be_written_meanwhile() {
    let (_folder, path) = file();
    let writer = fs::File::open(&path).unwrap();
    let stream = CellStream::open(&path, &InputConfig::default()).unwrap();
    assert!(writer.try_lock().is_err(), "a writer got its lock");
    drop(stream);
    writer.try_lock().unwrap();
}

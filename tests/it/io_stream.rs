//! Cells read some at a time are the cells of the file.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use hdf5::H5Type;
use nascent::Error;
use nascent::data::{CellSource, Frame};
use nascent::io::{CellStream, InputConfig, NewFile, OutputConfig, h5_options, read, write_new};
use nascent::sparse::Csr;
use ndarray::Array2;
use tempfile::TempDir;

use crate::io_bad_input::{edited, replace};
use crate::io_samples::small;
use crate::shared::shared;

const N_OBS: usize = 57;
const N_VARS: usize = 13;

fn open(path: &Path) -> CellStream {
    CellStream::open(path, &InputConfig::default()).expect("the file can be read")
}

/// Counts from 1 to 9 in two of five places, some rows empty.
fn counts(seed: usize) -> Csr<f32> {
    let mix = |cell: usize, gene: usize| (cell * 31 + gene * 17 + seed * 7).wrapping_mul(2_654_435_761) >> 7;
    let row = |cell: usize| {
        let genes = (0..N_VARS).filter(|&gene| cell % 8 != 3 && mix(cell, gene) % 5 < 2);
        genes.map(|gene| (u32::try_from(gene).unwrap(), (1 + mix(cell, gene) % 9) as f32)).collect()
    };
    Csr::from_rows(N_VARS, &(0..N_OBS).map(row).collect::<Vec<Vec<_>>>())
}

/// How a layer is stored.
#[derive(Clone, Copy, Debug)]
enum Packing {
    Plain,
    Gzip,
    ShuffledGzip,
}

fn store<T: H5Type>(file: &hdf5::File, at: &str, shape: &[usize], chunk: &[usize], values: &[T], packing: Packing) {
    let builder = file.new_dataset::<T>().shape(shape);
    let builder = match packing {
        Packing::Plain => builder,
        Packing::Gzip => builder.chunk(chunk.to_vec()).deflate(4),
        Packing::ShuffledGzip => builder.chunk(chunk.to_vec()).shuffle().deflate(4),
    };
    builder.create(at).unwrap().write_raw(values).unwrap();
}

/// A file with `counts(0)` unspliced and `counts(1)` spliced, its layers stored by `store_layer`.
fn file_with(store_layer: impl Fn(&hdf5::File, &str, &Csr<f32>)) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cells.h5ad");
    let frame =
        |prefix: &str, n: usize| Frame { index: (0..n).map(|i| format!("{prefix}{i}")).collect(), columns: Vec::new() };
    let layers = [("unspliced", counts(0)), ("spliced", counts(1))];
    let sparse_layers = layers.iter().map(|(name, layer)| ((*name).to_owned(), layer.clone())).collect();
    let (obs, var) = (frame("c", N_OBS), frame("g", N_VARS));
    write_new(&path, &OutputConfig::default(), &NewFile { sparse_layers, obs, var, ..NewFile::default() }).unwrap();
    let file = h5_options().open_rw(&path).unwrap();
    for (name, layer) in &layers {
        store_layer(&file, &format!("layers/{name}"), layer);
    }
    file.close().unwrap();
    (folder, path)
}

fn csr_file<I: H5Type, T: H5Type>(index: fn(u32) -> I, value: fn(f32) -> T, packing: Packing) -> (TempDir, PathBuf) {
    file_with(|file, at, layer| {
        for part in ["indices", "data"] {
            file.unlink(&format!("{at}/{part}")).unwrap();
        }
        let indices: Vec<I> = layer.indices.iter().map(|&column| index(column)).collect();
        let data: Vec<T> = layer.data.iter().map(|&count| value(count)).collect();
        store(file, &format!("{at}/indices"), &[layer.nnz()], &[7], &indices, packing);
        store(file, &format!("{at}/data"), &[layer.nnz()], &[11], &data, packing);
    })
}

fn dense_file<T: H5Type>(value: fn(f32) -> T, packing: Packing) -> (TempDir, PathBuf) {
    file_with(|file, at, layer| {
        file.unlink(at).unwrap();
        let mut full = Array2::<f32>::zeros((N_OBS, N_VARS));
        for cell in 0..N_OBS {
            let (genes, entries) = layer.row(cell);
            genes.iter().zip(entries).for_each(|(&gene, &count)| full[[cell, gene as usize]] = count);
        }
        let values: Vec<T> = full.iter().map(|&count| value(count)).collect();
        store(file, at, &[N_OBS, N_VARS], &[10, 4], &values, packing);
    })
}

fn blocks(size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..N_OBS).step_by(size).map(move |start| start..N_OBS.min(start + size))
}

fn assert_streams(what: &str, (_folder, path): (TempDir, PathBuf)) {
    let whole = read(&path, &InputConfig::default()).unwrap();
    assert_eq!((&whole.unspliced, &whole.spliced), (&counts(0), &counts(1)), "{what}");
    let stream = open(&path);
    assert_eq!((stream.n_obs(), stream.n_vars(), stream.path()), (N_OBS, N_VARS, path.as_path()));
    assert_eq!((stream.obs(), stream.var()), (&whole.obs, &whole.var));
    for size in [1, 2, 5, 16, N_OBS] {
        for rows in blocks(size) {
            assert_eq!(stream.cells(rows.clone()).unwrap(), whole.cells(rows.clone()).unwrap(), "{what}, {rows:?}");
        }
    }
    assert_eq!(stream.cells(9..9).unwrap(), [Csr::empty(0, N_VARS), Csr::empty(0, N_VARS)]);
}

#[test]
#[allow(clippy::cast_possible_wrap, reason = "columns are below 13")]
fn any_cut_into_blocks_gives_what_reading_all_gives() {
    for packing in [Packing::Plain, Packing::Gzip, Packing::ShuffledGzip] {
        let check = |what: &str, file| assert_streams(&format!("{what}, {packing:?}"), file);
        check("i32, f32", csr_file(|i| i as i32, |x| x, packing));
        check("i64, f64", csr_file(i64::from, f64::from, packing));
        check("u32, u8", csr_file(|i| i, |x| x as u8, packing));
        check("u64, u16", csr_file(u64::from, |x| x as u16, packing));
        check("i32, u32", csr_file(|i| i as i32, |x| x as u32, packing));
        check("i32, u64", csr_file(|i| i as i32, |x| x as u64, packing));
        check("i16, i8", csr_file(|i| i as i16, |x| x as i8, packing));
        check("i32, i16", csr_file(|i| i as i32, |x| x as i16, packing));
        check("i64, i32", csr_file(i64::from, |x| x as i32, packing));
        check("i64, i64", csr_file(i64::from, |x| x as i64, packing));
        check("dense f32", dense_file(|x| x, packing));
        check("dense u16", dense_file(|x| x as u16, packing));
        check("dense i64", dense_file(|x| x as i64, packing));
    }
}

#[test]
fn files_of_every_age_are_streamed() {
    for name in ["dentategyrus_50obs_legacy_format.h5ad", "dentategyrus_50obs.h5ad", "scvelo_sim_300x30.h5ad"] {
        let Some(path) = shared(&format!("data/{name}")) else { return };
        let whole = read(&path, &InputConfig::default()).unwrap();
        let stream = open(&path);
        for start in (0..whole.n_obs()).step_by(7) {
            let rows = start..whole.n_obs().min(start + 7);
            assert_eq!(stream.cells(rows.clone()).unwrap(), whole.cells(rows).unwrap(), "{name}");
        }
    }
}

#[test]
fn rows_are_sorted_and_repeated_entries_added_as_in_reading_all() {
    // Row 0 of `small` holds 1 at gene 0 and 2 at gene 2; row 3 holds 5 at gene 2.
    let (_folder, path) = edited(|file| {
        replace(file, "layers/spliced/indptr", &[0, 2, 2, 2, 5]);
        replace(file, "layers/spliced/indices", &[2, 0, 1, 0, 1]);
    });
    let whole = read(&path, &InputConfig::default()).unwrap();
    let stream = open(&path);
    let [_, first] = stream.cells(0..1).unwrap();
    assert_eq!(first.row(0), (&[0, 2][..], &[2.0, 1.0][..]));
    let [_, last] = stream.cells(3..4).unwrap();
    assert_eq!(last.row(0), (&[0, 1][..], &[4.0, 8.0][..]));
    assert_eq!(stream.cells(0..4).unwrap(), whole.cells(0..4).unwrap());
}

#[test]
fn other_threads_may_read_at_the_same_time() {
    let (_folder, path) = csr_file(i64::from, |x| x, Packing::Gzip);
    let stream = open(&path);
    let expected = stream.cells(0..N_OBS).unwrap();
    let parts: Vec<_> = thread::scope(|scope| {
        let readers: Vec<_> = blocks(3).map(|rows| scope.spawn(|| stream.cells(rows).unwrap())).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    for (rows, part) in blocks(3).zip(parts) {
        let positions: Vec<usize> = rows.collect();
        assert_eq!(part, expected.each_ref().map(|layer| layer.select_rows(&positions)));
    }
}

#[test]
fn cells_that_are_not_there_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cells.h5ad");
    write_new(&path, &OutputConfig::default(), &small()).unwrap();
    let counts = read(&path, &InputConfig::default()).unwrap();
    let stream = open(&path);
    #[allow(clippy::reversed_empty_ranges)]
    let wrong = [2..5, 5..5, 3..1, 0..usize::MAX];
    for rows in wrong {
        for source in [&stream as &dyn CellSource, &counts] {
            let error = source.cells(rows.clone()).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
        }
    }
}

fn refusal<T: std::fmt::Debug>(outcome: nascent::Result<T>) -> (String, String) {
    let error = outcome.expect_err("the file cannot be used");
    assert!(matches!(error, Error::Input { .. }), "{error:?}");
    (error.to_string(), error.hint().expect("a hint"))
}

#[test]
fn columns_before_rows_are_refused_with_the_line_that_converts() {
    let (_folder, path) = edited(|file| {
        let layer = file.group("layers/spliced").unwrap();
        layer.delete_attr("encoding-type").unwrap();
        let csc: hdf5::types::VarLenUnicode = "csc_matrix".parse().unwrap();
        layer.new_attr::<hdf5::types::VarLenUnicode>().create("encoding-type").unwrap().write_scalar(&csc).unwrap();
        replace(file, "layers/spliced/indptr", &[0, 2, 3, 5]);
    });
    let (message, hint) = refusal(CellStream::open(&path, &InputConfig::default()));
    assert!(message.contains(r#"layers["spliced"]: stored column by column (CSC)"#), "{message}");
    let line = "a.layers.update({k: a.layers[k].tocsr() for k in ['spliced']})";
    assert!(hint.contains(line), "{hint}");
}

#[test]
fn damage_is_found_when_its_cell_is_read_and_named() {
    let config = InputConfig::default();
    let cases: [(&str, &[i64], &str); 4] = [
        ("indptr", &[0, 2, 3, 4], "one more than rows was expected"),
        ("indptr", &[0, 2, 1, 4, 5], "do not rise"),
        ("indptr", &[1, 2, 3, 4, 5], "do not rise"),
        ("indptr", &[0, 2, 3, 4, 50], "do not rise"),
    ];
    for (part, values, problem) in cases {
        let (_folder, path) = edited(|file| replace(file, &format!("layers/spliced/{part}"), values));
        let (message, _) = refusal(CellStream::open(&path, &config));
        assert!(message.contains(problem) && message.contains("layers[\"spliced\"]"), "{message}");
    }
    // The entry in the last cell of `small`.
    let spoilt: [(&str, [f64; 5], &str); 5] = [
        ("indices", [0.0, 2.0, 1.0, 0.0, 3.0], r#"layers["spliced"]["indices"]: index 3 is out of range"#),
        ("indices", [0.0, 2.0, 1.0, 0.0, -1.0], r#"layers["spliced"]["indices"]: index -1 is out of range"#),
        ("data", [1.0, 2.0, 3.0, 4.0, -5.0], r#"the first, cell "c4", gene "g3", is negative (-5)"#),
        ("data", [1.0, 2.0, 3.0, 4.0, f64::NAN], r#"the first, cell "c4", gene "g3", is not a number"#),
        ("data", [1.0, 2.0, 3.0, 4.0, 1e300], r#"the first, cell "c4", gene "g3", is infinite"#),
    ];
    for (part, values, problem) in spoilt {
        let (_folder, path) = edited(|file| match part {
            "indices" => replace(file, "layers/spliced/indices", &values.map(|index| index as i32)),
            _ => replace(file, "layers/spliced/data", &values),
        });
        let stream = open(&path);
        assert!(stream.cells(0..3).is_ok(), "{part}");
        let (message, _) = refusal(stream.cells(2..4));
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn a_spoilt_chunk_is_an_error_wherever_it_is_decompressed() {
    let (_folder, path) = csr_file(i64::from, |x| x, Packing::Gzip);
    let file = h5_options().open(&path).unwrap();
    let data = file.dataset("layers/spliced/data").unwrap();
    let chunk = data.chunk_info(5).unwrap();
    drop((data, file));
    let mut bytes = fs::read(&path).unwrap();
    // Deep enough to be past the header of the compressed bytes.
    bytes[chunk.addr as usize + 6] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let stream = open(&path);
    for size in [1, N_OBS] {
        let outcomes: Vec<_> = blocks(size).map(|rows| stream.cells(rows)).collect();
        let wrong: Vec<_> = outcomes.into_iter().filter(Result::is_err).collect();
        assert!(!wrong.is_empty() && wrong.len() < 10, "{} of blocks of {size}", wrong.len());
        for outcome in wrong {
            let (message, _) = refusal(outcome);
            assert!(message.contains("layers[\"spliced\"]: HDF5 cannot read it"), "{message}");
        }
    }
}

#[test]
fn bytes_of_a_layer_can_be_anything_without_a_panic() {
    for name in ["indices", "indptr", "data"] {
        for at in 0..5 {
            for wrong in [i64::MIN, -1, 1, 3, 1 << 31, i64::MAX] {
                let (_folder, path) = edited(|file| {
                    let place = format!("layers/unspliced/{name}");
                    let mut values = file.dataset(&place).unwrap().read_raw::<i64>().unwrap();
                    values[at] = wrong;
                    replace(file, &place, &values);
                });
                if let Ok(stream) = CellStream::open(&path, &InputConfig::default()) {
                    let parts = (0..4).map(|cell| stream.cells(cell..cell + 1).is_ok());
                    let all = parts.fold(true, |all, good| all & good);
                    assert_eq!(all, read(&path, &InputConfig::default()).is_ok());
                }
            }
        }
    }
}

//! Arrays of many chunks, which are compressed on all threads.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;
use hdf5::filters::Filter;
use hdf5::types::FloatSize;
use nascent::data::{Column, Fit, FitRecord, Frame};
use nascent::io::{GenesWritten, InputConfig, NewFile, OutputConfig, Stamp, read, write_new, write_streamed_fit};
use nascent::sparse::Csr;
use ndarray::{Array2, Axis};
use rayon::ThreadPoolBuilder;
use tempfile::TempDir;

const N_OBS: usize = 3_001;
const N_VARS: usize = 307;

fn frame(n: usize) -> Frame {
    Frame { index: (0..n).map(|i| i.to_string()).collect(), columns: Vec::new() }
}

/// Numbers that differ, one in seven missing.
fn dense(n_rows: usize, n_cols: usize) -> Array2<f32> {
    Array2::from_shape_fn((n_rows, n_cols), |(i, j)| {
        if (i + j).is_multiple_of(7) { f32::NAN } else { (i * n_cols + j) as f32 * 0.37 }
    })
}

fn sparse() -> Csr<f32> {
    let row =
        |i: usize| (0..N_VARS).filter(|j| (i + j).is_multiple_of(3)).map(|j| (j as u32, (i % 9 + 1) as f32)).collect();
    Csr::from_rows(N_VARS, &(0..N_OBS).map(row).collect::<Vec<Vec<_>>>())
}

fn file() -> NewFile {
    let mut obs = frame(N_OBS);
    obs.columns.push(("depth".to_owned(), Column::Float((0..N_OBS).map(|i| i as f64 / 3.0).collect())));
    NewFile {
        x: Some(sparse()),
        sparse_layers: vec![("spliced".to_owned(), sparse()), ("unspliced".to_owned(), sparse())],
        dense_layers: vec![("Ms".to_owned(), dense(N_OBS, N_VARS))],
        obs,
        var: frame(N_VARS),
        ..NewFile::default()
    }
}

fn config(compression: u8) -> OutputConfig {
    OutputConfig { compression, genes: GenesWritten::Fitted, ..OutputConfig::default() }
}

/// A file, and what is left of it after a cut to every third gene, at `folder`.
fn write_both(folder: &Path, compression: u8, threads: usize) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let [whole, cut] = ["whole.h5ad", "cut.h5ad"].map(|name| folder.join(name));
    pool.install(|| {
        write_new(&whole, &config(compression), &file()).unwrap();
        let (fit, record) = (Fit::default(), FitRecord::default());
        write_streamed_fit(&cut, &Stamp::of(&whole).unwrap(), &config(compression), &kept(), (fit, None), record)
            .unwrap();
    });
}

fn kept() -> Vec<usize> {
    (0..N_VARS).step_by(3).collect()
}

fn opened(path: &Path) -> hdf5::File {
    hdf5::File::with_options().with_fapl(|p| p.file_locking(false)).open(path).unwrap()
}

/// Equal to the bit: NaN equals NaN.
fn bits(matrix: &Array2<f32>) -> Array2<u32> {
    matrix.mapv(f32::to_bits)
}

#[test]
fn four_threads_write_the_bytes_of_one() {
    for compression in [0, 4] {
        let [one, four] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        write_both(one.path(), compression, 1);
        write_both(four.path(), compression, 4);
        for name in ["whole.h5ad", "cut.h5ad"] {
            let bytes = |folder: &TempDir| fs::read(folder.path().join(name)).unwrap();
            assert!(bytes(&one) == bytes(&four), "{name}, level {compression}");
        }
    }
}

#[test]
fn hdf5_and_our_reader_read_every_number_of_every_chunk() {
    for compression in [0, 1, 4, 9] {
        let folder = TempDir::new().unwrap();
        write_both(folder.path(), compression, 2);
        let all = dense(N_OBS, N_VARS);
        for (name, wanted) in [("whole.h5ad", all.clone()), ("cut.h5ad", all.select(Axis(1), &kept()))] {
            let path = folder.path().join(name);
            let found = nascent::io::read_layer(&path, "Ms").unwrap();
            assert_eq!(bits(&found), bits(&wanted), "{name}, level {compression}");
            let layer = read(&path, &InputConfig::default()).unwrap().spliced;
            let file = opened(&path);
            let [indices, data] = ["indices", "data"].map(|part| {
                let dataset = file.dataset(&format!("layers/spliced/{part}")).unwrap();
                assert!(compression == 0 || dataset.num_chunks() > Some(1), "{name}: {part}");
                dataset
            });
            assert!(indices.read_raw::<u32>().unwrap() == layer.indices, "{name}, level {compression}");
            assert!(data.read_raw::<f32>().unwrap() == layer.data, "{name}, level {compression}");
            let kept: Vec<usize> = if name == "cut.h5ad" { kept() } else { (0..N_VARS).collect() };
            assert_eq!(layer, sparse().select_columns(&kept), "{name}, level {compression}");
        }
    }
}

/// Also what is less than a chunk, more columns than a chunk has, and a last chunk of one row.
#[test]
fn a_matrix_of_any_shape_is_read_by_hdf5_as_it_was_written() {
    for (n_rows, n_cols) in [(1, 1), (5, 3), (65_536, 1), (65_537, 1), (1_025, 128), (3, 65_536), (3, 140_001)] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("matrix.h5ad");
        let wanted = dense(n_rows, n_cols);
        let obsm = vec![("X".to_owned(), wanted.clone())];
        let new = NewFile { obs: frame(n_rows), var: frame(1), obsm, ..NewFile::default() };
        write_new(&path, &config(4), &new).unwrap();
        let dataset = opened(&path).dataset("obsm/X").unwrap();
        let found = dataset.read_raw::<f32>().unwrap();
        let found = Array2::from_shape_vec((n_rows, n_cols), found).unwrap();
        assert!(bits(&found) == bits(&wanted), "{n_rows} × {n_cols}");
    }
}

#[test]
fn a_compressed_matrix_names_its_filters_and_has_chunks_that_fit_the_cache() {
    let folder = TempDir::new().unwrap();
    write_both(folder.path(), 4, 2);
    for name in ["whole.h5ad", "cut.h5ad"] {
        let file = opened(&folder.path().join(name));
        for at in ["layers/Ms", "layers/spliced/data", "layers/spliced/indices", "X/data"] {
            let dataset = file.dataset(at).unwrap();
            assert_eq!(dataset.filters(), [Filter::Shuffle, Filter::Deflate(4)], "{name}: {at}");
            let chunk = dataset.chunk().unwrap().iter().product::<usize>() * FloatSize::U4 as usize;
            assert!(chunk <= 1 << 20, "{name}: {at} has chunks of {chunk} bytes");
        }
    }
}

/// HDF5 itself would read a shorter one, and then what happens to lie behind it.
#[test]
fn every_chunk_is_whole_the_last_of_an_axis_too() {
    let folder = TempDir::new().unwrap();
    write_both(folder.path(), 4, 2);
    for name in ["whole.h5ad", "cut.h5ad"] {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        let file = opened(&path);
        for at in ["layers/Ms", "layers/spliced/data", "layers/spliced/indices"] {
            let dataset = file.dataset(at).unwrap();
            let wanted = dataset.chunk().unwrap().iter().product::<usize>() * FloatSize::U4 as usize;
            for i in 0..dataset.num_chunks().unwrap() {
                let chunk = dataset.chunk_info(i).unwrap();
                let start = chunk.addr as usize;
                let mut plain = Vec::new();
                ZlibDecoder::new(&bytes[start..start + chunk.size as usize]).read_to_end(&mut plain).unwrap();
                assert_eq!((chunk.filter_mask, plain.len()), (0, wanted), "{name}: chunk {i} of {at}");
            }
        }
    }
}

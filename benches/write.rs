//! Time and size of a matrix of 20,000 cells and 1,000 genes in a file: counts smoothed over neighbours, and the same as
//! a fifth of 5,000 genes, NaN elsewhere. Fixed seed; the argument is the gzip level. Sizes are printed first.
//!
//! `cargo bench --no-default-features --features h5ad --bench write`

#![allow(clippy::print_stdout, reason = "sizes are results here")]

use std::path::Path;

use divan::Bencher;
use nascent::data::Frame;
use nascent::io::{self, NewFile, OutputConfig};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Poisson};

const SEED: u64 = 7;
const N_OBS: usize = 20_000;
const N_VARS: usize = 1_000;
const NEIGHBORS: usize = 30;
const LEVELS: [u8; 7] = [0, 1, 2, 3, 4, 5, 6];

fn main() {
    for (name, file) in [("dense", file(smoothed())), ("a fifth", file(widened()))] {
        for level in LEVELS {
            println!("{name}, level {level}: {:.1} MB", size(&file, level) as f64 / 1e6);
        }
    }
    divan::main();
}

/// Means of the counts of 30 cells each, of sizes that differ: most genes are low and were seen in some of the cells.
fn smoothed() -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let levels = LogNormal::new(-1.0, 1.5).expect("a spread above 0");
    let means: Vec<f64> = (0..N_VARS).map(|_| levels.sample(&mut rng)).collect();
    let sizes = LogNormal::new(0.0, 0.3).expect("a spread above 0");
    let mut cells = Array2::<f32>::zeros((N_OBS, N_VARS));
    for mut cell in cells.rows_mut() {
        let size: f64 = sizes.sample(&mut rng);
        for (slot, mean) in cell.iter_mut().zip(&means) {
            let counts = Poisson::new(mean * size).expect("a mean above 0");
            *slot = (counts.sample(&mut rng) / size) as f32;
        }
    }
    let mut smoothed = Array2::zeros((N_OBS, N_VARS));
    for mut row in smoothed.rows_mut() {
        for _ in 0..NEIGHBORS {
            row.scaled_add(1.0 / NEIGHBORS as f32, &cells.row(rng.random_range(0..N_OBS)));
        }
    }
    smoothed
}

/// All genes of a file of which every fifth was kept.
fn widened() -> Array2<f32> {
    let kept = smoothed();
    Array2::from_shape_fn((N_OBS, 5 * N_VARS), |(i, g)| if g % 5 == 0 { kept[[i, g / 5]] } else { f32::NAN })
}

fn file(layer: Array2<f32>) -> NewFile {
    let frame = |n| Frame { index: (0..n).map(|i| format!("{i}")).collect(), columns: Vec::new() };
    let [n_obs, n_vars] = layer.dim().into();
    NewFile {
        obs: frame(n_obs),
        var: frame(n_vars),
        dense_layers: vec![("Ms".to_owned(), layer)],
        ..NewFile::default()
    }
}

fn write(path: &Path, file: &NewFile, level: u8) {
    let config = OutputConfig { compression: level, ..OutputConfig::default() };
    io::write_new(path, &config, file).expect("the file can be written");
}

fn size(file: &NewFile, level: u8) -> u64 {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("size.h5ad");
    write(&path, file, level);
    path.metadata().expect("it was written").len()
}

fn time(bencher: Bencher<'_, '_>, layer: Array2<f32>, level: u8) {
    let file = file(layer);
    let folder = tempfile::tempdir().expect("there is room");
    bencher.bench_local(|| write(&folder.path().join("time.h5ad"), &file, level));
}

#[divan::bench(args = LEVELS, sample_count = 3)]
fn dense_20000_cells_1000_genes(bencher: Bencher<'_, '_>, level: u8) {
    time(bencher, smoothed(), level);
}

#[divan::bench(args = LEVELS, sample_count = 3)]
fn a_fifth_of_5000_genes_20000_cells(bencher: Bencher<'_, '_>, level: u8) {
    time(bencher, widened(), level);
}

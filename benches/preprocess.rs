//! Time of preprocessing and of its two costly steps, on random counts. Fixed seed; the size is in the name.
//!
//! `cargo bench --no-default-features --bench preprocess`

use std::path::PathBuf;

use nascent::data::{Counts, Frame};
use nascent::preprocess::{PreprocessConfig, run};
use nascent::sparse::Csr;
use nascent::{neighbors, pca};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SEED: u64 = 3;
const N_OBS: usize = 20_000;
const N_VARS: usize = 2_000;

fn main() {
    divan::main();
}

/// A tenth of the entries hold counts from 1 to 5; cells of ten kinds prefer different genes.
fn layer(rng: &mut ChaCha8Rng, density: f64) -> Csr<f32> {
    let row = |i: usize, rng: &mut ChaCha8Rng| {
        let preferred = |g: u32| (g as usize + i).is_multiple_of(10);
        let entry = |g: u32, rng: &mut ChaCha8Rng| {
            let present = rng.random_bool(if preferred(g) { 3.0 * density } else { 0.78 * density });
            present.then(|| (g, f32::from(rng.random_range(1_u8..6))))
        };
        (0..2_000_u32).filter_map(|g| entry(g, rng)).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<(u32, f32)>> = (0..N_OBS).map(|i| row(i, rng)).collect();
    Csr::from_rows(N_VARS, &rows)
}

fn counts() -> Counts {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let frame =
        |letter: &str, n| Frame { index: (0..n).map(|i| format!("{letter}{i}")).collect(), columns: Vec::new() };
    Counts {
        path: PathBuf::from("random"),
        obs: frame("cell", N_OBS),
        var: frame("gene", N_VARS),
        x: None,
        spliced: layer(&mut rng, 0.10),
        unspliced: layer(&mut rng, 0.05),
        moments: None,
        neighbors: None,
        obsm: Vec::new(),
    }
}

#[divan::bench(sample_count = 3)]
fn run_20000_cells_2000_genes(bencher: divan::Bencher<'_, '_>) {
    let counts = counts();
    bencher.bench(|| run(&counts, &PreprocessConfig::default()));
}

#[divan::bench(sample_count = 3)]
fn pca_20000_cells_2000_genes_30_components(bencher: divan::Bencher<'_, '_>) {
    let spliced = counts().spliced;
    bencher.bench(|| pca::pca(&spliced, 30));
}

#[divan::bench(sample_count = 3)]
fn neighbors_20000_cells_30_dimensions_k30(bencher: divan::Bencher<'_, '_>) {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let points = Array2::from_shape_simple_fn((N_OBS, 30), || rng.random_range(-1.0..1.0_f32));
    bencher.bench(|| neighbors::neighbors(points.view(), 30));
}

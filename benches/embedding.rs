//! Time of arrows, of their field and of UMAP, on a spiral sheet of cells in ten dimensions. Fixed seed; the number of cells is the
//! argument.
//!
//! `cargo bench --no-default-features --bench embedding`

use std::f64::consts::TAU;

use divan::Bencher;
use nascent::embedding::{FieldSettings, Flow, ProjectionSettings, UmapSettings, project, umap};
use nascent::neighbors::neighbors;
use nascent::sparse::Csr;
use ndarray::{Array2, s};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SEED: u64 = 5;
/// Similarities per cell: neighbours of 30 neighbours.
const N_CANDIDATES: usize = 400;

fn main() {
    divan::main();
}

fn cells(n_obs: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut cells = Array2::from_shape_simple_fn((n_obs, 10), || rng.random_range(-0.2..0.2));
    for mut cell in cells.rows_mut() {
        let t: f64 = rng.random_range(0.2..2.0);
        cell[0] += (5.0 * t * (TAU * t).cos()) as f32;
        cell[1] += (5.0 * t * (TAU * t).sin()) as f32;
    }
    cells
}

/// Similarities of both signs with random cells.
fn graph(n_obs: usize) -> Csr<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let row = |_| {
        let mut others: Vec<u32> = (0..N_CANDIDATES).map(|_| rng.random_range(0..n_obs as u32)).collect();
        others.sort_unstable();
        others.dedup();
        others.into_iter().map(|j| (j, rng.random_range(-1.0..1.0))).collect::<Vec<_>>()
    };
    Csr::from_rows(n_obs, &(0..n_obs).map(row).collect::<Vec<_>>())
}

#[divan::bench(args = [3_000, 30_000], sample_count = 3)]
fn arrows(bencher: Bencher<'_, '_>, n_obs: usize) {
    let (cells, graph) = (cells(n_obs), graph(n_obs));
    bencher.bench(|| project(&graph, cells.slice(s![.., ..2]), &ProjectionSettings::default()));
}

#[divan::bench(args = [3_000, 30_000], sample_count = 3)]
fn field(bencher: Bencher<'_, '_>, n_obs: usize) {
    let cells = cells(n_obs);
    let arrows = cells.slice(s![.., 2..4]).mapv(f64::from);
    bencher.bench(|| Flow::new(cells.slice(s![.., ..2]), arrows.view(), &FieldSettings::default()));
}

#[divan::bench(args = [3_000, 30_000], sample_count = 1)]
fn umap_from_a_graph(bencher: Bencher<'_, '_>, n_obs: usize) {
    let cells = cells(n_obs);
    let linked = neighbors(cells.view(), 30).expect("finite coordinates");
    bencher.bench(|| umap(&linked.connectivities, cells.slice(s![.., ..2]), &UmapSettings::default(), SEED));
}

//! The rates of all genes may be slower than their prior says.

use nascent::data::quantities::{CELL_SIZE, SOFT_GRID, VELOCITY};
use nascent::data::{Counts, Fit, stream};
use nascent::metrics::velocity_scores;
use nascent::models::soft_grid::{RateScale, SoftGrid};
use nascent::simulate::{SimulateConfig, simulate};
use nascent::sparse::Csr;
use nascent::stats::{mean, median};
use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use crate::grid_fits::in_memory;

const CELLS: usize = 600;
const GENES: usize = 120;

/// Cells on the first 1.3 lifetimes of transcripts after all genes were switched on, where every velocity is still near its highest;
/// and the true velocities. Of spliced molecules four times as many are counted as of unspliced ones.
fn short() -> (Counts, Array2<f32>, Vec<f64>) {
    let mut rng = stream(1, "short trajectories", 0);
    let mut normal = |sd: f64| -> f64 { let z: f64 = StandardNormal.sample(&mut rng); (sd * z).exp() };
    let rates: Vec<[f64; 3]> = (0..GENES).map(|_| [normal(0.5), normal(0.25), 0.9 * normal(0.35)]).collect();
    let sizes: Vec<f64> = (0..CELLS).map(|_| normal(0.3)).collect();
    let times: Vec<f64> = (0..CELLS).map(|_| rng.random_range(0.0..1.3)).collect();
    let mut counts = [(); 2].map(|()| Array2::<f32>::zeros((CELLS, GENES)));
    let mut velocity = Array2::zeros((CELLS, GENES));
    for (cell, &t) in times.iter().enumerate() {
        for (gene, &[alpha, beta, gamma]) in rates.iter().enumerate() {
            let (by_u, by_s) = ((-beta * t).exp(), (-gamma * t).exp());
            let u = alpha / beta * (1.0 - by_u);
            let s = alpha / gamma * (1.0 - by_s) + alpha / (gamma - beta) * (by_s - by_u);
            velocity[[cell, gene]] = (beta * u - gamma * s) as f32;
            for (counts, mean) in counts.iter_mut().zip([1.6 * u, 6.4 * s]) {
                let mean = (sizes[cell] * mean).max(1e-9);
                counts[[cell, gene]] = Poisson::<f64>::new(mean).expect("above 0").sample(&mut rng) as f32;
            }
        }
    }
    let [unspliced, spliced] = counts.map(|counts| Csr::from_dense(counts.view()));
    let config = SimulateConfig { cells: CELLS, genes: GENES, seed: 1, ..SimulateConfig::default() };
    let rest = simulate(&config).expect("valid settings").counts;
    (Counts { unspliced, spliced, x: None, obsm: Vec::new(), ..rest }, velocity, times)
}

fn settings(rate_scale: RateScale) -> SoftGrid {
    SoftGrid { rate_scale, lineages: 1, tolerance: 1e-7, max_rounds: 100, uncertainty: false, ..SoftGrid::default() }
}

fn medians(fit: &Fit) -> [f64; 2] {
    [0, 1].map(|at| fit[SOFT_GRID]["rate_medians"][at].as_f64().expect("a number"))
}

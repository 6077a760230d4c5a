//! Lineages that part one after the other.

use nascent::data::quantities::{LATENT_LINEAGE, LATENT_TIME, SOFT_GRID, VELOCITY};
use nascent::data::{Counts, stream};
use nascent::kinetics::{Rates, State, solve};
use nascent::metrics::velocity_scores;
use nascent::models::soft_grid::SoftGrid;
use nascent::simulate::{SimulateConfig, simulate};
use nascent::sparse::Csr;
use nascent::stats::spearman;
use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use crate::grid_fits::in_memory;

const CELLS: usize = 700;
const GENES: usize = 150;
/// End of time, and the times of the two branch points.
const ENDS: [f64; 3] = [6.0, 12.0, 20.0];

/// Where a cell is on the tree 0 → {1, 2 → {3, 4}}: trunk, lineage, stem, lineage, lineage.
fn segment(lineage: usize, t: f64) -> usize {
    match lineage {
        _ if t < ENDS[0] => 0,
        0 => 1,
        _ if t < ENDS[1] => 2,
        lineage => 2 + lineage,
    }
}

/// Cells of a tree with two branch points; with true velocities, times and segments.
fn nested() -> (Counts, Array2<f32>, Vec<f64>, Vec<usize>) {
    let mut rng = stream(7, "nested tree", 0);
    let cells: Vec<(usize, f64)> =
        (0..CELLS).map(|_| (rng.random_range(0..3), rng.random_range(0.0..ENDS[2]))).collect();
    let mut counts = [(); 2].map(|()| Array2::<f32>::zeros((CELLS, GENES)));
    let mut velocity = Array2::zeros((CELLS, GENES));
    for gene in 0..GENES {
        let mut normal = |mean: f64, sd: f64| -> f64 {
            let z: f64 = StandardNormal.sample(&mut rng);
            mean * (sd * z).exp()
        };
        let (beta, gamma) = (normal(1.0, 0.3), normal(0.5, 0.3));
        // Transcription in each segment: the trunk's, changed two- to tenfold in some of the others.
        let mut alpha = [normal(6.0, 0.5); 5];
        for at in 1..5 {
            alpha[at] = if at > 2 { alpha[2] } else { alpha[0] };
            if rng.random::<f64>() < 0.5 {
                alpha[at] *= if rng.random::<bool>() { 4.0 } else { 0.15 };
            }
        }
        let early = if rng.random::<f64>() < 0.5 { 0.1 } else { 1.0 };
        for (cell, &(lineage, t)) in cells.iter().enumerate() {
            let start = Rates { alpha: early * alpha[0], beta, gamma };
            let mut state = State { u: start.alpha / beta, s: start.alpha / gamma };
            let mut from = 0.0;
            for end in ENDS {
                let to = t.min(end);
                if to > from {
                    let rates = Rates { alpha: alpha[segment(lineage, 0.5 * (from + to))], beta, gamma };
                    state = solve(to - from, state, rates);
                    from = to;
                }
            }
            velocity[[cell, gene]] = (beta * state.u - gamma * state.s) as f32;
            for (counts, mean) in counts.iter_mut().zip([0.5 * state.u, 0.5 * state.s]) {
                counts[[cell, gene]] = Poisson::<f64>::new(mean.max(1e-9)).expect("above 0").sample(&mut rng) as f32;
            }
        }
    }
    let [unspliced, spliced] = counts.map(|counts| Csr::from_dense(counts.view()));
    let config = SimulateConfig { cells: CELLS, genes: GENES, seed: 1, ..SimulateConfig::default() };
    let rest = simulate(&config).expect("valid settings").counts;
    let segments = cells.iter().map(|&(lineage, t)| segment(lineage, t)).collect();
    let times = cells.iter().map(|cell| cell.1).collect();
    (Counts { unspliced, spliced, x: None, obsm: Vec::new(), ..rest }, velocity, times, segments)
}

#[test]
fn a_second_branch_point_is_found_with_the_lineages_that_part_there() {
    let (counts, velocity, times, segments) = nested();
    let settings = SoftGrid { uncertainty: false, ..SoftGrid::default() };
    let fit = in_memory(&settings, &counts).expect("the model can be fitted");
    assert_eq!([&fit[SOFT_GRID]["lineages"], &fit[SOFT_GRID]["branch_points"]], [3, 2]);
    let time = spearman(&fit[LATENT_TIME].to_vec(), &times);
    assert!(time > 0.98, "{time}");
    let found = velocity_scores(fit[VELOCITY].view(), velocity.view()).expect("same shape").gene_pearson;
    let found = found.expect("genes with velocities");
    assert!(found > 0.9, "{found}");
    // Each found lineage, and the stem that two of them share, holds the cells of one true segment.
    let labels = &fit[LATENT_LINEAGE];
    let stem = labels.categories.iter().position(|name| name.contains('+')).expect("a stem of two lineages");
    let mut of_stem = [0; 5];
    let mut right = 0;
    for code in 1..labels.categories.len() {
        let mut of = [0; 5];
        let cells = labels.codes.iter().zip(&segments).filter(|(found, _)| **found == Some(code as u32));
        cells.for_each(|(_, &segment)| of[segment] += 1);
        right += of.iter().max().expect("five segments");
        if code == stem {
            of_stem = of;
        }
    }
    let late = segments.iter().filter(|&&segment| segment > 0).count();
    assert!(right as f64 > 0.85 * late as f64, "{right} of {late}");
    // Branch points are placed early: cells before the true ones are on either side of them, but none behind the second, or of lineage 0.
    let behind = of_stem[1] + of_stem[3] + of_stem[4];
    assert!(
        of_stem[2] > 20 && behind * 20 < of_stem.iter().sum::<usize>(),
        "the stem of lineages 1 and 2: {of_stem:?}"
    );
}

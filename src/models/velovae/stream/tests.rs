//! A fit whose cells are read as they are needed, on counts whose times and velocities are known.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, Axis, concatenate};
use rand::Rng;
use rand_distr::Poisson;

use super::{CellSource, Run, Streamed, Velovae};
use crate::data::quantities::{FIT_BETA, LATENT_TIME};
use crate::data::{Counts, Frame, Silent, stream};
use crate::kinetics::{Rates, State, switch, velocity};
use crate::models::velovae::Likelihood;
use crate::preprocess::PreprocessConfig;
use crate::sparse::Csr;
use crate::stats::{pearson, spearman};
use crate::train::Room;

const CELLS: usize = 500;
const GENES: usize = 50;

/// Counts of genes that are switched on one after the other, half of them off again, and what they come from.
struct Known {
    counts: Counts,
    times: Vec<f64>,
    velocity: Array2<f64>,
}

fn known() -> Known {
    let mut rng = stream(5, "cells", 0);
    let times: Vec<f64> = (0..CELLS).map(|_| rng.random_range(0.0..15.0)).collect();
    let of_gene = |gene: usize| {
        let at = gene as f64 / GENES as f64;
        let rates = Rates { alpha: 6.0 + 10.0 * at, beta: 0.6 + 0.8 * ((gene * 7) % 10) as f64 / 10.0, gamma: 0.5 };
        let on = 9.0 * at;
        (rates, on, if gene.is_multiple_of(2) { on + 4.0 } else { f64::INFINITY })
    };
    let state = |cell: usize, gene: usize| {
        let (rates, on, off) = of_gene(gene);
        switch(times[cell], on, off, rates)
    };
    let velocity = Array2::from_shape_fn((CELLS, GENES), |(cell, gene)| {
        let (rates, on, off) = of_gene(gene);
        let is_on = (on..off).contains(&times[cell]);
        velocity(state(cell, gene), Rates { alpha: if is_on { rates.alpha } else { 0.0 }, ..rates }).s
    });
    let mut drawn = |pick: fn(State) -> f64| {
        let count = |(cell, gene)| match pick(state(cell, gene)) {
            mean if mean > 0.0 => rng.sample::<f64, _>(Poisson::new(mean).expect("above 0")) as f32,
            _ => 0.0,
        };
        Csr::from_dense(Array2::from_shape_fn((CELLS, GENES), count).view())
    };
    let (unspliced, spliced) = (drawn(|state| state.u), drawn(|state| state.s));
    let frame = |letter: &str, n: usize| Frame {
        index: (0..n).map(|at| format!("{letter}{at}")).collect(),
        columns: Vec::new(),
    };
    let counts = Counts {
        path: "cells.h5ad".into(),
        obs: frame("c", CELLS),
        var: frame("g", GENES),
        x: None,
        spliced,
        unspliced,
        moments: None,
        neighbors: None,
        obsm: Vec::new(),
    };
    Known { counts, times, velocity }
}

fn quick() -> Velovae {
    let mut settings = Velovae {
        likelihood: Likelihood::NegativeBinomial,
        hidden: [64, 32],
        dropout: 0.0,
        refine_rounds: 1,
        refine_epochs: 10,
        ..Velovae::default()
    };
    settings.train.learning_rate = 1e-3;
    settings.train.epochs = 40;
    settings
}

/// A fit, resumed if there is one, for which the counts in memory may take `bytes`, far less than all cells do.
fn streamed(counts: &Counts, bytes: usize, folder: &Path) -> Streamed {
    let source: Arc<dyn CellSource> = Arc::new(counts.clone());
    let mut run = Run::new(folder, 0, String::new(), Box::new(Silent)).resuming(true);
    let all = PreprocessConfig { min_shared_counts: 0, n_top_genes: 0, ..PreprocessConfig::default() };
    let room = |_| Ok(Room { bytes, for_all: false });
    quick().fit_within(&source, &all, &room, &mut run).expect("fitted")
}

/// Velocities of all cells as they are written, `block` cells at a time.
fn velocities(fit: &Streamed, block: usize) -> Array2<f32> {
    let layers = fit.layers.as_ref().expect("it has layers");
    let made = |first| layers.rows(first..(first + block).min(CELLS), GENES).expect("made").swap_remove(0);
    let blocks: Vec<Array2<f32>> = (0..CELLS).step_by(block).map(made).collect();
    let views: Vec<_> = blocks.iter().map(Array2::view).collect();
    concatenate(Axis(0), &views).expect("all genes")
}

#[test]
fn a_fit_whose_cells_are_read_as_they_are_needed_recovers_time_and_velocity_and_is_read_back() {
    let known = known();
    let folder = tempfile::tempdir().expect("a folder");
    let fit = streamed(&known.counts, 100_000, folder.path());
    let of_time = spearman(&fit.fit[LATENT_TIME].to_vec(), &known.times);
    let found = velocities(&fit, 128);
    let of_gene =
        |gene: usize| pearson(&found.column(gene).mapv(f64::from).to_vec(), &known.velocity.column(gene).to_vec());
    let mut of_genes: Vec<f64> = (0..GENES).map(of_gene).collect();
    of_genes.sort_by(f64::total_cmp);
    assert!(of_time > 0.98 && of_genes[GENES / 2] > 0.85, "time {of_time}, genes {of_genes:?}");

    // Matrix products of another height are summed in another order.
    let largest = |all: &Array2<f32>| all.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    assert!(largest(&(&found - &velocities(&fit, CELLS))) < 1e-4 * largest(&found), "blocks of another size");

    let resumed = streamed(&known.counts, 100_000, folder.path());
    assert!(resumed.fit[FIT_BETA] == fit.fit[FIT_BETA] && velocities(&resumed, 128) == found, "read back");
}

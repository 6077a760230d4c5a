//! Abundances, velocities and moments of one fit are in the same units, also where cells come to hold more molecules.

use std::path::Path;

use nascent::data::quantities::{FIT_S, LATENT_TIME, MS, TRUE_T, VELOCITY, VELOCITY_PSEUDOTIME};
use nascent::data::{Column, Frame};
use nascent::io::{NewFile, OutputConfig, write_new};
use nascent::kinetics::{Rates, State, solve};
use nascent::sparse::Csr;
use nascent::stats::{mean, spearman};
use ndarray::ArcArray2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Poisson};

use crate::io_samples::opened;
use crate::program::Program;

const CELLS: usize = 500;
const GENES: usize = 60;
const T_MAX: f64 = 20.0;

/// Counts of cells whose genes are all switched to four times their transcription, one after the other: total expression rises
/// fourfold along time. Returns the mean total of the earliest and the latest tenth of the cells.
fn rising(path: &Path) -> [f64; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let spread = |sd: f64| LogNormal::new(0.0, sd).expect("a spread");
    let genes: Vec<(Rates, f64)> = (0..GENES)
        .map(|_| {
            let rates = Rates {
                alpha: 8.0 * spread(0.6).sample(&mut rng),
                beta: 0.8,
                gamma: 0.5 * spread(0.3).sample(&mut rng),
            };
            (rates, rng.random_range(0.0..0.6 * T_MAX))
        })
        .collect();
    let (mut times, mut totals) = (Vec::new(), Vec::new());
    let mut rows: [Vec<Vec<(u32, f32)>>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..CELLS {
        let (t, size) = (rng.random_range(0.0..T_MAX), spread(0.2).sample(&mut rng));
        let (mut cell, mut total) = ([Vec::new(), Vec::new()], 0.0);
        for (gene, (rates, switch)) in (0_u32..).zip(&genes) {
            let before = State { u: rates.alpha / 4.0 / rates.beta, s: rates.alpha / 4.0 / rates.gamma };
            let state = solve((t - switch).max(0.0), before, *rates);
            for (species, mean) in [state.u, state.s].into_iter().enumerate() {
                let count = Poisson::new(size * mean).expect("a positive mean").sample(&mut rng);
                if count > 0.0 {
                    cell[species].push((gene, count as f32));
                }
            }
            total += state.s;
        }
        for (rows, cell) in rows.iter_mut().zip(cell) {
            rows.push(cell);
        }
        times.push(t);
        totals.push((t, total));
    }
    let [unspliced, spliced] = rows.map(|rows| Csr::from_rows(GENES, &rows));
    let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect();
    let mut obs = Frame { index: names("c", CELLS), columns: Vec::new() };
    obs.set(TRUE_T.key(), Column::Float(times));
    let file = NewFile {
        sparse_layers: vec![("spliced".to_owned(), spliced), ("unspliced".to_owned(), unspliced)],
        obs,
        var: Frame { index: names("g", GENES), columns: Vec::new() },
        ..NewFile::default()
    };
    write_new(path, &OutputConfig::default(), &file).expect("a file");
    totals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let tenth = |cells: &[(f64, f64)]| mean(&cells.iter().map(|cell| cell.1).collect::<Vec<f64>>());
    [tenth(&totals[..CELLS / 10]), tenth(&totals[CELLS - CELLS / 10..])]
}

/// Mean over genes of the mean absolute difference over the mean of `wanted`.
fn relative_difference(found: &ArcArray2<f32>, wanted: &ArcArray2<f32>) -> f64 {
    let of_gene = |gene: usize| {
        let pairs = found.column(gene).into_iter().zip(wanted.column(gene)).map(|(a, b)| f64::from((a - b).abs()));
        pairs.sum::<f64>() / wanted.column(gene).iter().map(|&value| f64::from(value)).sum::<f64>()
    };
    mean(&(0..found.ncols()).map(of_gene).collect::<Vec<f64>>())
}

#[test]
fn a_soft_grid_fit_is_in_the_units_of_its_moments_where_total_expression_rises_fourfold() {
    let program = Program::new();
    let [early, late] = rising(&program.path("counts.h5ad"));
    assert!(late / early > 3.5, "{}", late / early);
    let train = |kind: &str, output: &str| {
        let layers = "--set output.layers=all --set preprocess.min_shared_counts=1";
        program.succeed(&format!("train --input counts.h5ad --output {output} --set model.kind={kind} {layers}"));
    };
    train("soft_grid", "grid.h5ad");
    train("steady_state", "line.h5ad");
    program.succeed("graph grid.h5ad");
    let (grid, line) = (opened(&program.path("grid.h5ad")), opened(&program.path("line.h5ad")));
    let layer = |file: &nascent::io::FittedFile, quantity| file.layer(quantity).unwrap().expect("written");
    let fitted = layer(&grid, FIT_S);

    // Abundances: those of the fit are the moments but for noise; over totals, which rise too, they would be others.
    let (own, over_totals) = (layer(&grid, MS), layer(&line, MS));
    let (near, far) = (relative_difference(&fitted, &own), relative_difference(&fitted, &over_totals));
    println!("fit_s against Ms: {near:.3}; against counts over totals: {far:.3}");
    assert!(near < 0.12 && far > 0.25, "{near} {far}");
    let mse: serde_json::Value = serde_json::from_str(&program.succeed("evaluate grid.h5ad --json")).unwrap();
    let squares = own.iter().zip(&fitted).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>();
    assert!(mse["mse_train"].as_f64().is_some_and(|mse| mse < squares / own.len() as f64), "of both species: {mse}");

    // Velocities: where the cell is after a little time, in the same units. All genes rise, so none may seem to fall.
    let velocity = layer(&grid, VELOCITY);
    let rising = velocity.iter().filter(|&&v| v > -0.05).count() as f64 / velocity.len() as f64;
    println!("velocities that do not fall: {rising:.3}");
    assert!(rising > 0.9, "{rising}");
    let (truth, time) = (grid.numbers(TRUE_T).unwrap(), grid.numbers(VELOCITY_PSEUDOTIME).unwrap());
    let graph = spearman(&truth, &time);
    println!(
        "pseudotime along the graph: {graph:.3}; latent time: {:.3}",
        spearman(&truth, &grid.numbers(LATENT_TIME).unwrap())
    );
    assert!(graph > 0.9, "{graph}");
}

#[test]
fn fits_in_different_units_are_compared_as_changes_of_shares() {
    let program = Program::new();
    rising(&program.path("counts.h5ad"));
    for kind in ["soft_grid", "dynamical", "steady_state"] {
        let flags = "--set preprocess.min_shared_counts=1";
        program.succeed(&format!("train --input counts.h5ad --output {kind}.h5ad --set model.kind={kind} {flags}"));
    }
    let compared = |files: &str| -> serde_json::Value {
        serde_json::from_str(&program.succeed(&format!("compare {files} --json"))).unwrap()
    };
    let same = compared("dynamical.h5ad steady_state.h5ad");
    assert_eq!(same["as_shares"], false);
    let mixed = compared("soft_grid.h5ad steady_state.h5ad");
    assert_eq!(mixed["as_shares"], true);
    let cosine = |found: &serde_json::Value| found["pairs"][0]["cell_cosine"][1].as_f64().expect("a cosine");
    println!("cosines: same units {:.3}, as shares {:.3}", cosine(&same), cosine(&mixed));
    assert!(cosine(&mixed) > 0.2, "{}", cosine(&mixed));
    let said = program.succeed("compare soft_grid.h5ad steady_state.h5ad");
    assert!(said.contains("different units"), "{said}");
}

//! Abundances, velocities and moments of one fit are in the same units, also where cells come to hold more molecules.

use std::path::Path;

use nascent::data::quantities::{FIT_S, MS, TRUE_T, VELOCITY_CONFIDENCE_TRANSITION, VELOCITY_PSEUDOTIME};
use nascent::data::{Column, Frame};
use nascent::io::{NewFile, OutputConfig, write_new};
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use nascent::sparse::Csr;
use nascent::stats::{mean, median, spearman};
use ndarray::ArcArray2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

use crate::io_samples::opened;
use crate::program::Program;

const CELLS: usize = 500;
const CONSTANT: usize = 20;

/// Simulated genes that are switched on along time, beside constant ones: as many molecules of these that total expression rises
/// fourfold. Returns the mean total of spliced molecules in the earliest and the latest tenth of the cells, before noise.
fn rising(path: &Path) -> [f64; 2] {
    let config = SimulateConfig { cells: CELLS, genes: 60, seed: 3, repressed: 0.0, ..SimulateConfig::default() };
    let Simulation { counts, truth, .. } = simulate(&config).expect("valid settings");
    let truth = truth.expect("the default").spliced;
    let numbers = |name: &str| counts.obs.get(name).and_then(Column::to_numbers).expect("the simulation says");
    let (times, sizes) = (numbers("true_t"), numbers("true_size"));
    let mut order: Vec<usize> = (0..CELLS).collect();
    order.sort_by(|&a, &b| times[a].total_cmp(&times[b]));
    let total = |cells: &[usize]| mean(&cells.iter().map(|&i| f64::from(truth.row(i).sum())).collect::<Vec<f64>>());
    let ends = [total(&order[..CELLS / 10]), total(&order[CELLS - CELLS / 10..])];
    // With c constant molecules, late + c = 4 (early + c).
    let constant = (ends[1] - 4.0 * ends[0]) / 3.0;

    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut with_constant = |layer: &Csr<f32>, molecules: f64| {
        let rows: Vec<Vec<(u32, f32)>> = (0..CELLS)
            .map(|i| {
                let (genes, values) = layer.row(i);
                let mut row: Vec<(u32, f32)> = genes.iter().copied().zip(values.iter().copied()).collect();
                let law = Poisson::new(sizes[i] * molecules / CONSTANT as f64).expect("a positive mean");
                row.extend((0..CONSTANT).map(|gene| ((layer.n_cols + gene) as u32, law.sample(&mut rng) as f32)));
                row
            })
            .collect();
        Csr::from_rows(layer.n_cols + CONSTANT, &rows)
    };
    let spliced = with_constant(&counts.spliced, constant);
    let unspliced = with_constant(&counts.unspliced, 0.4 * constant);
    let names = (0..spliced.n_cols).map(|gene| format!("g{gene}")).collect();
    let file = NewFile {
        sparse_layers: vec![("spliced".to_owned(), spliced), ("unspliced".to_owned(), unspliced)],
        obs: counts.obs,
        var: Frame { index: names, columns: Vec::new() },
        ..NewFile::default()
    };
    write_new(path, &OutputConfig::default(), &file).expect("a file");
    ends.map(|total| total + constant)
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
    assert!((late / early - 4.0).abs() < 1e-6, "{}", late / early);
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

    // Abundances: those of the fit are the moments but for the noise of few counts; over totals, which rise too, they would be others.
    let (own, over_totals) = (layer(&grid, MS), layer(&line, MS));
    let (near, far) = (relative_difference(&fitted, &own), relative_difference(&fitted, &over_totals));
    println!("fit_s against Ms: {near:.3}; against counts over totals: {far:.3}");
    // Measured: .21 and .40.
    assert!(near < 0.24 && far > 0.36, "{near} {far}");
    let mse: serde_json::Value = serde_json::from_str(&program.succeed("evaluate grid.h5ad --json")).unwrap();
    // Measured: .38; over totals 1.47.
    assert!(mse["mse_train"].as_f64().is_some_and(|mse| mse < 0.45), "{mse}");

    // Velocities: they point to the cells that come next. Measured: .83; with moments over totals .66.
    let along = median(&grid.numbers(VELOCITY_CONFIDENCE_TRANSITION).unwrap());
    println!("velocity against transitions: {along:.3}");
    assert!(along > 0.78, "{along}");
    let (truth, time) = (grid.numbers(TRUE_T).unwrap(), grid.numbers(VELOCITY_PSEUDOTIME).unwrap());
    let graph = spearman(&truth, &time);
    println!("pseudotime along the graph: {graph:.3}");
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

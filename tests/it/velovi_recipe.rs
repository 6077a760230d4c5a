//! Laws of the recipe `velovi`, on simulated counts.

use nascent::Error;
use nascent::data::quantities::{
    Numbers, Quantity, VARIANCE_VELOCITY, VELOCITY, VELOCITY_GAMMA, VELOCITY_GENES, VELOCITY_R2,
};
use nascent::data::{Column, Counts, Dataset, Fit, MinMax, Run, Silent};
use nascent::models::VelocityModel;
use nascent::models::soft_grid::SoftGrid;
use nascent::models::steady_state::{Mode, SteadyState};
use nascent::preprocess::{PreprocessConfig, Recipe, Report, run};
use nascent::simulate::{SimulateConfig, simulate};
use ndarray::{Array2, array};

fn counts() -> Counts {
    let config = SimulateConfig { cells: 300, genes: 60, seed: 3, ..SimulateConfig::default() };
    simulate(&config).expect("valid settings").counts
}

fn velovi() -> PreprocessConfig {
    PreprocessConfig { recipe: Recipe::Velovi, ..PreprocessConfig::default() }
}

/// The data and the report of `config`, and the data without the recipe's own steps.
fn prepared(config: &PreprocessConfig) -> (Dataset, Report, Dataset) {
    let counts = counts();
    let (data, report) = run(&counts, config).expect("valid data");
    let plain = PreprocessConfig { recipe: Recipe::Scvelo03, ..config.clone() };
    (data, report, run(&counts, &plain).expect("valid data").0)
}

fn status(report: &Report, gene: &str) -> String {
    let at = report.genes.index.iter().position(|name| name == gene).expect("a gene of the file");
    report.genes.get("status").expect("always there").to_labels()[at].clone()
}

fn largest_difference(found: &Array2<f32>, wanted: &Array2<f32>) -> f32 {
    found.iter().zip(wanted).fold(0.0, |most, (a, b)| (a - b).abs().max(most))
}

fn fit(mode: Mode, fit_offset: bool, data: &Dataset) -> Fit {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    SteadyState { mode, fit_offset, ..SteadyState::default() }.fit(data, &mut run).expect("the model can be fitted")
}

#[test]
fn moments_run_from_0_to_1_and_come_back() {
    let (data, report, plain) = prepared(&velovi());
    assert!(data.n_vars() >= 2 && data.n_vars() < plain.n_vars(), "{} of {}", data.n_vars(), plain.n_vars());
    for moments in [&data.mu, &data.ms] {
        for gene in moments.columns() {
            let extreme = |start: f32, better: fn(f32, f32) -> f32| gene.iter().copied().fold(start, better);
            assert!(extreme(1.0, f32::min).abs() < 1e-7 && (extreme(0.0, f32::max) - 1.0).abs() < 1e-6);
        }
    }
    let steps: Vec<(&str, usize)> = report.steps.iter().rev().take(3).map(|step| (step.name, step.n_genes)).collect();
    let (n_all, n_kept) = (plain.n_vars(), data.n_vars());
    assert_eq!(steps, [("steady-state lines", n_kept), ("min-max scaling", n_all), ("moments", n_all)]);

    let positions: Vec<usize> = data
        .genes
        .iter()
        .map(|gene| plain.genes.iter().position(|other| other == gene).expect("kept before"))
        .collect();
    assert_eq!(data.neighbors.connectivities, plain.neighbors.connectivities);
    let (data, plain) = (data.in_counts(), plain.select_genes(&positions));
    assert!(data.scaling.is_none());
    assert_eq!((&data.var, &data.genes, &data.spliced), (&plain.var, &plain.genes, &plain.spliced));
    assert!(largest_difference(&data.ms, &plain.ms) < 1e-4 && largest_difference(&data.mu, &plain.mu) < 1e-4);
}

#[test]
fn every_gene_that_is_kept_has_a_line_and_every_other_is_said_to_have_none() {
    let (data, report, plain) = prepared(&velovi());
    let fit = fit(Mode::Deterministic, false, &data);
    let positive = |column: Quantity<Numbers>| fit[column].iter().all(|&value| value > 0.0);
    assert!(positive(VELOCITY_R2) && positive(VELOCITY_GAMMA));
    assert!(fit[VELOCITY_GENES].iter().all(|&chosen| chosen));
    assert_eq!(report.n_genes("no_line"), plain.n_vars() - data.n_vars());
    assert_eq!(report.n_genes("kept"), data.n_vars());
}

#[test]
fn genes_that_are_named_stay() {
    let (data, _, plain) = prepared(&velovi());
    let without_line =
        plain.var.index.iter().find(|gene| !data.var.index.contains(gene)).expect("one is dropped").clone();
    let retained = PreprocessConfig { retain_genes: vec![without_line.clone()], ..velovi() };
    let (with_it, report, _) = prepared(&retained);
    assert_eq!(with_it.n_vars(), data.n_vars() + 1);
    assert!(with_it.var.index.contains(&without_line));
    assert_eq!(status(&report, &without_line), "retained");

    let listed = PreprocessConfig { genes: vec![without_line, data.var.index[0].clone()], ..velovi() };
    let (only, _, _) = prepared(&listed);
    assert_eq!(only.n_vars(), 2);
    assert!(only.scaling.is_some());
}

#[test]
fn a_gene_that_does_not_vary_becomes_0() {
    let values = array![[2.0_f32, 1.0], [2.0, 5.0], [2.0, 3.0]];
    let scaling = MinMax::of(&values);
    assert_eq!((&scaling.min, &scaling.span), (&array![2.0, 1.0], &array![1.0, 4.0]));
    let mut scaled = values.clone();
    scaling.scale(&mut scaled);
    assert_eq!(scaled, array![[0.0_f32, 0.0], [0.0, 1.0], [0.0, 0.5]]);
    scaling.restore(&mut scaled);
    assert_eq!(scaled, values);
}

#[test]
fn data_without_any_line_are_refused() {
    let mut counts = counts();
    // Unspliced where there is nothing spliced, and the other way round.
    for (layer, parity) in [(&mut counts.spliced, 0), (&mut counts.unspliced, 1)] {
        let mut dense = layer.to_dense();
        for (i, mut cell) in dense.rows_mut().into_iter().enumerate() {
            cell.fill(if i % 2 == parity { 4.0 } else { 0.0 });
        }
        *layer = nascent::sparse::Csr::from_dense(dense.view());
    }
    counts.x = None;
    let all = PreprocessConfig { min_shared_counts: 0, ..velovi() };
    match run(&counts, &all) {
        Err(error @ Error::Data { .. }) => {
            assert!(error.to_string().contains("\"velovi\": 0 of 60 genes are left"), "{error}");
            assert!(error.hint().is_some());
        }
        other => panic!("{:?}", other.map(|(data, _)| data.n_vars())),
    }
}

#[test]
fn a_column_of_variable_genes_counts_only_where_none_are_chosen_here() {
    let mut counts = counts();
    let (kept, _) = run(&counts, &velovi()).expect("valid data");
    let marked = |gene: &String| kept.var.index[..5].contains(gene);
    let marks = counts.var.index.iter().map(marked).collect();
    counts.var.set("highly_variable", Column::Bool(marks));
    assert_eq!(run(&counts, &velovi()).expect("valid data").0.var.index, kept.var.index);
    let all = PreprocessConfig { n_top_genes: 0, ..velovi() };
    assert_eq!(run(&counts, &all).expect("valid data").0.var.index, kept.var.index[..5]);
}

/// Least squares through the origin do not see units: with minima of 0, slopes are those of the counts times the ratio of spans.
#[test]
fn the_steady_state_model_is_the_same_in_either_unit_where_all_minima_are_0() {
    let (mut data, _, _) = prepared(&velovi());
    let scaling = data.scaling.as_mut().expect("scaled");
    scaling.mu.min.fill(0.0);
    scaling.ms.min.fill(0.0);
    let (mu, ms) = (scaling.mu.clone(), scaling.ms.clone());
    let in_counts = data.clone().in_counts();
    for (mode, offset) in [(Mode::Deterministic, false), (Mode::Stochastic, false), (Mode::Stochastic, true)] {
        let (scaled, wanted) = (fit(mode, offset, &data), fit(mode, offset, &in_counts));
        assert_eq!(scaled[VELOCITY_GENES], wanted[VELOCITY_GENES]);
        let slopes = &scaled[VELOCITY_GAMMA] * &mu.span / &ms.span;
        for (found, wanted) in slopes.iter().zip(&wanted[VELOCITY_GAMMA]) {
            assert!((found / wanted - 1.0).abs() < 1e-4, "{mode:?}: {found} {wanted}");
        }
        let mut velocity = scaled[VELOCITY].clone();
        mu.restore_differences(&mut velocity);
        assert!(largest_difference(&velocity, &wanted[VELOCITY]) < 1e-3, "{mode:?}");
        let Some(mut variance) = scaled.get(VARIANCE_VELOCITY).cloned() else { continue };
        mu.restore_differences(&mut variance);
        ms.restore_differences(&mut variance);
        let wanted = &wanted[VARIANCE_VELOCITY];
        let size = wanted.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(largest_difference(&variance, wanted) < 1e-4 * size, "{mode:?}");
    }
}

#[test]
fn a_model_that_streams_refuses_the_recipe() {
    let error = velovi().validate_streaming().expect_err("refused").to_string();
    assert!(error.contains("preprocess.recipe = \"velovi\"") && error.contains("model.stream"), "{error}");
    assert!(PreprocessConfig::default().validate_streaming().is_ok());
}

#[test]
fn models_of_counts_say_so() {
    assert!(SoftGrid::default().in_counts());
    assert!(!SteadyState::default().in_counts());
}

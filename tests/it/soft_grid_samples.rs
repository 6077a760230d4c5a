//! Samples that differ in what is captured, in one fit of the soft grid.

use nascent::Error;
use nascent::data::quantities::{CELL_CAPTURE, LATENT_TIME, SOFT_GRID, VELOCITY};
use nascent::data::{Column, Counts, Fit};
use nascent::metrics::velocity_scores;
use nascent::models::VelocityModel;
use nascent::models::soft_grid::{Likelihood, Sizes, SoftGrid};
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use nascent::stats::{mean, spearman};

use crate::grid_fits::{in_memory, numbers, streamed};

/// The second sample is of later cells for the most part, and keeps 40 % of the unspliced and 80 % of the spliced molecules.
fn two(config: &SimulateConfig) -> SimulateConfig {
    SimulateConfig { samples: vec![[1.0, 1.0], [0.4, 0.8]], sample_overlap: 0.5, ..config.clone() }
}

fn small() -> SimulateConfig {
    SimulateConfig { cells: 300, genes: 60, seed: 5, ..SimulateConfig::default() }
}

fn drawn(config: &SimulateConfig) -> Simulation {
    simulate(config).expect("valid settings")
}

fn by_sample() -> SoftGrid {
    SoftGrid { batch: "sample".to_owned(), uncertainty: false, ..SoftGrid::default() }
}

fn quick(settings: SoftGrid) -> SoftGrid {
    SoftGrid { grid: 50, pieces: 10, max_rounds: 15, choice_rounds: 6, lineages: 1, ..settings }
}

fn capture(fit: &Fit) -> Vec<f64> {
    let list = fit[SOFT_GRID]["sample_capture"].as_array().expect("a list");
    list.iter().filter_map(serde_json::Value::as_f64).collect()
}

/// Order of times; correlation by gene and cosine by cell of velocities.
fn scores(settings: &SoftGrid, simulation: &Simulation) -> [f64; 3] {
    let fit = in_memory(settings, &simulation.counts).expect("the model can be fitted");
    let truth = simulation.truth.as_ref().expect("with its truth");
    let found = velocity_scores(fit[VELOCITY].view(), truth.velocity.view()).expect("same shape");
    let time = spearman(&fit[LATENT_TIME].to_vec(), &numbers(&simulation.counts, "true_t"));
    [time, found.gene_pearson.expect("genes with velocities"), found.cell_cosine.expect("cells with velocities")]
}

#[test]
fn samples_of_different_capture_are_fitted_as_well_as_one() {
    for seed in [1, 2, 3] {
        let config = SimulateConfig { cells: 600, genes: 200, seed, ..SimulateConfig::default() };
        let alike = scores(&SoftGrid { batch: String::new(), ..by_sample() }, &drawn(&config));
        let corrected = scores(&by_sample(), &drawn(&two(&config)));
        for (alike, corrected) in alike.iter().zip(corrected) {
            assert!(corrected > alike - 0.02, "seed {seed}: {corrected} where samples that are alike have {alike}");
        }
    }
}

#[test]
fn the_capture_of_each_sample_is_found_in_memory_and_streamed() {
    let counts = drawn(&two(&SimulateConfig { cells: 800, genes: 120, seed: 4, ..SimulateConfig::default() })).counts;
    let fit = in_memory(&by_sample(), &counts).expect("the model can be fitted");
    let streaming = SoftGrid { stream: true, block_cells: 150, choice_cells: 400, ..by_sample() };
    let streamed = streamed(&streaming, &counts).expect("the model can be fitted").fit;
    for fit in [&fit, &streamed] {
        let found = capture(fit);
        // Of unspliced molecules 0.4 are kept, of spliced ones 0.8.
        assert!((found[1] / found[0] / 0.5).ln().abs() < 0.1, "{found:?}");
        let of_cells = fit[CELL_CAPTURE].to_vec();
        let logarithms: Vec<f64> = of_cells.iter().map(|of| of.ln()).collect();
        assert!(mean(&logarithms).abs() < 0.05, "{found:?}");
        let labels = counts.obs.get("sample").expect("the simulation says").to_labels();
        assert!(
            labels.iter().zip(&of_cells).all(|(label, of)| of.total_cmp(&found[usize::from(label == "S2")]).is_eq())
        );
    }
    assert_eq!(fit[SOFT_GRID]["samples"], serde_json::json!(["S1", "S2"]));
}

#[test]
fn the_objective_never_falls_with_samples() {
    let counts = drawn(&two(&small())).counts;
    for likelihood in [Likelihood::NegativeBinomial, Likelihood::Poisson] {
        let settings = SoftGrid { likelihood, tolerance: 1e-12, ..quick(by_sample()) };
        let fit = in_memory(&settings, &counts).expect("the model can be fitted");
        let history = fit[SOFT_GRID]["objective"].as_array().expect("a list");
        let history: Vec<f64> = history.iter().filter_map(serde_json::Value::as_f64).collect();
        assert!(history.len() > 10);
        for pair in history.windows(2) {
            assert!(pair[1] > pair[0] - 1e-7 * pair[0].abs(), "{likelihood:?}: {pair:?}");
        }
    }
}

#[test]
fn one_sample_is_fitted_as_if_there_were_none() {
    let counts = with_samples(|_| "a".to_owned());
    let [one, none] = ["sample", ""].map(|batch| {
        let settings = SoftGrid { batch: batch.to_owned(), ..quick(by_sample()) };
        in_memory(&settings, &counts).expect("the model can be fitted")
    });
    assert_eq!(one[VELOCITY], none[VELOCITY]);
    assert!(one.get(CELL_CAPTURE).is_none());
}

fn with_samples(label: impl Fn(usize) -> String) -> Counts {
    let mut counts = drawn(&small()).counts;
    let labels = (0..counts.obs.index.len()).map(label).collect();
    counts.obs.set("sample", Column::Text(labels));
    counts
}

#[test]
fn columns_that_are_no_samples_are_refused() {
    let refused = |counts: &Counts, batch: &str| {
        let settings = SoftGrid { batch: batch.to_owned(), ..quick(by_sample()) };
        match in_memory(&settings, counts) {
            Err(Error::Data { problem, .. }) => problem,
            other => panic!("{:?}", other.map(|_| "fitted")),
        }
    };
    let two = with_samples(|i| if i % 2 == 0 { "a" } else { "b" }.to_owned());
    let problem = refused(&two, "donor");
    assert!(problem.contains("donor") && problem.contains("model.batch") && problem.contains("true_t"), "{problem}");
    let few = with_samples(|i| if i < 19 { "few" } else { "many" }.to_owned());
    let problem = refused(&few, "sample");
    assert!(problem.contains("\"few\" 19 cells") && problem.contains("20 at least"), "{problem}");
    let missing = with_samples(|i| if i < 3 { "" } else { "many" }.to_owned());
    assert!(refused(&missing, "sample").contains("no value in 3 cells"));
}

#[test]
fn samples_need_counts_and_shared_sizes() {
    let moments = SoftGrid { likelihood: Likelihood::Gaussian, ..by_sample() };
    let species = SoftGrid { sizes: Sizes::Species, ..by_sample() };
    for (settings, wanted) in [(moments, "likelihood of counts"), (species, "sizes")] {
        let error = VelocityModel::validate(&settings).expect_err("refused").to_string();
        assert!(error.contains("model.batch") && error.contains(wanted), "{error}");
    }
}

#[test]
fn simulated_samples_keep_shares_of_the_same_molecules() {
    let (all, kept) = (drawn(&small()).counts, drawn(&two(&small())).counts);
    let labels = kept.obs.get("sample").expect("the simulation says").to_labels();
    let late = numbers(&kept, "true_t").into_iter().map(|t| t > 10.0);
    let agree = late.zip(&labels).filter(|(late, label)| *late == (*label == "S2")).count();
    assert!((200..250).contains(&agree), "three quarters of the cells: {agree}");
    for (all, kept, share) in [(&all.unspliced, &kept.unspliced, 0.4), (&all.spliced, &kept.spliced, 0.8)] {
        let total = |counts: &nascent::sparse::Csr<f32>, of: &str| {
            let cells = (0..labels.len()).filter(|&i| labels[i] == of);
            cells.flat_map(|i| counts.row(i).1).map(|&x| f64::from(x)).sum::<f64>()
        };
        assert!((total(kept, "S1") - total(all, "S1")).abs() < 0.5, "all are kept");
        assert!((total(kept, "S2") / total(all, "S2") - share).abs() < 0.02);
    }
}

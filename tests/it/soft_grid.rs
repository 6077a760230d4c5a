//! Laws of the EM on a grid of times, in its form for counts.

use nascent::data::quantities::{
    CELL_SIZE, FIT_DYNAMICS, FIT_GAMMA, FIT_LN_GAMMA_SE, FIT_PVAL_DYNAMICS, FIT_QVAL_DELAY, FIT_S_FUTURE, LATENT_TIME,
    LINEAGE_PROBABILITIES, SOFT_GRID, VELOCITY, VELOCITY_GENES, VELOCITY_STD,
};
use nascent::data::{Column, Dataset, Fit};
use nascent::metrics::{VelocityScores, velocity_scores};
use nascent::models::VelocityModel;
use nascent::models::soft_grid::{Likelihood, RateScale, Sizes, SoftGrid};
use nascent::preprocess;
use nascent::simulate::{Process, SimulateConfig, Simulation, simulate};
use nascent::stats::{median, spearman};
use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use crate::grid_fits::{all_genes, fit, numbers, streamed};

fn simulated(config: &SimulateConfig) -> (Simulation, Dataset) {
    let simulation = simulate(config).expect("valid settings");
    let data = preprocess::run(&simulation.counts, &all_genes()).expect("valid data").0;
    (simulation, data)
}

fn small() -> SimulateConfig {
    SimulateConfig { cells: 300, genes: 60, seed: 5, ..SimulateConfig::default() }
}

fn fitted(settings: &SoftGrid, data: &Dataset) -> Fit {
    fit(settings, data).expect("the model can be fitted")
}

fn time(fit: &Fit) -> Vec<f64> {
    fit[LATENT_TIME].to_vec()
}

fn scores(fit: &Fit, simulation: &Simulation) -> VelocityScores {
    let truth = simulation.truth.as_ref().expect("with its truth");
    velocity_scores(fit[VELOCITY].view(), truth.velocity.view()).expect("same shape")
}

fn detail<'a>(fit: &'a Fit, key: &str) -> &'a serde_json::Value {
    &fit[SOFT_GRID][key]
}

fn quick() -> SoftGrid {
    SoftGrid { grid: 50, pieces: 10, max_rounds: 15, choice_rounds: 6, uncertainty: false, ..SoftGrid::default() }
}

#[test]
fn times_velocities_and_rates_of_one_lineage_are_recovered() {
    let (simulation, data) =
        simulated(&SimulateConfig { cells: 600, genes: 120, seed: 1, ..SimulateConfig::default() });
    let fit = fitted(&SoftGrid { uncertainty: false, ..SoftGrid::default() }, &data);
    assert!(spearman(&time(&fit), &numbers(&simulation.counts, "true_t")) > 0.997);
    let found = scores(&fit, &simulation);
    assert!(found.cell_cosine > Some(0.95) && found.gene_pearson > Some(0.94), "{found:?}");
    assert!(found.sign_agreement > Some(0.94), "{found:?}");
    let size = fit[CELL_SIZE].to_vec();
    assert!(spearman(&size, &numbers(&simulation.counts, "true_size")) > 0.85);
    assert_eq!(detail(&fit, "direction_determined"), true);
}

#[test]
fn lineages_are_counted_and_told_apart_and_share_their_clock() {
    let config = SimulateConfig { cells: 600, genes: 150, branches: 2, seed: 2, ..SimulateConfig::default() };
    let (simulation, data) = simulated(&config);
    let fit = fitted(&SoftGrid { uncertainty: false, ..SoftGrid::default() }, &data);
    assert_eq!(detail(&fit, "lineages"), 2);
    assert!(spearman(&time(&fit), &numbers(&simulation.counts, "true_t")) > 0.99);
    let lineages = &fit[LINEAGE_PROBABILITIES];
    let branch = simulation.counts.obs.get("true_branch").expect("the simulation says").to_labels();
    let (t, late) = (numbers(&simulation.counts, "true_t"), 12.0);
    let agrees = |i: usize| (lineages[[i, 0]] > lineages[[i, 1]]) == (branch[i] == "L1");
    let cells: Vec<usize> = (0..600).filter(|&i| t[i] > late).collect();
    let share = cells.iter().filter(|&&i| agrees(i)).count() as f64 / cells.len() as f64;
    assert!(share.max(1.0 - share) > 0.97, "{share}");
    let sums = lineages.rows().into_iter().map(|row| row.sum());
    assert!(sums.into_iter().all(|sum| (0.0..1.00001).contains(&sum)));
}

#[test]
fn the_objective_never_falls() {
    let (_, data) = simulated(&SimulateConfig { branches: 2, ..small() });
    let settings = [
        SoftGrid { lineages: 1, ..quick() },
        SoftGrid { lineages: 2, ..quick() },
        SoftGrid { likelihood: Likelihood::Poisson, lineages: 2, ..quick() },
        SoftGrid { sizes: Sizes::Species, lineages: 2, ..quick() },
        SoftGrid { sizes: Sizes::Total, lineages: 2, ..quick() },
        SoftGrid { rate_scale: RateScale::Fixed, lineages: 2, ..quick() },
        SoftGrid { capture_time: "capture_time".to_owned(), lineages: 2, ..quick() },
    ];
    for settings in settings {
        let fit = fitted(&SoftGrid { tolerance: 1e-12, ..settings.clone() }, &data);
        let history: Vec<f64> = detail(&fit, "objective")
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(serde_json::Value::as_f64)
            .collect();
        assert!(history.len() > 10, "{settings:?}");
        for pair in history.windows(2) {
            // Products are summed in single precision, responsibilities below 1e-7 left out.
            assert!(pair[1] > pair[0] - 1e-7 * pair[0].abs(), "{settings:?}: {pair:?}");
        }
    }
}

#[test]
fn the_same_data_give_the_same_bits_on_one_thread_and_on_three() {
    let (_, data) = simulated(&SimulateConfig { branches: 2, ..small() });
    let settings = SoftGrid { uncertainty: true, ..quick() };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| fitted(&settings, &data))
    };
    let bits = |fit: &Fit| {
        let layers = [Some(&fit[VELOCITY]), fit.get(VELOCITY_STD), fit.get(FIT_S_FUTURE)];
        let values: Vec<u32> = layers.into_iter().flatten().flatten().map(|value| value.to_bits()).collect();
        let scores: Vec<u64> = fit[FIT_DYNAMICS].iter().map(|value| value.to_bits()).collect();
        (values, scores, time(fit).into_iter().map(f64::to_bits).collect::<Vec<_>>())
    };
    assert!(bits(&on(1)) == bits(&on(3)));
}

#[test]
fn directions_are_right_in_simulations_of_either_process() {
    let mixed = [
        SimulateConfig { seed: 31, repressed: 0.4, ..small() },
        SimulateConfig { seed: 32, repressed: 0.4, branches: 2, ..small() },
        SimulateConfig { seed: 33, process: Process::Gillespie, ..small() },
        SimulateConfig { seed: 34, process: Process::Gillespie, branches: 3, ..small() },
        SimulateConfig { seed: 35, capture: 0.05, ..small() },
    ];
    let mut determined = 0;
    for config in mixed {
        let (simulation, data) = simulated(&config);
        let fit = fitted(&quick(), &data);
        let agreement = spearman(&time(&fit), &numbers(&simulation.counts, "true_t"));
        let is_determined = detail(&fit, "direction_determined") == true;
        assert!(agreement > 0.9 || !is_determined, "{config:?}: {agreement}");
        determined += usize::from(is_determined);
    }
    // Measured: in four, at agreements of .990 to .996. In the last, where one molecule of twenty is captured, it is not determined.
    assert!(determined >= 4, "determined in {determined} of 5");
}

/// Two lineages of which only the cells `after` a time are kept; `phase` in obs is "early" until the time `early`. Where the stem of a tree
/// was not captured, the first cells lie between the lineages, and are no tip of the others.
fn without_stem(seed: u64, after: f64, early: f64) -> (Dataset, Vec<f64>) {
    let config = SimulateConfig { cells: 900, branches: 2, seed, ..small() };
    let mut counts = simulate(&config).expect("valid settings").counts;
    let late: Vec<usize> = (0..900).filter(|&i| numbers(&counts, "true_t")[i] > after).collect();
    counts.spliced = counts.spliced.select_rows(&late);
    counts.unspliced = counts.unspliced.select_rows(&late);
    (counts.obs, counts.x) = (counts.obs.select(&late), None);
    let truth = numbers(&counts, "true_t");
    let phase = truth.iter().map(|&t| if t < early { "early" } else { "late" }.to_owned()).collect();
    counts.obs.set("phase", Column::Text(phase));
    counts.obsm.clear();
    (preprocess::run(&counts, &all_genes()).expect("valid data").0, truth)
}

#[test]
fn time_begins_with_the_given_cells_also_where_they_lie_amid_the_others() {
    let (data, truth) = without_stem(5, 6.5, 8.0);
    let fit = fitted(&SoftGrid { root: "phase=early".to_owned(), ..quick() }, &data);
    assert_eq!(detail(&fit, "lineages"), 2);
    let found = spearman(&time(&fit), &truth);
    assert!(found > 0.95, "{found}");
}

/// Two lineages without a stem are a line with the beginning in its middle: from either end, time ran along one of them backward.
#[test]
fn time_is_found_to_begin_amid_the_cells() {
    for (seed, wanted) in [(6, 0.9), (7, 0.97)] {
        let (data, truth) = without_stem(seed, 8.1, 9.0);
        let fit = fitted(&quick(), &data);
        assert_eq!(detail(&fit, "lineages"), 2, "seed {seed}");
        // Measured: .924 and .987; with roots at the ends alone .028 and .038.
        let found = spearman(&time(&fit), &truth);
        assert!(found > wanted, "seed {seed}: {found}");
    }
}

#[test]
fn a_given_root_turns_time_around() {
    let (simulation, data) = simulated(&small());
    let truth = numbers(&simulation.counts, "true_t");
    let rooted = |root: &str| SoftGrid { root: root.to_owned(), ..quick() };
    assert!(spearman(&time(&fitted(&rooted("clusters=L0_0"), &data)), &truth) > 0.9);
    assert!(spearman(&time(&fitted(&rooted("clusters=L0_3"), &data)), &truth) < -0.9);
    let error = fit(&rooted("clusters=Ductal"), &data).expect_err("no such cluster").to_string();
    assert!(error.contains("model.root") && error.contains("Ductal"), "{error}");
    let error = fit(&rooted("stage=early"), &data).expect_err("no such column").to_string();
    assert!(error.contains("\"stage\""), "{error}");
}

#[test]
fn each_capture_time_learns_a_spread_of_its_own() {
    let (simulation, data) = simulated(&small());
    let fit = fitted(&SoftGrid { capture_time: "capture_time".to_owned(), ..quick() }, &data);
    assert!(spearman(&time(&fit), &numbers(&simulation.counts, "true_t")) > 0.98);
    let pi = detail(&fit, "pi").as_array().expect("a list");
    let pi: Vec<f64> = pi.iter().filter_map(serde_json::Value::as_f64).collect();
    let rows = Array2::from_shape_vec((5, pi.len() / 5), pi).expect("five days");
    let centre = |row: usize| rows.row(row).iter().zip(0..).map(|(pi, z)| pi * f64::from(z)).sum::<f64>();
    assert!((0..4).all(|day| centre(day) < centre(day + 1)), "{rows:?}");
    assert!(rows.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-9));
}

#[test]
fn cells_read_in_blocks_are_fitted_as_well_as_all_at_once() {
    let config = SimulateConfig { cells: 1500, genes: 60, seed: 8, ..SimulateConfig::default() };
    let simulation = simulate(&config).expect("valid settings");
    let settings = SoftGrid { stream: true, choice_cells: 400, block_cells: 170, passes: 3, ..quick() };
    let streamed = streamed(&settings, &simulation.counts).expect("fitted");
    assert_eq!(streamed.genes.len(), 60);
    assert!(streamed.fit.get(VELOCITY).is_none());
    let truth = numbers(&simulation.counts, "true_t");
    let data = preprocess::run(&simulation.counts, &all_genes()).expect("valid data").0;
    let whole = fitted(&quick(), &data);
    let (in_blocks, at_once) = (spearman(&time(&streamed.fit), &truth), spearman(&time(&whole), &truth));
    assert!(in_blocks > 0.99 && in_blocks > at_once - 0.002, "{in_blocks} {at_once}");
}

#[test]
fn dynamics_of_permuted_genes_explain_nothing() {
    let (_, mut data) = simulated(&small());
    // The first twenty genes lose their order over cells.
    let n = data.n_obs();
    for layer in [&mut data.unspliced, &mut data.spliced] {
        let mut dense = layer.to_dense();
        let before = dense.clone();
        for gene in 0..20 {
            for cell in 0..n {
                dense[[cell, gene]] = before[[(cell * 137 + 31 * gene) % n, gene]];
            }
        }
        *layer = nascent::sparse::Csr::from_dense(dense.view());
    }
    let fit = fitted(&SoftGrid { uncertainty: true, ..quick() }, &data);
    let p = &fit[FIT_PVAL_DYNAMICS];
    let found = |genes: std::ops::Range<usize>| genes.filter(|&gene| p[gene] < 0.05).count();
    assert!(found(0..20) <= 4 && found(20..60) >= 32, "{} {}", found(0..20), found(20..60));
}

/// The share of velocity genes, those whose delay is seen.
fn delayed(data: &Dataset) -> f64 {
    let fit = fitted(&SoftGrid { uncertainty: true, ..quick() }, data);
    let found = fit[VELOCITY_GENES].iter().filter(|&&found| found).count();
    let q = &fit[FIT_QVAL_DELAY];
    assert!((0..data.n_vars()).all(|gene| fit[VELOCITY_GENES][gene] == (q[gene] < 0.05)));
    found as f64 / data.n_vars() as f64
}

/// Measured: see `models/soft_grid/README.md`.
#[test]
fn delays_are_seen_where_there_are_dynamics() {
    for config in [
        SimulateConfig { cells: 600, genes: 100, seed: 41, ..SimulateConfig::default() },
        SimulateConfig { cells: 600, genes: 100, branches: 2, seed: 42, ..SimulateConfig::default() },
    ] {
        let share = delayed(&simulated(&config).1);
        assert!(share > 0.7, "{share}");
    }
}

#[test]
fn no_delay_is_seen_where_unspliced_counts_are_shuffled() {
    let config = SimulateConfig { cells: 600, genes: 100, seed: 43, ..SimulateConfig::default() };
    let mut counts = simulate(&config).expect("valid settings").counts;
    let (before, n) = (counts.unspliced.to_dense(), 600);
    let mut shuffled = before.clone();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for gene in 0..100 {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut rng);
        for cell in 0..n {
            shuffled[[cell, gene]] = before[[order[cell], gene]];
        }
    }
    counts.unspliced = nascent::sparse::Csr::from_dense(shuffled.view());
    let share = delayed(&preprocess::run(&counts, &all_genes()).expect("valid data").0);
    assert!(share <= 0.05, "{share}");
}

/// Four clusters, and in each every gene in a steady state of its own: s = β u / γ.
#[test]
fn no_delay_is_seen_between_clusters_in_their_steady_states() {
    let (n, genes) = (600, 100);
    let config = SimulateConfig { cells: n, genes, seed: 44, ..SimulateConfig::default() };
    let mut counts = simulate(&config).expect("valid settings").counts;
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let levels = Array2::from_shape_fn((4, genes), |_| 3.0 * normal().exp());
    let ratios: Vec<f64> = (0..genes).map(|_| 0.3 * (0.5 * normal()).exp()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut drawn = |ratio: &dyn Fn(usize) -> f64| {
        Array2::from_shape_fn((n, genes), |(cell, gene)| {
            let mean: f64 = levels[[cell * 4 / n, gene]] * ratio(gene);
            Poisson::new(mean).expect("a positive mean").sample(&mut rng) as f32
        })
    };
    let (u, s) = (drawn(&|gene| ratios[gene]), drawn(&|_| 1.0));
    counts.unspliced = nascent::sparse::Csr::from_dense(u.view());
    counts.spliced = nascent::sparse::Csr::from_dense(s.view());
    let share = delayed(&preprocess::run(&counts, &all_genes()).expect("valid data").0);
    assert!(share <= 0.05, "{share}");
}

/// Over seeds 1 to 4 the truth lies within 1, 2 and 3 standard errors in 59, 87.5 and 98.5 % of the genes, where 68, 95.4 and 99.7 %
/// are nominal. Two reasons: all γ are 2 to 6 % too large together, since one clock scales all rates and no gene's error knows of it
/// (without that, 60, 91 and 99 %), and the errors hold times and sizes of cells fixed. With seed 1: 65, 105 and 120 of 120 genes.
#[test]
fn standard_errors_cover_the_truth() {
    let config = SimulateConfig { cells: 600, genes: 120, seed: 1, ..SimulateConfig::default() };
    let (simulation, data) = simulated(&config);
    let fit = fitted(&SoftGrid { uncertainty: false, ..SoftGrid::default() }, &data);
    let (gamma, se) = (&fit[FIT_GAMMA], &fit[FIT_LN_GAMMA_SE]);
    let error: Vec<f64> = (0..120).map(|gene| (gamma[gene] / simulation.genes[gene].rates.gamma).ln()).collect();
    let covered = |errors: f64| (0..120).filter(|&gene| error[gene].abs() < errors * se[gene]).count();
    let found = [1.0, 2.0, 3.0].map(covered);
    assert!((58..=75).contains(&found[0]) && (99..=112).contains(&found[1]) && found[2] >= 117, "{found:?} of 120");
    assert!(median(&error).abs() < 0.08, "{}", median(&error));
}

#[test]
fn normalised_layers_are_refused_with_a_way_out() {
    let (_, mut data) = simulated(&small());
    data.raw_counts = false;
    let error = fit(&quick(), &data).expect_err("not counts");
    assert!(error.hint().expect("a hint").contains("gaussian"));
}

#[test]
fn settings_that_cannot_be_used_name_their_key() {
    let bad = [
        (SoftGrid { grid: 5, ..SoftGrid::default() }, "model.grid"),
        (SoftGrid { root: "Ductal".to_owned(), ..SoftGrid::default() }, "model.root"),
        (SoftGrid { beta_prior: [0.0, 1.0], ..SoftGrid::default() }, "model.beta_prior"),
        (SoftGrid { size_sd: f64::NAN, ..SoftGrid::default() }, "model.size_sd"),
        (SoftGrid { stream: true, likelihood: Likelihood::Gaussian, ..SoftGrid::default() }, "model.stream"),
    ];
    for (settings, key) in bad {
        let error = settings.validate().expect_err(key).to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn genes_and_cells_without_counts_are_no_trouble() {
    let (_, mut data) = simulated(&small());
    let mut spliced = data.spliced.to_dense();
    spliced.column_mut(3).fill(0.0);
    spliced.row_mut(7).fill(0.0);
    data.spliced = nascent::sparse::Csr::from_dense(spliced.view());
    let mut unspliced = data.unspliced.to_dense();
    unspliced.column_mut(3).fill(0.0);
    unspliced.row_mut(7).fill(0.0);
    data.unspliced = nascent::sparse::Csr::from_dense(unspliced.view());
    let fit = fitted(&SoftGrid { uncertainty: true, ..quick() }, &data);
    assert!(fit[VELOCITY].iter().all(|value| value.is_finite()));
    assert!(time(&fit).iter().all(|t| t.is_finite()));
}

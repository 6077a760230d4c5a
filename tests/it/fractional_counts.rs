//! Counts of which some molecules were divided, as programs do that count a molecule for all genes that it fits.

use nascent::Error;
use nascent::data::quantities::{LATENT_TIME, SOFT_GRID, VELOCITY};
use nascent::data::{Counts, Fit};
use nascent::metrics::velocity_scores;
use nascent::models::Streamed;
use nascent::models::soft_grid::SoftGrid;
use nascent::preprocess;
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use nascent::sparse::Csr;
use nascent::stats::spearman;
use ndarray::Array2;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::grid_fits::{self, all_genes, numbers};

fn simulated() -> Simulation {
    simulate(&SimulateConfig { cells: 400, genes: 80, seed: 6, ..SimulateConfig::default() }).expect("valid settings")
}

fn quick() -> SoftGrid {
    SoftGrid {
        grid: 50,
        pieces: 10,
        max_rounds: 15,
        choice_rounds: 6,
        uncertainty: false,
        lineages: 1,
        tolerance: 1e-12,
        ..SoftGrid::default()
    }
}

/// Counts with the layers `change` makes of their unspliced and spliced ones, `[n_obs, n_vars]` each.
fn changed(counts: &Counts, change: impl FnOnce([Array2<f32>; 2]) -> [Array2<f32>; 2]) -> Counts {
    let [unspliced, spliced] = change([counts.unspliced.to_dense(), counts.spliced.to_dense()]);
    let [unspliced, spliced] = [unspliced, spliced].map(|layer| Csr::from_dense(layer.view()));
    Counts { unspliced, spliced, x: None, ..counts.clone() }
}

/// Of one molecule in seven, up to 30 % go to the other form of the gene or to another gene, always the same.
fn divided(counts: &Counts) -> Counts {
    changed(counts, |whole| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut layers = whole.clone();
        let n_vars = whole[0].ncols();
        for (form, layer) in whole.iter().enumerate() {
            for ((i, g), &count) in layer.indexed_iter() {
                for _ in (0..count as u32).filter(|_| rng.random_bool(1.0 / 7.0)).collect::<Vec<_>>() {
                    let part = rng.random_range(0.0..0.3);
                    layers[form][[i, g]] -= part;
                    match rng.random_bool(0.5) {
                        true => layers[1 - form][[i, g]] += part,
                        false => layers[form][[i, (g + 37) % n_vars]] += part,
                    }
                }
            }
        }
        layers.map(|layer| layer.mapv(|x| x.max(0.0)))
    })
}

/// Each cell's layers divided by its totals.
fn normalised(counts: &Counts) -> Counts {
    changed(counts, |layers| {
        layers.map(|mut layer| {
            for mut cell in layer.rows_mut() {
                let total = cell.sum().max(1.0);
                cell.mapv_inplace(|x| 100.0 * x / total);
            }
            layer
        })
    })
}

fn in_memory(counts: &Counts) -> Result<Fit, Error> {
    grid_fits::in_memory(&quick(), counts)
}

fn streamed(counts: &Counts) -> Result<Streamed, Error> {
    grid_fits::streamed(&SoftGrid { stream: true, choice_cells: 200, block_cells: 150, ..quick() }, counts)
}

fn history(fit: &Fit) -> Vec<f64> {
    let all = fit[SOFT_GRID]["objective"].as_array().expect("a list");
    all.iter().filter_map(serde_json::Value::as_f64).collect()
}

#[test]
fn fractional_counts_are_counts_and_the_steps_say_so() {
    let (data, report) = preprocess::run(&divided(&simulated().counts), &all_genes()).expect("valid data");
    assert!(data.raw_counts);
    let step = report.steps.iter().map(ToString::to_string).find(|step| step.contains("fractional counts"));
    assert!(step.is_some_and(|step| step.contains("% of the spliced values")), "{:?}", report.steps);
    // Two cells of this simulation are empty.
    assert!(report.warnings.iter().all(|warning| warning.contains("no spliced counts")), "{:?}", report.warnings);
}

#[test]
fn a_layer_of_fractional_counts_goes_with_one_of_whole_counts() {
    let whole = simulated().counts;
    let mixed = Counts { spliced: divided(&whole).spliced, x: None, ..whole };
    assert!(preprocess::run(&mixed, &all_genes()).expect("valid data").0.raw_counts);
}

#[test]
fn fractional_counts_are_fitted_as_well_as_whole_ones_and_no_round_lowers_the_objective() {
    let simulation = simulated();
    let velocity = &simulation.truth.as_ref().expect("with its truth").velocity;
    let scores = |counts: &Counts| {
        let fit = in_memory(counts).expect("fitted");
        let history = history(&fit);
        assert!(history.len() > 10, "{history:?}");
        assert!(history.windows(2).all(|pair| pair[1] > pair[0] - 1e-7 * pair[0].abs()), "{history:?}");
        let found = velocity_scores(fit[VELOCITY].view(), velocity.view()).expect("same shape");
        let time = spearman(&fit[LATENT_TIME].to_vec(), &numbers(counts, "true_t"));
        [time, found.cell_cosine.expect("cells"), found.gene_pearson.expect("genes")]
    };
    let (whole, fractions) = (scores(&simulation.counts), scores(&divided(&simulation.counts)));
    for (whole, fractions) in whole.into_iter().zip(fractions) {
        assert!(fractions > whole - 0.01, "{whole} {fractions}");
    }
}

#[test]
fn fractional_counts_are_fitted_block_after_block() {
    let counts = divided(&simulated().counts);
    let Streamed { fit, .. } = streamed(&counts).expect("fitted");
    let time = spearman(&fit[LATENT_TIME].to_vec(), &numbers(&counts, "true_t"));
    assert!(time > 0.98, "{time}");
}

#[test]
fn normalised_and_logged_values_are_refused_in_memory_and_block_after_block() {
    let normalised = normalised(&simulated().counts);
    let logged = |counts: &Counts| changed(counts, |layers| layers.map(|layer| layer.mapv(f32::ln_1p)));
    for counts in [normalised.clone(), logged(&normalised), logged(&simulated().counts)] {
        let errors = [in_memory(&counts).err(), streamed(&counts).err()];
        for error in errors {
            let error = error.expect("these are no counts");
            assert!(error.to_string().contains("normalised values"), "{error}");
            let hint = error.hint().expect("a hint").clone();
            assert!(hint.contains("gaussian") && hint.contains("preprocess.counts"), "{hint}");
        }
    }
}

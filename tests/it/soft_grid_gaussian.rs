//! The Gaussian form of the EM on a grid, against the truth of a simulation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nascent::config::Config;
use nascent::data::Silent;
use nascent::metrics::Evaluation;
use nascent::pipeline::{Job, evaluate, train};

use crate::shared::shared;

/// 600 cells of 200 genes with known times and velocities, all of them fitted with these settings; nothing without the file.
fn scores(settings: &[&str]) -> Option<Evaluation> {
    let input = shared("data/sim_600x200.h5ad")?;
    let fixed =
        ["model.kind=soft_grid", "output.genes=all", "preprocess.n_top_genes=0", "preprocess.min_shared_counts=0"];
    let set: Vec<String> = fixed.iter().chain(settings).map(|word| (*word).to_owned()).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = Job { input, output: folder.path().join("out.h5ad"), run: folder.path().join("out.run"), resume: false };
    let config = Config::load(None, &set).expect("settings that exist");
    train(&config, &job, Box::new(Silent), Arc::new(AtomicBool::new(false))).expect("the data can be fitted");
    Some(evaluate(&job.output).expect("the file holds a fit"))
}

/// The bounds are those that a prototype with automatic differentiation reached (`reference/soft_grid.md`: time .997, cosine .696,
/// scaled .610, gene correlation .800, signs .829), or close below where ours is no better.
#[test]
fn a_time_that_all_genes_share_recovers_times_and_velocities() {
    let Some(found) = scores(&["model.likelihood=gaussian"]) else { return };
    assert!(found.time_spearman > Some(0.996), "{found:?}");
    assert!(found.velocity_cell_cosine > Some(0.70), "{found:?}");
    assert!(found.velocity_cell_cosine_scaled > Some(0.70), "{found:?}");
    assert!(found.velocity_gene_pearson > Some(0.82), "{found:?}");
    assert!(found.velocity_sign_agreement > Some(0.88), "{found:?}");
}

#[test]
fn the_seed_form_recovers_them_nearly_as_well() {
    let Some(found) = scores(&["model.likelihood=seed"]) else { return };
    assert!(found.time_spearman > Some(0.995), "{found:?}");
    assert!(found.velocity_cell_cosine > Some(0.66), "{found:?}");
    assert!(found.velocity_sign_agreement > Some(0.87), "{found:?}");
}

#[test]
fn genes_on_their_own_clocks_recover_the_signs_of_their_velocities() {
    for likelihood in ["model.likelihood=gaussian", "model.likelihood=seed"] {
        let settings = [likelihood, "model.time_scope=gene", "model.time_prior=uniform", "model.max_rounds=20"];
        let Some(found) = scores(&settings) else { return };
        assert!(found.velocity_sign_agreement > Some(0.82), "{found:?}");
        assert_eq!(found.time_spearman, None, "genes share no time");
    }
}

//! Fits against what is known of their data.

use std::path::{Path, PathBuf};

use nascent::data::{Column, Frame};
use nascent::io::{FittedFile, NewFile, OutputConfig, write_new};
use nascent::pipeline::{Known, TruthScores, against, score};
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::program::Program;
use crate::shared::shared;

/// A simulation without noise, as a fit: true abundances as moments, and what `change` makes of true times and velocities.
fn fit(folder: &Path, change: impl Fn(&[f64], &Array2<f32>) -> (Vec<f64>, Array2<f32>)) -> PathBuf {
    marked(folder, Vec::new(), change)
}

/// The same with more columns of genes.
fn marked(
    folder: &Path,
    more: Vec<(String, Column)>,
    change: impl Fn(&[f64], &Array2<f32>) -> (Vec<f64>, Array2<f32>),
) -> PathBuf {
    let config = SimulateConfig { cells: 400, genes: 60, branches: 1, seed: 5, ..SimulateConfig::default() };
    let Simulation { mut counts, truth, .. } = simulate(&config).unwrap();
    let truth = truth.expect("with truth");
    let true_t = counts.obs.get("true_t").and_then(Column::to_numbers).unwrap();
    let (time, velocity) = change(&true_t, &truth.velocity);
    counts.obs.set("latent_time", Column::Float(time));
    let halves = true_t.iter().map(|&t| if t < 10.0 { "early" } else { "late" }.to_owned()).collect();
    counts.obs.set("half", Column::Text(halves));
    // Every other gene, so that a choice of genes can be seen.
    let even = (0..60).map(|gene| gene % 2 == 0).collect();
    let columns = [vec![("even".to_owned(), Column::Bool(even))], more].concat();
    let var = Frame { index: counts.var.index.clone(), columns };
    let layer = |name: &str, values: Array2<f32>| (name.to_owned(), values);
    let file = NewFile {
        x: None,
        sparse_layers: Vec::new(),
        dense_layers: vec![
            layer("Ms", truth.spliced),
            layer("Mu", truth.unspliced),
            layer("known", truth.velocity),
            layer("velocity", velocity),
        ],
        obs: counts.obs,
        var,
        obsm: Vec::new(),
        counts: Vec::new(),
        uns: Vec::new(),
    };
    let path = folder.join("fit.h5ad");
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    path
}

fn known() -> Known {
    Known {
        time_key: Some("true_t".to_owned()),
        velocity_layer: Some("known".to_owned()),
        cluster_key: Some("half".to_owned()),
        edges: vec![["early".to_owned(), "late".to_owned()]],
        ..Known::default()
    }
}

fn scored(change: impl Fn(&[f64], &Array2<f32>) -> (Vec<f64>, Array2<f32>)) -> TruthScores {
    let folder = tempfile::tempdir().unwrap();
    score(&FittedFile::open(&fit(folder.path(), change)).unwrap(), &known()).unwrap()
}

#[test]
fn a_fit_without_velocity_genes_is_scored_but_for_its_arrows() {
    let folder = tempfile::tempdir().unwrap();
    let scored = |more: Vec<(String, Column)>| {
        let path = marked(folder.path(), more, |time, velocity| (time.to_vec(), velocity.clone()));
        score(&FittedFile::open(&path).unwrap(), &known()).unwrap()
    };
    let with = scored(Vec::new());
    let without = scored(vec![("velocity_genes".to_owned(), Column::Bool(vec![false; 60]))]);
    assert_eq!((without.n_genes, without.n_velocity_genes), (60, 0));
    assert!(with.flow_along_time.is_some() && without.flow_along_time.is_none() && without.edges.is_none());
    assert_eq!(without.scores, with.scores, "what does not ask for velocity genes");
    assert_eq!(without.direction, Some("right"));
}

fn close(found: Option<f64>, wanted: f64, tolerance: f64) {
    assert!(found.is_some_and(|found| (found - wanted).abs() <= tolerance), "{found:?} for {wanted}");
}

#[test]
fn the_truth_itself_scores_one_and_its_reverse_minus_one() {
    let right = scored(|time, velocity| (time.to_vec(), velocity.clone()));
    let wrong = scored(|time, velocity| (time.iter().map(|t| -t).collect(), -velocity));
    for (found, wanted) in [(&right, 1.0), (&wrong, -1.0)] {
        let scores = &found.scores;
        close(scores.time_spearman, wanted, 1e-12);
        close(scores.velocity_gene_pearson, wanted, 1e-6);
        close(found.velocity_gene_pearson_of_velocity_genes, wanted, 1e-6);
        close(scores.velocity_cell_cosine, wanted, 1e-6);
        close(scores.velocity_cell_cosine_scaled, wanted, 1e-6);
        close(scores.velocity_sign_agreement, f64::midpoint(wanted, 1.0), 1e-12);
        // Arrows are means over transitions to neighbours: near the direction of the path, not on it.
        close(found.flow_along_time, wanted, 0.1);
        assert!(found.edges.is_some_and(|edges| edges * wanted > 0.5), "{:?}", found.edges);
    }
    assert_eq!((right.direction, wrong.direction), (Some("right"), Some("wrong")));
    assert_eq!((right.time_from, right.known_lineages, right.n_genes), (Some("latent_time"), Some(1), 60));
}

/// Velocities and times of other cells: each score is then a mean of terms without a direction. Bounds are four standard errors of as
/// many independent terms as there are cells, or cells on the boundary; per cell, of the median over cells with 60 genes that share one path.
#[test]
fn velocities_of_other_cells_score_nothing() {
    let found = scored(|time, velocity| {
        let mut order: Vec<usize> = (0..time.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        (order.iter().map(|&i| time[i]).collect(), velocity.select(Axis(0), &order))
    });
    close(found.scores.time_spearman, 0.0, 0.2);
    close(found.scores.velocity_gene_pearson, 0.0, 0.2);
    close(found.flow_along_time, 0.0, 0.2);
}

#[test]
fn only_what_the_truth_names_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = FittedFile::open(&fit(folder.path(), |time, velocity| (time.to_vec(), velocity.clone()))).unwrap();
    let nothing = score(&file, &Known { kind: Some("null".to_owned()), ..Known::default() }).unwrap();
    assert!(nothing.scores.time_spearman.is_none() && nothing.scores.velocity_gene_pearson.is_none());
    assert!(nothing.edges.is_none() && nothing.flow_along_time.is_none() && nothing.direction.is_none());
    assert_eq!(nothing.kind.as_deref(), Some("null"));
    let half = score(&file, &Known { genes_key: Some("even".to_owned()), ..known() }).unwrap();
    assert_eq!(half.n_genes, 30);
    let circle = Known { cyclic_key: Some("true_t".to_owned()), period: Some(20.0), ..known() };
    let circle = score(&file, &circle).unwrap();
    assert!(circle.scores.time_spearman.is_none());
    close(circle.flow_along_time, 1.0, 0.1);
    assert_eq!(circle.direction, Some("right"));
}

/// Golden: numpy and scipy, from scVelo's stored velocities and velocity graphs (`scripts/golden_truth.py`), which are in f32.
#[test]
fn scores_agree_with_python() {
    let golden: Value = serde_json::from_str(include_str!("../golden/truth.json")).unwrap();
    let Some(path) = shared("reference/scvelo_sim_300x30.h5ad") else { return };
    let file = FittedFile::open(&path).unwrap();
    let known = Known {
        time_key: Some("true_t".to_owned()),
        velocity_layer: Some("velocity_deterministic".to_owned()),
        ..Known::default()
    };
    let compare = |found: &TruthScores, golden: &Value| {
        let found = serde_json::to_value(found).unwrap();
        for (key, wanted) in golden.as_object().expect("scores") {
            let differs = (found[key].as_f64().unwrap_or(f64::NAN) - wanted.as_f64().expect("a number")).abs();
            assert!(differs < 1e-4, "{key}: {} for {wanted}", found[key]);
        }
    };
    compare(&score(&file, &known).unwrap(), &golden["sim"]);
    let circle = Known { cyclic_key: Some("true_t".to_owned()), period: Some(20.0), ..known };
    compare(&score(&file, &circle).unwrap(), &golden["circle"]);

    let Some(path) = shared("reference/scvelo_pancreas_top300.h5ad") else { return };
    let scores = golden["cells"]["edge_scores"].as_object().expect("steps");
    let step = |words: &String| words.split_once(" > ").map(|(from, to)| [from.to_owned(), to.to_owned()]).unwrap();
    let edges = scores.keys().map(step).collect();
    let known = Known { cluster_key: Some("clusters".to_owned()), edges, ..Known::default() };
    let found = score(&FittedFile::open(&path).unwrap(), &known).unwrap();
    for (edge, wanted) in scores {
        match wanted.as_f64() {
            Some(wanted) => close(found.edge_scores[edge], wanted, 1e-4),
            None => assert_eq!(found.edge_scores[edge], None),
        }
    }
}

#[test]
fn what_the_truth_names_and_the_file_lacks_is_said_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = fit(folder.path(), |time, velocity| (time.to_vec(), velocity.clone()));
    let truth = folder.path().join("truth.json");
    let complaint = |entry: Value| {
        std::fs::write(&truth, entry.to_string()).unwrap();
        let error = against(&path, &truth, None).expect_err("something is missing");
        assert_eq!(error.exit_code(), 2);
        format!("{error}\n{}", error.hint().expect("a hint"))
    };
    let says = |entry: Value, words: &[&str]| {
        let complaint = complaint(entry);
        assert!(words.iter().all(|word| complaint.contains(word)), "{complaint}");
    };
    says(json!({"time_key": "day"}), &["fit.h5ad", "obs[\"day\"]", "time_key", "\"true_t\""]);
    says(json!({"velocity_layer": "v"}), &["layers[\"v\"]", "velocity_layer", "\"known\""]);
    says(json!({"genes_key": "odd"}), &["var[\"odd\"]", "genes_key", "\"even\""]);
    says(json!({"time_key": "half"}), &["obs[\"half\"]", "not times"]);
    says(json!({"cluster_key": "half", "edges": [["early", "last"]]}), &["\"last\"", "groups: early, late"]);
    says(json!({"edges": [["early", "late"]]}), &["truth.json", "cluster_key"]);
    says(json!({"cyclic_key": "true_t"}), &["truth.json", "period"]);
    says(json!({"time_kee": "true_t"}), &["time_kee", "time_key"]);
    says(json!([{"file": "a.h5ad"}, {"file": "b.h5ad"}]), &["fit.h5ad", "a.h5ad, b.h5ad", "--truth-entry"]);
}

#[test]
fn the_command_finds_the_entry_of_the_fitted_file() {
    let program = Program::new();
    program.simulate("sim.h5ad", 300, 40, 1);
    program.succeed("train --input sim.h5ad --output fit.h5ad --set model.kind=steady_state");
    program.succeed("graph fit.h5ad --basis pca");
    let entry = |file: &str| json!({"file": file, "time_key": "true_t", "velocity_layer": "true_velocity"});
    std::fs::write(program.path("truth.json"), json!([entry("other.h5ad"), entry("fit.h5ad")]).to_string()).unwrap();
    let found: Value =
        serde_json::from_str(&program.succeed("evaluate fit.h5ad --truth truth.json --json")).expect("JSON");
    assert_eq!(found["time_from"], "velocity_pseudotime");
    for key in ["time_spearman", "velocity_gene_pearson", "flow_along_time", "confidence"] {
        assert!(found[key].is_number(), "{key} = {}", found[key]);
    }
    let table = program.succeed("evaluate fit.h5ad --truth truth.json --truth-entry other");
    assert!(table.contains("flow along true time"), "{table}");
    let complaint = program.fail("evaluate fit.h5ad --truth truth.json --truth-entry third", 2);
    assert!(complaint.contains("other.h5ad, fit.h5ad"), "{complaint}");
}

//! The recipe `velovi` from file to file, and against scVelo and scikit-learn.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nascent::Error;
use nascent::config::Config;
use nascent::data::quantities::{FIT_BETA, FIT_GAMMA, FIT_S, FIT_STD_S, FIT_STD_U, FIT_U, VELOCITY, VELOCITY_GENES};
use nascent::data::{Column, Dataset, Fit, MomentScaling, Moments, Silent};
use nascent::io::{self, InputConfig, OutputConfig};
use nascent::metrics::Evaluation;
use nascent::models::steady_state::{Extremes, fit_lines};
use nascent::pipeline::{self, Job};
use nascent::preprocess::{PreprocessConfig, Recipe, run};
use nascent::simulate::SimulateConfig;
use ndarray::{Array1, Array2};

use crate::io_samples::{opened, write};
use crate::shared::shared;

/// Golden: tests/golden/velovi_recipe.tsv. scVelo works in f32, and so does scikit-learn on what it gets from scVelo.
#[test]
fn genes_and_moments_agree_with_the_tutorial_of_velovi() {
    let rows: Vec<Vec<&str>> =
        include_str!("../golden/velovi_recipe.tsv").lines().skip(2).map(|row| row.split('\t').collect()).collect();
    for name in ["pancreas", "sim_600x200"] {
        let Some(path) = shared(&format!("data/{name}.h5ad")) else { continue };
        let counts = io::read(&path, &InputConfig::default()).unwrap();
        let config = PreprocessConfig { recipe: Recipe::Velovi, ..PreprocessConfig::default() };
        let (data, _) = run(&counts, &config).unwrap();
        let golden: Vec<&Vec<&str>> = rows.iter().filter(|row| row[0] == name).collect();
        let genes: Vec<&str> = golden.iter().map(|row| row[1]).collect();
        assert_eq!(data.var.index, genes);

        let MomentScaling { mu, ms } = data.scaling.as_ref().unwrap();
        let lines = fit_lines(&data, Extremes::default());
        let mut worst = [0.0_f64; 3];
        for (g, row) in golden.iter().enumerate() {
            let wanted = |at: usize| row[at].parse::<f64>().unwrap();
            let mut compare =
                |kind: usize, found: f64, wanted: f64| worst[kind] = worst[kind].max((found - wanted).abs());
            compare(0, ms.span[g] / wanted(2), 1.0);
            compare(0, mu.span[g] / wanted(3), 1.0);
            compare(1, lines[g].extreme.slope, wanted(4));
            compare(1, lines[g].r2, wanted(5));
            for (at, (moments, cell)) in
                [(&data.ms, 0), (&data.ms, 123), (&data.mu, 0), (&data.mu, 123)].iter().enumerate()
            {
                compare(2, f64::from(moments[[*cell, g]]), wanted(6 + at));
            }
        }
        println!("{name}: spans {:.1e}, lines {:.1e}, scaled moments {:.1e}", worst[0], worst[1], worst[2]);
        assert!(worst[0] < 1e-6 && worst[1] < 1e-5 && worst[2] < 2e-6, "{name}: {worst:?}");
    }
}

fn simulated(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("sim.h5ad");
    let config = SimulateConfig { cells: 200, genes: 50, seed: 5, ..SimulateConfig::default() };
    pipeline::simulate(&config, &path, &OutputConfig::default()).unwrap();
    path
}

fn train(input: &Path, output: &Path, settings: &[&str]) -> nascent::Result<()> {
    let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
    let config = Config::load(None, &settings)?;
    let run = output.with_extension("run");
    let job = Job { input: input.to_owned(), output: output.to_owned(), run, resume: false };
    pipeline::train(&config, &job, Box::new(Silent), Arc::new(AtomicBool::new(false))).map(drop)
}

fn column(path: &Path, name: &str) -> Vec<f64> {
    opened(path).var().get(name).and_then(Column::to_numbers).unwrap_or_else(|| panic!("no column {name}"))
}

fn close(found: f64, wanted: f64, tolerance: f64) -> bool {
    found.is_nan() == wanted.is_nan() && (found.is_nan() || (found - wanted).abs() <= tolerance * wanted.abs().max(1.0))
}

#[test]
fn the_file_has_the_moments_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let input = simulated(folder.path());
    for (genes, name) in [("all", "all.h5ad"), ("fitted", "fitted.h5ad")] {
        let output = folder.path().join(name);
        let written = format!("output.genes={genes}");
        let settings = ["model.kind=steady_state", "preprocess.recipe=velovi", "output.layers=all", &written];
        train(&input, &output, &settings).unwrap();
        for moments in ["Ms", "Mu"] {
            let (scaled, raw) =
                [moments.to_owned(), format!("{moments}_raw")].map(|key| io::read_layer(&output, &key).unwrap()).into();
            let (min, span) = (column(&output, &format!("{moments}_min")), column(&output, &format!("{moments}_span")));
            for ((at, &scaled), &raw) in scaled.indexed_iter().zip(&raw) {
                assert!(scaled.is_nan() || (0.0..=1.0).contains(&scaled));
                assert!(close(f64::from(raw), min[at.1] + span[at.1] * f64::from(scaled), 1e-6));
            }
        }
        assert_eq!(opened(&output).fit().map(|fit| fit.moments), Some(Moments::Scaled));
    }
}

#[test]
fn scaled_moments_are_read_again_in_counts() {
    let folder = tempfile::tempdir().unwrap();
    let input = simulated(folder.path());
    let steady_state = ["model.kind=steady_state", "output.genes=fitted"];
    let [all, needed, plain] = ["all.h5ad", "needed.h5ad", "plain.h5ad"].map(|name| folder.path().join(name));
    for (output, layers) in [(&all, "output.layers=all"), (&needed, "output.layers=needed")] {
        train(&input, output, &[&steady_state[..], &["preprocess.recipe=velovi", layers]].concat()).unwrap();
        let of_file = ["preprocess.moments=file", "preprocess.n_top_genes=0"];
        train(output, &plain, &[&steady_state[..], &of_file].concat()).unwrap();
        let [wanted, found] = [(&all, "Ms_raw"), (&plain, "Ms")].map(|(path, key)| io::read_layer(path, key).unwrap());
        assert_eq!(found, wanted, "{layers}");
    }
}

/// Every score, from a fit in units of the scaled moments and from the same fit in counts.
#[test]
fn scores_of_scaled_moments_are_those_in_counts() {
    let folder = tempfile::tempdir().unwrap();
    let input = simulated(folder.path());
    let counts = io::read(&input, &InputConfig::default()).unwrap();
    let config = PreprocessConfig { recipe: Recipe::Velovi, ..PreprocessConfig::default() };
    let (data, _) = run(&counts, &config).unwrap();
    let MomentScaling { mu, ms } = data.scaling.clone().unwrap();
    let n = data.n_vars();
    let wavy = |scale: f32| move |(i, g): (usize, usize)| ((i * 7 + g * 3) as f32 * 0.1).sin() * scale;
    let shape = data.ms.dim();
    let mut scaled = Fit::of("test")
        .with(VELOCITY, Array2::from_shape_fn(shape, wavy(0.3)))
        .with(FIT_U, &data.mu + &Array2::from_shape_fn(shape, wavy(0.1)))
        .with(FIT_S, &data.ms + &Array2::from_shape_fn(shape, wavy(0.05)))
        .with(VELOCITY_GENES, vec![true; n]);
    for (quantity, value) in [(FIT_BETA, 2.0), (FIT_GAMMA, 1.5), (FIT_STD_U, 0.1), (FIT_STD_S, 0.2)] {
        scaled.set(quantity, Array1::from_elem(n, value));
    }
    let mut plain = scaled.clone();
    ms.restore_differences(plain.get_mut(VELOCITY).unwrap());
    mu.restore(plain.get_mut(FIT_U).unwrap());
    ms.restore(plain.get_mut(FIT_S).unwrap());
    *plain.get_mut(FIT_STD_U).unwrap() *= &mu.span;
    *plain.get_mut(FIT_STD_S).unwrap() *= &ms.span;
    let gamma = &scaled[FIT_GAMMA] * &mu.span / &ms.span;
    plain.set(FIT_GAMMA, gamma);

    let scores = |name: &str, from: &Path, data: &Dataset, fit: &Fit| -> Evaluation {
        let output = folder.path().join(name);
        write(&output, from, &OutputConfig::default(), data, fit).unwrap();
        pipeline::evaluate(&output).unwrap()
    };
    let found = scores("scaled.h5ad", &input, &data, &scaled);
    // Over the file that still has the columns of the scaled fit, which must not be used again.
    let wanted = scores("plain.h5ad", &folder.path().join("scaled.h5ad"), &data.in_counts(), &plain);
    let [found, wanted] = [found, wanted].map(|scores| serde_json::to_value(scores).unwrap());
    let mut compared = 0;
    for (name, wanted) in wanted.as_object().unwrap() {
        match (found[name].as_f64(), wanted.as_f64()) {
            (Some(found), Some(wanted)) => {
                compared += 1;
                assert!(close(found, wanted, 1e-4), "{name}: {found} {wanted}");
            }
            (found, wanted) => assert_eq!(found, wanted, "{name}"),
        }
    }
    assert!(compared >= 7, "{found}");
}

#[test]
fn every_light_model_runs_on_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let input = simulated(folder.path());
    for (at, settings) in [
        &["model.kind=steady_state", "model.mode=deterministic"][..],
        &["model.kind=dynamical"],
        &["model.kind=soft_grid", "model.likelihood=gaussian"],
    ]
    .iter()
    .enumerate()
    {
        let output = folder.path().join(format!("{at}.h5ad"));
        train(&input, &output, &[settings, &["preprocess.recipe=velovi"][..]].concat()).unwrap();
        assert_eq!(opened(&output).fit().map(|fit| fit.moments), Some(Moments::Scaled), "{settings:?}");
    }
}

#[test]
fn a_model_of_counts_leaves_the_moments_in_counts() {
    let folder = tempfile::tempdir().unwrap();
    let input = simulated(folder.path());
    let output = folder.path().join("out.h5ad");
    train(&input, &output, &["model.kind=soft_grid", "preprocess.recipe=velovi"]).unwrap();
    assert!(io::read_layer(&output, "Ms_raw").is_err());
    let largest = io::read_layer(&output, "Ms").unwrap().iter().copied().fold(0.0, f32::max);
    assert!(largest > 2.0, "{largest}");
    assert!(pipeline::evaluate(&output).unwrap().velocity_cell_cosine.is_some_and(|cosine| cosine > 0.5));
}

#[test]
fn streaming_and_the_recipe_exclude_each_other() {
    let settings = ["model.kind=soft_grid", "model.stream=true", "preprocess.recipe=velovi"].map(str::to_owned);
    match Config::load(None, &settings) {
        Err(error @ Error::Setting { .. }) => {
            assert!(error.to_string().contains("preprocess.recipe = \"velovi\""), "{error}");
            assert!(error.hint().is_some());
        }
        other => panic!("{other:?}"),
    }
}

//! The steady-state model against scVelo 0.3.4 `tl.velocity`, from scVelo's own moments and neighbour graph.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nascent::config::Config;
use nascent::data::quantities::{
    FIT_R2, VARIANCE_VELOCITY, VELOCITY, VELOCITY_GAMMA, VELOCITY_GENES, VELOCITY_OFFSET, VELOCITY_QREG_RATIO,
    VELOCITY_R2,
};
use nascent::data::{Column, Dataset, Fit, Run, Silent};
use nascent::io;
use nascent::models::VelocityModel;
use nascent::models::steady_state::{Mode, SteadyState};
use nascent::pipeline::{Job, train};
use ndarray::Array2;
use serde_json::Value;

use crate::golden::{CASES, golden};
use crate::shared::shared;

const DENTATE: &str = CASES[2];

/// scVelo adds in f32; R² of a gene that is fitted badly is far below 0, and then compared by its own size.
const TOLERANCE: f64 = 1e-5;

fn fit(mode: Mode, fit_offset: bool, data: &Dataset) -> Fit {
    let mut run = Run::new(Path::new("unused"), 0, String::new(), Box::new(Silent));
    SteadyState { mode, fit_offset, ..SteadyState::default() }.fit(data, &mut run).unwrap()
}

/// Largest difference, in units of the wanted value where that is above 1.
fn difference(found: impl IntoIterator<Item = f64>, wanted: &[f64]) -> f64 {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), wanted.len());
    assert!(found.iter().chain(wanted).all(|value| value.is_finite()));
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

fn same_genes(found: &[bool], wanted: &Column) {
    let Column::Bool(wanted) = wanted else { panic!("not truth values: {wanted:?}") };
    assert_eq!(found, wanted);
}

/// Largest difference over the largest value.
fn layer_difference(found: &Array2<f32>, wanted: &Array2<f32>) -> f64 {
    assert_eq!(found.dim(), wanted.dim());
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, |most: f32, next| most.max(next.abs()));
    assert!(found.iter().all(|value| value.is_finite()));
    f64::from(largest(&mut (found - wanted).into_iter()) / largest(&mut wanted.iter().copied()))
}

#[test]
fn slopes_scores_genes_and_velocities_agree_with_scvelo() {
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        for (mode, word) in [(Mode::Deterministic, "deterministic"), (Mode::Stochastic, "stochastic")] {
            let fit = fit(mode, false, &data);
            assert_eq!(fit.mode, word);
            let of = |key: &str| data.var.get(&format!("velocity_{word}_{key}")).expect("scVelo's column");
            let wanted = |key: &str| of(key).to_numbers().expect("numbers");
            let gamma = difference(fit[VELOCITY_GAMMA].clone(), &wanted("gamma"));
            let r2 = difference(fit[VELOCITY_R2].clone(), &wanted("r2"));
            let ratio = fit.get(VELOCITY_QREG_RATIO).unwrap_or(&fit[VELOCITY_GAMMA]).clone();
            let ratio = difference(ratio, &wanted("qreg_ratio"));
            let layer = io::read_layer(&path, &format!("velocity_{word}")).unwrap();
            let velocity = layer_difference(&fit[VELOCITY], &layer);
            println!("{name} {word}: gamma {gamma:.1e}, qreg_ratio {ratio:.1e}, R2 {r2:.1e}, velocity {velocity:.1e}");
            assert!([gamma, r2, ratio, velocity].iter().all(|worst| *worst < TOLERANCE));
            same_genes(&fit[VELOCITY_GENES], of("genes"));

            match (fit.get(VARIANCE_VELOCITY), io::read_layer(&path, &format!("variance_velocity_{word}"))) {
                (Some(found), Ok(wanted)) => {
                    let worst = layer_difference(found, &wanted);
                    println!("{name} {word}: variance_velocity {worst:.1e}");
                    assert!(worst < TOLERANCE);
                }
                (found, _) => assert_eq!(found.is_some(), mode == Mode::Stochastic),
            }
        }
    }
}

#[test]
fn the_score_of_the_fit_to_all_cells_agrees_with_recover_dynamics() {
    for name in CASES {
        let Some((_, data)) = golden(name) else { continue };
        let found = fit(Mode::Deterministic, false, &data)[FIT_R2].clone();
        let wanted = data.var.get("fit_r2").and_then(Column::to_numbers).expect("scVelo's column");
        let worst = difference(found, &wanted);
        println!("{name}: fit_r2 {worst:.1e}");
        assert!(worst < TOLERANCE);
    }
}

/// Golden: tests/golden/steady_state_offset.json, made by scripts/golden_steady_state.py.
#[test]
fn fits_with_an_offset_agree_with_scvelo() {
    let Some((_, data)) = golden(DENTATE) else { return };
    let golden: Value = serde_json::from_str(include_str!("../golden/steady_state_offset.json")).unwrap();
    let numbers = |mode: &str, key: &str| -> Vec<f64> { serde_json::from_value(golden[mode][key].clone()).unwrap() };
    for (mode, word) in [(Mode::Deterministic, "deterministic"), (Mode::Stochastic, "stochastic")] {
        let fit = fit(mode, true, &data);
        let gamma = difference(fit[VELOCITY_GAMMA].clone(), &numbers(word, "gamma"));
        let offset = difference(fit[VELOCITY_OFFSET].clone(), &numbers(word, "offset"));
        let r2 = difference(fit[VELOCITY_R2].clone(), &numbers(word, "r2"));
        println!("{word} with offset: gamma {gamma:.1e}, offset {offset:.1e}, R2 {r2:.1e}");
        assert!([gamma, offset, r2].iter().all(|worst| *worst < TOLERANCE), "{word}");
        let wanted: Vec<bool> = serde_json::from_value(golden[word]["genes"].clone()).unwrap();
        assert_eq!(fit[VELOCITY_GENES], wanted, "{word}");
    }
}

#[test]
fn a_config_that_names_the_model_leads_from_file_to_file() {
    let Some(input) = shared("data/dentategyrus_100obs.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/steady_state.toml");
    let config =
        Config::load(Some(&example), &["model.fit_offset=true".to_owned(), "output.layers=all".to_owned()]).unwrap();
    let job = Job { input, output: folder.path().join("out.h5ad"), run: folder.path().join("out.run"), resume: false };
    train(&config, &job, Box::new(Silent), Arc::new(AtomicBool::new(false))).unwrap();

    let file = io::FittedFile::open(&job.output).unwrap();
    let var = file.var();
    for key in ["velocity_gamma", "velocity_offset", "velocity_qreg_ratio", "velocity_r2", "fit_r2", "velocity_genes"] {
        assert!(var.get(key).is_some(), "{key} is missing");
    }
    for key in ["velocity", "variance_velocity", "Ms", "Mu"] {
        assert!(io::read_layer(&job.output, key).is_ok(), "{key} is missing");
    }
    assert_eq!(file.mode(), "stochastic");
}

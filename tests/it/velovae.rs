//! VeloVAE recovers what it should from simulated counts.

use nascent::data::quantities::{
    CELL_CV, FIT_S, FIT_S_FUTURE, FIT_STD_S, FIT_STD_U, FIT_T_OFF, FIT_U, LATENT_TIME, LATENT_TIME_STD, VELOCITY,
    VELOCITY_SPLIT, VELOCITY_U, X_VELOVAE,
};
use nascent::data::{Dataset, Fit, Run, Silent, parts};
use nascent::metrics::{Evaluation, Evidence, evaluate};
use nascent::models::VelocityModel;
use nascent::models::velovae::{Variant, Velovae};
use nascent::preprocess::{self, PreprocessConfig};
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use ndarray::{Array2, Axis};

/// A simulation small enough to be learned in seconds, and the same preprocessed.
fn simulated(branches: usize) -> (Simulation, Dataset) {
    let config = SimulateConfig { cells: 500, genes: 60, branches, seed: 5, ..SimulateConfig::default() };
    let simulation = simulate(&config).expect("valid settings");
    let (data, _) = preprocess::run(&simulation.counts, &PreprocessConfig::default()).expect("valid data");
    (simulation, data)
}

fn quick(variant: Variant) -> Velovae {
    let mut settings = Velovae { variant, n_samples: 4, hidden: [64, 32], ..Velovae::default() };
    settings.train.learning_rate = 1e-3;
    settings.rate_learning_rate = 2e-3;
    settings.train.epochs = 150;
    settings.refine_epochs = 60;
    settings
}

fn fit(settings: &Velovae, data: &Dataset) -> Fit {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    settings.fit(data, &mut run).expect("the model can be fitted")
}

fn scores(simulation: &Simulation, data: &Dataset, fit: &Fit) -> Evaluation {
    let time = fit[LATENT_TIME].to_vec();
    let truth = simulation.counts.obs.get("true_t").and_then(nascent::data::Column::to_numbers).expect("the truth");
    let of_kept = |all: &Array2<f32>| all.select(Axis(1), &data.genes);
    let velocity = of_kept(&simulation.truth.as_ref().expect("the default").velocity);
    evaluate(&Evidence {
        moments: Some([data.mu.to_shared(), data.ms.to_shared()]),
        reconstruction: Some([fit[FIT_U].to_shared(), fit[FIT_S].to_shared()]),
        residual_std: Some([fit[FIT_STD_U].clone(), fit[FIT_STD_S].clone()]),
        split: Some(parts(&fit[VELOCITY_SPLIT].clone().into())),
        velocity: Some(fit[VELOCITY].to_shared()),
        true_velocity: Some(velocity.into_shared()),
        time: Some(time),
        true_time: Some(truth),
        ..Evidence::default()
    })
    .expect("shapes agree")
}

#[test]
fn basic_velovae_recovers_time_and_velocity_of_one_lineage() {
    let (simulation, data) = simulated(1);
    let scores = scores(&simulation, &data, &fit(&quick(Variant::Basic), &data));
    // Measured: .991, .753, .846.
    assert!(scores.time_spearman > Some(0.97), "{scores:?}");
    assert!(scores.velocity_gene_pearson > Some(0.7), "{scores:?}");
    assert!(scores.velocity_sign_agreement > Some(0.8), "{scores:?}");
}

#[test]
fn on_branching_data_the_full_model_explains_more_than_the_basic_one() {
    let (simulation, data) = simulated(2);
    let full = scores(&simulation, &data, &fit(&quick(Variant::Full), &data));
    let basic = scores(&simulation, &data, &fit(&quick(Variant::Basic), &data));
    // Measured: .754 and .693 against 2.642 and 2.628; .625; .985.
    let half = |mse: Option<f64>| mse.map(|mse| mse / 2.0);
    assert!(full.mse_train < half(basic.mse_train), "full {full:?}, basic {basic:?}");
    assert!(full.mse_test < half(basic.mse_test), "full {full:?}, basic {basic:?}");
    assert!(full.velocity_gene_pearson > Some(0.57), "{full:?}");
    assert!(full.time_spearman > Some(0.96), "{full:?}");
}

#[test]
fn capture_times_give_the_order_of_cells() {
    let (simulation, data) = simulated(2);
    let settings = Velovae { capture_time: "capture_time".to_owned(), ..quick(Variant::Full) };
    let scores = scores(&simulation, &data, &fit(&settings, &data));
    // Measured: .980.
    assert!(scores.time_spearman > Some(0.96), "{scores:?}");
}

#[test]
fn every_quantity_is_finite_and_has_the_shape_of_the_data() {
    let (_, data) = simulated(2);
    for variant in [Variant::Basic, Variant::Full] {
        let mut settings = quick(variant);
        settings.train.epochs = 5;
        let fit = fit(&settings, &data);
        let matrices =
            [Some(&fit[VELOCITY]), fit.get(VELOCITY_U), fit.get(FIT_U), fit.get(FIT_S), fit.get(FIT_S_FUTURE)];
        for matrix in matrices {
            let matrix = matrix.expect("VeloVAE gives it");
            assert_eq!(matrix.dim(), (data.n_obs(), data.n_vars()));
            assert!(matrix.iter().all(|value| value.is_finite()));
        }
        for column in [LATENT_TIME, LATENT_TIME_STD, CELL_CV] {
            let column = &fit[column];
            assert!(column.len() == data.n_obs() && column.iter().all(|value| value.is_finite()));
        }
        assert_eq!(fit.get(X_VELOVAE).is_some(), variant == Variant::Full);
        assert_eq!(fit.get(FIT_T_OFF).is_some(), variant == Variant::Basic);
    }
}

#[test]
fn genes_that_are_silent_or_constant_do_not_spoil_the_fit() {
    let (_, mut data) = simulated(1);
    data.mu.column_mut(0).fill(0.0);
    data.ms.column_mut(0).fill(0.0);
    data.mu.column_mut(1).fill(2.0);
    data.ms.column_mut(1).fill(3.0);
    data.mu.column_mut(2).fill(0.0);
    data.ms.column_mut(3).fill(0.0);
    let mut settings = quick(Variant::Full);
    settings.train.epochs = 5;
    let fit = fit(&settings, &data);
    assert!(fit[VELOCITY].iter().all(|value| value.is_finite()));
}

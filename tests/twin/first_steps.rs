//! Loss and every gradient of one batch.

use burn::tensor::Device;
use nascent::models::velovae::{Likelihood, Variant, Velovae};
use nascent::models::velovi::{StatePosterior, Velovi};
use nascent::train::FirstStep;

use crate::{apart, under_test};

/// A term of the loss, as a share of itself or of 1 nat: sums of a thousand f32 in another order, and exponentials and logarithms
/// of the device's own.
const OF_TERM: f64 = 2e-5;

/// A gradient, as a share of the largest of its parameter or of 0.01: the bias before a batch norm has no gradient but that of
/// rounding.
const OF_GRADIENT: f64 = 2e-4;

/// Cells and genes.
const SHAPE: (usize, usize) = (24, 17);

fn velovae(variant: Variant, likelihood: Likelihood) -> Velovae {
    Velovae { variant, likelihood, hidden: [16, 8], ..Velovae::default() }
}

fn assert_twins(case: &str, found: &FirstStep, wanted: &FirstStep) {
    let names = |step: &FirstStep| step.gradients.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "{case}: parameters with a gradient");
    assert_eq!(found.terms.len(), wanted.terms.len(), "{case}: terms");
    let (mut of_terms, mut of_gradients) = ((0.0, ""), (0.0, ""));
    for ((name, found), (same, wanted)) in found.terms.iter().zip(&wanted.terms) {
        assert_eq!(name, same);
        let apart = apart(&[*found], &[*wanted], 1.0);
        assert!(apart < OF_TERM, "{case}: {name}: {found}, flex {wanted}");
        of_terms = if apart > of_terms.0 { (apart, name) } else { of_terms };
    }
    for ((name, found), wanted) in found.gradients.iter().zip(wanted.gradients.values()) {
        let apart = apart(found, wanted, 1e-2);
        assert!(apart < OF_GRADIENT, "{case}: gradient of {name}: {apart:.1e} of the largest");
        of_gradients = if apart > of_gradients.0 { (apart, name) } else { of_gradients };
    }
    eprintln!("{case}: {:.1e} ({}), gradients {:.1e} ({})", of_terms.0, of_terms.1, of_gradients.0, of_gradients.1);
}

/// The steps of one model on one device.
type Steps = Vec<(String, FirstStep)>;

/// Twice on the device under test, and on flex.
fn compare(case: &str, steps: &dyn Fn(&Device) -> Steps) {
    let [found, again, wanted] = [&under_test(), &under_test(), &Device::flex()].map(steps);
    assert_eq!(found, again, "{case}: a device that is asked twice says the same");
    for ((stage, found), (_, wanted)) in found.iter().zip(&wanted) {
        assert_twins(&format!("{case}, {stage}"), found, wanted);
    }
}

fn compare_velovae(case: &str, settings: &Velovae) {
    compare(case, &|device| {
        let steps = nascent::models::velovae::first_steps(settings, device, SHAPE.0, SHAPE.1);
        steps.into_iter().map(|(stage, step)| (stage.to_owned(), step)).collect()
    });
}

fn compare_velovi(case: &str, settings: &Velovi) {
    compare(case, &|device| {
        let step = nascent::models::velovi::first_step(settings, device, SHAPE.0, SHAPE.1);
        vec![("states and rates".to_owned(), step)]
    });
}

#[test]
fn the_first_steps_of_basic_velovae_are_those_of_flex() {
    compare_velovae("basic", &velovae(Variant::Basic, Likelihood::Gaussian));
}

#[test]
fn the_first_steps_of_full_velovae_are_those_of_flex() {
    compare_velovae("full", &velovae(Variant::Full, Likelihood::Gaussian));
}

#[test]
fn the_first_steps_of_velovae_on_counts_are_those_of_flex() {
    let settings = velovae(Variant::Full, Likelihood::NegativeBinomial);
    compare_velovae("counts", &Velovae { rate_posterior: true, ..settings });
}

#[test]
fn the_first_step_of_velovi_is_that_of_flex() {
    compare_velovi("veloVI", &Velovi { hidden: 16, ..Velovi::default() });
}

#[test]
fn the_first_step_of_velovi_with_an_analytic_posterior_is_that_of_flex() {
    let settings =
        Velovi { hidden: 16, state_posterior: StatePosterior::Analytic, joint_state: true, ..Velovi::default() };
    compare_velovi("veloVI, analytic", &settings);
}

//! The functions that the losses are made of, against closed forms in 50 digits and against flex.

use burn::tensor::{Device, Tensor, TensorData};
use nascent::nn::arrays::values;
use nascent::nn::dirichlet::{self, GammaNoise};
use nascent::nn::draws::Draws;
use nascent::nn::kinetics::solve;
use nascent::nn::special::{digamma, ln_gamma};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::shared::shared;
use crate::{apart, under_test};

/// `shared/reference/unit_fixtures.json`.
fn fixtures() -> Option<Value> {
    let text = std::fs::read_to_string(shared("reference/unit_fixtures.json")?).expect("readable");
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn rows(fixtures: &Value, table: &str) -> Vec<Vec<f64>> {
    serde_json::from_value(fixtures[table]["rows"].clone()).expect("rows of numbers")
}

fn one_row(rows: &[Vec<f64>], column: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows.iter().map(|row| row[column] as f32).collect();
    Tensor::from_data(TensorData::new(values, [1, rows.len()]), device)
}

/// To 4e-6 of the value, or of 1 near the roots of ln Γ and ψ: twice what flex is held to, for logarithms of the device's own.
#[test]
fn gamma_functions_agree_with_every_fixture() {
    let Some(fixtures) = fixtures() else { return };
    let rows: Vec<_> = rows(&fixtures, "special").into_iter().filter(|row| (1e-4..=1e4).contains(&row[0])).collect();
    let x = one_row(&rows, 0, &under_test()).reshape([rows.len()]);
    let found: [Vec<f32>; 2] = [ln_gamma(x.clone()), digamma(x)].map(values);
    let mut worst = [0.0_f64; 2];
    for (at, row) in rows.iter().enumerate() {
        for (k, found) in found.iter().enumerate() {
            // What the tensor holds of x is not x: the functions' slopes are large near 0.
            let slack = (row[2 + k] * row[0]).abs() * 6e-8;
            let near_root = (k == 0 && row[0] > 0.75 && row[0] < 2.25) || (k == 1 && (row[0] - 1.4616).abs() < 0.25);
            let scale = if near_root { row[1 + k].abs().max(1.0) } else { row[1 + k].abs() };
            let error = (f64::from(found[at]) - row[1 + k]).abs();
            assert!(error <= 4e-6 * scale + slack, "function {k} at {}: {} {}", row[0], found[at], row[1 + k]);
            worst[k] = worst[k].max((error - slack) / scale);
        }
    }
    eprintln!("ln Γ {:.1e}, ψ {:.1e}", worst[0], worst[1]);
}

/// To 4e-5 of each value: twice what flex is held to.
#[test]
fn kinetics_agree_with_every_fixture() {
    let Some(fixtures) = fixtures() else { return };
    let rows = rows(&fixtures, "kinetics");
    let device = under_test();
    let column = |index| one_row(&rows, index, &device);
    let (u, s) = solve(&column(0), column(1), column(2), column(3), &column(4), &column(5));
    for (name, found, want) in [("u", values(u), 6), ("s", values(s), 7)] {
        let errors = found.iter().zip(&rows).map(|(&found, row)| match (f64::from(found) - row[want]).abs() {
            0.0 => 0.0,
            difference => difference / row[want].abs(),
        });
        let worst = errors.fold(0.0, f64::max);
        assert!(worst < 4e-5, "{name}: {worst:.1e}");
        eprintln!("{name} {worst:.1e}");
    }
}

/// To 4e-6 of the value and 2e-6 of its largest term, as on flex twice.
#[test]
fn divergence_of_dirichlet_distributions_agrees_with_the_fixtures() {
    let Some(fixtures) = fixtures() else { return };
    let cases = fixtures["kl_dirichlet"].as_array().expect("a list");
    // Of one shape, so that they are one batch.
    let of = |case: &Value, key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).expect("numbers") };
    let four: Vec<&Value> = cases.iter().filter(|case| of(case, "p").len() == 4).collect();
    assert!(four.len() > 10, "{}", four.len());
    let device = under_test();
    let tensor = |key: &str| {
        let flat: Vec<f32> = four.iter().flat_map(|case| of(case, key)).map(|value| value as f32).collect();
        Tensor::<3>::from_data(TensorData::new(flat, [four.len(), 4, 1]), &device)
    };
    let found = values(dirichlet::kl(&tensor("p"), &tensor("q")));
    for (case, found) in four.iter().zip(found) {
        let (p, q, want) = (of(case, "p"), of(case, "q"), case["kl"].as_f64().expect("a number"));
        let terms: f64 = p.iter().chain(&q).map(|&a| libm::lgamma(a).abs()).sum();
        let largest = terms + libm::lgamma(p.iter().sum()).abs();
        assert!((f64::from(found) - want).abs() <= 4e-6 * want + 2e-6 * largest, "{found} {want}: {p:?} {q:?}");
    }
}

/// Draws and their gradients, from noise that each device makes: logarithms to 2e-5 of the largest, gradients to 2e-4.
#[test]
fn draws_of_weights_and_their_gradients_are_those_of_flex() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let concentration: Vec<f32> = (0..40 * 4 * 5).map(|_| rng.random_range(0.05..3.0)).collect();
    let draw = |device: Device| {
        let data = TensorData::new(concentration.clone(), [40, 4, 5]);
        let concentration = Tensor::<3>::from_data(data, &device.autodiff()).require_grad();
        let noise = GammaNoise::new(7, [40, 4, 5], &concentration.device());
        let drawn = dirichlet::sample_log(&concentration, &noise);
        let gradients = drawn.clone().exp().square().sum().backward();
        [values(drawn), values(concentration.grad(&gradients).expect("tracked"))]
    };
    let [[found, slope], [wanted, wanted_slope]] = [under_test(), Device::flex()].map(draw);
    let (value, gradient) = (apart(&found, &wanted, 1.0), apart(&slope, &wanted_slope, 1e-2));
    eprintln!("draws {value:.1e}, gradients {gradient:.1e}");
    assert!(value < 2e-5 && gradient < 2e-4, "draws {value:.1e}, gradients {gradient:.1e}");
}

/// The numbers of a stream follow from its key, wherever they are made: uniform ones and masks to the bit, normal ones to rounding.
#[test]
fn noise_is_that_of_flex() {
    let on = |device: &Device| {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut draws = Draws::Sampled(&mut rng);
        let uniform = values(draws.uniform([37, 91], 0.3, device));
        let mask = values(draws.dropout_mask([37, 91], 0.2, device).expect("some are dropped"));
        [uniform, mask, values(draws.normal([37, 91], device))]
    };
    let [uniform, mask, normal] = on(&under_test().inner());
    let [of_flex, mask_of_flex, normal_of_flex] = on(&Device::flex());
    let off = apart(&normal, &normal_of_flex, 1.0);
    eprintln!(
        "uniform {:.1e}, mask {:.1e}, normal {off:.1e}",
        apart(&uniform, &of_flex, 1.0),
        apart(&mask, &mask_of_flex, 1.0)
    );
    assert!(uniform == of_flex && mask == mask_of_flex && off < 2e-6, "normal {off:.1e}");
}

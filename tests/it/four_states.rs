//! The bound over four kinetic states: gamma functions, Dirichlet divergence and draws, the fused operation.

use burn::tensor::{Device, Tensor, TensorData};
use nascent::nn::dirichlet::{self, GammaNoise};
use nascent::nn::fused::four_states::{FourStates, Mixture, StatesLoss, Weights, composed_loss, states_loss};
use nascent::nn::special::{digamma, ln_gamma};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::nn::{fixture, fixture_of};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn row(values: &[f64], device: &Device) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_data(values.as_slice(), device)
}

/// Golden: `unit_fixtures.json`, closed forms in 50 digits, x from 1e-4 to 1e4; at most 2e-6 of the value, except within
/// 0.25 of a root, where it is 2e-6.
#[test]
fn gamma_functions_agree_with_every_fixture() {
    let Some(rows) = fixture("special") else { return };
    let rows: Vec<Vec<f64>> = rows.into_iter().filter(|row| (1e-4..=1e4).contains(&row[0])).collect();
    assert!(rows.len() > 10);
    let x: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    for device in [Device::flex(), Device::flex().autodiff()] {
        let x = row(&x, &device);
        let found = [ln_gamma(x.clone()), digamma(x)].map(values);
        for (row, at) in rows.iter().zip(0..) {
            // What the tensor holds of x is not x: the functions' slopes are large near 0.
            let slack = [row[2] * row[0], row[3] * row[0]].map(|slope| slope.abs() * 6e-8);
            for (k, found) in found.iter().enumerate() {
                let near_root =
                    (k == 0 && row[0] > 0.75 && row[0] < 2.25) || (k == 1 && (row[0] - 1.4616).abs() < 0.25);
                let scale = if near_root { row[1 + k].abs().max(1.0) } else { row[1 + k].abs() };
                let error = (f64::from(found[at]) - row[1 + k]).abs();
                assert!(error <= 2e-6 * scale + slack[k], "function {k} at {}: {} {}", row[0], found[at], row[1 + k]);
            }
        }
    }
}

/// ψ′(x), from its series above 20 and the recurrence below (Abramowitz and Stegun 1964, 6.4.12 and 6.4.6).
fn trigamma(x: f64) -> f64 {
    if x < 20.0 {
        return trigamma(x + 1.0) + x.powi(-2);
    }
    1.0 / x + 0.5 / x.powi(2) + 1.0 / (6.0 * x.powi(3)) - 1.0 / (30.0 * x.powi(5)) + 1.0 / (42.0 * x.powi(7))
}

#[test]
fn gradients_of_the_gamma_functions_are_the_next_ones() {
    let x: Vec<f64> = (0..=80).map(|step| 10_f64.powf(-4.0 + 0.1 * f64::from(step))).collect();
    let x = row(&x, &Device::flex().autodiff()).require_grad();
    let gradient = |y: Tensor<1>| values(x.grad(&y.sum().backward()).unwrap());
    let (slope, bend) = (gradient(ln_gamma(x.clone())), gradient(digamma(x.clone())));
    let (want_slope, at) = (values(digamma(x.clone().inner())), values(x.clone().inner()));
    for i in 0..slope.len() {
        assert!((slope[i] - want_slope[i]).abs() <= 1e-4 * want_slope[i].abs().max(0.1));
        let want_bend = trigamma(f64::from(at[i]));
        assert!((f64::from(bend[i]) - want_bend).abs() <= 1e-4 * want_bend);
    }
}

/// `[n_cells, 4, n_genes]` from rows of four.
fn concentrations(rows: &[[f64; 4]], device: &Device) -> Tensor<3> {
    let flat: Vec<f32> = rows.iter().flatten().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(flat, [rows.len(), 4, 1]), device)
}

/// Source: the closed form in double precision; 3.5530 is also the mean of ln q − ln p over draws (3.5547).
#[test]
fn divergence_of_dirichlet_distributions_is_right_never_negative_and_zero_for_equals() {
    let device = Device::flex();
    let cases = [([0.7, 0.2, 1.3, 0.05], 3.553_0), ([0.25; 4], 0.0)];
    for (a, want) in cases {
        let kl = values(dirichlet::kl(&concentrations(&[a], &device), &dirichlet::even(0.25, 4, &device)))[0];
        assert!((f64::from(kl) - want).abs() < 5e-5, "{kl}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let rows: Vec<[f64; 4]> =
        (0..500).map(|_| std::array::from_fn(|_| 10_f64.powf(rng.random_range(-4.0..4.0)))).collect();
    let kl = values(dirichlet::kl(&concentrations(&rows, &device), &dirichlet::even(0.25, 4, &device)));
    assert!(kl.iter().all(|&kl| kl >= 0.0 && kl.is_finite()));
}

/// Golden: `unit_fixtures.json`, `kl_dirichlet`: 150 pairs of 2 to 8 concentrations from 0.0025 to 400, in 50 digits. f32 holds
/// the terms, up to some thousands, to 1e-7 of them.
#[test]
fn divergence_of_dirichlet_distributions_agrees_with_every_fixture() {
    let Some(cases) = fixture_of::<Vec<serde_json::Value>>("kl_dirichlet") else { return };
    assert_eq!(cases.len(), 150);
    for case in cases {
        let of = |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
        let tensor = |values: &[f64]| row(values, &Device::flex()).reshape([1, values.len(), 1]);
        let (p, q) = (of("p"), of("q"));
        let kl = f64::from(values(dirichlet::kl(&tensor(&p), &tensor(&q)))[0]);
        let want = case["kl"].as_f64().unwrap();
        let largest =
            p.iter().chain(&q).map(|&a| libm::lgamma(a).abs()).sum::<f64>() + libm::lgamma(p.iter().sum()).abs();
        assert!((kl - want).abs() <= 2e-6 * want + 1e-6 * largest, "{kl} {want}: {p:?} {q:?}");
    }
}

/// Twin: the mixture in double precision on `nascent::kinetics`. With concentrations of a million the weights are certain, and the
/// bound is the likelihood.
#[test]
fn with_certain_weights_the_bound_is_the_likelihood_of_the_mixture() {
    use nascent::kinetics::{Rates, State, solve};
    let weights = [0.4, 0.1, 0.3, 0.2];
    let device = Device::flex();
    let one = |value: f64| Tensor::<2>::full([1, 1], value, &device);
    let (alpha, beta, gamma, t_switch, rho, tau) = (0.7, 0.8, 0.5, 6.0, 0.3, 0.2);
    let rates = |alpha| Rates { alpha, beta, gamma };
    let switch = solve(t_switch, State { u: 0.0, s: 0.0 }, rates(alpha));
    let means = [
        solve(rho * t_switch, State { u: 0.0, s: 0.0 }, rates(alpha)),
        State { u: alpha / beta, s: alpha / gamma },
        solve((20.0 - t_switch) * tau, switch, rates(0.0)),
        State { u: 0.0, s: 0.0 },
    ];
    let states = FourStates {
        concentration: concentrations(&[weights.map(|weight| 1e6 * weight)], &device),
        rho: one(rho),
        tau: one(tau),
        alpha: one(alpha),
        beta: one(beta),
        gamma: one(gamma),
        t_switch: one(t_switch),
        steady: (one(alpha / beta), one(alpha / gamma)),
        switch: (one(switch.u), one(switch.s)),
        std_u: one(0.3),
        std_s: one(0.4),
        t_max: 20.0,
        induction: None,
    };
    let spread = [1.0, 1.0, 1.0, 0.1];
    let density =
        |x: f64, mean: f64, std: f64| (-0.5 * ((x - mean) / std).powi(2)).exp() / std / std::f64::consts::TAU.sqrt();
    for (u, s) in [(0.5, 0.6), (0.02, 0.01), (1.1, 0.9)] {
        let of_state = |k: usize| (density(u, means[k].u, 0.3 * spread[k]), density(s, means[k].s, 0.4 * spread[k]));
        let total = |pick: &dyn Fn((f64, f64)) -> f64| (0..4).map(|k| weights[k] * pick(of_state(k))).sum::<f64>().ln();
        for (joint, want) in [(false, total(&|d| d.0) + total(&|d| d.1)), (true, total(&|d| d.0 * d.1))] {
            let mixture = Mixture { spread, prior: 0.25, joint, kl_weight: 1.0 };
            let nll = states_loss(&states, one(u), one(s), &mixture, Weights::Bounded).nll.into_scalar::<f32>();
            assert!((f64::from(nll) + want).abs() < 3e-5, "{joint}: {nll} {want}");
        }
    }
}

/// KL = E[ln q(π) − ln p(π)], with our own draws.
#[test]
fn divergence_is_the_mean_over_draws() {
    let a = [0.7, 0.2, 1.3, 0.4];
    let device = Device::flex();
    let draws = 40_000;
    let concentration = concentrations(&vec![a; draws], &device);
    let ln_pi = values(dirichlet::sample_log(
        &concentration,
        &GammaNoise::new(11, concentration.dims(), &concentration.device()),
    ));
    let ln_b = |a: &[f64; 4]| a.iter().map(|&a| libm::lgamma(a)).sum::<f64>() - libm::lgamma(a.iter().sum());
    let constant = ln_b(&[0.25; 4]) - ln_b(&a);
    let each: Vec<f64> = ln_pi
        .chunks(4)
        .map(|ln_pi| ln_pi.iter().zip(a).map(|(&ln_pi, a)| (a - 0.25) * f64::from(ln_pi)).sum::<f64>() + constant)
        .collect();
    let mean = each.iter().sum::<f64>() / draws as f64;
    let spread = (each.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws as f64 / draws as f64).sqrt();
    let prior = dirichlet::even(0.25, 4, &device);
    let kl = f64::from(values(dirichlet::kl(&concentrations(&[a], &device), &prior))[0]);
    assert!((mean - kl).abs() < 4.0 * spread, "{mean} ± {spread}, {kl}");
}

#[test]
fn draws_of_weights_have_the_mean_and_variance_of_a_dirichlet() {
    let a = [0.05, 0.5, 2.0, 0.45];
    // Of so few weights near 1 as state 0 has, the variance of 40,000 draws has a standard error of 4 %.
    let draws = 400_000;
    let concentration = concentrations(&vec![a; draws], &Device::flex());
    let pi = values(dirichlet::sample(&concentration, 5));
    let total: f64 = a.iter().sum();
    for (k, a) in a.into_iter().enumerate() {
        let of_state: Vec<f64> = pi.iter().skip(k).step_by(4).map(|&pi| f64::from(pi)).collect();
        let mean = of_state.iter().sum::<f64>() / draws as f64;
        let variance = of_state.iter().map(|pi| (pi - mean).powi(2)).sum::<f64>() / draws as f64;
        let share = a / total;
        let want = share * (1.0 - share) / (total + 1.0);
        assert!((mean - share).abs() < 4.0 * (want / draws as f64).sqrt(), "mean of {k}: {mean} {share}");
        assert!((variance / want - 1.0).abs() < 0.05, "variance of {k}: {variance} {want}");
    }
}

/// A batch with everything in it: several tiles of genes and blocks of cells, β = γ, weights from 1e-4 to 300, cells far from
/// every state.
struct Batch {
    states: FourStates,
    u: Tensor<2>,
    s: Tensor<2>,
}

const SHAPE: [usize; 2] = [19, 133];

impl Batch {
    fn new(device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let [n, g] = SHAPE;
        let mut draw = |count: usize, low: f32, high: f32| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(low..high)).collect()
        };
        let concentration: Vec<f32> = draw(4 * n * g, -9.0, 5.7).into_iter().map(f32::exp).collect();
        let concentration = Tensor::<3>::from_data(TensorData::new(concentration, [n, 4, g]), device).require_grad();
        let mut matrix =
            |low, high| Tensor::<2>::from_data(TensorData::new(draw(n * g, low, high), [n, g]), device).require_grad();
        let (rho, tau) = (matrix(0.0, 1.0), matrix(0.0, 1.0));
        let (u, s) = (matrix(0.0, 2.0).detach(), matrix(0.0, 2.0).detach());
        let mut rates = |low, high| draw(g, low, high);
        let (beta, mut gamma) = (rates(0.1, 2.0), rates(0.1, 2.0));
        gamma[5] = beta[5];
        gamma[6] = beta[6] + 0.003;
        let row = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [1, g]), device).require_grad();
        let (beta, gamma) = (row(beta), row(gamma));
        let mut std = rates(0.2, 0.8);
        std[9] = 0.004;
        let states = FourStates {
            concentration,
            rho,
            tau,
            alpha: row(rates(0.1, 2.0)),
            beta,
            gamma,
            t_switch: row(rates(1.0, 19.0)),
            steady: (row(rates(0.3, 2.0)), row(rates(0.3, 2.0))),
            switch: (row(rates(0.3, 2.0)), row(rates(0.3, 2.0))),
            std_u: row(std),
            std_s: row(rates(0.2, 0.8)),
            t_max: 20.0,
            induction: None,
        };
        Self { states, u, s }
    }

    /// Values, then gradients by every input.
    fn results(&self, loss: StatesLoss) -> (Vec<f64>, Vec<Vec<f32>>) {
        let scalar = |tensor: &Tensor<1>| f64::from(tensor.clone().into_scalar::<f32>());
        let found = [&loss.total, &loss.nll, &loss.kl].map(scalar).to_vec();
        let gradients = (loss.total * 1.5).backward();
        let FourStates { concentration, rho, tau, alpha, beta, gamma, t_switch, steady, switch, std_u, std_s, .. } =
            &self.states;
        let rest = [rho, tau, alpha, beta, gamma, t_switch, &steady.0, &steady.1, &switch.0, &switch.1, std_u, std_s];
        let mut all = vec![values(concentration.grad(&gradients).unwrap())];
        all.extend(rest.into_iter().map(|input| values(input.grad(&gradients).unwrap())));
        (found, all)
    }
}

#[test]
fn the_fused_bound_and_its_gradients_are_those_of_the_tensor_operations() {
    let batch = Batch::new(&Device::flex().autodiff());
    for (joint, weights) in
        [(false, Weights::Bounded), (true, Weights::Bounded), (false, Weights::Drawn(17)), (true, Weights::Drawn(17))]
    {
        let mixture = Mixture { spread: [1.0, 1.0, 1.0, 0.1], prior: 0.25, joint, kl_weight: 0.7 };
        let (u, s) = (batch.u.clone(), batch.s.clone());
        let fused = batch.results(states_loss(&batch.states, u.clone(), s.clone(), &mixture, weights));
        let composed = batch.results(composed_loss(&batch.states, u, s, &mixture, weights));
        for (fused, composed) in fused.0.iter().zip(&composed.0) {
            assert!((fused - composed).abs() <= 1e-5 * composed.abs(), "{joint} {weights:?}: {fused} {composed}");
        }
        for (input, (fused, composed)) in fused.1.iter().zip(&composed.1).enumerate() {
            // What is small is a difference of terms as large as the others of its kind. Measured: 1e-5 at most, where weights are drawn.
            let typical = (composed.iter().map(|value| value * value).sum::<f32>() / composed.len() as f32).sqrt();
            for (at, (fused, composed)) in fused.iter().zip(composed).enumerate() {
                assert!(
                    (fused - composed).abs() <= 5e-5 * (composed.abs() + typical),
                    "{joint} {weights:?}, input {input} at {at}: {fused} {composed}"
                );
            }
        }
    }
}

/// Jensen: the bound without draws is below the mean over draws, and near it where the weights are certain.
#[test]
fn the_bound_without_draws_is_a_bound() {
    let batch = Batch::new(&Device::flex().autodiff());
    let mixture = Mixture { spread: [1.0, 1.0, 1.0, 0.1], prior: 0.25, joint: false, kl_weight: 1.0 };
    let nll = |weights| {
        let loss = states_loss(&batch.states, batch.u.clone(), batch.s.clone(), &mixture, weights);
        f64::from(loss.nll.into_scalar::<f32>())
    };
    let drawn = (0..20).map(|seed| nll(Weights::Drawn(seed))).sum::<f64>() / 20.0;
    let bounded = nll(Weights::Bounded);
    assert!(bounded > drawn, "{bounded} {drawn}");
}

//! Tensor kinetics and the fused likelihood, against closed forms in f64 and against each other.

use burn::tensor::{Device, Tensor, TensorData};
use nascent::nn::fused::{KineticNll, Kinetics, Observed, composed_nll, kinetic_nll};
use nascent::nn::kinetics;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::shared::shared;

/// `shared/reference/unit_fixtures.json`: closed forms evaluated in 50 digits.
pub(crate) fn fixture_of<T: serde::de::DeserializeOwned>(table: &str) -> Option<T> {
    let text = std::fs::read_to_string(shared("reference/unit_fixtures.json")?).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    Some(serde_json::from_value(json[table].take()).unwrap())
}

/// The rows of a table of numbers in it.
pub(crate) fn fixture(table: &str) -> Option<Vec<Vec<f64>>> {
    let mut table: serde_json::Value = fixture_of(table)?;
    Some(serde_json::from_value(table["rows"].take()).unwrap())
}

fn tensor(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// Column `column` of `rows` as one row of genes.
fn genes(rows: &[Vec<f64>], column: usize) -> Tensor<2> {
    let values = rows.iter().map(|row| row[column] as f32).collect();
    tensor(values, [1, rows.len()], &Device::flex())
}

/// The largest `|got − want| / |want|`; infinite where a zero is missed.
fn worst_relative(got: &[f32], want: impl Iterator<Item = f64>) -> f64 {
    let error = |(&got, want): (&f32, f64)| match (f64::from(got) - want).abs() {
        0.0 => 0.0,
        difference => difference / want.abs(),
    };
    got.iter().zip(want).map(error).fold(0.0, f64::max)
}

/// Relative to each value itself, no row left out.
#[test]
fn solve_agrees_with_every_fixture_to_2e_5_of_the_value() {
    let Some(rows) = fixture("kinetics") else {
        return;
    };
    let column = |index| genes(&rows, index);
    let (u, s) = kinetics::solve(&column(0), column(1), column(2), column(3), &column(4), &column(5));
    let error_u = worst_relative(&values(u), rows.iter().map(|row| row[6]));
    let error_s = worst_relative(&values(s), rows.iter().map(|row| row[7]));
    assert!(error_u < 2e-5 && error_s < 2e-5, "u {error_u:.1e}, s {error_s:.1e}");
}

/// φ in f64: the quotient, or near its removable singularity a long Taylor series.
fn phi(tau: f64, beta: f64, gamma: f64) -> f64 {
    let x = (gamma - beta) * tau;
    let mean = if x.abs() > 1e-3 { -(-x).exp_m1() / x } else { 1.0 - x / 2.0 + x * x / 6.0 - x.powi(3) / 24.0 };
    tau * (-beta * tau).exp() * mean
}

/// The closed form in f64: parameters tau, u0, s0, alpha, beta, gamma.
fn solve([tau, u0, s0, alpha, beta, gamma]: [f64; 6]) -> [f64; 2] {
    let phi = phi(tau, beta, gamma);
    let (made_beta, made_gamma) = (-(-beta * tau).exp_m1() / beta, -(-gamma * tau).exp_m1() / gamma);
    [
        u0 * (-beta * tau).exp() + alpha * made_beta,
        s0 * (-gamma * tau).exp() + beta * u0 * phi + alpha * (made_gamma - phi),
    ]
}

/// Central difference of `f` by parameter `k`, of step 1e-5 of the parameter.
fn slope(f: impl Fn([f64; 6]) -> f64, at: [f64; 6], k: usize) -> f64 {
    let step = 1e-5 * at[k].abs().max(1e-2);
    let moved = |by: f64| {
        let mut at = at;
        at[k] += by;
        f(at)
    };
    (moved(step) - moved(-step)) / (2.0 * step)
}

/// Parameters of one gene and cell, γ − β from 0 through both sides of every choice of formula.
fn cases() -> Vec<[f64; 6]> {
    let mut cases = Vec::new();
    for tau in [0.02, 0.3, 2.0, 15.0] {
        for beta in [0.1, 1.0, 2.5] {
            for gap in [0.0, 1e-7, -1e-5, 1e-3, 0.03, -0.05, 0.24, 0.26, 1.5] {
                let gamma = f64::from((beta * (1.0 + gap)) as f32);
                cases.push([tau, 1.5, 0.7, 3.0, beta, gamma].map(|value| f64::from(value as f32)));
                cases.push([tau, 0.0, 0.0, 3.0, beta, gamma].map(|value| f64::from(value as f32)));
            }
        }
    }
    cases
}

/// Gradients of `u + 2 s`: relative to the gradient, or to 1e-3 where that is smaller.
#[test]
fn gradients_agree_with_finite_differences_through_equal_rates() {
    let cases = cases();
    let device = Device::flex().autodiff();
    let inputs: [Tensor<2>; 6] = std::array::from_fn(|k| {
        let values = cases.iter().map(|case| case[k] as f32).collect();
        tensor(values, [1, cases.len()], &device).require_grad()
    });
    let [tau, u0, s0, alpha, beta, gamma] = inputs.clone();
    let (u, s) = kinetics::solve(&tau, u0, s0, alpha, &beta, &gamma);
    let grads = (u + s * 2.0).sum().backward();
    for (k, name) in ["tau", "u0", "s0", "alpha", "beta", "gamma"].into_iter().enumerate() {
        let got = values(inputs[k].grad(&grads).unwrap());
        for (&case, got) in cases.iter().zip(got) {
            let want = slope(
                |at| {
                    let [u, s] = solve(at);
                    u + 2.0 * s
                },
                case,
                k,
            );
            let error = (f64::from(got) - want).abs() / want.abs().max(1e-3);
            assert!(error < 2e-4, "d/d{name} at {case:?}: {got}, finite difference {want}");
        }
    }
}

#[test]
fn gradients_through_equal_rates_and_time_zero_are_numbers() {
    let device = Device::flex().autodiff();
    let row = |values: [f32; 4]| tensor(values.to_vec(), [1, 4], &device).require_grad();
    let tau = tensor(vec![0.0, 1.0, 500.0], [3, 1], &device).require_grad();
    let (u0, s0, alpha) = (row([0.0, 1.0, 2.0, 0.0]), row([1.0, 1.0, 3.0, 0.5]), row([1.0; 4]));
    let (beta, gamma) = (row([0.5, 1.0, 1.0, 3.0]), row([0.5, 1.0, 1.0 + 1e-6, 3.0]));
    let (u, s) = kinetics::solve(&tau, u0.clone(), s0.clone(), alpha.clone(), &beta, &gamma);
    let grads = (u + s).sum().backward();
    for input in [tau, u0, s0, alpha, beta, gamma] {
        let gradient = values(input.grad(&grads).unwrap());
        assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
    }
}

/// A batch whose sizes are multiples of no block and no lane, with rates equal, near and far.
pub(crate) struct Batch {
    shape: [usize; 2],
    tau: Vec<f32>,
    alpha: Vec<f32>,
    u0: Vec<f32>,
    s0: Vec<f32>,
    beta: Vec<f32>,
    gamma: Vec<f32>,
    constants: [Vec<f32>; 3],
    u: Vec<f32>,
    s: Vec<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    Zero,
    Constant,
    Tracked,
}

impl Batch {
    pub(crate) fn new(shape: [usize; 2], tau_per_gene: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let [n_cells, n_genes] = shape;
        let mut uniform =
            |n: usize, low: f32, high: f32| -> Vec<f32> { (0..n).map(|_| rng.random_range(low..high)).collect() };
        let size = n_cells * n_genes;
        let beta = uniform(n_genes, 0.2, 2.0);
        let shift = uniform(n_genes, -0.15, 1.0);
        let gaps = [0.0, 1e-6, -1e-3, 0.05];
        let gamma = beta.iter().zip(shift).enumerate();
        let gamma = gamma.map(|(j, (b, shift))| b + gaps.get(j % 8).copied().unwrap_or(shift)).collect();
        let mut tau = uniform(if tau_per_gene { size } else { n_cells }, 0.01, 6.0);
        tau[0] = 0.0;
        Self {
            shape,
            tau,
            alpha: uniform(size, 0.0, 4.0),
            u0: uniform(size, 0.0, 2.0),
            s0: uniform(size, 0.0, 2.0),
            beta,
            gamma,
            constants: [uniform(n_genes, 0.5, 1.5), uniform(n_genes, 0.2, 1.0), uniform(n_genes, 0.2, 1.0)],
            u: uniform(size, 0.0, 4.0),
            s: uniform(size, 0.0, 4.0),
        }
    }

    /// Inputs tau, alpha, beta, gamma, u0, s0 and the data, on `device`.
    fn tensors(&self, start: Start, device: &Device) -> ([Tensor<2>; 6], Kinetics, Observed) {
        let [n_cells, n_genes] = self.shape;
        let track = |tensor: Tensor<2>| {
            if device.is_autodiff() { tensor.require_grad() } else { tensor }
        };
        let tau_shape = [n_cells, self.tau.len() / n_cells];
        let tau = track(tensor(self.tau.clone(), tau_shape, device));
        let alpha = track(tensor(self.alpha.clone(), self.shape, device));
        let beta = track(tensor(self.beta.clone(), [1, n_genes], device));
        let gamma = track(tensor(self.gamma.clone(), [1, n_genes], device));
        let mut u0 = tensor(self.u0.clone(), self.shape, device);
        let mut s0 = tensor(self.s0.clone(), self.shape, device);
        if start == Start::Tracked {
            (u0, s0) = (track(u0), track(s0));
        }
        let kinetics = Kinetics {
            tau: tau.clone(),
            alpha: alpha.clone(),
            start: (start != Start::Zero).then(|| (u0.clone(), s0.clone())),
            beta: beta.clone(),
            gamma: gamma.clone(),
        };
        let per_gene = |values: &Vec<f32>| Tensor::<1>::from_data(TensorData::new(values.clone(), [n_genes]), device);
        let [scaling, sigma_u, sigma_s] = self.constants.each_ref().map(per_gene);
        let observed = Observed {
            u: tensor(self.u.clone(), self.shape, device),
            s: tensor(self.s.clone(), self.shape, device),
            scaling,
            sigma_u,
            sigma_s,
        };
        ([tau, alpha, beta, gamma, u0, s0], kinetics, observed)
    }

    /// Value and gradients of `factor` times the likelihood by `nll`.
    fn differentiate(
        &self,
        start: Start,
        nll: fn(Kinetics, Observed) -> KineticNll,
        factor: f32,
    ) -> ([f32; 3], Vec<Vec<f32>>) {
        self.differentiate_on(&Device::flex(), start, nll, factor)
    }

    /// As `differentiate`, on `device`.
    pub(crate) fn differentiate_on(
        &self,
        device: &Device,
        start: Start,
        nll: fn(Kinetics, Observed) -> KineticNll,
        factor: f32,
    ) -> ([f32; 3], Vec<Vec<f32>>) {
        let (inputs, kinetics, observed) = self.tensors(start, &device.clone().autodiff());
        let KineticNll { total, unspliced, spliced } = nll(kinetics, observed);
        let grads = (total.clone() * factor).backward();
        let gradients = inputs.iter().filter_map(|input| input.grad(&grads)).map(values).collect();
        ([total, unspliced, spliced].map(|part| part.into_scalar()), gradients)
    }

    /// The likelihood in f64: unspliced and spliced part.
    fn reference(&self, start: Start) -> [f64; 2] {
        let [n_cells, n_genes] = self.shape;
        let mut total = [0.0; 2];
        for k in 0..n_cells * n_genes {
            let (cell, gene) = (k / n_genes, k % n_genes);
            let tau = if self.tau.len() == n_cells { self.tau[cell] } else { self.tau[k] };
            let (u0, s0) = if start == Start::Zero { (0.0, 0.0) } else { (self.u0[k], self.s0[k]) };
            let [u, s] = solve([tau, u0, s0, self.alpha[k], self.beta[gene], self.gamma[gene]].map(f64::from));
            let [scaling, sigma_u, sigma_s] = self.constants.each_ref().map(|values| f64::from(values[gene]));
            let nll = |z: f64, sigma: f64| 0.5 * z * z + sigma.ln() + 0.5 * std::f64::consts::TAU.ln();
            total[0] += nll((f64::from(self.u[k]) - scaling * u) / sigma_u, sigma_u);
            total[1] += nll((f64::from(self.s[k]) - s) / sigma_s, sigma_s);
        }
        total.map(|total| total / n_cells as f64)
    }
}

pub(crate) const STARTS: [Start; 3] = [Start::Zero, Start::Constant, Start::Tracked];

#[test]
fn the_fused_likelihood_is_the_composed_one() {
    for (shape, tau_per_gene) in [([37, 131], false), ([37, 131], true), ([1, 1], false), ([128, 64], true)] {
        let batch = Batch::new(shape, tau_per_gene);
        for start in STARTS {
            let fused = batch.differentiate(start, kinetic_nll, 1.0);
            let composed = batch.differentiate(start, composed_nll, 1.0);
            assert_eq!(fused.1.len(), if start == Start::Tracked { 6 } else { 4 });
            assert_same(&fused, &composed, &format!("{shape:?} {start:?}"));
        }
    }
}

/// Values to 1e-6 of themselves; gradients to 1e-5 of the largest of the same input.
pub(crate) fn assert_same(one: &([f32; 3], Vec<Vec<f32>>), other: &([f32; 3], Vec<Vec<f32>>), case: &str) {
    for (one, other) in one.0.into_iter().zip(other.0) {
        assert!((one - other).abs() <= 1e-6 * other.abs(), "{one} {other} {case}");
    }
    assert_eq!(one.1.len(), other.1.len());
    for (k, (one, other)) in one.1.iter().zip(&other.1).enumerate() {
        let largest = other.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (one, other) in one.iter().zip(other) {
            assert!((one - other).abs() <= 1e-5 * largest, "input {k}: {one} {other} {case}");
        }
    }
}

#[test]
fn the_fused_likelihood_is_the_closed_form_in_f64() {
    let batch = Batch::new([37, 131], false);
    for start in STARTS {
        let want = batch.reference(start);
        let (got, _) = batch.differentiate(start, kinetic_nll, 1.0);
        for (got, want) in got.into_iter().zip([want[0] + want[1], want[0], want[1]]) {
            assert!((f64::from(got) - want).abs() <= 1e-6 * want.abs(), "{got} {want} {start:?}");
        }
    }
}

#[test]
fn the_likelihood_without_gradients_is_the_same_number() {
    let batch = Batch::new([37, 131], false);
    for start in STARTS {
        let (with, _) = batch.differentiate(start, kinetic_nll, 1.0);
        let (_, kinetics, observed) = batch.tensors(start, &Device::flex());
        let nll = kinetic_nll(kinetics, observed);
        let without = [nll.total, nll.unspliced, nll.spliced].map(|part| part.into_scalar::<f32>().to_bits());
        assert_eq!(without, with.map(f32::to_bits));
    }
}

#[test]
fn the_fused_gradients_follow_the_factor_on_the_likelihood() {
    let batch = Batch::new([5, 20], false);
    let (_, once) = batch.differentiate(Start::Tracked, kinetic_nll, 1.0);
    let (_, thrice) = batch.differentiate(Start::Tracked, kinetic_nll, 3.0);
    for (once, thrice) in once.into_iter().zip(thrice) {
        assert_eq!(once.into_iter().map(|value| 3.0 * value).collect::<Vec<_>>(), thrice);
    }
}

#[test]
fn the_fused_likelihood_has_the_same_bits_on_any_number_of_threads() {
    let batch = Batch::new([130, 67], true);
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| batch.differentiate(Start::Tracked, kinetic_nll, 1.0))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}

#[test]
fn transcription_rates_and_starts_shared_by_all_cells_collect_their_gradients() {
    let batch = Batch::new([9, 12], false);
    let device = Device::flex().autodiff();
    let shared = |nll: fn(Kinetics, Observed) -> KineticNll| {
        let (_, kinetics, observed) = batch.tensors(Start::Tracked, &device);
        let row = |values: &[f32]| tensor(values[..12].to_vec(), [1, 12], &device).require_grad();
        let inputs = [row(&batch.alpha), row(&batch.u0), row(&batch.s0)];
        let [alpha, u0, s0] = inputs.clone();
        let grads = nll(Kinetics { alpha, start: Some((u0, s0)), ..kinetics }, observed).total.backward();
        inputs.map(|input| values(input.grad(&grads).unwrap())).concat()
    };
    for (fused, composed) in shared(kinetic_nll).into_iter().zip(shared(composed_nll)) {
        assert!((fused - composed).abs() < 1e-4 * composed.abs().max(1.0), "{fused} {composed}");
    }
}

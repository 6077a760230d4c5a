//! The likelihoods and kinetics that flex and GPUs compute in one operation, against the tensor operations on flex: value and every
//! gradient, over shapes that fill neither a block of cells nor a row of threads.

use burn::tensor::{Device, Tensor, TensorData};
use nascent::nn::arrays::values;
use nascent::nn::device::open;
use nascent::nn::fused::counts::{Counts, count_nll};
use nascent::nn::fused::four_states::{FourStates, Mixture, Weights, composed_loss, states_loss};
use nascent::nn::fused::solve::solve;
use nascent::nn::fused::{Kinetics, Observed, composed_nll, kinetic_nll};
use nascent::nn::kinetics;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{apart, name};

/// Of a value as a share of itself, and of a gradient as a share of its largest number: sums in another order, and exponentials and
/// logarithms of the device's own.
const TOLERANCE: f64 = 5e-5;

const CELLS: usize = 21;
const GENES: usize = 70;

/// Numbers of one input, with its shape.
#[derive(Clone)]
struct Input(Vec<f32>, [usize; 2]);

/// Uniform numbers in `range`.
fn uniform(seed: u64, shape: [usize; 2], range: std::ops::Range<f32>) -> Input {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Input((0..shape[0] * shape[1]).map(|_| rng.random_range(range.clone())).collect(), shape)
}

/// The value of `loss` of `inputs` on `device`, and its gradient by each of them.
fn of(inputs: &[Input], device: &Device, loss: &dyn Fn(&[Tensor<2>]) -> Tensor<1>) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let tensors: Vec<Tensor<2>> = inputs
        .iter()
        .map(|Input(values, shape)| Tensor::from_data(TensorData::new(values.clone(), *shape), &device).require_grad())
        .collect();
    let value = loss(&tensors);
    // A factor, so that the derivative of what follows counts.
    let gradients = (value.clone() * 1.5).backward();
    let gradient = |tensor: &Tensor<2>| values(tensor.grad(&gradients).expect("every input has a gradient"));
    std::iter::once(values(value.inner())).chain(tensors.iter().map(gradient)).collect()
}

/// `fused` on the device under test gives what `composed` gives on flex.
fn assert_twins(
    case: &str,
    inputs: &[Input],
    fused: &dyn Fn(&[Tensor<2>]) -> Tensor<1>,
    composed: &dyn Fn(&[Tensor<2>]) -> Tensor<1>,
) {
    let device = open(&name()).expect("NASCENT_TEST_DEVICE names a device of this build and machine");
    let (found, wanted) = (of(inputs, &device, fused), of(inputs, &Device::flex(), composed));
    let worst = found.iter().zip(&wanted).map(|(found, wanted)| apart(found, wanted, 1e-6)).collect::<Vec<_>>();
    eprintln!("{case}: value {:.1e}, gradients {:.1e}", worst[0], worst[1..].iter().copied().fold(0.0, f64::max));
    for (at, worst) in worst.into_iter().enumerate() {
        assert!(worst < TOLERANCE, "{case}: number {at}: {worst:.1e}");
    }
}

/// Rates of which two genes have γ = β, and two nearly.
fn rates(rows: usize) -> [Input; 2] {
    let (beta, mut gamma) = (uniform(1, [rows, GENES], 0.2..2.0), uniform(2, [rows, GENES], 0.2..2.0));
    for (gene, apart) in [(3, 0.0), (GENES - 1, 0.0), (5, 1e-3), (6, -1e-3)] {
        gamma.0[gene] = beta.0[gene] + apart;
    }
    [beta, gamma]
}

#[test]
fn the_likelihood_of_moments_is_that_of_tensor_operations() {
    let observed = |device: &Device| {
        let matrix = |seed| {
            let Input(values, shape) = uniform(seed, [CELLS, GENES], 0.0..4.0);
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        let row = |seed| {
            let Input(values, _) = uniform(seed, [1, GENES], 0.3..1.2);
            Tensor::<1>::from_data(values.as_slice(), device)
        };
        Observed { u: matrix(10), s: matrix(11), scaling: row(12), sigma_u: row(13), sigma_s: row(14) }
    };
    let shape = [CELLS, GENES];
    for (case, tau, with_start) in [
        ("from a state", [CELLS, 1], true),
        ("from nothing", [CELLS, 1], false),
        ("each gene's own time", shape, true),
        ("each gene's own time, from nothing", shape, false),
    ] {
        let [beta, gamma] = rates(1);
        let mut inputs = vec![uniform(3, tau, 0.0..6.0), uniform(4, shape, 0.0..4.0), beta, gamma];
        if with_start {
            inputs.extend([uniform(5, shape, 0.0..2.0), uniform(6, shape, 0.0..2.0)]);
        }
        let of = |tensors: &[Tensor<2>]| {
            let [tau, alpha, beta, gamma] = [0, 1, 2, 3].map(|at: usize| tensors[at].clone());
            let start = with_start.then(|| (tensors[4].clone(), tensors[5].clone()));
            let observed = observed(&tau.device().inner());
            (Kinetics { tau, alpha, start, beta, gamma }, observed)
        };
        assert_twins(
            case,
            &inputs,
            &|tensors| {
                let (kinetics, observed) = of(tensors);
                kinetic_nll(kinetics, observed).total
            },
            &|tensors| {
                let (kinetics, observed) = of(tensors);
                composed_nll(kinetics, observed).total
            },
        );
    }
}

#[test]
fn the_state_of_the_kinetics_is_that_of_tensor_operations() {
    let shape = [CELLS, GENES];
    for (case, tau, rows) in
        [("rates of genes", [CELLS, 1], 1), ("rates of cells", [CELLS, 1], CELLS), ("each gene's own time", shape, 1)]
    {
        let [beta, gamma] = rates(rows);
        let state = |seed| uniform(seed, shape, 0.0..2.0);
        let inputs = [uniform(3, tau, 0.0..6.0), state(4), state(5), state(6), beta, gamma];
        // Both results count, each in its own way.
        let both = |(u, s): (Tensor<2>, Tensor<2>)| u.square().sum() + s.sum() * 0.7;
        let split = |tensors: &[Tensor<2>]| -> [Tensor<2>; 6] { std::array::from_fn(|at| tensors[at].clone()) };
        assert_twins(
            case,
            &inputs,
            &|tensors| {
                let [tau, u0, s0, alpha, beta, gamma] = split(tensors);
                both(solve(&tau, u0, s0, alpha, &beta, &gamma))
            },
            &|tensors| {
                let [tau, u0, s0, alpha, beta, gamma] = split(tensors);
                both(kinetics::solve(&tau, u0, s0, alpha, &beta, &gamma))
            },
        );
    }
}

#[test]
fn the_bound_of_four_states_is_that_of_tensor_operations() {
    let [beta, gamma] = rates(1);
    let row = |seed, range| uniform(seed, [1, GENES], range);
    let inputs = [
        uniform(20, [CELLS, 4 * GENES], 0.05..3.0),
        uniform(21, [CELLS, GENES], 0.0..1.0),
        uniform(22, [CELLS, GENES], 0.0..1.0),
        row(23, 0.2..3.0),
        beta,
        gamma,
        row(24, 2.0..15.0),
        row(25, 0.5..3.0),
        row(26, 0.5..3.0),
        row(27, 0.5..3.0),
        row(28, 0.5..3.0),
        row(29, 0.3..1.0),
        row(30, 0.3..1.0),
    ];
    for (weights, joint) in [
        (Weights::Bounded, false),
        (Weights::Bounded, true),
        (Weights::Drawn(11), false),
        (Weights::Drawn(1 << 40), true),
    ] {
        let mixture = Mixture { spread: [1.0, 1.0, 1.0, 0.1], prior: 0.25, joint, kl_weight: 0.6 };
        let of = |tensors: &[Tensor<2>]| {
            let at = |index: usize| tensors[index].clone();
            let device = at(0).device().inner();
            let states = FourStates {
                concentration: at(0).reshape([CELLS, 4, GENES]),
                rho: at(1),
                tau: at(2),
                alpha: at(3),
                beta: at(4),
                gamma: at(5),
                t_switch: at(6),
                steady: (at(7), at(8)),
                switch: (at(9), at(10)),
                std_u: at(11),
                std_s: at(12),
                t_max: 20.0,
                induction: None,
            };
            let matrix = |seed| {
                let Input(values, shape) = uniform(seed, [CELLS, GENES], 0.0..3.0);
                Tensor::<2>::from_data(TensorData::new(values, shape), &device)
            };
            (states, matrix(31), matrix(32))
        };
        assert_twins(
            &format!("{weights:?}, joint {joint}"),
            &inputs,
            &|tensors| {
                let (states, u, s) = of(tensors);
                states_loss(&states, u, s, &mixture, weights).total
            },
            &|tensors| {
                let (states, u, s) = of(tensors);
                composed_loss(&states, u, s, &mixture, weights).total
            },
        );
    }
}

/// Against the pass on the host in double precision, `Counts::around`: small, large and fractional counts, with and without
/// dispersion.
#[test]
fn the_likelihood_of_counts_is_that_of_the_host() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut counts = || -> Vec<f32> {
        (0..CELLS * GENES)
            .map(|at| match at % 7 {
                0..4 => rng.random_range(0..4) as f32,
                4 => rng.random_range(5..15) as f32,
                5 => rng.random_range(20..3000) as f32,
                _ => rng.random_range(0.1..9.0),
            })
            .collect()
    };
    let counts = [counts(), counts()];
    let Input(mut dispersion, _) = uniform(8, [2, GENES], 0.001..2.0);
    dispersion[4] = 0.0;
    dispersion[GENES + 5] = 0.0;
    // Two abundances below the least that is told from 0.
    let mut mu = [uniform(9, [CELLS, GENES], 0.1..20.0), uniform(10, [CELLS, GENES], 0.1..20.0)];
    mu[0].0[2] = 1e-5;
    mu[1].0[3] = 0.0;
    let shape = 12.5;

    let (of_u, of_s) = dispersion.split_at(GENES);
    let problem = Counts { counts: [&counts[0], &counts[1]], dispersion: [of_u, of_s], size_shape: shape };
    let wanted = problem.around([&mu[0].0, &mu[1].0], true);
    let device = open(&name()).expect("NASCENT_TEST_DEVICE names a device of this build and machine");
    let found = of(&mu, &device, &|mu| {
        let device = mu[0].device().inner();
        let matrix = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let counts = counts.each_ref().map(|counts| matrix(counts, [CELLS, GENES]));
        let dispersion = [matrix(of_u, [1, GENES]), matrix(of_s, [1, GENES])];
        count_nll([mu[0].clone(), mu[1].clone()], counts, dispersion, shape).total
    });
    let cells = CELLS as f64;
    let total = (wanted.nll[0].iter().chain(&wanted.nll[1]).chain(&wanted.size_cost).sum::<f64>() / cells) as f32;
    let gradients =
        wanted.gradient.map(|gradient| gradient.into_iter().map(|value| 1.5 * value / CELLS as f32).collect());
    let [by_u, by_s]: [Vec<f32>; 2] = gradients;
    for (what, found, wanted) in [("value", &found[0], &vec![total]), ("u", &found[1], &by_u), ("s", &found[2], &by_s)]
    {
        let apart = apart(found, wanted, 1e-6);
        eprintln!("counts: {what} {apart:.1e}");
        assert!(apart < TOLERANCE, "counts: {what}: {apart:.1e}");
    }
}

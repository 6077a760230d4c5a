//! Adam against its textbook form in f64.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer, Optimizer};
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};
use nascent::train::adam::{Adam, AdamConstants, State, WeightDecay};

const RATE: f64 = 0.01;
const DECAYS: [WeightDecay; 3] = [WeightDecay::None, WeightDecay::L2(0.1), WeightDecay::Decoupled(0.1)];

fn adam(weight_decay: WeightDecay) -> Adam {
    Adam::new(AdamConstants { weight_decay, ..AdamConstants::default() })
}

/// Parameters at the start.
fn start(n: usize) -> Vec<f64> {
    (0..n).map(|k| (k as f64 * 0.7).sin() as f32).map(f64::from).collect()
}

/// Some gradient, of any size from 1e-6 to 1, at `step` for parameter `k`.
fn gradient(step: usize, k: usize) -> f64 {
    let size = 0.1f64.powi(i32::try_from(k % 7).unwrap());
    f64::from(((step * 31 + k * 17) as f64).cos() as f32 * size as f32)
}

/// Kingma and Ba 2015, algorithm 1, with the weight decays of `torch.optim.Adam` and `AdamW`.
fn textbook(n: usize, n_steps: usize, decay: WeightDecay) -> Vec<f64> {
    let (mut p, mut m, mut v) = (start(n), vec![0.0; n], vec![0.0; n]);
    for step in 1..=n_steps {
        for k in 0..n {
            let mut g = gradient(step, k);
            match decay {
                WeightDecay::None => {}
                WeightDecay::L2(lambda) => g += lambda * p[k],
                WeightDecay::Decoupled(lambda) => p[k] -= RATE * lambda * p[k],
            }
            m[k] = 0.9 * m[k] + 0.1 * g;
            v[k] = 0.999 * v[k] + 0.001 * g * g;
            let time = i32::try_from(step).unwrap();
            let (m_hat, v_hat) = (m[k] / (1.0 - 0.9f64.powi(time)), v[k] / (1.0 - 0.999f64.powi(time)));
            p[k] -= RATE * m_hat / (v_hat.sqrt() + 1e-8);
        }
    }
    p
}

/// The same with `adam`, in the float type `dtype`.
fn run(n: usize, n_steps: usize, adam: &Adam, dtype: DType) -> Vec<f64> {
    let device = Device::flex();
    let upload = |values: Vec<f64>| Tensor::<1>::from_data(TensorData::new(values, [n]), (&device, dtype));
    let mut p = upload(start(n));
    let mut state: Option<State<1>> = None;
    for step in 1..=n_steps {
        let g = upload((0..n).map(|k| gradient(step, k)).collect());
        (p, state) = adam.step(RATE, p, g, state);
    }
    p.try_into_vec_as::<f64>().unwrap()
}

fn worst(got: &[f64], want: &[f64]) -> f64 {
    got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max)
}

/// f32 on Flex is the fused update, anything else burn's operations: here f64 on Flex. Parameters
/// are of size 1 and move by 0.5.
#[test]
fn fifty_steps_are_the_textbooks_on_both_paths_with_every_decay() {
    for decay in DECAYS {
        let want = textbook(33, 50, decay);
        let fused = worst(&run(33, 50, &adam(decay), DType::F32), &want);
        assert!(fused < 3e-6, "fused, {decay:?}: {fused:.1e}");
        let plain = worst(&run(33, 50, &adam(decay), DType::F64), &want);
        assert!(plain < 3e-6, "burn, {decay:?}: {plain:.1e}");
    }
}

#[test]
fn an_update_has_the_same_bits_on_any_number_of_threads() {
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| run(100_000, 3, &adam(WeightDecay::L2(0.1)), DType::F32))
    };
    assert_eq!(on(1), on(2));
}

#[test]
fn a_parameter_that_is_shared_is_left_as_it_was() {
    let device = Device::flex();
    let p = Tensor::<2>::ones([2, 3], &device);
    let (stepped, _) = adam(WeightDecay::None).step(RATE, p.clone(), p.ones_like(), None);
    assert_eq!(p.try_into_vec_as::<f32>().unwrap(), [1.0; 6]);
    assert!(stepped.try_into_vec_as::<f32>().unwrap().iter().all(|value| (value - 0.99).abs() < 1e-6));
}

/// One training step of `layer`.
fn train(optimizer: &mut ModuleOptimizer, layer: Linear, x: &Tensor<2>) -> Linear {
    let loss = layer.forward(x.clone()).square().sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &layer);
    optimizer.step(RATE, layer, gradients)
}

#[test]
fn training_resumes_from_the_record_bit_for_bit() {
    let device = Device::flex().autodiff();
    device.seed(3);
    let x = Tensor::random([7, 5], Distribution::Normal(0.0, 1.0), &device);
    let new = || ModuleOptimizer::from(adam(WeightDecay::L2(1e-3)));
    let mut optimizer = new();
    let mut layer = LinearConfig::new(5, 4).init(&device);
    for _ in 0..3 {
        layer = train(&mut optimizer, layer, &x);
    }
    let mut resumed = new().from_bytes(optimizer.into_bytes().unwrap()).unwrap();
    let weight = |layer: Linear| layer.no_grad().weight.val().try_into_vec_as::<f32>().unwrap();
    let went_on = weight(train(&mut optimizer, layer.clone(), &x));
    assert_eq!(weight(train(&mut resumed, layer, &x)), went_on);
}

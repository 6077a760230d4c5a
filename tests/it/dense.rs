//! The layers of dense networks against burn's own and against their definitions.

use burn::tensor::{Device, Distribution, Tensor, activation};
use nascent::nn::fused::dense::{leaky_relu, linear, sigmoid};

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex().autodiff()).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// The largest difference, relative to the largest number.
fn differ(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max) / largest
}

/// Values and gradients of `layer`, with a gradient from outside that differs for each number.
fn run(x: &Tensor<2>, layer: impl Fn(Tensor<2>) -> Tensor<2>) -> Vec<f32> {
    let y = layer(x.clone());
    let weights =
        Tensor::arange(0..i64::try_from(y.shape().num_elements()).unwrap(), &x.device()).float().reshape(y.dims());
    let grads = (y.clone() * (weights * 0.1).cos()).sum().backward();
    [values(y), values(x.grad(&grads).unwrap())].concat()
}

#[test]
fn a_linear_layer_is_a_product_and_a_sum_in_values_and_gradients() {
    for [n_cells, n_in, n_out] in [[7, 5, 3], [33, 600, 300], [300, 20, 700], [1, 1, 1]] {
        let (x, weight, bias) = (normal([n_cells, n_in]), normal([n_in, n_out]), normal([n_out]));
        let both = |y: Tensor<2>| {
            let grads = y.clone().powi_scalar(2).sum().backward();
            let gradients = [x.grad(&grads), weight.grad(&grads)].map(|grad| values(grad.unwrap()));
            [vec![values(y)], gradients.to_vec(), vec![values(bias.grad(&grads).unwrap())]].concat()
        };
        let ours = both(linear(x.clone(), weight.clone(), bias.clone()));
        let burns = both(x.clone().matmul(weight.clone()) + bias.clone().unsqueeze());
        for (ours, burns) in ours.iter().zip(&burns) {
            assert!(differ(ours, burns) < 2e-6, "[{n_cells}, {n_in}, {n_out}]");
        }
    }
}

#[test]
fn a_linear_layer_without_gradients_gives_the_same_numbers() {
    let (x, weight, bias) = (normal([9, 40]), normal([40, 11]), normal([11]));
    let tracked = linear(x.clone(), weight.clone(), bias.clone());
    let plain = linear(x.inner(), weight.inner(), bias.inner());
    assert!(!plain.is_autodiff());
    assert_eq!(values(tracked), values(plain));
}

#[test]
fn a_linear_layer_takes_inputs_that_are_views_or_constants() {
    let (wide, weight, bias) = (normal([6, 10]), normal([4, 5]), normal([5]));
    let view = wide.clone().slice([0..6, 3..7]);
    let ours = linear(view.clone(), weight.clone().transpose().transpose(), bias.clone());
    let burns = view.matmul(weight.clone()) + bias.clone().unsqueeze();
    assert!(differ(&values(ours), &values(burns)) < 1e-6);

    let constant = wide.slice([0..6, 3..7]).inner();
    let grads = linear(constant, weight.clone(), bias).sum().backward();
    assert!(weight.grad(&grads).is_some());
}

#[test]
fn a_linear_layer_has_the_same_bits_on_any_number_of_threads() {
    let (x, weight, bias) = (normal([130, 700]), normal([700, 600]), normal([600]));
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let y = linear(x.clone(), weight.clone(), bias.clone());
            let grads = y.clone().sum().backward();
            [values(y), values(x.grad(&grads).unwrap()), values(weight.grad(&grads).unwrap())]
        })
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}

#[test]
fn activations_are_burns_in_values_and_gradients() {
    let x = (normal([17, 19]).detach() * 20.0).inner().autodiff().require_grad();
    assert!(differ(&run(&x, |x| leaky_relu(x, 0.01)), &run(&x, |x| activation::leaky_relu(x, 0.01))) < 1e-6);
    assert!(differ(&run(&x, sigmoid), &run(&x, activation::sigmoid)) < 1e-6);
    let plain = x.clone().inner();
    assert!(differ(&values(sigmoid(plain.clone())), &values(activation::sigmoid(plain.clone()))) < 1e-6);
    assert_eq!(values(leaky_relu(plain.clone(), 0.1)), values(activation::leaky_relu(plain, 0.1)));
}

#[test]
fn activations_leave_a_shared_input_as_it_was() {
    let x = normal([4, 4]);
    let before = values(x.clone());
    let _ = (sigmoid(x.clone()), leaky_relu(x.clone().inner(), 0.01));
    assert_eq!(values(x), before);
}

//! Building blocks of encoders and decoders.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation};

use super::draws::Draws;
use super::fused::dense;

/// Linear → batch norm → leaky ReLU → dropout.
#[derive(Module, Debug)]
pub struct Block {
    linear: Linear,
    norm: BatchNorm,
    dropout: f64,
}

impl Block {
    /// A block from `inputs` to `outputs` features that drops a share `dropout` of its activations in training.
    #[must_use]
    pub fn new(inputs: usize, outputs: usize, dropout: f64, draws: &mut Draws<'_>, device: &Device) -> Self {
        Self {
            linear: xavier(inputs, outputs, draws, device),
            norm: BatchNormConfig::new(outputs).init(device),
            dropout,
        }
    }

    /// `[batch, inputs]` → `[batch, outputs]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>, draws: &mut Draws<'_>) -> Tensor<2> {
        let h = dense::leaky_relu(self.norm.forward(affine(&self.linear, x)), 0.01);
        match draws.dropout_mask(h.dims(), self.dropout, &h.device()) {
            Some(mask) => h * mask,
            None => h,
        }
    }
}

/// Linear → batch norm → layer norm without parameters → ReLU → dropout.
#[derive(Module, Debug)]
pub struct NormBlock {
    linear: Linear,
    norm: BatchNorm,
    dropout: f64,
}

impl NormBlock {
    /// A block from `inputs` to `outputs` features that drops a share `dropout` of its activations in training. Batch norm is
    /// [`slow_batch_norm`]; layer norm has ε = 1e-5.
    #[must_use]
    pub fn new(inputs: usize, outputs: usize, dropout: f64, draws: &mut Draws<'_>, device: &Device) -> Self {
        Self { linear: fan_in(inputs, outputs, draws, device), norm: slow_batch_norm(outputs, device), dropout }
    }

    /// `[batch, inputs]` → `[batch, outputs]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>, draws: &mut Draws<'_>) -> Tensor<2> {
        let h = normalised(&self.norm, affine(&self.linear, x));
        let centred = h.clone() - h.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        let h = activation::relu(centred / (variance + 1e-5).sqrt());
        match draws.dropout_mask(h.dims(), self.dropout, &h.device()) {
            Some(mask) => h * mask,
            None => h,
        }
    }
}

/// Batch norm that follows a hundredth of each batch, with ε = 1e-3, as in scvi-tools.
#[must_use]
pub fn slow_batch_norm(features: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(features).with_epsilon(1e-3).with_momentum(0.01).init(device)
}

/// `x`, normalised. In training, the running variance follows the variance of batches with denominator n − 1, as `PyTorch`'s
/// does; burn's has n, of which this makes up for.
#[must_use]
pub fn normalised(norm: &BatchNorm, x: Tensor<2>) -> Tensor<2> {
    let n = x.dims()[0] as f64;
    if !x.device().is_autodiff() || !norm.training.is_enabled() || n < 2.0 {
        return norm.forward(x);
    }
    let kept = norm.running_var.value_sync() * (1.0 - norm.momentum);
    let output = norm.forward(x);
    let taken = norm.running_var.value_sync() - kept.clone();
    norm.running_var.update(kept + taken * (n / (n - 1.0)));
    output
}

/// A linear layer with weights and bias from `U(±1/√inputs)`, as `PyTorch` starts its own.
#[must_use]
pub fn fan_in(inputs: usize, outputs: usize, draws: &mut Draws<'_>, device: &Device) -> Linear {
    let mut linear = LinearConfig::new(inputs, outputs).with_initializer(Initializer::Zeros).init(device);
    let bound = 1.0 / (inputs as f64).sqrt();
    let weight = draws.uniform([inputs, outputs], bound, device);
    let bias = draws.uniform([1, outputs], bound, device).squeeze_dim::<1>(0);
    linear.weight = linear.weight.map(|zeros| tracked_as(&zeros, weight));
    linear.bias = linear.bias.map(|of| of.map(|zeros| tracked_as(&zeros, bias)));
    linear
}

/// `values`, learned if `like` is.
fn tracked_as<const D: usize>(like: &Tensor<D>, values: Tensor<D>) -> Tensor<D> {
    if like.is_require_grad() { values.require_grad() } else { values }
}

/// What `linear.forward` gives, by [`dense::linear`].
#[must_use]
pub fn affine(linear: &Linear, x: Tensor<2>) -> Tensor<2> {
    match &linear.bias {
        Some(bias) => dense::linear(x, linear.weight.val(), bias.val()),
        None => linear.forward(x),
    }
}

/// A linear layer with Xavier-uniform weights, `U(±√(6 / (inputs + outputs)))`, and zero bias.
#[must_use]
pub fn xavier(inputs: usize, outputs: usize, draws: &mut Draws<'_>, device: &Device) -> Linear {
    let mut linear = LinearConfig::new(inputs, outputs).with_initializer(Initializer::Zeros).init(device);
    let bound = (6.0 / (inputs + outputs) as f64).sqrt();
    let weight = draws.uniform([inputs, outputs], bound, device);
    linear.weight = linear.weight.map(|zeros| tracked_as(&zeros, weight));
    linear
}

/// A copy of the parameters and running statistics of `from` in `into`, which must have the same shape.
///
/// `clone` would not do: clones share their parameters' identity, by which optimisers find them, and their running
/// statistics, which go on following the original's batches.
///
/// # Panics
/// If the shapes differ.
#[must_use]
pub fn copied<M: Module>(from: &M, into: M) -> M {
    struct FreshIdentity;
    impl ModuleMapper for FreshIdentity {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (_, value, mapper) = param.consume();
            Param::from_mapped_value(ParamId::new(), value, mapper)
        }
    }
    into.load_record(from.valid().into_record()).map(&mut FreshIdentity)
}

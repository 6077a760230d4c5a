//! Adam, in one pass over each parameter.
//!
//! With gradient g at step t (from 1), learning rate η and the constants below,
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
//! p ← p − η m̂ / (√v̂ + ε)         m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
//! ```
//!
//! with `λ p` added to g first (L2) or `η λ p` taken from p first (decoupled) for a weight decay λ.
//! This is `PyTorch`'s `Adam` and `AdamW`. On burn's CPU backend, Flex, each parameter is updated
//! in place in one pass instead of the some ten passes of burn's Adam, which runs elsewhere; both
//! keep the same state, so that a checkpoint written by one can be read by the other.
//!
//! Source: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019 (decoupled decay).

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{
    Adam as BurnAdam, AdamConfig, AdamState, LearningRate, Optimizer, RecordState, StateSink, StateSource,
};
use burn::tensor::{Device, Tensor};

pub use super::adam_constants::{AdamConstants, WeightDecay};

/// The optimiser of one parameter group: `ModuleOptimizer::from(Adam::new(constants))` optimises a
/// module, `.with_group(group, Adam::new(others), None)` part of it with other constants.
#[derive(Clone)]
pub struct Adam {
    constants: AdamConstants,
    elsewhere: BurnAdam,
}

impl Adam {
    /// Adam with `constants`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "burn keeps its constants in f32")]
    pub fn new(constants: AdamConstants) -> Self {
        let decay = match constants.weight_decay {
            WeightDecay::L2(lambda) => Some(WeightDecayConfig::new(lambda as f32)),
            WeightDecay::None | WeightDecay::Decoupled(_) => None,
        };
        let elsewhere = AdamConfig::new()
            .with_beta_1(constants.beta_1 as f32)
            .with_beta_2(constants.beta_2 as f32)
            .with_epsilon(constants.epsilon as f32)
            .with_weight_decay(decay)
            .build();
        Self { constants, elsewhere }
    }
}

/// The state of burn's Adam, which is read from a checkpoint into the memory of Flex: burn's default device, into which it would be
/// read, is a GPU in a build that can use one, and would be opened by runs on the CPU too. The first step moves it to the device of
/// its parameter.
#[derive(Clone)]
pub struct State<const D: usize>(AdamState<D>);

impl<const D: usize> RecordState for State<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.0.state_flatten(prefix, out);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        AdamState::state_unflatten(prefix, source, &Device::flex()).map(Self)
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = State<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<State<D>>,
    ) -> (Tensor<D>, Option<State<D>>) {
        let state = state.map(|state| state.0);
        if super::adam_flex::supports(&tensor, &grad, state.as_ref()) {
            let (tensor, state) = super::adam_flex::step(&self.constants, lr, tensor, grad, state);
            return (tensor, Some(State(state)));
        }
        let tensor = match self.constants.weight_decay {
            WeightDecay::Decoupled(lambda) => tensor * (1.0 - lr * lambda),
            WeightDecay::None | WeightDecay::L2(_) => tensor,
        };
        let (tensor, state) = self.elsewhere.step(lr, tensor, grad, state);
        (tensor, state.map(State))
    }

    fn to_device<const D: usize>(state: State<D>, device: &Device) -> State<D> {
        State(BurnAdam::to_device(state.0, device))
    }
}

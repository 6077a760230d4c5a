//! [`super::states_loss`] on Flex: one operation with a backward pass of its own.

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Shape, Tensor, TensorData};

use super::inputs::{Problem, Values};
use super::kernel::{self, Gradient};
use super::{FourStates, Mixture, ROWS, StatesLoss, Weights};
use crate::nn::flex::{constant, slice, tracked};
use crate::nn::fused::known::{KnownGradients, shaped};

/// Concentrations, ρ, τ and the rows.
const INPUTS: usize = 3 + ROWS;

/// The fused operation, of plain tensors.
pub(super) fn states_loss(
    states: &FourStates,
    u: Tensor<2>,
    s: Tensor<2>,
    mixture: &Mixture,
    weights: Weights,
) -> StatesLoss {
    let data = Data {
        shape: u.dims(),
        u: constant(u),
        s: constant(s),
        t_max: states.t_max as f32,
        mixture: *mixture,
        weights,
    };
    let matrices = [&states.rho, &states.tau].into_iter().chain(states.rows()).cloned();
    let concentration = states.concentration.clone();
    if !concentration.is_tracked() && !matrices.clone().any(|input| input.is_tracked()) {
        let inputs: Vec<FlexTensor> = std::iter::once(constant(concentration)).chain(matrices.map(constant)).collect();
        let [total, nll, kl] = data.results(kernel::evaluate(&data.problem(&inputs)));
        return StatesLoss {
            total: Tensor::from_primitive::<Flex>(total),
            nll: Tensor::from_primitive::<Flex>(nll),
            kl: Tensor::from_primitive::<Flex>(kl),
        };
    }

    let mut inputs = std::iter::once(tracked(concentration)).chain(matrices.map(tracked));
    let inputs: [FloatTensor<Autodiff<Flex>>; INPUTS] =
        std::array::from_fn(|_| inputs.next().expect("concentrations, two matrices and the rows"));
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<Flex>>::node);
    let primitives = inputs.map(|input| input.into_primitive().to_contiguous());
    let (values, gradient) = kernel::differentiate(&data.problem(&primitives));
    let [total, nll, kl] = data.results(values);
    let total = match KnownGradients.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(shaped(inputs_of(gradient), &primitives), total),
        OpsKind::UnTracked(prep) => prep.finish(total),
    };
    StatesLoss {
        total: Tensor::from_primitive::<Autodiff<Flex>>(total),
        nll: Tensor::from_primitive::<Flex>(nll),
        kl: Tensor::from_primitive::<Flex>(kl),
    }
}

/// What carries no gradient.
struct Data {
    shape: [usize; 2],
    u: FlexTensor,
    s: FlexTensor,
    t_max: f32,
    mixture: Mixture,
    weights: Weights,
}

impl Data {
    fn problem<'a>(&'a self, inputs: &'a [FlexTensor]) -> Problem<'a> {
        Problem {
            n_cells: self.shape[0],
            n_genes: self.shape[1],
            concentration: slice(&inputs[0]),
            rho: slice(&inputs[1]),
            tau: slice(&inputs[2]),
            u: slice(&self.u),
            s: slice(&self.s),
            rows: std::array::from_fn(|row| slice(&inputs[3 + row])),
            t_max: self.t_max,
            mixture: self.mixture,
            weights: self.weights,
        }
    }

    /// Total, NLL and KL.
    fn results(&self, values: Values) -> [FlexTensor; 3] {
        let Values { nll, kl } = values;
        [nll + kl * self.mixture.kl_weight, nll, kl]
            .map(|value| FlexTensor::from_data(TensorData::new(vec![value as f32], Shape::new([1]))))
    }
}

/// In the order of the inputs.
fn inputs_of(gradient: Gradient) -> impl Iterator<Item = Vec<f32>> {
    let Gradient { concentration, rho, tau, rows } = gradient;
    [concentration, rho, tau].into_iter().chain(rows)
}

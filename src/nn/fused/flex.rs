//! [`super::kinetic_nll`] as one operation of the Flex backend, with its own backward pass.

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Shape, Tensor, TensorData};

use super::kernel::{self, Gradient, Likelihood, Problem};
use super::known::{KnownGradients, shaped};
use crate::nn::flex::{constant, slice, tracked};

use super::{KineticNll, Kinetics, Observed};

/// The fused operation, of plain tensors.
pub(super) fn kinetic_nll(kinetics: Kinetics, observed: Observed) -> KineticNll {
    let Kinetics { tau, alpha, start, beta, gamma } = kinetics;
    let data = Data::new(observed);
    match start {
        None => apply([tau, alpha, beta, gamma], &data),
        Some((u0, s0)) => apply([tau, alpha, beta, gamma, u0, s0], &data),
    }
}

/// The constants, contiguous.
struct Data {
    u: FlexTensor,
    s: FlexTensor,
    scaling: FlexTensor,
    sigma_u: FlexTensor,
    sigma_s: FlexTensor,
}

impl Data {
    fn new(observed: Observed) -> Self {
        Self {
            u: constant(observed.u),
            s: constant(observed.s),
            scaling: constant(observed.scaling),
            sigma_u: constant(observed.sigma_u),
            sigma_s: constant(observed.sigma_s),
        }
    }

    /// The problem with `inputs`: tau, alpha, beta, gamma and, perhaps, u0, s0.
    fn problem<'a>(&'a self, inputs: &'a [FlexTensor]) -> Problem<'a> {
        let shape = self.u.layout().shape();
        Problem {
            n_cells: shape[0],
            n_genes: shape[1],
            tau: slice(&inputs[0]),
            alpha: slice(&inputs[1]),
            start: (inputs.len() == 6).then(|| (slice(&inputs[4]), slice(&inputs[5]))),
            beta: slice(&inputs[2]),
            gamma: slice(&inputs[3]),
            scaling: slice(&self.scaling),
            sigma_u: slice(&self.sigma_u),
            sigma_s: slice(&self.sigma_s),
            u: slice(&self.u),
            s: slice(&self.s),
        }
    }
}

fn apply<const N: usize>(inputs: [Tensor<2>; N], data: &Data) -> KineticNll {
    if !inputs.iter().any(Tensor::is_tracked) {
        let inputs = inputs.map(constant);
        let nll = kernel::evaluate(&data.problem(&inputs));
        let [total, unspliced, spliced] = results(nll).map(Tensor::from_primitive::<Flex>);
        return KineticNll { total, unspliced, spliced };
    }

    let inputs = inputs.map(tracked);
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<Flex>>::node);
    let primitives = inputs.map(|input| input.into_primitive().to_contiguous());
    let (nll, gradient) = kernel::differentiate(&data.problem(&primitives));
    let [total, unspliced, spliced] = results(nll);
    let total = match KnownGradients.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(shaped(inputs_of(gradient), &primitives), total),
        OpsKind::UnTracked(prep) => prep.finish(total),
    };
    KineticNll {
        total: Tensor::from_primitive::<Autodiff<Flex>>(total),
        unspliced: Tensor::from_primitive::<Flex>(unspliced),
        spliced: Tensor::from_primitive::<Flex>(spliced),
    }
}

/// Total, unspliced and spliced part.
fn results(nll: Likelihood) -> [FlexTensor; 3] {
    let Likelihood { unspliced, spliced } = nll;
    [unspliced + spliced, unspliced, spliced]
        .map(|value| FlexTensor::from_data(TensorData::new(vec![value as f32], Shape::new([1]))))
}

/// In the order of the inputs.
fn inputs_of(gradient: Gradient) -> impl Iterator<Item = Vec<f32>> {
    let Gradient { tau, alpha, beta, gamma, start } = gradient;
    [tau, alpha, beta, gamma].into_iter().chain(start.into_iter().flat_map(|(u0, s0)| [u0, s0]))
}

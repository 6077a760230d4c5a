//! Gradients of bounded length.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::nn::arrays;

/// Shortens `gradients` of parameters of `module` by a common factor, so that all together they are no longer than `most`.
///
/// `g ← g · min(1, most / (‖g‖ + 1e-6))`, the norm over every element of every gradient, as `PyTorch`'s `clip_grad_norm_`.
/// Gradients that are not finite are left as they are: the loss of the next step says so.
pub(super) fn clip<M: Module>(gradients: &mut [GradientsParams], module: &M, most: f64) {
    let mut squares = Squares { gradients, sum: 0.0 };
    module.visit(&mut squares);
    let factor = most / (squares.sum.sqrt() + 1e-6);
    if factor < 1.0 {
        module.visit(&mut Scaled { gradients, factor });
    }
}

struct Squares<'a> {
    gradients: &'a [GradientsParams],
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for gradient in self.gradients.iter().filter_map(|gradients| gradients.get::<D>(param.id)) {
            self.sum += f64::from(arrays::values(gradient.square().sum())[0]);
        }
    }
}

struct Scaled<'a> {
    gradients: &'a mut [GradientsParams],
    factor: f64,
}

impl ModuleVisitor for Scaled<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for gradients in self.gradients.iter_mut() {
            if let Some(gradient) = gradients.remove::<D>(param.id) {
                gradients.register(param.id, gradient * self.factor);
            }
        }
    }
}

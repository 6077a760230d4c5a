//! Gradients of bounded length.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::nn::{arrays, flex};

/// Shortens `gradients` of parameters of `module` by a common factor, so that all together they are no longer than `most`.
///
/// `g ← g · min(1, most / (‖g‖ + 1e-6))`, the norm over every element of every gradient, as `PyTorch`'s `clip_grad_norm_`.
/// Gradients that are not finite are left as they are: the loss of the next step says so. On a GPU the factor stays there, and the
/// host does not wait for it.
pub(super) fn clip<M: Module>(gradients: &mut [GradientsParams], module: &M, most: f64) {
    let mut squares = Squares { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    let sums = squares.sums;
    let Some(first) = sums.first() else { return };
    let factor = if flex::is_plain(first) {
        let norm = sums.iter().map(arrays::scalar).sum::<f64>().sqrt();
        Factor::Here(most / (norm + 1e-6))
    } else {
        let norm = Tensor::cat(sums, 0).sum().sqrt();
        Factor::There(Box::new(((norm + 1e-6).recip() * most).clamp_max(1.0)))
    };
    if !matches!(factor, Factor::Here(factor) if factor.is_nan() || factor >= 1.0) {
        module.visit(&mut Scaled { gradients, factor });
    }
}

enum Factor {
    Here(f64),
    /// `[1]`, on the device.
    There(Box<Tensor<1>>),
}

struct Squares<'a> {
    gradients: &'a [GradientsParams],
    /// Of each gradient, `[1]`.
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let of_param = self.gradients.iter().filter_map(|gradients| gradients.get::<D>(param.id));
        self.sums.extend(of_param.map(|gradient| gradient.square().sum()));
    }
}

struct Scaled<'a> {
    gradients: &'a mut [GradientsParams],
    factor: Factor,
}

impl ModuleVisitor for Scaled<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for gradients in self.gradients.iter_mut() {
            if let Some(gradient) = gradients.remove::<D>(param.id) {
                let scaled = match &self.factor {
                    Factor::Here(factor) => gradient * *factor,
                    Factor::There(factor) => gradient * factor.as_ref().clone().unsqueeze(),
                };
                gradients.register(param.id, scaled);
            }
        }
    }
}

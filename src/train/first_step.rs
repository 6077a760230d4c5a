//! What one training step computes, by name: what devices and paths are compared by.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

use super::{Batch, Loss, Objective};
use crate::data::stream;
use crate::nn::arrays;
use crate::nn::draws::Draws;

/// Numbers by the path of burn's fields: `decoder.mean.weight`.
pub type Named = BTreeMap<String, Vec<f32>>;

/// The loss of one batch, and its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstStep {
    /// The terms of the loss and their `total`, in nats per cell.
    pub terms: Vec<(&'static str, f32)>,
    /// The gradient of every parameter that has one.
    pub gradients: Named,
}

impl FirstStep {
    /// Of `module` on `batch`, in epoch `epoch` of a stage, with draws that are the same on every device.
    #[must_use]
    pub fn of<M: Objective>(module: &M, batch: &Batch, epoch: usize) -> Self {
        let Loss { total, terms } = module.loss(batch, epoch, &mut Draws::Sampled(&mut stream(0, "first step", 0)));
        let scalar = |term: &Tensor<1>| arrays::values(term.clone())[0];
        let mut values: Vec<(&'static str, f32)> = terms.iter().map(|(name, term)| (*name, scalar(term))).collect();
        values.push(("total", scalar(&total)));
        Self { terms: values, gradients: gradients(module, &total) }
    }
}

/// The values of all parameters and running statistics of `module`, which is outside any gradient.
#[cfg(test)]
pub(crate) fn values<M: Module>(module: &M) -> Named {
    read(module, None)
}

/// The gradient of `total` by every parameter of `module` that it depends on.
pub(crate) fn gradients<M: Module>(module: &M, total: &Tensor<1>) -> Named {
    read(module, Some(&total.backward()))
}

/// Values, or gradients if there are any, by the path of the field.
fn read<M: Module>(module: &M, gradients: Option<&Gradients>) -> Named {
    struct Reader<'a> {
        path: Vec<String>,
        gradients: Option<&'a Gradients>,
        found: Named,
    }
    impl ModuleVisitor for Reader<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let found = match self.gradients {
                None => Some(arrays::values(param.val())),
                Some(gradients) => param.val().grad(gradients).map(arrays::values),
            };
            if let Some(found) = found {
                self.found.insert(self.path.join("."), found);
            }
        }
    }
    let mut reader = Reader { path: Vec::new(), gradients, found: Named::new() };
    module.visit(&mut reader);
    reader.found
}

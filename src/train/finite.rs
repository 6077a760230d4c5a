//! Whether all numbers are still finite, and which are not.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::{Batch, Loss, Objective};
use crate::nn::arrays::{self, scalar};

/// Whether every parameter and running statistic of `module`, one without gradients, is finite. One number is read from the device.
pub(super) fn all_finite<M: Module>(module: &M) -> bool {
    struct Zeros(Option<Tensor<1>>);
    impl ModuleVisitor for Zeros {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            // 0 for finite numbers, however large their sum; NaN for all others.
            let zero = param.val().mul_scalar(0.0).sum();
            self.0 = Some(match self.0.take() {
                Some(sum) => sum + zero,
                None => zero,
            });
        }
    }
    let mut zeros = Zeros(None);
    module.visit(&mut zeros);
    zeros.0.is_none_or(|sum| scalar(&sum) == 0.0)
}

/// The paths of the parameters of `module`, one without gradients, that are not finite.
fn not_finite<M: Module>(module: &M) -> Vec<String> {
    #[derive(Default)]
    struct Search {
        path: Vec<String>,
        found: Vec<String>,
    }
    impl ModuleVisitor for Search {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if arrays::values(param.val()).iter().any(|value| !value.is_finite()) {
                self.found.push(self.path.join("."));
            }
        }
    }
    let mut search = Search::default();
    module.visit(&mut search);
    search.found
}

/// What is not finite in `module`, one without gradients: `loss`, called `name`, of the cells of `batch`, or, without a loss, the
/// parameters themselves; and the quantities and `genes` behind it.
pub(super) fn culprit<M: Objective>(
    module: &M,
    batch: &Batch,
    genes: &[String],
    loss: Option<(&str, &Loss)>,
) -> String {
    let subject = if let Some((name, loss)) = loss {
        let terms = loss.terms.iter().filter(|(_, term)| !scalar(term).is_finite());
        listed(&format!("the {name}"), &terms.map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>())
    } else {
        listed("a parameter", &not_finite(module))
    };
    let quantities: Vec<String> = module
        .monitored(batch)
        .iter()
        .filter(|quantity| quantity.values.iter().any(|value| !value.is_finite()))
        .map(|quantity| match quantity.per_gene {
            true => format!("{} of {}", quantity.name, names(genes, &quantity.values)),
            false => quantity.name.to_owned(),
        })
        .collect();
    let per_gene = arrays::values(module.gene_loss(batch));
    match (quantities.is_empty(), per_gene.iter().all(|value| value.is_finite())) {
        (false, _) => format!("{subject}, with {}", quantities.join("; ")),
        (true, false) => format!("{subject} of {}", names(genes, &per_gene)),
        (true, true) => subject,
    }
}

fn listed(subject: &str, parts: &[String]) -> String {
    match parts.len() {
        0 => subject.to_owned(),
        count if count > 5 => format!("{subject} ({}, …)", parts[..5].join(", ")),
        _ => format!("{subject} ({})", parts.join(", ")),
    }
}

/// The genes whose value is not finite.
fn names(genes: &[String], values: &[f32]) -> String {
    let pairs = genes.iter().zip(values);
    let genes: Vec<&str> = pairs.filter(|(_, value)| !value.is_finite()).map(|(gene, _)| gene.as_str()).collect();
    match genes.len() {
        count if count > 5 => format!("{count} genes ({}, …)", genes[..5].join(", ")),
        _ => genes.join(", "),
    }
}

//! The state of the splicing kinetics, [`crate::nn::kinetics::solve`], as one operation: here of the Flex backend, on a GPU a kernel
//! (`super::cube`).
//!
//! Written as tensor operations a solution costs some thirty passes and as many temporaries, and its gradient twice that; here it
//! is one pass each, in which the derivatives are found again. Where neither serves, the tensor operations give the same numbers to
//! rounding.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Shape, Tensor, TensorData};

use super::advance::{Rates, advance, per_gap};
use super::blocks::in_order;
use crate::nn::flex::{constant, is_plain, slice, tracked};
use crate::nn::kinetics;
use crate::simd::{Vectorized, vectorize};

/// Rows per block of work.
const BLOCK: usize = 16;

/// Unspliced and spliced abundance a time `tau` after `(u0, s0)`, `[n, n_genes]` each.
///
/// - `tau`: `[n, 1]`, or `[n, n_genes]`, which is one operation on Flex outside gradients only; `u0`, `s0`, `alpha`: `[n, n_genes]`, or
///   `[1, n_genes]` or `[1, 1]` for all rows alike
/// - `beta`, `gamma`: `[1, n_genes]` or `[n, n_genes]`
#[must_use]
pub fn solve(
    tau: &Tensor<2>,
    u0: Tensor<2>,
    s0: Tensor<2>,
    alpha: Tensor<2>,
    beta: &Tensor<2>,
    gamma: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let n = tau.dims()[0];
    let shape = [n, beta.dims()[1]];
    let all = [tau, &u0, &s0, &alpha, beta, gamma];
    let per_gene = tau.dims() == shape;
    let fits = (per_gene || tau.dims()[1] == 1)
        && [beta, gamma].into_iter().all(|rate| rate.dims() == [1, shape[1]] || rate.dims() == shape);
    let one_operation: fn([Tensor<2>; 6]) -> Tensor<2> = match () {
        () if !fits => return kinetics::solve(tau, u0, s0, alpha, beta, gamma),
        () if all.into_iter().all(is_plain) && !(per_gene && all.into_iter().any(Tensor::is_tracked)) => apply,
        #[cfg(feature = "cube")]
        () if beta.dims() == gamma.dims() && all.into_iter().all(super::cube::is_on_gpu) => super::cube::solve,
        () => return kinetics::solve(tau, u0, s0, alpha, beta, gamma),
    };
    let spread = |tensor: Tensor<2>| if tensor.dims() == shape { tensor } else { tensor.expand(shape) };
    let both = one_operation([tau.clone(), spread(u0), spread(s0), spread(alpha), beta.clone(), gamma.clone()]);
    (both.clone().narrow(0, 0, n), both.narrow(0, n, n))
}

/// u above s, `[2 n, n_genes]`.
fn apply(inputs: [Tensor<2>; 6]) -> Tensor<2> {
    if !inputs.iter().any(Tensor::is_tracked) {
        return Tensor::from_primitive::<Flex>(forward(&inputs.map(constant)));
    }
    let inputs = inputs.map(tracked);
    let nodes = inputs.each_ref().map(burn::backend::tensor::FloatTensor::<Autodiff<Flex>>::node);
    let primitives = inputs.map(|input| input.into_primitive().to_contiguous());
    let output = forward(&primitives);
    let output = match SolveBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(primitives, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

fn tensor(values: Vec<f32>, shape: [usize; 2]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::new(shape)))
}

/// The inputs, row-major.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    n: usize,
    n_genes: usize,
    /// One for each row, or for each number.
    tau: &'a [f32],
    u0: &'a [f32],
    s0: &'a [f32],
    alpha: &'a [f32],
    beta: &'a [f32],
    gamma: &'a [f32],
}

/// One row of the inputs.
#[derive(Clone, Copy)]
struct Row<'a> {
    /// One number, or one for each gene.
    tau: &'a [f32],
    u0: &'a [f32],
    s0: &'a [f32],
    alpha: &'a [f32],
    beta: &'a [f32],
    gamma: &'a [f32],
}

impl<'a> Inputs<'a> {
    fn new(inputs: &'a [FlexTensor; 6]) -> Self {
        let [tau, u0, s0, alpha, beta, gamma] = inputs.each_ref().map(slice);
        let [n, n_genes] = [0, 1].map(|axis| inputs[1].layout().shape()[axis]);
        Self { n, n_genes, tau, u0, s0, alpha, beta, gamma }
    }

    fn row(&self, row: usize) -> Row<'a> {
        let all = row * self.n_genes..(row + 1) * self.n_genes;
        let rate = |rate: &'a [f32]| if rate.len() == self.n_genes { rate } else { &rate[all.clone()] };
        Row {
            tau: if self.tau.len() == self.n { &self.tau[row..=row] } else { &self.tau[all.clone()] },
            u0: &self.u0[all.clone()],
            s0: &self.s0[all.clone()],
            alpha: &self.alpha[all.clone()],
            beta: rate(self.beta),
            gamma: rate(self.gamma),
        }
    }
}

/// Runs `advance` on one gene, a time `$tau`.
macro_rules! gene {
    ($fma:ident, $row:expr, $j:expr, $tau:expr) => {{
        let (beta, gamma) = ($row.beta[$j], $row.gamma[$j]);
        let rates =
            Rates { beta, gamma, per_beta: beta.recip(), per_gamma: gamma.recip(), per_gap: per_gap(beta, gamma) };
        advance::<$fma, true>($tau, $row.alpha[$j], $row.u0[$j], $row.s0[$j], rates)
    }};
}

fn forward(inputs: &[FlexTensor; 6]) -> FlexTensor {
    struct Forward<'a> {
        row: Row<'a>,
        u: &'a mut [f32],
        s: &'a mut [f32],
    }
    impl Vectorized for Forward<'_> {
        #[allow(clippy::inline_always, reason = "see Vectorized")]
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            let Self { row, u, s } = self;
            if let &[tau] = row.tau {
                for (j, (u, s)) in u.iter_mut().zip(s).enumerate() {
                    let state = gene!(FMA, row, j, tau);
                    (*u, *s) = (state.u, state.s);
                }
            } else {
                for (j, ((u, s), &tau)) in u.iter_mut().zip(s).zip(row.tau).enumerate() {
                    let state = gene!(FMA, row, j, tau);
                    (*u, *s) = (state.u, state.s);
                }
            }
        }
    }
    let inputs = Inputs::new(inputs);
    let (n, n_genes) = (inputs.n, inputs.n_genes);
    let mut both = vec![0.0; 2 * n * n_genes];
    let (u, s) = both.split_at_mut(n * n_genes);
    let blocks = u.chunks_mut(BLOCK * n_genes).zip(s.chunks_mut(BLOCK * n_genes)).enumerate().collect();
    in_order(blocks, |(block, (u, s)): (usize, (&mut [f32], &mut [f32]))| {
        for (i, (u, s)) in u.chunks_mut(n_genes).zip(s.chunks_mut(n_genes)).enumerate() {
            vectorize(Forward { row: inputs.row(block * BLOCK + i), u, s });
        }
    });
    tensor(both, [2 * n, n_genes])
}

#[derive(Debug)]
struct SolveBackward;

/// Derivatives by the inputs of some rows; by the rates one row each.
struct Part {
    tau: Vec<f32>,
    u0: Vec<f32>,
    s0: Vec<f32>,
    alpha: Vec<f32>,
    beta: Vec<f32>,
    gamma: Vec<f32>,
}

impl Backward<Flex, 6> for SolveBackward {
    type State = [FlexTensor; 6];

    fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
        let outer = grads.consume::<Flex>(&ops.node).to_contiguous();
        let inputs = Inputs::new(&ops.state);
        let (n, n_genes) = (inputs.n, inputs.n_genes);
        let (of_u, of_s) = slice(&outer).split_at(n * n_genes);
        let blocks: Vec<usize> = (0..n.div_ceil(BLOCK)).collect();
        let parts = in_order(blocks, |block| rows(&inputs, [of_u, of_s], block * BLOCK..((block + 1) * BLOCK).min(n)));
        let joined = |pick: fn(&Part) -> &Vec<f32>| parts.iter().flat_map(|part| pick(part).iter().copied()).collect();
        let rate = |pick: fn(&Part) -> &Vec<f32>, of: &[f32]| -> (Vec<f32>, [usize; 2]) {
            let all: Vec<f32> = joined(pick);
            if of.len() == n * n_genes {
                return (all, [n, n_genes]);
            }
            let mut sum = vec![0.0; n_genes];
            all.chunks(n_genes).for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
            (sum, [1, n_genes])
        };
        let [tau, u0, s0, alpha, beta, gamma] = ops.parents;
        if let Some(node) = tau {
            grads.register::<Flex>(node.id, tensor(joined(|part| &part.tau), [n, 1]));
        }
        for (node, pick) in
            [(u0, (|part| &part.u0) as fn(&Part) -> &Vec<f32>), (s0, |part| &part.s0), (alpha, |part| &part.alpha)]
        {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(joined(pick), [n, n_genes]));
            }
        }
        for (node, pick, of) in [
            (beta, (|part| &part.beta) as fn(&Part) -> &Vec<f32>, inputs.beta),
            (gamma, |part| &part.gamma, inputs.gamma),
        ] {
            if let Some(node) = node {
                let (values, shape) = rate(pick, of);
                grads.register::<Flex>(node.id, tensor(values, shape));
            }
        }
    }
}

/// The derivatives of rows `range`; by a rate that all rows share, their sum.
fn rows(inputs: &Inputs<'_>, [of_u, of_s]: [&[f32]; 2], range: std::ops::Range<usize>) -> Part {
    let n_genes = inputs.n_genes;
    let count = range.len() * n_genes;
    let per_row = |rate: &[f32]| if rate.len() == n_genes && inputs.n > 1 { n_genes } else { count };
    let mut part = Part {
        tau: Vec::with_capacity(range.len()),
        u0: vec![0.0; count],
        s0: vec![0.0; count],
        alpha: vec![0.0; count],
        beta: vec![0.0; per_row(inputs.beta)],
        gamma: vec![0.0; per_row(inputs.gamma)],
    };
    let mut of_tau = vec![0.0; n_genes];
    for (i, row) in range.enumerate() {
        let (here, all) = (i * n_genes..(i + 1) * n_genes, row * n_genes..(row + 1) * n_genes);
        let rate = |values: &[f32]| if values.len() == count { here.clone() } else { 0..n_genes };
        let (beta, gamma) = (rate(&part.beta), rate(&part.gamma));
        vectorize(Derivatives {
            row: inputs.row(row),
            of_u: &of_u[all.clone()],
            of_s: &of_s[all],
            tau: &mut of_tau,
            u0: &mut part.u0[here.clone()],
            s0: &mut part.s0[here.clone()],
            alpha: &mut part.alpha[here.clone()],
            beta: &mut part.beta[beta],
            gamma: &mut part.gamma[gamma],
        });
        part.tau.push(of_tau.iter().sum());
    }
    part
}

struct Derivatives<'a> {
    row: Row<'a>,
    of_u: &'a [f32],
    of_s: &'a [f32],
    tau: &'a mut [f32],
    u0: &'a mut [f32],
    s0: &'a mut [f32],
    alpha: &'a mut [f32],
    beta: &'a mut [f32],
    gamma: &'a mut [f32],
}

impl Vectorized for Derivatives<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let n = self.of_u.len();
        let Self { row, of_u, of_s, .. } = self;
        let (tau, u0, s0, alpha) = (&mut self.tau[..n], &mut self.u0[..n], &mut self.s0[..n], &mut self.alpha[..n]);
        let (beta, gamma) = (&mut self.beta[..n], &mut self.gamma[..n]);
        for j in 0..n {
            let state = gene!(FMA, row, j, row.tau[0]);
            let (du, ds) = (of_u[j], of_s[j]);
            tau[j] = du * state.u_tau + ds * state.s_tau;
            u0[j] = du * state.exp_beta + ds * state.s_u0;
            s0[j] = ds * state.exp_gamma;
            alpha[j] = du * state.made + ds * state.psi;
            beta[j] += du * state.u_beta + ds * state.s_beta;
            gamma[j] += ds * state.s_gamma;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::nn::arrays::values;

    type Solve = fn(&Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>, &Tensor<2>, &Tensor<2>) -> (Tensor<2>, Tensor<2>);

    /// Values of u and s and the gradients of a sum over both, by `solve`.
    fn results(solve: Solve, inputs: &[Tensor<2>; 6]) -> Vec<Vec<f32>> {
        let inputs = inputs.each_ref().map(|input| input.clone().autodiff().require_grad());
        let [tau, u0, s0, alpha, beta, gamma] = inputs.clone();
        let (u, s) = solve(&tau, u0, s0, alpha, &beta, &gamma);
        let gradients = (u.clone().square().sum() + s.clone().sum() * 0.7).backward();
        let of = |input: &Tensor<2>| values(input.grad(&gradients).expect("every input has a gradient"));
        [vec![values(u.inner()), values(s.inner())], inputs.iter().map(of).collect()].concat()
    }

    #[test]
    fn genes_on_clocks_of_their_own_are_solved_as_by_tensor_operations() {
        let device = Device::flex();
        for n in [1, 40] {
            let draw = |shape: [usize; 2], high: f64| -> Tensor<2> {
                Tensor::random(shape, Distribution::Uniform(0.1, high), &device)
            };
            let (tau, beta, gamma) = (draw([n, 21], 9.0), draw([1, 21], 2.0), draw([1, 21], 2.0));
            let of = |solve: Solve| {
                let (u, s) = solve(&tau, beta.clone(), draw([1, 1], 0.2) * 0.0, beta.clone(), &beta, &gamma);
                [values(u), values(s)].concat()
            };
            for (fused, composed) in of(solve).into_iter().zip(of(kinetics::solve)) {
                assert!((fused - composed).abs() < 1e-5, "{n} rows: {fused} {composed}");
            }
        }
    }

    #[test]
    fn one_operation_gives_what_tensor_operations_give() {
        let device = Device::flex();
        for (n, rows) in [(1, 1), (6, 1), (6, 6), (40, 1), (40, 40)] {
            let draw = |shape: [usize; 2], low: f64, high: f64| -> Tensor<2> {
                Tensor::random(shape, Distribution::Uniform(low, high), &device)
            };
            let inputs = [
                draw([n, 1], 0.0, 3.0),
                draw([n, 21], 0.0, 2.0),
                draw([n, 21], 0.0, 2.0),
                draw([n, 21], 0.0, 4.0),
                draw([rows, 21], 0.1, 2.0),
                draw([rows, 21], 0.1, 2.0),
            ];
            for (fused, composed) in results(solve, &inputs).iter().zip(&results(kinetics::solve, &inputs)) {
                assert_eq!(fused.len(), composed.len());
                let scale = composed.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
                let largest = fused.iter().zip(composed).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
                assert!(largest < 2e-5 * scale, "{n} rows, {rows} of rates: {largest} of {scale}");
            }
        }
    }
}

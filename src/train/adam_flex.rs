//! [`super::adam`] in place on Flex.

use burn::backend::Flex;
use burn::optim::{AdamState, AdaptiveMomentumState};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::adam_constants::{AdamConstants, WeightDecay};
use crate::nn::flex::{constant, is_plain, keep_memory, slice, slice_mut, whole};
use crate::simd::{Vectorized, vectorize};

/// Numbers per task of the thread pool; smaller parameters are one task.
const TASK: usize = 1 << 15;

/// Whether all is f32 in the memory of Flex.
pub(super) fn supports<const D: usize>(tensor: &Tensor<D>, grad: &Tensor<D>, state: Option<&AdamState<D>>) -> bool {
    let moments = |state: &AdamState<D>| {
        let momentum = &state.momentum;
        is_plain(&momentum.moment_1) && is_plain(&momentum.moment_2) && momentum.max_moment_2.is_none()
    };
    is_plain(tensor) && is_plain(grad) && state.is_none_or(moments)
}

/// One step; see [`super::adam`].
pub(super) fn step<const D: usize>(
    constants: &AdamConstants,
    lr: f64,
    tensor: Tensor<D>,
    grad: Tensor<D>,
    state: Option<AdamState<D>>,
) -> (Tensor<D>, AdamState<D>) {
    let (time, moment_1, moment_2) = match state {
        Some(AdamState { momentum }) => (momentum.time + 1, momentum.moment_1, momentum.moment_2),
        None => (1, tensor.zeros_like(), tensor.zeros_like()),
    };
    let (mut p, g) = (whole(tensor), constant(grad));
    let (mut m, mut v) = (whole(moment_1), whole(moment_2));

    let step = Step::new(constants, lr, time);
    let (p_all, m_all, v_all) = (slice_mut(&mut p), slice_mut(&mut m), slice_mut(&mut v));
    let update = |(p, g, m, v)| vectorize(Update { step, p, g, m, v });
    if p_all.len() <= TASK || rayon::current_num_threads() == 1 {
        update((p_all, slice(&g), m_all, v_all));
    } else {
        (
            p_all.par_chunks_mut(TASK),
            slice(&g).par_chunks(TASK),
            m_all.par_chunks_mut(TASK),
            v_all.par_chunks_mut(TASK),
        )
            .into_par_iter()
            .for_each(update);
    }

    keep_memory(g);
    let [p, m, v] = [p, m, v].map(Tensor::from_primitive::<Flex>);
    (p, AdamState::new(AdaptiveMomentumState::new(time, m, v)))
}

/// The factors of one step, the bias corrections drawn into them:
/// `η m̂ / (√v̂ + ε) = rate m / (√v + epsilon)`.
#[derive(Clone, Copy)]
struct Step {
    keep_1: f32,
    take_1: f32,
    keep_2: f32,
    take_2: f32,
    rate: f32,
    epsilon: f32,
    l2: f32,
    shrink: f32,
}

impl Step {
    #[allow(clippy::cast_possible_truncation, reason = "parameters are f32; a run has fewer than 2³¹ steps")]
    fn new(constants: &AdamConstants, lr: f64, time: usize) -> Self {
        let AdamConstants { beta_1, beta_2, epsilon, weight_decay } = *constants;
        let time = i32::try_from(time).unwrap_or(i32::MAX);
        let (correction_1, correction_2) = (1.0 - beta_1.powi(time), (1.0 - beta_2.powi(time)).sqrt());
        let (l2, shrink) = match weight_decay {
            WeightDecay::None => (0.0, 1.0),
            WeightDecay::L2(lambda) => (lambda, 1.0),
            WeightDecay::Decoupled(lambda) => (0.0, 1.0 - lr * lambda),
        };
        Self {
            keep_1: beta_1 as f32,
            take_1: (1.0 - beta_1) as f32,
            keep_2: beta_2 as f32,
            take_2: (1.0 - beta_2) as f32,
            rate: (lr * correction_2 / correction_1) as f32,
            epsilon: (epsilon * correction_2) as f32,
            l2: l2 as f32,
            shrink: shrink as f32,
        }
    }
}

/// One step of some numbers; equal lengths.
struct Update<'a> {
    step: Step,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Vectorized for Update<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { step, p, g, m, v } = self;
        update(step, p, g, m, v);
    }
}

/// Its own function: the compiler vectorises only if it knows that the outputs do not overlap, which it does of arguments.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn update(step: Step, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = g + step.l2 * *p;
        *m = step.keep_1 * *m + step.take_1 * g;
        *v = step.keep_2 * *v + step.take_2 * g * g;
        *p = *p * step.shrink - step.rate * *m / (v.sqrt() + step.epsilon);
    }
}

//! The loops of a gene's scoring steps ([`super::gene`]): its expected log-likelihood, the sums of its derivatives, the damped equations.

use std::array;

use super::course::ALPHA;
use super::tree::Tree;
use crate::negative_binomial::vector_terms;
use crate::simd::{Vectorized, mul_add_f64, vectorize};

/// Adds `Σ M W(μ) − N C(μ)` over nodes of one species to `total`, `μ = curve + floor`.
pub(super) struct Expected<'a> {
    pub(super) curve: &'a [f64],
    pub(super) m: &'a [f64],
    pub(super) n: &'a [f64],
    pub(super) floor: f64,
    pub(super) dispersion: f64,
    pub(super) total: &'a mut f64,
}

impl Expected<'_> {
    /// Of one node.
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn node<const FMA: bool>(&self, curve: f64, m: f64, n: f64) -> f64 {
        let (w, c) = vector_terms::<FMA>(curve + self.floor, self.dispersion);
        m * w - n * c
    }
}

impl Vectorized for Expected<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        const LANES: usize = 8;
        let lanes = |values| -> (&[[f64; LANES]], &[f64]) { <[f64]>::as_chunks::<LANES>(values) };
        let ((curve, rest), (m, of_m), (n, of_n)) = (lanes(self.curve), lanes(self.m), lanes(self.n));
        let mut sums = [0.0; LANES];
        for ((curve, m), n) in curve.iter().zip(m).zip(n) {
            for l in 0..LANES {
                sums[l] += self.node::<FMA>(curve[l], m[l], n[l]);
            }
        }
        for ((curve, m), n) in rest.iter().zip(of_m).zip(of_n) {
            sums[0] += self.node::<FMA>(*curve, *m, *n);
        }
        *self.total += sums.iter().sum::<f64>();
    }
}

/// Sums over nodes of gradients and of outer products.
pub(super) struct NodeSums<'a> {
    /// Slope and weight of each node.
    pub(super) nodes: &'a [(f64, f64)],
    pub(super) tree: &'a Tree,
    pub(super) by: &'a [f64],
    pub(super) stride: usize,
    pub(super) gradient: &'a mut [f64],
    pub(super) information: &'a mut [f64],
}

impl Vectorized for NodeSums<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { nodes, tree, by, stride, gradient, information } = self;
        for (at, nodes) in nodes.chunks(TOGETHER).enumerate() {
            let at = at * TOGETHER;
            // Beyond the last node nothing is added, whatever row is read.
            let row = |k: usize| &by[(at + k.min(nodes.len() - 1)) * stride..][..stride];
            let of = |k: usize| nodes.get(k).copied().unwrap_or((0.0, 0.0));
            let (rows, nodes) = (array::from_fn::<_, TOGETHER, _>(row), array::from_fn::<_, TOGETHER, _>(of));
            // Parameters of later pieces have no effect here.
            let last = tree.piece[at..].iter().take(TOGETHER).max().expect("there is a node");
            let used = ALPHA + last + 1;
            for (q, gradient) in gradient.iter_mut().enumerate() {
                for (row, (slope, _)) in rows.iter().zip(nodes) {
                    *gradient = mul_add_f64::<FMA>(slope, row[q], *gradient);
                }
            }
            for p in 0..used {
                let mut scaled = [0.0; TOGETHER];
                for ((scaled, row), (_, weight)) in scaled.iter_mut().zip(rows).zip(nodes) {
                    *scaled = weight * row[p];
                }
                if scaled.iter().all(|&scaled| scaled == 0.0) {
                    continue;
                }
                // The lower triangle, rounded up to whole vectors.
                let width = (p / 4 + 1) * 4;
                let [a, b, c, d] = rows.map(|row| &row[..width]);
                let sums = &mut information[p * stride..][..width];
                for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    let two = mul_add_f64::<FMA>(scaled[1], *b, mul_add_f64::<FMA>(scaled[0], *a, *sum));
                    *sum = mul_add_f64::<FMA>(scaled[3], *d, mul_add_f64::<FMA>(scaled[2], *c, two));
                }
            }
        }
    }
}

/// Nodes whose parts are added at a time.
const TOGETHER: usize = 4;

/// Solves `(A + damping · diag A) x = b` for the lower triangle `A`, `[n, stride]`; `None` if it is not positive definite.
pub(super) fn solve_damped(a: &[f64], stride: usize, b: &[f64], damping: f64) -> Option<Vec<f64>> {
    let (mut r, mut x) = (a.to_vec(), b.to_vec());
    let mut solved = false;
    vectorize(Cholesky { r: &mut r, stride, x: &mut x, damping, solved: &mut solved });
    solved.then_some(x)
}

/// Factors `Rᵀ R = A + damping · diag A` for lower triangular R, from the last row up: so all loops run along rows, and none of them is a sum.
struct Cholesky<'a> {
    /// `A` before, R afterwards.
    r: &'a mut [f64],
    stride: usize,
    /// `b` before, `x` afterwards.
    x: &'a mut [f64],
    damping: f64,
    /// Whether it is positive definite.
    solved: &'a mut bool,
}

impl Vectorized for Cholesky<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { r, stride, x, damping, solved } = self;
        let n = x.len();
        for k in 0..n {
            let pivot = &mut r[k * stride + k];
            *pivot += damping * *pivot + 1e-12;
        }
        for k in (0..n).rev() {
            let (above, this) = r.split_at_mut(k * stride);
            let this = &mut this[..=k];
            let pivot = this[k].sqrt();
            if pivot.is_nan() || pivot == 0.0 {
                return;
            }
            let reciprocal = 1.0 / pivot;
            for value in this.iter_mut() {
                *value *= reciprocal;
            }
            for i in (0..k).filter(|&i| this[i] != 0.0) {
                for (value, of_k) in above[i * stride..][..=i].iter_mut().zip(&*this) {
                    *value = mul_add_f64::<FMA>(-this[i], *of_k, *value);
                }
            }
            // Rᵀ y = b
            let y = x[k] * reciprocal;
            x[k] = y;
            for (x, of_k) in x[..k].iter_mut().zip(&*this) {
                *x = mul_add_f64::<FMA>(-y, *of_k, *x);
            }
        }
        // R x = y
        for k in 0..n {
            let dot: f64 = r[k * stride..][..k].iter().zip(&*x).map(|(r, x)| r * x).sum();
            x[k] = (x[k] - dot) / r[k * stride + k];
        }
        *solved = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damped_equations_are_solved() {
        let (n, stride) = (7, 8);
        // A = B Bᵀ + 1, by its lower triangle.
        let b = |i: usize, j: usize| ((i * 5 + j * 3) % 7) as f64 - 3.0;
        let dot = |i: usize, j: usize| (0..4).map(|k| b(i, k) * b(j, k)).sum::<f64>() + f64::from(u8::from(i == j));
        let mut a = vec![0.0; n * stride];
        for i in 0..n {
            (0..=i).for_each(|j| a[i * stride + j] = dot(i, j));
        }
        let right: Vec<f64> = (0..n).map(|i| i as f64 - 2.0).collect();
        let x = solve_damped(&a, stride, &right, 0.1).expect("it is positive definite");
        for (i, right) in right.iter().enumerate() {
            let left: f64 = (0..n).map(|j| dot(i, j) * if i == j { 1.1 * x[j] } else { x[j] }).sum();
            assert!((left - right).abs() < 1e-9, "{i}: {left} {right}");
        }
        a[2 * stride + 2] = -1.0;
        assert_eq!(solve_damped(&a, stride, &right, 0.1), None);
    }
}

//! The splicing kinetics where transcription approaches a new rate exponentially.
//!
//! With `α(t) = α₁ − (α₁ − α₀) e^{−λt}` and `u = s = 0` at time zero,
//!
//! ```text
//! u(t) = α₁ H(t; β) − (α₁ − α₀) φ(t; λ, β)
//! s(t) = α₁ ψ(t; β, γ) − β (α₁ − α₀) χ(t; λ, β, γ)
//! ```
//!
//! with H, φ and ψ of [`super::kinetics`], and χ the second divided difference of `e^{−xt}` at the three rates, which does not
//! depend on their order.
//!
//! Source: Gayoso, Weiler et al. 2024 (veloVI), supplement; veloVI's program divides by the differences of rates as they come.

use burn::tensor::Tensor;

use super::kinetics::{phi, solve};

/// Below this `(largest − smallest rate) t`, χ gives way to its series, whose first missing term is 3e-7 of it there.
const SERIES_BELOW: f64 = 0.3;

/// How transcription changes, `[1, n_genes]` each.
#[derive(Clone, Debug)]
pub struct Transcription {
    /// α₀, at time zero.
    pub first: Tensor<2>,
    /// α₁, in the end.
    pub last: Tensor<2>,
    /// λ, of the approach.
    pub approach: Tensor<2>,
}

impl Transcription {
    /// `α(t)`, `[n_cells, n_genes]`.
    #[must_use]
    pub fn at(&self, t: &Tensor<2>) -> Tensor<2> {
        let left = (-(self.approach.clone() * t.clone())).exp();
        self.last.clone() - (self.last.clone() - self.first.clone()) * left
    }

    /// `(u, s)` at time `t`, `[n_cells | 1, n_genes]` each.
    ///
    /// - `t`: `[n_cells | 1, n_genes]`, non-negative
    /// - `beta`, `gamma`: `[1, n_genes]`
    #[must_use]
    pub fn solve(&self, t: &Tensor<2>, beta: &Tensor<2>, gamma: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let nothing = || Tensor::zeros([1, 1], &t.device());
        let (u, s) = solve(t, nothing(), nothing(), self.last.clone(), beta, gamma);
        let missing = self.last.clone() - self.first.clone();
        let u = u - missing.clone() * phi(t, &self.approach, beta);
        let s = s - beta.clone() * missing * chi(t, &self.approach, beta, gamma);
        (u, s)
    }
}

/// χ: the difference of the two φ over the widest gap of the rates, or, where all are near each other,
/// `χ = e^{−mt} t² [½ + h₂/24 − h₃/120 + h₄/720]` with m the mean of the rates and `hₖ` the complete homogeneous symmetric
/// polynomials of their distances from it, times t.
fn chi(t: &Tensor<2>, a: &Tensor<2>, b: &Tensor<2>, c: &Tensor<2>) -> Tensor<2> {
    let (low, high) = (a.clone().min_pair(b.clone()), a.clone().max_pair(b.clone()));
    let middle = low.clone().max_pair(high.clone().min_pair(c.clone()));
    let (low, high) = (low.min_pair(c.clone()), high.max_pair(c.clone()));

    let mean = (a.clone() + b.clone() + c.clone()) / 3.0;
    let width = (high.clone() - low.clone()) * t.clone();
    let near = width.clone().lower_elem(SERIES_BELOW);
    let distance =
        |rate: &Tensor<2>| ((rate.clone() - mean.clone()) * t.clone()).mask_fill(near.clone().bool_not(), 0.0);
    let [x, y, z] = [a, b, c].map(distance);
    let h_2 = (x.clone().square() + y.clone().square() + z.clone().square()) * 0.5;
    let h_3 = x * y * z;
    let bracket = h_2.clone() / 24.0 - h_3 / 120.0 + h_2.square() / 720.0 + 0.5;
    let series = (-(mean * t.clone())).exp() * bracket;

    let away = width.mask_fill(near.clone(), 1.0);
    let difference = (phi(t, &low, &middle) - phi(t, &middle, &high)) / t.clone().clamp_min(f32::MIN_POSITIVE) / away;
    difference.mask_where(near, series) * t.clone().square()
}

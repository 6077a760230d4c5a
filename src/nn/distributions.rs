//! Divergences between distributions.

use burn::tensor::Tensor;

/// Kullback–Leibler divergence of diagonal Gaussians, per row.
///
/// `KL(N(m, s²) ‖ N(m₀, s₀²)) = Σ ln(s₀/s) + (s² + (m − m₀)²) / (2 s₀²) − ½`
///
/// - `mean`, `std`: of the posterior, `[batch, n]`
/// - `prior_mean`, `prior_std`: `[batch, n]` or `[1, n]`
/// - returns `[batch, 1]`, in nats
#[must_use]
pub fn kl_normal(mean: Tensor<2>, std: Tensor<2>, prior_mean: Tensor<2>, prior_std: Tensor<2>) -> Tensor<2> {
    let variance = prior_std.clone().square();
    let spread = std.clone().square() + (mean - prior_mean).square();
    ((prior_std / std).log() + spread / variance * 0.5 - 0.5).sum_dim(1)
}

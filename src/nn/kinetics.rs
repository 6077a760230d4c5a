//! The splicing kinetics on tensors: the formulas of `crate::kinetics` with automatic gradients.
//!
//! For constant rates, `du/dt = α − β u` and `ds/dt = β u − γ s`, started at `(u₀, s₀)`:
//!
//! ```text
//! u(τ) = u₀ e^{−βτ} + α H(τ; β)                          H(τ; r) = (1 − e^{−rτ})/r
//! s(τ) = s₀ e^{−γτ} + β u₀ φ(τ; β, γ) + α ψ(τ; β, γ)     φ(τ; β, γ) = (e^{−βτ} − e^{−γτ})/(γ − β)
//!                                                        ψ(τ; β, γ) = H(τ; γ) − φ(τ; β, γ)
//! ```
//!
//! with τ the time since the state was `(u₀, s₀)`, α in counts / time, β and γ in 1 / time. No term
//! is negative, so nothing cancels between terms; within H, φ and ψ a series replaces the quotient
//! or difference where that would cancel, so that values and gradients are smooth through γ = β and
//! accurate for short times. Both sides of such a choice are computed on arguments that are safe
//! for them: a branch not taken gives no NaN gradient.
//!
//! Source: the closed form of La Manno et al. 2018 and Bergen et al. 2020 (Methods), regrouped.
//!
//! All tensors are `[n_cells, n_genes]`, or have length 1 along an axis on which they do not vary:
//! times `[n_cells, 1]`, rates `[1, n_genes]`.

use burn::tensor::{Bool, Tensor};

/// Below this `|γ − β| τ` (or `r τ` with one rate) the quotients give way to their series. Above it
/// the subtraction loses a factor of 2.5 in precision at most.
const SERIES_BELOW: f64 = 0.5;
/// Below this `(β + γ) τ` the difference ψ gives way to its series; four terms leave 3e-7.
const PSI_SERIES_BELOW: f64 = 0.1;

/// `φ(τ; β, γ) = (e^{−βτ} − e^{−γτ})/(γ − β)`: the share of `u₀` that is spliced and not yet
/// degraded after τ, per unit of β. Symmetric in its rates; `τ e^{−βτ}` where they are equal.
///
/// - `tau`: `[n_cells, 1 | n_genes]`; `beta`, `gamma`: `[1 | n_cells, n_genes]`
/// - returns `[n_cells, n_genes]`
///
/// With `m = (β + γ)/2` and `h = (γ − β)/2`, near γ = β the even series of
/// `φ = τ e^{−mτ} sinh(hτ)/(hτ)` is used.
#[must_use]
pub fn phi(tau: &Tensor<2>, beta: &Tensor<2>, gamma: &Tensor<2>) -> Tensor<2> {
    let gap = (gamma.clone() - beta.clone()) * tau.clone();
    let near = gap.clone().abs().lower_elem(SERIES_BELOW);

    let mean_decay = (-(beta.clone() + gamma.clone()) * 0.5 * tau.clone()).exp();
    let y = (gap.clone() * 0.5).square().mask_fill(near.clone().bool_not(), 0.0);
    let series = mean_decay * sinh_quotient(&y);

    let away = gap.mask_fill(near.clone(), 1.0);
    let difference = decay(tau, beta) - decay(tau, gamma);
    (difference / away).mask_where(near, series) * tau.clone()
}

/// The state at time `tau` after it was `(u0, s0)`: `(u, s)`, each `[n_cells, n_genes]`.
///
/// - `tau`: `[n_cells, 1 | n_genes]`, non-negative
/// - `u0`, `s0`, `alpha`: `[n_cells | 1, n_genes | 1]`
/// - `beta`, `gamma`: `[1 | n_cells, n_genes]`, both of the same shape
#[must_use]
pub fn solve(
    tau: &Tensor<2>,
    u0: Tensor<2>,
    s0: Tensor<2>,
    alpha: Tensor<2>,
    beta: &Tensor<2>,
    gamma: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let phi = phi(tau, beta, gamma);
    let (u_new, s_new) = transcribe(tau, alpha, beta, gamma, phi.clone());
    let (u_old, s_old) = carry(tau, u0, s0, beta, gamma, phi);
    (u_old + u_new, s_old + s_new)
}

/// What transcription at rate `alpha` has made since time zero: `(α H(τ; β), α ψ(τ; β, γ))`.
fn transcribe(
    tau: &Tensor<2>,
    alpha: Tensor<2>,
    beta: &Tensor<2>,
    gamma: &Tensor<2>,
    phi: Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let made_beta = made(tau, beta);
    let made_gamma = made(tau, gamma);
    let psi = psi(tau, beta, gamma, made_beta.clone(), made_gamma, phi);
    (alpha.clone() * made_beta, alpha * psi)
}

/// What is left of the state at time zero: `(u₀ e^{−βτ}, s₀ e^{−γτ} + β u₀ φ)`.
fn carry(
    tau: &Tensor<2>,
    u0: Tensor<2>,
    s0: Tensor<2>,
    beta: &Tensor<2>,
    gamma: &Tensor<2>,
    phi: Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let spliced = beta.clone() * u0.clone() * phi;
    (u0 * decay(tau, beta), s0 * decay(tau, gamma) + spliced)
}

/// `ψ = H(τ; γ) − φ = (β/γ) (H(τ; β) − φ)`. The two forms are equal; the one with the larger rate
/// in its φ cancels less, and for short times of both, four terms of the series in τ are used:
/// `βτ²/2 [1 − c₁/3 + c₂/12 − c₃/60]`, with `cₖ` the sum of all products of k factors βτ or γτ.
fn psi(
    tau: &Tensor<2>,
    beta: &Tensor<2>,
    gamma: &Tensor<2>,
    made_beta: Tensor<2>,
    made_gamma: Tensor<2>,
    phi: Tensor<2>,
) -> Tensor<2> {
    let beta_faster = beta.clone().greater_equal(gamma.clone());
    let ratio = (beta.clone() / gamma.clone()).mask_fill(beta_faster.clone(), 1.0);
    let beta_faster: Tensor<2, Bool> = beta_faster.expand(phi.dims());
    let difference = ratio * (made_beta.mask_where(beta_faster, made_gamma) - phi);

    let (x, y) = (beta.clone() * tau.clone(), gamma.clone() * tau.clone());
    let short = (x.clone() + y.clone()).lower_elem(PSI_SERIES_BELOW);
    let long = short.clone().bool_not();
    let (x, y) = (x.mask_fill(long.clone(), 0.0), y.mask_fill(long, 0.0));
    let c1 = x.clone() + y.clone();
    let squares = x.clone().square() + y.clone().square();
    let c2 = squares.clone() + x.clone() * y;
    let c3 = squares * c1.clone();
    let series = x * 0.5 * tau.clone() * (1.0 - c1 / 3.0 + c2 / 12.0 - c3 / 60.0);

    difference.mask_where(short, series)
}

/// `H(τ; r) = (1 − e^{−rτ})/r`: what is left of a production of one per unit time that decays at
/// `rate`. This is φ with one rate zero, and shares its series.
fn made(tau: &Tensor<2>, rate: &Tensor<2>) -> Tensor<2> {
    let gap = rate.clone() * tau.clone();
    let near = gap.clone().lower_elem(SERIES_BELOW);

    let half = (gap.clone() * 0.5).mask_fill(near.clone().bool_not(), 0.0);
    let series = (-half.clone()).exp() * sinh_quotient(&half.square());

    let away = gap.mask_fill(near.clone(), 1.0);
    let quotient: Tensor<2> = (1.0 - (-away.clone()).exp()) / away;
    quotient.mask_where(near, series) * tau.clone()
}

/// `e^{−rτ}`.
fn decay(tau: &Tensor<2>, rate: &Tensor<2>) -> Tensor<2> {
    (-(rate.clone() * tau.clone())).exp()
}

/// `sinh(x)/x` for `y = x²`, to 3e-8 for `|x| < 0.25`.
fn sinh_quotient(y: &Tensor<2>) -> Tensor<2> {
    1.0 + y.clone() / 6.0 * (1.0 + y.clone() / 20.0 * (1.0 + y.clone() / 42.0))
}

//! Two-stage kinetics of one gene in closed form.
//!
//! ```text
//! du/dt = α − β u          ds/dt = β u − γ s          α, β, γ constant
//!
//! u(τ) = u₀ e^{−βτ} + α φ(τ; 0, β)
//! s(τ) = s₀ e^{−γτ} + β u₀ φ(τ; β, γ) + α ψ(τ; β, γ)
//!
//! φ(τ; β, γ) = (e^{−βτ} − e^{−γτ}) / (γ − β)          → τ e^{−βτ}  where γ = β
//! ψ(τ; β, γ) = φ(τ; 0, γ) − φ(τ; β, γ)
//! ```
//!
//! τ is the time since the state (u₀, s₀), in units of time; β and γ are per time, α in counts per time, u and s in
//! counts. Source: La Manno et al. 2018, and the supplement of Bergen et al. 2020 (equations 3 to 8), where
//! s is written with α/γ (1 − e^{−γτ}) − (α − β u₀) φ. That form subtracts nearly equal numbers early in
//! induction and divides by zero at γ = β. The regrouping above adds three terms that are never negative (for τ ≥ 0).
//!
//! # Why nothing is singular
//!
//! With `f(x) = e^{−xτ}`, φ is minus the first divided difference of f, `φ = −f[β, γ]`, and everything else is a second one,
//! `χ(x, y, z) = f[x, y, z]`, which is positive, symmetric and smooth where arguments meet:
//!
//! ```text
//! ψ = β χ(0, β, γ)     ∂φ/∂β = −χ(β, β, γ)     ∂φ/∂γ = −χ(β, γ, γ)
//! ```
//!
//! So two functions that are exact everywhere carry the solution and all its derivatives: no padding of
//! denominators, no special case at γ = β. φ uses `exp_m1`, accurate at any gap; χ divides by the widest
//! gap of its arguments, or sums its Taylor series where that gap is short against 1/τ.

/// Rates of one gene: α in counts per time, β and γ per time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Transcription.
    pub alpha: f64,
    /// Splicing.
    pub beta: f64,
    /// Degradation.
    pub gamma: f64,
}

/// Abundances of one gene in one cell, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// Unspliced.
    pub u: f64,
    /// Spliced.
    pub s: f64,
}

/// Derivatives of the state after τ; each field is `(∂u/∂·, ∂s/∂·)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Partials {
    /// With respect to the elapsed time τ.
    pub tau: State,
    /// With respect to α.
    pub alpha: State,
    /// With respect to β.
    pub beta: State,
    /// With respect to γ.
    pub gamma: State,
    /// With respect to the initial u₀.
    pub u0: State,
    /// With respect to the initial s₀.
    pub s0: State,
}

/// State a time `tau` after `x0` at constant rates.
///
/// `beta = gamma` and rates of zero need no special treatment.
///
/// ```
/// use nascent::kinetics::{Rates, State, solve};
/// let rates = Rates { alpha: 0.85, beta: 0.1, gamma: 0.05 };
/// let state = solve(8.0, State::default(), rates);
/// assert!((state.u - 4.6807).abs() < 1e-4 && (state.s - 1.8477).abs() < 1e-4);
/// ```
#[must_use]
pub fn solve(tau: f64, x0: State, rates: Rates) -> State {
    let Rates { alpha, beta, gamma } = rates;
    let State { u: u0, s: s0 } = x0;
    State {
        u: u0 * (-beta * tau).exp() + alpha * phi(tau, 0.0, beta),
        s: s0 * (-gamma * tau).exp() + beta * u0 * phi(tau, beta, gamma) + alpha * psi(tau, beta, gamma),
    }
}

/// `(du/dt, ds/dt) = (α − β u, β u − γ s)`, in counts per time. The field `s` is the RNA velocity.
#[must_use]
pub fn velocity(state: State, rates: Rates) -> State {
    State { u: rates.alpha - rates.beta * state.u, s: rates.beta * state.u - rates.gamma * state.s }
}

/// The state that does not move: `(α/β, α/γ)`. Infinite where β or γ is zero and α is not.
#[must_use]
pub fn steady_state(rates: Rates) -> State {
    State { u: rates.alpha / rates.beta, s: rates.alpha / rates.gamma }
}

/// State at time `t` of a gene that is silent and empty until `t_on`, transcribed at α until `t_off`, then silent.
///
/// A `t_off` before `t_on` counts as `t_on`: the gene stays empty.
#[must_use]
pub fn switch(t: f64, t_on: f64, t_off: f64, rates: Rates) -> State {
    let induction = (t.min(t_off) - t_on).max(0.0);
    let at_off = solve(induction, State::default(), rates);
    if t <= t_off {
        return at_off;
    }
    solve(t - t_off, at_off, Rates { alpha: 0.0, ..rates })
}

/// `φ(τ; β, γ) = (e^{−βτ} − e^{−γτ}) / (γ − β)`, a time: symmetric in β and γ, not negative for τ ≥ 0, `τ e^{−βτ}` at γ = β.
///
/// Computed as `τ e^{−min(β,γ)τ} (1 − e^{−x})/x` with `x = |γ − β| τ`, accurate to rounding at any gap.
#[must_use]
pub fn phi(tau: f64, beta: f64, gamma: f64) -> f64 {
    let x = (gamma - beta).abs() * tau;
    let mean_decay = if x == 0.0 { 1.0 } else { -(-x).exp_m1() / x };
    tau * (-beta.min(gamma) * tau).exp() * mean_decay
}

/// `ψ(τ; β, γ) = (1 − e^{−γτ})/γ − φ(τ; β, γ)`, a time: spliced counts per unit of α, `βτ²/2` early.
#[must_use]
pub fn psi(tau: f64, beta: f64, gamma: f64) -> f64 {
    beta * chi_from_zero(tau, beta, gamma)
}

/// Derivatives of [`solve`] with respect to its six arguments.
///
/// ```text
/// ∂u/∂β = −τ u₀ e^{−βτ} − α χ(0, β, β)
/// ∂s/∂β = u₀ (φ − β χ(β, β, γ)) + α χ(β, β, γ)
/// ∂s/∂γ = −τ s₀ e^{−γτ} − β u₀ χ(β, γ, γ) + α ∂ψ/∂γ
/// ```
#[must_use]
pub fn partials(tau: f64, x0: State, rates: Rates) -> Partials {
    let Rates { alpha, beta, gamma } = rates;
    let State { u: u0, s: s0 } = x0;
    let exp_beta = (-beta * tau).exp();
    let exp_gamma = (-gamma * tau).exp();
    let phi = phi(tau, beta, gamma);
    let chi_beta = chi_twice(tau, beta, gamma);
    let chi_gamma = chi_twice(tau, gamma, beta);
    Partials {
        tau: velocity(solve(tau, x0, rates), rates),
        alpha: State { u: self::phi(tau, 0.0, beta), s: psi(tau, beta, gamma) },
        beta: State {
            u: -tau * u0 * exp_beta - alpha * chi_from_zero(tau, beta, beta),
            s: u0 * (phi - beta * chi_beta) + alpha * chi_beta,
        },
        gamma: State {
            u: 0.0,
            s: -tau * s0 * exp_gamma - beta * u0 * chi_gamma + alpha * psi_by_gamma(tau, beta, gamma),
        },
        u0: State { u: exp_beta, s: beta * phi },
        s0: State { u: 0.0, s: exp_gamma },
    }
}

/// Time after which `u0` has become `u`: `τ = −ln[(u − α/β)/(u₀ − α/β)] / β`.
///
/// A `u` on the far side of `u0` gives 0, one at or past the steady state infinity; where `u0` is the steady state
/// itself, time cannot be told and 0 is returned. (scVelo keeps the argument of the logarithm within
/// [1e-6, 1 − 1e-6]: the same as clamping this result to [1e-6, 13.8] / β.)
///
/// Source: Bergen et al. 2020, equation 11.
#[must_use]
pub fn tau_from_u(u: f64, u0: f64, alpha: f64, beta: f64) -> f64 {
    // β u − α in one rounding: near the steady state the two are almost equal.
    let above_steady = |u: f64| beta.mul_add(u, -alpha);
    relaxation_time(above_steady(u), above_steady(u0), beta)
}

/// Time after which `x0` has become `state`, read from the combination of u and s that relaxes at rate γ.
///
/// The source's `s̃ = s − β/(γ−β) u` is used times γ (γ − β): `γ (γ−β) s − γβ u + αβ` decays as e^{−γτ}, also
/// at γ = β, where it is u alone and the answer that of [`tau_from_u`]. Limits as there, with rate γ.
///
/// Source: Bergen et al. 2020, equation 10.
#[must_use]
pub fn tau_from_us(state: State, x0: State, rates: Rates) -> f64 {
    let Rates { alpha, beta, gamma } = rates;
    let above_steady = |State { u, s }: State| {
        let toward_u = beta * gamma.mul_add(-u, alpha);
        (gamma * (gamma - beta)).mul_add(s, toward_u)
    };
    relaxation_time(above_steady(state), above_steady(x0), gamma)
}

/// Time since `x0` at which the ODE comes to `state`: from unspliced abundance where γ ≥ β ([`tau_from_u`]), else from
/// the combination of both that relaxes at rate γ ([`tau_from_us`]).
///
/// Kept within the times at which a millionth of the way to the steady state is behind, or ahead: never infinite, never 0.
///
/// Source: scVelo's rule; Bergen et al. 2020 (equations 10 and 11) do not say when to use which.
#[must_use]
pub fn explicit_time(state: State, x0: State, rates: Rates) -> f64 {
    let (tau, rate) = if rates.gamma >= rates.beta {
        (tau_from_u(state.u, x0.u, rates.alpha, rates.beta), rates.beta)
    } else {
        (tau_from_us(state, x0, rates), rates.gamma)
    };
    tau.clamp(1e-6 / rate, 1e6_f64.ln() / rate)
}

/// Time in which a distance from steady state shrinks from `start` to `now` at `rate`.
fn relaxation_time(now: f64, start: f64, rate: f64) -> f64 {
    let remaining = now / start;
    if remaining.is_nan() || remaining >= 1.0 {
        return 0.0;
    }
    -remaining.max(0.0).ln() / rate
}

/// `χ(x, x, y) = −∂φ(τ; x, y)/∂x`, in time².
fn chi_twice(tau: f64, x: f64, y: f64) -> f64 {
    // e^{−lowest τ} comes out of every divided difference; what is left starts at zero.
    let gap = (y - x).abs();
    let doubled = if x > y { gap } else { 0.0 };
    (-x.min(y) * tau).exp() * chi_from_zero(tau, doubled, gap)
}

/// `χ(0, p, q)`, the second divided difference of e^{−xτ} at 0, p and q (both ≥ 0), in time².
fn chi_from_zero(tau: f64, p: f64, q: f64) -> f64 {
    let (low, high) = if p < q { (p, q) } else { (q, p) };
    if (high * tau).abs() < 0.1 {
        chi_series(tau, low * tau, high * tau)
    } else {
        (phi(tau, 0.0, low) - phi(tau, low, high)) / high
    }
}

/// `χ(0, p, q) = τ² Σₙ (−1)ⁿ hₙ / (n + 2)!` with `hₙ = Σ xⁱ yⁿ⁻ⁱ`, `x = pτ`, `y = qτ`; nine terms leave less
/// than rounding below 0.1.
fn chi_series(tau: f64, x: f64, y: f64) -> f64 {
    let (mut sum, mut complete, mut power, mut factor) = (0.5, 1.0, 1.0, 0.5);
    for n in 1..9 {
        power *= x;
        complete = complete * y + power;
        factor /= -f64::from(n + 2);
        sum += factor * complete;
    }
    tau * tau * sum
}

/// `∂ψ/∂γ = β f[0, β, γ, γ]`, in time³ · rate: the third divided difference of e^{−xτ}, taken across the widest gap.
fn psi_by_gamma(tau: f64, beta: f64, gamma: f64) -> f64 {
    let inner = chi_twice(tau, gamma, beta);
    if gamma > beta {
        beta * (inner - chi_from_zero(tau, beta, gamma)) / gamma
    } else {
        inner - chi_from_zero(tau, gamma, gamma)
    }
}

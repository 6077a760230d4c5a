//! All genes on one clock.
//!
//! Times of a gene are known up to a factor. Each gene's are stretched so that its cells span `t_max`:
//!
//! ```text
//! T = (latest time before the switch + longest time after it) / (1 − part of cells at the switch or at 0)
//! ```
//!
//! Source: scVelo 0.3 `align_dynamics`.

use super::curve::Params;

/// The factor for a gene whose neighbour-averaged times are `t`.
pub(super) fn stretch(t: &[f64], t_switch: f64, t_max: f64) -> f64 {
    let before = t.iter().copied().filter(|t| *t < t_switch).fold(0.0, f64::max);
    let after = t.iter().map(|t| t - t_switch).fold(0.0, f64::max);
    #[allow(clippy::float_cmp)] // cells with steady neighbours only were given these very numbers
    let steady = t.iter().filter(|t| **t == t_switch || **t == 0.0).count();
    let moving = 1.0 - steady as f64 / t.len() as f64;
    let span = (before + after) / if moving > 0.0 { moving } else { 1.0 };
    if span > 0.0 { t_max / span } else { 1.0 }
}

/// The same curve on a clock that runs `by` times as fast.
pub(super) fn stretched(params: &Params, by: f64) -> Params {
    Params {
        alpha: params.alpha / by,
        beta: params.beta / by,
        gamma: params.gamma / by,
        t_switch: params.t_switch * by,
        ..*params
    }
}

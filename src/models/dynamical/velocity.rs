//! Velocities of one gene from its fitted curve.
//!
//! A cell belongs to one of five classes: the four phases, and outliers, whose likelihood is below 10⁻⁶ in all of them.
//! The likelihood of a phase is `exp(−D / (2 var)) / (2π √var)`, D averaged over the neighbourhood. Cells in a steady phase and
//! outliers do not move. The others take the state of the curve at the neighbour-averaged time:
//!
//! ```text
//! velocity   = β û' − γ ŝ,              at least −s
//! velocity_u = (α̃ − β û') · scaling,    at least −u,     α̃ = α before the switch, 0 after
//! ```
//!
//! Source: scVelo 0.3 `tl.velocity(mode = "dynamical")`.

use super::assign::{BranchTimes, Phase, Verdict, times};
use super::curve::{Curve, Params, States};
use super::gene::Gene;
use crate::kinetics::{self, State};

/// Which cells move, `[n_obs]`, and their times; those that do not have time 0.
pub(super) fn moving(gene: &Gene, params: &Params, branches: &BranchTimes, verdict: &Verdict) -> (Vec<bool>, Vec<f64>) {
    let variance = variance(gene, params, &Curve::new(params), branches);
    let peak = (std::f64::consts::TAU * variance.sqrt()).recip();
    let phase = |(phase, squared): (&Phase, &f32)| {
        let likelihood = peak * (-0.5 * f64::from(*squared) / variance).exp();
        // Also cells at the steady state of transcription count from 0 here.
        if likelihood < OUTLIER || *phase == Phase::SteadyOn { Phase::SteadyOff } else { *phase }
    };
    let phases: Vec<Phase> = verdict.phase.iter().zip(&verdict.squared).map(phase).collect();
    let clock = times(&phases, branches, params.t_switch);
    (phases.iter().map(|phase| *phase != Phase::SteadyOff).collect(), clock)
}

/// `(velocity, velocity_u)`, `[n_obs]` each, of the cells that are `moving`, at neighbour-averaged times `t`.
pub(super) fn of_fit(gene: &Gene, params: &Params, moving: &[bool], t: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let curve = Curve::new(params);
    let states = States::along(&curve, t);
    let rates_of = |cell: usize| {
        let observed = State { u: gene.u[cell] / params.scaling, s: gene.s[cell] };
        if !moving[cell] {
            return (0.0, 0.0);
        }
        let branch = if t[cell] < curve.t_switch { &curve.on } else { &curve.off };
        let velocity = kinetics::velocity(states.at(cell), branch.rates);
        (velocity.s.max(-observed.s), (velocity.u * params.scaling).max(-gene.u[cell]))
    };
    (0..gene.n_obs()).map(rates_of).unzip()
}

/// `(velocity, velocity_u)` from the observed abundances at neighbour-averaged times `t`, without bounds: how far cells are
/// from a steady state, whatever their phase.
///
/// Source: scVelo 0.3 `tl.velocity(mode = "dynamical_residuals")`.
pub(super) fn of_residuals(gene: &Gene, params: &Params, t: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let curve = Curve::new(params);
    let rates_of = |cell: usize| {
        let branch = if t[cell] < curve.t_switch { &curve.on } else { &curve.off };
        let observed = State { u: gene.u[cell] / params.scaling, s: gene.s[cell] };
        let velocity = kinetics::velocity(observed, branch.rates);
        (velocity.s, velocity.u * params.scaling)
    };
    (0..gene.n_obs()).map(rates_of).unzip()
}

/// Likelihood below which a cell is an outlier.
const OUTLIER: f64 = 1e-6;

/// Variance of the distances to the nearer branch, signed by `s − ŝ`, over all cells.
fn variance(gene: &Gene, params: &Params, curve: &Curve, branches: &BranchTimes) -> f64 {
    let (per_u, per_s) = (params.scaling / gene.std_u, gene.std_s.recip());
    let (mut sum, mut signed) = (0.0, 0.0);
    // As times of the whole curve, those of the repression branch come after the switch, those of induction before.
    let before = |t: &f64| t.min(curve.t_switch * (1.0 - f64::EPSILON));
    let on = States::along(curve, &branches.on.iter().map(before).collect::<Vec<f64>>());
    let off = States::along(curve, &branches.off.iter().map(|tau| curve.t_switch + tau).collect::<Vec<f64>>());
    for cell in 0..gene.n_obs() {
        let to = |fitted: State| {
            let (du, ds) = ((gene.u[cell] / params.scaling - fitted.u) * per_u, (gene.s[cell] - fitted.s) * per_s);
            (du * du + ds * ds, ds)
        };
        let (off, on) = (to(off.at(cell)), to(on.at(cell)));
        let (squared, above) = if on.0 < off.0 { on } else { off };
        sum += squared;
        signed += if above == 0.0 { 0.0 } else { squared.sqrt().copysign(above) };
    }
    let n = gene.n_obs() as f64;
    sum / n - (signed / n).powi(2)
}

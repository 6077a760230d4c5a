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

use super::assign::{BranchTimes, distances};
use super::curve::{Curve, Params};
use super::gene::{Gene, Neighborhoods};
use super::settings::VelocityFrom;
use crate::kinetics;

/// `(velocity, velocity_u)`, `[n_obs]` each.
pub(super) fn velocity(
    gene: &Gene,
    params: &Params,
    times: &BranchTimes,
    near: &Neighborhoods,
    from: VelocityFrom,
) -> (Vec<f64>, Vec<f64>) {
    let curve = Curve::new(params);
    let classes = classes(gene, params, &curve, times, near);
    let time = |(cell, class): (usize, &Class)| match class {
        Class::Repression => curve.t_switch + times.off[cell],
        Class::Induction => times.on[cell],
        Class::Still => 0.0,
    };
    let t: Vec<f64> = classes.iter().enumerate().map(time).collect();
    let t = near.average(&t);
    let rates_of = |cell: usize| {
        let x = kinetics::State { u: gene.u[cell] / params.scaling, s: gene.s[cell] };
        if from == VelocityFrom::Fit && matches!(classes[cell], Class::Still) {
            return (0.0, 0.0);
        }
        let branch = if t[cell] < curve.t_switch { &curve.on } else { &curve.off };
        let state = if from == VelocityFrom::Fit { curve.at(t[cell]) } else { x };
        let velocity = kinetics::velocity(state, branch.rates);
        (velocity.s.max(-x.s), (velocity.u * params.scaling).max(-gene.u[cell]))
    };
    (0..gene.n_obs()).map(rates_of).unzip()
}

/// What decides about motion.
enum Class {
    Repression,
    Induction,
    /// Steady, or an outlier.
    Still,
}

/// Likelihood below which a cell is an outlier.
const OUTLIER: f64 = 1e-6;

fn classes(gene: &Gene, params: &Params, curve: &Curve, times: &BranchTimes, near: &Neighborhoods) -> Vec<Class> {
    let distances = distances(gene, params, curve, times);
    let variance = variance(gene, curve, times, &distances);
    let peak = (std::f64::consts::TAU * variance.sqrt()).recip();
    let class = |cell: usize| {
        let phase = near.smallest(&distances, cell);
        let sum: f64 = near.of(cell).iter().map(|&neighbor| distances[neighbor as usize][phase]).sum();
        let mean = sum / near.of(cell).len() as f64;
        match phase {
            _ if peak * (-0.5 * mean / variance).exp() < OUTLIER => Class::Still,
            0 => Class::Repression,
            1 => Class::Induction,
            _ => Class::Still,
        }
    };
    (0..gene.n_obs()).map(class).collect()
}

/// Variance of the distances to the nearer branch, signed by `s − ŝ`, over all cells.
fn variance(gene: &Gene, curve: &Curve, times: &BranchTimes, distances: &[[f64; 4]]) -> f64 {
    let (mut sum, mut signed) = (0.0, 0.0);
    for (cell, distance) in distances.iter().enumerate() {
        let (nearer, fitted) = if distance[1] < distance[0] {
            (distance[1], curve.on.at(times.on[cell]).s)
        } else {
            (distance[0], curve.off.at(times.off[cell]).s)
        };
        sum += nearer;
        let above = gene.s[cell] - fitted;
        signed += if above == 0.0 { 0.0 } else { nearer.sqrt().copysign(above) };
    }
    let n = distances.len() as f64;
    sum / n - (signed / n).powi(2)
}

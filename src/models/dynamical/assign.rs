//! The E-step: a time and a state for every cell, given the curve of a gene.
//!
//! Every cell gets a time on either branch, `tau_on` and `tau_off`, by the explicit inverse of the ODE or by projection.
//! Its squared distances to the branches and to the two steady states,
//!
//! ```text
//! D = ((u' − û)·scaling / σ_u)² + ((s − ŝ) / σ_s)²,
//! ```
//!
//! are averaged over its neighbourhood, and the smallest mean decides.
//!
//! Source: Bergen et al. 2020, Methods ("inferring latent time", "assignment of transcriptional states"); scVelo 0.3
//! `_em_model_utils.compute_divergence`.

use serde::{Deserialize, Serialize};

use super::curve::{Branch, Curve, Params};
use super::gene::{Gene, Neighborhoods};
use super::projection::{self, OnBranch};
use crate::kinetics::{self, State};
use crate::stats;

/// How times on the branches are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The inverse of the ODE.
    Explicit,
    /// The nearest of many points of the branch, but only where β < γ; else explicit. scVelo's last stage.
    ProjectionBelowGamma,
    /// The nearest of many points of the branch.
    Projection,
}

/// What a gene does in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// On the branch without transcription.
    Repression,
    /// On the branch with transcription.
    Induction,
    /// Not expressed, and not yet transcribed.
    SteadyOff,
    /// At the steady state of transcription.
    SteadyOn,
}

impl Phase {
    /// In the order in which ties are broken.
    const ALL: [Self; 4] = [Self::Repression, Self::Induction, Self::SteadyOff, Self::SteadyOn];
}

/// Times of every cell on either branch, `[n_obs]` each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BranchTimes {
    /// Since the gene was switched on.
    pub on: Vec<f64>,
    /// Since it was switched off.
    pub off: Vec<f64>,
}

/// What a gene does in every cell, `[n_obs]` each.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// The phase with the smallest mean distance over the neighbourhood.
    pub phase: Vec<Phase>,
    /// That distance, squared.
    pub squared: Vec<f32>,
}

/// The nearest phase of every cell; `distances` in the order of [`Phase::ALL`].
pub(super) fn judge(distances: &[[f32; 4]], near: &Neighborhoods) -> Verdict {
    let nearest = |cell: usize| {
        let means = near.means(distances, cell);
        let phase = smallest(&means);
        (Phase::ALL[phase], means[phase])
    };
    let (phase, squared) = (0..distances.len()).map(nearest).unzip();
    Verdict { phase, squared }
}

/// Position of the first smallest value.
fn smallest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] < values[best] { at } else { best })
}

/// The one time of every cell: 0 in [`Phase::SteadyOff`], `t_switch` in [`Phase::SteadyOn`].
pub(super) fn times(phases: &[Phase], branches: &BranchTimes, t_switch: f64) -> Vec<f64> {
    let time = |(cell, phase): (usize, &Phase)| match phase {
        Phase::Repression => t_switch + branches.off[cell],
        Phase::Induction => branches.on[cell],
        Phase::SteadyOff => 0.0,
        Phase::SteadyOn => t_switch,
    };
    phases.iter().enumerate().map(time).collect()
}

/// One time and phase for every cell, `[n_obs]` each.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// Time since the gene was switched on.
    pub t: Vec<f64>,
    /// What the gene does.
    pub phase: Vec<Phase>,
}

/// Times and phases of all cells on the curve of `params`.
pub(super) fn assign(gene: &Gene, params: &Params, rule: Rule, near: &Neighborhoods) -> Assignment {
    let curve = Curve::new(params);
    let branches = branch_times(gene, params, &curve, rule, near);
    let phase = judge(&distances(gene, params, &curve, &branches), near).phase;
    Assignment { t: times(&phase, &branches, curve.t_switch), phase }
}

/// Times on both branches, long gaps closed.
pub(super) fn branch_times(
    gene: &Gene,
    params: &Params,
    curve: &Curve,
    rule: Rule,
    near: &Neighborhoods,
) -> BranchTimes {
    let project = match rule {
        Rule::Explicit => false,
        Rule::ProjectionBelowGamma => params.beta < params.gamma,
        Rule::Projection => true,
    };
    let mut times = if project { projected(gene, params, curve) } else { explicit(gene, params, curve) };
    close_gaps(gene, params, curve, near, &mut times);
    times
}

/// Observed states in units of the model.
fn observed<'a>(gene: &'a Gene, params: &'a Params) -> impl Iterator<Item = State> + 'a {
    gene.u.iter().zip(gene.s).map(|(u, s)| State { u: u / params.scaling, s: *s })
}

fn explicit(gene: &Gene, params: &Params, curve: &Curve) -> BranchTimes {
    let on = observed(gene, params).map(|x| curve.on.explicit_time(x).max(0.0).min(curve.t_switch)).collect();
    let mut off: Vec<f64> = observed(gene, params).map(|x| curve.off.explicit_time(x)).collect();
    let expressed = off.iter().zip(gene.s).filter(|(_, s)| **s > 0.0);
    let latest = expressed.map(|(tau, _)| *tau).fold(0.0, f64::max);
    for tau in &mut off {
        *tau = tau.min(latest);
    }
    BranchTimes { on, off }
}

/// Points on each branch among which the nearest is sought: a fifth of the cells, within these bounds.
const GRID: (usize, usize) = (200, 500);

fn projected(gene: &Gene, params: &Params, curve: &Curve) -> BranchTimes {
    let n_points = (gene.n_obs() / 5).clamp(GRID.0, GRID.1);
    let expressed = gene.u.iter().zip(gene.s).filter(|(_, s)| **s > 0.0);
    let least_u = expressed.map(|(u, _)| u / params.scaling).fold(f64::INFINITY, f64::min);
    let end_off = kinetics::tau_from_u(least_u, curve.off.x0.u, 0.0, params.beta);
    let end_off = end_off.clamp(1e-6 / params.beta, 1e6_f64.ln() / params.beta);
    let grid = |end: f64, skip: usize| -> Vec<f64> {
        (skip..n_points).map(|point| end * point as f64 / (n_points - 1) as f64).collect()
    };
    let on = nearest(gene, params, &curve.on, &grid(curve.t_switch, 0));
    let off = nearest(gene, params, &curve.off, &grid(end_off, 1));
    BranchTimes { on, off }
}

/// For every cell, the time in `grid` at which `branch` is nearest, in the plane of u' and s.
fn nearest(gene: &Gene, params: &Params, branch: &Branch, grid: &[f64]) -> Vec<f64> {
    let point = |&tau: &f64| {
        let State { u, s } = branch.at(tau);
        (u, s, tau)
    };
    let points: Vec<(f64, f64, f64)> = grid.iter().map(point).collect();
    let u: Vec<f64> = gene.u.iter().map(|u| u / params.scaling).collect();
    let (mut tau, mut squared) = (vec![0.0; u.len()], vec![0.0; u.len()]);
    projection::nearest(&points, OnBranch { u: &u, s: gene.s, tau: &mut tau, squared: &mut squared });
    tau
}

/// Squared distances of one cell, in units of the spreads.
struct Metric {
    per_u: f64,
    per_s: f64,
}

impl Metric {
    fn new(gene: &Gene, params: &Params) -> Self {
        Self { per_u: params.scaling / gene.std_u, per_s: gene.std_s.recip() }
    }

    fn squared(&self, a: State, b: State) -> f64 {
        ((a.u - b.u) * self.per_u).powi(2) + ((a.s - b.s) * self.per_s).powi(2)
    }
}

/// Squared distances of every cell, in the order of [`Phase::ALL`].
pub(super) fn distances(gene: &Gene, params: &Params, curve: &Curve, times: &BranchTimes) -> Vec<[f32; 4]> {
    let metric = Metric::new(gene, params);
    let steady = kinetics::steady_state(curve.on.rates);
    let of = |((x, tau_on), tau_off): ((State, &f64), &f64)| {
        [
            metric.squared(x, curve.off.at(*tau_off)),
            metric.squared(x, curve.on.at(*tau_on)),
            metric.squared(x, State::default()),
            metric.squared(x, steady),
        ]
        .map(|distance| distance as f32)
    };
    observed(gene, params).zip(&times.on).zip(&times.off).map(of).collect()
}

/// Gaps between successive times this many times longer than nearly all gaps are closed.
const LONG_GAP: f64 = 3.0;
/// "Nearly all": this percentile.
const MOST_GAPS: f64 = 99.5;

/// Moves cells down in time so that no long stretch of a branch is without cells.
fn close_gaps(gene: &Gene, params: &Params, curve: &Curve, near: &Neighborhoods, times: &mut BranchTimes) {
    let metric = Metric::new(gene, params);
    let of = |((x, tau_on), tau_off): ((State, &f64), &f64)| {
        [metric.squared(x, curve.off.at(*tau_off)) as f32, metric.squared(x, curve.on.at(*tau_on)) as f32]
    };
    let distances: Vec<[f32; 2]> = observed(gene, params).zip(&times.on).zip(&times.off).map(of).collect();
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for cell in 0..gene.n_obs() {
        if smallest(&near.means(&distances, cell)) == 1 { on.push(cell as u32) } else { off.push(cell as u32) }
    }
    let by_time = |cells: &mut Vec<u32>, tau: &[f64]| {
        cells.sort_unstable_by(|&a, &b| tau[a as usize].total_cmp(&tau[b as usize]));
    };
    by_time(&mut on, &times.on);
    by_time(&mut off, &times.off);
    let gaps = |cells: &[u32], tau: &[f64]| -> Vec<f64> {
        let mut before = 0.0;
        cells.iter().map(|&cell| tau[cell as usize] - std::mem::replace(&mut before, tau[cell as usize])).collect()
    };
    let (gaps_on, gaps_off) = (gaps(&on, &times.on), gaps(&off, &times.off));
    let long = LONG_GAP * stats::percentile(&[gaps_on.as_slice(), gaps_off.as_slice()].concat(), MOST_GAPS);
    shift_down(&on, &gaps_on, long, &mut times.on);
    shift_down(&off, &gaps_off, long, &mut times.off);
}

/// Shortens the way to every cell, in order of time, by the long gaps before it.
fn shift_down(ordered: &[u32], gaps: &[f64], long: f64, tau: &mut [f64]) {
    let mut closed = 0.0;
    for (&cell, &gap) in ordered.iter().zip(gaps) {
        if gap > long {
            closed += gap;
        }
        tau[cell as usize] -= closed;
    }
}

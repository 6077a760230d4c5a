//! One gene from its abundances to its velocities.

use super::align;
use super::assign::{self, BranchTimes, Rule, Verdict, branch_times, judge, times};
use super::compat::Fitter;
use super::converge::{converge, scaled_start};
use super::curve::{Curve, Params};
use super::gene::{Gene, Neighborhoods};
use super::objective;
use super::row::{GeneFit, Layers, Row, Status};
use super::settings::{Dynamical, Schedule, VelocityFrom};
use super::start::{Start, start};
use super::velocity;

/// What either schedule finds.
struct Found {
    params: Params,
    branches: BranchTimes,
    verdict: Verdict,
    /// One time per cell, not averaged.
    t: Vec<f64>,
    /// γ/β at the start.
    ratio: f64,
    loss: f64,
    start_loss: f64,
    status: Status,
}

/// Fits one gene with abundances `u` and `s`, `[n_obs]` each. Never fails: a gene without a fit says why.
pub(super) fn fit_gene(settings: &Dynamical, u: &[f64], s: &[f64], near: &Neighborhoods) -> GeneFit {
    let without = |status: Status| GeneFit { row: Row { status, ..Row::default() }, layers: None };
    let Some(gene) = Gene::new(u, s) else { return without(Status::TooFewCells) };
    if gene.is_flat() {
        return without(Status::Degenerate);
    }
    let start = start(&gene);
    if !start.params.is_usable() {
        return without(Status::Degenerate);
    }
    let found = match settings.schedule {
        Schedule::Converged => converged(settings, &gene, &start, near),
        Schedule::Compat => compat(settings, &gene, &start, near),
    };
    if !(found.params.is_usable() && found.loss.is_finite()) {
        return without(Status::Degenerate);
    }
    finished(settings, &gene, &start, found, near)
}

fn converged(settings: &Dynamical, gene: &Gene, start: &Start, near: &Neighborhoods) -> Found {
    let from = if settings.fit_scaling { scaled_start(gene, &start.params) } else { start.params };
    let minimum = converge(gene, near, &from, settings);
    Found {
        t: times(&minimum.verdict.phase, &minimum.times, minimum.params.t_switch),
        params: minimum.params,
        branches: minimum.times,
        verdict: minimum.verdict,
        ratio: from.gamma / from.beta,
        loss: minimum.loss,
        start_loss: minimum.start_loss,
        status: if minimum.has_settled { Status::Fitted } else { Status::NotConverged },
    }
}

fn compat(settings: &Dynamical, gene: &Gene, start: &Start, near: &Neighborhoods) -> Found {
    let mut fitter = Fitter::new(gene, near, start.params, settings);
    let start_loss = fitter.loss();
    fitter.run(settings);
    let rule = if settings.full_projection { Rule::Projection } else { Rule::ProjectionBelowGamma };
    let curve = Curve::new(&fitter.params);
    let branches = branch_times(gene, &fitter.params, &curve, rule, near);
    let verdict = judge(&assign::distances(gene, &fitter.params, &curve, &branches), near);
    Found {
        params: fitter.params,
        branches,
        verdict,
        ratio: fitter.ratio(),
        loss: fitter.loss(),
        start_loss,
        status: Status::Fitted,
        t: fitter.into_times(),
    }
}

/// Scores, clock and velocities of a gene.
fn finished(settings: &Dynamical, gene: &Gene, start: &Start, found: Found, near: &Neighborhoods) -> GeneFit {
    let Found { params, branches, verdict, t, ratio, loss, start_loss, status } = found;
    let likelihood = objective::likelihood(gene, &params, ratio, &t);
    let variance = objective::variance(gene, &params, &t);
    let (moving, clock) = velocity::moving(gene, &params, &branches, &verdict);
    let both: Vec<[f64; 2]> = t.into_iter().zip(clock).map(|(t, clock)| [t, clock]).collect();
    let (mut t, clock): (Vec<f64>, Vec<f64>) = near.averages(&both).into_iter().map(|[t, clock]| (t, clock)).unzip();
    let stretch = align::stretch(&t, params.t_switch, settings.t_max);
    let aligned = align::stretched(&params, stretch);
    let stretched = |tau: Vec<f64>| tau.into_iter().map(|tau| tau * stretch).collect::<Vec<f64>>();
    let branches = BranchTimes { on: stretched(branches.on), off: stretched(branches.off) };
    for t in &mut t {
        *t *= stretch;
    }
    let (velocity, velocity_u) = match settings.velocity {
        VelocityFrom::Fit => velocity::of_fit(gene, &aligned, &moving, &stretched(clock)),
        VelocityFrom::Residuals => velocity::of_residuals(gene, &aligned, &t),
    };
    // The start's modes are in units of its own scaling.
    let steady_u = start.steady.u * start.params.scaling;
    let row = Row {
        status,
        params: aligned,
        likelihood,
        variance,
        std_u: gene.std_u,
        std_s: gene.std_s,
        pval_steady: start.pval_steady,
        steady_u,
        steady_s: start.steady.s,
        alignment_scaling: stretch,
        t_on: 0.0,
        loss,
        start_loss,
    };
    GeneFit { row, layers: Some(Layers { velocity, velocity_u, t, branches }) }
}

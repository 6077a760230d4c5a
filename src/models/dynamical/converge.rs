//! scVelo's objective, minimised until it falls no more.
//!
//! Rounds alternate: the nearest point of either branch for every cell, phases by the mean distances of neighbourhoods,
//! then parameters and times together ([`descent`](super::descent)). Times are projections in all rounds and in the metric of
//! the objective, so no explicit inverse is needed, and gaps in time are left as they are: both could only raise L.
//!
//! A branch that has nearly reached its steady state stands still, and its cells' times there mean nothing. So branches end
//! where what is left of the way is small against the residuals.

use super::assign::{BranchTimes, Phase, Verdict, judge};
use super::curve::Params;
use super::descent::{Descent, Phased, Priors};
use super::gene::{Gene, Neighborhoods};
use super::projection::{OnBranch, refine, scan};
use super::settings::Dynamical;
use super::shape::{Frame, Shape};

/// The minimum that was found.
pub(super) struct Minimum {
    pub params: Params,
    pub times: BranchTimes,
    pub verdict: Verdict,
    /// `L`.
    pub loss: f64,
    /// `L` at the start, times projected.
    pub start_loss: f64,
    /// Whether the last round gained less than the tolerance.
    pub has_settled: bool,
}

/// Minimises from `start` on; the pull is towards its ratio γ/β and its scaling.
pub(super) fn converge(gene: &Gene, near: &Neighborhoods, start: &Params, settings: &Dynamical) -> Minimum {
    let mut fit = Rounds::new(gene, Shape::new(start, gene.std_u, gene.std_s), settings.fit_scaling);
    let (mut best, mut start_loss) = (None::<Round>, f64::NAN);
    let mut has_settled = false;
    for index in 0..settings.max_rounds {
        fit.place(index < FULL_SCANS);
        let verdict = fit.judge(near);
        let loss = fit.loss(&verdict.phase);
        if index == 0 {
            start_loss = loss;
        }
        let objective = fit.priors.objective(&fit.shape, loss);
        fit.extend_reach(loss);
        let before = best.as_ref().map_or(f64::INFINITY, |best| best.objective);
        has_settled = objective >= before * (1.0 - settings.tolerance);
        if objective < before || best.is_none() {
            best = Some(Round {
                shape: fit.shape,
                on: fit.on.clone(),
                off: fit.off.clone(),
                verdict: verdict.clone(),
                loss,
                objective,
            });
        }
        if has_settled {
            break;
        }
        fit.descend(&verdict.phase, INNER * settings.tolerance);
    }
    let best = best.expect("the first round is kept");
    let since = |tau: &[f64]| tau.iter().map(|tau| tau / start.beta).collect();
    Minimum {
        params: best.shape.params(start.beta, gene),
        times: BranchTimes { on: since(&best.on), off: since(&best.off) },
        verdict: best.verdict,
        loss: best.loss,
        start_loss,
        has_settled,
    }
}

/// A descent ends at a gain this many times the tolerance of the rounds: the next round changes the phases anyway.
const INNER: f64 = 10.0;

/// Rounds in which the nearest point is sought along the whole branch; later ones follow it from where it was.
const FULL_SCANS: usize = 2;

/// Where a round stands before its descent.
struct Round {
    shape: Shape,
    /// Times on the branches, in units of 1/β.
    on: Vec<f64>,
    off: Vec<f64>,
    verdict: Verdict,
    loss: f64,
    objective: f64,
}

/// The state of the rounds.
struct Rounds<'a> {
    gene: &'a Gene<'a>,
    /// Abundances in units of the spreads.
    u: Vec<f64>,
    s: Vec<f64>,
    shape: Shape,
    priors: Priors,
    on: Vec<f64>,
    off: Vec<f64>,
    squared_on: Vec<f64>,
    squared_off: Vec<f64>,
    reach: f64,
    damping: f64,
}

/// Reach of the first round.
const FIRST_REACH: f64 = 4.0;
/// Branches end where the rest of the way is e^{−2.5} times the residuals…
const REACH_BEYOND_NOISE: f64 = 2.5;
/// …within these.
const REACH: (f64, f64) = (2.0, 13.8);
/// Damping of the first step.
const FIRST_DAMPING: f64 = 1e-3;

impl<'a> Rounds<'a> {
    fn new(gene: &'a Gene<'a>, shape: Shape, fit_scaling: bool) -> Self {
        let in_spreads = |values: &[f64], std: f64| values.iter().map(|value| value / std).collect::<Vec<f64>>();
        let zeros = vec![0.0; gene.n_obs()];
        Self {
            gene,
            u: in_spreads(gene.u, gene.std_u),
            s: in_spreads(gene.s, gene.std_s),
            shape,
            priors: Priors::new(&shape, gene, fit_scaling),
            on: zeros.clone(),
            off: zeros.clone(),
            squared_on: zeros.clone(),
            squared_off: zeros,
            reach: FIRST_REACH,
            damping: FIRST_DAMPING,
        }
    }

    /// Puts every cell at the nearest point of either branch.
    fn place(&mut self, along_all: bool) {
        let frame = Frame::new(self.shape);
        let (end_on, end_off) = (self.shape.t_switch, self.reach / self.shape.slower());
        let Self { u, s, on, off, squared_on, squared_off, .. } = self;
        if along_all {
            scan::<true>(&frame, OnBranch { u, s, tau: on, squared: squared_on }, end_on);
            scan::<false>(&frame, OnBranch { u, s, tau: off, squared: squared_off }, end_off);
        }
        refine::<true>(&frame, OnBranch { u, s, tau: on, squared: squared_on }, end_on, along_all);
        refine::<false>(&frame, OnBranch { u, s, tau: off, squared: squared_off }, end_off, along_all);
    }

    /// Phases of all cells.
    fn judge(&self, near: &Neighborhoods) -> Verdict {
        let (steady_u, steady_s) = Frame::new(self.shape).steady();
        let of = |cell: usize| {
            let (u, s) = (self.u[cell], self.s[cell]);
            let at_rest = u * u + s * s;
            let steady = (u - steady_u).powi(2) + (s - steady_s).powi(2);
            [self.squared_off[cell] as f32, self.squared_on[cell] as f32, at_rest as f32, steady as f32]
        };
        let distances: Vec<[f32; 4]> = (0..self.gene.n_obs()).map(of).collect();
        judge(&distances, near)
    }

    /// `L`.
    fn loss(&self, phases: &[Phase]) -> f64 {
        let switch = Frame::new(self.shape).switch();
        let squared = |&cell: &u32| {
            let cell = cell as usize;
            match phases[cell] {
                Phase::Repression => self.squared_off[cell],
                Phase::Induction => self.squared_on[cell],
                Phase::SteadyOff => self.u[cell].powi(2) + self.s[cell].powi(2),
                Phase::SteadyOn => (self.u[cell] - switch.u).powi(2) + (self.s[cell] - switch.s).powi(2),
            }
        };
        self.gene.counted.iter().map(squared).sum::<f64>() + self.priors.regularization(&self.shape)
    }

    /// Lets branches go on to where the rest of the way disappears in the residuals; never back.
    fn extend_reach(&mut self, loss: f64) {
        let switch = Frame::new(self.shape).switch();
        let noise = (0.5 * loss / self.gene.counted.len() as f64).sqrt();
        let reach = REACH_BEYOND_NOISE + (switch.u.min(switch.s) / noise).ln();
        self.reach = self.reach.max(reach.min(REACH.1)).max(REACH.0);
    }

    /// Parameters and times, the phases given.
    fn descend(&mut self, phases: &[Phase], tolerance: f64) {
        let mut cells = Phased::with_capacity(self.gene.counted.len());
        for &cell in &self.gene.counted {
            let at = cell as usize;
            let (u, s) = (self.u[at], self.s[at]);
            match phases[at] {
                Phase::Repression => cells.off.push(cell, u, s, self.off[at]),
                Phase::Induction => cells.on.push(cell, u, s, self.on[at]),
                Phase::SteadyOff => cells.steady_off.push(u, s),
                Phase::SteadyOn => cells.steady_on.push(u, s),
            }
        }
        let mut descent = Descent::new(self.shape, &mut cells, &self.priors, self.reach);
        descent.run(&mut self.damping, tolerance);
        self.shape = descent.shape;
        for (times, group) in [(&mut self.on, &cells.on), (&mut self.off, &cells.off)] {
            for (&cell, &tau) in group.cells.iter().zip(&group.tau) {
                times[cell as usize] = tau;
            }
        }
    }
}

/// Cells on which scalings are compared at most.
const SAMPLE: usize = 300;

/// The start with the scaling under which the curve of the start lies nearest to the cells, slope and rate of splicing kept.
///
/// The search is scVelo's (two passes of four, around the best so far), but by projection, over every branch, and on a part
/// of the cells.
pub(super) fn scaled_start(gene: &Gene, start: &Params) -> Params {
    let every = gene.counted.len().div_ceil(SAMPLE);
    let sample = || gene.counted.iter().step_by(every).map(|&cell| cell as usize);
    let u: Vec<f64> = sample().map(|cell| gene.u[cell] / gene.std_u).collect();
    let s: Vec<f64> = sample().map(|cell| gene.s[cell] / gene.std_s).collect();
    let (mut tau, mut on, mut off) = (vec![0.0; u.len()], vec![0.0; u.len()], vec![0.0; u.len()]);
    let mut loss = |params: &Params| -> f64 {
        let shape = Shape::new(params, gene.std_u, gene.std_s);
        let frame = Frame::new(shape);
        scan::<true>(&frame, OnBranch { u: &u, s: &s, tau: &mut tau, squared: &mut on }, shape.t_switch);
        let end = FIRST_REACH / shape.slower();
        scan::<false>(&frame, OnBranch { u: &u, s: &s, tau: &mut tau, squared: &mut off }, end);
        on.iter().zip(&off).map(|(on, off)| on.min(*off)).sum()
    };
    let (mut best, mut least) = (*start, loss(start));
    for sight in [0.5, 0.1] {
        let centre = best;
        for part in [-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0] {
            let factor = 1.0 + part * sight;
            let trial = Params { scaling: centre.scaling * factor, beta: centre.beta * factor, ..centre };
            let trial_loss = loss(&trial);
            if trial_loss < least {
                (best, least) = (trial, trial_loss);
            }
        }
    }
    best
}

//! One time per cell for all genes: the exact optimisation over a time that genes share.
//!
//! With `time_scope = "shared"` the fits of single genes are only the start. Then two steps alternate until the sum of all
//! genes' losses falls no more; neither can raise it:
//!
//! - every cell takes the time at which *all* genes together are nearest,
//!   `t_c = argmin_t Σ_g D_g(x_cg, x̂_g(t))`, the best of a grid and of its present time;
//! - every gene fits its curve to the cells' times: now it is switched on at a time of its own, `t_on`.
//!
//! scVelo shares no time between genes while it fits. Time is known up to a factor and lies in `[0, t_max]`.

use std::ops::Range;

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::curve::Params;
use super::descent::solved;
use super::gene::Gene;
use super::objective;
use super::projection::distance;
use super::row::Row;
use super::settings::VelocityFrom;
use super::shape::{Frame, Point, Shape};
use crate::data::{Dataset, Team};
use crate::error::Result;
use crate::kinetics::{self, Rates, State};
use crate::stats;

/// A gene on the shared clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SharedGene {
    /// Position among the kept genes.
    pub index: usize,
    /// Parameters; `t_switch` counts from time 0 of the clock.
    pub params: Params,
    /// Time of switching on.
    pub t_on: f64,
    /// Its part of the sum of squares, the pull on γ/β included.
    pub loss: f64,
    std_u: f64,
    std_s: f64,
    /// γ/β at the start, and the strength of the pull towards it.
    ratio: f64,
    pull: f64,
}

/// All genes on one clock, and the cells' times, `[n_obs]`.
pub(super) struct Shared {
    pub genes: Vec<SharedGene>,
    pub times: Vec<f64>,
    /// Sum of all losses after every round; it never rises.
    pub losses: Vec<f64>,
}

/// Points of the clock among which a cell's time is sought.
const POINTS: usize = 200;

/// Fits `genes` on one clock, from times of their own `fit_t`, `[n_obs, n_vars]`; at most `max_rounds` rounds.
pub(super) fn share(
    data: &Dataset,
    genes: Vec<SharedGene>,
    fit_t: &Array2<f32>,
    (t_max, max_rounds, tolerance): (f64, usize, f64),
    team: &Team,
) -> Result<Shared> {
    let times = consensus(fit_t, &genes, t_max);
    let mut shared = Shared { genes, times, losses: Vec::new() };
    for _ in 0..max_rounds {
        let my_genes = team.part(shared.genes.len());
        shared.genes = team.joined(fitted(data, &shared.genes[my_genes], &shared.times, t_max))?;
        let my_cells = team.part(shared.times.len());
        shared.times = team.joined(nearest_times(data, &shared.genes, (&shared.times, my_cells), t_max))?;
        let loss = shared.genes.par_iter().map(|gene| gene.loss_at(data, &shared.times)).collect::<Vec<f64>>();
        let total: f64 = loss.iter().sum();
        shared.genes.iter_mut().zip(loss).for_each(|(gene, loss)| gene.loss = loss);
        let before = shared.losses.last().copied().unwrap_or(f64::INFINITY);
        shared.losses.push(total);
        if total >= before * (1.0 - tolerance) {
            break;
        }
    }
    Ok(shared)
}

/// First times: the median over genes of the ranks of a cell's times, as a rank over `[0, t_max]` again.
fn consensus(fit_t: &Array2<f32>, genes: &[SharedGene], t_max: f64) -> Vec<f64> {
    let n_obs = fit_t.nrows();
    let spread = |values: &[f64]| -> Vec<f64> {
        stats::ranks(values).iter().map(|rank| t_max * (rank - 1.0) / (n_obs.max(2) - 1) as f64).collect()
    };
    let column = |gene: &SharedGene| -> Vec<f64> {
        spread(&fit_t.column(gene.index).iter().map(|&t| f64::from(t)).collect::<Vec<f64>>())
    };
    let ranked: Vec<Vec<f64>> = genes.par_iter().map(column).collect();
    let median = |cell: usize| stats::median(&ranked.iter().map(|gene| gene[cell]).collect::<Vec<f64>>());
    spread(&(0..n_obs).into_par_iter().map(median).collect::<Vec<f64>>())
}

/// Every gene's curve for the cells' `times`: the best of descents from where it was, and from three fresh starts.
///
/// A curve whose switches both lie outside the clock does not feel them: no descent leads from one that rises throughout to one
/// that falls. So both are tried, and the gene's own course without delay.
fn fitted(data: &Dataset, genes: &[SharedGene], times: &[f64], t_max: f64) -> Vec<SharedGene> {
    let fit = |gene: &SharedGene| {
        let cells = Observed::new(data, gene);
        let t_off = gene.params.t_switch;
        let starts = [(gene.t_on, t_off), (0.0, t_off), (0.0, 2.0 * t_max), (-t_max, 0.0)];
        let from = |(t_on, t_switch): (f64, f64)| {
            let params = Params { t_switch, ..gene.params };
            SharedGene { params, t_on, ..*gene }.descended(&cells, times, t_max)
        };
        let best = |best: SharedGene, other: SharedGene| if other.loss < best.loss { other } else { best };
        let [here, fresh @ ..] = starts.map(from);
        fresh.into_iter().fold(here, best)
    };
    genes.par_iter().map(fit).collect()
}

/// Abundances of a gene in units of its spreads, `[n_obs]` each.
struct Observed {
    u: Vec<f64>,
    s: Vec<f64>,
}

impl Observed {
    fn new(data: &Dataset, gene: &SharedGene) -> Self {
        let scaled = |column: ArrayView1<'_, f32>, std: f64| column.iter().map(|&x| f64::from(x) / std).collect();
        Self { u: scaled(data.mu.column(gene.index), gene.std_u), s: scaled(data.ms.column(gene.index), gene.std_s) }
    }
}

/// Parameters of a gene on the clock: ln A_s, ρ, ln β, t_on, t_off.
const N: usize = 5;
/// Steps of one descent at most.
const STEPS: usize = 10;
/// Shortest time between the switches, as a part of the clock.
const SHORTEST: f64 = 1e-3;

impl SharedGene {
    /// The fit of a single gene as a start; γ/β is pulled to where it is.
    pub(super) fn new(data: &Dataset, index: usize, row: &Row) -> Self {
        let Row { params, std_u, std_s, .. } = *row;
        let pull = data.ms.column(index).iter().map(|&s| (f64::from(s) / std_s).powi(2)).sum();
        Self { index, params, t_on: 0.0, loss: f64::NAN, std_u, std_s, ratio: params.gamma / params.beta, pull }
    }

    /// Likelihood and variance of the gene at the cells' times, as a gene with a time of its own has them.
    pub(super) fn scores(&self, data: &Dataset, times: &[f64]) -> (f64, f64) {
        let column = |column: ArrayView1<'_, f32>| column.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let (u, s) = (column(data.mu.column(self.index)), column(data.ms.column(self.index)));
        let Some(gene) = Gene::new(&u, &s) else { return (f64::NAN, f64::NAN) };
        let params = self.since_on();
        let t: Vec<f64> = times.iter().map(|t| (t - self.t_on).max(0.0)).collect();
        (objective::likelihood(&gene, &params, self.ratio, &t), objective::variance(&gene, &params, &t))
    }

    /// The parameters on a clock that starts when the gene is switched on.
    fn since_on(&self) -> Params {
        Params { t_switch: self.params.t_switch - self.t_on, ..self.params }
    }

    fn frame(&self) -> Frame {
        Frame::new(Shape::new(&self.since_on(), self.std_u, self.std_s))
    }

    /// The point at time `t`, and whether the gene is transcribed then.
    fn at(&self, frame: &Frame, t: f64) -> (Point, bool) {
        let Params { beta, t_switch, .. } = self.params;
        if t < t_switch {
            (frame.at::<false, true>(beta * (t - self.t_on).max(0.0)), true)
        } else {
            (frame.at::<false, false>(beta * (t - t_switch)), false)
        }
    }

    fn regularization(&self) -> f64 {
        self.pull * (self.params.gamma / self.params.beta - self.ratio).powi(2)
    }

    fn loss_of(&self, cells: &Observed, times: &[f64]) -> f64 {
        let frame = self.frame();
        let squared = |((&u, &s), &t): ((&f64, &f64), &f64)| distance(&self.at(&frame, t).0, u, s);
        cells.u.iter().zip(&cells.s).zip(times).map(squared).sum::<f64>() + self.regularization()
    }

    fn loss_at(&self, data: &Dataset, times: &[f64]) -> f64 {
        self.loss_of(&Observed::new(data, self), times)
    }

    /// Derivatives of u and s by the parameters, at time `t`.
    fn rows(&self, frame: &Frame, t: f64) -> (Point, [f64; N], [f64; N]) {
        let Params { beta, t_switch, .. } = self.params;
        let (point, on) = self.at(frame, t);
        let induction = beta * (t_switch - self.t_on);
        // By ln β, t_on and t_off; (τ, t_s) are β times differences of times.
        let by_times = |by_tau: f64, by_switch: f64| {
            if on {
                let since = beta * (t - self.t_on).max(0.0);
                let delay = if since > 0.0 { -beta * by_tau } else { 0.0 };
                [by_tau * since, delay, 0.0]
            } else {
                let since = beta * (t - t_switch);
                [by_tau * since + by_switch * induction, -beta * by_switch, beta * (by_switch - by_tau)]
            }
        };
        let [a, b, c] = by_times(point.u_by_tau, point.u_by_switch);
        let [d, e, f] = by_times(point.s_by_tau, point.s_by_switch);
        (point, [point.u, 0.0, a, b, c], [point.s, point.s_by_ratio, d, e, f])
    }

    /// H and b of the sum of squares.
    fn equations(&self, cells: &Observed, times: &[f64]) -> ([[f64; N]; N], [f64; N]) {
        let frame = self.frame();
        let (mut hessian, mut gradient) = ([[0.0; N]; N], [0.0; N]);
        for ((&u, &s), &t) in cells.u.iter().zip(&cells.s).zip(times) {
            let (point, row_u, row_s) = self.rows(&frame, t);
            for i in 0..N {
                gradient[i] += row_u[i] * (point.u - u) + row_s[i] * (point.s - s);
                for j in 0..N {
                    hessian[i][j] += row_u[i] * row_u[j] + row_s[i] * row_s[j];
                }
            }
        }
        gradient[1] += self.pull * (self.params.gamma / self.params.beta - self.ratio);
        hessian[1][1] += self.pull;
        (hessian, gradient)
    }

    /// The gene after damped Gauss-Newton steps; never with a larger loss.
    fn descended(self, cells: &Observed, times: &[f64], t_max: f64) -> Self {
        let mut best = Self { loss: self.loss_of(cells, times), ..self };
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let (hessian, gradient) = best.equations(cells, times);
            let trial = best.moved(&hessian, gradient, damping, t_max);
            let loss = trial.loss_of(cells, times);
            if loss < best.loss {
                let settled = loss > best.loss * (1.0 - 1e-4);
                best = Self { loss, ..trial };
                damping *= 0.2;
                if settled {
                    break;
                }
            } else {
                damping *= 10.0;
            }
        }
        best
    }

    fn moved(&self, hessian: &[[f64; N]; N], gradient: [f64; N], damping: f64, t_max: f64) -> Self {
        let mut a = *hessian;
        for (i, row) in a.iter_mut().enumerate() {
            row[i] = row[i] * (1.0 + damping) + 1e-9;
        }
        let step = solved(&a, gradient);
        let factor = |log: f64| (-log.clamp(-1.0, 1.0)).exp();
        let Params { alpha, beta, gamma, scaling, t_switch } = self.params;
        let ratio = gamma / beta;
        let new_ratio = ratio * factor(step[1] / ratio);
        let new_beta = (beta * factor(step[2])).clamp(1e-3 / t_max, 1e3 / t_max);
        let longest = 0.25 * t_max;
        let t_on = (self.t_on - step[3].clamp(-longest, longest)).clamp(-t_max, t_max * (1.0 - SHORTEST));
        let t_off = (t_switch - step[4].clamp(-longest, longest)).clamp(t_on + SHORTEST * t_max, 2.0 * t_max);
        let params = Params {
            alpha: alpha / beta * factor(step[0]) * new_beta,
            beta: new_beta,
            gamma: new_ratio * new_beta,
            scaling,
            t_switch: t_off,
        };
        Self { params, t_on, ..*self }
    }
}

/// The times of the given cells with the smallest sum of squares over all genes: on a grid, or where they were.
fn nearest_times(data: &Dataset, genes: &[SharedGene], (times, cells): (&[f64], Range<usize>), t_max: f64) -> Vec<f64> {
    let frames: Vec<Frame> = genes.iter().map(SharedGene::frame).collect();
    let curve_at = |t: f64| -> Vec<[f32; 2]> {
        let point = |(gene, frame): (&SharedGene, &Frame)| {
            let (point, _) = gene.at(frame, t);
            [point.u as f32, point.s as f32]
        };
        genes.iter().zip(&frames).map(point).collect()
    };
    let grid: Vec<f64> = (0..POINTS).map(|k| t_max * k as f64 / (POINTS - 1) as f64).collect();
    let curves: Vec<Vec<[f32; 2]>> = grid.par_iter().map(|&t| curve_at(t)).collect();
    let best = |cell: usize| {
        let now = times[cell];
        let observed: Vec<[f32; 2]> = genes
            .iter()
            .map(|gene| {
                let at = [cell, gene.index];
                [(f64::from(data.mu[at]) / gene.std_u) as f32, (f64::from(data.ms[at]) / gene.std_s) as f32]
            })
            .collect();
        let sum = |curve: &[[f32; 2]]| -> f64 {
            let squared = |(a, b): (&[f32; 2], &[f32; 2])| f64::from((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2));
            curve.iter().zip(&observed).map(squared).sum()
        };
        let mut best = (sum(&curve_at(now)), now);
        for (&t, curve) in grid.iter().zip(&curves) {
            let squares = sum(curve);
            if squares < best.0 {
                best = (squares, t);
            }
        }
        best.1
    };
    cells.into_par_iter().map(best).collect()
}

/// `(velocity, velocity_u)` of a gene at the cells' times, `[n_obs]` each.
pub(super) fn velocity(data: &Dataset, gene: &SharedGene, times: &[f64], from: VelocityFrom) -> (Vec<f64>, Vec<f64>) {
    match from {
        VelocityFrom::Fit => of_fit(data, gene, times),
        VelocityFrom::Residuals => of_residuals(data, gene, times),
    }
}

/// Velocities from the observed abundances, without bounds; `velocity.rs` has the same for a gene with times of its own.
fn of_residuals(data: &Dataset, gene: &SharedGene, times: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let Params { alpha, beta, gamma, scaling, t_switch } = gene.params;
    let rates_of = |(cell, &t): (usize, &f64)| {
        let at = [cell, gene.index];
        let observed = State { u: f64::from(data.mu[at]) / scaling, s: f64::from(data.ms[at]) };
        let is_on = gene.t_on <= t && t < t_switch;
        let rates = Rates { alpha: if is_on { alpha } else { 0.0 }, beta, gamma };
        let velocity = kinetics::velocity(observed, rates);
        (velocity.s, velocity.u * scaling)
    };
    times.iter().enumerate().map(rates_of).unzip()
}

/// Velocities of the curve, at least `−s` and `−u`.
fn of_fit(data: &Dataset, gene: &SharedGene, times: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let frame = gene.frame();
    let Params { beta, .. } = gene.params;
    let rates_of = |(cell, &t): (usize, &f64)| {
        if t < gene.t_on {
            return (0.0, 0.0);
        }
        let (point, _) = gene.at(&frame, t);
        let [u, s] = [f64::from(data.mu[[cell, gene.index]]), f64::from(data.ms[[cell, gene.index]])];
        // By τ = β t and in units of the spreads.
        ((point.s_by_tau * beta * gene.std_s).max(-s), (point.u_by_tau * beta * gene.std_u).max(-u))
    };
    times.iter().enumerate().map(rates_of).unzip()
}

//! Expectation and maximisation of a mixture of J states, whatever the states are.
//!
//! ```text
//! F = Σ_i ln Σ_j π_j f_j(x_i; θ) + c Σ_j ln π_j
//!
//! E:  q_ij = π_j f_j(x_i) / Σ_k π_k f_k(x_i)          N_j = Σ_i q_ij
//! M:  π_j = (N_j + c)/(N + J c),   θ such that Σ_ij q_ij ln f_j(x_i; θ) does not fall
//! ```
//!
//! Whatever the `f_j` are, as long as they are positive, neither step lowers F (Dempster, Laird and Rubin 1977): by Jensen's
//! inequality F gains at least what the M-step gains. The second term is the prior that c pseudo-observations in every state
//! stand for; with c = 0, π is the mean responsibility. Observations may come in groups, each with a π of its own.
//!
//! The states and their M-step are a [`Mixture`]; the tests below fit plain mixtures of normal distributions with this same code.

use std::ops::Range;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::error::Result;
use crate::simd::{Vectorized, exp_f64, vectorize};

/// States with densities, and the M-step of their parameters.
pub(super) trait Mixture: Sync {
    /// Sums over observations that the M-step needs besides those of the responsibilities.
    type Sums: Send;

    /// `(observations, states)`.
    fn dim(&self) -> (usize, usize);

    /// Sums over no observation.
    fn no_sums(&self) -> Self::Sums;

    /// Writes `ln f_j(x_i)` of the observations `rows` to `out`, `[rows, states]`.
    fn log_densities(&self, rows: Range<usize>, out: &mut Array2<f64>);

    /// Adds the observations `rows` with responsibilities `q`, `[rows, states]`, to `sums`.
    fn gather(&self, rows: Range<usize>, q: &Array2<f64>, sums: &mut Self::Sums);

    /// Adds `more` to `sums`.
    fn add(&self, sums: &mut Self::Sums, more: Self::Sums);

    /// Parameters that do not lower `Σ_ij q_ij ln f_j(x_i)`; `shares` holds the `N_j`.
    fn maximize(&mut self, shares: &[f64], sums: &Self::Sums);
}

/// π: how observations spread over the states, before they are looked at.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// `ln π_j` of each group, `[groups, states]`.
    log: Array2<f64>,
    /// Group of each observation; all are in group 0 if empty.
    group: Vec<u32>,
    /// c.
    smoothing: f64,
    learned: bool,
}

impl Spread {
    /// The same π for all, even over `n_states` at first.
    pub(super) fn even(n_states: usize, smoothing: f64, learned: bool) -> Self {
        let log = Array2::from_elem((1, n_states), -(n_states as f64).ln());
        Self { log, group: Vec::new(), smoothing, learned }
    }

    /// A π for every group, proportional at first to the exponential of `log_weights`, `[groups, states]`.
    pub(super) fn grouped(mut log_weights: Array2<f64>, group: Vec<u32>, smoothing: f64, learned: bool) -> Self {
        for mut row in log_weights.rows_mut() {
            let total = normalize(&mut row.to_vec());
            row.mapv_inplace(|log| log - total);
        }
        Self { log: log_weights, group, smoothing, learned }
    }

    /// The part of F that belongs to π: `c Σ ln π_j`, a constant (left out) unless π is learned.
    pub(super) fn penalty(&self) -> f64 {
        if self.learned && self.smoothing > 0.0 { self.smoothing * self.log.sum() } else { 0.0 }
    }

    /// `ln π` of observation `i`, `[states]`.
    pub(super) fn log_of(&self, i: usize) -> &[f64] {
        let n_states = self.log.ncols();
        let at = self.group_of(i) * n_states;
        &self.log.as_slice().expect("built in rows")[at..at + n_states]
    }

    fn group_of(&self, i: usize) -> usize {
        self.group.get(i).map_or(0, |&group| group as usize)
    }

    /// The M-step of π from `N_j` per group.
    fn maximize(&mut self, shares: &Array2<f64>) {
        if !self.learned {
            return;
        }
        let pseudo = self.smoothing * self.log.ncols() as f64;
        for (mut log, shares) in self.log.rows_mut().into_iter().zip(shares.rows()) {
            let total = shares.sum() + pseudo;
            log.zip_mut_with(&shares, |log, share| *log = ((share + self.smoothing) / total).ln());
        }
    }
}

/// What an E-step finds.
pub(super) struct Expected<S> {
    /// `Σ_i ln Σ_j π_j f_j(x_i)`.
    pub evidence: f64,
    /// `N_j` of each group, `[groups, states]`.
    pub shares: Array2<f64>,
    /// The mixture's own sums.
    pub sums: S,
}

/// Observations that are worked on together.
const BLOCK: usize = 128;
/// Runs of blocks whose sums are kept apart until the end: as many threads can work at once, on any number the sums are the same.
const RUNS: usize = 32;

/// Adds up all observations; `respond` gives the responsibilities of some, `[rows, states]`, and their evidence.
pub(super) fn collect<M: Mixture>(
    mixture: &M,
    spread: &Spread,
    respond: impl Fn(Range<usize>) -> (Array2<f64>, f64) + Sync,
) -> Expected<M::Sums> {
    let (n_obs, _) = mixture.dim();
    let blocks = n_obs.div_ceil(BLOCK);
    let runs = blocks.clamp(1, RUNS);
    let nothing = || Expected { evidence: 0.0, shares: Array2::zeros(spread.log.raw_dim()), sums: mixture.no_sums() };
    let run = |at: usize| {
        let mut found = nothing();
        for block in blocks * at / runs..blocks * (at + 1) / runs {
            let rows = block * BLOCK..n_obs.min((block + 1) * BLOCK);
            let (q, evidence) = respond(rows.clone());
            found.evidence += evidence;
            for (i, q) in rows.clone().zip(q.rows()) {
                let mut shares = found.shares.row_mut(spread.group_of(i));
                shares += &q;
            }
            mixture.gather(rows, &q, &mut found.sums);
        }
        found
    };
    let found: Vec<Expected<M::Sums>> = (0..runs).into_par_iter().map(run).collect();
    found.into_iter().fold(nothing(), |mut all, more| {
        all.evidence += more.evidence;
        all.shares += &more.shares;
        mixture.add(&mut all.sums, more.sums);
        all
    })
}

/// Responsibilities of the observations `rows`, `[rows, states]`, and their evidence.
pub(super) fn posterior<M: Mixture>(mixture: &M, spread: &Spread, rows: Range<usize>) -> (Array2<f64>, f64) {
    let mut q = Array2::zeros((rows.len(), mixture.dim().1));
    mixture.log_densities(rows.clone(), &mut q);
    let mut evidence = 0.0;
    for (i, mut row) in rows.zip(q.axis_iter_mut(Axis(0))) {
        let row = row.as_slice_mut().expect("a row of a standard array");
        for (log, prior) in row.iter_mut().zip(spread.log_of(i)) {
            *log += prior;
        }
        evidence += normalize(row);
    }
    (q, evidence)
}

/// Replaces logarithms of weights by the weights divided by their sum, and returns the logarithm of that sum.
///
/// Weights below e^−700 of the largest become 0.
pub(super) fn normalize(log_weights: &mut [f64]) -> f64 {
    let mut found = [0.0; 2];
    vectorize(Weights { values: log_weights, found: &mut found });
    let [most, total] = found;
    let share = total.recip();
    for weight in log_weights {
        *weight *= share;
    }
    most + total.ln()
}

/// Maxima and sums run in as many lanes: no operation waits for the one before it, and the order does not depend on the
/// processor.
const LANES: usize = 8;

/// Exponentials of values less their largest, and `found`: that largest value, and the sum of the exponentials.
struct Weights<'a> {
    values: &'a mut [f64],
    found: &'a mut [f64; 2],
}

impl Vectorized for Weights<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let larger = |a: f64, b: f64| if b > a { b } else { a };
        let mut lanes = [f64::NEG_INFINITY; LANES];
        let (chunks, rest) = self.values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane = larger(*lane, *value);
            }
        }
        let most = lanes.into_iter().chain(rest.iter().copied()).fold(f64::NEG_INFINITY, larger);
        let weight = |value: f64| {
            let x = value - most;
            if x > -700.0 { exp_f64::<FMA>(x) } else { 0.0 }
        };
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.values.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *value = weight(*value);
                *lane += *value;
            }
        }
        let mut total: f64 = lanes.iter().sum();
        for value in rest {
            *value = weight(*value);
            total += *value;
        }
        *self.found = [most, total];
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// Rounds at most.
    pub most: usize,
    /// A round that raises F by less than this part of it is the last.
    pub tolerance: f64,
}

/// F after every E-step, and whether the rounds ended because it rose no more.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub objective: Vec<f64>,
    pub converged: bool,
}

impl History {
    /// F at the end.
    pub(super) fn last(&self) -> f64 {
        self.objective.last().copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// M-steps so far.
    pub(super) fn rounds(&self) -> usize {
        self.objective.len().saturating_sub(1)
    }
}

/// Alternates E- and M-steps until `rounds.most` lie behind; ends with an E-step, so that F is that of the parameters. `after`
/// hears of every E-step and can end the rounds with an error. Goes on where `history` ends.
pub(super) fn run<M: Mixture>(
    mixture: &mut M,
    spread: &mut Spread,
    rounds: Rounds,
    history: &mut History,
    mut after: impl FnMut(usize, f64) -> Result<()>,
) -> Result<()> {
    // F of these parameters is known already; what else the E-step found is not, so it is done again.
    let mut repeats = history.objective.pop().is_some();
    loop {
        let found = collect(mixture, spread, |rows| posterior(mixture, spread, rows));
        let objective = found.evidence + spread.penalty();
        let round = history.objective.len();
        let gain = history.objective.last().map(|before| (objective - before) / before.abs());
        history.objective.push(objective);
        after(round, objective)?;
        history.converged = !repeats && gain.is_some_and(|gain| gain < rounds.tolerance);
        repeats = false;
        if history.converged || round >= rounds.most || !objective.is_finite() {
            return Ok(());
        }
        spread.maximize(&found.shares);
        mixture.maximize(&found.shares.sum_axis(Axis(0)).to_vec(), &found.sums);
    }
}

#[cfg(test)]
mod tests;

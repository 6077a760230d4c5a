//! Root cells and end points.
//!
//! Cells that follow their velocities gather at the end points, and cells that follow them backward at the roots. Where,
//! says a stationary distribution of the transition matrix T; for roots, of the transposed weights, rows divided by their sums:
//!
//! ```text
//! μ T = λ μ           λ = 1
//! μ ← |μ|,  0 below P2(μ),  cut at P98(μ),  / max(μ)
//! s = W Σ μ           W: mean over a cell and its nearest neighbours
//! score = (s cut at P98(s)) moved and stretched to [0, 1]
//! ```
//!
//! Source: Bergen et al. 2020, Methods; behaviour of scVelo 0.3.4 `tl.terminal_states`.
//!
//! **What is solved.** If several vectors have λ = 1, any mixture of them does too, and what a solver returns is chance. So
//! cells are first divided into communicating classes (cells that can all reach each other). On one such class
//! μ is unique and positive (Perron and Frobenius), and λ is the chance to stay in it for one more step: 1 if it is closed, less
//! if it leaks. A class is a terminal state if it has at least `min_share` of all cells and leads to no other that has;
//! a component of that many cells without such a class, such as a chain, counts with all its classes. Vectors of a class
//! with λ ≥ (1 − `tolerance`) λ₁ mark parts of it that cells hardly leave, and count as in scVelo. μ is found by following a walk;
//! only where that does not settle, because there are such parts, by Krylov spaces. Where neither gives an answer that holds
//! (`stationary.rs` says which does), it is where cells are after 10,000 steps of the walk, and [`TerminalState::settled`] is false.
//!
//! **Departures.** scVelo takes what eigenvectors of all of T it finds with λ ≥ 1 − 10⁻³. Five cells without anybody
//! moving to them, and so without a row in the backward matrix, are then enough for no roots at all (λ₁ = 0.994 in one of
//! our tests); and two cells that only have each other are enough for a distribution on these two, whose 98th percentile is 0:
//! the scores are then rounding errors of the solver, stretched to [0, 1]. Neither happens here by default.
//! With `min_share = 0` and `max_leak = 0.001`, classes of all sizes are kept and those that leak dropped, as scVelo would in exact
//! arithmetic. Where `var["gene_count_corr"]` is there, scVelo also sets roots among cells that express few genes to 0; this is left out.

use super::average::{cut_top, over_neighborhoods, to_unit};
use super::classes::{Partition, classes, components};
use super::settings::TerminalConfig;
use super::stationary::{Stationary, stationary};
use crate::error::{Error, Result};
use crate::sparse::Csr;
use crate::stats::{count, percentile};

/// Where a walk along a transition matrix ends.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// In [0, 1], `[n_obs]`: `root_cells` of the backward matrix, `end_points` of the forward one. All 0 if nothing is terminal.
    pub scores: Vec<f64>,
    /// Parts of the data without transitions between them.
    pub n_components: usize,
    /// How many cells are in parts too small to have a terminal state.
    pub n_apart: usize,
    /// Communicating classes, of any size, that no cell leaves.
    pub n_closed: usize,
    /// The terminal states.
    pub states: Vec<TerminalState>,
}

/// Cells that are hardly left once they are reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TerminalState {
    /// How many cells can all reach each other in it.
    pub n_cells: usize,
    /// λ₁, the chance to stay for one more step.
    pub stays: f64,
    /// How many distributions it has: 1, and one for each further part that is hardly left.
    pub n_vectors: usize,
    /// Whether they are stationary. If not, the one distribution says where cells are after 10,000 steps that begin almost evenly
    /// everywhere in the state (each step is skipped with a chance of 0.1).
    pub settled: bool,
}

/// Terminal states of `transitions`, `[n_obs, n_obs]`: of [`transition_matrix`](crate::graph::transition_matrix) without
/// self-transitions the end points, of [`backward`](crate::graph::backward) of [`weights`](crate::graph::weights) the roots.
///
/// - `distances`: to the directed nearest neighbours, `[n_obs, n_obs]`
///
/// # Errors
/// [`Error::Setting`] as [`TerminalConfig::validate`]; [`Error::Shape`] if the matrices do not fit; [`Error::Data`] if a
/// transition is negative or not finite.
pub fn terminal_states(transitions: &Csr<f32>, distances: &Csr<f32>, config: &TerminalConfig) -> Result<Terminal> {
    config.validate()?;
    let n_obs = transitions.n_rows;
    for (what, matrix) in [("transition matrix", transitions), ("distances between cells", distances)] {
        if (matrix.n_rows, matrix.n_cols) != (n_obs, n_obs) {
            let found = vec![matrix.n_rows, matrix.n_cols];
            return Err(Error::Shape { what: what.to_owned(), wanted: vec![n_obs, n_obs], found });
        }
    }
    if let Some(value) = transitions.data.iter().find(|value| !value.is_finite() || **value < 0.0) {
        return Err(Error::Data {
            problem: format!("transition matrix: {value} is not a probability"),
            hint: "make the transitions without negative weights".to_owned(),
        });
    }
    let parts = components(transitions);
    // One cell is no state, even where it is 1 % of the cells.
    let least = if config.min_share > 0.0 { (config.min_share * count(n_obs)).max(2.0) } else { 0.0 };
    let apart = parts.sizes().into_iter().filter(|&size| count(size) < least).sum();
    let groups = classes(transitions);
    let Ends { terminal, n_closed } = ends(transitions, &groups, &parts, least);

    let mut sum = vec![0.0; n_obs];
    let mut states = Vec::new();
    for cells in members(&groups, &terminal) {
        let Some((state, vectors)) = distributions(transitions, &cells, config) else { continue };
        states.push(state);
        for vector in vectors {
            let mut everywhere = vec![0.0; n_obs];
            cells.iter().zip(vector).for_each(|(&cell, value)| everywhere[cell] = value.abs());
            shape(&mut everywhere);
            sum.iter_mut().zip(everywhere).for_each(|(sum, value)| *sum += value);
        }
    }
    let mut scores = over_neighborhoods(distances, &sum);
    cut_top(&mut scores);
    to_unit(&mut scores);
    Ok(Terminal { scores, n_components: parts.n, n_apart: apart, n_closed, states })
}

struct Ends {
    /// Whether each class is a terminal state.
    terminal: Vec<bool>,
    n_closed: usize,
}

/// Which classes are terminal: those that count and lead to no other that counts.
fn ends(transitions: &Csr<f32>, groups: &Partition, parts: &Partition, least: f64) -> Ends {
    let large: Vec<bool> = groups.sizes().into_iter().map(|size| count(size) >= least).collect();
    let part_large: Vec<bool> = parts.sizes().into_iter().map(|size| count(size) >= least).collect();
    let mut has_large = vec![false; parts.n];
    for (&group, &part) in groups.of.iter().zip(&parts.of) {
        has_large[part] |= large[group];
    }
    let mut counts = large;
    for (&group, &part) in groups.of.iter().zip(&parts.of) {
        counts[group] |= part_large[part] && !has_large[part];
    }
    // Classes come after those they lead to.
    let mut order: Vec<usize> = (0..transitions.n_rows).collect();
    order.sort_by_key(|&i| groups.of[i]);
    let (mut left, mut leads_on) = (vec![false; groups.n], vec![false; groups.n]);
    for i in order {
        let from = groups.of[i];
        let (cells, values) = transitions.row(i);
        for (&j, _) in cells.iter().zip(values).filter(|entry| *entry.1 != 0.0) {
            let to = groups.of[j as usize];
            if to != from {
                left[from] = true;
                leads_on[from] |= counts[to] || leads_on[to];
            }
        }
    }
    let terminal = counts.iter().zip(&leads_on).map(|(counts, leads_on)| *counts && !leads_on).collect();
    Ends { terminal, n_closed: left.iter().filter(|left| !**left).count() }
}

/// The cells of every terminal class.
fn members(groups: &Partition, terminal: &[bool]) -> Vec<Vec<usize>> {
    let mut cells = vec![Vec::new(); groups.n];
    for (i, &group) in groups.of.iter().enumerate() {
        if terminal[group] {
            cells[group].push(i);
        }
    }
    cells.into_iter().filter(|cells| !cells.is_empty()).collect()
}

/// The distributions of one class over its cells; `None` if it leaks too much.
fn distributions(
    transitions: &Csr<f32>,
    cells: &[usize],
    config: &TerminalConfig,
) -> Option<(TerminalState, Vec<Vec<f64>>)> {
    let within = transitions.within(cells);
    let Stationary { stays, settled, vectors } = if let [_] = cells {
        let stays = within.data.first().map_or(0.0, |&own| f64::from(own));
        Stationary { stays, settled: true, vectors: vec![vec![1.0]] }
    } else {
        stationary(&within, config.n_eigenvectors, 1.0 - config.tolerance)
    };
    if 1.0 - stays > config.max_leak {
        return None;
    }
    Some((TerminalState { n_cells: cells.len(), stays, n_vectors: vectors.len(), settled }, vectors))
}

/// Cuts a distribution at both ends and divides it by its largest value.
fn shape(values: &mut [f64]) {
    let low = percentile(values, 2.0);
    // Of equal values rounding decides which are below: none is.
    let low = low - 1e-9 * low.abs();
    values.iter_mut().filter(|value| **value < low).for_each(|value| *value = 0.0);
    cut_top(values);
    let most = values.iter().copied().fold(0.0, f64::max);
    if most > 0.0 {
        for value in values.iter_mut() {
            *value /= most;
        }
    }
}

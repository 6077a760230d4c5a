//! The EM on a grid of times with normal errors of moments.
//!
//! ```text
//! p(t_i = t_j) = π_j       x_i = (u_i / scaling, s_i)       x_i | t_j ~ N(μ(t_j; θ), diag σ²)
//! θ of a gene: α, β, γ, t_on, t_off                          μ: kinetics::switch
//! ```
//!
//! - **E-step**: `q_ij ∝ π_j Π_k N(x_ik; μ_k(t_j), σ_k)`, over all genes (`time_scope = "shared"`) or for each gene (`"gene"`).
//! - **M-step**: `π_j` is the mean of `q_ij` over cells; θ lowers the expected squared distances, which takes no more than
//!   `Σ_i q_ij` and `Σ_i q_ij x_i`; σ² is what distances remain.
//!
//! With `likelihood = "seed"` a state's weight is `π_j exp(−|x_i − μ_j|²/σ)` with one σ for all genes and species: the normal
//! density without its ½ and its factor. Both agree where all variances are σ/2. σ is twice the mean residual variance around the first
//! curves and stays: with neither factor to hold it, a learned σ would grow without end.
//!
//! A gene on its own clock tells neither its rates nor how its cells spread over time, only both together: with
//! `time_scope = "gene"`, velocities are better with `time_prior = "uniform"`.
//!
//! Neither step lowers the objective (`mixture.rs`), and the objective is reported after every round.

mod capture;
mod curve;
mod descent;
mod fitting;
mod gene;
mod mixture;
mod model;
mod outputs;
mod shared;
mod single;
mod start;

use std::time::Instant;

use rayon::prelude::*;

use self::capture::Capture;
use self::fitting::{Fitted, Known, Setting};
use self::gene::Gene;
use self::outputs::{Reader, Reading, Row, Tables};
use self::start::{OrUnfit, Start, Unfit};
use super::settings::{SoftGrid, TimeScope};
use crate::data::{Dataset, Fit, Run};
use crate::error::{Error, Result};

/// Fits the Gaussian form to the moments of `data`.
///
/// # Errors
/// [`Error::Data`] if the column of capture times cannot be used, [`Error::Interrupted`] between rounds.
pub(super) fn fit(settings: &SoftGrid, data: &Dataset, run: &mut Run) -> Result<Fit> {
    let begun = Instant::now();
    let capture = match settings.capture_time.as_str() {
        "" => None,
        _ => Some(Capture::read(data, settings.captured(), settings.t_max)?),
    };
    if !settings.root.is_empty() || settings.lineages > 1 {
        run.reporter()
            .warn("model.root and model.lineages have no effect with a likelihood of moments: there is one lineage, whose direction is inferred");
    }
    let grid = grid(settings);
    let setting = Setting { settings, grid: &grid, capture: capture.as_ref() };
    let (rows, known) = known(&setting, data);
    let mut tables = Tables::new(data, rows, settings.time_scope == TimeScope::Gene);
    if known.is_empty() {
        run.reporter().warn("no gene can be fitted: moments are constant, or nonzero in fewer than three cells");
        return Ok(tables.into_fit());
    }
    let moments = [data.mu.view(), data.ms.view()];
    match settings.time_scope {
        TimeScope::Gene => single::fit(&setting, moments, &known, &mut tables, run)?,
        TimeScope::Shared => read(&shared::fit(&setting, moments, known, run)?, &mut tables)?,
    }
    run.reporter().say(&tables.summary(begun.elapsed().as_secs_f64()));
    Ok(tables.into_fit())
}

/// A first time in [0, 1] of each of `cells` from moments alone, the consensus of the genes' own times; empty if no gene has one.
pub(super) fn first_times(data: &Dataset, cells: &[usize]) -> Vec<f64> {
    let start = |index: usize| {
        let [u, s] = moments(data, index, cells);
        Start::new(&u, &s).ok()
    };
    let starts: Vec<Start> = (0..data.n_vars()).into_par_iter().filter_map(start).collect();
    if starts.is_empty() {
        return Vec::new();
    }
    start::consensus(&starts.iter().collect::<Vec<_>>(), cells.len())
}

/// Unspliced and spliced moments of one gene in `cells`.
fn moments(data: &Dataset, gene: usize, cells: &[usize]) -> [Vec<f64>; 2] {
    [&data.mu, &data.ms].map(|matrix| cells.iter().map(|&cell| f64::from(matrix[[cell, gene]])).collect())
}

/// `t_j`, even over `[0, t_max]`.
fn grid(settings: &SoftGrid) -> Vec<f64> {
    let last = settings.grid.saturating_sub(1).max(1) as f64;
    (0..settings.grid).map(|j| settings.t_max * j as f64 / last).collect()
}

/// How every gene stands before any fit, and those that can be fitted.
fn known(setting: &Setting<'_>, data: &Dataset) -> (Vec<OrUnfit<Row>>, Vec<Known>) {
    // A gene on its own clock is on from its beginning; only clocks that mean something can tell when it was switched on.
    let free_on = setting.settings.time_scope == TimeScope::Shared || setting.capture.is_some();
    let all: Vec<usize> = (0..data.n_obs()).collect();
    let start = |index: usize| {
        let [u, s] = moments(data, index, &all);
        let start = Start::new(&u, &s)?;
        let scaled: Vec<f64> = u.iter().map(|u| u / start.scaling).collect();
        let gene = Gene::new(index, start.scaling, &scaled, &s, start.stretched(setting.settings.t_max), free_on);
        Ok(Known { index, start, gene })
    };
    let starts: Vec<OrUnfit<Known>> = (0..data.n_vars()).into_par_iter().map(start).collect();
    // Until it has a fit, a gene that could have one counts as degenerate.
    let rows = starts.iter().map(|start| Err(start.as_ref().err().copied().unwrap_or(Unfit::Degenerate))).collect();
    (rows, starts.into_iter().flatten().collect())
}

/// Blocks of cells that are read before they are put in their place.
const WAVE: usize = 32;

/// Fills the tables from a fit of all genes together.
fn read(fitted: &Fitted<'_>, tables: &mut Tables<'_>) -> Result<()> {
    if !fitted.is_finite() {
        return Err(Error::NonFinite {
            stage: "soft grid".to_owned(),
            epoch: fitted.history.objective.len(),
            culprit: "the log-likelihood".to_owned(),
            hint: "look for extreme values in the moments".to_owned(),
        });
    }
    let genes: Vec<usize> = fitted.model.genes.iter().map(|gene| gene.index).collect();
    for (at, &gene) in genes.iter().enumerate() {
        tables.rows[gene] = Ok(Row::new(fitted, at));
    }
    let reader = Reader::new(fitted);
    let blocks: Vec<_> = Reader::blocks(fitted.n_obs()).collect();
    let mut latent = Vec::with_capacity(fitted.n_obs());
    for wave in blocks.chunks(WAVE) {
        let readings: Vec<Reading> = wave.par_iter().map(|rows| reader.read(rows.clone())).collect();
        for reading in &readings {
            tables.set(&genes, reading);
            latent.extend_from_slice(&reading.time);
        }
    }
    tables.latent = Some(latent);
    Ok(())
}

#[cfg(test)]
mod tests;

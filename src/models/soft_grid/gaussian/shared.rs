//! One time per cell for all genes.
//!
//! A fit begins with times: the consensus of the genes' own or its reverse. Which way time runs is not known before: both ways
//! are fitted, and the higher objective wins. Where there are capture times, they decide, and first times are drawn towards them.

use ndarray::ArrayView2;

use super::fitting::{Fitted, Known, Setting};
use super::start::{self, Start};
use crate::data::Run;
use crate::error::{Error, Result};
use crate::stats;

/// S.d. of a cell's first time, in parts of the grid.
const FIRST_SPREAD: f64 = 0.05;

/// Fits all genes together.
///
/// # Errors
/// [`Error::Interrupted`].
pub(super) fn fit<'m>(
    setting: &Setting<'_>,
    moments: [ArrayView2<'m, f32>; 2],
    known: Vec<Known>,
    run: &mut Run,
) -> Result<Fitted<'m>> {
    let genes =
        || (known.iter().map(|known| known.gene.clone()).collect(), known.iter().map(|known| known.index).collect());
    let starts: Vec<&Start> = known.iter().map(|gene| &gene.start).collect();
    let times = start::consensus(&starts, moments[0].nrows());
    let spread = setting.spread();
    // Without capture times the second factor is the same at all times.
    let around = |part: f64, i: usize| -> Vec<f64> {
        let near = |t: &f64| -0.5 * ((t / setting.settings.t_max - part) / FIRST_SPREAD).powi(2);
        setting.grid.iter().zip(spread.log_of(i)).map(|(t, log)| near(t) + log).collect()
    };
    let begin = |reversed: bool| {
        setting.begin(moments, genes(), |i| around(if reversed { 1.0 - times[i] } else { times[i] }, i))
    };
    let mut fitted = match setting.capture {
        Some(capture) => begin(stats::spearman(&times, &capture.times()) < 0.0),
        None => better_way(setting, begin(false), begin(true), run)?,
    };
    // The genes' own times take as much memory as the moments, and have served.
    drop(known);
    advance(setting.settings.max_rounds, setting, &mut fitted, "time of all genes", run)?;
    Ok(fitted)
}

/// Gives both directions a few rounds and returns the better one.
fn better_way<'m>(
    setting: &Setting<'_>,
    mut forward: Fitted<'m>,
    mut reversed: Fitted<'m>,
    run: &mut Run,
) -> Result<Fitted<'m>> {
    let rounds = setting.settings.choice_rounds.min(setting.settings.max_rounds);
    advance(rounds, setting, &mut forward, "forward", run)?;
    advance(rounds, setting, &mut reversed, "reversed", run)?;
    let advantage = forward.history.last() - reversed.history.last();
    let (name, best, other) =
        if advantage < 0.0 { ("reversed", reversed, forward) } else { ("forward", forward, reversed) };
    let (nats, agreement) = (advantage.abs(), agreement(&best, &other));
    run.reporter().say(&format!(
        "direction: {name}, by {nats:.1} nats ({:.2} per cell; {agreement:.1} standard errors over genes)",
        nats / best.n_obs() as f64,
    ));
    let wanted = setting.settings.evidence;
    if agreement < wanted {
        run.reporter().warn(&format!(
            "the genes do not agree on the direction of time: their mean advantage is {agreement:.1} standard errors, and \
             model.evidence asks for {wanted}",
        ));
    }
    Ok(best)
}

/// Mean over genes of what each gains in the better direction, in standard errors.
///
/// A gene's part of the log-likelihood is, up to what both directions have in common, −N/2 times the sum of the logarithms of
/// its residual variances.
fn agreement(best: &Fitted<'_>, other: &Fitted<'_>) -> f64 {
    let pairs = best.model.genes.iter().zip(&other.model.genes);
    let gains: Vec<f64> = pairs
        .map(|(best, other)| best.residual.iter().zip(other.residual).map(|(best, other)| (other / best).ln()).sum())
        .collect();
    let error = stats::std_dev(&gains, 1) / stats::count(gains.len()).sqrt();
    if error > 0.0 { stats::mean(&gains) / error } else { 0.0 }
}

/// Takes a fit to `most` rounds, and says how it went.
fn advance(most: usize, setting: &Setting<'_>, fitted: &mut Fitted<'_>, name: &str, run: &mut Run) -> Result<()> {
    let n_obs = fitted.n_obs() as f64;
    run.reporter().begin(name, fitted.history.rounds() as u64, most as u64);
    let after = |round: usize, objective: f64| {
        if run.interrupted() {
            return Err(Error::Interrupted { run: None });
        }
        run.reporter().advance(round as u64, &format!("log-likelihood per cell {:.3}", objective / n_obs));
        Ok(())
    };
    fitted.advance(most, setting.settings.tolerance, after)?;
    let (rounds, ending) =
        (fitted.history.rounds(), if fitted.history.converged { "converged" } else { "still rising" });
    let per_cell = fitted.history.last() / n_obs;
    run.reporter().end(&format!("{name}: log-likelihood per cell {per_cell:.3}, {ending} after {rounds} rounds"));
    Ok(())
}

//! Does splicing explain the data better with time running forward, or backward?
//!
//! Any order of cells can be read from either end. What tells the ends apart is that spliced molecules follow unspliced ones,
//! `ds/dt = β u − γ s` with β, γ ≥ 0. Integrated from the first cell on, and averaged over cells of like time,
//!
//! ```text
//! forward:   s(t) = c + β ∫u dt − γ ∫s dt          β, γ ≥ 0
//! backward:  s(t) = c − β ∫u dt + γ ∫s dt          the same with time reversed
//! evidence of a gene = n/2 · ln(RSS_backward / RSS_forward)        n: number of averages
//! ```
//!
//! The equation is linear: it holds for averages over branches as long as rates are shared. Averages of neighbouring times are not independent,
//! nor are genes, so the evidence is no log-likelihood, and is not added up: each gene has one vote, and where data cannot tell,
//! genes vote for both. No model enters but its time.
//!
//! Source: ours.

use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::stats::{count, mean};

/// Averages that the time is divided into, at most.
const MOST_BINS: usize = 50;
/// Cells in an average, at least.
const LEAST_CELLS: usize = 8;
/// A gene with less evidence abstains.
const LEAST_EVIDENCE: f64 = 1.0;

/// Evidence for the direction of a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DirectionVotes {
    /// Evidence of each gene for the time as it is (positive) or reversed (negative), `[n_genes]`.
    pub genes: Vec<f64>,
    /// Number of genes that vote for the time as it is.
    pub forward: usize,
    /// Number of genes that vote for the reverse.
    pub backward: usize,
}

impl DirectionVotes {
    /// Votes for the time as it is less those against, in standard deviations of fair coins; 0 if nobody votes.
    ///
    /// Genes that are regulated together vote together: 3 is little.
    #[must_use]
    pub fn z(&self) -> f64 {
        let (forward, backward) = (count(self.forward), count(self.backward));
        if self.forward + self.backward == 0 { 0.0 } else { (forward - backward) / (forward + backward).sqrt() }
    }

    /// Share of the votes for the time as it is; NaN if nobody votes.
    #[must_use]
    pub fn share(&self) -> f64 {
        count(self.forward) / count(self.forward + self.backward)
    }
}

/// Evidence for the direction of `time`, `[n_obs]`, in moments `ms` and `mu`, `[n_obs, n_genes]`.
///
/// # Errors
/// [`Error::Shape`] if they do not belong together.
pub fn direction(ms: ArrayView2<'_, f32>, mu: ArrayView2<'_, f32>, time: &[f64]) -> Result<DirectionVotes> {
    for (what, found) in [("Mu", mu.shape().to_vec()), ("time of the cells", vec![time.len(), ms.ncols()])] {
        if found != ms.shape() {
            return Err(Error::Shape { what: what.to_owned(), wanted: ms.shape().to_vec(), found });
        }
    }
    let mut order: Vec<usize> = (0..time.len()).filter(|&i| time[i].is_finite()).collect();
    order.sort_by(|&a, &b| time[a].total_cmp(&time[b]));
    let n_bins = MOST_BINS.min(order.len() / LEAST_CELLS).max(1);
    let bins: Vec<&[usize]> =
        (0..n_bins).map(|bin| &order[bin * order.len() / n_bins..(bin + 1) * order.len() / n_bins]).collect();
    let average = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
        bins.iter().map(|cells| cells.iter().map(|&i| of(i)).sum::<f64>() / count(cells.len().max(1))).collect()
    };
    let t = average(&|i| time[i]);
    let of_gene = |gene: usize| {
        let s = average(&|i| f64::from(ms[[i, gene]]));
        let u = average(&|i| f64::from(mu[[i, gene]]));
        evidence(&t, &u, &s)
    };
    let genes: Vec<f64> = (0..ms.ncols()).into_par_iter().map(of_gene).collect();
    let votes = |speaks: fn(f64) -> bool| genes.iter().filter(|&&evidence| speaks(evidence)).count();
    let (forward, backward) = (votes(|found| found >= LEAST_EVIDENCE), votes(|found| found <= -LEAST_EVIDENCE));
    Ok(DirectionVotes { genes, forward, backward })
}

/// Evidence of one gene from averages over cells of like time.
fn evidence(t: &[f64], u: &[f64], s: &[f64]) -> f64 {
    let centred = |values: Vec<f64>| {
        let centre = mean(&values);
        values.into_iter().map(|value| value - centre).collect::<Vec<f64>>()
    };
    let (u, decay, s) = (centred(integral(t, u)), centred(integral(t, s)), centred(s.to_vec()));
    let loss: Vec<f64> = decay.iter().map(|value| -value).collect();
    let forward = residual(&u, &loss, &s);
    let backward = residual(&u.iter().map(|value| -value).collect::<Vec<_>>(), &decay, &s);
    let total: f64 = s.iter().map(|s| s * s).sum();
    // A curve that the equation meets to rounding is no better than one that it meets well.
    let floor = 1e-6 * total;
    let found = 0.5 * count(t.len()) * ((backward + floor) / (forward + floor)).ln();
    if found.is_finite() { found } else { 0.0 }
}

/// `∫ x dt` from the first time on, by trapezia.
fn integral(t: &[f64], x: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let mut found = vec![0.0];
    for (t, x) in t.windows(2).zip(x.windows(2)) {
        sum += 0.5 * (x[0] + x[1]) * (t[1] - t[0]);
        found.push(sum);
    }
    found
}

/// Least `Σ (y − p a − q b)²` over p, q ≥ 0.
fn residual(a: &[f64], b: &[f64], y: &[f64]) -> f64 {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let (aa, bb, ab, ay, by, yy) = (dot(a, a), dot(b, b), dot(a, b), dot(a, y), dot(b, y), dot(y, y));
    let determinant = aa * bb - ab * ab;
    let (p, q) = ((ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant);
    // The integrals of u and s can be all but parallel; then one of them says all that both do.
    if determinant > 1e-9 * aa * bb && p >= 0.0 && q >= 0.0 {
        return (yy - p * ay - q * by).max(0.0);
    }
    let alone = |xx: f64, xy: f64| if xx > 0.0 && xy > 0.0 { xy * xy / xx } else { 0.0 };
    (yy - alone(aa, ay).max(alone(bb, by))).max(0.0)
}

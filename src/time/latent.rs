//! Latent time: one time per cell from the times that the dynamical model gave its genes.
//!
//! For each root r (at most four, earliest first by the sum of their times), with t_ig the time of cell i in gene g:
//!
//! ```text
//! t'_ig = t_ig − t_rg                         cells at or after the root
//! t'_ig = t_ig + max_i (t_ig − t_rg)          cells before it: they come last
//! q_i^p = P_p(t'_i1, t'_i2, …) / max_i        p = 15, 20, 25, 30, 35 %, over genes
//! T_i   = Σ of the two q^p closest to a uniform spread of the cells, / max_i
//! ```
//!
//! The mean of T over the roots, from 0 to 1, is the vote. End points, if given, vote with 1 − T and a weight of 0.2. Then
//!
//! ```text
//! c   = W T                                   W: mean over a cell and its neighbours
//! f_i = (1 − |T_i − z c_i| / max T)²          z: slope of T on c through 0; how well a cell agrees with its neighbours
//! ```
//!
//! and each cell takes the mean over those of its neighbours that have f ≥ `min_confidence`, moved and stretched to [0, 1].
//!
//! Two things that scVelo 0.3.4 does are kept by default, to give its numbers, and can be switched off: each root starts from the
//! times t' that the root before it left (`rerooting`; theislab/scvelo issue 157), and the mean is a sum over confident
//! neighbours divided by the number of *all* neighbours, which pulls cells among doubtful ones to 0 (`renormalise_rows`).
//!
//! Source: Bergen et al. 2020, Methods (gene-shared latent time); behaviour of scVelo 0.3.4 `tl.latent_time`.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::average::{Weights, of_sources, over_neighborhoods, to_unit};
use super::root::{Root, beside};
use super::settings::{LatentConfig, LatentMethod, Rerooting};
use crate::data::quantities::FIT_LIKELIHOOD;
use crate::error::{Error, Result};
use crate::sparse::Csr;
use crate::stats::{count, median, percentile_of_sorted};

/// Percentiles over genes that may become the time of a cell.
const PERCENTILES: [f64; 5] = [15.0, 20.0, 25.0, 30.0, 35.0];
/// Roots, and end points, that vote.
const VOTERS: usize = 4;
/// Score above which a cell is a root or an end point.
const CERTAIN: f64 = 1.0 - 1e-3;
/// Cells per task where the genes' latest times are sought.
const CELLS: usize = 1024;
/// Weight of the end points.
const END_WEIGHT: f64 = 0.2;

/// A latent time and what it rests on.
#[derive(Clone, Debug)]
pub struct Latent {
    /// In [0, 1], `[n_obs]`.
    pub times: Vec<f64>,
    /// Cells that voted as roots.
    pub roots: Vec<usize>,
    /// Cells that voted as end points.
    pub ends: Vec<usize>,
    /// Whether any cell was a certain root; if not, the earliest cells voted.
    pub rooted: bool,
    /// Genes that counted.
    pub n_genes: usize,
    /// Cells that disagree with their neighbours and lent them no time.
    pub n_doubtful: usize,
}

/// Latent time of every cell.
///
/// - `fit_t`: time per cell and gene, `[n_obs, n_vars]`; genes with a missing time do not count
/// - `likelihood`: of each gene, `[n_vars]`; without, all genes count alike
/// - `connectivities`: the weights of the neighbour graph, `[n_obs, n_obs]`
/// - `root`, `end`: of scores, cells above 0.999 vote, all if there are none. Beside named roots an inferred end does not count.
///
/// # Errors
/// [`Error::Setting`] as [`LatentConfig::validate`]; [`Error::Shape`] if the arguments do not fit; [`Error::Data`] as
/// [`Root::check`], or if no gene counts.
pub fn latent_time<T: Copy + Into<f64> + Sync>(
    fit_t: ArrayView2<'_, T>,
    likelihood: Option<&[f64]>,
    connectivities: &Csr<f32>,
    root: Root<'_>,
    end: Option<Root<'_>>,
    config: &LatentConfig,
) -> Result<Latent> {
    config.validate()?;
    let n_obs = fit_t.nrows();
    let (n_rows, n_cols) = (connectivities.n_rows, connectivities.n_cols);
    if (n_rows, n_cols) != (n_obs, n_obs) {
        let what = "connectivities".to_owned();
        return Err(Error::Shape { what, wanted: vec![n_obs, n_obs], found: vec![n_rows, n_cols] });
    }
    root.check(n_obs)?;
    let end = beside(root, end);
    end.map_or(Ok(()), |end| end.check(n_obs))?;
    let mut genes = Genes::new(fit_t, likelihood, config.min_likelihood)?;

    let sums = genes.by_cell(|row| row.iter().sum::<f64>());
    let mut order: Vec<usize> = (0..n_obs).collect();
    order.sort_by(|&a, &b| sums[a].total_cmp(&sums[b]));
    let (roots, rooted) = voters(root, &order);
    order.reverse();
    let ends = end.map_or_else(Vec::new, |end| voters(end, &order).0);

    let mut times = vote(&mut genes, &roots, config);
    to_unit(&mut times);
    if !ends.is_empty() {
        let mut before: Vec<f64> = vote(&mut genes, &ends, config).into_iter().map(|time| -time).collect();
        to_unit(&mut before);
        times.iter_mut().zip(before).for_each(|(time, before)| *time += END_WEIGHT * before);
        to_unit(&mut times);
    }
    let confident = confident(&times, connectivities, config.min_confidence);
    let weights = if config.renormalise_rows { Weights::Sources } else { Weights::All };
    let mut times = of_sources(connectivities, &times, |i| confident[i], weights);
    to_unit(&mut times);
    let n_doubtful = confident.iter().filter(|confident| !**confident).count();
    Ok(Latent { times, roots, ends, rooted, n_genes: genes.n_known, n_doubtful })
}

/// Times of the genes that count, cell by cell.
#[derive(Clone)]
struct Genes {
    /// `[n_obs, n_known]`
    times: Vec<f64>,
    n_known: usize,
    /// Likelihoods of these genes, or 1.
    weights: Vec<f64>,
}

impl Genes {
    fn new<T: Copy + Into<f64> + Sync>(
        fit_t: ArrayView2<'_, T>,
        likelihood: Option<&[f64]>,
        least: f64,
    ) -> Result<Self> {
        if let Some(likelihood) = likelihood.filter(|likelihood| likelihood.len() != fit_t.ncols()) {
            let what = FIT_LIKELIHOOD.key().to_owned();
            return Err(Error::Shape { what, wanted: vec![fit_t.ncols()], found: vec![likelihood.len()] });
        }
        let mut counts: Vec<bool> =
            (0..fit_t.ncols()).map(|g| likelihood.is_none_or(|likelihood| likelihood[g] >= least)).collect();
        for row in fit_t.rows() {
            counts.iter_mut().zip(row).for_each(|(counts, &t)| *counts &= t.into().is_finite());
        }
        let kept: Vec<usize> = (0..counts.len()).filter(|&g| counts[g]).collect();
        if kept.is_empty() {
            return Err(Error::Data {
                problem: format!(
                    "latent time: no gene has both times for all cells and a likelihood of at least {least}"
                ),
                hint: "lower time.latent.min_likelihood".to_owned(),
            });
        }
        let weights = kept.iter().map(|&g| likelihood.map_or(1.0, |likelihood| likelihood[g])).collect();
        let mut times = vec![0.0; fit_t.nrows() * kept.len()];
        times.par_chunks_mut(kept.len()).enumerate().for_each(|(i, row)| {
            let cell = fit_t.row(i);
            row.iter_mut().zip(&kept).for_each(|(t, &g)| *t = cell[g].into());
        });
        Ok(Self { times, n_known: kept.len(), weights })
    }

    fn by_cell<U: Send>(&self, summary: impl Fn(&[f64]) -> U + Send + Sync) -> Vec<U> {
        self.times.par_chunks(self.n_known).map(summary).collect()
    }

    /// The largest time of each gene. Of a largest value the order of comparisons does not matter.
    fn latest(&self) -> Vec<f64> {
        let of_cells = |cells: &[f64]| {
            let mut latest = vec![f64::NEG_INFINITY; self.n_known];
            for row in cells.chunks_exact(self.n_known) {
                latest.iter_mut().zip(row).for_each(|(latest, t)| *latest = latest.max(*t));
            }
            latest
        };
        let later = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect();
        let none = || vec![f64::NEG_INFINITY; self.n_known];
        self.times.par_chunks(CELLS * self.n_known).map(of_cells).reduce(none, later)
    }

    /// Sets the times to t′ of a root. In double precision also of times in single: rounded differences would put cells before
    /// a later root that are not, or the other way round.
    fn reroot(&mut self, root: usize) {
        let origin = self.times[root * self.n_known..(root + 1) * self.n_known].to_vec();
        let span: Vec<f64> = self.latest().iter().zip(&origin).map(|(latest, start)| latest - start).collect();
        self.times.par_chunks_mut(self.n_known).for_each(|row| {
            for ((t, start), span) in row.iter_mut().zip(&origin).zip(&span) {
                *t = if *t >= *start { *t - start } else { *t + span };
            }
        });
    }
}

/// The first cells in `order` that are roots, and whether there were any.
fn voters(root: Root<'_>, order: &[usize]) -> (Vec<usize>, bool) {
    let mut certain = vec![false; order.len()];
    match root {
        Root::Cells(cells) => cells.iter().for_each(|&cell| certain[cell] = true),
        Root::Inferred(scores) => {
            certain.iter_mut().zip(scores).for_each(|(certain, &score)| *certain = score > CERTAIN);
        }
    }
    let any = certain.contains(&true);
    (order.iter().copied().filter(|&i| certain[i] || !any).take(VOTERS).collect(), any)
}

/// The mean over roots of the time that each gives to every cell. With [`Rerooting::Shipped`] the genes are left as the last
/// root has them.
fn vote(genes: &mut Genes, roots: &[usize], config: &LatentConfig) -> Vec<f64> {
    let mut sum: Vec<f64> = vec![0.0; genes.times.len() / genes.n_known];
    for &root in roots {
        let mut own;
        let rooted = if config.rerooting == Rerooting::Shipped {
            &mut *genes
        } else {
            own = genes.clone();
            &mut own
        };
        rooted.reroot(root);
        let shared = match config.method {
            LatentMethod::Scvelo => evenest(rooted),
            LatentMethod::LikelihoodMean => {
                let (weights, total) = (&rooted.weights, rooted.weights.iter().sum::<f64>());
                in_units(rooted, |t| t.iter().zip(weights).map(|(t, weight)| t * weight).sum::<f64>() / total)
            }
            LatentMethod::Median => in_units(rooted, median),
        };
        sum.iter_mut().zip(shared).for_each(|(sum, time)| *sum += time);
    }
    sum.into_iter().map(|sum| sum / count(roots.len().max(1))).collect()
}

/// The two percentiles over genes that spread the cells most evenly, added; at most 1.
fn evenest(genes: &Genes) -> Vec<f64> {
    let least = genes.times.par_iter().copied().reduce(|| f64::INFINITY, f64::min);
    // Only what the highest of the percentiles can reach needs to be in order.
    let reach = ((genes.n_known - 1) * 36).div_ceil(100);
    let by_cell: Vec<[f64; 5]> = genes.by_cell(|row| {
        let mut times: Vec<f64> = row.iter().map(|t| t - least).collect();
        let (below, _, _) = times.select_nth_unstable_by(reach, f64::total_cmp);
        below.sort_unstable_by(f64::total_cmp);
        PERCENTILES.map(|q| percentile_of_sorted(&times, q))
    });
    let mut candidates: Vec<(f64, Vec<f64>)> = (0..PERCENTILES.len())
        .into_par_iter()
        .map(|p| {
            let mut times: Vec<f64> = by_cell.iter().map(|of_cell| of_cell[p]).collect();
            to_most_1(&mut times);
            (unevenness(&times), times)
        })
        .collect();
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut times: Vec<f64> = candidates[0].1.iter().zip(&candidates[1].1).map(|(a, b)| a + b).collect();
    to_most_1(&mut times);
    times
}

/// Squared distance of the sorted times from times at equal steps from 0 to 1.
fn unevenness(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = count(sorted.len().saturating_sub(1).max(1));
    sorted.iter().enumerate().map(|(i, t)| (t - count(i) / last).powi(2)).sum()
}

/// `summary` over genes of each cell's times in units of the longest of the gene; at most 1.
fn in_units(genes: &Genes, summary: impl Fn(&[f64]) -> f64 + Send + Sync) -> Vec<f64> {
    let longest = genes.latest();
    let mut times = genes.by_cell(|row| {
        let unit = |(&t, &longest): (&f64, &f64)| if longest > 0.0 { t / longest } else { 0.0 };
        summary(&row.iter().zip(&longest).map(unit).collect::<Vec<f64>>())
    });
    to_most_1(&mut times);
    times
}

fn to_most_1(times: &mut [f64]) {
    let most = times.iter().copied().fold(0.0, f64::max);
    if most > 0.0 {
        for time in times.iter_mut() {
            *time /= most;
        }
    }
}

/// Which cells agree with their neighbours.
fn confident(times: &[f64], connectivities: &Csr<f32>, least: f64) -> Vec<bool> {
    let around = over_neighborhoods(connectivities, times);
    let (mut both, mut squares) = (0.0, 0.0);
    for (time, around) in times.iter().zip(&around) {
        both += time * around;
        squares += around * around;
    }
    let slope = if squares > 0.0 { both / squares } else { 1.0 };
    let most = times.iter().copied().fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let agrees = |(time, around): (&f64, &f64)| (1.0 - (time - around * slope).abs() / most).powi(2) >= least;
    times.iter().zip(&around).map(agrees).collect()
}

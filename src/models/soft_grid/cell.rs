//! The cell's own velocity: its abundances around the curve, as its neighbours tell them.
//!
//! The curve's velocity is `E_q[β/κ u(z) − γ s(z)]`: cells at the same node have the same. But cells depart from the curve, each with a factor e
//! of mean 1 and variance τ for every gene and species, which cells that are alike share. Let `m = E_q[μ(z)]` be the curve's abundance at a
//! cell, `T` the cells nearest to it on the tree, `K` the k of those nearest to it in what departs, and
//!
//! ```text
//! ρ_A = Σ_{j∈A} x_j / Σ_{j∈A} n_j m_j       I = Σ_{j∈K} n_j m_j / (1 + d m_j)       b = τ I / (1 + τ I)
//! E[e | counts of K] = 1 + b (ρ_K / ρ_T − 1)                                       (gamma–Poisson: b is its shrinkage)
//! velocity of the cell = β/κ E[u(z)] E[e_u] − γ E[s(z)] E[e_s]
//! ```
//!
//! **What is learned, and from what.** τ of each gene and species, and k, from the counts of cells that `K` and `T` leave out: they are
//! predicted as negative binomial around `n m ρ_T (1 + b (ρ_K / ρ_T − 1))`. τ is one of [`VARIANCES`], 0 among them; how often each
//! occurs among the genes is learned by EM (nonparametric empirical Bayes), and b is averaged over the gene's posterior. Without evidence
//! τ is 0: then the velocity is the curve's. (d was fitted around the curve and contains the departures, so τ is what shrinks well and not
//! quite their variance; what is written of a gene is the s.d. over cells of `E[e]`.)
//!
//! **Why it is not taken in by noise.** Three traps would make noise look like departures, or hide them:
//! - a gene's own counts must not choose its neighbours: `K` is found by the other half of the genes (principal components of
//!   their Pearson residuals);
//! - a curve that was fitted to the same counts leaves residuals whose neighbours tend to the other side: so `ρ_K` is compared with `ρ_T`, which
//!   the fit bends alike, and not with 1. What the curve misses at a time is therefore no departure;
//! - a cell's own counts must not be predicted by themselves. They are added to `K` once τ is known.
//!
//! What was measured: `models/soft_grid/README.md`.

use std::array;

use ndarray::Array2;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::course::{BETA, GAMMA, SCALING};
use super::em::{Counts, Model};
use super::expect::Posterior;
use super::fit::drawn;
use super::gene::Pair;
use super::scores::dense;
use crate::data::quantities::{FIT_DEPARTURE_S, FIT_DEPARTURE_U, FIT_S, FIT_U, VELOCITY};
use crate::data::{Fit, Run, Team};
use crate::error::Result;
use crate::negative_binomial;
use crate::neighbors::nearest;
use crate::pca::pca_dense;
use crate::stats;

/// Cells in `T`: about as many as a stretch of the curve over which a fit does not bend.
const NEAR: usize = 100;

/// Numbers of cells in `K` that are tried, rising.
const AROUND: [usize; 4] = [5, 10, 20, 40];

/// Cells, drawn at random, whose counts are left out, at most.
const LEFT_OUT: usize = 1000;

/// Variances τ that a gene may have, from none to as good as without a prior.
const VARIANCES: [f64; 8] = [0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0];

/// Principal components in which cells of `T` are compared.
const COMPONENTS: usize = 30;

/// Pearson residuals beyond this are cut: single molecules of silent genes.
const LARGEST: f32 = 5.0;

/// A predicted abundance is at least this share of the curve's.
const LEAST: f64 = 1e-3;

/// Rounds of the EM for how often each variance occurs.
const ROUNDS: usize = 200;

/// Log-likelihood of the left-out counts of one gene and species, over that without departures: by k and τ.
type Gains = [[f64; VARIANCES.len()]; AROUND.len()];

/// Posterior of one gene over [`VARIANCES`].
type Shares = [f64; VARIANCES.len()];

/// What was learned of departures from the curve.
pub(super) struct Departures {
    /// The cell's velocity, `[n_obs, n_vars]`.
    pub(super) velocity: Array2<f32>,
    /// S.d. over cells of `E[e]` per species, `[n_vars]`.
    pub(super) spread: Pair<Vec<f64>>,
    /// Number of neighbours k; 0 if there are too few cells or genes to learn from.
    pub(super) around: usize,
    /// Log-likelihood of a left-out count over that without departures, in nats, mean over genes, species and cells.
    pub(super) gain: f64,
}

impl Departures {
    /// Learns departures from the curves of `model`, of which `fit` has the means over the posteriors. The processes of `team` each work on
    /// some of the genes.
    ///
    /// # Errors
    /// If an abundance is not finite, or another process of `team` has ended.
    pub(super) fn new(
        model: &Model,
        counts: &Counts,
        posteriors: &[Posterior],
        fit: &Fit,
        (team, rng): (&Team, &mut impl Rng),
    ) -> Result<Self> {
        let (n_obs, n_vars) = (counts.n_obs(), counts.n_vars());
        // Each half of the genes needs two components, and K has to be a part of T.
        if n_obs <= 2 * AROUND[0] || n_vars < 4 {
            let none = || vec![0.0; n_vars];
            return Ok(Self { velocity: fit[VELOCITY].clone(), spread: [none(), none()], around: 0, gain: 0.0 });
        }
        let cells = Cells { model, counts, posteriors, curve: [&fit[FIT_U], &fit[FIT_S]] };
        let around = cells.neighborhoods()?;
        let left_out = drawn(n_obs, LEFT_OUT, rng);
        let gains_of = |gene: usize| [0, 1].map(|species| cells.gains(gene, species, &around, &left_out));
        let gains: Vec<Pair<Gains>> = team.joined(team.part(n_vars).into_par_iter().map(gains_of).collect())?;
        let of = |species: usize, k: usize| gains.iter().map(|gains| gains[species][k]).collect::<Vec<_>>();
        let tried = AROUND.iter().filter(|&&k| k <= around.most).count();
        let best = (0..tried)
            .map(|k| [0, 1].map(|species| shares(&of(species, k))))
            .enumerate()
            .max_by(|(_, a), (_, b)| (a[0].1 + a[1].1).total_cmp(&(b[0].1 + b[1].1)))
            .expect("the least number is always tried");
        let (k, [(of_u, gain_u), (of_s, gain_s)]) = best;
        let moved = |gene: usize| cells.moved(gene, [&of_u[gene], &of_s[gene]], AROUND[k], &around);
        let moved: Vec<Moved> = team.joined(team.part(n_vars).into_par_iter().map(moved).collect())?;
        let mut velocity = fit[VELOCITY].clone();
        for (mut velocity, moved) in velocity.columns_mut().into_iter().zip(&moved) {
            velocity.iter_mut().zip(&moved.velocity).for_each(|(velocity, moved)| *velocity += moved);
        }
        Ok(Self {
            velocity,
            spread: [0, 1].map(|species| moved.iter().map(|moved| moved.spread[species]).collect()),
            around: AROUND[k],
            gain: (gain_u + gain_s) / (2 * n_vars * left_out.len()) as f64,
        })
    }

    /// Adds what was learned of the genes, and says it.
    pub(super) fn tell(&self, fit: &mut Fit, run: &mut Run) {
        let [u, s] = self.spread.each_ref().map(|spread| spread.iter().copied().collect::<ndarray::Array1<f64>>());
        let middle = |spread: &[f64]| stats::median(spread);
        run.reporter().say(&format!(
            "cells around the curve: s.d. {:.2} of unspliced and {:.2} of spliced abundances (medians over genes), as the {} nearest cells tell; \
             left-out counts gain {:.4} nats each",
            middle(&self.spread[0]),
            middle(&self.spread[1]),
            self.around,
            self.gain
        ));
        fit.set(FIT_DEPARTURE_U, u);
        fit.set(FIT_DEPARTURE_S, s);
    }
}

/// Mean of a function of τ over a gene's posterior.
fn mean(shares: &Shares, of: impl Fn(f64) -> f64) -> f64 {
    shares.iter().zip(VARIANCES).map(|(share, variance)| share * of(variance)).sum()
}

/// Posterior over [`VARIANCES`] of each gene, and the log-likelihood of all under the frequencies that fit them best.
fn shares(gains: &[[f64; VARIANCES.len()]]) -> (Vec<Shares>, f64) {
    let most = |gains: &[f64]| gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let likelihood: Vec<(f64, [f64; VARIANCES.len()])> =
        gains.iter().map(|gains| (most(gains), gains.map(|gain| (gain - most(gains)).exp()))).collect();
    let posterior = |frequency: &[f64; VARIANCES.len()]| {
        let of_gene = |(most, likelihood): &(f64, [f64; VARIANCES.len()])| {
            let mut joint = *likelihood;
            joint.iter_mut().zip(frequency).for_each(|(joint, frequency)| *joint *= frequency);
            let sum: f64 = joint.iter().sum();
            (joint.map(|joint| joint / sum), most + sum.ln())
        };
        likelihood.iter().map(of_gene).collect::<Vec<_>>()
    };
    let mut frequency = [1.0 / VARIANCES.len() as f64; VARIANCES.len()];
    for _ in 0..ROUNDS {
        let genes = posterior(&frequency);
        for (at, frequency) in frequency.iter_mut().enumerate() {
            *frequency = genes.iter().map(|(shares, _)| shares[at]).sum::<f64>() / genes.len() as f64;
        }
    }
    let (shares, evidence): (Vec<_>, Vec<f64>) = posterior(&frequency).into_iter().unzip();
    (shares, evidence.into_iter().sum())
}

/// Around every cell: `T`, and the cells from which `K` is taken.
struct Around {
    /// Cells of `T` of each cell, `[n_obs, near]`.
    tree: Vec<u32>,
    near: usize,
    /// The `most` nearest of them, nearest first, `[n_obs, most]`: for genes at even positions, and for those at odd ones.
    close: Pair<Vec<u32>>,
    most: usize,
}

/// Counts and what the curve expects of them, summed over some cells.
#[derive(Clone, Copy, Default)]
struct Sums {
    counts: f64,
    expected: f64,
    information: f64,
}

impl Sums {
    fn ratio(self) -> f64 {
        self.counts / self.expected
    }
}

/// One gene and species in all cells.
struct Column {
    counts: Vec<f32>,
    /// The curve's abundance m at each cell.
    curve: Vec<f64>,
    sizes: Vec<f64>,
    dispersion: f64,
    /// What a cell adds to sums.
    of_cell: Vec<Sums>,
}

impl Column {
    fn new(counts: Vec<f32>, curve: Vec<f64>, sizes: Vec<f64>, dispersion: f64) -> Self {
        let of_cell = |((&x, &curve), &size): ((&f32, &f64), &f64)| {
            let expected = size * curve;
            Sums { counts: f64::from(x), expected, information: expected / (1.0 + dispersion * curve) }
        };
        let of_cell = counts.iter().zip(&curve).zip(&sizes).map(of_cell).collect();
        Self { counts, curve, sizes, dispersion, of_cell }
    }

    fn add(&self, sums: &mut Sums, cell: usize) {
        let Sums { counts, expected, information } = self.of_cell[cell];
        sums.counts += counts;
        sums.expected += expected;
        sums.information += information;
    }

    fn sum(&self, cells: &[u32]) -> Sums {
        let mut sums = Sums::default();
        for &cell in cells {
            self.add(&mut sums, cell as usize);
        }
        sums
    }

    /// `ρ_T`, drawn to 1 by one molecule.
    fn on_tree(&self, cells: &[u32]) -> f64 {
        let sums = self.sum(cells);
        (sums.counts + 1.0) / (sums.expected + 1.0)
    }

    /// What of the log-likelihood of a cell's count depends on its abundance, by variance τ; `ratio(τ)` is the abundance in parts of the curve's.
    fn ln_p(&self, cell: usize, ratio: impl Fn(f64) -> f64) -> [f64; VARIANCES.len()] {
        let abundance = VARIANCES.map(|variance| self.curve[cell] * ratio(variance).max(LEAST));
        let (mut w, mut c) = ([0.0; VARIANCES.len()], [0.0; VARIANCES.len()]);
        negative_binomial::all_terms(&abundance, self.dispersion, &mut w, &mut c);
        let (x, n) = (f64::from(self.counts[cell]), self.sizes[cell]);
        array::from_fn(|at| x * w[at] - n * c[at])
    }
}

fn shrinkage(variance: f64, information: f64) -> f64 {
    variance * information / (1.0 + variance * information)
}

struct Cells<'a> {
    model: &'a Model,
    counts: &'a Counts,
    posteriors: &'a [Posterior],
    /// `E_q[u(z)]`, `E_q[s(z)]`, `[n_obs, n_vars]`.
    curve: Pair<&'a Array2<f32>>,
}

impl Cells<'_> {
    fn column(&self, gene: usize, species: usize) -> Column {
        let of = &self.model.genes[gene];
        let counts = dense(self.counts.genes[species].row(gene), self.posteriors.len());
        let curve = self.curve[species].column(gene).iter().map(|&m| f64::from(m) + of.floor[species]).collect();
        let sizes = self.posteriors.iter().map(|posterior| posterior.size[species]).collect();
        Column::new(counts, curve, sizes, of.dispersion[species])
    }

    fn neighborhoods(&self) -> Result<Around> {
        let n_obs = self.posteriors.len();
        let near = NEAR.min(n_obs - 1);
        let found = nearest(self.places().view(), near + 1)?;
        let tree: Vec<u32> = (0..n_obs).flat_map(|i| found.row(i).0.iter().copied()).collect();
        let most = AROUND[AROUND.len() - 1].min(near / 2);
        let close = |half: usize| -> Result<Vec<u32>> {
            // By the genes of the other half.
            let residuals = self.residuals(1 - half);
            let components = COMPONENTS.min(n_obs - 1).min(residuals.ncols());
            let places = pca_dense(residuals.view(), components)?.scores;
            let of_cell = |(i, cells): (usize, &[u32])| {
                let own = places.row(i);
                let distance =
                    |&j: &u32| own.iter().zip(places.row(j as usize)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
                let mut sorted: Vec<(f32, u32)> = cells.iter().map(|j| (distance(j), *j)).collect();
                sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                sorted.into_iter().take(most).map(|(_, j)| j).collect::<Vec<u32>>()
            };
            Ok(tree.par_chunks(near).enumerate().flat_map_iter(of_cell).collect())
        };
        let close = [close(0)?, close(1)?];
        Ok(Around { tree, near, close, most })
    }

    /// Where cells are on the tree: mean time, and half the time axis between lineages.
    fn places(&self) -> Array2<f32> {
        let tree = &self.model.tree;
        let apart = 0.5 * tree.time(tree.len() - 1) as f32;
        let mut places = Array2::zeros((self.posteriors.len(), 1 + tree.lineages));
        for (mut place, posterior) in places.rows_mut().into_iter().zip(self.posteriors) {
            place[0] = posterior.mean(|z| tree.time(z)) as f32;
            for &(node, q) in &posterior.nodes {
                if let Some(k) = tree.lineage(node as usize) {
                    place[1 + k] += apart * q;
                }
            }
        }
        places
    }

    /// Pearson residuals of both species of the genes at even (0) or odd (1) positions, `[n_obs, twice the genes]`.
    fn residuals(&self, half: usize) -> Array2<f32> {
        let genes: Vec<usize> = (half..self.counts.n_vars()).step_by(2).collect();
        let n_obs = self.posteriors.len();
        let of_gene = |&gene: &usize| {
            (0..2).flat_map(move |species| {
                let column = self.column(gene, species);
                let residual = move |cell: usize| {
                    let Column { counts, curve, sizes, dispersion, .. } = &column;
                    let expected = sizes[cell] * curve[cell];
                    let variance = expected * (1.0 + dispersion * curve[cell]);
                    ((f64::from(counts[cell]) - expected) / variance.sqrt()) as f32
                };
                (0..n_obs).map(residual).map(|residual| residual.clamp(-LARGEST, LARGEST))
            })
        };
        let values: Vec<f32> = genes.par_iter().flat_map_iter(of_gene).collect();
        let by_gene = Array2::from_shape_vec((2 * genes.len(), n_obs), values).expect("a residual for each cell");
        by_gene.reversed_axes().as_standard_layout().into_owned()
    }

    /// Over the cells at the positions `cells`.
    fn gains(&self, gene: usize, species: usize, around: &Around, cells: &[usize]) -> Gains {
        let column = self.column(gene, species);
        let mut gains = [[0.0; VARIANCES.len()]; AROUND.len()];
        for &cell in cells {
            let on_tree = column.on_tree(&around.tree[cell * around.near..][..around.near]);
            let (mut sums, mut seen) = (Sums::default(), 0);
            for (&k, gains) in AROUND.iter().zip(&mut gains).filter(|(k, _)| **k <= around.most) {
                for &j in &around.close[gene % 2][cell * around.most..][seen..k] {
                    column.add(&mut sums, j as usize);
                }
                seen = k;
                let departed = sums.ratio() - on_tree;
                let ln_p = column.ln_p(cell, |variance| on_tree + shrinkage(variance, sums.information) * departed);
                // The first variance is 0.
                gains.iter_mut().zip(ln_p).for_each(|(gain, with)| *gain += with - ln_p[0]);
            }
        }
        gains
    }

    /// Departures of a gene as told by `k` cells and the cell itself; `shares`: of each variance, by species.
    fn moved(&self, gene: usize, shares: Pair<&Shares>, k: usize, around: &Around) -> Moved {
        let params = &self.model.genes[gene].params;
        let rates = [(params[BETA] - params[SCALING]).exp(), -params[GAMMA].exp()];
        let n_obs = self.posteriors.len();
        let mut velocity = vec![0.0_f32; n_obs];
        let spread = [0, 1].map(|species| {
            let column = self.column(gene, species);
            let departure = |cell: usize| {
                let on_tree = column.on_tree(&around.tree[cell * around.near..][..around.near]);
                let mut sums = column.sum(&around.close[gene % 2][cell * around.most..][..k]);
                column.add(&mut sums, cell);
                let b = mean(shares[species], |variance| shrinkage(variance, sums.information));
                b * (sums.ratio() / on_tree - 1.0)
            };
            let departures: Vec<f64> = (0..n_obs).map(departure).collect();
            for (cell, velocity) in velocity.iter_mut().enumerate() {
                let abundance = f64::from(self.curve[species][[cell, gene]]);
                *velocity += (rates[species] * abundance * departures[cell]) as f32;
            }
            stats::std_dev(&departures, 0)
        });
        Moved { velocity, spread }
    }
}

/// What the departures of one gene come to.
#[derive(Serialize, Deserialize)]
struct Moved {
    /// What they add to the velocity of every cell.
    velocity: Vec<f32>,
    /// Their s.d. over cells, by species.
    spread: Pair<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_without_evidence_are_drawn_to_what_the_others_have() {
        let none = [0.0, -1.0, -2.0, -4.0, -8.0, -16.0, -32.0, -64.0];
        let open = [0.0, 0.1, 0.1, 0.0, -0.1, -0.2, -0.5, -1.0];
        let clear = [0.0, 10.0, 20.0, 30.0, 40.0, 30.0, 20.0, 10.0];
        let spread = |gains: &[[f64; VARIANCES.len()]]| mean(&shares(gains).0[0], f64::sqrt);
        assert!(spread(&[open, none, none, none, none]) < 0.02);
        assert!((spread(&[open, clear, clear, clear, clear]) - 0.1_f64.sqrt()).abs() < 0.02);
        let (_, evidence) = shares(&[none; 5]);
        assert!(evidence.abs() < 0.1, "nothing is gained where nothing departs: {evidence}");
    }

    #[test]
    fn the_shrinkage_is_that_of_a_gamma_prior_for_a_poisson_rate() {
        // Gamma of mean 1 and variance τ, x counts where I are expected: (1/τ + x) / (1/τ + I).
        let (variance, expected, counts) = (0.2, 7.0, 12.0);
        let b = shrinkage(variance, expected);
        let posterior: f64 = (1.0 / variance + counts) / (1.0 / variance + expected);
        assert!((1.0 + b * (counts / expected - 1.0) - posterior).abs() < 1e-12);
        assert!(shrinkage(0.0, 1e9).abs() < 1e-12);
    }
}

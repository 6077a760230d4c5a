//! How much dynamics explains: each gene's held-out log-likelihood, against a constant and against permuted cells.
//!
//! The model is fitted to four fifths of the cells. For a held-out cell the gene is predicted from all others: with the posterior q
//! of all genes, the prediction without gene g is exactly
//!
//! ```text
//! p(x_g | x_−g) = 1 / Σ_z [ q_z / p(x_g | z) ]
//! ```
//!
//! The score is its mean logarithm less that of a constant abundance with a dispersion of its own, in nats per cell. Null: the gene's counts
//! are permuted over the cells, refitted and scored in the same way; p-values are ranks among the permuted genes.

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::course::Course;
use super::em::{Fixed, Gathered};
use super::expect::Posterior;
use super::gene::{Gene, Pair, Sums};
use super::rounds::{Cells, Fitted, rounds};
use super::tree::Tree;
use crate::data::{Run, stream};
use crate::error::Result;
use crate::models::dispersion::{self, AroundMeans};
use crate::negative_binomial;
use crate::stats;

/// Rounds of the model on the cells that are not held out.
const ROUNDS: usize = 8;
/// Steps of a permuted gene.
const STEPS: usize = 10;
/// Cells that are scored, at most.
const SCORED: usize = 1000;

/// Scores of genes, `[n_vars]`.
pub(super) struct Scores {
    /// Held-out log-likelihood, nats per cell.
    pub(super) held_out: Vec<f64>,
    /// The same less that of a constant.
    pub(super) dynamics: Vec<f64>,
    /// Share of permuted genes that score as high.
    pub(super) p_values: Vec<f64>,
}

impl Scores {
    pub(super) fn new(fixed: &Fixed, cells: &Cells, fitted: &Fitted, run: &mut Run) -> Result<Self> {
        run.reporter().begin("held-out cells", 0, ROUNDS as u64 + 1);
        let (test, train) = cells.split();
        let fitted = rounds(fixed, &train, fitted.model.clone(), (ROUNDS, 0.0), run)?;
        let tree = &fitted.model.tree;
        let (posteriors, _) = fitted.model.expect(fixed, &test.counts.cells, &test.groups, &test.sizes);
        let setting = HeldOut {
            tree,
            fixed,
            train: &fitted.posteriors,
            test: &posteriors[..posteriors.len().min(SCORED)],
            gathered: fitted.gathered(&train),
        };
        let seed = run.seed();
        let scored: Vec<[f64; 3]> = (0..fitted.model.genes.len())
            .into_par_iter()
            .map(|at| {
                let columns = |cells: &Cells| {
                    [0, 1].map(|species: usize| dense(cells.counts.genes[species].row(at), cells.counts.n_obs()))
                };
                let (mut of_train, mut of_test) = (columns(&train), columns(&test));
                let gene = &fitted.model.genes[at];
                let dynamic = setting.predicted(gene, &of_test);
                let constant = setting.constant(gene, &of_train, &of_test);
                let mut rng = stream(seed, "permuted cells", at as u64);
                permute(&mut of_train, &mut rng);
                permute(&mut of_test, &mut rng);
                let refitted = setting.refit(gene, &of_train);
                let null = setting.given(&refitted, &of_test) - setting.constant(gene, &of_train, &of_test);
                [dynamic, dynamic - constant, null]
            })
            .collect();
        run.reporter().end("genes scored on held-out cells");
        let mut nulls: Vec<f64> = scored.iter().map(|score| score[2]).collect();
        nulls.sort_by(f64::total_cmp);
        let above = |score: f64| nulls.len() - nulls.partition_point(|&null| null < score);
        let p_value = |score: &[f64; 3]| (1 + above(score[1])) as f64 / (1 + nulls.len()) as f64;
        Ok(Self {
            held_out: scored.iter().map(|score| score[0]).collect(),
            dynamics: scored.iter().map(|score| score[1]).collect(),
            p_values: scored.iter().map(p_value).collect(),
        })
    }

    /// One line about all genes.
    pub(super) fn summary(&self) -> String {
        let found = self.p_values.iter().filter(|&&p| p < 0.05).count();
        format!(
            "kinetics explain held-out cells better than a constant does in {found} of {} genes (p < 0.05 against permuted cells); median \
             log-likelihood ratio {:.3} nats per cell",
            self.p_values.len(),
            stats::median(&self.dynamics)
        )
    }
}

fn dense((at, values): (&[u32], &[f32]), n: usize) -> Vec<f32> {
    let mut column = vec![0.0; n];
    for (&at, &value) in at.iter().zip(values) {
        column[at as usize] = value;
    }
    column
}

/// Permutes both species alike.
fn permute(columns: &mut Pair<Vec<f32>>, rng: &mut impl rand::Rng) {
    let mut order: Vec<usize> = (0..columns[0].len()).collect();
    order.shuffle(rng);
    for column in columns {
        *column = order.iter().map(|&from| column[from]).collect();
    }
}

struct HeldOut<'a> {
    tree: &'a Tree,
    fixed: &'a Fixed,
    train: &'a [Posterior],
    test: &'a [Posterior],
    gathered: Gathered,
}

impl HeldOut<'_> {
    /// `ln p(x_g | z)` of cell `i` at each of its nodes, with the responsibilities.
    fn at_nodes<'a>(
        &'a self,
        gene: &'a Gene,
        terms: &'a Pair<Vec<(f64, f64)>>,
        columns: &'a Pair<Vec<f32>>,
        i: usize,
    ) -> impl Iterator<Item = (f64, f64)> + 'a {
        let posterior = &self.test[i];
        let x = [0, 1].map(|species: usize| f64::from(columns[species][i]));
        let constant: f64 = (0..2)
            .map(|species| negative_binomial::constant(x[species], posterior.size[species], gene.dispersion[species]))
            .sum();
        posterior.nodes.iter().map(move |&(node, q)| {
            let of = |species: usize| {
                let (w, c) = terms[species][node as usize];
                x[species] * w - posterior.size[species] * c
            };
            (f64::from(q), constant + of(0) + of(1))
        })
    }

    fn terms(&self, gene: &Gene) -> Pair<Vec<(f64, f64)>> {
        let mu = gene.means(self.tree);
        [0, 1].map(|species: usize| {
            mu[species].iter().map(|&mu| negative_binomial::terms(mu, gene.dispersion[species])).collect()
        })
    }

    /// Mean of `ln p(x_g | x_−g)`: the posteriors have seen the gene.
    fn predicted(&self, gene: &Gene, columns: &Pair<Vec<f32>>) -> f64 {
        let terms = self.terms(gene);
        let of_cell = |i: usize| {
            let least = self.at_nodes(gene, &terms, columns, i).map(|(_, ln_p)| ln_p).fold(f64::INFINITY, f64::min);
            let sum: f64 = self.at_nodes(gene, &terms, columns, i).map(|(q, ln_p)| q * (least - ln_p).exp()).sum();
            least - sum.ln()
        };
        (0..self.test.len()).map(of_cell).sum::<f64>() / self.test.len() as f64
    }

    /// Mean of `ln p(x_g | x_−g)`: the posteriors have not seen the gene's permuted counts.
    fn given(&self, gene: &Gene, columns: &Pair<Vec<f32>>) -> f64 {
        let terms = self.terms(gene);
        let of_cell = |i: usize| {
            let most = self.at_nodes(gene, &terms, columns, i).map(|(_, ln_p)| ln_p).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = self.at_nodes(gene, &terms, columns, i).map(|(q, ln_p)| q * (ln_p - most).exp()).sum();
            most + sum.ln()
        };
        (0..self.test.len()).map(of_cell).sum::<f64>() / self.test.len() as f64
    }

    /// Mean log-likelihood of the test cells under the constant that fits the others best.
    fn constant(&self, gene: &Gene, train: &Pair<Vec<f32>>, test: &Pair<Vec<f32>>) -> f64 {
        let mut total = 0.0;
        for species in 0..2 {
            let size: f64 = self.train.iter().map(|posterior| posterior.size[species]).sum();
            let sum: f64 = train[species].iter().map(|&x| f64::from(x)).sum();
            let mu = (sum / size).max(1e-6);
            let d = fit_dispersion(
                self.train,
                &train[species],
                species,
                (&[mu], &[sum], &[size]),
                gene.dispersion[species],
            );
            let (w, c) = negative_binomial::terms(mu, d);
            for (&x, posterior) in test[species].iter().zip(self.test) {
                let (x, size) = (f64::from(x), posterior.size[species]);
                total += x * w - size * c + negative_binomial::constant(x, size, d);
            }
        }
        total / self.test.len() as f64
    }

    /// The gene fitted anew to the train cells' `columns`.
    fn refit(&self, gene: &Gene, columns: &Pair<Vec<f32>>) -> Gene {
        let nodes = self.tree.len();
        let m = [0, 1].map(|species: usize| {
            let mut m = vec![0.0; nodes];
            for (posterior, &x) in self.train.iter().zip(&columns[species]) {
                for &(node, q) in &posterior.nodes {
                    m[node as usize] += f64::from(q) * f64::from(x);
                }
            }
            m
        });
        let sums = Sums { m: [&m[0], &m[1]], ..self.gathered.of(0) };
        let mut refitted = Gene::flat(self.tree, gene.scale, gene.dispersion, self.fixed.prior.beta.0);
        for _ in 0..2 {
            refitted.maximise(self.tree, &self.fixed.prior, sums, STEPS, &mut Course::default());
            let mu = refitted.means(self.tree);
            for species in 0..2 {
                let d = refitted.dispersion[species];
                refitted.dispersion[species] = fit_dispersion(
                    self.train,
                    &columns[species],
                    species,
                    (&mu[species], &m[species], sums.n[species]),
                    d,
                );
            }
        }
        refitted
    }
}

/// The dispersion of `counts` around means, begun at `d`; 0 stays 0.
fn fit_dispersion(
    cells: &[Posterior],
    counts: &[f32],
    species: usize,
    (mu, m, n): (&[f64], &[f64], &[f64]),
    d: f64,
) -> f64 {
    if d == 0.0 {
        return 0.0;
    }
    let sized = |(posterior, &x): (&Posterior, &f32)| (f64::from(x), posterior.size[species]);
    let counts: Vec<(f64, f64)> = cells.iter().zip(counts).map(sized).filter(|&(x, _)| x > 1.0).collect();
    let step = |d: f64, _| AroundMeans { counts: counts.clone(), mu, m, n }.fit(d);
    (0..6).fold(d.max(dispersion::START * 0.1), step)
}

//! How much dynamics explains: each gene's held-out log-likelihood, against a constant, and against a gene without delay.
//!
//! The model is fitted to four fifths of the cells. For a held-out cell the gene is predicted from all others: the posterior q of all
//! genes gives that without gene g, `q^−g_z ∝ q_z / p(x_g | z)` (but for nodes that the gene itself has ruled out, and for its part in the cell's size),
//! and
//!
//! ```text
//! p(x_g | x_−g) = Σ_z q^−g_z p(x_g | z)
//! ```
//!
//! Two scores are differences of its mean logarithm, in nats per cell. *Dynamics* is that over a constant abundance with dispersions of its own;
//! null: the gene's counts are permuted over the cells, refitted and scored in the same way. Genes of clusters that are each in a steady
//! state pass this test, and genes whose spliced counts alone change. *Delay* is the score over the gene that follows the same cells without
//! delay (`rival.rs`); null: unspliced counts are drawn from that rival, and both are refitted and scored in the same way.
//!
//! p-values are ranks among the nulls of all genes, each in the scale of the nulls of the genes nearest in depth; q-values are Benjamini and
//! Hochberg's. Cells that the model was fitted to are no substitute for held-out ones: their posteriors have been drawn to the gene's own
//! kinetics, and genes of steady clusters pass.

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::course::Course;
use super::em::{Fixed, Gathered};
use super::expect::Posterior;
use super::fit::drawn;
use super::gene::{Gene, Pair, Prior, Sums};
use super::rival::{Means, fit_dispersion, in_proportion, spliced_alone};
use super::rounds::{Cells, Fitted, rounds};
use super::tree::Tree;
use crate::data::quantities::FIT_QVAL_DELAY;
use crate::data::{Bound, GeneFilter, Run, stream};
use crate::error::Result;
use crate::negative_binomial;
use crate::stats;

/// Rounds of the model on the cells that are not held out.
const ROUNDS: usize = 8;
/// Steps of a gene that is fitted anew.
const STEPS: usize = 10;
/// Steps of a gene that is near its best.
const FEW_STEPS: usize = 4;
/// Cells that are scored, at most.
const SCORED: usize = 1000;
/// Genes nearest in depth whose nulls say how much a gene's score varies, ...
const NEAREST: usize = 200;
/// ... by this percentile.
const UPPER: f64 = 90.0;
/// The velocity genes are those of lower q-values of the delay.
const LARGEST_Q: f64 = 0.05;

/// Scores of genes, `[n_vars]`.
pub(super) struct Scores {
    /// Held-out log-likelihood, nats per cell.
    pub(super) held_out: Vec<f64>,
    /// The same less that of a constant.
    pub(super) dynamics: Vec<f64>,
    /// Share of permuted genes that have as high a `dynamics`.
    pub(super) p_dynamics: Vec<f64>,
    /// Held-out log-likelihood less that of the gene without delay, nats per cell.
    pub(super) delay: Vec<f64>,
    /// Share of genes drawn without delay that score as high.
    pub(super) p_delay: Vec<f64>,
    /// Benjamini and Hochberg's q-values of `p_delay`.
    pub(super) q_delay: Vec<f64>,
}

/// The scores of one gene, and those of its nulls.
#[derive(Serialize, Deserialize)]
struct Scored {
    held_out: f64,
    dynamics: f64,
    permuted: f64,
    delay: f64,
    undelayed: f64,
    /// Mean count of both species.
    depth: f64,
}

impl Scores {
    pub(super) fn new(fixed: &Fixed, cells: &Cells, fitted: &Fitted, run: &mut Run) -> Result<Self> {
        run.reporter().begin("held-out cells", 0, ROUNDS as u64 + 1);
        let (test, train) = cells.split();
        let test = test.select(&drawn(test.counts.n_obs(), SCORED, &mut run.rng("held-out cells", 0)));
        let fitted = rounds(fixed, &train, fitted.model.clone(), &train.sizes, (ROUNDS, 0.0), run)?;
        let (posteriors, _) = test.expect(&fitted.model, fixed, test.sizes.clone())?;
        let setting = HeldOut {
            tree: &fitted.model.tree,
            prior: fitted.model.prior,
            train: &fitted.posteriors,
            test: &posteriors,
            gathered: fitted.gathered(&train),
        };
        let seed = run.seed();
        let team = run.team();
        let scored = team
            .part(fitted.model.genes.len())
            .into_par_iter()
            .map_init(Course::default, |course, at| {
                let columns = |cells: &Cells| {
                    [0, 1].map(|species: usize| dense(cells.counts.genes[species].row(at), cells.counts.n_obs()))
                };
                setting.score(at, &fitted.model.genes[at], (columns(&train), columns(&test)), seed, course)
            })
            .collect();
        let scored: Vec<Scored> = team.joined(scored)?;
        run.reporter().end("genes scored on held-out cells");
        let column = |of: &dyn Fn(&Scored) -> f64| scored.iter().map(of).collect::<Vec<f64>>();
        let depth = column(&|gene| gene.depth);
        let (dynamics, delay) = (column(&|gene| gene.dynamics), column(&|gene| gene.delay));
        let p_delay = p_values(&depth, &delay, &column(&|gene| gene.undelayed));
        Ok(Self {
            held_out: column(&|gene| gene.held_out),
            p_dynamics: p_values(&depth, &dynamics, &column(&|gene| gene.permuted)),
            dynamics,
            delay,
            q_delay: q_values(&p_delay),
            p_delay,
        })
    }

    /// Whether the delay of each gene is seen.
    pub(super) fn velocity_genes(&self) -> Vec<bool> {
        let filter = delayed(self.q_delay.clone());
        (0..self.q_delay.len()).map(|gene| !filter.takes(gene)).collect()
    }

    /// One line about all genes.
    pub(super) fn summary(&self) -> String {
        let found = self.p_dynamics.iter().filter(|&&p| p < 0.05).count();
        let delayed = self.velocity_genes().into_iter().filter(|&found| found).count();
        format!(
            "kinetics explain held-out cells better than a constant does in {found} of {} genes (p < 0.05 against permuted cells; median \
             log-likelihood ratio {:.3} nats per cell), and better than a gene without delay does in {delayed} (false discovery rate \
             {LARGEST_Q}): those are the velocity genes",
            self.p_dynamics.len(),
            stats::median(&self.dynamics)
        )
    }
}

/// What velocity genes fulfil, by the q-values of their delay.
pub(super) fn delayed(q_values: Vec<f64>) -> GeneFilter {
    GeneFilter::new("q-value of the delay", FIT_QVAL_DELAY.key(), Bound::Below(LARGEST_Q), q_values)
}

/// For each score, the share of all nulls that are as high. Scores of deep genes vary more, so a gene's score and null are first set in
/// the scale of the nulls of the [`NEAREST`] genes by `depth`: the distance from their median, in units of that of their [`UPPER`]th
/// percentile. Ranks among so few would give no p-value below 1/201, and hide a hundred clear genes among two thousand.
fn p_values(depth: &[f64], scores: &[f64], nulls: &[f64]) -> Vec<f64> {
    let n = scores.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| depth[a].total_cmp(&depth[b]));
    let window = NEAREST.min(n);
    let (mut scaled, mut scaled_nulls) = (vec![0.0; n], vec![0.0; n]);
    for (rank, &gene) in order.iter().enumerate() {
        let first = rank.saturating_sub(window / 2).min(n - window);
        let near: Vec<f64> = order[first..first + window].iter().map(|&other| nulls[other]).collect();
        let middle = stats::median(&near);
        let width = (stats::percentile(&near, UPPER) - middle).max(f64::MIN_POSITIVE);
        scaled[gene] = (scores[gene] - middle) / width;
        scaled_nulls[gene] = (nulls[gene] - middle) / width;
    }
    scaled_nulls.sort_by(f64::total_cmp);
    let below = |score: &f64| scaled_nulls.partition_point(|null| null < score);
    scaled.iter().map(|score| (1 + n - below(score)) as f64 / (1 + n) as f64).collect()
}

/// Benjamini and Hochberg's q-values: of each gene, the least false discovery rate at which it is found.
fn q_values(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let mut q = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (above, &gene) in order.iter().enumerate() {
        least = least.min(p[gene] * p.len() as f64 / (p.len() - above) as f64);
        q[gene] = least;
    }
    q
}

/// One value for each of `n` cells, 0 for those that are not in the row.
pub(super) fn dense((at, values): (&[u32], &[f32]), n: usize) -> Vec<f32> {
    let mut column = vec![0.0; n];
    for (&at, &value) in at.iter().zip(values) {
        column[at as usize] = value;
    }
    column
}

/// Permutes both species alike.
fn permute(columns: &Pair<Vec<f32>>, rng: &mut impl rand::Rng) -> Pair<Vec<f32>> {
    let mut order: Vec<usize> = (0..columns[0].len()).collect();
    order.shuffle(rng);
    columns.each_ref().map(|column| order.iter().map(|&from| column[from]).collect())
}

struct HeldOut<'a> {
    tree: &'a Tree,
    prior: Prior,
    train: &'a [Posterior],
    test: &'a [Posterior],
    gathered: Gathered,
}

impl HeldOut<'_> {
    fn score(
        &self,
        at: usize,
        gene: &Gene,
        (train, test): (Pair<Vec<f32>>, Pair<Vec<f32>>),
        seed: u64,
        course: &mut Course,
    ) -> Scored {
        let sums = self.gathered.of(at);
        // What the rival is given, the gene is given too: its best for these cells.
        let mut gene = gene.clone();
        gene.maximise(self.tree, &self.prior, sums, FEW_STEPS, course);
        self.disperse(&mut gene, &train, sums);
        let dynamic = Means::of(&gene, self.tree);
        let others = self.without(&dynamic, &test);
        let held_out = self.predicted(&dynamic, &others, &test);
        let dynamics = held_out - self.constant(&gene, &train, &test);

        let s = spliced_alone(&gene, self.tree, &self.prior, sums, STEPS, course);
        let rival = self.rival(&gene, s, &train, sums, gene.dispersion[1]);
        let delay = held_out - self.predicted(&rival, &others, &test);

        let undelayed = self.undelayed(&gene, &rival, &others, (&train, &test), sums, (seed, at), course);
        let permuted = self.permuted(&gene, (&train, &test), (seed, at), course);
        let depth = train.iter().flatten().map(|&x| f64::from(x)).sum::<f64>() / self.train.len() as f64;
        Scored { held_out, dynamics, permuted, delay, undelayed, depth }
    }

    /// The score of delay of a gene whose unspliced counts are drawn from the rival.
    #[allow(clippy::too_many_arguments, reason = "all of them are of this gene, and used up here")]
    fn undelayed(
        &self,
        gene: &Gene,
        rival: &Means,
        others: &[Vec<(u32, f64)>],
        (train, test): (&Pair<Vec<f32>>, &Pair<Vec<f32>>),
        sums: Sums<'_>,
        (seed, at): (u64, usize),
        course: &mut Course,
    ) -> f64 {
        let rng = &mut stream(seed, "undelayed cells", at as u64);
        let train = [rival.draw_unspliced(self.train, rng), train[1].clone()];
        let test = [rival.draw_unspliced(self.test, rng), test[1].clone()];
        let m = self.summed(&train[0]);
        let sums = Sums { m: [&m, sums.m[1]], ..sums };
        let mut refitted = gene.clone();
        refitted.maximise(self.tree, &self.prior, sums, STEPS, course);
        self.disperse(&mut refitted, &train, sums);
        refitted.maximise(self.tree, &self.prior, sums, FEW_STEPS, course);
        // The spliced counts are the same, and so is their course alone.
        let rival = self.rival(gene, rival.mu[1].clone(), &train, sums, rival.dispersion[1]);
        self.predicted(&Means::of(&refitted, self.tree), others, &test) - self.predicted(&rival, others, &test)
    }

    /// The score of dynamics of the gene whose counts are permuted over the cells.
    fn permuted(
        &self,
        gene: &Gene,
        (train, test): (&Pair<Vec<f32>>, &Pair<Vec<f32>>),
        (seed, at): (u64, usize),
        course: &mut Course,
    ) -> f64 {
        let rng = &mut stream(seed, "permuted cells", at as u64);
        let (train, test) = (permute(train, rng), permute(test, rng));
        let refitted = Means::of(&self.refit(gene, &train, course), self.tree);
        // The posteriors have not seen the permuted counts.
        let seen: Vec<Vec<(u32, f64)>> = self.test.iter().map(weights).collect();
        self.predicted(&refitted, &seen, &test) - self.constant(gene, &train, &test)
    }

    /// The gene without delay, of the spliced course `s`; its spliced dispersion is sought from `d`.
    fn rival(&self, gene: &Gene, s: Vec<f64>, train: &Pair<Vec<f32>>, sums: Sums<'_>, d: f64) -> Means {
        let mut rival = Means { mu: [Vec::new(), s], dispersion: [gene.dispersion[0], d] };
        for _ in 0..2 {
            rival.mu[0] = in_proportion(&rival.mu[1], sums.m[0], sums.n[0], rival.dispersion[0]);
            let of = (&rival.mu[0][..], sums.m[0], sums.n[0]);
            rival.dispersion[0] = fit_dispersion(self.train, &train[0], 0, of, rival.dispersion[0]);
        }
        let of = (&rival.mu[1][..], sums.m[1], sums.n[1]);
        rival.dispersion[1] = fit_dispersion(self.train, &train[1], 1, of, d);
        rival
    }

    /// Fits the dispersions of `gene` to the counts of the train cells.
    fn disperse(&self, gene: &mut Gene, train: &Pair<Vec<f32>>, sums: Sums<'_>) {
        let mu = gene.means(self.tree);
        for species in 0..2 {
            let of = (&mu[species][..], sums.m[species], sums.n[species]);
            gene.dispersion[species] =
                fit_dispersion(self.train, &train[species], species, of, gene.dispersion[species]);
        }
    }

    /// `Σ_i q_iz x_i` over the train cells.
    fn summed(&self, counts: &[f32]) -> Vec<f64> {
        let mut m = vec![0.0; self.tree.len()];
        for (posterior, &x) in self.train.iter().zip(counts) {
            for &(node, q) in &posterior.nodes {
                m[node as usize] += f64::from(q) * f64::from(x);
            }
        }
        m
    }

    /// `ln p(x_g | z)` of every test cell at its nodes.
    fn at_nodes(&self, means: &Means, columns: &Pair<Vec<f32>>) -> Vec<Vec<f64>> {
        let terms = [0, 1].map(|species: usize| {
            let of = |&mu: &f64| negative_binomial::terms(mu, means.dispersion[species]);
            means.mu[species].iter().map(of).collect::<Vec<(f64, f64)>>()
        });
        let of_cell = |(i, cell): (usize, &Posterior)| {
            let x = [0, 1].map(|species: usize| f64::from(columns[species][i]));
            let constant: f64 = (0..2)
                .map(|species| negative_binomial::constant(x[species], cell.size[species], means.dispersion[species]))
                .sum();
            let at_node = |&(node, _): &(u32, f32)| {
                let of = |species: usize| {
                    let (w, c): (f64, f64) = terms[species][node as usize];
                    x[species] * w - cell.size[species] * c
                };
                constant + of(0) + of(1)
            };
            cell.nodes.iter().map(at_node).collect()
        };
        self.test.iter().enumerate().map(of_cell).collect()
    }

    /// The posteriors of the test cells without the gene of these means and counts.
    fn without(&self, means: &Means, columns: &Pair<Vec<f32>>) -> Vec<Vec<(u32, f64)>> {
        let of_cell = |(cell, ln_p): (&Posterior, Vec<f64>)| {
            let least = ln_p.iter().copied().fold(f64::INFINITY, f64::min);
            let nodes = cell.nodes.iter().zip(ln_p);
            let mut without: Vec<(u32, f64)> =
                nodes.map(|(&(node, q), ln_p)| (node, f64::from(q) * (least - ln_p).exp())).collect();
            let total: f64 = without.iter().map(|&(_, q)| q).sum();
            for (_, q) in &mut without {
                *q /= total;
            }
            without
        };
        self.test.iter().zip(self.at_nodes(means, columns)).map(of_cell).collect()
    }

    /// Mean of `ln p(x_g | x_−g)` over the test cells, given the posteriors of their nodes.
    fn predicted(&self, means: &Means, posteriors: &[Vec<(u32, f64)>], columns: &Pair<Vec<f32>>) -> f64 {
        let of_cell = |(posterior, ln_p): (&Vec<(u32, f64)>, Vec<f64>)| {
            let most = ln_p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = posterior.iter().zip(ln_p).map(|(&(_, q), ln_p)| q * (ln_p - most).exp()).sum();
            most + sum.max(1e-300).ln()
        };
        posteriors.iter().zip(self.at_nodes(means, columns)).map(of_cell).sum::<f64>() / posteriors.len() as f64
    }

    /// Mean log-likelihood of the test cells under the constant that fits the others best.
    fn constant(&self, gene: &Gene, train: &Pair<Vec<f32>>, test: &Pair<Vec<f32>>) -> f64 {
        let mut total = 0.0;
        for species in 0..2 {
            let size: f64 = self.train.iter().map(|posterior| posterior.size[species]).sum();
            let sum: f64 = train[species].iter().map(|&x| f64::from(x)).sum();
            let mu = (sum / size).max(1e-6);
            let of = (&[mu][..], &[sum][..], &[size][..]);
            let d = fit_dispersion(self.train, &train[species], species, of, gene.dispersion[species]);
            let (w, c) = negative_binomial::terms(mu, d);
            for (&x, posterior) in test[species].iter().zip(self.test) {
                let (x, size) = (f64::from(x), posterior.size[species]);
                total += x * w - size * c + negative_binomial::constant(x, size, d);
            }
        }
        total / self.test.len() as f64
    }

    /// The gene fitted anew to the train cells' `columns`.
    fn refit(&self, gene: &Gene, columns: &Pair<Vec<f32>>, course: &mut Course) -> Gene {
        let m = columns.each_ref().map(|column| self.summed(column));
        let sums = Sums { m: [&m[0], &m[1]], ..self.gathered.of(0) };
        let mut refitted = Gene::flat(self.tree, gene.scale, gene.dispersion, &self.prior);
        for _ in 0..2 {
            refitted.maximise(self.tree, &self.prior, sums, STEPS, course);
            self.disperse(&mut refitted, columns, sums);
        }
        refitted
    }
}

/// Nodes and responsibilities of a cell.
fn weights(posterior: &Posterior) -> Vec<(u32, f64)> {
    posterior.nodes.iter().map(|&(node, q)| (node, f64::from(q))).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_sorted_and_a_shuffled_file_have_the_same_cells_scored() {
        let rng = |seed: u64| ChaCha8Rng::seed_from_u64(seed);
        let n = 6000;
        let sorted: Vec<f64> = (0..n).map(|i| f64::from(i) / f64::from(n)).collect();
        let mut shuffled = sorted.clone();
        shuffled.shuffle(&mut rng(1));
        // The mean of 1,000 evenly spread numbers has a standard error of .009; of the first 1,000 of the sorted it is .083.
        for values in [&sorted, &shuffled] {
            let scored = drawn(values.len(), SCORED, &mut rng(2));
            assert!(scored.len() == SCORED && scored.windows(2).all(|pair| pair[0] < pair[1]));
            let mean = scored.iter().map(|&i| values[i]).sum::<f64>() / scored.len() as f64;
            assert!((mean - 0.5).abs() < 0.03, "{mean}");
        }
        assert_eq!(drawn(7, SCORED, &mut rng(2)), (0..7).collect::<Vec<usize>>());
    }

    #[test]
    fn ranks_are_taken_among_genes_of_like_depth() {
        // Nulls of deep genes are high: a score of 5 is nothing among them, and more than any of the shallow.
        let depth: Vec<f64> = (0..1000).map(f64::from).collect();
        let nulls: Vec<f64> = (0..1000).map(|gene| if gene < 500 { 0.0 } else { 10.0 }).collect();
        let p = p_values(&depth, &[5.0; 1000], &nulls);
        assert!(p[0] < 0.01 && p[300] < 0.01 && p[700] > 0.99 && p[999] > 0.99);
    }

    /// By scipy 1.17: `scipy.stats.false_discovery_control([.5, .01, .03, .02])`.
    #[test]
    fn q_values_are_those_of_benjamini_and_hochberg() {
        let q = q_values(&[0.5, 0.01, 0.03, 0.02]);
        for (found, expected) in q.iter().zip([0.5, 0.04, 0.04, 0.04]) {
            assert!((found - expected).abs() < 1e-12, "{q:?}");
        }
    }
}

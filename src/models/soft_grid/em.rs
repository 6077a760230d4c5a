//! The rounds: E-step, sums over cells, M-steps of π, of every gene, of the dispersions.
//!
//! One objective is raised by every step:
//!
//! ```text
//! Σ_i ln Σ_z π_z p(x_i | z, n_i, θ)  +  ln p(n) + ln p(θ) + ln p(d) + ln p(π)
//! ```

use std::ops::Range;

use rayon::prelude::*;

use super::course::Course;
use super::expect::{self, Posterior, Tables, Weights};
use super::gene::{Gene, Pair, Prior, Sums};
use super::samples;
use super::settings::{RateScale, Scaling, SoftGrid, TimePrior};
use super::tree::Tree;
use crate::data::Team;
use crate::error::Result;
use crate::models::dispersion::{self, AroundMeans};
use crate::simd::{Vectorized, mul_add_f64, vectorize};
use crate::sparse::Csr;

/// M-steps of the genes, at most, in which the means of their rates settle at the start.
const MOST_SHIFTS: usize = 20;

/// Steps of a dispersion in one M-step.
const DISPERSION_STEPS: usize = 2;

/// Means of ln β and ln γ that move by less have settled.
const SETTLED: f64 = 0.02;

/// Counts of some cells, by cell and by gene, `[unspliced, spliced]`.
pub(super) struct Counts {
    pub(super) cells: Pair<Csr<f32>>,
    pub(super) genes: Pair<Csr<f32>>,
}

impl Counts {
    pub(super) fn new(cells: Pair<Csr<f32>>) -> Self {
        let genes = [cells[0].transpose(), cells[1].transpose()];
        Self { cells, genes }
    }

    pub(super) fn n_obs(&self) -> usize {
        self.cells[0].n_rows
    }

    pub(super) fn n_vars(&self) -> usize {
        self.cells[0].n_cols
    }

    /// Counts of each cell, all genes together.
    pub(super) fn totals(&self, species: usize) -> Vec<f64> {
        let cells = &self.cells[species];
        (0..cells.n_rows).map(|i| cells.row(i).1.iter().map(|&x| f64::from(x)).sum()).collect()
    }
}

/// What is fitted, but for the sizes and posteriors of cells.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) tree: Tree,
    pub(super) genes: Vec<Gene>,
    /// What is believed of the genes' parameters, with the means of the rates that are fitted.
    pub(super) prior: Prior,
    /// `π_z` of each group of cells.
    pub(super) pi: Vec<Vec<f64>>,
    /// Relative capture r of unspliced molecules in each sample; empty if samples are not told apart.
    pub(super) capture: Vec<f64>,
}

/// What is not fitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) prior: Prior,
    /// Shape of the gamma prior of the sizes; `None` if sizes are given.
    pub(super) size_shape: Option<f64>,
    pub(super) one_size: bool,
    pub(super) learn_dispersion: bool,
    pub(super) learn_pi: bool,
    /// Pseudocounts: cells added to each node before π is learned.
    pub(super) smoothing: f64,
}

impl Fixed {
    pub(super) fn new(settings: &SoftGrid) -> Self {
        use super::settings::{Likelihood, Sizes};
        let rate = |[median, sd]: [f64; 2]| (median.ln(), sd);
        Self {
            prior: Prior {
                beta: rate(settings.beta_prior),
                gamma: rate(settings.gamma_prior),
                shift: [0.0; 2],
                free_shift: settings.rate_scale == RateScale::Learned,
                scaling: (0.0, 0.0),
                free_scaling: settings.scaling == Scaling::Gene,
                switch_cost: settings.switch_cost,
                lineage_cost: settings.lineage_cost,
            },
            size_shape: (settings.sizes != Sizes::Total).then(|| settings.size_sd.powi(-2)),
            one_size: settings.sizes != Sizes::Species,
            learn_dispersion: settings.likelihood == Likelihood::NegativeBinomial,
            learn_pi: settings.time_prior == TimePrior::Learned,
            smoothing: settings.smoothing,
        }
    }
}

/// Sums over cells: all that the M-steps of the genes need, however many cells there are.
pub(super) struct Gathered {
    nodes: usize,
    /// `N_z = Σ_i q_iz n_i` per species.
    n: Pair<Vec<f64>>,
    /// `Σ_i q_iz` per group of cells.
    cells: Vec<Vec<f64>>,
    /// `M_z = Σ_i q_iz x_i`, `[n_vars, nodes]` per species.
    m: Pair<Vec<f64>>,
    /// What tells the relative capture of each sample: cells, `Σ A`, `Σ E` ([`Posterior::unspliced`]). Empty if it is not asked.
    samples: Vec<samples::Sums>,
}

impl Gathered {
    pub(super) fn new(n_vars: usize, nodes: usize, n_groups: usize) -> Self {
        let zeros = |n: usize| [vec![0.0; n], vec![0.0; n]];
        let cells = vec![vec![0.0; nodes]; n_groups];
        Self { nodes, n: zeros(nodes), cells, m: zeros(n_vars * nodes), samples: Vec::new() }
    }

    /// Adds some cells; of the genes, those `which`.
    pub(super) fn add(
        &mut self,
        genes: &Pair<Csr<f32>>,
        which: &Range<usize>,
        posteriors: &[Posterior],
        groups: &[u32],
    ) {
        for (i, posterior) in posteriors.iter().enumerate() {
            let group = groups.get(i).map_or(0, |&group| group as usize);
            for &(node, q) in &posterior.nodes {
                for (n, size) in self.n.iter_mut().zip(posterior.size) {
                    n[node as usize] += f64::from(q) * size;
                }
                self.cells[group][node as usize] += f64::from(q);
            }
        }
        let stretches = Stretches::new(posteriors);
        for (m, genes) in self.m.iter_mut().zip(genes) {
            let mine = &mut m[which.start * self.nodes..which.end * self.nodes];
            mine.par_chunks_mut(self.nodes).enumerate().for_each(|(at, m)| {
                let (cells, counts) = genes.row(which.start + at);
                vectorize(AddCounts { stretches: &stretches, cells, counts, m });
            });
        }
    }

    /// Adds what some cells say of the relative capture in each of `n` samples; cell i is of sample `of[i]`. Nothing if `n` is 0.
    pub(super) fn add_samples(&mut self, posteriors: &[Posterior], of: &[u32], n: usize) {
        if n == 0 {
            return;
        }
        self.samples.resize(n, samples::Sums::default());
        for (posterior, &sample) in posteriors.iter().zip(of) {
            let [a, e] = posterior.unspliced;
            self.samples[sample as usize].iter_mut().zip([1.0, a, e]).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Multiplies all sums by `factor`.
    pub(super) fn fade(&mut self, factor: f64) {
        self.samples.iter_mut().flatten().for_each(|sum| *sum *= factor);
        let all = self.n.iter_mut().chain(&mut self.m).chain(&mut self.cells);
        all.for_each(|sums| sums.iter_mut().for_each(|sum| *sum *= factor));
    }

    /// Adds `factor` times all of `other`.
    pub(super) fn add_scaled(&mut self, other: &Self, factor: f64) {
        self.samples.resize(self.samples.len().max(other.samples.len()), samples::Sums::default());
        for (sum, other) in self.samples.iter_mut().flatten().zip(other.samples.iter().flatten()) {
            *sum += factor * other;
        }
        let mine = self.n.iter_mut().chain(&mut self.m).chain(&mut self.cells);
        for (sums, others) in mine.zip(other.n.iter().chain(&other.m).chain(&other.cells)) {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += factor * other);
        }
    }

    /// Adds the sums of all processes of `team`.
    pub(super) fn share(&mut self, team: &Team) -> Result<()> {
        if team.is_alone() {
            return Ok(());
        }
        let mut all: Vec<&mut [f64]> =
            self.n.iter_mut().chain(&mut self.m).chain(&mut self.cells).map(Vec::as_mut_slice).collect();
        all.push(self.samples.as_flattened_mut());
        let mut sums = all.concat();
        team.add(&mut sums)?;
        let mut rest = &sums[..];
        for values in all {
            let (of_all, others) = rest.split_at(values.len());
            values.copy_from_slice(of_all);
            rest = others;
        }
        Ok(())
    }

    /// The sums of one gene.
    pub(super) fn of(&self, gene: usize) -> Sums<'_> {
        let m = [0, 1].map(|species: usize| &self.m[species][gene * self.nodes..][..self.nodes]);
        Sums { n: [&self.n[0], &self.n[1]], m }
    }
}

/// Posteriors as stretches of nodes that follow each other: most are one, and sums over them are plain loops.
struct Stretches {
    q: Vec<f64>,
    /// Position in `q` and first node of each stretch; the next one begins where it ends.
    from: Vec<(usize, usize)>,
    /// The first stretch of each cell, and the end of the last.
    of_cell: Vec<usize>,
}

impl Stretches {
    fn new(posteriors: &[Posterior]) -> Self {
        let (mut q, mut from, mut of_cell) = (Vec::new(), Vec::new(), vec![0]);
        for posterior in posteriors {
            let mut next = None;
            for &(node, share) in &posterior.nodes {
                if next != Some(node) {
                    from.push((q.len(), node as usize));
                }
                q.push(f64::from(share));
                next = Some(node + 1);
            }
            of_cell.push(from.len());
        }
        from.push((q.len(), 0));
        Self { q, from, of_cell }
    }
}

/// Adds `q_iz x_i` to the sums `m` of one gene.
struct AddCounts<'a> {
    stretches: &'a Stretches,
    cells: &'a [u32],
    counts: &'a [f32],
    m: &'a mut [f64],
}

impl Vectorized for AddCounts<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Stretches { q, from, of_cell } = self.stretches;
        for (&cell, &x) in self.cells.iter().zip(self.counts) {
            let (cell, x) = (cell as usize, f64::from(x));
            for at in of_cell[cell]..of_cell[cell + 1] {
                let ((begin, node), (end, _)) = (from[at], from[at + 1]);
                for (m, q) in self.m[node..].iter_mut().zip(&q[begin..end]) {
                    *m = mul_add_f64::<FMA>(x, *q, *m);
                }
            }
        }
    }
}

impl Model {
    /// A model of constant genes over `tree`; `means` are the mean counts of every gene, `capture` the relative capture of each sample.
    pub(super) fn flat(tree: Tree, means: &Pair<Vec<f64>>, fixed: &Fixed, n_groups: usize, capture: Vec<f64>) -> Self {
        let dispersion = if fixed.learn_dispersion { [dispersion::START; 2] } else { [0.0; 2] };
        let mut prior = fixed.prior;
        prior.begin_scaling(means);
        let gene = |(&u, &s): (&f64, &f64)| Gene::flat(&tree, [u, s], dispersion, &prior);
        let genes = means[0].iter().zip(&means[1]).map(gene).collect();
        let nodes = tree.len();
        Self { tree, genes, prior, pi: vec![vec![1.0 / nodes as f64; nodes]; n_groups], capture }
    }

    /// Sizes of cells of the samples `of`, with this model's capture; as they are if there are no samples.
    pub(super) fn sized(&self, sizes: Vec<Pair<f64>>, of: &[u32]) -> Vec<Pair<f64>> {
        if of.is_empty() {
            return sizes;
        }
        sizes.into_iter().zip(of).map(|([_, n], &sample)| [n * self.capture[sample as usize], n]).collect()
    }

    /// E-step of the cells at the given rows, with the tables of this model.
    pub(super) fn expect(
        &self,
        tables: &Tables,
        fixed: &Fixed,
        cells: (&Pair<Csr<f32>>, Range<usize>),
        groups: &[u32],
        sizes: &[Pair<f64>],
    ) -> Vec<Posterior> {
        let weights = Weights { pi: &self.pi, size_shape: fixed.size_shape, one_size: fixed.one_size };
        expect::expect(cells, tables, sizes, groups, weights)
    }

    /// `−ln p` of all parameters, up to a constant.
    pub(super) fn penalty(&self, fixed: &Fixed) -> f64 {
        let genes: f64 = self.genes.iter().map(|gene| gene.penalty(&self.tree, &gene.params, &self.prior)).sum();
        let dispersions: f64 = self.genes.iter().flat_map(|gene| gene.dispersion).map(dispersion::penalty).sum();
        let pi: f64 = self.pi.iter().flatten().map(|pi| pi.max(1e-300).ln()).sum();
        genes + dispersions - if fixed.learn_pi { fixed.smoothing * pi } else { 0.0 }
    }

    /// The sums over some cells, of which `genes` are the counts by gene; of these, those `which` alone are gathered.
    pub(super) fn gather(
        &self,
        genes: &Pair<Csr<f32>>,
        which: &Range<usize>,
        posteriors: &[Posterior],
        groups: &[u32],
    ) -> Gathered {
        let mut gathered = Gathered::new(self.genes.len(), self.tree.len(), self.pi.len());
        gathered.add(genes, which, posteriors, groups);
        gathered
    }

    /// M-steps of π, of the samples' capture, of the genes, and of what is learned of their rates and scalings together.
    ///
    /// # Errors
    /// If another process of `team` has ended.
    pub(super) fn maximise(&mut self, fixed: &Fixed, gathered: &Gathered, steps: usize, team: &Team) -> Result<()> {
        if fixed.learn_pi {
            for (pi, cells) in self.pi.iter_mut().zip(&gathered.cells) {
                *pi = spread(&self.tree, cells, fixed.smoothing);
            }
        }
        samples::maximise(&mut self.capture, &gathered.samples);
        let (tree, prior) = (&self.tree, &self.prior);
        each_gene(&mut self.genes, team, |course, at, gene| {
            gene.maximise(tree, prior, gathered.of(at), steps, course);
        })?;
        self.prior.learn_shift(&self.genes);
        self.prior.learn_scaling(&self.genes);
        Ok(())
    }

    /// M-step of the dispersions.
    fn disperse(
        &mut self,
        genes: &Pair<Csr<f32>>,
        posteriors: &[Posterior],
        gathered: &Gathered,
        team: &Team,
    ) -> Result<()> {
        let tree = &self.tree;
        each_gene(&mut self.genes, team, |_, at, gene| {
            let (mu, sums) = (gene.means(tree), gathered.of(at));
            for species in 0..2 {
                let (cells, counts) = genes[species].row(at);
                let sized = |(&i, &x): (&u32, &f32)| (f64::from(x), posteriors[i as usize].size[species]);
                let counts = cells.iter().zip(counts).map(sized);
                let around = AroundMeans::new(counts, [&mu[species], sums.m[species], sums.n[species]]);
                gene.dispersion[species] = around.fit(gene.dispersion[species], DISPERSION_STEPS);
            }
        })
    }

    /// All M-steps from the first posteriors of cells in memory, until the means of the rates have settled. Here cells are all of one size:
    /// later, sizes that grow along time can make up for rates that are too fast, and the rounds would be slow to undo that.
    pub(super) fn begin(
        &mut self,
        fixed: &Fixed,
        counts: &Counts,
        groups: &[u32],
        posteriors: &[Posterior],
        steps: usize,
    ) -> Result<()> {
        let alone = &Team::default();
        let gathered = self.gather(&counts.genes, &(0..counts.n_vars()), posteriors, groups);
        let mut before = self.prior.shift;
        self.maximise(fixed, &gathered, steps, alone)?;
        if fixed.learn_dispersion {
            self.disperse(&counts.genes, posteriors, &gathered, alone)?;
        }
        for _ in 0..MOST_SHIFTS {
            let moved = before.iter().zip(self.prior.shift).any(|(before, now)| (now - before).abs() > SETTLED);
            if !moved {
                break;
            }
            before = self.prior.shift;
            self.maximise(fixed, &gathered, steps, alone)?;
        }
        Ok(())
    }

    /// All M-steps from the posteriors of cells in memory, of which `gathered` are the sums; those of the dispersions if told to `disperse`.
    pub(super) fn maximise_all(
        &mut self,
        fixed: &Fixed,
        counts: &Counts,
        (posteriors, gathered): (&[Posterior], &Gathered),
        (steps, disperse): (usize, bool),
        team: &Team,
    ) -> Result<()> {
        self.maximise(fixed, gathered, steps, team)?;
        if fixed.learn_dispersion && disperse {
            self.disperse(&counts.genes, posteriors, gathered, team)?;
        }
        Ok(())
    }
}

/// Does `work` on each of the genes; of those that other processes of `team` work on, takes over what they came to.
fn each_gene(genes: &mut Vec<Gene>, team: &Team, work: impl Fn(&mut Course, usize, &mut Gene) + Sync) -> Result<()> {
    let part = team.part(genes.len());
    let mine = &mut genes[part.clone()];
    mine.par_iter_mut().enumerate().for_each_init(Course::default, |course, (at, gene)| {
        work(course, part.start + at, gene);
    });
    if !team.is_alone() {
        *genes = team.joined(mine.to_vec())?;
    }
    Ok(())
}

/// `π`, even within each piece of the tree and with `smoothing` cells more at each node. A π that is free at every node would pile up
/// on few of them: the likeliest distribution of times is a handful of points.
fn spread(tree: &Tree, cells: &[f64], smoothing: f64) -> Vec<f64> {
    let (mut sums, mut sizes) = (vec![0.0; tree.pieces], vec![0.0; tree.pieces]);
    for (&piece, cells) in tree.piece.iter().zip(cells) {
        sums[piece] += cells;
        sizes[piece] += 1.0;
    }
    let total: f64 = sums.iter().sum::<f64>() + smoothing * tree.len() as f64;
    if total <= 0.0 {
        // A group without cells, in a sample of them.
        return vec![1.0 / tree.len() as f64; tree.len()];
    }
    tree.piece.iter().map(|&piece| (sums[piece] / sizes[piece] + smoothing) / total).collect()
}

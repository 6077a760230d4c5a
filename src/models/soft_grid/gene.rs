//! One gene: its parameters, and the M-step that fits them to what the E-step has gathered.
//!
//! Given the posteriors, the expected log-likelihood of a gene separates from all others and needs two sums over cells only,
//! `N_z = Σ_i q_iz n_i` and, per species, `M_z = Σ_i q_iz x_i`:
//!
//! ```text
//! Q(θ) = Σ_species Σ_z [ M_z W(μ_z) − N_z C(μ_z) ] − penalty(θ),     μ_z = curve(θ)_z + floor
//! ∂Q/∂μ_z = (M_z − N_z μ_z) / (μ_z (1 + d μ_z)),    information N_z / (μ_z (1 + d μ_z))
//! ```
//!
//! Fisher scoring with Levenberg's damping: every accepted step raises Q.
//!
//! The penalty is a prior. Transcription follows a random walk from piece to piece, of heavy tails: a course with few
//! switches is likelier than one that wavers. With d the difference of ln α between two pieces,
//! `w ln(1 + d²/c²)`. Lineages are tied likewise. ln β, ln γ and ln κ are normal around means that all genes share.

use serde::{Deserialize, Serialize};

use super::course::{ALPHA, BETA, Course, GAMMA, Params, S0, SCALING, U0, solve};
use super::scoring::{Expected, NodeSums, solve_damped};
use super::tree::Tree;
use crate::simd::vectorize;
use crate::stats;

/// Spliced abundances are at index 1, unspliced at 0, everywhere in this model.
pub(super) type Pair<T> = [T; 2];

/// What is believed of a gene's parameters before its counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prior {
    /// Mean and s.d. of ln β.
    pub(super) beta: (f64, f64),
    /// Mean and s.d. of ln γ.
    pub(super) gamma: (f64, f64),
    /// Shift of the mean of ln β and of ln γ, 0 or below: how much slower than believed the genes of the data are, all together. Cells may lie on
    /// a short part of a trajectory; where κ is not fitted, it multiplies β. Never
    /// above 0: with rates so fast that both species rise and fall together, time can run either way.
    pub(super) shift: Pair<f64>,
    /// Whether it is learned; it is 0 otherwise.
    pub(super) free_shift: bool,
    /// Mean and s.d. of ln κ; both are learned if [`Self::free_scaling`].
    pub(super) scaling: (f64, f64),
    /// Whether κ is fitted; it is 1 otherwise.
    pub(super) free_scaling: bool,
    /// Weight w of the changes of ln α from piece to piece.
    pub(super) switch_cost: f64,
    /// Weight of its differences between lineages.
    pub(super) lineage_cost: f64,
}

impl Prior {
    /// Means of ln β and ln γ.
    pub(super) fn means(&self) -> Pair<f64> {
        [self.beta.0 + self.shift[0], self.gamma.0 + self.shift[1]]
    }

    /// Begins with a median κ at which genes of mean abundances `means` have the prior's γ/β: in a steady state, u/s = κ γ/β.
    pub(super) fn begin_scaling(&mut self, means: &Pair<Vec<f64>>) {
        if self.free_scaling {
            let ratios: Vec<f64> = means[0].iter().zip(&means[1]).map(|(u, s)| (u / s).ln()).collect();
            self.scaling = (stats::median(&ratios) - (self.gamma.0 - self.beta.0), SPREAD);
        }
    }

    /// Moves mean and s.d. of ln κ to their best for `genes`.
    pub(super) fn learn_scaling(&mut self, genes: &[Gene]) {
        if self.free_scaling {
            let all: Vec<f64> = genes.iter().map(|gene| gene.params[SCALING]).collect();
            self.scaling = (stats::mean(&all), (stats::variance(&all, 0) + LEAST_SPREAD * LEAST_SPREAD).sqrt());
        }
    }

    /// Moves both shifts to their best for `genes`, within their range.
    pub(super) fn learn_shift(&mut self, genes: &[Gene]) {
        if !self.free_shift {
            return;
        }
        let mean = |at: usize| genes.iter().map(|gene| gene.params[at]).sum::<f64>() / genes.len() as f64;
        self.shift = [mean(BETA) - self.beta.0, mean(GAMMA) - self.gamma.0].map(|off| off.clamp(-LARGEST_SHIFT, 0.0));
    }
}

/// ln κ of a gene is taken to vary by this s.d. besides what is seen: with none, the likeliest s.d. of all is 0.
const LEAST_SPREAD: f64 = 0.03;
/// S.d. of ln κ between genes of which nothing is known yet.
const SPREAD: f64 = 0.5;

/// A factor of 20. Rates that are slower still make the path less than a lifetime of a transcript, and say nothing but slopes.
const LARGEST_SHIFT: f64 = 3.0;

/// Prior s.d. of ln α, ln u₀ and ln s₀ around the gene's own scale: so wide that it only keeps parameters that the data do not
/// identify from diverging.
const FAR: f64 = 10.0;

/// Prior s.d. of a parameter that is not fitted.
const HELD: f64 = 1e-6;

/// Logarithms of abundances stay within this of the gene's scale of their species, those of rates within this of 0.
const RANGE: f64 = 12.0;

/// A step changes no logarithm by more than this.
const LONGEST: f64 = 2.0;

/// Background, in parts of the gene's mean: what is counted of a silent gene.
const FLOOR: f64 = 0.01;

/// A gene's fitted parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Gene {
    pub(super) params: Params,
    /// Dispersion d of unspliced and spliced counts; 0 is Poisson.
    pub(super) dispersion: Pair<f64>,
    /// Background added to the abundances.
    pub(super) floor: Pair<f64>,
    /// Mean abundances, the scale of the parameters.
    pub(super) scale: Pair<f64>,
}

/// The sums over cells that a gene's M-step needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums<'a> {
    /// `N_z`, the same for all genes.
    pub(super) n: Pair<&'a [f64]>,
    /// `M_z` per species.
    pub(super) m: Pair<&'a [f64]>,
}

impl Gene {
    /// A gene of mean abundances `scale` that is in its steady state all the time.
    pub(super) fn flat(tree: &Tree, scale: Pair<f64>, dispersion: Pair<f64>, prior: &Prior) -> Self {
        let (ln_beta, ln_scaling) = (prior.means()[0], prior.scaling.0);
        let [u, s] = scale.map(f64::ln);
        let mut params = vec![ln_beta + u; ALPHA + tree.pieces];
        params[BETA] = ln_beta;
        params[GAMMA] = ln_beta + u - s - ln_scaling;
        params[SCALING] = ln_scaling;
        (params[U0], params[S0]) = (u, s);
        Self { params, dispersion, floor: scale.map(|mean| FLOOR * mean), scale }
    }

    /// `μ` of both species at every node, `[n_nodes]`.
    pub(super) fn means(&self, tree: &Tree) -> Pair<Vec<f64>> {
        let mut mu = [vec![0.0; tree.len()], vec![0.0; tree.len()]];
        let [u, s] = &mut mu;
        solve(tree, &self.params, u, s);
        for (mu, floor) in mu.iter_mut().zip(self.floor) {
            for mu in mu.iter_mut() {
                *mu += floor;
            }
        }
        mu
    }

    /// `Σ M W − N C` over nodes and species.
    pub(super) fn expected(&self, curve: Pair<&[f64]>, sums: Sums<'_>) -> f64 {
        let mut total = 0.0;
        for (species, curve) in curve.into_iter().enumerate() {
            let (floor, dispersion) = (self.floor[species], self.dispersion[species]);
            let (m, n) = (sums.m[species], sums.n[species]);
            vectorize(Expected { curve, m, n, floor, dispersion, total: &mut total });
        }
        total
    }

    /// `Q` at `params`; the curve is left in `course`.
    fn objective(&self, tree: &Tree, params: &[f64], prior: &Prior, sums: Sums<'_>, course: &mut Course) -> f64 {
        course.solve(tree, params);
        let [u, s] = &course.values;
        self.expected([u, s], sums) - self.penalty(tree, params, prior)
    }

    /// `−ln p(θ)` up to a constant.
    pub(super) fn penalty(&self, tree: &Tree, params: &[f64], prior: &Prior) -> f64 {
        let normal = |(at, mean, sd): (usize, f64, f64)| 0.5 * ((params[at] - mean) / sd).powi(2);
        let walk = |(weight, a, b): (f64, usize, usize)| {
            let d = params[a] - params[b];
            weight * (d * d / (WIDTH * WIDTH)).ln_1p()
        };
        let normals: f64 = self.normals(params.len(), prior).map(normal).sum();
        // What varies with the learned s.d. of ln κ alone.
        let (_, spread) = prior.scaling;
        let scaling = if prior.free_scaling { 0.5 * (LEAST_SPREAD / spread).powi(2) + spread.ln() } else { 0.0 };
        normals + scaling + pairs(tree, prior).map(walk).sum::<f64>()
    }

    /// Parameters with a normal prior: position, mean, s.d.
    fn normals(&self, n: usize, prior: &Prior) -> impl Iterator<Item = (usize, f64, f64)> + use<> {
        let [u, s] = self.scale.map(f64::ln);
        let means = prior.means();
        let rates = [(BETA, means[0], prior.beta.1), (GAMMA, means[1], prior.gamma.1)];
        let levels = [(U0, u, FAR), (S0, s, FAR)];
        let scaling = (SCALING, prior.scaling.0, if prior.free_scaling { prior.scaling.1 } else { HELD });
        rates.into_iter().chain([scaling]).chain(levels).chain((ALPHA..n).map(move |at| (at, u, FAR)))
    }

    /// Gradient of Q, and the information: its expected curvature with the sign changed, as a lower triangle.
    fn derivatives(&self, tree: &Tree, prior: &Prior, sums: Sums<'_>, course: &Course) -> (Vec<f64>, Vec<f64>) {
        let (n, stride) = (self.params.len(), course.stride);
        let (mut gradient, mut information) = (vec![0.0; stride], vec![0.0; n * stride]);
        for species in 0..2 {
            let (floor, d) = (self.floor[species], self.dispersion[species]);
            let slope_and_weight = |node: usize| {
                let (cells, m, mu) =
                    (sums.n[species][node], sums.m[species][node], course.values[species][node] + floor);
                let scale = 1.0 / (mu * (1.0 + d * mu));
                ((m - cells * mu) * scale, cells * scale)
            };
            let nodes: Vec<(f64, f64)> = (0..tree.len()).map(slope_and_weight).collect();
            let by = &course.by[species];
            vectorize(NodeSums {
                nodes: &nodes,
                tree,
                by,
                stride,
                gradient: &mut gradient,
                information: &mut information,
            });
        }
        gradient.truncate(n);
        for (at, mean, sd) in self.normals(n, prior) {
            gradient[at] -= (self.params[at] - mean) / (sd * sd);
            information[at * stride + at] += 1.0 / (sd * sd);
        }
        for (weight, a, b) in pairs(tree, prior) {
            let (a, b) = (a.max(b), a.min(b));
            let d = self.params[a] - self.params[b];
            let curvature = 2.0 * weight / (WIDTH * WIDTH + d * d);
            gradient[a] -= curvature * d;
            gradient[b] += curvature * d;
            information[a * stride + a] += curvature;
            information[b * stride + b] += curvature;
            information[a * stride + b] -= curvature;
        }
        (gradient, information)
    }

    /// Raises Q by at most `steps` accepted steps; returns how much.
    pub(super) fn maximise(
        &mut self,
        tree: &Tree,
        prior: &Prior,
        sums: Sums<'_>,
        steps: usize,
        course: &mut Course,
    ) -> f64 {
        let [u, s] = self.scale.map(f64::ln);
        let before = self.objective(tree, &self.params, prior, sums, course);
        let (mut best, mut damping) = (before, 1e-3);
        for _ in 0..steps {
            course.differentiate(tree, &self.params);
            let (gradient, information) = self.derivatives(tree, prior, sums, course);
            let mut gained = 0.0;
            for _ in 0..8 {
                if let Some(direction) = solve_damped(&information, course.stride, &gradient, damping) {
                    let moved = |(at, direction): (usize, f64)| {
                        let centre = match at {
                            BETA | GAMMA | SCALING => 0.0,
                            S0 => s,
                            _ => u,
                        };
                        (self.params[at] + direction.clamp(-LONGEST, LONGEST)).clamp(centre - RANGE, centre + RANGE)
                    };
                    let moved: Vec<f64> = direction.into_iter().enumerate().map(moved).collect();
                    let found = self.objective(tree, &moved, prior, sums, course);
                    if found > best {
                        gained = found - best;
                        (best, self.params) = (found, moved);
                        damping = (damping * 0.2).max(1e-9);
                        break;
                    }
                }
                damping = damping.max(1e-6) * 6.0;
            }
            if gained < ENOUGH {
                break;
            }
        }
        best - before
    }

    /// Standard errors of ln β and ln γ from the curvature of the objective, the times held.
    pub(super) fn standard_errors(&self, tree: &Tree, prior: &Prior, sums: Sums<'_>, course: &mut Course) -> Pair<f64> {
        course.differentiate(tree, &self.params);
        let (gradient, information) = self.derivatives(tree, prior, sums, course);
        [BETA, GAMMA].map(|at| {
            let mut unit = vec![0.0; gradient.len()];
            unit[at] = 1.0;
            solve_damped(&information, course.stride, &unit, 0.0).map_or(f64::NAN, |column| column[at].max(0.0).sqrt())
        })
    }
}

/// A step that gains less, in nats, is the last.
const ENOUGH: f64 = 1e-4;

/// Width c of the prior on changes of ln α: less is a waver, more a switch.
const WIDTH: f64 = 0.3;

/// Pairs of parameters, the ln α of pieces that are likely to be alike, with the weights.
fn pairs<'a>(tree: &'a Tree, prior: &'a Prior) -> impl Iterator<Item = (f64, usize, usize)> + use<'a> {
    let follows = tree.follows.iter().map(|&(a, b)| (prior.switch_cost, ALPHA + a, ALPHA + b));
    follows.chain(tree.parallel.iter().map(|&(a, b)| (prior.lineage_cost, ALPHA + a, ALPHA + b)))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Branching;
    use super::*;

    /// A gene of which no unspliced molecule was counted in 10⁵ cells; its spliced ones decay from an abundance of 4.
    #[test]
    fn spliced_abundance_at_the_root_has_the_scale_of_spliced_counts() {
        let tree = Tree::new(&Branching::Lineage(0), 40, 20.0, 8);
        let (cells, none) = (vec![2500.0; tree.len()], vec![0.0; tree.len()]);
        let m: Vec<f64> = (0..tree.len()).map(|node| 2500.0 * (4.0 * (-0.3 * tree.time(node)).exp() + 0.01)).collect();
        let mean = m.iter().sum::<f64>() / cells.iter().sum::<f64>();
        let prior = Prior {
            beta: (0.0, 0.7),
            gamma: (-0.7, 0.7),
            shift: [0.0; 2],
            free_shift: false,
            scaling: (0.0, 0.5),
            free_scaling: false,
            switch_cost: 1.0,
            lineage_cost: 0.3,
        };
        let mut gene = Gene::flat(&tree, [1e-6, mean], [0.0; 2], &prior);
        let sums = Sums { n: [&cells, &cells], m: [&none, &m] };
        gene.maximise(&tree, &prior, sums, 100, &mut Course::default());
        let s0 = gene.params[S0].exp();
        assert!((s0 - 4.0).abs() < 0.1, "{s0}");
    }
}

//! The rival of a gene with dynamics: the same spliced course, and unspliced abundance in proportion to it, without delay.
//!
//! ```text
//! s_z = course of the splicing ODE fitted to the spliced counts alone,    u_z = a + r s_z,    a, r ≥ 0
//! ```
//!
//! A gene that is in its steady state in every cell is of this kind whatever it does along the tree: r = γ/β. So is a gene whose
//! unspliced counts say nothing (r = 0) and one that does not change. The spliced course has the pieces and the prior that the gene with
//! dynamics has, but need not agree with u: where two genes differ, it is by the delay of s behind u.

use rand::Rng;
use rand_distr::{Distribution, Gamma, Poisson};

use super::course::Course;
use super::expect::Posterior;
use super::gene::{Gene, Pair, Prior, Sums};
use super::tree::Tree;
use crate::models::dispersion::{self, AroundMeans};
use crate::negative_binomial;

/// Steps of Newton's rule on a and r.
const STEPS: usize = 20;

/// Least `a`, in parts of the gene's mean: what is counted of a silent gene.
const LEAST: f64 = 0.01;

/// Abundances at every node and dispersions: what is needed to predict counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Means {
    /// `μ` of unspliced and spliced counts, `[n_nodes]`.
    pub(super) mu: Pair<Vec<f64>>,
    pub(super) dispersion: Pair<f64>,
}

impl Means {
    pub(super) fn of(gene: &Gene, tree: &Tree) -> Self {
        Self { mu: gene.means(tree), dispersion: gene.dispersion }
    }

    /// Unspliced counts of `cells`, drawn around these means: each cell's node from its posterior, then its count.
    pub(super) fn draw_unspliced(&self, cells: &[Posterior], rng: &mut impl Rng) -> Vec<f32> {
        cells
            .iter()
            .map(|cell| {
                let mut left = rng.random::<f32>();
                let here = cell.nodes.iter().find(|&&(_, q)| {
                    left -= q;
                    left < 0.0
                });
                let node = here.or(cell.nodes.last()).map_or(0, |&(node, _)| node as usize);
                draw_count(cell.size[0], self.mu[0][node], self.dispersion[0], rng)
            })
            .collect()
    }
}

/// One count of mean `n μ` and variance `n μ (1 + d μ)`.
pub(super) fn draw_count(n: f64, mu: f64, d: f64, rng: &mut impl Rng) -> f32 {
    let mean = if d > 0.0 { Gamma::new(n / d, d * mu).map_or(n * mu, |gamma| gamma.sample(rng)) } else { n * mu };
    Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(rng)) as f32
}

/// The spliced course of `gene` when it need not agree with the unspliced counts, by at most `steps` steps.
pub(super) fn spliced_alone(
    gene: &Gene,
    tree: &Tree,
    prior: &Prior,
    sums: Sums<'_>,
    steps: usize,
    course: &mut Course,
) -> Vec<f64> {
    let nothing = vec![0.0; tree.len()];
    let alone = Sums { n: [&nothing, sums.n[1]], m: [&nothing, sums.m[1]] };
    let mut free = gene.clone();
    free.maximise(tree, prior, alone, steps, course);
    let [_, s] = free.means(tree);
    s
}

/// `a + r s` that fits the sums `M` and `N` over cells best, for counts of dispersion `d`.
pub(super) fn in_proportion(s: &[f64], m: &[f64], n: &[f64], d: f64) -> Vec<f64> {
    let (total, cells): (f64, f64) = (m.iter().sum(), n.iter().sum());
    let mean = (total / cells.max(1e-9)).max(1e-6);
    let of_s = (s.iter().zip(n).map(|(s, n)| s * n).sum::<f64>() / cells.max(1e-9)).max(1e-9);
    let least = LEAST * mean;
    let objective = |[a, r]: [f64; 2]| {
        let term = |((s, m), n): ((&f64, &f64), &f64)| {
            let (w, c) = negative_binomial::terms(a + r * s, d);
            m * w - n * c
        };
        s.iter().zip(m).zip(n).map(term).sum::<f64>()
    };
    // The objective can have its best on an edge: it is climbed from both.
    let climb = |mut at: [f64; 2]| {
        let mut best = objective(at);
        for _ in 0..STEPS {
            let Some(step) = newton(at, least, (s, m, n), d) else { break };
            let before = best;
            let mut length = 1.0;
            for _ in 0..6 {
                let trial = [(at[0] + length * step[0]).max(least), (at[1] + length * step[1]).max(0.0)];
                let found = objective(trial);
                if found > best {
                    (best, at) = (found, trial);
                    break;
                }
                length *= 0.4;
            }
            if best - before < 1e-4 {
                break;
            }
        }
        (best, at)
    };
    let (flat, line) = (climb([0.9 * mean, 0.1 * mean / of_s]), climb([least, (1.0 - LEAST) * mean / of_s]));
    let [a, r] = if flat.0 >= line.0 { flat.1 } else { line.1 };
    s.iter().map(|s| a + r * s).collect()
}

/// The scoring step on a and r; one that is held at its bound is left out.
fn newton([a, r]: [f64; 2], least: f64, (s, m, n): (&[f64], &[f64], &[f64]), d: f64) -> Option<[f64; 2]> {
    let (mut gradient, mut information) = ([0.0; 2], [0.0; 3]);
    for ((s, m), n) in s.iter().zip(m).zip(n) {
        let mu = a + r * s;
        let scale = 1.0 / (mu * (1.0 + d * mu));
        let (slope, weight) = ((m - n * mu) * scale, n * scale);
        gradient[0] += slope;
        gradient[1] += slope * s;
        information[0] += weight;
        information[1] += weight * s;
        information[2] += weight * s * s;
    }
    let held = [a <= least && gradient[0] <= 0.0, r <= 0.0 && gradient[1] <= 0.0];
    let [aa, ar, rr] = information;
    match held {
        [true, true] => None,
        [true, false] => Some([0.0, gradient[1] / rr.max(1e-300)]),
        [false, true] => Some([gradient[0] / aa.max(1e-300), 0.0]),
        [false, false] => {
            let determinant = aa * rr * (1.0 + 1e-9) - ar * ar;
            Some([
                (rr * gradient[0] - ar * gradient[1]) / determinant,
                (aa * gradient[1] - ar * gradient[0]) / determinant,
            ])
        }
    }
}

/// The dispersion of `counts` around means, begun at `d`; 0 stays 0.
pub(super) fn fit_dispersion(
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
    let counts = cells.iter().zip(counts).map(sized);
    AroundMeans::new(counts, [mu, m, n]).fit(d.max(dispersion::START * 0.1), DISPERSION_STEPS)
}

/// Steps towards the best dispersion, at most.
const DISPERSION_STEPS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_not_whole_enter_the_dispersion_however_small() {
        let cells: Vec<Posterior> = vec![Posterior { size: [1.0; 2], ..Posterior::default() }; 400];
        let counts: Vec<f32> = [1.75, 0.25, 0.9, 0.1].into_iter().cycle().take(400).collect();
        let of = (&[0.75][..], &[300.0][..], &[400.0][..]);
        let all = counts.iter().map(|&x| (f64::from(x), 1.0));
        let wanted = AroundMeans::new(all, [of.0, of.1, of.2]).fit(dispersion::START, 40);
        let found = fit_dispersion(&cells, &counts, 0, of, dispersion::START);
        assert!((found / wanted).ln().abs() < 0.02, "{found}, with all of them {wanted}");
    }
}

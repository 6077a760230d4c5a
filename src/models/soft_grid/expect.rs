//! E-step: where on the tree each cell is, and how large it is.
//!
//! ```text
//! l_iz = Σ_g x_ig W(μ_zg) − n_i C_z + ln π_z,    C_z = Σ_g C(μ_zg),    q_iz = softmax_z(l_iz)
//! ```
//!
//! The first term is a sparse row of counts times a table `[genes, nodes]`: the cost is the number of counts times the nodes,
//! and no array of cells by genes is made. The size n_i is fitted here too, to the cell's own evidence `ln Σ_z exp(l_iz)` and a
//! gamma prior: once the table product is there, a trial of another size costs a pass over the nodes.

use rayon::prelude::*;

use super::gene::{Gene, Pair};
use super::tree::Tree;
use crate::negative_binomial;
use crate::simd::{Vectorized, mul_add, vectorize};
use crate::sparse::Csr;

/// Genes whose parts of C are summed at a stretch: sums have one order whatever the number of threads.
const CHUNK: usize = 64;

/// Trials of a cell's size in one E-step.
const INNER: usize = 3;

/// Responsibilities below this are left out.
const SMALLEST: f64 = 1e-7;

/// `W(μ)` of all genes and nodes, and `C`.
pub(super) struct Tables {
    nodes: usize,
    /// `W(μ_zg)` less its mean over nodes, `[n_vars, nodes]` per species: small numbers, so that single precision holds them.
    w: Pair<Vec<f32>>,
    /// The means over nodes, `[n_vars]`.
    base: Pair<Vec<f64>>,
    /// `C_z`, `[nodes]` per species.
    pub(super) c: Pair<Vec<f64>>,
    dispersion: Pair<Vec<f64>>,
}

impl Tables {
    pub(super) fn new(tree: &Tree, genes: &[Gene]) -> Self {
        let nodes = tree.len();
        let mut w = [0, 1].map(|_| vec![0.0_f32; genes.len() * nodes]);
        let mut base = [0, 1].map(|_| vec![0.0; genes.len()]);
        let [w_u, w_s] = &mut w;
        let [base_u, base_s] = &mut base;
        let parts: Vec<Pair<Vec<f64>>> = genes
            .par_chunks(CHUNK)
            .zip(w_u.par_chunks_mut(CHUNK * nodes).zip(w_s.par_chunks_mut(CHUNK * nodes)))
            .zip(base_u.par_chunks_mut(CHUNK).zip(base_s.par_chunks_mut(CHUNK)))
            .map(|((genes, (w_u, w_s)), (base_u, base_s))| {
                let mut c = [0, 1].map(|_| vec![0.0; nodes]);
                for (at, gene) in genes.iter().enumerate() {
                    let mu = gene.means(tree);
                    for (species, (w, base)) in
                        [(&mut *w_u, &mut *base_u), (&mut *w_s, &mut *base_s)].into_iter().enumerate()
                    {
                        let terms: Vec<(f64, f64)> = mu[species]
                            .iter()
                            .map(|&mu| negative_binomial::terms(mu, gene.dispersion[species]))
                            .collect();
                        let mean = terms.iter().map(|term| term.0).sum::<f64>() / nodes as f64;
                        base[at] = mean;
                        for (z, (w_z, c_z)) in terms.into_iter().enumerate() {
                            w[at * nodes + z] = (w_z - mean) as f32;
                            c[species][z] += c_z;
                        }
                    }
                }
                c
            })
            .collect();
        let mut c = [0, 1].map(|_| vec![0.0; nodes]);
        for part in parts {
            for (c, part) in c.iter_mut().zip(part) {
                c.iter_mut().zip(part).for_each(|(c, part)| *c += part);
            }
        }
        let dispersion = [0, 1].map(|species| genes.iter().map(|gene| gene.dispersion[species]).collect());
        Self { nodes, w, base, c, dispersion }
    }

    /// `Σ_g x_g W(μ_zg)` of one cell.
    fn product(&self, cell: Pair<(&[u32], &[f32])>) -> Vec<f64> {
        let mut sum = vec![0.0_f32; self.nodes];
        let mut base = 0.0;
        for (species, (genes, counts)) in cell.into_iter().enumerate() {
            vectorize(Product { genes, counts, w: &self.w[species], sum: &mut sum });
            for (&gene, &x) in genes.iter().zip(counts) {
                base += f64::from(x) * self.base[species][gene as usize];
            }
        }
        sum.into_iter().map(|sum| base + f64::from(sum)).collect()
    }

    /// `Σ_g term(x_g, d_g)` over the counts of one cell.
    fn over_counts(&self, cell: Pair<(&[u32], &[f32])>, mut term: impl FnMut(usize, f64, f64)) {
        for (species, (genes, counts)) in cell.into_iter().enumerate() {
            for (&gene, &x) in genes.iter().zip(counts) {
                term(species, f64::from(x), self.dispersion[species][gene as usize]);
            }
        }
    }
}

/// `sum += x · W_g` over the counts of a cell.
struct Product<'a> {
    genes: &'a [u32],
    counts: &'a [f32],
    w: &'a [f32],
    sum: &'a mut [f32],
}

impl Vectorized for Product<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let nodes = self.sum.len();
        for (&gene, &x) in self.genes.iter().zip(self.counts) {
            let row = &self.w[gene as usize * nodes..][..nodes];
            for (sum, w) in self.sum.iter_mut().zip(row) {
                *sum = mul_add::<FMA>(x, *w, *sum);
            }
        }
    }
}

/// Where one cell is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Posterior {
    /// Nodes with a responsibility worth keeping, and it; they add up to 1.
    pub(super) nodes: Vec<(u32, f32)>,
    /// The cell's size for unspliced and spliced counts.
    pub(super) size: Pair<f64>,
    /// Its part of the objective: `ln Σ_z exp(l_iz)`, the terms without μ, and the prior of its size.
    pub(super) evidence: f64,
}

impl Posterior {
    /// Mean over nodes of `value`.
    pub(super) fn mean(&self, value: impl Fn(usize) -> f64) -> f64 {
        self.nodes.iter().map(|&(node, q)| f64::from(q) * value(node as usize)).sum()
    }
}

/// What the E-step is told besides the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    /// `ln π_z` of each group of cells.
    pub(super) ln_pi: &'a [Vec<f64>],
    /// Shape of the gamma prior of the sizes, of mean 1; `None` to keep the sizes.
    pub(super) size_shape: Option<f64>,
    /// Whether the sizes for both species are one.
    pub(super) one_size: bool,
}

/// Posteriors of all cells of sizes `sizes`; cell i belongs to group `groups[i]`, or 0 if there are none.
pub(super) fn expect(
    cells: &Pair<Csr<f32>>,
    tables: &Tables,
    sizes: &[Pair<f64>],
    groups: &[u32],
    weights: Weights<'_>,
) -> Vec<Posterior> {
    (0..cells[0].n_rows)
        .into_par_iter()
        .map(|i| {
            let group = groups.get(i).map_or(0, |&group| group as usize);
            one_cell([cells[0].row(i), cells[1].row(i)], tables, sizes[i], &weights.ln_pi[group], weights)
        })
        .collect()
}

fn one_cell(
    cell: Pair<(&[u32], &[f32])>,
    tables: &Tables,
    size: Pair<f64>,
    ln_pi: &[f64],
    weights: Weights<'_>,
) -> Posterior {
    let product = tables.product(cell);
    let mut q = vec![0.0; tables.nodes];
    // Fills q; returns ln Σ exp.
    let soften = |size: Pair<f64>, q: &mut [f64]| {
        let mut most = f64::NEG_INFINITY;
        for (z, q) in q.iter_mut().enumerate() {
            *q = product[z] - size[0] * tables.c[0][z] - size[1] * tables.c[1][z] + ln_pi[z];
            most = most.max(*q);
        }
        let mut sum = 0.0;
        for q in q.iter_mut() {
            *q = (*q - most).exp();
            sum += *q;
        }
        for q in q.iter_mut() {
            *q /= sum;
        }
        most + sum.ln()
    };
    let shape = weights.size_shape.unwrap_or(0.0);
    let prior = |n: f64| shape * (n.ln() - n);
    let constants = |size: Pair<f64>| {
        let mut sum = negative_binomial::Constants::default();
        tables.over_counts(cell, |species, x, d| sum.add(x, size[species], d));
        sum.total() + if weights.one_size { prior(size[0]) } else { prior(size[0]) + prior(size[1]) }
    };
    let mut best = size;
    let mut evidence = soften(best, &mut q);
    if weights.size_shape.is_some() {
        // Σ ln(n + k d) over counts is replaced by A ln n + B n of the same first two derivatives at the present size.
        let mut by = [[0.0, 0.0]; 2];
        let mut ones = [0.0; 2];
        tables.over_counts(cell, |species, x, d| {
            // Many counts are 1, whose term is ln n.
            if (x - 1.0).abs() < f64::EPSILON {
                ones[species] += 1.0;
                return;
            }
            let (first, second) = negative_binomial::constant_by_size(x, size[species], d);
            by[species][0] += first;
            by[species][1] += second;
        });
        for species in 0..2 {
            by[species][0] += ones[species] / size[species];
            by[species][1] -= ones[species] / size[species].powi(2);
        }
        let like = [0, 1].map(|species| {
            let a = -by[species][1] * size[species] * size[species];
            (a, by[species][0] - a / size[species])
        });
        for _ in 0..INNER {
            let c = [0, 1].map(|species| q.iter().zip(&tables.c[species]).map(|(q, c)| q * c).sum::<f64>());
            let moved = |a: f64, rest: f64, n: f64| ((a + shape) / (rest + shape).max(1e-9)).clamp(0.5 * n, 2.0 * n);
            best = if weights.one_size {
                [moved(like[0].0 + like[1].0, c[0] + c[1] - like[0].1 - like[1].1, best[0]); 2]
            } else {
                [0, 1].map(|species| moved(like[species].0, c[species] - like[species].1, best[species]))
            };
            evidence = soften(best, &mut q);
        }
    }
    evidence += constants(best);
    let kept: f64 = q.iter().filter(|&&q| q > SMALLEST).sum();
    let nodes = q.iter().enumerate().filter(|(_, q)| **q > SMALLEST);
    Posterior { nodes: nodes.map(|(z, q)| (z as u32, (q / kept) as f32)).collect(), size: best, evidence }
}

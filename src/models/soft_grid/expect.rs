//! E-step: where on the tree each cell is, and how large it is.
//!
//! ```text
//! l_iz = Σ_g x_ig W(μ_zg) − n_i C_z + ln π_z,    C_z = Σ_g C(μ_zg),    q_iz = softmax_z(l_iz)
//! ```
//!
//! The first term is a sparse row of counts times a table `[genes, nodes]`: the cost is the number of counts times the nodes,
//! and no array of cells by genes is made. The size n_i is fitted here too, to the cell's own evidence `ln Σ_z exp(l_iz)` and a
//! gamma prior: once the table product is there, a trial of another size costs a pass over the nodes. Where the cell's sample has a relative capture
//! of unspliced molecules of its own ([`super::samples`]), unspliced counts have the size `n_i r`: the ratio r of the two sizes is kept.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::gene::{Gene, Pair};
use super::tree::Tree;
use crate::negative_binomial;
use crate::simd::{Vectorized, exp_f64, mul_add, mul_add_f64, vectorize};
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
    /// Nodes rounded up to a multiple of [`LANES`]: the length of a row.
    width: usize,
    /// `W(μ_zg)` less its mean over nodes, `[n_vars, width]` per species: small numbers, so that single precision holds them.
    w: Pair<Vec<f32>>,
    /// The means over nodes, `[n_vars]`.
    base: Pair<Vec<f64>>,
    /// `C_z`, `[width]` per species.
    c: Pair<Vec<f64>>,
    dispersion: Pair<Vec<f64>>,
}

impl Tables {
    pub(super) fn new(tree: &Tree, genes: &[Gene]) -> Self {
        let nodes = tree.len();
        let width = nodes.next_multiple_of(LANES);
        let mut w = [0, 1].map(|_| vec![0.0_f32; genes.len() * width]);
        let mut base = [0, 1].map(|_| vec![0.0; genes.len()]);
        let [w_u, w_s] = &mut w;
        let [base_u, base_s] = &mut base;
        let parts: Vec<Pair<Vec<f64>>> = genes
            .par_chunks(CHUNK)
            .zip(w_u.par_chunks_mut(CHUNK * width).zip(w_s.par_chunks_mut(CHUNK * width)))
            .zip(base_u.par_chunks_mut(CHUNK).zip(base_s.par_chunks_mut(CHUNK)))
            .map(|((genes, (w_u, w_s)), (base_u, base_s))| {
                let mut c = [0, 1].map(|_| vec![0.0; width]);
                let (mut of_w, mut of_c) = (vec![0.0; nodes], vec![0.0; nodes]);
                for (at, gene) in genes.iter().enumerate() {
                    let mu = gene.means(tree);
                    for (species, (w, base)) in
                        [(&mut *w_u, &mut *base_u), (&mut *w_s, &mut *base_s)].into_iter().enumerate()
                    {
                        negative_binomial::all_terms(&mu[species], gene.dispersion[species], &mut of_w, &mut of_c);
                        let mean = of_w.iter().sum::<f64>() / nodes as f64;
                        base[at] = mean;
                        w[at * width..].iter_mut().zip(&of_w).for_each(|(w, of_w)| *w = (of_w - mean) as f32);
                        c[species].iter_mut().zip(&of_c).for_each(|(c, of_c)| *c += of_c);
                    }
                }
                c
            })
            .collect();
        let mut c = [0, 1].map(|_| vec![0.0; width]);
        for part in parts {
            for (c, part) in c.iter_mut().zip(part) {
                c.iter_mut().zip(part).for_each(|(c, part)| *c += part);
            }
        }
        let dispersion = [0, 1].map(|species| genes.iter().map(|gene| gene.dispersion[species]).collect());
        Self { nodes, width, w, base, c, dispersion }
    }

    /// `Σ_g x_g W(μ_zg)` of one cell, into `product`, `[width]`; `sum` is room to work in.
    fn multiply(&self, cell: Pair<(&[u32], &[f32])>, sum: &mut Vec<f32>, product: &mut Vec<f64>) {
        sum.clear();
        sum.resize(self.width, 0.0);
        let mut base = 0.0;
        for (species, (genes, counts)) in cell.into_iter().enumerate() {
            vectorize(Product { genes, counts, w: &self.w[species], sum });
            for (&gene, &x) in genes.iter().zip(counts) {
                base += f64::from(x) * self.base[species][gene as usize];
            }
        }
        product.clear();
        product.extend(sum.iter().map(|&sum| base + f64::from(sum)));
    }

    /// Takes the counts of one cell, unspliced and spliced, each with the dispersion of its gene.
    fn sort(&self, cell: Pair<(&[u32], &[f32])>, sorted: &mut Pair<negative_binomial::Counts>) {
        for ((sorted, (genes, counts)), dispersion) in sorted.iter_mut().zip(cell).zip(&self.dispersion) {
            let with_dispersion = |(&gene, &x): (&u32, &f32)| (f64::from(x), dispersion[gene as usize]);
            sorted.fill(genes.iter().zip(counts).map(with_dispersion));
        }
    }
}

/// Numbers in one vector.
const LANES: usize = 8;

/// Counts whose rows are added at a time: as many fewer passes over the sums.
const TOGETHER: usize = 4;

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
        let Self { genes, counts, w, sum } = self;
        let width = sum.len();
        let row = |gene: u32| &w[gene as usize * width..][..width];
        let (genes, last_genes) = genes.as_chunks::<TOGETHER>();
        let (counts, last_counts) = counts.as_chunks::<TOGETHER>();
        for (genes, x) in genes.iter().zip(counts) {
            let [a, b, c, d] = genes.map(row);
            for ((((sum, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let two = mul_add::<FMA>(x[1], *b, mul_add::<FMA>(x[0], *a, *sum));
                *sum = mul_add::<FMA>(x[3], *d, mul_add::<FMA>(x[2], *c, two));
            }
        }
        for (&gene, &x) in last_genes.iter().zip(last_counts) {
            for (sum, w) in sum.iter_mut().zip(row(gene)) {
                *sum = mul_add::<FMA>(x, *w, *sum);
            }
        }
    }
}

/// `q_z ∝ exp(product_z − n_u C_uz − n_s C_sz + ln π_z)`, all of one length, a multiple of [`LANES`].
struct Soften<'a> {
    product: &'a [f64],
    c: &'a Pair<Vec<f64>>,
    ln_pi: &'a [f64],
    size: Pair<f64>,
    /// q times the sum below.
    q: &'a mut [f64],
    found: &'a mut Softened,
}

/// What is summed of `exp(l_z − most)`.
#[derive(Clone, Copy, Debug, Default)]
struct Softened {
    most: f64,
    sum: f64,
    /// Mean of C over q.
    c: Pair<f64>,
}

impl Vectorized for Soften<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { product, c, ln_pi, size, q, found } = self;
        let lanes = |values| -> &[[f64; LANES]] { <[f64]>::as_chunks::<LANES>(values).0 };
        let (product, c_u, c_s, ln_pi) = (lanes(product), lanes(&c[0]), lanes(&c[1]), lanes(ln_pi));
        let q = q.as_chunks_mut::<LANES>().0;
        let mut most = [f64::NEG_INFINITY; LANES];
        for ((((q, product), c_u), c_s), ln_pi) in q.iter_mut().zip(product).zip(c_u).zip(c_s).zip(ln_pi) {
            for l in 0..LANES {
                q[l] = product[l] - size[0] * c_u[l] - size[1] * c_s[l] + ln_pi[l];
                // (`max` would look for values that are not numbers, one by one.)
                most[l] = if q[l] > most[l] { q[l] } else { most[l] };
            }
        }
        let most = most.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let mut sums = [[0.0; LANES]; 3];
        for ((q, c_u), c_s) in q.iter_mut().zip(c_u).zip(c_s) {
            for l in 0..LANES {
                q[l] = exp_f64::<FMA>(q[l] - most);
                sums[0][l] += q[l];
                sums[1][l] = mul_add_f64::<FMA>(q[l], c_u[l], sums[1][l]);
                sums[2][l] = mul_add_f64::<FMA>(q[l], c_s[l], sums[2][l]);
            }
        }
        let [sum, u, s] = sums.map(|lanes| lanes.iter().sum::<f64>());
        *found = Softened { most, sum, c: [u / sum, s / sum] };
    }
}

/// Where one cell is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Posterior {
    /// Nodes with a responsibility worth keeping, and it; they add up to 1.
    pub(super) nodes: Vec<(u32, f32)>,
    /// The cell's size for unspliced and spliced counts.
    pub(super) size: Pair<f64>,
    /// What its unspliced counts say of a factor r that multiplies their size: `A ln r − E r` at the present r, as `[A, E]`. A is the number of
    /// molecules less what their dispersion takes from it, E how many are expected at r = 1.
    pub(super) unspliced: Pair<f64>,
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
    /// `π_z` of each group of cells.
    pub(super) pi: &'a [Vec<f64>],
    /// Shape of the gamma prior of the sizes, of mean 1; `None` to keep the sizes.
    pub(super) size_shape: Option<f64>,
    /// Whether the sizes for both species are one.
    pub(super) one_size: bool,
}

/// Posteriors of the cells `rows`, which are of sizes `sizes`; cell i belongs to group `groups[i]`, or 0 if there are none.
pub(super) fn expect(
    (cells, rows): (&Pair<Csr<f32>>, Range<usize>),
    tables: &Tables,
    sizes: &[Pair<f64>],
    groups: &[u32],
    weights: Weights<'_>,
) -> Vec<Posterior> {
    // Beyond the last node there is no probability.
    let padded = |pi: &Vec<f64>| {
        let mut ln_pi: Vec<f64> = pi.iter().map(|pi| pi.max(1e-300).ln()).collect();
        ln_pi.resize(tables.width, f64::NEG_INFINITY);
        ln_pi
    };
    let ln_pi: Vec<Vec<f64>> = weights.pi.iter().map(padded).collect();
    rows.into_par_iter()
        .map_init(Scratch::default, |scratch, i| {
            let group = groups.get(i).map_or(0, |&group| group as usize);
            scratch.one_cell([cells[0].row(i), cells[1].row(i)], tables, sizes[i], &ln_pi[group], weights)
        })
        .collect()
}

/// What the E-step of one cell works on.
#[derive(Default)]
struct Scratch {
    sum: Vec<f32>,
    product: Vec<f64>,
    q: Vec<f64>,
    sorted: Pair<negative_binomial::Counts>,
}

impl Scratch {
    fn one_cell(
        &mut self,
        cell: Pair<(&[u32], &[f32])>,
        tables: &Tables,
        size: Pair<f64>,
        ln_pi: &[f64],
        weights: Weights<'_>,
    ) -> Posterior {
        tables.multiply(cell, &mut self.sum, &mut self.product);
        tables.sort(cell, &mut self.sorted);
        self.q.resize(tables.width, 0.0);
        let mut best = size;
        let mut found = self.soften(tables, best, ln_pi);
        let shape = weights.size_shape.unwrap_or(0.0);
        // 1 where samples have no capture of their own.
        let ratio = size[0] / size[1];
        let mut unspliced = [0.0; 2];
        if weights.size_shape.is_some() {
            // Σ ln(n + k d) over counts is replaced by A ln n + B n of the same first two derivatives at the present size.
            let like = [0, 1].map(|species| {
                let by_size = self.sorted[species].by_size(size[species]);
                let a = -by_size.second * size[species] * size[species];
                (a, by_size.first - a / size[species])
            });
            for _ in 0..INNER {
                let c = found.c;
                let moved =
                    |a: f64, rest: f64, n: f64| ((a + shape) / (rest + shape).max(1e-9)).clamp(0.5 * n, 2.0 * n);
                best = if weights.one_size {
                    let rest = ratio * c[0] + c[1] - ratio * like[0].1 - like[1].1;
                    let n = moved(like[0].0 + like[1].0, rest, best[1]);
                    [ratio * n, n]
                } else {
                    [0, 1].map(|species| moved(like[species].0, c[species] - like[species].1, best[species]))
                };
                found = self.soften(tables, best, ln_pi);
            }
            unspliced = [like[0].0, best[1] * (found.c[0] - like[0].1)];
        }
        let prior = |n: f64| shape * (n.ln() - n);
        let priors = if weights.one_size { prior(best[1]) } else { prior(best[0]) + prior(best[1]) };
        let constants: f64 = self.sorted.iter().zip(best).map(|(counts, n)| counts.constants(n)).sum();
        let evidence = found.most + found.sum.ln() + constants + priors;
        let least = SMALLEST * found.sum;
        let kept = || self.q[..tables.nodes].iter().enumerate().filter(|(_, q)| **q > least);
        let sum: f64 = kept().map(|(_, q)| q).sum();
        let nodes = kept().map(|(z, q)| (z as u32, (q / sum) as f32)).collect();
        Posterior { nodes, size: best, unspliced, evidence }
    }

    /// Fills q, up to a factor.
    fn soften(&mut self, tables: &Tables, size: Pair<f64>, ln_pi: &[f64]) -> Softened {
        let mut found = Softened::default();
        let (product, q) = (&self.product, &mut self.q);
        vectorize(Soften { product, c: &tables.c, ln_pi, size, q, found: &mut found });
        found
    }
}

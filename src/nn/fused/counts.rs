//! The negative log-likelihood of counts around modelled abundances, with the size of each cell.
//!
//! Counts of cell i are negative binomial (Poisson without dispersion) around `n_i μ`, with variance `n_i μ (1 + d μ)`
//! (`crate::negative_binomial`); `μ = (û, ŝ)` is the abundance in a cell of size 1, and the cell's size n has a gamma prior of
//! mean 1 and shape k. The size is not drawn but integrated out by Laplace's method in `ln n`:
//!
//! ```text
//! −ln ∫ p(x | n μ) p(n) dn ≈ −[Σ x W(μ) − n̂ C(μ) + c(x, n̂)] − ln p(ln n̂) − ½ ln(2π v),   n̂ the best size, 1/v the curvature there
//! ```
//!
//! At the best size the gradient by μ is that of the likelihood with n̂ held; that of `ln v` is left out.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::negative_binomial;
use crate::nn::arrays::values;

/// Least abundance: keeps a count of a gene that the model says is off from costing everything.
pub(super) const LEAST: f32 = 1e-4;
/// Steps of Newton's rule for the size.
pub(super) const STEPS: usize = 12;

/// Counts of some cells, row-major `[n_cells, n_genes]`, and their noise.
#[derive(Clone, Copy, Debug)]
pub struct Counts<'a> {
    /// Unspliced, then spliced counts.
    pub counts: [&'a [f32]; 2],
    /// Dispersion of each gene, `[n_genes]`; 0: Poisson.
    pub dispersion: [&'a [f32]; 2],
    /// Shape of the gamma prior of the sizes.
    pub size_shape: f64,
}

/// What [`Counts::around`] finds, per cell, `[n_cells]`.
#[derive(Clone, Debug)]
pub struct AroundAbundance {
    /// Negative log-likelihood of unspliced and of spliced counts at the best size, in nats.
    pub nll: [Vec<f64>; 2],
    /// What the size costs: `−ln p(ln n̂) − ½ ln(2π v)`.
    pub size_cost: Vec<f64>,
    /// The best size n̂.
    pub size: Vec<f64>,
    /// Derivatives of `nll` by the abundances, `[n_cells, n_genes]`; empty if not asked for.
    pub gradient: [Vec<f32>; 2],
}

impl Counts<'_> {
    /// The likelihood of all cells around abundances `mu` of cells of size 1.
    #[must_use]
    pub fn around(&self, mu: [&[f32]; 2], with_gradient: bool) -> AroundAbundance {
        let n_genes = self.dispersion[0].len();
        let n_cells = mu[0].len() / n_genes.max(1);
        let cell = |cell: usize| {
            let row = cell * n_genes..(cell + 1) * n_genes;
            self.cell([&mu[0][row.clone()], &mu[1][row.clone()]], row, with_gradient)
        };
        let cells: Vec<OneCell> = match rayon::current_num_threads() {
            1 => (0..n_cells).map(cell).collect(),
            _ => (0..n_cells).into_par_iter().map(cell).collect(),
        };
        let mut found = AroundAbundance {
            nll: [(); 2].map(|()| Vec::with_capacity(n_cells)),
            size_cost: Vec::with_capacity(n_cells),
            size: Vec::with_capacity(n_cells),
            gradient: [(); 2].map(|()| Vec::with_capacity(if with_gradient { mu[0].len() } else { 0 })),
        };
        for OneCell { nll, size_cost, size, gradient } in cells {
            for species in 0..2 {
                found.nll[species].push(nll[species]);
                found.gradient[species].extend_from_slice(&gradient[species]);
            }
            found.size_cost.push(size_cost);
            found.size.push(size);
        }
        found
    }

    fn cell(&self, mu: [&[f32]; 2], row: std::ops::Range<usize>, with_gradient: bool) -> OneCell {
        let counts = self.counts.map(|counts| &counts[row.clone()]);
        // Σ x W and Σ C do not know the size.
        let mut sums = [[0.0_f64; 2]; 2];
        for species in 0..2 {
            for ((&mu, &x), &d) in mu[species].iter().zip(counts[species]).zip(self.dispersion[species]) {
                let mu = mu.max(LEAST);
                let log = if d > 0.0 { (1.0 + d * mu).ln() } else { 0.0 };
                let c = if d > 0.0 { log / d } else { mu };
                if x > 0.0 {
                    sums[species][0] += f64::from(x * (mu.ln() - log));
                }
                sums[species][1] += f64::from(c);
            }
        }
        let above = [0, 1].map(|species| {
            let pairs = counts[species].iter().zip(self.dispersion[species]);
            let mut above = negative_binomial::Counts::default();
            above.fill(pairs.filter(|(x, _)| **x > 0.0).map(|(&x, &d)| (f64::from(x), f64::from(d))));
            above
        });
        let total = counts.into_iter().flatten().map(|&x| f64::from(x)).sum();
        let (size, curvature) = self.size(&above, total, sums[0][1] + sums[1][1]);
        let nll = [0, 1].map(|species| size * sums[species][1] - sums[species][0] - above[species].constants(size));
        let shape = self.size_shape;
        let prior = shape * (shape.ln() + size.ln() - size) - libm::lgamma(shape);
        let size_cost = -prior - 0.5 * (std::f64::consts::TAU / curvature).ln();
        let gradient = [0, 1].map(|species| {
            if !with_gradient {
                return Vec::new();
            }
            let size = size as f32;
            let slope = |((&mu, &x), &d): ((&f32, &f32), &f32)| {
                if mu > LEAST { (size * mu - x) / (mu * (1.0 + d * mu)) } else { 0.0_f32.min(size - x / LEAST) }
            };
            mu[species].iter().zip(counts[species]).zip(self.dispersion[species]).map(slope).collect()
        });
        OneCell { nll, size_cost, size, gradient }
    }

    /// The best size of a cell and the curvature of its log-posterior in `ln n`, by Newton's rule.
    ///
    /// `above`: counts above 0 with their gene's dispersion, and their `total`; `c`: `Σ C(μ)`.
    fn size(&self, above: &[negative_binomial::Counts; 2], total: f64, c: f64) -> (f64, f64) {
        let shape = self.size_shape;
        let mut size = (shape + total) / (shape + c);
        let mut curvature = shape + total;
        for _ in 0..STEPS {
            let [u, s] = above.each_ref().map(|counts| counts.by_size(size));
            let (first, second) = (u.first + s.first, u.second + s.second);
            let slope = shape + size * (first - c - shape);
            curvature = (size * (c + shape - first) - size * size * second).max(0.1 * shape);
            let step = (slope / curvature).clamp(-1.0, 1.0);
            size *= step.exp();
            if step.abs() < 1e-7 {
                break;
            }
        }
        (size, curvature)
    }
}

struct OneCell {
    nll: [f64; 2],
    size_cost: f64,
    size: f64,
    gradient: [Vec<f32>; 2],
}

/// The result of [`count_nll`], each of shape `[1]`, mean over cells, in nats per cell.
#[derive(Clone, Debug)]
pub struct CountNll {
    /// Sum of the parts; carries the gradient.
    pub total: Tensor<1>,
    /// The part of the unspliced counts.
    pub unspliced: Tensor<1>,
    /// The part of the spliced counts.
    pub spliced: Tensor<1>,
    /// What the sizes cost.
    pub size: Tensor<1>,
}

/// The negative log-likelihood of a batch of counts around abundances `mu` (unspliced, spliced), `[n_cells, n_genes]`: summed
/// over genes, mean over cells. Gradients flow to `mu`.
///
/// - `counts`: `[n_cells, n_genes]` each; `dispersion`: `[1, n_genes]` each; `size_shape`: shape of the prior of the sizes
///
/// On a GPU one kernel; on other devices the pass over the counts is made on the host, and what goes back is the value and the
/// gradient.
///
/// # Panics
/// If the shapes differ, or the device fails.
#[must_use]
pub fn count_nll(mu: [Tensor<2>; 2], counts: [Tensor<2>; 2], dispersion: [Tensor<2>; 2], size_shape: f64) -> CountNll {
    let shape = mu[0].dims();
    #[cfg(feature = "cube")]
    if mu.iter().chain(&counts).chain(&dispersion).all(super::cube::is_on_gpu) {
        return super::cube::count_nll(mu, counts, dispersion, size_shape);
    }
    let device = mu[0].device().inner();
    // With its way of keeping what gradients need, which all tensors of an operation share.
    let graph = mu.iter().find(|mu| mu.is_tracked()).map(Tensor::device);
    let host = |tensors: [Tensor<2>; 2]| tensors.map(|tensor| values(tensor.without_autodiff()));
    let (means, counts, dispersion) = (host(mu.clone()), host(counts), host(dispersion));
    let problem = Counts { counts: [&counts[0], &counts[1]], dispersion: [&dispersion[0], &dispersion[1]], size_shape };
    let found = problem.around([&means[0], &means[1]], graph.is_some());
    let n_cells = shape[0] as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n_cells;
    let [unspliced, spliced] = [0, 1].map(|species: usize| mean(&found.nll[species]));
    let size = mean(&found.size_cost);
    let scalar = |value: f64, device: &Device| Tensor::<1>::from_data(TensorData::new(vec![value as f32], [1]), device);
    let mut total = scalar(unspliced + spliced + size, graph.as_ref().unwrap_or(&device));
    if let Some(graph) = graph {
        // μ·g has the gradient g; its own value is taken off again.
        for (mu, gradient) in mu.into_iter().zip(found.gradient) {
            let gradient: Vec<f32> = gradient.into_iter().map(|value| value / shape[0] as f32).collect();
            let gradient = Tensor::<2>::from_data(TensorData::new(gradient, shape), &graph);
            let product = (mu * gradient).sum();
            let value = product.clone().detach();
            total = total + (product - value);
        }
    }
    let [unspliced, spliced, size] = [unspliced, spliced, size].map(|value| scalar(value, &device));
    CountNll { total, unspliced, spliced, size }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSPLICED: [f32; 6] = [0.0, 3.0, 1.0, 0.0, 2.0, 7.0];
    const SPLICED: [f32; 6] = [5.0, 0.0, 2.0, 1.0, 0.0, 12.0];
    const MU: [f32; 6] = [0.5, 2.0, 1.5, 0.2, 1.0, 4.0];
    const MS: [f32; 6] = [4.0, 1.0, 2.5, 0.7, 0.3, 9.0];

    fn problem(dispersion: &[f32; 3], size_shape: f64) -> Counts<'_> {
        Counts { counts: [&UNSPLICED, &SPLICED], dispersion: [dispersion, dispersion], size_shape }
    }

    #[test]
    fn without_dispersion_the_best_size_is_that_of_the_gamma_posterior() {
        let found = problem(&[0.0; 3], 11.0).around([&MU, &MS], false);
        for cell in 0..2 {
            let sum = |values: &[f32]| values[3 * cell..3 * cell + 3].iter().map(|&x| f64::from(x)).sum::<f64>();
            let wanted = (11.0 + sum(&UNSPLICED) + sum(&SPLICED)) / (11.0 + sum(&MU) + sum(&MS));
            assert!((found.size[cell] - wanted).abs() < 1e-6 * wanted, "{} {wanted}", found.size[cell]);
        }
    }

    /// `−ln p(x)` with the size integrated out, by the sum over a fine grid of sizes.
    #[test]
    fn the_size_is_integrated_out() {
        let (dispersion, shape) = ([0.1, 0.4, 0.05], 11.0_f64);
        let found = problem(&dispersion, shape).around([&MU, &MS], false);
        for cell in 0..2 {
            let row = 3 * cell..3 * cell + 3;
            let ln_joint = |n: f64| {
                let mut sum = shape * (shape.ln() + n.ln() - n) - libm::lgamma(shape);
                for (counts, mu) in [(&UNSPLICED, &MU), (&SPLICED, &MS)] {
                    for gene in row.clone() {
                        let (x, mu, d) = (counts[gene].into(), mu[gene].into(), f64::from(dispersion[gene % 3]));
                        let (w, c) = negative_binomial::terms(mu, d);
                        sum += x * w - n * c + negative_binomial::constant(x, n, d);
                    }
                }
                sum
            };
            let step = 1e-3;
            let total: f64 = (-3000..3000).map(|at| ln_joint((f64::from(at) * step).exp()).exp() * step).sum();
            let laplace = found.nll[0][cell] + found.nll[1][cell] + found.size_cost[cell];
            assert!((laplace + total.ln()).abs() < 0.02, "{laplace} {}", -total.ln());
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_likelihood() {
        // A prior so narrow that the size stays 1.
        let dispersion = [0.1, 0.4, 0.0];
        let problem = problem(&dispersion, 1e12);
        let found = problem.around([&MU, &MS], true);
        for at in 0..6 {
            let value = |h: f32| {
                let mut mu = MU;
                mu[at] += h;
                let found = problem.around([&mu, &MS], false);
                found.nll[0].iter().sum::<f64>()
            };
            let h = 1e-2 * MU[at];
            let slope = (value(h) - value(-h)) / f64::from(2.0 * h);
            let gradient = f64::from(found.gradient[0][at]);
            assert!((gradient - slope).abs() < 2e-3 * (1.0 + slope.abs()), "{at}: {gradient} {slope}");
        }
    }
}

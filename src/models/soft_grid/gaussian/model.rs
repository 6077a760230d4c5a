//! Genes on one grid as a [`Mixture`]: state j is all their curves at time `t_j`.
//!
//! ```text
//! ln f_j(x_i) = Σ_k [norm_k − ½ w_k (x_ik − μ_jk)²]
//!             = −½ Σ_k w_k x_ik² + Σ_k x_ik · w_k μ_jk + Σ_k (norm_k − ½ w_k μ_jk²)
//! ```
//!
//! so that an E-step is a product of cells and states, and the sums for the M-step, `M_jk = Σ_i q_ij x_ik`, another. Abundances
//! and curves are taken from the genes' means on: the products then subtract no large numbers.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;

use super::gene::{Found, Gene, Noise};
use super::mixture::Mixture;
use crate::stats;

/// Genes, their curves at the times of the grid, and the cells.
#[derive(Clone, Debug)]
pub(super) struct Model<'a> {
    /// Unspliced and spliced moments, `[n_obs, columns]`; gene g is column `columns[g]`.
    pub moments: [ArrayView2<'a, f32>; 2],
    pub columns: Vec<usize>,
    pub grid: Vec<f64>,
    pub genes: Vec<Gene>,
    pub noise: Noise,
    /// Steps of every M-step.
    pub steps: usize,
    drawn: Drawn,
}

/// The curves as the E-step needs them. The K = 2G rows or columns are unspliced abundances of all genes, then spliced.
#[derive(Clone, Debug, Default)]
struct Drawn {
    /// `w_k`, `[K]`.
    weights: Vec<f64>,
    /// `w_k μ_jk`, `[K, states]`.
    weighted: Array2<f64>,
    /// `Σ_k (norm_k − ½ w_k μ_jk²)`, `[states]`.
    of_state: Array1<f64>,
}

impl<'a> Model<'a> {
    /// The model of `genes`, whose moments are the `columns` of `moments`.
    pub(super) fn new(
        moments: [ArrayView2<'a, f32>; 2],
        columns: Vec<usize>,
        grid: Vec<f64>,
        genes: Vec<Gene>,
        noise: Noise,
    ) -> Self {
        let mut model = Self { moments, columns, grid, genes, noise, steps: STEPS, drawn: Drawn::default() };
        model.draw();
        model
    }

    /// Brings what the E-step needs up to date with the genes.
    fn draw(&mut self) {
        let (n_genes, n_states) = (self.genes.len(), self.grid.len());
        let grid = &self.grid;
        let curves: Vec<_> = self.genes.par_iter().map(|gene| gene.curve.states(grid)).collect();
        let mut drawn = Drawn {
            weights: vec![0.0; 2 * n_genes],
            weighted: Array2::zeros((2 * n_genes, n_states)),
            of_state: Array1::zeros(n_states),
        };
        for (g, (gene, curve)) in self.genes.iter().zip(&curves).enumerate() {
            let weights = gene.weights(self.noise);
            let constant = gene.log_normalizer(self.noise);
            for (j, state) in curve.iter().enumerate() {
                let x = [state.u - gene.centre[0], state.s - gene.centre[1]];
                drawn.weighted[[g, j]] = weights[0] * x[0];
                drawn.weighted[[n_genes + g, j]] = weights[1] * x[1];
                drawn.of_state[j] += constant - 0.5 * (weights[0] * x[0] * x[0] + weights[1] * x[1] * x[1]);
            }
            (drawn.weights[g], drawn.weights[n_genes + g]) = (weights[0], weights[1]);
        }
        self.drawn = drawn;
    }

    /// Abundances of the cells `rows` from the genes' means on, `[rows, K]`.
    fn cells(&self, rows: Range<usize>) -> Array2<f64> {
        let n_genes = self.genes.len();
        let mut out = Array2::zeros((rows.len(), 2 * n_genes));
        for (i, mut out) in rows.zip(out.rows_mut()) {
            let (u, s) = (self.moments[0].row(i), self.moments[1].row(i));
            for (g, (gene, &column)) in self.genes.iter().zip(&self.columns).enumerate() {
                out[g] = f64::from(u[column]) / gene.scaling - gene.centre[0];
                out[n_genes + g] = f64::from(s[column]) - gene.centre[1];
            }
        }
        out
    }

    /// A first M-step: every gene seeks its curve from several starts, under these shares and sums.
    pub(super) fn search(&mut self, shares: &[f64], sums: &Array2<f64>, steps: usize) {
        self.every_gene(shares, sums, |gene, found, noise| gene.search(found, noise, steps));
    }

    /// From now on squared distances are divided by one σ: twice the mean residual variance of all genes and species as it
    /// is now.
    pub(super) fn fix_noise(&mut self) {
        let variances: Vec<f64> = self.genes.iter().flat_map(|gene| gene.residual).collect();
        self.noise = Noise::Scalar(2.0 * stats::mean(&variances));
        self.draw();
    }

    fn every_gene(&mut self, shares: &[f64], sums: &Array2<f64>, step: impl Fn(&mut Gene, &Found<'_>, Noise) + Sync) {
        let (n_genes, noise, grid) = (self.genes.len(), self.noise, &self.grid);
        let of_row = |k: usize| sums.row(k).to_slice().expect("a row of a standard array");
        self.genes.par_iter_mut().enumerate().for_each(|(g, gene)| {
            step(gene, &Found { grid, shares, sums: [of_row(g), of_row(n_genes + g)] }, noise);
        });
        self.draw();
    }
}

/// Steps of an M-step: it need not end in the minimum, the next round goes on from there.
const STEPS: usize = 3;

impl Mixture for Model<'_> {
    /// `M_jk`, `[K, states]`.
    type Sums = Array2<f64>;

    fn dim(&self) -> (usize, usize) {
        (self.moments[0].nrows(), self.grid.len())
    }

    fn no_sums(&self) -> Self::Sums {
        Array2::zeros((2 * self.genes.len(), self.grid.len()))
    }

    fn log_densities(&self, rows: Range<usize>, out: &mut Array2<f64>) {
        let cells = self.cells(rows);
        for (cell, mut out) in cells.rows().into_iter().zip(out.rows_mut()) {
            let squares: f64 = cell.iter().zip(&self.drawn.weights).map(|(x, weight)| weight * x * x).sum();
            out.assign(&self.drawn.of_state);
            out -= 0.5 * squares;
        }
        general_mat_mul(1.0, &cells, &self.drawn.weighted, 1.0, out);
    }

    fn gather(&self, rows: Range<usize>, q: &Array2<f64>, sums: &mut Self::Sums) {
        general_mat_mul(1.0, &self.cells(rows).t(), q, 1.0, sums);
    }

    fn add(&self, sums: &mut Self::Sums, more: Self::Sums) {
        *sums += &more;
    }

    fn maximize(&mut self, shares: &[f64], sums: &Self::Sums) {
        let steps = self.steps;
        self.every_gene(shares, sums, |gene, found, noise| gene.maximize(found, noise, steps));
    }
}

//! Kinetics, Gaussian likelihood and all gradients in one pass over cells and genes.
//!
//! The same model as [`crate::nn::kinetics`] and `super::composed`, in plain loops over `f32`
//! slices that the compiler vectorises.
//!
//! Cells are cut into fixed blocks; each block adds up its cells in order, and the blocks are added
//! in order: the result does not depend on the number of threads.

use super::advance::{Rates, advance, per_gap};
use super::blocks::in_order;
use crate::simd::{Vectorized, vectorize};

/// Cells per block: few enough to share eight threads a batch of 128.
const BLOCK: usize = 16;
/// Lanes in which a row is summed before the lanes are added: fixed, so that sums are too.
const LANES: usize = 16;
/// ½ ln 2π.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// The model's inputs and the data, row-major over `[n_cells, n_genes]`.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    pub(super) n_cells: usize,
    pub(super) n_genes: usize,
    /// `[n_cells]` or `[n_cells, n_genes]`.
    pub(super) tau: &'a [f32],
    pub(super) alpha: &'a [f32],
    /// `(u0, s0)`; none means zero.
    pub(super) start: Option<(&'a [f32], &'a [f32])>,
    /// `[n_genes]`, as are the constants below.
    pub(super) beta: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) scaling: &'a [f32],
    pub(super) sigma_u: &'a [f32],
    pub(super) sigma_s: &'a [f32],
    pub(super) u: &'a [f32],
    pub(super) s: &'a [f32],
}

/// Negative log-likelihoods: summed over genes, mean over cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likelihood {
    pub(super) unspliced: f64,
    pub(super) spliced: f64,
}

/// Derivatives of the sum of both likelihoods, each of the shape of its input.
#[derive(Debug, PartialEq)]
pub(super) struct Gradient {
    pub(super) tau: Vec<f32>,
    pub(super) alpha: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) gamma: Vec<f32>,
    pub(super) start: Option<(Vec<f32>, Vec<f32>)>,
}

/// The likelihood alone.
pub(super) fn evaluate(problem: &Problem) -> Likelihood {
    let genes = Genes::new(problem);
    let blocks = (0..problem.n_cells.div_ceil(BLOCK)).map(|block| Block {
        first: block * BLOCK,
        n_cells: BLOCK.min(problem.n_cells - block * BLOCK),
        tau: &mut [],
        alpha: &mut [],
        u0: &mut [],
        s0: &mut [],
    });
    let sums = in_order(blocks.collect(), |block: Block<'_>| match (problem.start.is_some(), problem.tau_per_gene()) {
        (false, false) => block.run::<false, false, false>(problem, &genes),
        (false, true) => block.run::<false, false, true>(problem, &genes),
        (true, false) => block.run::<false, true, false>(problem, &genes),
        (true, true) => block.run::<false, true, true>(problem, &genes),
    });
    problem.likelihood(&sums)
}

/// The likelihood and its gradient.
pub(super) fn differentiate(problem: &Problem) -> (Likelihood, Gradient) {
    let genes = Genes::new(problem);
    let n_start = if problem.start.is_some() { problem.alpha.len() } else { 0 };
    let mut tau = vec![0.0; problem.tau.len()];
    let mut alpha = vec![0.0; problem.alpha.len()];
    let (mut u0, mut s0) = (vec![0.0; n_start], vec![0.0; n_start]);

    let blocks = problem.blocks(&mut tau, &mut alpha, &mut u0, &mut s0);
    let sums = in_order(blocks, |block: Block<'_>| match (problem.start.is_some(), problem.tau_per_gene()) {
        (false, false) => block.run::<true, false, false>(problem, &genes),
        (false, true) => block.run::<true, false, true>(problem, &genes),
        (true, false) => block.run::<true, true, false>(problem, &genes),
        (true, true) => block.run::<true, true, true>(problem, &genes),
    });

    let (mut beta, mut gamma) = (vec![0.0; problem.n_genes], vec![0.0; problem.n_genes]);
    for sum in &sums {
        add(&mut beta, &sum.beta);
        add(&mut gamma, &sum.gamma);
    }
    let start = problem.start.is_some().then_some((u0, s0));
    (problem.likelihood(&sums), Gradient { tau, alpha, beta, gamma, start })
}

fn add(total: &mut [f32], part: &[f32]) {
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

impl<'a> Problem<'a> {
    fn tau_per_gene(&self) -> bool {
        self.tau.len() != self.n_cells
    }

    /// The cells, cut into blocks with their parts of the gradients.
    fn blocks<'g>(
        &self,
        tau: &'g mut [f32],
        alpha: &'g mut [f32],
        u0: &'g mut [f32],
        s0: &'g mut [f32],
    ) -> Vec<Block<'g>> {
        let per_cell = tau.len() / self.n_cells.max(1);
        let mut start = u0.chunks_mut(BLOCK * self.n_genes).zip(s0.chunks_mut(BLOCK * self.n_genes));
        tau.chunks_mut(BLOCK * per_cell)
            .zip(alpha.chunks_mut(BLOCK * self.n_genes))
            .enumerate()
            .map(|(block, (tau, alpha))| {
                let (u0, s0) = start.next().unwrap_or_default();
                let n_cells = tau.len() / per_cell;
                Block { first: block * BLOCK, n_cells, tau, alpha, u0, s0 }
            })
            .collect()
    }

    fn row(&self, cell: usize) -> Row<'a> {
        let row = cell * self.n_genes..(cell + 1) * self.n_genes;
        let (u0, s0) = self.start.map_or((&[][..], &[][..]), |(u0, s0)| (&u0[row.clone()], &s0[row.clone()]));
        Row {
            tau: if self.tau_per_gene() { &self.tau[row.clone()] } else { &self.tau[cell..=cell] },
            alpha: &self.alpha[row.clone()],
            u0,
            s0,
            u: &self.u[row.clone()],
            s: &self.s[row],
        }
    }

    /// `Σ ½ z² / n_cells + Σ (ln σ + ½ ln 2π)`, for each of u and s.
    fn likelihood(&self, sums: &[Sums]) -> Likelihood {
        let n_cells = self.n_cells as f64;
        let log_scale = |sigma: &[f32]| -> f64 {
            sigma.iter().map(|&sigma| f64::from(sigma.ln())).sum::<f64>() + HALF_LN_TAU * self.n_genes as f64
        };
        Likelihood {
            unspliced: 0.5 * sums.iter().map(|sum| sum.unspliced).sum::<f64>() / n_cells + log_scale(self.sigma_u),
            spliced: 0.5 * sums.iter().map(|sum| sum.spliced).sum::<f64>() / n_cells + log_scale(self.sigma_s),
        }
    }
}

/// What is constant along a column: `[n_genes]` each.
struct Genes {
    beta: Vec<f32>,
    gamma: Vec<f32>,
    per_beta: Vec<f32>,
    per_gamma: Vec<f32>,
    /// `1/(γ − β)`; 0 where they are equal, and the series is used.
    per_gap: Vec<f32>,
    /// `1/σ_u`, `scaling/σ_u`, `1/σ_s`.
    per_sigma_u: Vec<f32>,
    scaled_per_sigma_u: Vec<f32>,
    per_sigma_s: Vec<f32>,
}

impl Genes {
    fn new(problem: &Problem) -> Self {
        let reciprocal = |values: &[f32]| values.iter().map(|value| value.recip()).collect::<Vec<_>>();
        let per_sigma_u = reciprocal(problem.sigma_u);
        Self {
            beta: problem.beta.to_vec(),
            gamma: problem.gamma.to_vec(),
            per_beta: reciprocal(problem.beta),
            per_gamma: reciprocal(problem.gamma),
            per_gap: problem.beta.iter().zip(problem.gamma).map(|(&beta, &gamma)| per_gap(beta, gamma)).collect(),
            scaled_per_sigma_u: (problem.scaling.iter().zip(&per_sigma_u)).map(|(a, b)| a * b).collect(),
            per_sigma_u,
            per_sigma_s: reciprocal(problem.sigma_s),
        }
    }
}

/// One cell's inputs and data.
struct Row<'a> {
    tau: &'a [f32],
    alpha: &'a [f32],
    u0: &'a [f32],
    s0: &'a [f32],
    u: &'a [f32],
    s: &'a [f32],
}

/// Consecutive cells and where their gradients go.
struct Block<'a> {
    first: usize,
    n_cells: usize,
    tau: &'a mut [f32],
    alpha: &'a mut [f32],
    u0: &'a mut [f32],
    s0: &'a mut [f32],
}

/// What a block adds to the whole: `Σ z²` and the gradients of the rates.
struct Sums {
    unspliced: f64,
    spliced: f64,
    beta: Vec<f32>,
    gamma: Vec<f32>,
}

impl Block<'_> {
    fn run<const GRAD: bool, const START: bool, const TAU_PER_GENE: bool>(
        self,
        problem: &Problem,
        genes: &Genes,
    ) -> Sums {
        let n = problem.n_genes;
        let on = |used: bool| if used { n } else { 0 };
        let mut sums = Sums { unspliced: 0.0, spliced: 0.0, beta: vec![0.0; on(GRAD)], gamma: vec![0.0; on(GRAD)] };
        let (mut z2_u, mut z2_s, mut d_tau_row) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let share = 1.0 / problem.n_cells as f32;
        for i in 0..self.n_cells {
            let part = |used: bool| if used { i * n..(i + 1) * n } else { 0..0 };
            let d_tau = if TAU_PER_GENE { &mut self.tau[part(GRAD)] } else { &mut d_tau_row[..] };
            vectorize(Cell::<GRAD, START, TAU_PER_GENE> {
                row: problem.row(self.first + i),
                genes,
                share,
                z2_u: &mut z2_u,
                z2_s: &mut z2_s,
                d_tau,
                d_alpha: &mut self.alpha[part(GRAD)],
                d_u0: &mut self.u0[part(GRAD && START)],
                d_s0: &mut self.s0[part(GRAD && START)],
                d_beta: &mut sums.beta,
                d_gamma: &mut sums.gamma,
            });
            sums.unspliced += f64::from(sum(&z2_u));
            sums.spliced += f64::from(sum(&z2_s));
            if GRAD && !TAU_PER_GENE {
                self.tau[i] = sum(&d_tau_row);
            }
        }
        sums
    }
}

/// The sum of a row, in [`LANES`] partial sums.
fn sum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// One cell's inputs and where its results go: see [`cell`].
struct Cell<'a, const GRAD: bool, const START: bool, const TAU_PER_GENE: bool> {
    row: Row<'a>,
    genes: &'a Genes,
    /// One over the number of cells.
    share: f32,
    z2_u: &'a mut [f32],
    z2_s: &'a mut [f32],
    d_tau: &'a mut [f32],
    d_alpha: &'a mut [f32],
    d_u0: &'a mut [f32],
    d_s0: &'a mut [f32],
    d_beta: &'a mut [f32],
    d_gamma: &'a mut [f32],
}

impl<const GRAD: bool, const START: bool, const TAU_PER_GENE: bool> Vectorized for Cell<'_, GRAD, START, TAU_PER_GENE> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        cell::<FMA, GRAD, START, TAU_PER_GENE>(
            &self.row,
            self.genes,
            self.share,
            self.z2_u,
            self.z2_s,
            self.d_tau,
            self.d_alpha,
            self.d_u0,
            self.d_s0,
            self.d_beta,
            self.d_gamma,
        );
    }
}

/// One cell: squared residuals in units of σ to `z2_u` and `z2_s`, derivatives to `d_tau`,
/// `d_alpha`, `d_u0`, `d_s0`, and added to `d_beta`, `d_gamma`.
#[allow(
    clippy::too_many_arguments,
    reason = "the compiler vectorises only if it knows that the outputs do not overlap, which it does of arguments"
)]
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn cell<const FMA: bool, const GRAD: bool, const START: bool, const TAU_PER_GENE: bool>(
    row: &Row,
    genes: &Genes,
    share: f32,
    z2_u: &mut [f32],
    z2_s: &mut [f32],
    d_tau: &mut [f32],
    d_alpha: &mut [f32],
    d_u0: &mut [f32],
    d_s0: &mut [f32],
    d_beta: &mut [f32],
    d_gamma: &mut [f32],
) {
    let n = row.alpha.len();
    let n_start = if START { n } else { 0 };
    let n_grad = if GRAD { n } else { 0 };
    let n_grad_start = if GRAD { n_start } else { 0 };
    // Equal lengths stated once, so that the loop needs no bounds checks.
    let (alpha, u, s) = (&row.alpha[..n], &row.u[..n], &row.s[..n]);
    let (u0, s0) = (&row.u0[..n_start], &row.s0[..n_start]);
    let tau = &row.tau[..if TAU_PER_GENE { n } else { 1 }];
    let (beta, gamma) = (&genes.beta[..n], &genes.gamma[..n]);
    let (per_beta, per_gamma, per_gap) = (&genes.per_beta[..n], &genes.per_gamma[..n], &genes.per_gap[..n]);
    let (per_su, scaled_per_su) = (&genes.per_sigma_u[..n], &genes.scaled_per_sigma_u[..n]);
    let per_ss = &genes.per_sigma_s[..n];
    let (z2_u, z2_s) = (&mut z2_u[..n], &mut z2_s[..n]);
    let (d_tau, d_alpha) = (&mut d_tau[..n_grad], &mut d_alpha[..n_grad]);
    let (d_u0, d_s0) = (&mut d_u0[..n_grad_start], &mut d_s0[..n_grad_start]);
    let (d_beta, d_gamma) = (&mut d_beta[..n_grad], &mut d_gamma[..n_grad]);

    for j in 0..n {
        let rates = Rates {
            beta: beta[j],
            gamma: gamma[j],
            per_beta: per_beta[j],
            per_gamma: per_gamma[j],
            per_gap: per_gap[j],
        };
        let t = if TAU_PER_GENE { tau[j] } else { tau[0] };
        let start = if START { (u0[j], s0[j]) } else { (0.0, 0.0) };
        let hat = advance::<FMA, START>(t, alpha[j], start.0, start.1, rates);
        let z_u = u[j] * per_su[j] - hat.u * scaled_per_su[j];
        let z_s = (s[j] - hat.s) * per_ss[j];
        z2_u[j] = z_u * z_u;
        z2_s[j] = z_s * z_s;

        if GRAD {
            let du = -z_u * scaled_per_su[j] * share;
            let ds = -z_s * per_ss[j] * share;
            d_alpha[j] = du * hat.made + ds * hat.psi;
            if START {
                d_u0[j] = du * hat.exp_beta + ds * hat.s_u0;
                d_s0[j] = ds * hat.exp_gamma;
            }
            d_beta[j] += du * hat.u_beta + ds * hat.s_beta;
            d_gamma[j] += ds * hat.s_gamma;
            d_tau[j] = du * hat.u_tau + ds * hat.s_tau;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results of one cell of 21 genes, by `run`.
    fn results(run: impl Fn(Cell<true, true, true>)) -> [[f32; 21]; 8] {
        let varied = |low: f32, high: f32, k: u32| -> [f32; 21] {
            std::array::from_fn(|j| low + (high - low) * ((j as u32 * 7 + k * 5) % 21) as f32 / 20.0)
        };
        let (beta, mut gamma) = (varied(0.1, 2.0, 0), varied(0.1, 2.0, 1));
        gamma[3] = beta[3];
        gamma[4] = beta[4] + 0.01;
        let (tau, alpha, scaling) = (varied(0.0, 9.0, 2), varied(0.0, 5.0, 3), varied(0.5, 2.0, 4));
        let (u0, s0, u, s) = (varied(0.0, 2.0, 5), varied(0.0, 2.0, 6), varied(0.0, 4.0, 7), varied(0.0, 4.0, 8));
        let sigma = varied(0.3, 1.0, 9);
        let problem = Problem {
            n_cells: 1,
            n_genes: 21,
            tau: &tau,
            alpha: &alpha,
            start: Some((&u0, &s0)),
            beta: &beta,
            gamma: &gamma,
            scaling: &scaling,
            sigma_u: &sigma,
            sigma_s: &sigma,
            u: &u,
            s: &s,
        };
        let mut out = [[0.0; 21]; 8];
        let [z2_u, z2_s, d_tau, d_alpha, d_u0, d_s0, d_beta, d_gamma] = out.each_mut();
        run(Cell {
            row: Row { tau: &tau, alpha: &alpha, u0: &u0, s0: &s0, u: &u, s: &s },
            genes: &Genes::new(&problem),
            share: 1.0,
            z2_u,
            z2_s,
            d_tau,
            d_alpha,
            d_u0,
            d_s0,
            d_beta,
            d_gamma,
        });
        out
    }

    #[test]
    fn every_processor_gets_the_same_numbers_to_rounding() {
        let portable = results(|cell| cell.run::<false>());
        let widest = results(|cell| vectorize(cell));
        for (portable, widest) in portable.iter().zip(&widest) {
            let largest = portable.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (portable, widest) in portable.iter().zip(widest) {
                assert!((portable - widest).abs() <= 3e-6 * largest, "{portable} {widest}");
            }
        }
    }
}

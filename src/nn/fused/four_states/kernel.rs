//! The bound and all its gradients in one pass over cells and genes.
//!
//! Genes go through in tiles that stay in the processor's nearest memory, each step of the calculation as one loop over a
//! tile: the arrays of a tile are fields of one value, of which the compiler knows that they do not overlap, so that it
//! vectorises every loop. Cells are cut into fixed blocks, whose sums are added in order: the result does not depend on the
//! number of threads.

use super::inputs::{GeneTile, Genes, Lanes, PerState, Problem, TILE, Values};
use super::tile::{
    Tile, ZERO, chain, densities, divergence, draw, joint_likelihood, kinetics, likelihood, residual_gradient,
    weight_gradient,
};
use super::{ROWS, STATES, Weights};
use crate::nn::dirichlet::{BOOST, RowNoise};
use crate::nn::fused::blocks::in_order;
use crate::simd::{Vectorized, vectorize};

/// Cells per block.
const BLOCK: usize = 16;

/// Derivatives of the sum of both, each of the shape of its input.
#[derive(Debug, PartialEq)]
pub(super) struct Gradient {
    pub(super) concentration: Vec<f32>,
    pub(super) rho: Vec<f32>,
    pub(super) tau: Vec<f32>,
    pub(super) rows: [Vec<f32>; ROWS],
}

/// The values alone.
pub(super) fn evaluate(problem: &Problem) -> Values {
    let genes = Genes::new(problem);
    let empty = || Block { first: 0, concentration: &mut [], rho: &mut [], tau: &mut [] };
    let blocks = (0..problem.n_cells).step_by(BLOCK).map(|first| Block { first, ..empty() }).collect();
    problem.mean(&in_order(blocks, |block: Block<'_>| block.run(problem, &genes)))
}

/// The values and their gradient.
pub(super) fn differentiate(problem: &Problem) -> (Values, Gradient) {
    let genes = Genes::new(problem);
    let size = problem.n_cells * problem.n_genes;
    let (mut concentration, mut rho, mut tau) = (vec![0.0; STATES * size], vec![0.0; size], vec![0.0; size]);
    let cells = BLOCK * problem.n_genes;
    let blocks = (concentration.chunks_mut(STATES * cells).zip(rho.chunks_mut(cells)).zip(tau.chunks_mut(cells)))
        .enumerate()
        .map(|(block, ((concentration, rho), tau))| Block { first: block * BLOCK, concentration, rho, tau })
        .collect();
    let sums = in_order(blocks, |block: Block<'_>| block.run(problem, &genes));
    let rows = std::array::from_fn(|row| {
        let mut total = vec![0.0; problem.n_genes];
        for sum in &sums {
            total.iter_mut().zip(sum.rows[row].as_flattened()).for_each(|(total, part)| *total += part);
        }
        total
    });
    (problem.mean(&sums), Gradient { concentration, rho, tau, rows })
}

impl Problem<'_> {
    fn mean(&self, sums: &[Sums]) -> Values {
        let n_cells = self.n_cells as f64;
        let total = sums.iter().fold(Values::default(), |total, sum| total + sum.values);
        Values { nll: total.nll / n_cells, kl: total.kl / n_cells }
    }
}

/// Consecutive cells and where their gradients go; empty where none are wanted.
struct Block<'a> {
    first: usize,
    concentration: &'a mut [f32],
    rho: &'a mut [f32],
    tau: &'a mut [f32],
}

/// What a block adds to the whole: the sums over its cells and the gradients by the rows, in tiles.
struct Sums {
    values: Values,
    rows: [Vec<Lanes>; ROWS],
}

impl Block<'_> {
    fn run(mut self, problem: &Problem, genes: &Genes) -> Sums {
        let n = problem.n_genes;
        let gradient = !self.rho.is_empty();
        let n_tiles = if gradient { genes.tiles.len() } else { 0 };
        let mut sums = Sums { values: Values::default(), rows: std::array::from_fn(|_| vec![[0.0; TILE]; n_tiles]) };
        let mut tile = Box::new(Tile::new());
        for i in 0..BLOCK.min(problem.n_cells - self.first) {
            let cell = self.first + i;
            let drawn = match problem.weights {
                Weights::Bounded => None,
                Weights::Drawn(seed) => Some(RowNoise::of_row(seed, cell, STATES * n)),
            };
            for (index, gene_tile) in genes.tiles.iter().enumerate() {
                let range = index * TILE..n.min((index + 1) * TILE);
                vectorize(Work {
                    inputs: Inputs { problem, cell, range: range.clone(), noise: drawn.as_ref() },
                    genes,
                    gene_tile,
                    gradient,
                    tile: &mut tile,
                });
                sums.values = sums.values + tile.values(range.len());
                if gradient {
                    self.store(&tile, n, i, range, problem.n_cells);
                    tile.add_rows(index, &mut sums.rows, problem.n_cells);
                }
            }
        }
        sums
    }

    /// Writes the gradients of one cell.
    fn store(&mut self, tile: &Tile, n: usize, i: usize, range: std::ops::Range<usize>, n_cells: usize) {
        let share = 1.0 / n_cells as f32;
        let scaled = |to: &mut [f32], from: &Lanes| to.iter_mut().zip(from).for_each(|(to, from)| *to = from * share);
        let at = |row: usize| row * n + range.start..row * n + range.end;
        for (k, lanes) in tile.d_concentration.iter().enumerate() {
            scaled(&mut self.concentration[at(STATES * i + k)], lanes);
        }
        scaled(&mut self.rho[at(i)], &tile.d_rho);
        scaled(&mut self.tau[at(i)], &tile.d_tau);
    }
}

/// Where the inputs of one tile come from.
struct Inputs<'a> {
    problem: &'a Problem<'a>,
    cell: usize,
    range: std::ops::Range<usize>,
    noise: Option<&'a RowNoise>,
}

impl Inputs<'_> {
    /// `rows` consecutive rows of `matrix` of this cell, the lanes behind the last gene filled with `fill`.
    fn load<const ROWS: usize>(&self, matrix: &[f32], fill: f32) -> [Lanes; ROWS] {
        let n = self.problem.n_genes;
        std::array::from_fn(|row| {
            let first = (self.cell * ROWS + row) * n;
            Self::filled(&matrix[first + self.range.start..first + self.range.end], fill)
        })
    }

    /// The noise of every state.
    fn noise(&self, of_cell: &[f32]) -> PerState {
        let n = self.problem.n_genes;
        std::array::from_fn(|k| Self::filled(&of_cell[k * n + self.range.start..k * n + self.range.end], 0.0))
    }

    fn filled(values: &[f32], fill: f32) -> Lanes {
        let mut lanes = [fill; TILE];
        lanes[..values.len()].copy_from_slice(values);
        lanes
    }
}

/// One tile of one cell.
struct Work<'a> {
    inputs: Inputs<'a>,
    genes: &'a Genes,
    gene_tile: &'a GeneTile,
    gradient: bool,
    tile: &'a mut Tile,
}

impl Vectorized for Work<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { inputs, genes, gene_tile, gradient, tile } = self;
        let problem = inputs.problem;
        tile.concentration = inputs.load::<STATES>(problem.concentration, 1.0);
        [tile.rho] = inputs.load::<1>(problem.rho, 0.5);
        [tile.tau] = inputs.load::<1>(problem.tau, 0.5);
        let observed = [inputs.load::<1>(problem.u, 0.0)[0], inputs.load::<1>(problem.s, 0.0)[0]];

        kinetics::<FMA>(gene_tile, genes.t_max, tile);
        divergence::<FMA>(&tile.concentration, &genes.kl, &mut tile.weights);
        if let Some(noise) = inputs.noise {
            let normals = [inputs.noise(&noise.normals[0]), inputs.noise(&noise.normals[1])];
            let uniforms: [PerState; BOOST] = std::array::from_fn(|i| inputs.noise(&noise.ln_uniforms[i]));
            let accept = inputs.noise(&noise.ln_accept);
            draw::<FMA>(&tile.concentration, &normals, &accept, &uniforms, &mut tile.weights);
        }
        let [of_u, of_s] = &mut tile.species;
        let means = |branch: [&Lanes; 2], species: usize| [*branch[0], gene_tile.steady[species], *branch[1], ZERO];
        let mean_u = means([&tile.induction.u, &tile.repression.u], 0);
        let mean_s = means([&tile.induction.s, &tile.repression.s], 1);
        densities::<FMA>(&observed[0], &mean_u, gene_tile, 0, &genes.spread, of_u);
        densities::<FMA>(&observed[1], &mean_s, gene_tile, 1, &genes.spread, of_s);
        if genes.joint {
            joint_likelihood::<FMA>(&tile.weights.ln_pi, of_u, of_s);
        } else {
            likelihood::<FMA>(&tile.weights.ln_pi, of_u);
            likelihood::<FMA>(&tile.weights.ln_pi, of_s);
        }
        if gradient {
            residual_gradient(of_u, &gene_tile.per_std[0], &genes.spread);
            residual_gradient(of_s, &gene_tile.per_std[1], &genes.spread);
            weight_gradient::<FMA>(tile, &genes.kl, inputs.noise.is_some(), genes.joint);
            chain(tile, gene_tile, genes.t_max);
        }
    }
}

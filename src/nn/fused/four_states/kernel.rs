//! The bound and all its gradients in one pass over cells and genes.
//!
//! Genes go through in tiles that stay in the processor's nearest memory, each step of the calculation as one loop over a
//! tile: the arrays of a tile are fields of one value, of which the compiler knows that they do not overlap, so that it
//! vectorises every loop. Cells are cut into fixed blocks, whose sums are added in order: the result does not depend on the
//! number of threads.

use rayon::prelude::*;

use super::gamma::{GammaFunctions, gamma_functions};
use super::{LEAST_LN_DENSITY, Mixture, STATES, Weights};
use crate::nn::dirichlet::{BOOST, GammaNoise, LEAST_LN_WEIGHT, SMALLEST_ROOT};
use crate::nn::fused::advance::{Advanced, Rates, advance, per_gap};
use crate::simd::{Vectorized, exp_and_m1, ln, mul_add, vectorize};

/// Genes per tile: some 90 arrays of them fit into 32 KiB.
const TILE: usize = 64;
/// Cells per block.
const BLOCK: usize = 16;
/// ½ ln 2π.
const HALF_LN_TAU: f32 = 0.918_938_5;
/// Number of inputs per gene.
pub(super) const ROWS: usize = 10;

type Lanes = [f32; TILE];
type PerState = [Lanes; STATES];

/// The inputs and the data, row-major.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    pub(super) n_cells: usize,
    pub(super) n_genes: usize,
    /// `[n_cells, 4, n_genes]`
    pub(super) concentration: &'a [f32],
    /// `[n_cells, n_genes]`, as are the three below.
    pub(super) rho: &'a [f32],
    pub(super) tau: &'a [f32],
    pub(super) u: &'a [f32],
    pub(super) s: &'a [f32],
    /// `[n_genes]` each: α, β, γ, `t_s`, steady u and s, u and s at the switch, σ of u and s.
    pub(super) rows: [&'a [f32]; ROWS],
    pub(super) t_max: f32,
    pub(super) mixture: Mixture,
    pub(super) weights: Weights,
}

/// Summed over genes, mean over cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Values {
    pub(super) nll: f64,
    pub(super) kl: f64,
}

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
    problem.mean(&run(blocks, |block| block.run(problem, &genes)))
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
    let sums = run(blocks, |block| block.run(problem, &genes));
    let rows = std::array::from_fn(|row| {
        let mut total = vec![0.0; problem.n_genes];
        for sum in &sums {
            total.iter_mut().zip(sum.rows[row].as_flattened()).for_each(|(total, part)| *total += part);
        }
        total
    });
    (problem.mean(&sums), Gradient { concentration, rho, tau, rows })
}

/// Runs the blocks, on the thread pool if it has more than one thread; results in order.
fn run<'a>(blocks: Vec<Block<'a>>, block: impl Fn(Block<'a>) -> Sums + Send + Sync) -> Vec<Sums> {
    if rayon::current_num_threads() == 1 {
        blocks.into_iter().map(block).collect()
    } else {
        blocks.into_par_iter().map(block).collect()
    }
}

impl Problem<'_> {
    fn mean(&self, sums: &[Sums]) -> Values {
        let n_cells = self.n_cells as f64;
        let total = sums.iter().fold(Values::default(), |total, sum| total + sum.values);
        Values { nll: total.nll / n_cells, kl: total.kl / n_cells }
    }
}

impl std::ops::Add for Values {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { nll: self.nll + other.nll, kl: self.kl + other.kl }
    }
}

/// What is constant along a column, in tiles; the last one filled up with a gene that does no harm.
struct Genes {
    tiles: Vec<GeneTile>,
    spread: Spread,
    kl: KlConstants,
    t_max: f32,
    joint: bool,
}

struct GeneTile {
    alpha: Lanes,
    beta: Lanes,
    gamma: Lanes,
    per_beta: Lanes,
    per_gamma: Lanes,
    per_gap: Lanes,
    t_switch: Lanes,
    steady: [Lanes; 2],
    switch: [Lanes; 2],
    /// `1/σ` and `ln σ + ½ ln 2π` of u and of s.
    per_std: [Lanes; 2],
    ln_scale: [Lanes; 2],
}

/// `c_k` of the states, as they are needed.
struct Spread {
    per: [f32; STATES],
    ln: [f32; STATES],
}

struct KlConstants {
    prior: f32,
    /// `4 ln Γ(c) − ln Γ(4c)`.
    constant: f32,
    /// Factor in the gradient.
    weight: f32,
}

impl Genes {
    fn new(problem: &Problem) -> Self {
        let factors = problem.mixture.spread.map(|factor| factor as f32);
        let prior = problem.mixture.prior as f32;
        let states = STATES as f32;
        let ln_gamma = |x: f32| gamma_functions::<false>(x).ln_gamma;
        Self {
            tiles: (0..problem.n_genes).step_by(TILE).map(|first| GeneTile::new(problem, first)).collect(),
            spread: Spread { per: factors.map(f32::recip), ln: factors.map(f32::ln) },
            kl: KlConstants {
                prior,
                constant: states * ln_gamma(prior) - ln_gamma(states * prior),
                weight: problem.mixture.kl_weight as f32,
            },
            t_max: problem.t_max,
            joint: problem.mixture.joint,
        }
    }
}

impl GeneTile {
    fn new(problem: &Problem, first: usize) -> Self {
        let n = TILE.min(problem.n_genes - first);
        let tiles = problem.rows.map(|row| {
            let mut lanes = [1.0; TILE];
            lanes[..n].copy_from_slice(&row[first..first + n]);
            lanes
        });
        let [alpha, beta, gamma, t_switch, steady_u, steady_s, switch_u, switch_s, std_u, std_s] = tiles;
        let std = [std_u, std_s];
        Self {
            alpha,
            beta,
            gamma,
            per_beta: beta.map(f32::recip),
            per_gamma: gamma.map(f32::recip),
            per_gap: std::array::from_fn(|j| per_gap(beta[j], gamma[j])),
            t_switch,
            steady: [steady_u, steady_s],
            switch: [switch_u, switch_s],
            per_std: std.map(|std| std.map(f32::recip)),
            ln_scale: std.map(|std| std.map(|std| std.ln() + HALF_LN_TAU)),
        }
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
        let mut sums =
            Sums { values: Values::default(), rows: std::array::from_fn(|_| vec![[0.0; TILE]; n_tiles]) };
        let mut noise = GammaNoise::default();
        let mut tile = Box::new(Tile::new());
        for i in 0..BLOCK.min(problem.n_cells - self.first) {
            let cell = self.first + i;
            let drawn = match problem.weights {
                Weights::Bounded => None,
                Weights::Drawn(seed) => {
                    noise.fill_row(seed, cell, STATES * n);
                    Some(&noise)
                }
            };
            for (index, gene_tile) in genes.tiles.iter().enumerate() {
                let range = index * TILE..n.min((index + 1) * TILE);
                vectorize(Work {
                    inputs: Inputs { problem, cell, range: range.clone(), noise: drawn },
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
    noise: Option<&'a GammaNoise>,
}

impl Inputs<'_> {
    /// `rows` consecutive rows of `matrix` of this cell, the lanes behind the last gene filled with `fill`.
    fn load<const ROWS: usize>(&self, matrix: &[f32], fill: f32) -> [Lanes; ROWS] {
        let n = self.problem.n_genes;
        std::array::from_fn(|row| {
            let first = (self.cell * ROWS + row) * n;
            self.filled(&matrix[first + self.range.start..first + self.range.end], fill)
        })
    }

    /// The noise of every state.
    fn noise(&self, of_cell: &[f32]) -> PerState {
        let n = self.problem.n_genes;
        std::array::from_fn(|k| self.filled(&of_cell[k * n + self.range.start..k * n + self.range.end], 0.0))
    }

    fn filled(&self, values: &[f32], fill: f32) -> Lanes {
        let mut lanes = [fill; TILE];
        lanes[..values.len()].copy_from_slice(values);
        lanes
    }
}

/// A branch of the kinetics with its derivatives, for one tile.
struct Branch {
    u: Lanes,
    s: Lanes,
    u_alpha: Lanes,
    s_alpha: Lanes,
    u_u0: Lanes,
    s_u0: Lanes,
    s_s0: Lanes,
    u_beta: Lanes,
    s_beta: Lanes,
    s_gamma: Lanes,
    u_t: Lanes,
    s_t: Lanes,
}

/// `ln π`, its derivative by the concentrations, and the divergence.
struct WeightsOf {
    ln_pi: PerState,
    /// `∂ ln π_k / ∂ a_k` without the normalisation.
    slope: PerState,
    trigamma: PerState,
    trigamma_total: Lanes,
    kl: Lanes,
}

/// Residuals, densities and responsibilities of one species.
struct Species {
    z: PerState,
    ln_density: PerState,
    responsibility: PerState,
    nll: Lanes,
    d_mean: PerState,
    d_std: Lanes,
}

/// All of one tile of one cell.
struct Tile {
    concentration: PerState,
    rho: Lanes,
    tau: Lanes,
    induction: Branch,
    repression: Branch,
    weights: WeightsOf,
    species: [Species; 2],
    d_concentration: PerState,
    d_rho: Lanes,
    d_tau: Lanes,
    d_rows: [Lanes; ROWS],
}

const ZERO: Lanes = [0.0; TILE];

impl Tile {
    fn new() -> Self {
        let branch = || Branch {
            u: ZERO,
            s: ZERO,
            u_alpha: ZERO,
            s_alpha: ZERO,
            u_u0: ZERO,
            s_u0: ZERO,
            s_s0: ZERO,
            u_beta: ZERO,
            s_beta: ZERO,
            s_gamma: ZERO,
            u_t: ZERO,
            s_t: ZERO,
        };
        let states = [ZERO; STATES];
        let species = || Species {
            z: states,
            ln_density: states,
            responsibility: states,
            nll: ZERO,
            d_mean: states,
            d_std: ZERO,
        };
        let weights =
            WeightsOf { ln_pi: states, slope: states, trigamma: states, trigamma_total: ZERO, kl: ZERO };
        Self {
            concentration: states,
            rho: ZERO,
            tau: ZERO,
            induction: branch(),
            repression: branch(),
            weights,
            species: [species(), species()],
            d_concentration: states,
            d_rho: ZERO,
            d_tau: ZERO,
            d_rows: [ZERO; ROWS],
        }
    }

    /// The sums over the first `n` genes.
    fn values(&self, n: usize) -> Values {
        let sum = |lanes: &Lanes| f64::from(lanes[..n].iter().sum::<f32>());
        Values { nll: sum(&self.species[0].nll) + sum(&self.species[1].nll), kl: sum(&self.weights.kl) }
    }

    fn add_rows(&self, index: usize, rows: &mut [Vec<Lanes>; ROWS], n_cells: usize) {
        let share = 1.0 / n_cells as f32;
        for (total, part) in rows.iter_mut().zip(&self.d_rows) {
            total[index].iter_mut().zip(part).for_each(|(total, part)| *total += part * share);
        }
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

/// Induction and repression with their derivatives.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn kinetics<const FMA: bool>(genes: &GeneTile, t_max: f32, tile: &mut Tile) {
    let put = |branch: &mut Branch, j: usize, at: &Advanced| {
        branch.u[j] = at.u;
        branch.s[j] = at.s;
        branch.u_alpha[j] = at.made;
        branch.s_alpha[j] = at.psi;
        branch.u_u0[j] = at.exp_beta;
        branch.s_u0[j] = at.s_u0;
        branch.s_s0[j] = at.exp_gamma;
        branch.u_beta[j] = at.u_beta;
        branch.s_beta[j] = at.s_beta;
        branch.s_gamma[j] = at.s_gamma;
        branch.u_t[j] = at.u_tau;
        branch.s_t[j] = at.s_tau;
    };
    let rates = |j: usize| Rates {
        beta: genes.beta[j],
        gamma: genes.gamma[j],
        per_beta: genes.per_beta[j],
        per_gamma: genes.per_gamma[j],
        per_gap: genes.per_gap[j],
    };
    for j in 0..TILE {
        let t = tile.rho[j] * genes.t_switch[j];
        put(&mut tile.induction, j, &advance::<FMA, false>(t, genes.alpha[j], 0.0, 0.0, rates(j)));
    }
    for j in 0..TILE {
        let t = tile.tau[j] * (t_max - genes.t_switch[j]);
        let start = (genes.switch[0][j], genes.switch[1][j]);
        put(&mut tile.repression, j, &advance::<FMA, true>(t, 0.0, start.0, start.1, rates(j)));
    }
}

/// KL, ψ′ of every concentration, and `E[ln π]` with its derivative.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn divergence<const FMA: bool>(concentration: &PerState, constants: &KlConstants, weights: &mut WeightsOf) {
    let mut total = ZERO;
    for a in concentration {
        for j in 0..TILE {
            total[j] += a[j];
        }
    }
    let mut digamma_total = ZERO;
    for j in 0..TILE {
        let GammaFunctions { ln_gamma, digamma, trigamma } = gamma_functions::<FMA>(total[j]);
        digamma_total[j] = digamma;
        weights.trigamma_total[j] = trigamma;
        weights.kl[j] = ln_gamma + constants.constant;
    }
    for (k, a) in concentration.iter().enumerate() {
        for j in 0..TILE {
            let GammaFunctions { ln_gamma, digamma, trigamma } = gamma_functions::<FMA>(a[j]);
            let mean_ln = digamma - digamma_total[j];
            weights.ln_pi[k][j] = mean_ln;
            weights.slope[k][j] = trigamma;
            weights.trigamma[k][j] = trigamma;
            weights.kl[j] += (a[j] - constants.prior) * mean_ln - ln_gamma;
        }
    }
    weights.kl.iter_mut().for_each(|kl| *kl = kl.max(0.0));
}

/// Replaces `E[ln π]` by a draw; see [`crate::nn::dirichlet::sample_log`].
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn draw<const FMA: bool>(
    concentration: &PerState,
    normals: &[PerState; 2],
    ln_accept: &PerState,
    ln_uniforms: &[PerState; BOOST],
    weights: &mut WeightsOf,
) {
    for k in 0..STATES {
        for j in 0..TILE {
            let a = concentration[k][j];
            let d = a + (BOOST as f32 - 1.0 / 3.0);
            let c = (9.0 * d).sqrt().recip();
            let first = normals[0][k][j];
            let root = mul_add::<FMA>(c, first, 1.0).max(SMALLEST_ROOT);
            let v = root * root * root;
            let most = 0.5 * first * first + d - d * v + 3.0 * d * ln::<FMA>(root);
            let e = if ln_accept[k][j] < most { first } else { normals[1][k][j] };
            let root = mul_add::<FMA>(c, e, 1.0);
            let inside = root > SMALLEST_ROOT;
            let root = root.max(SMALLEST_ROOT);
            let mut ln_z = mul_add::<FMA>(3.0, ln::<FMA>(root), ln::<FMA>(d));
            // ∂c/∂a = −c/2d
            let bend = 1.5 * e * c / (d * root);
            let mut slope = d.recip() - if inside { bend } else { 0.0 };
            for (i, ln_uniform) in ln_uniforms.iter().enumerate() {
                let per = (a + i as f32).recip();
                let step = ln_uniform[k][j] * per;
                ln_z += step;
                slope -= step * per;
            }
            weights.ln_pi[k][j] = ln_z;
            weights.slope[k][j] = slope;
        }
    }
    let mut scratch = weights.ln_pi;
    let mut ln_total = ZERO;
    soft_max::<FMA>(&mut scratch, &mut ln_total);
    for ln_pi in &mut weights.ln_pi {
        for j in 0..TILE {
            ln_pi[j] = (ln_pi[j] - ln_total[j]).max(LEAST_LN_WEIGHT);
        }
    }
}

/// `x_k` by `exp x_k / Σ exp x`, and `ln Σ exp x` to `ln_total`.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn soft_max<const FMA: bool>(x: &mut PerState, ln_total: &mut Lanes) {
    for j in 0..TILE {
        let largest = x[0][j].max(x[1][j]).max(x[2][j].max(x[3][j]));
        let mut total = 0.0;
        for lanes in x.iter_mut() {
            let (exp, _) = exp_and_m1::<FMA>(lanes[j] - largest);
            lanes[j] = exp;
            total += exp;
        }
        let share = total.recip();
        for lanes in x.iter_mut() {
            lanes[j] *= share;
        }
        ln_total[j] = largest + ln::<FMA>(total);
    }
}

/// z and `ln N` of every state.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn densities<const FMA: bool>(
    observed: &Lanes,
    means: &PerState,
    genes: &GeneTile,
    species: usize,
    spread: &Spread,
    to: &mut Species,
) {
    for k in 0..STATES {
        for j in 0..TILE {
            let z = (observed[j] - means[k][j]) * genes.per_std[species][j] * spread.per[k];
            to.z[k][j] = z;
            let ln_scale = genes.ln_scale[species][j] + spread.ln[k];
            to.ln_density[k][j] = mul_add::<FMA>(-0.5 * z, z, -ln_scale).max(LEAST_LN_DENSITY);
        }
    }
}

/// Responsibilities and likelihood of one species by itself.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn likelihood<const FMA: bool>(ln_pi: &PerState, of: &mut Species) {
    for k in 0..STATES {
        for j in 0..TILE {
            of.responsibility[k][j] = ln_pi[k][j] + of.ln_density[k][j];
        }
    }
    soft_max::<FMA>(&mut of.responsibility, &mut of.nll);
    of.nll.iter_mut().for_each(|nll| *nll = -*nll);
}

/// Responsibilities and likelihood of both species in the same state; all of the likelihood is put with u.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn joint_likelihood<const FMA: bool>(ln_pi: &PerState, of_u: &mut Species, of_s: &mut Species) {
    for k in 0..STATES {
        for j in 0..TILE {
            of_u.responsibility[k][j] = ln_pi[k][j] + of_u.ln_density[k][j] + of_s.ln_density[k][j];
        }
    }
    soft_max::<FMA>(&mut of_u.responsibility, &mut of_u.nll);
    of_u.nll.iter_mut().for_each(|nll| *nll = -*nll);
    of_s.responsibility = of_u.responsibility;
    of_s.nll = ZERO;
}

/// Derivatives by the means and by σ.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn residual_gradient(of: &mut Species, per_std: &Lanes, spread: &Spread) {
    of.d_std = ZERO;
    for k in 0..STATES {
        for j in 0..TILE {
            let told_apart = of.ln_density[k][j] > LEAST_LN_DENSITY;
            let responsibility = if told_apart { of.responsibility[k][j] } else { 0.0 };
            let z = of.z[k][j];
            of.d_mean[k][j] = -responsibility * z * per_std[j] * spread.per[k];
            of.d_std[j] += responsibility * (1.0 - z * z) * per_std[j];
        }
    }
}

/// Derivatives by the concentrations.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn weight_gradient<const FMA: bool>(tile: &mut Tile, constants: &KlConstants, drawn: bool, joint: bool) {
    let [of_u, of_s] = &tile.species;
    let share = if joint { 0.5 } else { 1.0 };
    let weights = &tile.weights;
    let (mut total, mut total_weight) = (ZERO, ZERO);
    let mut weight = [ZERO; STATES];
    for k in 0..STATES {
        for j in 0..TILE {
            let told_apart = !drawn || weights.ln_pi[k][j] > LEAST_LN_WEIGHT;
            let responsibility = share * (of_u.responsibility[k][j] + of_s.responsibility[k][j]);
            weight[k][j] = if told_apart { responsibility } else { 0.0 };
            total_weight[j] += weight[k][j];
            total[j] += tile.concentration[k][j];
        }
    }
    let states = STATES as f32;
    for k in 0..STATES {
        for j in 0..TILE {
            let weight = weight[k][j];
            let a = tile.concentration[k][j];
            let (trigamma, trigamma_total) = (weights.trigamma[k][j], weights.trigamma_total[j]);
            let of_likelihood = if drawn {
                let (pi, _) = exp_and_m1::<FMA>(weights.ln_pi[k][j]);
                (pi * total_weight[j] - weight) * weights.slope[k][j]
            } else {
                total_weight[j] * trigamma_total - weight * trigamma
            };
            let of_kl = (a - constants.prior) * trigamma - (total[j] - states * constants.prior) * trigamma_total;
            tile.d_concentration[k][j] = of_likelihood + constants.weight * of_kl;
        }
    }
}

/// From the derivatives by the means to those by the inputs.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn chain(tile: &mut Tile, genes: &GeneTile, t_max: f32) {
    let [of_u, of_s] = &tile.species;
    let (on, off) = (&tile.induction, &tile.repression);
    for j in 0..TILE {
        let (du_1, ds_1) = (of_u.d_mean[0][j], of_s.d_mean[0][j]);
        let (du_3, ds_3) = (of_u.d_mean[2][j], of_s.d_mean[2][j]);
        let dt_1 = du_1 * on.u_t[j] + ds_1 * on.s_t[j];
        let dt_3 = du_3 * off.u_t[j] + ds_3 * off.s_t[j];
        tile.d_rho[j] = dt_1 * genes.t_switch[j];
        tile.d_tau[j] = dt_3 * (t_max - genes.t_switch[j]);
        let rows = &mut tile.d_rows;
        rows[0][j] = du_1 * on.u_alpha[j] + ds_1 * on.s_alpha[j];
        rows[1][j] =
            du_1 * on.u_beta[j] + ds_1 * on.s_beta[j] + du_3 * off.u_beta[j] + ds_3 * off.s_beta[j];
        rows[2][j] = ds_1 * on.s_gamma[j] + ds_3 * off.s_gamma[j];
        rows[3][j] = dt_1 * tile.rho[j] - dt_3 * tile.tau[j];
        rows[4][j] = of_u.d_mean[1][j];
        rows[5][j] = of_s.d_mean[1][j];
        rows[6][j] = du_3 * off.u_u0[j] + ds_3 * off.s_u0[j];
        rows[7][j] = ds_3 * off.s_s0[j];
        rows[8][j] = of_u.d_std[j];
        rows[9][j] = of_s.d_std[j];
    }
}

//! What the bound is a function of, in tiles of genes, and its values.

use super::gamma::{HALF_LN_TAU, gamma_functions};
use super::{Mixture, ROWS, STATES, Weights};
use crate::nn::fused::advance::per_gap;

/// Genes per tile: some 90 arrays of them fit into 32 KiB.
pub(super) const TILE: usize = 64;

pub(super) type Lanes = [f32; TILE];
pub(super) type PerState = [Lanes; STATES];

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
    /// `[n_genes]` each, in the order of [`super::FourStates::rows`].
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

impl std::ops::Add for Values {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { nll: self.nll + other.nll, kl: self.kl + other.kl }
    }
}

/// What is constant along a column, in tiles; the last one filled up with a gene that does no harm.
pub(super) struct Genes {
    pub(super) tiles: Vec<GeneTile>,
    pub(super) spread: Spread,
    pub(super) kl: KlConstants,
    pub(super) t_max: f32,
    pub(super) joint: bool,
}

pub(super) struct GeneTile {
    pub(super) alpha: Lanes,
    pub(super) beta: Lanes,
    pub(super) gamma: Lanes,
    pub(super) per_beta: Lanes,
    pub(super) per_gamma: Lanes,
    pub(super) per_gap: Lanes,
    pub(super) t_switch: Lanes,
    pub(super) steady: [Lanes; 2],
    pub(super) switch: [Lanes; 2],
    /// `1/σ` and `ln σ + ½ ln 2π` of u and of s.
    pub(super) per_std: [Lanes; 2],
    pub(super) ln_scale: [Lanes; 2],
}

/// `c_k` of the states, as they are needed.
pub(super) struct Spread {
    pub(super) per: [f32; STATES],
    pub(super) ln: [f32; STATES],
}

pub(super) struct KlConstants {
    pub(super) prior: f32,
    /// `4 ln Γ(c) − ln Γ(4c)`.
    pub(super) constant: f32,
    /// Factor in the gradient.
    pub(super) weight: f32,
}

impl Genes {
    pub(super) fn new(problem: &Problem) -> Self {
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

//! One gene's abundances at every node of the tree, with their derivatives.
//!
//! Transcription is constant between a node and its parent, so the step is exact ([`crate::kinetics`]):
//!
//! ```text
//! u' = u e^{−βΔ} + α φ(Δ; 0, β)        s' = s e^{−γΔ} + (β u φ(Δ; β, γ) + α ψ(Δ; β, γ)) / κ
//! ```
//!
//! u, u₀ and α are in counts, and so is s. Of unspliced molecules another share is counted than of spliced ones: κ is the first share in parts of
//! the second, and β u / κ of the counted unspliced abundance u becomes spliced in a unit of time.
//!
//! The grid is even, so the six coefficients are those of the gene: no exponential is taken at a node.

use super::tree::Tree;
use crate::kinetics::{Partials, Rates, State, partials, phi, psi};
use crate::simd::{Vectorized, mul_add_f64, vectorize};

/// Parameters of a gene's course in logarithms: `[ln β, ln γ, ln u₀, ln s₀, ln κ, ln α of each piece…]`.
pub(super) type Params = Vec<f64>;

pub(super) const BETA: usize = 0;
pub(super) const GAMMA: usize = 1;
pub(super) const U0: usize = 2;
pub(super) const S0: usize = 3;
pub(super) const SCALING: usize = 4;
/// Position of the first piece's ln α.
pub(super) const ALPHA: usize = 5;

/// What one step of the grid does to a gene.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// `u' = uu u + ua α`.
    uu: f64,
    ua: f64,
    /// `s' = ss s + su u + sa α`.
    ss: f64,
    su: f64,
    sa: f64,
}

impl Step {
    fn new(step: f64, [beta, gamma, scaling]: [f64; 3]) -> Self {
        Self {
            uu: (-beta * step).exp(),
            ua: phi(step, 0.0, beta),
            ss: (-gamma * step).exp(),
            su: beta * phi(step, beta, gamma) / scaling,
            sa: psi(step, beta, gamma) / scaling,
        }
    }

    /// Derivatives of the coefficients by β and by γ.
    fn by_rates(step: f64, [beta, gamma, scaling]: [f64; 3]) -> [Self; 2] {
        let of = |u: f64, s: f64, alpha: f64| partials(step, State { u, s }, Rates { alpha, beta, gamma });
        let (of_u, of_s, of_alpha) = (of(1.0, 0.0, 0.0), of(0.0, 1.0, 0.0), of(0.0, 0.0, 1.0));
        let by = |rate: fn(&Partials) -> State| {
            let [u, s, alpha] = [&of_u, &of_s, &of_alpha].map(rate);
            Self { uu: u.u, ua: alpha.u, ss: s.s, su: u.s / scaling, sa: alpha.s / scaling }
        };
        [by(|of| of.beta), by(|of| of.gamma)]
    }
}

/// β, γ and κ.
fn rates(params: &[f64]) -> [f64; 3] {
    [BETA, GAMMA, SCALING].map(|at| params[at].exp())
}

/// Abundances `u` and `s` at every node.
pub(super) fn solve(tree: &Tree, params: &[f64], u: &mut [f64], s: &mut [f64]) {
    let step = Step::new(tree.step, rates(params));
    let alpha: Vec<f64> = params[ALPHA..].iter().map(|ln| ln.exp()).collect();
    (u[0], s[0]) = (params[U0].exp(), params[S0].exp());
    for node in 1..tree.len() {
        let (from, alpha) = (tree.parent[node], alpha[tree.piece[node]]);
        u[node] = step.uu * u[from] + step.ua * alpha;
        s[node] = step.ss * s[from] + step.su * u[from] + step.sa * alpha;
    }
}

/// Abundances and their derivatives by every parameter.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// `[unspliced, spliced]` at every node.
    pub(super) values: [Vec<f64>; 2],
    /// Their derivatives: `by[species][node * stride + parameter]`.
    pub(super) by: [Vec<f64>; 2],
    /// Parameters rounded up to a multiple of four; the derivatives beyond are 0.
    pub(super) stride: usize,
}

impl Course {
    /// Abundances alone.
    pub(super) fn solve(&mut self, tree: &Tree, params: &[f64]) {
        let [u, s] = &mut self.values;
        u.resize(tree.len(), 0.0);
        s.resize(tree.len(), 0.0);
        solve(tree, params, u, s);
    }

    /// Abundances and derivatives.
    pub(super) fn differentiate(&mut self, tree: &Tree, params: &[f64]) {
        self.solve(tree, params);
        self.stride = params.len().next_multiple_of(4);
        for by in &mut self.by {
            by.clear();
            by.resize(tree.len() * self.stride, 0.0);
        }
        let [by_u, by_s] = &mut self.by;
        (by_u[U0], by_s[S0]) = (self.values[0][0], self.values[1][0]);
        vectorize(Chain { tree, params, stride: self.stride, values: &self.values, by_u, by_s });
    }
}

/// The chain rule from node to node.
struct Chain<'a> {
    tree: &'a Tree,
    params: &'a [f64],
    stride: usize,
    values: &'a [Vec<f64>; 2],
    by_u: &'a mut [f64],
    by_s: &'a mut [f64],
}

impl Vectorized for Chain<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (tree, n) = (self.tree, self.stride);
        let rates = rates(self.params);
        let [beta, gamma, _] = rates;
        let step = Step::new(tree.step, rates);
        let [by_beta, by_gamma] = Step::by_rates(tree.step, rates);
        let alphas: Vec<f64> = self.params[ALPHA..].iter().map(|ln| ln.exp()).collect();
        for node in 1..tree.len() {
            let (from, piece) = (tree.parent[node], tree.piece[node]);
            let (at, alpha) = (ALPHA + piece, alphas[piece]);
            let (earlier, rest) = self.by_u.split_at_mut(node * n);
            let (of_u, du) = (&earlier[from * n..][..n], &mut rest[..n]);
            let (earlier, rest) = self.by_s.split_at_mut(node * n);
            let (of_s, ds) = (&earlier[from * n..][..n], &mut rest[..n]);
            for (((du, ds), of_u), of_s) in du.iter_mut().zip(ds.iter_mut()).zip(of_u).zip(of_s) {
                *du = step.uu * of_u;
                *ds = mul_add_f64::<FMA>(step.ss, *of_s, step.su * of_u);
            }
            let (u, s) = (self.values[0][from], self.values[1][from]);
            du[BETA] += beta * (by_beta.uu * u + by_beta.ua * alpha);
            ds[BETA] += beta * (by_beta.ss * s + by_beta.su * u + by_beta.sa * alpha);
            ds[GAMMA] += gamma * (by_gamma.ss * s + by_gamma.su * u + by_gamma.sa * alpha);
            ds[SCALING] -= step.su * u + step.sa * alpha;
            du[at] += step.ua * alpha;
            ds[at] += step.sa * alpha;
        }
    }
}

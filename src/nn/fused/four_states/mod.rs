//! The bound of genes that are in one of four kinetic states in every cell, in one step.
//!
//! Gene g in cell i is in induction, in its steady state, in repression, or repressed for good, with weights π of a Dirichlet
//! posterior with concentrations a. Each state k has means `m_uk`, `m_sk`:
//!
//! ```text
//! 1 induction          (u, s) at time ρ t_s from (0, 0), at rate α
//! 2 steady             (α/β, α/γ)
//! 3 repression         (u, s) at time (t_max − t_s) τ from (u(t_s), s(t_s)), at rate 0
//! 4 repressed          (0, 0)
//!
//! NLL = − mean_i Σ_g { ln Σ_k π_k N(Mu; m_uk, (c_k σ_u)²) + ln Σ_k π_k N(Ms; m_sk, (c_k σ_s)²) }
//! KL  =   mean_i Σ_g KL(Dirichlet(a) ‖ Dirichlet(c, c, c, c))
//! ```
//!
//! (`joint`: one sum, over the products of both densities.) The mean of NLL over π is either taken at a draw of π
//! ([`Weights::Drawn`]), or bounded from above without drawing ([`Weights::Bounded`]): the logarithm of a sum of exponentials
//! is convex in its exponents, so by Jensen's inequality
//!
//! ```text
//! E_q[ln Σ_k π_k N_k] ≥ ln Σ_k exp(E_q[ln π_k] + ln N_k),   E_q[ln π_k] = ψ(a_k) − ψ(A)
//! ```
//!
//! A density below `e^{-10 000}` counts as that, without gradient.
//!
//! On burn's CPU backend, Flex, one pass over the batch gives the values and every gradient, and so does one kernel on a GPU; other
//! devices get the tensor operations of [`composed_loss`]. All give the same numbers.
//!
//! Source: Gayoso, Weiler et al. 2024 (veloVI), Methods; the bound without draws is ours.

mod flex;
mod gamma;
mod inputs;
mod kernel;
mod tile;

use burn::tensor::Tensor;

use super::half_ln_tau;
use super::solve::solve;
use crate::nn::dirichlet::{self, GammaNoise};
use crate::nn::flex::is_plain;

/// Number of states.
pub const STATES: usize = 4;
/// Number of inputs per gene.
pub(super) const ROWS: usize = 10;
/// Logarithm of the smallest density that is told from others.
pub(crate) const LEAST_LN_DENSITY: f32 = -1e4;

/// What the states follow from. Gradients flow to every tensor that is tracked.
#[derive(Clone, Debug)]
pub struct FourStates {
    /// a, `[n_cells, 4, n_genes]`, positive.
    pub concentration: Tensor<3>,
    /// ρ, share of the time until the switch that a cell in induction has spent, `[n_cells, n_genes]`, in [0, 1].
    pub rho: Tensor<2>,
    /// τ, share of the time after the switch that a cell in repression has spent, `[n_cells, n_genes]`, in [0, 1].
    pub tau: Tensor<2>,
    /// α, `[1, n_genes]`, as are all tensors below.
    pub alpha: Tensor<2>,
    /// β, positive.
    pub beta: Tensor<2>,
    /// γ, positive.
    pub gamma: Tensor<2>,
    /// `t_s`, in [0, `t_max`].
    pub t_switch: Tensor<2>,
    /// Steady state of induction, `(u, s)`.
    pub steady: (Tensor<2>, Tensor<2>),
    /// State at the switch, `(u, s)`.
    pub switch: (Tensor<2>, Tensor<2>),
    /// σ of u, positive.
    pub std_u: Tensor<2>,
    /// σ of s, positive.
    pub std_s: Tensor<2>,
    /// End of time.
    pub t_max: f64,
    /// State in induction, `[n_cells, n_genes]` each, where it does not follow from a constant α: then ρ is not used.
    pub induction: Option<(Tensor<2>, Tensor<2>)>,
}

/// What is not learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// `c_k`: factor of σ in each state.
    pub spread: [f64; STATES],
    /// c: concentration of the prior.
    pub prior: f64,
    /// Whether u and s are in the same state.
    pub joint: bool,
    /// Factor of KL in the loss.
    pub kl_weight: f64,
}

/// How the weights of the states are dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// By the bound that needs no draws.
    Bounded,
    /// By one draw for each cell and gene, from this seed.
    Drawn(u64),
}

/// The result of [`states_loss`], each of shape `[1]`, in nats per cell.
#[derive(Clone, Debug)]
pub struct StatesLoss {
    /// NLL + `kl_weight` KL; carries the gradient.
    pub total: Tensor<1>,
    /// NLL, without gradient.
    pub nll: Tensor<1>,
    /// KL, without gradient.
    pub kl: Tensor<1>,
}

/// The bound of a batch: summed over genes, mean over cells.
///
/// - `u`, `s`: `Mu` and `Ms`, `[n_cells, n_genes]`, without gradient
///
/// # Panics
/// If the shapes are not those documented, or the batch is empty.
#[must_use]
pub fn states_loss(states: &FourStates, u: Tensor<2>, s: Tensor<2>, mixture: &Mixture, weights: Weights) -> StatesLoss {
    states.check(u.dims());
    if states.all_match(&u, &s, is_plain, is_plain) {
        return flex::states_loss(states, u, s, mixture, weights);
    }
    #[cfg(feature = "cube")]
    if states.all_match(&u, &s, super::cube::is_on_gpu, super::cube::is_on_gpu) {
        return super::cube::states_loss(states, u, s, mixture, weights);
    }
    composed_loss(states, u, s, mixture, weights)
}

/// [`states_loss`] from tensor operations, on any device.
#[must_use]
pub fn composed_loss(
    states: &FourStates,
    u: Tensor<2>,
    s: Tensor<2>,
    mixture: &Mixture,
    weights: Weights,
) -> StatesLoss {
    let n_cells = u.dims()[0] as f64;
    let (nll, kl) = per_gene(states, u, s, mixture, weights);
    let [nll, kl] = [nll, kl].map(|part| part.sum() / n_cells);
    StatesLoss {
        total: nll.clone() + kl.clone() * mixture.kl_weight,
        nll: nll.without_autodiff(),
        kl: kl.without_autodiff(),
    }
}

/// NLL and KL of every gene in every cell, `[n_cells, n_genes]` each.
#[must_use]
pub fn per_gene(
    states: &FourStates,
    u: Tensor<2>,
    s: Tensor<2>,
    mixture: &Mixture,
    weights: Weights,
) -> (Tensor<2>, Tensor<2>) {
    let n_states = states.concentration.dims()[1];
    let ln_weights = match weights {
        Weights::Bounded => dirichlet::mean_log(&states.concentration),
        Weights::Drawn(seed) => {
            let noise = GammaNoise::new(seed, states.concentration.dims(), &states.concentration.device());
            dirichlet::sample_log(&states.concentration, &noise)
        }
    };
    let (mean_u, mean_s) = states.means();
    let ln_u = ln_density(u, &mean_u, &states.std_u, mixture);
    let ln_s = ln_density(s, &mean_s, &states.std_s, mixture);
    let ln_likelihood = match mixture.joint {
        true => ln_sum_exp(ln_weights + ln_u + ln_s),
        false => ln_sum_exp(ln_weights.clone() + ln_u) + ln_sum_exp(ln_weights + ln_s),
    };
    let prior = dirichlet::even(mixture.prior, n_states, &states.concentration.device());
    (-ln_likelihood, dirichlet::kl(&states.concentration, &prior))
}

impl FourStates {
    /// `m_uk` and `m_sk`, `[n_cells, 4, n_genes]` each.
    #[must_use]
    pub fn means(&self) -> (Tensor<3>, Tensor<3>) {
        let shape = self.rho.dims();
        let (u_1, s_1) = self.induction();
        let (u_3, s_3) = self.repression();
        let spread = |row: &Tensor<2>| row.clone().expand(shape);
        let nothing = Tensor::zeros_like(&u_3);
        let stack = |states: Vec<Tensor<2>>| Tensor::stack::<3>(states, 1);
        (
            stack(vec![u_1, spread(&self.steady.0), u_3, nothing.clone()]),
            stack(vec![s_1, spread(&self.steady.1), s_3, nothing]),
        )
    }

    /// `(u, s)` in induction.
    #[must_use]
    pub fn induction(&self) -> (Tensor<2>, Tensor<2>) {
        self.induction.clone().unwrap_or_else(|| {
            let nothing = || Tensor::zeros([1, 1], &self.rho.device());
            let t = self.rho.clone() * self.t_switch.clone();
            solve(&t, nothing(), nothing(), self.alpha.clone(), &self.beta, &self.gamma)
        })
    }

    /// `(u, s)` in repression.
    #[must_use]
    pub fn repression(&self) -> (Tensor<2>, Tensor<2>) {
        let t = (-self.t_switch.clone() + self.t_max) * self.tau.clone();
        let (u_0, s_0) = self.switch.clone();
        let alpha = Tensor::zeros([1, 1], &self.tau.device());
        solve(&t, u_0, s_0, alpha, &self.beta, &self.gamma)
    }

    /// What has one row: α, β, γ, `t_s`, steady u and s, u and s at the switch, σ of u and s.
    pub(super) fn rows(&self) -> [&Tensor<2>; ROWS] {
        let Self { alpha, beta, gamma, t_switch, steady, switch, std_u, std_s, .. } = self;
        [alpha, beta, gamma, t_switch, &steady.0, &steady.1, &switch.0, &switch.1, std_u, std_s]
    }

    /// Whether transcription is constant, the concentrations are `concentration` and all other tensors `matrix`.
    fn all_match(
        &self,
        u: &Tensor<2>,
        s: &Tensor<2>,
        concentration: fn(&Tensor<3>) -> bool,
        matrix: fn(&Tensor<2>) -> bool,
    ) -> bool {
        self.induction.is_none()
            && concentration(&self.concentration)
            && [&self.rho, &self.tau, u, s].into_iter().chain(self.rows()).all(matrix)
    }

    fn check(&self, [n_cells, n_genes]: [usize; 2]) {
        assert!(n_cells > 0 && n_genes > 0, "the batch has cells and genes");
        assert_eq!(self.concentration.dims(), [n_cells, STATES, n_genes], "shape of the concentrations");
        for (name, tensor) in [("rho", &self.rho), ("tau", &self.tau)] {
            assert_eq!(tensor.dims(), [n_cells, n_genes], "shape of {name}");
        }
        assert!(self.rows().into_iter().all(|row| row.dims() == [1, n_genes]), "shape of the rates");
    }
}

/// `ln N(x; m_k, (c_k σ)²)`, `[n_cells, 4, n_genes]`.
fn ln_density(x: Tensor<2>, means: &Tensor<3>, std: &Tensor<2>, mixture: &Mixture) -> Tensor<3> {
    let spread: Vec<f32> = mixture.spread.iter().map(|&factor| factor as f32).collect();
    let spread = Tensor::<1>::from_data(spread.as_slice(), &std.device()).reshape([1, STATES, 1]);
    let std = std.clone().unsqueeze_dim::<3>(1) * spread;
    let z = (x.unsqueeze_dim::<3>(1) - means.clone()) / std.clone();
    (-z.square() * 0.5 - std.log() - half_ln_tau()).clamp_min(LEAST_LN_DENSITY)
}

/// `ln Σ_k exp x_k`, `[n_cells, n_genes]`.
fn ln_sum_exp(x: Tensor<3>) -> Tensor<2> {
    let largest = x.clone().max_dim(1).detach();
    ((x - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim(1)
}

//! The network and its loss.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Device, Tensor, activation};
use rand_chacha::ChaCha8Rng;

use super::settings::{PenaltySchedule, StatePosterior, Velovi, Warmup};
use super::start::{MOST_RATE, Start};
use crate::nn::arrays;
use crate::nn::dirichlet;
use crate::nn::distributions::kl_normal;
use crate::nn::draws::Draws;
use crate::nn::fused::dense;
use crate::nn::fused::four_states::{self, FourStates, Mixture, STATES, StatesLoss, Weights, states_loss};
use crate::nn::kinetics;
use crate::nn::layers::{NormBlock, affine, fan_in, normalised, slow_batch_norm};
use crate::nn::varying::Transcription;
use crate::train::{Batch, Loss, Monitored, Objective};

/// Added to the variance of z, as in scvi-tools.
const LEAST_VARIANCE: f32 = 1e-4;
/// Added to concentrations, so that their logarithms are finite; scvi-tools adds nothing.
const LEAST_CONCENTRATION: f32 = 1e-6;
/// Bounds of β and γ from below, where veloVI has 0: rates are divided by.
const LEAST_RATE: f64 = 1e-6;
/// Bound of the residual s.d. from below.
const LEAST_STD: f64 = 1e-4;

/// veloVI as burn sees it. The trainer addresses its parts by the names of the fields.
#[derive(Module, Debug)]
pub(super) struct VeloviModule {
    encoder: Encoder,
    decoder: Decoder,
    rates: GeneRates,
    /// Abundance at the top, `[1, n_vars]`, not learned.
    top_u: Param<Tensor<2>>,
    top_s: Param<Tensor<2>>,
    #[module(skip)]
    terms: Terms,
}

/// What the loss is made of.
#[derive(Clone, Copy, Debug)]
struct Terms {
    t_max: f64,
    mixture: Mixture,
    state_posterior: StatePosterior,
    penalty: f64,
    penalty_schedule: PenaltySchedule,
    warmup_epochs: usize,
    warmup: Warmup,
}

/// q(z|x).
#[derive(Module, Debug)]
struct Encoder {
    block: NormBlock,
    mean: Linear,
    variance: Linear,
}

/// ρ, τ and the concentrations of the states, from z.
#[derive(Module, Debug)]
struct Decoder {
    course: Option<Course>,
    linear: Option<LinearCourse>,
    block: NormBlock,
    concentration: Linear,
}

/// `ρ = sigmoid(W_ρ h)`, `τ = sigmoid(W_τ h)`, h a hidden layer.
#[derive(Module, Debug)]
struct Course {
    block: NormBlock,
    rho: Linear,
    tau: Linear,
}

/// `ρ = sigmoid(x)`, `τ = 1 − sigmoid(eᵃ x + b)`, `x` the batch-normalised `W z`.
#[derive(Module, Debug)]
struct LinearCourse {
    weight: Param<Tensor<2>>,
    norm: BatchNorm,
    ln_slope: Param<Tensor<2>>,
    intercept: Param<Tensor<2>>,
}

/// Kinetic parameters before they are constrained, each `[1, n_vars]`.
#[derive(Module, Debug)]
struct GeneRates {
    alpha: Param<Tensor<2>>,
    beta: Param<Tensor<2>>,
    gamma: Param<Tensor<2>>,
    switch: Param<Tensor<2>>,
    variance_u: Param<Tensor<2>>,
    variance_s: Param<Tensor<2>>,
    /// α₁ and λ, where transcription varies.
    alpha_last: Option<Param<Tensor<2>>>,
    approach: Option<Param<Tensor<2>>>,
}

/// q(z|x) of some cells, `[batch, n_latent]` each.
pub(super) struct Posterior {
    pub(super) mean: Tensor<2>,
    pub(super) std: Tensor<2>,
}

/// Rates on their natural scale, `[1, n_vars]` each.
#[derive(Clone)]
pub(super) struct NaturalRates {
    pub(super) alpha: Tensor<2>,
    pub(super) beta: Tensor<2>,
    pub(super) gamma: Tensor<2>,
    pub(super) t_switch: Tensor<2>,
    pub(super) std_u: Tensor<2>,
    pub(super) std_s: Tensor<2>,
    pub(super) varying: Option<Transcription>,
}

impl VeloviModule {
    pub(super) fn new(settings: &Velovi, start: &Start, weights: &ChaCha8Rng, device: &Device) -> Self {
        let n_vars = start.top_u.len();
        let mut rng = weights.clone();
        let mut draws = Draws::Sampled(&mut rng);
        let fixed = |values: &[f64]| Param::from_tensor(arrays::row(values, device)).set_require_grad(false);
        Self {
            encoder: Encoder::new(settings, n_vars, &mut draws, device),
            decoder: Decoder::new(settings, n_vars, &mut draws, device),
            rates: GeneRates::new(settings, start, device),
            top_u: fixed(&start.top_u),
            top_s: fixed(&start.top_s),
            terms: Terms {
                t_max: settings.t_max,
                mixture: Mixture {
                    spread: settings.state_spread,
                    prior: settings.state_prior,
                    joint: settings.joint_state,
                    kl_weight: 1.0,
                },
                state_posterior: settings.state_posterior,
                penalty: settings.penalty,
                penalty_schedule: settings.penalty_schedule,
                warmup_epochs: settings.warmup_epochs,
                warmup: settings.warmup,
            },
        }
    }

    /// q(z|x), with dropout if `draws` are sampled.
    pub(super) fn encode(&self, batch: &Batch, draws: &mut Draws<'_>) -> Posterior {
        self.encoder.forward(Tensor::cat(vec![batch.s.clone(), batch.u.clone()], 1), draws)
    }

    /// The states of all genes in cells with these `z`, `[batch, n_latent]`.
    pub(super) fn decode(&self, z: Tensor<2>, draws: &mut Draws<'_>) -> FourStates {
        let (rho, tau, concentration) = self.decoder.forward(z, draws);
        let NaturalRates { alpha, beta, gamma, t_switch, std_u, std_s, varying } = self.natural_rates();
        let induction = varying.as_ref().map(|varying| varying.solve(&(rho.clone() * t_switch.clone()), &beta, &gamma));
        let highest = varying.as_ref().map_or_else(|| alpha.clone(), |varying| varying.last.clone());
        let switch = if let Some(varying) = &varying {
            varying.solve(&t_switch, &beta, &gamma)
        } else {
            let nothing = || Tensor::zeros([1, 1], &alpha.device());
            kinetics::solve(&t_switch, nothing(), nothing(), alpha.clone(), &beta, &gamma)
        };
        FourStates {
            concentration: dirichlet::states(concentration, STATES),
            rho,
            tau,
            steady: (highest.clone() / beta.clone(), highest / gamma.clone()),
            switch,
            alpha,
            beta,
            gamma,
            t_switch,
            std_u,
            std_s,
            t_max: self.terms.t_max,
            induction,
        }
    }

    /// Kinetic parameters on their natural scale.
    pub(super) fn natural_rates(&self) -> NaturalRates {
        let positive = |raw: &Param<Tensor<2>>| activation::softplus(raw.val(), 1.0);
        let rate = |raw: &Param<Tensor<2>>| positive(raw).clamp(LEAST_RATE, MOST_RATE);
        let std = |raw: &Param<Tensor<2>>| positive(raw).clamp_min(LEAST_STD * LEAST_STD).sqrt();
        let rates = &self.rates;
        let alpha = rate(&rates.alpha);
        let varying = rates.alpha_last.as_ref().zip(rates.approach.as_ref());
        NaturalRates {
            varying: varying.map(|(last, approach)| Transcription {
                first: alpha.clone(),
                last: rate(last),
                approach: rate(approach),
            }),
            alpha,
            beta: rate(&rates.beta),
            gamma: rate(&rates.gamma),
            t_switch: positive(&rates.switch).clamp_max(self.terms.t_max),
            std_u: std(&rates.variance_u),
            std_s: std(&rates.variance_s),
        }
    }

    /// How strongly ρ of each gene follows each dimension of z, `[n_vars, n_latent]`; linear decoder only.
    pub(super) fn loadings(&self) -> Option<Tensor<2>> {
        let LinearCourse { weight, norm, .. } = self.decoder.linear.as_ref()?;
        let scale = norm.gamma.val() / (norm.running_var.value() + norm.epsilon).sqrt();
        Some((weight.val() * scale.unsqueeze()).transpose())
    }

    /// The bound of a batch, nats per cell: likelihood and divergence of the states.
    pub(super) fn states_loss(&self, batch: &Batch, states: &FourStates, weights: Weights) -> StatesLoss {
        states_loss(states, batch.u.clone(), batch.s.clone(), &self.terms.mixture, weights)
    }

    /// Negative log-likelihood of every gene in every cell at a draw of the states.
    pub(super) fn gene_nll(&self, batch: &Batch, states: &FourStates, seed: u64) -> Tensor<2> {
        let (u, s) = (batch.u.clone(), batch.s.clone());
        four_states::per_gene(states, u, s, &self.terms.mixture, Weights::Drawn(seed)).0
    }

    /// `Σ_g (u(t_s) − u*)² + (s(t_s) − s*)²`.
    fn switch_penalty(&self, states: &FourStates) -> Tensor<1> {
        let (u, s) = states.switch.clone();
        (u - self.top_u.val()).square().sum() + (s - self.top_s.val()).square().sum()
    }

    /// The loss with weight `warm` of what warms up and `penalty` of the penalty.
    fn weighted(&self, batch: &Batch, warm: f64, penalty: f64, draws: &mut Draws<'_>) -> Loss {
        let posterior = self.encode(batch, draws);
        let states = self.decode(posterior.draw(draws), draws);
        let weights = match self.terms.state_posterior {
            StatePosterior::Sampled => draws.seed().map_or(Weights::Bounded, Weights::Drawn),
            StatePosterior::Analytic => Weights::Bounded,
        };
        let kl_weight = if self.terms.warmup == Warmup::All { warm } else { 1.0 };
        let mixture = Mixture { kl_weight, ..self.terms.mixture };
        let bound = states_loss(&states, batch.u.clone(), batch.s.clone(), &mixture, weights);
        let kl_z = posterior.kl();
        let mut total = bound.total + kl_z.clone() * warm;
        let mut terms = vec![("nll", bound.nll), ("kl_states", bound.kl), ("kl_z", kl_z)];
        if penalty > 0.0 {
            let of_switch = self.switch_penalty(&states);
            total = total + of_switch.clone() * penalty;
            terms.push(("switch_penalty", of_switch));
        }
        Loss { total, terms }
    }
}

impl Objective for VeloviModule {
    fn loss(&self, batch: &Batch, epoch: usize, draws: &mut Draws<'_>) -> Loss {
        let Terms { penalty, penalty_schedule, warmup_epochs, .. } = self.terms;
        let warm = if epoch >= warmup_epochs { 1.0 } else { epoch as f64 / warmup_epochs as f64 };
        let penalty = match penalty_schedule {
            PenaltySchedule::Fade => penalty * (1.0 - warm),
            PenaltySchedule::Constant => penalty,
        };
        self.weighted(batch, warm, penalty, draws)
    }

    fn held_out_loss(&self, batch: &Batch) -> Loss {
        self.weighted(batch, 1.0, 0.0, &mut Draws::Mean)
    }

    fn monitored(&self, batch: &Batch) -> Vec<Monitored> {
        let rates = self.natural_rates();
        let states = self.decode(self.encode(batch, &mut Draws::Mean).mean, &mut Draws::Mean);
        let induction = dirichlet::mean(&states.concentration).narrow(1, 0, 1).mean_dim(2);
        let per_gene =
            |name, values: Tensor<2>| Monitored { name, per_gene: true, values: arrays::values(values.inner()) };
        vec![
            per_gene("alpha", rates.alpha),
            per_gene("beta", rates.beta),
            per_gene("gamma", rates.gamma),
            per_gene("t_switch", rates.t_switch),
            per_gene("std_u", rates.std_u),
            per_gene("std_s", rates.std_s),
            Monitored { name: "induction", per_gene: false, values: arrays::values(induction.inner()) },
            Monitored { name: "rho", per_gene: false, values: arrays::values(states.rho.mean_dim(1).inner()) },
        ]
    }

    fn gene_loss(&self, batch: &Batch) -> Tensor<2> {
        let states = self.decode(self.encode(batch, &mut Draws::Mean).mean, &mut Draws::Mean);
        let (u, s) = (batch.u.clone(), batch.s.clone());
        let (nll, kl) = four_states::per_gene(&states, u, s, &self.terms.mixture, Weights::Bounded);
        (nll + kl).mean_dim(0)
    }
}

impl Posterior {
    /// A draw of z, or its mean.
    pub(super) fn draw(&self, draws: &mut Draws<'_>) -> Tensor<2> {
        match draws {
            Draws::Mean => self.mean.clone(),
            Draws::Sampled(_) => {
                self.mean.clone() + self.std.clone() * draws.normal(self.mean.dims(), &self.mean.device())
            }
        }
    }

    /// `KL(q(z|x) ‖ N(0, 1))`, mean over cells.
    pub(super) fn kl(&self) -> Tensor<1> {
        let one = Tensor::full([1, 1], 1.0, &self.mean.device());
        kl_normal(self.mean.clone(), self.std.clone(), Tensor::zeros_like(&one), one).mean()
    }
}

impl Encoder {
    fn new(settings: &Velovi, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        Self {
            block: NormBlock::new(2 * n_vars, settings.hidden, settings.dropout, draws, device),
            mean: fan_in(settings.hidden, settings.n_latent, draws, device),
            variance: fan_in(settings.hidden, settings.n_latent, draws, device),
        }
    }

    fn forward(&self, x: Tensor<2>, draws: &mut Draws<'_>) -> Posterior {
        let h = self.block.forward(x, draws);
        let variance = activation::softplus(affine(&self.variance, h.clone()), 1.0) + LEAST_VARIANCE;
        Posterior { mean: affine(&self.mean, h), std: variance.sqrt() }
    }
}

impl Decoder {
    fn new(settings: &Velovi, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        let linear = settings.linear_decoder;
        Self {
            course: (!linear).then(|| Course::new(settings, n_vars, draws, device)),
            linear: linear.then(|| LinearCourse::new(settings.n_latent, n_vars, draws, device)),
            block: NormBlock::new(settings.n_latent, settings.hidden, 0.0, draws, device),
            concentration: fan_in(settings.hidden, STATES * n_vars, draws, device),
        }
    }

    /// ρ, τ, `[batch, n_vars]`, and the concentrations, `[batch, 4 n_vars]`, those of one state side by side.
    fn forward(&self, z: Tensor<2>, draws: &mut Draws<'_>) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
        let (rho, tau) = match (&self.course, &self.linear) {
            (Some(course), _) => course.forward(z.clone(), draws),
            (None, Some(linear)) => linear.forward(z.clone()),
            (None, None) => unreachable!("a decoder has one of the two"),
        };
        let h = self.block.forward(z, draws);
        (rho, tau, dense::softplus(affine(&self.concentration, h)) + LEAST_CONCENTRATION)
    }
}

impl Course {
    fn new(settings: &Velovi, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        Self {
            block: NormBlock::new(settings.n_latent, settings.hidden, 0.0, draws, device),
            rho: fan_in(settings.hidden, n_vars, draws, device),
            tau: fan_in(settings.hidden, n_vars, draws, device),
        }
    }

    fn forward(&self, z: Tensor<2>, draws: &mut Draws<'_>) -> (Tensor<2>, Tensor<2>) {
        let h = self.block.forward(z, draws);
        (dense::sigmoid(affine(&self.rho, h.clone())), dense::sigmoid(affine(&self.tau, h)))
    }
}

impl LinearCourse {
    fn new(n_latent: usize, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        let zeros = || Param::from_tensor(Tensor::zeros([1, n_vars], device));
        Self {
            weight: fan_in(n_latent, n_vars, draws, device).weight,
            norm: slow_batch_norm(n_vars, device),
            ln_slope: zeros(),
            intercept: zeros(),
        }
    }

    fn forward(&self, z: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let x = normalised(&self.norm, z.matmul(self.weight.val()));
        let falling = x.clone() * self.ln_slope.val().exp() + self.intercept.val();
        (dense::sigmoid(x), dense::sigmoid(-falling))
    }
}

impl GeneRates {
    fn new(settings: &Velovi, start: &Start, device: &Device) -> Self {
        let learned = |values: &[f64]| Param::from_tensor(arrays::row(values, device));
        let varying = || {
            settings
                .time_dependent_transcription
                .then(|| Param::from_tensor(Tensor::zeros([1, start.top_u.len()], device)))
        };
        Self {
            alpha: learned(&start.alpha_raw),
            beta: learned(&start.beta_raw),
            gamma: learned(&start.gamma_raw),
            switch: learned(&start.switch_raw),
            variance_u: learned(&start.variance_raw),
            variance_s: learned(&start.variance_raw),
            alpha_last: varying(),
            approach: varying(),
        }
    }
}

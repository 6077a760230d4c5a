//! The parts of the network: encoder, decoder, rates.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};

use super::settings::{Variant, Velovae};
use super::start::Start;
use crate::nn::arrays;
use crate::nn::draws::Draws;
use crate::nn::fused::dense;
use crate::nn::layers::{Block, affine, xavier};

/// q(t|x) and q(c|x).
#[derive(Module, Debug)]
pub(super) struct Encoder {
    first: Block,
    second: Block,
    time_mean: Linear,
    time_std: Linear,
    state_mean: Option<Linear>,
    state_std: Option<Linear>,
}

/// ρ(c), in (0, 1).
#[derive(Module, Debug)]
pub(super) struct Decoder {
    first: Block,
    second: Block,
    rho: Linear,
}

/// Kinetic parameters, each `[1, n_vars]`.
#[derive(Module, Debug)]
pub(super) struct GeneRates {
    log_alpha: Param<Tensor<2>>,
    log_beta: Param<Tensor<2>>,
    log_gamma: Param<Tensor<2>>,
    /// `t_on / t_max`; basic model only. Negative where a gene was on before the first cell.
    on: Option<Param<Tensor<2>>>,
    /// `ln((t_off − t_on) / t_max)`; basic model only.
    log_duration: Option<Param<Tensor<2>>>,
    /// ln of the abundances of the root; only where the model carries them.
    log_u0: Option<Param<Tensor<2>>>,
    log_s0: Option<Param<Tensor<2>>>,
}

/// Posterior of some cells.
pub(super) struct Posterior {
    /// `[batch, 1]`
    pub time_mean: Tensor<2>,
    /// `[batch, 1]`
    pub time_std: Tensor<2>,
    /// Mean and s.d. of the state, `[batch, n_latent]`; full model only.
    pub state: Option<(Tensor<2>, Tensor<2>)>,
}

/// Rates on their natural scale, `[1, n_vars]`.
pub(super) struct NaturalRates {
    pub alpha: Tensor<2>,
    pub beta: Tensor<2>,
    pub gamma: Tensor<2>,
    /// Basic model only.
    pub on_off: Option<(Tensor<2>, Tensor<2>)>,
    /// Abundances of the root, only where the model carries them.
    pub root: Option<(Tensor<2>, Tensor<2>)>,
}

impl Posterior {
    /// A draw of time and state, or their means.
    pub(super) fn draw(&self, draws: &mut Draws<'_>) -> (Tensor<2>, Option<Tensor<2>>) {
        let mut draw = |mean: &Tensor<2>, std: &Tensor<2>| match draws {
            Draws::Mean => mean.clone(),
            Draws::Sampled(_) => mean.clone() + std.clone() * draws.normal(mean.dims(), &mean.device()),
        };
        let t = draw(&self.time_mean, &self.time_std);
        (t, self.state.as_ref().map(|(mean, std)| draw(mean, std)))
    }

    pub(super) fn detach(self) -> Self {
        Self {
            time_mean: self.time_mean.detach(),
            time_std: self.time_std.detach(),
            state: self.state.map(|(mean, std)| (mean.detach(), std.detach())),
        }
    }
}

impl Encoder {
    pub(super) fn new(settings: &Velovae, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        let [wide, narrow] = settings.hidden;
        let first = Block::new(2 * n_vars, wide, settings.dropout, draws, device);
        let second = Block::new(wide, narrow, settings.dropout, draws, device);
        let (time_mean, time_std) = (xavier(narrow, 1, draws, device), xavier(narrow, 1, draws, device));
        let mut state = || xavier(narrow, settings.n_latent, draws, device);
        let full = settings.variant == Variant::Full;
        Self { first, second, time_mean, time_std, state_mean: full.then(&mut state), state_std: full.then(&mut state) }
    }

    pub(super) fn forward(&self, x: Tensor<2>, draws: &mut Draws<'_>) -> Posterior {
        let h = self.second.forward(self.first.forward(x, draws), draws);
        let positive = |head: &Linear| activation::softplus(head.forward(h.clone()), 1.0);
        let heads = self.state_mean.as_ref().zip(self.state_std.as_ref());
        Posterior {
            time_mean: positive(&self.time_mean),
            time_std: positive(&self.time_std) + MIN_POSTERIOR_STD,
            state: heads.map(|(mean, std)| (mean.forward(h.clone()), positive(std) + MIN_POSTERIOR_STD)),
        }
    }
}

/// Keeps the logarithm in the divergence finite where softplus underflows.
const MIN_POSTERIOR_STD: f32 = 1e-6;

impl Decoder {
    pub(super) fn new(settings: &Velovae, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        let [wide, narrow] = settings.hidden;
        Self {
            first: Block::new(settings.n_latent, narrow, settings.dropout, draws, device),
            second: Block::new(narrow, wide, settings.dropout, draws, device),
            rho: xavier(wide, n_vars, draws, device),
        }
    }

    pub(super) fn forward(&self, c: Tensor<2>, draws: &mut Draws<'_>) -> Tensor<2> {
        let h = self.second.forward(self.first.forward(c, draws), draws);
        dense::sigmoid(affine(&self.rho, h))
    }
}

impl GeneRates {
    pub(super) fn new(settings: &Velovae, start: &Start, device: &Device) -> Self {
        let learned = |values: Vec<f64>| Param::from_tensor(arrays::row(&values, device));
        let logs = |values: &[f64]| learned(values.iter().map(|value| value.ln()).collect());
        let basic = settings.variant == Variant::Basic;
        let pairs = || start.t_on.iter().zip(&start.t_off);
        Self {
            log_alpha: logs(&start.alpha),
            log_beta: logs(&start.beta),
            log_gamma: logs(&start.gamma),
            on: basic.then(|| learned(start.t_on.iter().map(|on| on / settings.t_max).collect())),
            log_u0: settings.carries().then(|| logs(&start.u0)),
            log_s0: settings.carries().then(|| logs(&start.s0)),
            log_duration: basic.then(|| learned(pairs().map(|(on, off)| ((off - on) / settings.t_max).ln()).collect())),
        }
    }

    /// On their natural scale.
    pub(super) fn natural(&self, t_max: f64) -> NaturalRates {
        let exp = |log: &Param<Tensor<2>>| log.val().exp();
        let on_off = self.on.as_ref().zip(self.log_duration.as_ref()).map(|(on, log_duration)| {
            let on = on.val() * t_max;
            (on.clone(), on + exp(log_duration) * t_max)
        });
        NaturalRates {
            alpha: exp(&self.log_alpha),
            beta: exp(&self.log_beta),
            gamma: exp(&self.log_gamma),
            on_off,
            root: self.log_u0.as_ref().zip(self.log_s0.as_ref()).map(|(u0, s0)| (exp(u0), exp(s0))),
        }
    }
}

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

/// Kinetic parameters, each `[1, n_vars]`; β and γ `[n_lineages, n_vars]` where lineages have their own.
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

/// Log-normal posteriors of the rates: logarithms of the s.d. of `ln α/β`, of `ln β` and of `ln γ/β`, in the shape of the rates.
///
/// The counts tell the ratios to β, the steady-state abundances, far better than β itself: drawn together with β, the three rates
/// are as good as independent, which posteriors drawn one by one suppose.
#[derive(Module, Debug)]
#[allow(clippy::struct_field_names, reason = "the names of the parameters in a checkpoint")]
pub(super) struct RatePosterior {
    log_std_alpha: Param<Tensor<2>>,
    log_std_beta: Param<Tensor<2>>,
    log_std_gamma: Param<Tensor<2>>,
}

/// S.d. of the logarithms of the rates where they start.
const START_STD: f64 = 0.05;

/// Posterior s.d. of `ln α`, `ln β` and `ln γ`, each in the shape of the rate.
pub(super) struct RateStds {
    pub alpha: Tensor<2>,
    pub beta: Tensor<2>,
    pub gamma: Tensor<2>,
    /// Of `ln γ/β`.
    pub ratio: Tensor<2>,
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

/// Rates on their natural scale, in the shapes of [`GeneRates`].
#[derive(Clone)]
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
        let full = settings.is_full();
        Self { first, second, time_mean, time_std, state_mean: full.then(&mut state), state_std: full.then(&mut state) }
    }

    /// The same encoder, which can learn the s.d. of times and states, whatever else of it is frozen.
    pub(super) fn with_stds_unfrozen(self) -> Self {
        Self { time_std: self.time_std.unfreeze(), state_std: self.state_std.map(Module::unfreeze), ..self }
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
        let n_lineages = start.n_lineages();
        let of_lineages = |values: &[f64]| {
            let row = arrays::row(&values.iter().map(|value| value.ln()).collect::<Vec<_>>(), device);
            Param::from_tensor(row.repeat_dim(0, n_lineages))
        };
        let basic = settings.variant == Variant::Basic;
        let pairs = || start.t_on.iter().zip(&start.t_off);
        Self {
            log_alpha: logs(&start.alpha),
            log_beta: of_lineages(&start.beta),
            log_gamma: of_lineages(&start.gamma),
            on: basic.then(|| learned(start.t_on.iter().map(|on| on / settings.t_max).collect())),
            log_u0: settings.carries().then(|| logs(&start.u0)),
            log_s0: settings.carries().then(|| logs(&start.s0)),
            log_duration: basic.then(|| learned(pairs().map(|(on, off)| ((off - on) / settings.t_max).ln()).collect())),
        }
    }

    /// A draw of the rates, or the medians of their posteriors, on their natural scale.
    pub(super) fn natural(&self, posterior: Option<&RatePosterior>, t_max: f64, draws: &mut Draws<'_>) -> NaturalRates {
        let exp = |log: &Param<Tensor<2>>| log.val().exp();
        let on_off = self.on.as_ref().zip(self.log_duration.as_ref()).map(|(on, log_duration)| {
            let on = on.val() * t_max;
            (on.clone(), on + exp(log_duration) * t_max)
        });
        let [mut alpha, mut beta, mut gamma] = [&self.log_alpha, &self.log_beta, &self.log_gamma].map(Param::val);
        if let (Some(posterior), Draws::Sampled(_)) = (posterior, &*draws) {
            let mut noise = |log_std: &Param<Tensor<2>>| {
                let std = log_std.val().exp();
                std.clone() * draws.normal(std.dims(), &std.device())
            };
            let of_beta = noise(&posterior.log_std_beta);
            alpha = alpha + noise(&posterior.log_std_alpha) + of_beta.clone().mean_dim(0);
            gamma = gamma + noise(&posterior.log_std_gamma) + of_beta.clone();
            beta = beta + of_beta;
        }
        NaturalRates {
            alpha: alpha.exp(),
            beta: beta.exp(),
            gamma: gamma.exp(),
            on_off,
            root: self.log_u0.as_ref().zip(self.log_s0.as_ref()).map(|(u0, s0)| (exp(u0), exp(s0))),
        }
    }
}

impl RatePosterior {
    pub(super) fn new(start: &Start, device: &Device) -> Self {
        let stds = |rows: usize| Param::from_tensor(Tensor::full([rows, start.alpha.len()], START_STD.ln(), device));
        let n_lineages = start.n_lineages();
        Self { log_std_alpha: stds(1), log_std_beta: stds(n_lineages), log_std_gamma: stds(n_lineages) }
    }

    /// Posterior s.d. of the logarithms of the rates.
    pub(super) fn stds(&self) -> RateStds {
        let variance = |log_std: &Param<Tensor<2>>| (log_std.val() * 2.0).exp();
        let of_beta = variance(&self.log_std_beta);
        let n_lineages = of_beta.dims()[0] as f64;
        RateStds {
            // Of α, one for all lineages, the mean of their deviates is drawn along.
            alpha: (variance(&self.log_std_alpha) + of_beta.clone().mean_dim(0) / n_lineages).sqrt(),
            gamma: (variance(&self.log_std_gamma) + of_beta.clone()).sqrt(),
            beta: of_beta.sqrt(),
            ratio: self.log_std_gamma.val().exp(),
        }
    }

    /// `KL(q ‖ p)` of the rates, summed over genes, against log-normal priors `[median, s.d. of the logarithm]` of α, β and γ.
    ///
    /// `KL = −Σ ln s √(2πe) + Σ_r E_q[(ln r − ln m_r)²] / 2σ_r² + ln σ_r √2π`, s of `α/β`, `β` and `γ/β`
    pub(super) fn kl(&self, rates: &GeneRates, priors: &[[f64; 2]; 3]) -> Tensor<1> {
        let stds = self.stds();
        let cross = |mean: &Param<Tensor<2>>, std: Tensor<2>, [median, sd]: [f64; 2]| {
            let squares = (mean.val() - median.ln()).square() + std.square();
            (squares * (0.5 / (sd * sd)) + sd.ln()).sum()
        };
        let entropy = |log_std: &Param<Tensor<2>>| (log_std.val() + 0.5).sum();
        let [of_alpha, of_beta, of_gamma] = *priors;
        let cross = cross(&rates.log_alpha, stds.alpha, of_alpha)
            + cross(&rates.log_beta, stds.beta, of_beta)
            + cross(&rates.log_gamma, stds.gamma, of_gamma);
        cross - entropy(&self.log_std_alpha) - entropy(&self.log_std_beta) - entropy(&self.log_std_gamma)
    }
}

impl GeneRates {
    /// What it costs that rates differ between lineages, in nats: `ln β` and `ln γ` of each are normal around their mean over lineages,
    /// with s.d. `sd`. `None` where there is one of each.
    pub(super) fn differences(&self, sd: f64) -> Option<Tensor<1>> {
        (self.log_beta.dims()[0] > 1).then(|| {
            let squares =
                |log: &Param<Tensor<2>>| (log.val() - log.val().mean_dim(0)).square().sum() * (0.5 / (sd * sd));
            squares(&self.log_beta) + squares(&self.log_gamma)
        })
    }
}

impl NaturalRates {
    /// β and γ of cells, or groups of them, that belong to the lineages by these shares, `[n, n_lineages]`: geometric means. As they
    /// are, `[1, n_vars]`, where lineages have no rates of their own.
    pub(super) fn of(&self, lineages: Option<&Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
        match lineages {
            None => (self.beta.clone(), self.gamma.clone()),
            Some(shares) => {
                let mean = |rate: &Tensor<2>| shares.clone().matmul(rate.clone().log()).exp();
                (mean(&self.beta), mean(&self.gamma))
            }
        }
    }
}

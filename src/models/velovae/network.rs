//! The network and its loss.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};
use rand_chacha::ChaCha8Rng;

use super::columns;
use super::settings::{Variant, Velovae};
use super::start::Start;
use crate::nn::arrays;
use crate::nn::distributions::kl_normal;
use crate::nn::draws::Draws;
use crate::nn::fused::{Kinetics, Observed, dense, kinetic_nll};
use crate::nn::kinetics;
use crate::nn::layers::{Block, affine, copied, xavier};
use crate::train::{Batch, Loss, Monitored, Objective};

/// What the module is learning at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The encoder repeats the start times.
    Times,
    /// Decoder and rates, with the encoder frozen at the start times.
    Rates,
    /// Encoder, decoder and rates, from `u₀ = s₀ = 0`.
    Joint,
    /// The second decoder and the rates, from each cell's own initial conditions, with the encoder frozen.
    Refine,
}

impl Phase {
    fn learns_encoder(self) -> bool {
        matches!(self, Self::Times | Self::Joint)
    }
}

/// VeloVAE as burn sees it. The trainer addresses its parts by the names of the fields.
#[derive(Module, Debug)]
pub(super) struct VelovaeModule {
    encoder: Encoder,
    /// ρ(c) of the first stage; full model only.
    decoder: Option<Decoder>,
    /// ρ(c) of the later stages; full model only.
    refined: Option<Decoder>,
    rates: GeneRates,
    fixed: Fixed,
    #[module(skip)]
    phase: Phase,
}

/// q(t|x) and q(c|x).
#[derive(Module, Debug)]
struct Encoder {
    first: Block,
    second: Block,
    time_mean: Linear,
    time_std: Linear,
    state_mean: Option<Linear>,
    state_std: Option<Linear>,
}

/// ρ(c), in (0, 1).
#[derive(Module, Debug)]
struct Decoder {
    first: Block,
    second: Block,
    rho: Linear,
}

/// Kinetic parameters, each `[1, n_vars]`.
#[derive(Module, Debug)]
struct GeneRates {
    log_alpha: Param<Tensor<2>>,
    log_beta: Param<Tensor<2>>,
    log_gamma: Param<Tensor<2>>,
    /// `t_on / t_max`; basic model only. Negative where a gene was on before the first cell.
    on: Option<Param<Tensor<2>>>,
    /// `ln((t_off − t_on) / t_max)`; basic model only.
    log_duration: Option<Param<Tensor<2>>>,
}

/// What is not learned by gradients; per gene `[1, n_vars]`. What is known of each cell comes with the batch.
#[derive(Module, Debug)]
struct Fixed {
    t_max: f64,
    state_prior_std: f64,
    scaling: Param<Tensor<2>>,
    sigma_u: Param<Tensor<2>>,
    sigma_s: Param<Tensor<2>>,
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

/// Fitted abundances of some cells and what they follow from.
pub(super) struct Decoded {
    /// Unspliced abundance divided by the scaling, `[batch, n_vars]`
    pub u: Tensor<2>,
    /// `[batch, n_vars]`
    pub s: Tensor<2>,
    /// Transcription rate, `[batch, n_vars]`
    pub alpha: Tensor<2>,
}

/// The piece of the ODE that each cell is on: `τ` since it began, its start, its transcription rate.
struct Piece {
    tau: Tensor<2>,
    start: Option<(Tensor<2>, Tensor<2>)>,
    alpha: Tensor<2>,
}

/// Rates on their natural scale, `[1, n_vars]`.
pub(super) struct NaturalRates {
    pub alpha: Tensor<2>,
    pub beta: Tensor<2>,
    pub gamma: Tensor<2>,
    /// Basic model only.
    pub on_off: Option<(Tensor<2>, Tensor<2>)>,
}

impl VelovaeModule {
    pub(super) fn new(settings: &Velovae, start: &Start, weights: &ChaCha8Rng, device: &Device) -> Self {
        let full = settings.variant == Variant::Full;
        let n_vars = start.alpha.len();
        let mut rng = weights.clone();
        let mut draws = Draws::Sampled(&mut rng);
        let decoder = |draws: &mut Draws<'_>| full.then(|| Decoder::new(settings, n_vars, draws, device));
        let encoder = Encoder::new(settings, n_vars, &mut draws, device);
        let (first, second) = (decoder(&mut draws), decoder(&mut draws));
        Self {
            encoder,
            decoder: first,
            refined: second,
            rates: GeneRates::new(settings, start, device),
            fixed: Fixed::new(settings, start, device),
            phase: Phase::Times,
        }
    }

    /// The same module, learning what `phase` says.
    pub(super) fn with_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        // Frozen also means that batch norm stops following the batches.
        self.encoder = if phase.learns_encoder() { self.encoder.unfreeze() } else { self.encoder.freeze() };
        if phase == Phase::Refine {
            self.decoder = self.decoder.map(Module::freeze);
        }
        self
    }

    /// The same module with other residual s.d. of u and s, `[n_vars]`.
    pub(super) fn with_spreads(mut self, [sigma_u, sigma_s]: &[Vec<f64>; 2]) -> Self {
        let device = self.fixed.scaling.val().device().inner();
        let row = |values: &[f64]| constant(arrays::row(values, &device).autodiff());
        self.fixed.sigma_u = row(sigma_u);
        self.fixed.sigma_s = row(sigma_s);
        self
    }

    /// The same module, whose second decoder is as the first.
    pub(super) fn with_decoder_copied(mut self) -> Self {
        let both = self.decoder.as_ref().zip(self.refined);
        self.refined = both.map(|(decoder, refined)| copied(decoder, refined));
        self
    }

    pub(super) fn encode(&self, batch: &Batch, draws: &mut Draws<'_>) -> Posterior {
        let x = Tensor::cat(vec![batch.u.clone() / self.fixed.scaling.val(), batch.s.clone()], 1);
        self.encoder.forward(x, draws)
    }

    /// Fitted abundances at times `t`, `[batch, 1]`, and states `c`.
    pub(super) fn decode(&self, batch: &Batch, t: Tensor<2>, c: Option<Tensor<2>>, draws: &mut Draws<'_>) -> Decoded {
        let rates = self.natural_rates();
        let piece = self.piece(batch, &rates, t, c, draws);
        let (u0, s0) = piece.start.unwrap_or_else(|| nothing(&piece.tau));
        let (u, s) = kinetics::solve(&piece.tau, u0, s0, piece.alpha.clone(), &rates.beta, &rates.gamma);
        Decoded { u, s, alpha: piece.alpha }
    }

    fn piece(
        &self,
        batch: &Batch,
        rates: &NaturalRates,
        t: Tensor<2>,
        c: Option<Tensor<2>>,
        draws: &mut Draws<'_>,
    ) -> Piece {
        match (&rates.on_off, self.phase) {
            (Some((on, off)), _) => switched(t, rates, on, off),
            (None, Phase::Refine) => Piece {
                tau: activation::relu(t - batch.column(columns::T0)),
                start: Some((batch.column(columns::U0), batch.column(columns::S0))),
                alpha: Self::transcription(self.refined.as_ref(), rates, c, draws),
            },
            (None, _) => Piece {
                tau: activation::relu(t),
                start: None,
                alpha: Self::transcription(self.decoder.as_ref(), rates, c, draws),
            },
        }
    }

    /// `α̃ = α ρ(c)`, `[batch, n_vars]`.
    fn transcription(
        decoder: Option<&Decoder>,
        rates: &NaturalRates,
        c: Option<Tensor<2>>,
        draws: &mut Draws<'_>,
    ) -> Tensor<2> {
        let (decoder, c) = decoder.zip(c).expect("the full model has a decoder and states");
        decoder.forward(c, draws) * rates.alpha.clone()
    }

    /// Kinetic parameters on their natural scale.
    pub(super) fn natural_rates(&self) -> NaturalRates {
        let rates = &self.rates;
        let t_max = self.fixed.t_max;
        let on_off = rates.on.as_ref().zip(rates.log_duration.as_ref()).map(|(on, log_duration)| {
            let on = on.val() * t_max;
            (on.clone(), on + log_duration.val().exp() * t_max)
        });
        NaturalRates {
            alpha: rates.log_alpha.val().exp(),
            beta: rates.log_beta.val().exp(),
            gamma: rates.log_gamma.val().exp(),
            on_off,
        }
    }

    /// Scaling of unspliced abundance and residual s.d. of both, `[1, n_vars]`.
    pub(super) fn scaling_and_sigma(&self) -> [Tensor<2>; 3] {
        [self.fixed.scaling.val(), self.fixed.sigma_u.val(), self.fixed.sigma_s.val()]
    }

    fn observed(&self, batch: &Batch) -> Observed {
        let [scaling, sigma_u, sigma_s] = self.scaling_and_sigma().map(|row| row.squeeze_dim(0));
        Observed { u: batch.u.clone(), s: batch.s.clone(), scaling, sigma_u, sigma_s }
    }

    fn time_loss(&self, batch: &Batch, posterior: Posterior) -> Loss {
        let error = (posterior.time_mean - batch.column(columns::START_TIME)).square().mean();
        Loss { total: error.clone(), terms: vec![("start_time_mse", error)] }
    }
}

impl Objective for VelovaeModule {
    fn loss(&self, batch: &Batch, _: usize, draws: &mut Draws<'_>) -> Loss {
        // A frozen encoder drops nothing, and no gradient goes through it.
        let posterior = match self.phase.learns_encoder() {
            true => self.encode(batch, draws),
            false => self.encode(batch, &mut Draws::Mean).detach(),
        };
        if self.phase == Phase::Times {
            return self.time_loss(batch, posterior);
        }
        let (t, c) = posterior.draw(draws);
        let rates = self.natural_rates();
        let piece = self.piece(batch, &rates, t, c, draws);
        let Piece { tau, start, alpha } = piece;
        let kinetics = Kinetics { tau, alpha, start, beta: rates.beta, gamma: rates.gamma };
        let nll = kinetic_nll(kinetics, self.observed(batch));
        let kl_time = kl_normal(
            posterior.time_mean,
            posterior.time_std,
            batch.column(columns::PRIOR_MEAN),
            batch.column(columns::PRIOR_STD),
        )
        .mean();
        let mut terms =
            vec![("nll_unspliced", nll.unspliced), ("nll_spliced", nll.spliced), ("kl_time", kl_time.clone())];
        let mut total = nll.total + kl_time;
        if let Some((mean, std)) = posterior.state {
            let prior_std = Tensor::full([1, 1], self.fixed.state_prior_std, &mean.device());
            let kl_state = kl_normal(mean, std, Tensor::zeros_like(&prior_std), prior_std).mean();
            total = total + kl_state.clone();
            terms.push(("kl_state", kl_state));
        }
        Loss { total, terms }
    }

    fn monitored(&self, batch: &Batch) -> Vec<Monitored> {
        let time = arrays::values(self.encode(batch, &mut Draws::Mean).time_mean.inner());
        let rates = self.natural_rates();
        let per_gene =
            |name, values: Tensor<2>| Monitored { name, per_gene: true, values: arrays::values(values.inner()) };
        let mut quantities =
            vec![per_gene("alpha", rates.alpha), per_gene("beta", rates.beta), per_gene("gamma", rates.gamma)];
        if let Some((on, off)) = rates.on_off {
            quantities.extend([per_gene("t_on", on), per_gene("t_off", off)]);
        }
        quantities.push(Monitored { name: "time", per_gene: false, values: time });
        quantities
    }

    fn gene_loss(&self, batch: &Batch) -> Tensor<2> {
        let posterior = self.encode(batch, &mut Draws::Mean);
        let (t, c) = posterior.draw(&mut Draws::Mean);
        let decoded = self.decode(batch, t, c, &mut Draws::Mean);
        let [scaling, sigma_u, sigma_s] = self.scaling_and_sigma();
        let z_u = (decoded.u * scaling - batch.u.clone()) / sigma_u;
        let z_s = (decoded.s - batch.s.clone()) / sigma_s;
        (z_u.square() + z_s.square()).mean_dim(0)
    }
}

/// The piece of a gene that is on between `on` and `off`, `[1, n_vars]`, at times `t`, `[batch, 1]`.
fn switched(t: Tensor<2>, rates: &NaturalRates, on: &Tensor<2>, off: &Tensor<2>) -> Piece {
    let shape = [t.dims()[0], on.dims()[1]];
    let duration = off.clone() - on.clone();
    let (u0, s0) = nothing(&duration);
    let (u_off, s_off) = kinetics::solve(&duration, u0, s0, rates.alpha.clone(), &rates.beta, &rates.gamma);
    let since_on = t.clone() - on.clone();
    let since_off = t - off.clone();
    let is_off = since_off.clone().greater_equal_elem(0.0);
    let was_on = is_off.clone().float();
    Piece {
        tau: activation::relu(since_on).mask_where(is_off.clone(), since_off),
        start: Some((u_off * was_on.clone(), s_off * was_on)),
        alpha: rates.alpha.clone().expand(shape).mask_fill(is_off, 0.0),
    }
}

/// `u₀ = s₀ = 0`, on the device of `like`.
fn nothing(like: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let zero = Tensor::zeros([1, 1], &like.device());
    (zero.clone(), zero)
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

    fn detach(self) -> Self {
        Self {
            time_mean: self.time_mean.detach(),
            time_std: self.time_std.detach(),
            state: self.state.map(|(mean, std)| (mean.detach(), std.detach())),
        }
    }
}

impl Encoder {
    fn new(settings: &Velovae, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        let [wide, narrow] = settings.hidden;
        let first = Block::new(2 * n_vars, wide, settings.dropout, draws, device);
        let second = Block::new(wide, narrow, settings.dropout, draws, device);
        let (time_mean, time_std) = (xavier(narrow, 1, draws, device), xavier(narrow, 1, draws, device));
        let mut state = || xavier(narrow, settings.n_latent, draws, device);
        let full = settings.variant == Variant::Full;
        Self { first, second, time_mean, time_std, state_mean: full.then(&mut state), state_std: full.then(&mut state) }
    }

    fn forward(&self, x: Tensor<2>, draws: &mut Draws<'_>) -> Posterior {
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
    fn new(settings: &Velovae, n_vars: usize, draws: &mut Draws<'_>, device: &Device) -> Self {
        let [wide, narrow] = settings.hidden;
        Self {
            first: Block::new(settings.n_latent, narrow, settings.dropout, draws, device),
            second: Block::new(narrow, wide, settings.dropout, draws, device),
            rho: xavier(wide, n_vars, draws, device),
        }
    }

    fn forward(&self, c: Tensor<2>, draws: &mut Draws<'_>) -> Tensor<2> {
        let h = self.second.forward(self.first.forward(c, draws), draws);
        dense::sigmoid(affine(&self.rho, h))
    }
}

impl GeneRates {
    fn new(settings: &Velovae, start: &Start, device: &Device) -> Self {
        let learned = |values: Vec<f64>| Param::from_tensor(arrays::row(&values, device));
        let logs = |values: &[f64]| learned(values.iter().map(|value| value.ln()).collect());
        let basic = settings.variant == Variant::Basic;
        let pairs = || start.t_on.iter().zip(&start.t_off);
        Self {
            log_alpha: logs(&start.alpha),
            log_beta: logs(&start.beta),
            log_gamma: logs(&start.gamma),
            on: basic.then(|| learned(start.t_on.iter().map(|on| on / settings.t_max).collect())),
            log_duration: basic.then(|| learned(pairs().map(|(on, off)| ((off - on) / settings.t_max).ln()).collect())),
        }
    }
}

impl Fixed {
    fn new(settings: &Velovae, start: &Start, device: &Device) -> Self {
        let row = |values: &[f64]| constant(arrays::row(values, device));
        Self {
            t_max: settings.t_max,
            state_prior_std: settings.state_prior_std,
            scaling: row(&start.scaling),
            sigma_u: row(&start.sigma_u),
            sigma_s: row(&start.sigma_s),
        }
    }
}

/// A tensor that belongs to the module, and so to its checkpoints, but is not learned.
fn constant(values: Tensor<2>) -> Param<Tensor<2>> {
    Param::from_tensor(values).set_require_grad(false)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::{NaturalRates, switched};
    use crate::kinetics::{Rates, switch};
    use crate::nn::{arrays, kinetics};

    #[test]
    fn a_gene_is_zero_before_it_is_on_and_then_follows_the_kinetics_in_f64() {
        let device = Device::flex();
        // α, β, γ, t_on, t_off
        let genes = [[5.0, 1.0, 0.4, 1.0, 3.0], [2.0, 0.5, 0.5, 1.5, 4.0], [1.0, 0.3, 0.9, -1.0, 2.5]];
        let times = [0.0, 1.0, 1.5, 2.5, 3.5, 7.5];
        let row = |at: usize| arrays::row(&genes.map(|gene| gene[at]), &device);
        let rates = NaturalRates { alpha: row(0), beta: row(1), gamma: row(2), on_off: None };
        let piece = switched(arrays::row(&times, &device).reshape([times.len(), 1]), &rates, &row(3), &row(4));
        let (u0, s0) = piece.start.expect("a gene that switches has a start");
        let (u, s) = kinetics::solve(&piece.tau, u0, s0, piece.alpha, &rates.beta, &rates.gamma);
        let (u, s) = (arrays::to_array(u), arrays::to_array(s));
        for (cell, &t) in times.iter().enumerate() {
            for (gene, &[alpha, beta, gamma, on, off]) in genes.iter().enumerate() {
                let wanted = switch(t, on, off, Rates { alpha, beta, gamma });
                for (found, wanted) in [(u[[cell, gene]], wanted.u), (s[[cell, gene]], wanted.s)] {
                    assert!((f64::from(found) - wanted).abs() <= 2e-6 * wanted.abs(), "{found} {wanted} at {t}");
                }
            }
        }
    }
}

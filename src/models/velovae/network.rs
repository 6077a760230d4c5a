//! The network and its loss.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};
use rand_chacha::ChaCha8Rng;

use super::columns;
use super::lineage::Lineage;
use super::parts::{Decoder, Encoder, GeneRates, NaturalRates, Posterior, RatePosterior, RateStds};
use super::settings::Velovae;
use super::start::Start;
use crate::nn::arrays;
use crate::nn::distributions::kl_normal;
use crate::nn::draws::Draws;
use crate::nn::fused::counts::{CountNll, count_nll};
use crate::nn::fused::solve::solve;
use crate::nn::fused::{Kinetics, Observed, kinetic_nll};
use crate::nn::layers::copied;
use crate::train::{Batch, Loss, Minimised, Monitored, Objective};

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
    /// The same, and with them the s.d. of times and states, whose means stay those of the start.
    RefineAndSpread,
}

impl Phase {
    fn learns_encoder(self) -> bool {
        matches!(self, Self::Times | Self::Joint)
    }

    /// Whether cells start from initial conditions of their own.
    fn refines(self) -> bool {
        matches!(self, Self::Refine | Self::RefineAndSpread)
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
    /// Posteriors of the rates; full variational Bayes only.
    posterior: Option<RatePosterior>,
    fixed: Fixed,
    #[module(skip)]
    phase: Phase,
    /// The groups of cells along which abundances are carried, if they are.
    #[module(skip)]
    lineage: Option<Lineage>,
}

/// What is not learned by gradients; per gene `[1, n_vars]`. What is known of each cell comes with the batch.
#[derive(Module, Debug)]
struct Fixed {
    t_max: f64,
    state_prior_std: f64,
    /// Shape of the gamma prior of the sizes; `None` where moments are explained.
    size_shape: Option<f64>,
    /// Prior s.d. of the logarithm of a rate over lineages.
    lineage_sd: f64,
    /// Median and s.d. of the logarithm of the priors of α, β and γ; full variational Bayes.
    rate_priors: [[f64; 2]; 3],
    /// Number of training cells, over which what all share is divided.
    n_train: f64,
    scaling: Param<Tensor<2>>,
    /// Residual s.d. of moments, or dispersion of counts.
    noise_u: Param<Tensor<2>>,
    noise_s: Param<Tensor<2>>,
}

/// Fitted abundances of some cells and what they follow from.
pub(super) struct Decoded {
    /// Unspliced abundance divided by the scaling, `[batch, n_vars]`
    pub u: Tensor<2>,
    /// `[batch, n_vars]`
    pub s: Tensor<2>,
    /// Transcription rate, `[batch, n_vars]`
    pub alpha: Tensor<2>,
    /// Splicing and degradation rate, `[1, n_vars]` or `[batch, n_vars]`
    pub beta: Tensor<2>,
    pub gamma: Tensor<2>,
}

/// The piece of the ODE that each cell is on: `τ` since it began, its start, its transcription rate.
struct Piece {
    tau: Tensor<2>,
    start: Option<(Tensor<2>, Tensor<2>)>,
    alpha: Tensor<2>,
}

impl VelovaeModule {
    pub(super) fn new(
        settings: &Velovae,
        start: &Start,
        n_train: usize,
        weights: &ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let full = settings.is_full();
        let n_vars = start.alpha.len();
        let mut rng = weights.clone();
        let mut draws = Draws::Sampled(&mut rng);
        let decoder = |draws: &mut Draws<'_>| full.then(|| Decoder::new(settings, n_vars, draws, device));
        let encoder = Encoder::new(settings, n_vars, &mut draws, device);
        let first = decoder(&mut draws);
        let second = if settings.carries() { None } else { decoder(&mut draws) };
        Self {
            encoder,
            decoder: first,
            refined: second,
            rates: GeneRates::new(settings, start, device),
            posterior: settings.rate_posterior.then(|| RatePosterior::new(start, device)),
            fixed: Fixed::new(settings, start, n_train, device),
            phase: Phase::Times,
            lineage: None,
        }
    }

    /// The same module, learning what `phase` says.
    pub(super) fn with_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        // Frozen also means that batch norm stops following the batches.
        self.encoder = if phase.learns_encoder() { self.encoder.unfreeze() } else { self.encoder.freeze() };
        if phase == Phase::RefineAndSpread {
            self.encoder = self.encoder.with_stds_unfrozen();
        }
        if phase.refines() {
            self.decoder = self.decoder.map(Module::freeze);
        }
        self
    }

    /// The same module with other residual s.d. or dispersions of u and s, `[n_vars]`.
    pub(super) fn with_noise(mut self, [noise_u, noise_s]: &[Vec<f64>; 2]) -> Self {
        let device = self.fixed.scaling.val().device().inner();
        let row = |values: &[f64]| constant(arrays::row(values, &device).autodiff());
        self.fixed.noise_u = row(noise_u);
        self.fixed.noise_s = row(noise_s);
        self
    }

    /// The same module with other groups along which abundances are carried.
    pub(super) fn with_lineage(self, lineage: Option<Lineage>) -> Self {
        Self { lineage, ..self }
    }

    /// The groups along which abundances are carried.
    pub(super) fn lineage(&self) -> Option<Lineage> {
        self.lineage.clone()
    }

    /// The same module, whose second decoder is as the first.
    pub(super) fn with_decoder_copied(mut self) -> Self {
        let both = self.decoder.as_ref().zip(self.refined);
        self.refined = both.map(|(decoder, refined)| copied(decoder, refined));
        self
    }

    pub(super) fn encode(&self, batch: &Batch, draws: &mut Draws<'_>) -> Posterior {
        let x = match self.fixed.size_shape {
            Some(_) => Tensor::cat(vec![batch.u.clone(), batch.s.clone()], 1).log1p(),
            None => Tensor::cat(vec![batch.u.clone() / self.fixed.scaling.val(), batch.s.clone()], 1),
        };
        self.encoder.forward(x, draws)
    }

    /// Fitted abundances at times `t`, `[batch, 1]`, and states `c`.
    pub(super) fn decode(&self, batch: &Batch, t: Tensor<2>, c: Option<Tensor<2>>, draws: &mut Draws<'_>) -> Decoded {
        let rates = self.rates.natural(self.posterior.as_ref(), self.fixed.t_max, draws);
        let (beta, gamma) = rates.of(lineages(batch).as_ref());
        let piece = self.piece(batch, &rates, t, c, draws);
        let (u0, s0) = piece.start.unwrap_or_else(|| nothing(&piece.tau));
        let (u, s) = solve(&piece.tau, u0, s0, piece.alpha.clone(), &beta, &gamma);
        Decoded { u, s, alpha: piece.alpha, beta, gamma }
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
            (None, phase) if phase.refines() => Piece {
                tau: activation::relu(t - batch.column(columns::T0)),
                start: Some((batch.column(columns::U0), batch.column(columns::S0))),
                alpha: Self::transcription(self.refined.as_ref(), rates, c, draws),
            },
            (None, _) if self.lineage.is_some() => self.carried(rates, t, c, draws),
            (None, _) => Piece {
                tau: activation::relu(t),
                start: None,
                alpha: Self::transcription(self.decoder.as_ref(), rates, c, draws),
            },
        }
    }

    /// From the groups of cells that each cell descends from; the decoder sees cells and groups together.
    fn carried(&self, rates: &NaturalRates, t: Tensor<2>, c: Option<Tensor<2>>, draws: &mut Draws<'_>) -> Piece {
        let (lineage, root) = self.lineage.as_ref().zip(rates.root.clone()).expect("a lineage has a root");
        let c = c.expect("the full model has states");
        let lineage = if rates.beta.is_tracked() { lineage.clone().autodiff() } else { lineage.clone() };
        let (descent, t0) = lineage.descend(&t, &c);
        let of_groups = lineage.states();
        let [n_cells, n_groups] = [c.dims()[0], of_groups.dims()[0]];
        let alpha = Self::transcription(self.decoder.as_ref(), rates, Some(Tensor::cat(vec![c, of_groups], 0)), draws);
        let of_groups = alpha.clone().narrow(0, n_cells, n_groups);
        let (u, s) = lineage.carry(root, &of_groups, rates);
        Piece {
            tau: activation::relu(t - t0),
            start: Some((descent.clone().matmul(u), descent.matmul(s))),
            alpha: alpha.narrow(0, 0, n_cells),
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

    /// Kinetic parameters on their natural scale; medians where they have posteriors.
    pub(super) fn natural_rates(&self) -> NaturalRates {
        self.rates.natural(None, self.fixed.t_max, &mut Draws::Mean)
    }

    /// Posterior s.d. of the logarithms of the rates; full variational Bayes only.
    pub(super) fn rate_stds(&self) -> Option<RateStds> {
        self.posterior.as_ref().map(RatePosterior::stds)
    }

    /// Scaling of unspliced abundance and noise (residual s.d., or dispersion) of both, `[1, n_vars]`.
    pub(super) fn scaling_and_noise(&self) -> [Tensor<2>; 3] {
        [self.fixed.scaling.val(), self.fixed.noise_u.val(), self.fixed.noise_s.val()]
    }

    fn observed(&self, batch: &Batch) -> Observed {
        let [scaling, sigma_u, sigma_s] = self.scaling_and_noise().map(|row| row.squeeze_dim(0));
        Observed { u: batch.u.clone(), s: batch.s.clone(), scaling, sigma_u, sigma_s }
    }

    fn time_loss(&self, batch: &Batch, posterior: Posterior) -> Loss {
        let error = (posterior.time_mean - batch.column(columns::START_TIME)).square().mean();
        let terms = vec![("start_time_mse", error.clone())];
        match posterior.state {
            Some((mean, _)) if batch.has(columns::START_STATE) => {
                let of_state = (mean - batch.column(columns::START_STATE)).square().mean();
                // A state of s.d. 1 counts as much as all of time.
                let weight = self.fixed.t_max.powi(2) / 12.0;
                Loss {
                    total: error + of_state.clone() * weight,
                    terms: [terms, vec![("start_state_mse", of_state)]].concat(),
                }
            }
            _ => Loss { total: error, terms },
        }
    }
}

impl Objective for VelovaeModule {
    fn minimised(&self) -> Minimised {
        if self.phase == Phase::Times { Minimised::Error } else { Minimised::Bound }
    }

    fn loss(&self, batch: &Batch, _: usize, draws: &mut Draws<'_>) -> Loss {
        // A frozen encoder drops nothing, and no gradient goes through it, unless to the s.d.
        let posterior = match self.phase {
            Phase::Times | Phase::Joint => self.encode(batch, draws),
            Phase::RefineAndSpread => self.encode(batch, &mut Draws::Mean),
            Phase::Rates | Phase::Refine => self.encode(batch, &mut Draws::Mean).detach(),
        };
        if self.phase == Phase::Times {
            return self.time_loss(batch, posterior);
        }
        let (t, c) = posterior.draw(draws);
        let rates = self.rates.natural(self.posterior.as_ref(), self.fixed.t_max, draws);
        let piece = self.piece(batch, &rates, t, c, draws);
        let Piece { tau, start, alpha } = piece;
        let (nll, mut terms) = if let Some(size_shape) = self.fixed.size_shape {
            let (u0, s0) = start.unwrap_or_else(|| nothing(&tau));
            let (beta, gamma) = rates.of(lineages(batch).as_ref());
            let (u, s) = solve(&tau, u0, s0, alpha, &beta, &gamma);
            let noise = [self.fixed.noise_u.val(), self.fixed.noise_s.val()];
            let CountNll { total, unspliced, spliced, size } =
                count_nll([u, s], [batch.u.clone(), batch.s.clone()], noise, size_shape);
            (total, vec![("nll_unspliced", unspliced), ("nll_spliced", spliced), ("kl_size", size)])
        } else {
            let kinetics = Kinetics { tau, alpha, start, beta: rates.beta, gamma: rates.gamma };
            let nll = kinetic_nll(kinetics, self.observed(batch));
            (nll.total, vec![("nll_unspliced", nll.unspliced), ("nll_spliced", nll.spliced)])
        };
        let kl_time = kl_normal(
            posterior.time_mean,
            posterior.time_std,
            batch.column(columns::PRIOR_MEAN),
            batch.column(columns::PRIOR_STD),
        )
        .mean();
        terms.push(("kl_time", kl_time.clone()));
        let mut total = nll + kl_time;
        if let Some(differences) = self.rates.differences(self.fixed.lineage_sd) {
            let differences = differences / self.fixed.n_train;
            total = total + differences.clone();
            terms.push(("kl_lineages", differences));
        }
        if let Some(posterior) = &self.posterior {
            let kl_rates = posterior.kl(&self.rates, &self.fixed.rate_priors) / self.fixed.n_train;
            total = total + kl_rates.clone();
            terms.push(("kl_rates", kl_rates));
        }
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
        let [scaling, noise_u, noise_s] = self.scaling_and_noise();
        let (u, s) = (decoded.u * scaling, decoded.s);
        let variance = |mean: &Tensor<2>, noise: Tensor<2>| match self.fixed.size_shape {
            Some(_) => mean.clone() * (noise * mean.clone() + 1.0) + LEAST_VARIANCE,
            None => noise.square(),
        };
        let (of_u, of_s) = (variance(&u, noise_u), variance(&s, noise_s));
        let squared = (u - batch.u.clone()).square() / of_u + (s - batch.s.clone()).square() / of_s;
        squared.mean_dim(0)
    }
}

/// Keeps the variance of a count around nothing from being 0.
const LEAST_VARIANCE: f64 = 1e-3;

/// The piece of a gene that is on between `on` and `off`, `[1, n_vars]`, at times `t`, `[batch, 1]`.
fn switched(t: Tensor<2>, rates: &NaturalRates, on: &Tensor<2>, off: &Tensor<2>) -> Piece {
    let shape = [t.dims()[0], on.dims()[1]];
    let duration = off.clone() - on.clone();
    let (u0, s0) = nothing(&duration);
    let (u_off, s_off) = solve(&duration, u0, s0, rates.alpha.clone(), &rates.beta, &rates.gamma);
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

/// The shares of the lineages with rates of their own, if there are any.
fn lineages(batch: &Batch) -> Option<Tensor<2>> {
    batch.has(columns::LINEAGES).then(|| batch.column(columns::LINEAGES))
}

/// `u₀ = s₀ = 0`, on the device of `like`.
fn nothing(like: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let zero = Tensor::zeros([1, 1], &like.device());
    (zero.clone(), zero)
}

impl Fixed {
    fn new(settings: &Velovae, start: &Start, n_train: usize, device: &Device) -> Self {
        let row = |values: &[f64]| constant(arrays::row(values, device));
        Self {
            t_max: settings.t_max,
            state_prior_std: settings.state_prior_std,
            size_shape: settings.of_counts().then(|| settings.size_shape()),
            lineage_sd: settings.lineage_sd,
            rate_priors: [settings.alpha_prior, settings.beta_prior, settings.gamma_prior],
            n_train: n_train as f64,
            scaling: row(&start.scaling),
            noise_u: row(&start.noise_u),
            noise_s: row(&start.noise_s),
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
        let rates = NaturalRates { alpha: row(0), beta: row(1), gamma: row(2), on_off: None, root: None };
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

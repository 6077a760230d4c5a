//! From a trained module to a [`Fit`]: posterior means for every cell, trained on or not.
//!
//! Given z, everything here is linear in the weights π of the states, so that its mean over π is taken exactly, at
//! `E[π_k] = a_k / A`, and only z is drawn: the same means as veloVI's, with less noise. Only what is said of the spread of
//! velocities draws π too.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::RngCore;

use super::network::{NaturalRates, VeloviModule};
use super::settings::{RepressedTime, VelocityStatistic, Velovi};
use crate::data::quantities::{
    About, FIT_ALPHA, FIT_ALPHA_APPROACH, FIT_ALPHA_LAST, FIT_BETA, FIT_GAMMA, FIT_LIKELIHOOD, FIT_LL_HELD_OUT,
    FIT_LOADINGS, FIT_S, FIT_SCALING, FIT_STD_S, FIT_STD_U, FIT_T, FIT_T_OFF, FIT_U, LATENT_TIME, LATENT_TIME_STD,
    Matrix, Quantity, STATE_INDUCTION, STATE_INDUCTION_STEADY, STATE_REPRESSION, STATE_REPRESSION_STEADY, VELOCITY,
    VELOCITY_GENES, VELOCITY_SPLIT, VELOCITY_STD, VELOCITY_U, VELOVI, X_VELOVI, X_VELOVI_STD,
};
use crate::data::{Dataset, Fit, Run, split_labels};
use crate::error::Result;
use crate::models::quality::Quality;
use crate::models::spread::Moments;
use crate::nn::arrays::scalar;
use crate::nn::draws::Draws;
use crate::nn::fused::four_states::{FourStates, STATES, Weights};
use crate::nn::{arrays, dirichlet};
use crate::train::{Batch, Split, TrainingData};
use crate::uncertainty::uncertainty;

/// Cells that are looked at together.
const BLOCK: usize = 256;

/// Everything that the trained module knows.
pub(super) fn predict(
    settings: &Velovi,
    module: &VeloviModule,
    data: &Dataset,
    split: &Split,
    on_device: &TrainingData,
    run: &mut Run,
) -> Result<Fit> {
    let module = module.valid();
    let predictor = Predictor { settings, module: &module, data: on_device };
    let means = predictor.means(run);
    let clock = Clock::new(settings, &means.time);
    let quality = Quality::new([&data.mu, &data.ms], &means.fit_u, &means.fit_s);
    let spread = predictor.spread(&clock, &quality.velocity_genes, data, run)?;
    let held_out = predictor.held_out(split, run);
    let fit_t = clock.stretch(means.time);
    let mut fit = Fit::of("velovi");
    set_rates(&mut fit, &module.natural_rates(), &clock);
    fit.set(FIT_SCALING, Array1::ones(data.n_vars()));
    fit.set(FIT_LIKELIHOOD, quality.likelihood);
    fit.set_some(FIT_LL_HELD_OUT, held_out.as_ref().map(|held_out| held_out.per_gene.clone()));
    fit.set_some(FIT_LOADINGS, module.loadings().map(arrays::to_array));
    fit.set(VELOVI, details(settings, held_out.as_ref()));
    fit.set(LATENT_TIME, mean_over(&fit_t, &quality.velocity_genes));
    fit.set_some(LATENT_TIME_STD, spread.time_std);
    fit.set(VELOCITY_GENES, quality.velocity_genes);
    fit.set(VELOCITY, clock.slow(clipped(means.velocity, data.ms.view())));
    fit.set(VELOCITY_U, clock.slow(means.velocity_u));
    fit.set_some(VELOCITY_STD, spread.velocity_std);
    fit.set(FIT_U, means.fit_u);
    fit.set(FIT_S, means.fit_s);
    fit.set(FIT_T, fit_t);
    for (quantity, share) in STATE_SHARES.into_iter().zip(means.states) {
        fit.set(quantity, share);
    }
    fit.set(X_VELOVI, means.latent);
    fit.set(X_VELOVI_STD, means.latent_std);
    fit.set(VELOCITY_SPLIT, split_labels(&split.parts()));
    if let Some(uncertainty) = spread.uncertainty {
        uncertainty.add_to(&mut fit);
    }
    Ok(fit)
}

/// Probabilities of the four states, in their order.
const STATE_SHARES: [Quantity<Matrix>; STATES] =
    [STATE_INDUCTION, STATE_INDUCTION_STEADY, STATE_REPRESSION, STATE_REPRESSION_STEADY];

/// What the model writes.
pub(in crate::models) const WRITES: &[&About] = &[
    VELOCITY.about(),
    VELOCITY_U.about(),
    VELOCITY_STD.about(),
    FIT_U.about(),
    FIT_S.about(),
    FIT_T.about(),
    STATE_INDUCTION.about(),
    STATE_INDUCTION_STEADY.about(),
    STATE_REPRESSION.about(),
    STATE_REPRESSION_STEADY.about(),
    LATENT_TIME.about(),
    LATENT_TIME_STD.about(),
    X_VELOVI.about(),
    X_VELOVI_STD.about(),
    VELOCITY_SPLIT.about(),
    FIT_ALPHA.about(),
    FIT_ALPHA_LAST.about(),
    FIT_ALPHA_APPROACH.about(),
    FIT_BETA.about(),
    FIT_GAMMA.about(),
    FIT_T_OFF.about(),
    FIT_SCALING.about(),
    FIT_STD_U.about(),
    FIT_STD_S.about(),
    FIT_LIKELIHOOD.about(),
    FIT_LL_HELD_OUT.about(),
    FIT_LOADINGS.about(),
    VELOCITY_GENES.about(),
    VELOVI.about(),
];

/// Posterior means of `û` and `ŝ` of the cells of `seen`.
pub(super) fn reconstruct(
    settings: &Velovi,
    module: &VeloviModule,
    seen: &TrainingData,
    run: &Run,
) -> [Array2<f32>; 2] {
    let module = module.valid();
    let means = Predictor { settings, module: &module, data: seen }.means(run);
    [means.fit_u, means.fit_s]
}

/// A trained module and the cells that it is asked about.
struct Predictor<'a> {
    settings: &'a Velovi,
    module: &'a VeloviModule,
    data: &'a TrainingData,
}

/// Posterior means, `[n_obs, n_vars]` unless said otherwise, on each gene's own clock.
struct Means {
    velocity: Array2<f32>,
    velocity_u: Array2<f32>,
    time: Array2<f32>,
    fit_u: Array2<f32>,
    fit_s: Array2<f32>,
    /// Of each of the four states.
    states: [Array2<f32>; STATES],
    /// `[n_obs, n_latent]`
    latent: Array2<f32>,
    latent_std: Array2<f32>,
}

/// What is said of some cells at one z.
struct Reading {
    velocity: Tensor<2>,
    velocity_u: Tensor<2>,
    time: Tensor<2>,
    fit_u: Tensor<2>,
    fit_s: Tensor<2>,
}

impl Predictor<'_> {
    fn means(&self, run: &Run) -> Means {
        let n_obs = self.data.n_obs();
        let mut blocks = Vec::new();
        for (index, rows) in blocks_of(n_obs).enumerate() {
            let mut rng = run.rng("posterior", index as u64);
            blocks.push(self.means_of(&rows, &mut Draws::Sampled(&mut rng)));
        }
        let join = |pick: &dyn Fn(&Means) -> &Array2<f32>| {
            let views: Vec<_> = blocks.iter().map(|block| pick(block).view()).collect();
            ndarray::concatenate(Axis(0), &views).expect("all blocks have the same columns")
        };
        Means {
            velocity: join(&|block| &block.velocity),
            velocity_u: join(&|block| &block.velocity_u),
            time: join(&|block| &block.time),
            fit_u: join(&|block| &block.fit_u),
            fit_s: join(&|block| &block.fit_s),
            states: std::array::from_fn(|k| join(&|block| &block.states[k])),
            latent: join(&|block| &block.latent),
            latent_std: join(&|block| &block.latent_std),
        }
    }

    /// Means over [`Velovi::n_samples`] draws of z.
    fn means_of(&self, rows: &[usize], draws: &mut Draws<'_>) -> Means {
        let batch = self.data.batch(rows);
        // Dropout stays off: z is uncertain, not the network.
        let posterior = self.module.encode(&batch, &mut Draws::Mean);
        let mut total: Option<(Reading, Tensor<3>)> = None;
        for _ in 0..self.settings.n_samples {
            let states = self.module.decode(posterior.draw(draws), &mut Draws::Mean);
            let weights = dirichlet::mean(&states.concentration);
            let reading = self.read(&states, &weights);
            total = Some(match total {
                None => (reading, weights),
                Some((sum, sum_weights)) => (sum.plus(reading), sum_weights + weights),
            });
        }
        let (reading, weights) = total.expect("settings ask for at least one draw");
        let share = 1.0 / self.settings.n_samples as f64;
        let host = |sum: Tensor<2>| arrays::to_array(sum * share);
        Means {
            velocity: host(reading.velocity),
            velocity_u: host(reading.velocity_u),
            time: host(reading.time),
            fit_u: host(reading.fit_u),
            fit_s: host(reading.fit_s),
            states: state_by_state(&weights).map(host),
            latent: arrays::to_array(posterior.mean),
            latent_std: arrays::to_array(posterior.std),
        }
    }

    /// Velocity, time and fit with `weights` of the states, `[batch, 4, n_vars]`.
    fn read(&self, states: &FourStates, weights: &Tensor<3>) -> Reading {
        let FourStates { rho, tau, beta, gamma, t_switch, steady, t_max, .. } = states;
        let (u_1, s_1) = states.induction();
        let (u_3, s_3) = states.repression();
        let t_1 = rho.clone() * t_switch.clone();
        let t_3 = t_switch.clone() + (-t_switch.clone() + *t_max) * tau.clone();
        let alpha = match self.module.natural_rates().varying {
            Some(varying) => varying.at(&t_1),
            None => states.alpha.clone(),
        };
        let flow = |u: &Tensor<2>, s: &Tensor<2>| beta.clone() * u.clone() - gamma.clone() * s.clone();
        let (v_1, v_3) = (flow(&u_1, &s_1), flow(&u_3, &s_3));
        let (du_1, du_3) = (alpha - beta.clone() * u_1.clone(), -(beta.clone() * u_3.clone()));

        let [p_1, p_2, p_3, p_4] = state_by_state(weights);
        let [w_1, w_3] = match self.settings.velocity_statistic {
            VelocityStatistic::Mean => [p_1.clone(), p_3.clone()],
            VelocityStatistic::Max => {
                let largest = p_1.clone().max_pair(p_2.clone()).max_pair(p_3.clone()).max_pair(p_4.clone());
                [&p_1, &p_3].map(|p| p.clone().greater_equal(largest.clone()).float())
            }
        };
        let before = p_1.clone() * t_1 + p_2.clone() * t_switch.clone() + p_3.clone() * t_3;
        let time = match self.settings.repressed_time {
            RepressedTime::Zero => before,
            RepressedTime::TMax => before + p_4 * *t_max,
            RepressedTime::Exclude => before / (p_1.clone() + p_2.clone() + p_3.clone()).clamp_min(1e-6),
        };
        Reading {
            velocity: w_1.clone() * v_1 + w_3.clone() * v_3,
            velocity_u: w_1 * du_1 + w_3 * du_3,
            time,
            fit_u: p_1.clone() * u_1 + p_2.clone() * steady.0.clone() + p_3.clone() * u_3,
            fit_s: p_1 * s_1 + p_2 * steady.1.clone() + p_3 * s_3,
        }
    }

    /// How much velocities, and times over the genes `used`, vary over draws of z and π.
    fn spread(&self, clock: &Clock, used: &[bool], data: &Dataset, run: &mut Run) -> Result<Spread> {
        let settings = &self.settings.uncertainty;
        if settings.n_samples == 0 {
            return Ok(Spread::default());
        }
        let mut velocity = Moments::new(data.ms.dim());
        let mut time = Moments::new((data.n_obs(), 1));
        let mut sample = |cells: Range<usize>, number: usize| {
            let rows: Vec<usize> = cells.clone().collect();
            // A stream for each cell block and draw: the same whatever else is drawn.
            let mut rng = run.rng(&format!("spread/{number}"), cells.start as u64);
            let batch = self.data.batch(&rows);
            let z = self.module.encode(&batch, &mut Draws::Mean).draw(&mut Draws::Sampled(&mut rng));
            let states = self.module.decode(z, &mut Draws::Mean);
            let weights = dirichlet::sample(&states.concentration, rng.next_u64());
            let reading = self.read(&states, &weights);
            let ms = data.ms.slice(s![cells.clone(), ..]);
            let drawn = clock.slow(clipped(arrays::to_array(reading.velocity), ms));
            velocity.add(cells.start, number, &drawn);
            let times = clock.stretch(arrays::to_array(reading.time));
            let mean = mean_over(&times, used).mapv(|mean| mean as f32);
            time.add(cells.start, number, &mean.insert_axis(Axis(1)));
            Ok(drawn)
        };
        let uncertainty = uncertainty(data.ms.view(), &data.neighbors, settings, &mut sample)?;
        let time_std = time.std(settings.n_samples).column(0).mapv(f64::from);
        Ok(Spread { uncertainty, velocity_std: Some(velocity.std(settings.n_samples)), time_std: Some(time_std) })
    }

    /// The bound on cells that were not trained on; `None` if there are none.
    fn held_out(&self, split: &Split, run: &Run) -> Option<HeldOut> {
        let rows = if split.test.is_empty() { &split.validation } else { &split.test };
        if rows.is_empty() {
            return None;
        }
        let mut rng = run.rng("held out", 0);
        let (mut elbo, mut bounded) = (0.0, 0.0);
        let mut per_gene = Array1::zeros(self.data.n_vars());
        for rows in rows.chunks(BLOCK) {
            let batch = self.data.batch(rows);
            let posterior = self.module.encode(&batch, &mut Draws::Mean);
            let kl_z = scalar(&posterior.kl());
            for _ in 0..self.settings.n_samples {
                let states = self.module.decode(posterior.draw(&mut Draws::Sampled(&mut rng)), &mut Draws::Mean);
                let share = rows.len() as f64 / self.settings.n_samples as f64;
                let seed = rng.next_u64();
                elbo -= share * (self.loss(&batch, &states, Weights::Drawn(seed)) + kl_z);
                bounded -= share * (self.loss(&batch, &states, Weights::Bounded) + kl_z);
                let nll = self.module.gene_nll(&batch, &states, seed).mean_dim(0);
                per_gene.scaled_add(-share, &arrays::to_array1(nll));
            }
        }
        let n_cells = rows.len() as f64;
        Some(HeldOut { elbo: elbo / n_cells, bounded: bounded / n_cells, per_gene: per_gene / n_cells })
    }

    fn loss(&self, batch: &Batch, states: &FourStates, weights: Weights) -> f64 {
        let loss = self.module.states_loss(batch, states, weights);
        scalar(&loss.total)
    }
}

impl Reading {
    fn plus(self, other: Self) -> Self {
        Self {
            velocity: self.velocity + other.velocity,
            velocity_u: self.velocity_u + other.velocity_u,
            time: self.time + other.time,
            fit_u: self.fit_u + other.fit_u,
            fit_s: self.fit_s + other.fit_s,
        }
    }
}

/// Bound on held-out cells, mean over cells and draws of z, in nats per cell.
struct HeldOut {
    /// With drawn weights of the states, as scvi-tools has it.
    elbo: f64,
    /// With the bound that draws none.
    bounded: f64,
    /// Log-likelihood with drawn weights, `[n_vars]`.
    per_gene: Array1<f64>,
}

/// See [`Predictor::spread`].
#[derive(Default)]
struct Spread {
    uncertainty: Option<crate::data::Uncertainty>,
    velocity_std: Option<Array2<f32>>,
    time_std: Option<Array1<f64>>,
}

/// Factor from each gene's own clock to the one that is written.
struct Clock {
    factor: Array1<f32>,
}

impl Clock {
    /// `t_max` over the largest time of the gene, as veloVI's tutorial hands times to scVelo; 1 if clocks are left alone or
    /// the gene has no time.
    fn new(settings: &Velovi, time: &Array2<f32>) -> Self {
        let factor = time.columns().into_iter().map(|times| {
            let latest = times.iter().copied().fold(0.0, f32::max);
            if settings.rescale && latest > 0.0 { settings.t_max as f32 / latest } else { 1.0 }
        });
        Self { factor: factor.collect() }
    }

    fn stretch(&self, times: Array2<f32>) -> Array2<f32> {
        times * &self.factor
    }

    fn slow(&self, rates: Array2<f32>) -> Array2<f32> {
        rates / &self.factor
    }
}

fn set_rates(fit: &mut Fit, rates: &NaturalRates, clock: &Clock) {
    let host = |row: &Tensor<2>| arrays::to_array1(row.clone());
    let factor = clock.factor.mapv(f64::from);
    fit.set(FIT_ALPHA, host(&rates.alpha) / &factor);
    fit.set_some(FIT_ALPHA_LAST, rates.varying.as_ref().map(|varying| host(&varying.last) / &factor));
    fit.set_some(FIT_ALPHA_APPROACH, rates.varying.as_ref().map(|varying| host(&varying.approach) / &factor));
    fit.set(FIT_BETA, host(&rates.beta) / &factor);
    fit.set(FIT_GAMMA, host(&rates.gamma) / &factor);
    fit.set(FIT_T_OFF, host(&rates.t_switch) * &factor);
    fit.set(FIT_STD_U, host(&rates.std_u));
    fit.set(FIT_STD_S, host(&rates.std_s));
}

/// What stands in `uns["velovi"]`.
fn details(settings: &Velovi, held_out: Option<&HeldOut>) -> serde_json::Value {
    let mut details = serde_json::json!({
        "states": ["induction", "induction_steady", "repression", "repression_steady"],
        "rescaled": settings.rescale,
    });
    if let Some(HeldOut { elbo, bounded, .. }) = held_out {
        details["elbo_held_out"] = (*elbo).into();
        details["elbo_held_out_analytic"] = (*bounded).into();
    }
    details
}

/// No gene loses more than it has in a unit of its own time, as veloVI has it.
fn clipped(mut velocity: Array2<f32>, ms: ArrayView2<'_, f32>) -> Array2<f32> {
    velocity.zip_mut_with(&ms, |velocity, &s| *velocity = velocity.max(-s));
    velocity
}

/// Mean over the genes that `used` marks, `[n_obs]`.
fn mean_over(values: &Array2<f32>, used: &[bool]) -> Array1<f64> {
    let n_used = used.iter().filter(|&&used| used).count().max(1) as f64;
    let sum = |row: ndarray::ArrayView1<'_, f32>| -> f64 {
        row.iter().zip(used).filter(|(_, used)| **used).map(|(&value, _)| f64::from(value)).sum()
    };
    values.rows().into_iter().map(|row| sum(row) / n_used).collect()
}

/// `[batch, 4, n_vars]` as four `[batch, n_vars]`.
fn state_by_state(weights: &Tensor<3>) -> [Tensor<2>; STATES] {
    std::array::from_fn(|k| weights.clone().narrow(1, k, 1).squeeze_dim(1))
}

fn blocks_of(n_obs: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..n_obs).step_by(BLOCK).map(move |first| (first..(first + BLOCK).min(n_obs)).collect())
}

//! From a trained module to a [`Fit`]: posterior means and their spread for every cell, trained on or not.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use ndarray::{Array1, Array2, Axis};

use super::counted::sizes;
use super::network::VelovaeModule;
use super::program::scaling_of;
use super::reconstruction::{Chunks, Further, Reconstruction};
use super::settings::{Variant, Velovae};
use crate::data::quantities::{
    About, CELL_CV, CELL_SIZE, FIT_ALPHA, FIT_ALPHA_STD, FIT_BETA, FIT_BETA_LINEAGES, FIT_BETA_STD, FIT_CV,
    FIT_DISPERSION_S, FIT_DISPERSION_U, FIT_GAMMA, FIT_GAMMA_BETA_STD, FIT_GAMMA_LINEAGES, FIT_GAMMA_STD,
    FIT_LIKELIHOOD, FIT_S, FIT_S_FUTURE, FIT_SCALING, FIT_STD_S, FIT_STD_U, FIT_T_OFF, FIT_T_ON, FIT_U, LATENT_TIME,
    LATENT_TIME_STD, MS, MU, SOFT_GRID, VELOCITY, VELOCITY_GENES, VELOCITY_SPLIT, VELOCITY_STD, VELOCITY_U, X_VELOVAE,
    X_VELOVAE_STD,
};
use crate::data::{Dataset, FUTURE_TIME, Fit, MomentUnits, Run, Uncertainty, split_labels};
use crate::error::Result;
use crate::models::quality::Quality;
use crate::models::sized_moments::sized_moments;
use crate::models::spread::Moments;
use crate::nn::arrays;
use crate::nn::draws::Draws;
use crate::train::{Objective, Split, TrainingData};
use crate::uncertainty::uncertainty;

/// Posterior means of `û` and `ŝ` of the cells of `seen`, in units of `Mu` and `Ms`.
pub(super) fn reconstruct(module: &VelovaeModule, seen: &TrainingData) -> [Array2<f32>; 2] {
    let fitted = Reconstruction::of(module, seen, &Chunks::all(seen.n_obs()), &mut Draws::Mean);
    [fitted.u * &scaling_of(module), fitted.s]
}

/// Everything that the trained module knows.
pub(super) fn predict(
    settings: &Velovae,
    module: &VelovaeModule,
    data: &Dataset,
    split: &Split,
    on_device: &TrainingData,
    run: &Run,
) -> Result<Fit> {
    let fitted = Reconstruction::of(module, on_device, &Chunks::all(data.n_obs()), &mut Draws::Mean);
    let host = |row: Tensor<2>| arrays::to_array1(row.inner());
    let [scaling, noise_u, noise_s] = module.scaling_and_noise().map(host);

    let scaling32 = scaling.mapv(|value| value as f32);
    let Further { velocity_u, future } = Further::of(module, on_device, settings.future_time);
    let velocity_u = velocity_u * &scaling32;
    let fit_u = &fitted.u * &scaling32;
    let (cell_cv, gene_cv) = variation(settings, module, data, on_device, run);
    let sized = if settings.of_counts() {
        let sizes = sizes(settings, data, [&fit_u, &fitted.s], [&noise_u.to_vec(), &noise_s.to_vec()]);
        let [mu, ms] = sized_moments(data, [&sizes, &sizes])?;
        Some((sizes, mu, ms))
    } else {
        None
    };
    let (mu, ms) = sized.as_ref().map_or((&data.mu, &data.ms), |(_, mu, ms)| (mu, ms));
    let quality = Quality::new([mu, ms], &fit_u, &fitted.s);
    let (uncertainty, velocity_std) = spread(settings, module, data, on_device, run)?;
    let mut fit = Fit::of("velovae");
    fit.set(VELOCITY, fitted.velocity);
    fit.set(VELOCITY_U, velocity_u);
    fit.set_some(VELOCITY_STD, velocity_std);
    fit.set(FIT_U, fit_u);
    fit.set(FIT_S, fitted.s);
    fit.set(FIT_S_FUTURE, future);
    fit.facts.insert(FUTURE_TIME.to_owned(), settings.future_time.into());
    fit.set(LATENT_TIME, fitted.time);
    fit.set(LATENT_TIME_STD, fitted.time_std);
    fit.set_some(X_VELOVAE, fitted.state);
    fit.set_some(X_VELOVAE_STD, fitted.state_std);
    fit.set_some(CELL_CV, cell_cv);
    fit.set(VELOCITY_SPLIT, split_labels(&split.parts()));
    if let Some(uncertainty) = uncertainty {
        uncertainty.add_to(&mut fit);
    }
    set_rates(&mut fit, settings, module);
    for (name, cells) in [("elbo_train", &split.train), ("elbo_test", &split.test)] {
        if let Some(elbo) = bound(module, on_device, cells) {
            fit.facts.insert(name.to_owned(), elbo.into());
        }
    }
    if let Some((sizes, mu, ms)) = sized {
        fit.moments = MomentUnits::CellSize;
        fit.set(MU, mu);
        fit.set(MS, ms);
        fit.set(CELL_SIZE, sizes.into());
    }
    fit.set(FIT_LIKELIHOOD, quality.likelihood);
    fit.set_some(FIT_CV, gene_cv);
    fit.set(VELOCITY_GENES, quality.velocity_genes);
    Ok(fit)
}

/// The bound (ELBO) of these cells at the posterior means, mean over them, in nats; `None` if there are none.
fn bound(module: &VelovaeModule, data: &TrainingData, cells: &[usize]) -> Option<f64> {
    let module = module.valid();
    let loss = |rows: &[usize]| {
        let loss = module.held_out_loss(&data.batch(rows));
        f64::from(loss.total.into_scalar::<f32>()) * rows.len() as f64
    };
    (!cells.is_empty()).then(|| -cells.chunks(Chunks::SIZE).map(loss).sum::<f64>() / cells.len() as f64)
}

/// Rates and noise of each gene, as `module` has them. Of rates of several lineages, the geometric mean stands for the gene.
pub(super) fn set_rates(fit: &mut Fit, settings: &Velovae, module: &VelovaeModule) {
    let host = |row: Tensor<2>| arrays::to_array1(row.inner());
    let typical = |rate: &Tensor<2>| host(rate.clone().log().mean_dim(0).exp());
    let rates = module.natural_rates();
    let [scaling, noise_u, noise_s] = module.scaling_and_noise().map(host);
    fit.set(FIT_ALPHA, host(rates.alpha));
    // scVelo stores β so that it acts on unscaled counts.
    fit.set(FIT_BETA, &typical(&rates.beta) / &scaling);
    fit.set(FIT_GAMMA, typical(&rates.gamma));
    if let Some((on, off)) = rates.on_off {
        fit.set(FIT_T_ON, host(on));
        fit.set(FIT_T_OFF, host(off));
    }
    fit.set(FIT_SCALING, scaling);
    let [of_u, of_s] = match settings.of_counts() {
        true => [FIT_DISPERSION_U, FIT_DISPERSION_S],
        false => [FIT_STD_U, FIT_STD_S],
    };
    fit.set(of_u, noise_u);
    fit.set(of_s, noise_s);
    if let Some(stds) = module.rate_stds() {
        fit.set(FIT_ALPHA_STD, host(stds.alpha));
        fit.set(FIT_BETA_STD, host(stds.beta.mean_dim(0)));
        fit.set(FIT_GAMMA_STD, host(stds.gamma.mean_dim(0)));
        fit.set(FIT_GAMMA_BETA_STD, host(stds.ratio.mean_dim(0)));
    }
    if settings.variant == Variant::Branching {
        let by_gene = |rate: Tensor<2>| arrays::to_array(rate.inner().transpose());
        fit.set(FIT_BETA_LINEAGES, by_gene(rates.beta));
        fit.set(FIT_GAMMA_LINEAGES, by_gene(rates.gamma));
    }
}

/// What the model writes.
pub(in crate::models) const WRITES: &[&About] = &[
    VELOCITY.about(),
    VELOCITY_U.about(),
    VELOCITY_STD.about(),
    FIT_U.about(),
    FIT_S.about(),
    FIT_S_FUTURE.about(),
    LATENT_TIME.about(),
    LATENT_TIME_STD.about(),
    X_VELOVAE.about(),
    X_VELOVAE_STD.about(),
    CELL_CV.about(),
    VELOCITY_SPLIT.about(),
    FIT_ALPHA.about(),
    FIT_BETA.about(),
    FIT_GAMMA.about(),
    FIT_T_ON.about(),
    FIT_T_OFF.about(),
    FIT_SCALING.about(),
    FIT_ALPHA_STD.about(),
    FIT_BETA_STD.about(),
    FIT_GAMMA_STD.about(),
    FIT_GAMMA_BETA_STD.about(),
    FIT_BETA_LINEAGES.about(),
    FIT_GAMMA_LINEAGES.about(),
    FIT_STD_U.about(),
    FIT_STD_S.about(),
    CELL_SIZE.about(),
    FIT_DISPERSION_U.about(),
    FIT_DISPERSION_S.about(),
    FIT_LIKELIHOOD.about(),
    FIT_CV.about(),
    VELOCITY_GENES.about(),
    SOFT_GRID.about(),
];

/// Directional uncertainty and s.d. of the velocity over posterior draws of time and state.
fn spread(
    settings: &Velovae,
    module: &VelovaeModule,
    data: &Dataset,
    on_device: &TrainingData,
    run: &Run,
) -> Result<(Option<Uncertainty>, Option<Array2<f32>>)> {
    let settings = &settings.uncertainty;
    let module = module.valid();
    let mut moments = Moments::new(data.ms.dim());
    let mut sample = |cells: Range<usize>, number: usize| {
        let rows: Vec<usize> = cells.clone().collect();
        let mut rng = run.rng(&format!("spread/{number}"), cells.start as u64);
        let drawn = Reconstruction::of_rows(&module, on_device, &rows, &mut Draws::Sampled(&mut rng));
        moments.add(cells.start, number, &drawn.velocity);
        Ok(drawn.velocity)
    };
    let uncertainty = uncertainty(data.ms.view(), &data.neighbors, settings, &mut sample)?;
    let std = uncertainty.is_some().then(|| moments.std(settings.n_samples));
    Ok((uncertainty, std))
}

/// Coefficient of variation of the fitted abundances over posterior draws of time and state (paper 4.3.3): s.d. over
/// mean of `û` and of `ŝ`, averaged over both species and over genes (first) or cells (second).
fn variation(
    settings: &Velovae,
    module: &VelovaeModule,
    data: &Dataset,
    on_device: &TrainingData,
    run: &Run,
) -> (Option<Array1<f64>>, Option<Array1<f64>>) {
    if settings.n_samples < 2 {
        return (None, None);
    }
    let mut rng = run.rng("posterior", 0);
    let mut moments = [Moments::new(data.ms.dim()), Moments::new(data.ms.dim())];
    for number in 0..settings.n_samples {
        let sample = Reconstruction::of(module, on_device, &Chunks::all(data.n_obs()), &mut Draws::Sampled(&mut rng));
        moments[0].add(0, number, &sample.u);
        moments[1].add(0, number, &sample.s);
    }
    let [u, s] = moments.map(|moments| moments.variation(settings.n_samples));
    let both = (u + s) / 2.0;
    let average = |axis| both.mean_axis(Axis(axis)).map(|means| means.mapv(f64::from));
    (average(1), average(0))
}

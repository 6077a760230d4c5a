//! From a trained module to a [`Fit`]: posterior means and their spread for every cell, trained on or not.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use ndarray::{Array1, Array2, Axis};

use super::network::VelovaeModule;
use super::reconstruction::{Chunks, Reconstruction};
use super::settings::Velovae;
use crate::data::quantities::{
    About, CELL_CV, CELL_SIZE, FIT_ALPHA, FIT_BETA, FIT_CV, FIT_DISPERSION_S, FIT_DISPERSION_U, FIT_GAMMA,
    FIT_LIKELIHOOD, FIT_S, FIT_S_FUTURE, FIT_SCALING, FIT_STD_S, FIT_STD_U, FIT_T_OFF, FIT_T_ON, FIT_U, LATENT_TIME,
    LATENT_TIME_STD, MS, MU, VELOCITY, VELOCITY_GENES, VELOCITY_SPLIT, VELOCITY_STD, VELOCITY_U, X_VELOVAE,
    X_VELOVAE_STD,
};
use crate::data::{Dataset, FUTURE_TIME, Fit, MomentUnits, Run, Uncertainty, split_labels};
use crate::error::Result;
use crate::models::quality::Quality;
use crate::models::sized_moments::sized_moments;
use crate::models::spread::Moments;
use crate::nn::draws::Draws;
use crate::nn::fused::counts::Counts;
use crate::nn::{arrays, kinetics};
use crate::train::{Split, TrainingData};
use crate::uncertainty::uncertainty;

/// Posterior means of `û` and `ŝ` of the cells of `seen`, in units of `Mu` and `Ms`.
pub(super) fn reconstruct(module: &VelovaeModule, seen: &TrainingData) -> [Array2<f32>; 2] {
    let fitted = Reconstruction::of(module, seen, &Chunks::all(seen.n_obs()), &mut Draws::Mean);
    let [scaling, ..] = module.scaling_and_noise().map(|row| arrays::to_array1(row.inner()));
    [fitted.u * &scaling.mapv(|value| value as f32), fitted.s]
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
    let rates = module.natural_rates();
    let host = |row: Tensor<2>| arrays::to_array1(row.inner());
    let (beta, gamma) = (host(rates.beta), host(rates.gamma));
    let [scaling, noise_u, noise_s] = module.scaling_and_noise().map(host);

    let narrow = |row: &Array1<f64>| row.mapv(|value| value as f32);
    let (beta32, gamma32, scaling32) = (narrow(&beta), narrow(&gamma), narrow(&scaling));
    let velocity = &fitted.u * &beta32 - &fitted.s * &gamma32;
    let velocity_u = (&fitted.alpha - &fitted.u * &beta32) * &scaling32;
    let future = extrapolate(&fitted, settings.future_time, [&beta32, &gamma32], on_device);
    let fit_u = &fitted.u * &scaling32;
    let (cell_cv, gene_cv) = variation(settings, module, data, on_device, run);
    let sized = if settings.of_counts() {
        let sizes = sizes(settings, data, [&fit_u, &fitted.s], [&noise_u, &noise_s]);
        let [mu, ms] = sized_moments(data, [&sizes, &sizes])?;
        Some((sizes, mu, ms))
    } else {
        None
    };
    let (mu, ms) = sized.as_ref().map_or((&data.mu, &data.ms), |(_, mu, ms)| (mu, ms));
    let quality = Quality::new([mu, ms], &fit_u, &fitted.s);
    let (uncertainty, velocity_std) = spread(settings, module, data, on_device, [&beta32, &gamma32], run)?;
    let mut fit = Fit::of("velovae");
    fit.set(VELOCITY, velocity);
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

/// Rates and noise of each gene, as `module` has them.
pub(super) fn set_rates(fit: &mut Fit, settings: &Velovae, module: &VelovaeModule) {
    let host = |row: Tensor<2>| arrays::to_array1(row.inner());
    let rates = module.natural_rates();
    let [scaling, noise_u, noise_s] = module.scaling_and_noise().map(host);
    fit.set(FIT_ALPHA, host(rates.alpha));
    // scVelo stores β so that it acts on unscaled counts.
    fit.set(FIT_BETA, &host(rates.beta) / &scaling);
    fit.set(FIT_GAMMA, host(rates.gamma));
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
}

/// The size of each cell, given its fitted abundances.
fn sizes(settings: &Velovae, data: &Dataset, fitted: [&Array2<f32>; 2], noise: [&Array1<f64>; 2]) -> Vec<f64> {
    let noise = noise.map(|row| row.iter().map(|&value| value as f32).collect::<Vec<f32>>());
    let of_chunk = |rows: Vec<usize>| {
        let counts = [&data.unspliced, &data.spliced].map(|counts| counts.select_rows(&rows).to_dense());
        let fitted = fitted.map(|fitted| fitted.select(Axis(0), &rows));
        sizes_given(settings, &counts, [&fitted[0], &fitted[1]], &noise)
    };
    Chunks::all(data.n_obs()).rows().flat_map(of_chunk).collect()
}

/// The sizes of some cells: `counts` and `fitted` abundances, `[n, n_vars]`, and the dispersions `noise`, of u and s.
pub(super) fn sizes_given(
    settings: &Velovae,
    counts: &[Array2<f32>; 2],
    fitted: [&Array2<f32>; 2],
    noise: &[Vec<f32>; 2],
) -> Vec<f64> {
    let values = |matrix: &Array2<f32>| matrix.iter().copied().collect::<Vec<f32>>();
    let (counts, mu) = ([values(&counts[0]), values(&counts[1])], fitted.map(values));
    let problem = Counts {
        counts: [&counts[0], &counts[1]],
        dispersion: [&noise[0], &noise[1]],
        size_shape: settings.size_shape(),
    };
    problem.around([&mu[0], &mu[1]], false).size
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
    FIT_STD_U.about(),
    FIT_STD_S.about(),
    MU.about(),
    MS.about(),
    CELL_SIZE.about(),
    FIT_DISPERSION_U.about(),
    FIT_DISPERSION_S.about(),
    FIT_LIKELIHOOD.about(),
    FIT_CV.about(),
    VELOCITY_GENES.about(),
];

/// Directional uncertainty and s.d. of the velocity over posterior draws of time and state.
fn spread(
    settings: &Velovae,
    module: &VelovaeModule,
    data: &Dataset,
    on_device: &TrainingData,
    [beta, gamma]: [&Array1<f32>; 2],
    run: &Run,
) -> Result<(Option<Uncertainty>, Option<Array2<f32>>)> {
    let settings = &settings.uncertainty;
    let module = module.valid();
    let mut moments = Moments::new(data.ms.dim());
    let mut sample = |cells: Range<usize>, number: usize| {
        let rows: Vec<usize> = cells.clone().collect();
        let mut rng = run.rng(&format!("spread/{number}"), cells.start as u64);
        let drawn = Reconstruction::of_rows(&module, on_device, &rows, &mut Draws::Sampled(&mut rng));
        let velocity = &drawn.u * beta - &drawn.s * gamma;
        moments.add(cells.start, number, &velocity);
        Ok(velocity)
    };
    let uncertainty = uncertainty(data.ms.view(), &data.neighbors, settings, &mut sample)?;
    let std = uncertainty.is_some().then(|| moments.std(settings.n_samples));
    Ok((uncertainty, std))
}

/// Spliced abundance after a further time `ahead` under each cell's present transcription rates.
fn extrapolate(
    fitted: &Reconstruction,
    ahead: f64,
    [beta, gamma]: [&Array1<f32>; 2],
    data: &TrainingData,
) -> Array2<f32> {
    let device = &data.device;
    let parts: Vec<Array2<f32>> = Chunks::all(fitted.s.nrows())
        .rows()
        .map(|rows| {
            let of_cells = |values: &Array2<f32>| arrays::matrix(values.select(Axis(0), &rows).view(), device);
            let row = |values: &Array1<f32>| arrays::matrix(values.view().insert_axis(Axis(0)), device);
            let tau = Tensor::full([rows.len(), 1], ahead, device);
            let (u0, s0, alpha) = (of_cells(&fitted.u), of_cells(&fitted.s), of_cells(&fitted.alpha));
            let (_, s) = kinetics::solve(&tau, u0, s0, alpha, &row(beta), &row(gamma));
            arrays::to_array(s)
        })
        .collect();
    let views: Vec<_> = parts.iter().map(Array2::view).collect();
    ndarray::concatenate(Axis(0), &views).expect("all parts have the same genes")
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

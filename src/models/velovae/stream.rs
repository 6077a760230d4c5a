//! VeloVAE on the counts of more cells than memory has room for.
//!
//! Genes, start times, start rates and the neighbours by which genes are judged come from [`SAMPLE`] cells drawn at random. The
//! encoder learns the start times from these cells; all further stages train on all cells, which are read from the file while
//! others are trained on (`train/stream.rs`), or kept in memory as sparse rows where the budget has room for them.
//!
//! Layers (`velocity`, `fit_u`, `fit_s`) are made as they are written. The result has no moments and no uncertainty of directions, for
//! which all cells would need neighbours.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use ndarray::{Array1, Array2, Axis};

use super::counted::sizes_given;
use super::network::VelovaeModule;
use super::outputs;
use super::program::{self, Program, Seen};
use super::reconstruction::{Chunks, Reconstruction};
use super::settings::Velovae;
use super::start::{self, Start};
use super::verdict::{self, Written};
use super::{columns, start_file};
use crate::data::quantities::{
    CELL_SIZE, FIT_LIKELIHOOD, FIT_S, FIT_U, LATENT_TIME, LATENT_TIME_STD, SOFT_GRID, VELOCITY, VELOCITY_GENES,
    VELOCITY_SPLIT, X_VELOVAE, X_VELOVAE_STD,
};
use crate::data::{CellSource, Dataset, Fit, Layers, MomentUnits, Run, split_labels};
use crate::error::Result;
use crate::models::quality::Quality;
use crate::models::sized_moments::sized_moments;
use crate::models::{Streamed, StreamingModel, soft_grid};
use crate::nn::draws::Draws;
use crate::nn::{self, arrays};
use crate::preprocess::{self, PreprocessConfig};
use crate::train::{BatchSource, CountData, CountStream, Room, Split, WithColumns};

/// Cells from which genes are chosen and training starts: those that the soft grid decides on.
const SAMPLE: usize = 3000;

/// Cells that are read at once while the sample is drawn.
const BLOCK: usize = 4096;

impl StreamingModel for Velovae {
    fn fit(&self, source: &Arc<dyn CellSource>, config: &PreprocessConfig, run: &mut Run) -> Result<Streamed> {
        self.fit_within(source, config, &|n_vars| self.train.room_for_cells(source.as_ref(), n_vars), run)
    }
}

impl Velovae {
    /// The same with the memory for the counts of some genes that `room` says.
    fn fit_within(
        &self,
        source: &Arc<dyn CellSource>,
        config: &PreprocessConfig,
        room: &dyn Fn(usize) -> Result<Room>,
        run: &mut Run,
    ) -> Result<Streamed> {
        config.validate_streaming()?;
        let device = nn::device::open_for(run, &self.train.device)?;
        let split = Split::new(source.obs(), &self.train, run.rng("split", 0))?;
        let drawn = soft_grid::sample(source.n_obs(), SAMPLE, run);
        let counts = soft_grid::read_sample(source.as_ref(), &drawn, BLOCK, run)?;
        let (data, report) = preprocess::run(&counts, config)?;
        drop(counts);
        report.steps.iter().for_each(|step| run.reporter().say(&step.to_string()));
        report.warnings.iter().for_each(|warning| run.reporter().warn(warning));
        let sample_split = split.within(&drawn)?;
        let cells = self.cells(source, &data.genes, &room(data.n_vars())?, &device, run)?;
        let start = start_file::of_run(run, |run| Start::new(self, &data, &sample_split, run))?;

        let sample = CountData::new([data.unspliced.clone(), data.spliced.clone()], data.var.index.clone(), &device)?;
        let sample = columns::with_start(sample, &start);
        let fresh = program::fresh(self, &start, &split, &device, run);
        let program = Program {
            settings: self,
            held: None,
            split: &split,
            cells: Seen::Read(cells.as_ref()),
            sample: Some((&sample, &sample_split)),
            lineages: None,
            by_soft_grid: start.by_soft_grid(),
        };
        let module = program.run(fresh, run)?.module;
        let mut fit = Fit::of("velovae");
        self.of_cells(&mut fit, &module, cells.as_ref(), &split)?;
        let of_sample = self.of_genes(&mut fit, &module, &data, &sample)?;
        outputs::set_rates(&mut fit, self, &module);
        let written = Written {
            time: &of_sample.times,
            ms: of_sample.ms.view(),
            velocity: of_sample.velocity.view(),
            velocity_genes: &fit[VELOCITY_GENES],
            neighbors: &data.neighbors,
        };
        let evidence = verdict::evidence(&start, &written, run.reporter());
        fit.set_some(SOFT_GRID, evidence);
        Ok(Streamed { genes: data.genes, fit, layers: Some(layers(&module, cells)) })
    }

    /// Counts of the `kept` genes of all cells, with the columns of the prior: in memory, if there is room for them.
    fn cells(
        &self,
        source: &Arc<dyn CellSource>,
        kept: &[usize],
        room: &Room,
        device: &Device,
        run: &mut Run,
    ) -> Result<Box<dyn BatchSource>> {
        let (mean, std) = start::priors(self, source.obs(), run)?;
        let stream = CountStream::new(Arc::clone(source), kept, room.bytes, device)
            .with_numbers(columns::PRIOR_MEAN, &mean)
            .with_numbers(columns::PRIOR_STD, &std);
        if room.for_all {
            run.reporter().say(&format!("all {} cells are kept in memory", source.n_obs()));
            return Ok(Box::new(stream.into_memory()?));
        }
        run.reporter().say(&format!(
            "cells are read from the file while others are trained on, {} blocks at once of {}",
            stream.at_once(),
            stream.n_blocks()
        ));
        Ok(Box::new(stream))
    }

    /// What there is to say of each cell, piece after piece.
    fn of_cells(&self, fit: &mut Fit, module: &VelovaeModule, cells: &dyn BatchSource, split: &Split) -> Result<()> {
        let chunks: Vec<Vec<usize>> = Chunks::all(cells.n_obs()).rows().collect();
        let (mut times, mut time_stds, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut states, mut state_stds) = (Vec::new(), Vec::new());
        let (fixed, noise) = (module.valid(), noise(module));
        for batch in cells.pass(&chunks) {
            let batch = batch?;
            let fitted = Reconstruction::of_batch(&fixed, &batch, &mut Draws::Mean);
            let counts = [batch.u, batch.s].map(arrays::to_array);
            sizes.extend(sizes_given(self, &counts, [&fitted.u, &fitted.s], &noise));
            times.extend(fitted.time);
            time_stds.extend(fitted.time_std);
            states.extend(fitted.state);
            state_stds.extend(fitted.state_std);
        }
        fit.set(LATENT_TIME, Array1::from(times));
        fit.set(LATENT_TIME_STD, Array1::from(time_stds));
        fit.set_some(X_VELOVAE, stacked(&states));
        fit.set_some(X_VELOVAE_STD, stacked(&state_stds));
        fit.set(CELL_SIZE, sizes.into());
        fit.set(VELOCITY_SPLIT, split_labels(&split.parts()));
        fit.moments = MomentUnits::CellSize;
        Ok(())
    }

    /// How well each gene is fitted, in the cells of the sample, which have neighbours; and the times and velocities of these cells.
    fn of_genes(&self, fit: &mut Fit, module: &VelovaeModule, data: &Dataset, sample: &CountData) -> Result<OfSample> {
        let chunks: Vec<Vec<usize>> = Chunks::all(sample.n_obs()).rows().collect();
        let (mut u, mut s, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut times, mut velocities) = (Vec::new(), Vec::new());
        let (fixed, noise) = (module.valid(), noise(module));
        for batch in sample.pass(&chunks) {
            let batch = batch?;
            let fitted = Reconstruction::of_batch(&fixed, &batch, &mut Draws::Mean);
            let counts = [batch.u, batch.s].map(arrays::to_array);
            sizes.extend(sizes_given(self, &counts, [&fitted.u, &fitted.s], &noise));
            times.extend(fitted.time);
            velocities.push(fitted.velocity);
            u.push(fitted.u);
            s.push(fitted.s);
        }
        let [mu, ms] = sized_moments(data, [&sizes, &sizes])?;
        let (u, s) = (stacked(&u).unwrap_or_default(), stacked(&s).unwrap_or_default());
        let quality = Quality::new([&mu, &ms], &u, &s);
        fit.set(FIT_LIKELIHOOD, quality.likelihood);
        fit.set(VELOCITY_GENES, quality.velocity_genes);
        Ok(OfSample { times, ms, velocity: stacked(&velocities).unwrap_or_default() })
    }
}

/// What the trained module says of the cells of the sample.
struct OfSample {
    times: Vec<f64>,
    ms: Array2<f32>,
    velocity: Array2<f32>,
}

/// Velocities and fitted abundances of all cells at the posterior means.
fn layers(module: &VelovaeModule, cells: Box<dyn BatchSource>) -> Layers {
    let fixed = module.valid();
    let scaling = program::scaling_of(module);
    Layers::new(vec![VELOCITY.about(), FIT_U.about(), FIT_S.about()], move |rows| {
        let batch = cells.batch(&rows.collect::<Vec<_>>())?;
        let Reconstruction { u, s, velocity, .. } = Reconstruction::of_batch(&fixed, &batch, &mut Draws::Mean);
        Ok(vec![velocity, u * &scaling, s])
    })
}

/// Dispersions of u and of s.
fn noise(module: &VelovaeModule) -> [Vec<f32>; 2] {
    let [_, u, s] = module.scaling_and_noise().map(|row| arrays::values(row.inner()));
    [u, s]
}

/// `parts` one under the other; `None` if there are none.
fn stacked(parts: &[Array2<f32>]) -> Option<Array2<f32>> {
    let views: Vec<_> = parts.iter().map(Array2::view).collect();
    (!views.is_empty()).then(|| ndarray::concatenate(Axis(0), &views).expect("all parts have the same columns"))
}

#[cfg(test)]
mod tests;

//! Scores of a fit: how well it reconstructs the data, and how near it is to the truth where that is known.
//!
//! With a hat for the model's values, i a cell and g a gene:
//!
//! ```text
//! MSE = mean over i, g of (u − û)² + (s − ŝ)²          MAE = mean over i, g of |u − û| + |s − ŝ|
//! LL  = mean over i of Σ_g [ln N(u; û, σ_u) + ln N(s; ŝ, σ_s)]
//! ```
//!
//! u and s are the moments `Mu` and `Ms`; both species are added, not averaged. Source: Gu et al. 2022 (the evaluation of
//! `VeloVAE`). The scores against the truth are the medians described at the fields of [`Evaluation`]; they
//! are those of the project's comparison with other programs, so that the numbers can be set side by side.
//!
//! Genes that a model left out (any value not finite) are left out of every score.

use std::f64::consts::PI;

use ndarray::{ArcArray2, Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use crate::data::quantities::{FIT_S, FIT_U};
use crate::data::{MomentScaling, ReconstructionRecord};
use crate::error::{Error, Result};
use crate::stats::{self, count, std_dev};

/// The scores of a fit, as printed by `nascent evaluate --json`; `null` where one does not apply.
///
/// Where the fit had no split into parts, all cells count as training cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean squared error of the training cells, both species added, in squared counts.
    pub mse_train: Option<f64>,
    /// The same of the test cells.
    pub mse_test: Option<f64>,
    /// Mean absolute error of the training cells, both species added, in counts.
    pub mae_train: Option<f64>,
    /// The same of the test cells.
    pub mae_test: Option<f64>,
    /// Gaussian log-likelihood per training cell, summed over genes and species.
    pub ll_train: Option<f64>,
    /// The same of the test cells.
    pub ll_test: Option<f64>,
    /// Bound (ELBO) of the model per training cell, in nats, as the fit has found it.
    pub elbo_train: Option<f64>,
    /// The same of the test cells.
    pub elbo_test: Option<f64>,
    /// Spearman correlation of the fit's time with the true time or, where that is not known, the capture time.
    pub time_spearman: Option<f64>,
    /// Median over cells of the cosine between inferred and true velocity.
    pub velocity_cell_cosine: Option<f64>,
    /// The same with every gene's velocities, inferred and true, divided by their s.d. over cells.
    pub velocity_cell_cosine_scaled: Option<f64>,
    /// Median over genes of the Pearson correlation over cells of inferred and true velocity.
    pub velocity_gene_pearson: Option<f64>,
    /// Share of entries in which inferred and true velocity have the same sign, of those whose true velocity is
    /// above 5 % of its gene's largest.
    pub velocity_sign_agreement: Option<f64>,
    /// Median over genes of `|ln (inferred γ/β) − ln (true γ/β)|`.
    pub ratio_abs_log_err: Option<f64>,
}

impl Evaluation {
    /// The scores with names for people, in the order in which they are shown.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Option<f64>); 14] {
        [
            ("mean squared error, training cells", self.mse_train),
            ("mean squared error, test cells", self.mse_test),
            ("mean absolute error, training cells", self.mae_train),
            ("mean absolute error, test cells", self.mae_test),
            ("log-likelihood per training cell", self.ll_train),
            ("log-likelihood per test cell", self.ll_test),
            ("bound (ELBO) per training cell", self.elbo_train),
            ("bound (ELBO) per test cell", self.elbo_test),
            ("time, Spearman correlation with the truth or capture time", self.time_spearman),
            ("velocity per cell, median cosine with the truth", self.velocity_cell_cosine),
            ("the same with genes scaled alike", self.velocity_cell_cosine_scaled),
            ("velocity per gene, median correlation with the truth", self.velocity_gene_pearson),
            ("velocity, share of signs that are right", self.velocity_sign_agreement),
            ("gamma/beta, median absolute log error", self.ratio_abs_log_err),
        ]
    }
}

/// What [`evaluate`] compares; a score for which something is missing is left out.
///
/// Matrices are `[n_obs, n_vars]`, the genes those of the fit in its order. Copies share their matrices.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// First moments `Mu` and `Ms`.
    pub moments: Option<[ArcArray2<f32>; 2]>,
    /// Their reconstructions, in the same units.
    pub reconstruction: Option<[ArcArray2<f32>; 2]>,
    /// Residual s.d. of unspliced and spliced abundance per gene, `[n_vars]`.
    pub residual_std: Option<[Array1<f64>; 2]>,
    /// How well the moments are reconstructed, as measured when the fit was made: where the reconstruction itself is not kept.
    pub measured: Option<ReconstructionRecord>,
    /// Bound (ELBO) per training cell and per test cell, in nats, as the fit has found them.
    pub bound: [Option<f64>; 2],
    /// The part of the data each cell was in: 0 train, 1 validation, 2 test; `[n_obs]`.
    pub split: Option<Vec<u8>>,
    /// Inferred `ds/dt`.
    pub velocity: Option<ArcArray2<f32>>,
    /// True `ds/dt`.
    pub true_velocity: Option<ArcArray2<f32>>,
    /// Inferred time of each cell, `[n_obs]`.
    pub time: Option<Vec<f64>>,
    /// True time of each cell, `[n_obs]`.
    pub true_time: Option<Vec<f64>>,
    /// Capture time of each cell, `[n_obs]`.
    pub capture_time: Option<Vec<f64>>,
    /// Inferred γ/β per gene, in the units of the counts, `[n_vars]`.
    pub ratio: Option<Vec<f64>>,
    /// True γ/β per gene, `[n_vars]`.
    pub true_ratio: Option<Vec<f64>>,
}

impl Evidence {
    /// That of the cells and genes at these positions. What was measured over all of them is left out.
    #[must_use]
    pub fn select(&self, cells: &[usize], genes: &[usize]) -> Self {
        let matrix = |all: &ArcArray2<f32>| all.select(Axis(1), genes).select(Axis(0), cells).into_shared();
        let pair = |all: &Option<[ArcArray2<f32>; 2]>| all.as_ref().map(|all| all.each_ref().map(matrix));
        let of_cells = |all: &Option<Vec<f64>>| all.as_ref().map(|all| cells.iter().map(|&i| all[i]).collect());
        let of_genes = |all: &Option<Vec<f64>>| all.as_ref().map(|all| genes.iter().map(|&gene| all[gene]).collect());
        Self {
            moments: pair(&self.moments),
            reconstruction: pair(&self.reconstruction),
            residual_std: self.residual_std.as_ref().map(|all| all.each_ref().map(|std| std.select(Axis(0), genes))),
            measured: None,
            bound: [None; 2],
            split: self.split.as_ref().map(|all| cells.iter().map(|&i| all[i]).collect()),
            velocity: self.velocity.as_ref().map(matrix),
            true_velocity: self.true_velocity.as_ref().map(matrix),
            time: of_cells(&self.time),
            true_time: of_cells(&self.true_time),
            capture_time: of_cells(&self.capture_time),
            ratio: of_genes(&self.ratio),
            true_ratio: of_genes(&self.true_ratio),
        }
    }

    /// From units of scaled moments to counts. With `u' = (u − min_u) / span_u` and s' likewise,
    /// `ds/dt = span_s ds'/dt`, and `ds'/dt = β' u' − γ' s'` has `γ/β = γ'/β' · span_u / span_s` in counts.
    ///
    /// # Errors
    /// [`Error::Shape`] if the scaling is not that of the genes.
    pub fn restore(&mut self, scaling: &MomentScaling) -> Result<()> {
        let MomentScaling { mu, ms } = scaling;
        let pairs = [&self.moments, &self.reconstruction].into_iter().flatten().flatten();
        for layer in self.velocity.iter().chain(pairs) {
            same_shape("layers of the fit", &[layer.nrows(), ms.span.len()], layer.shape())?;
        }
        let changed = |layer: &mut ArcArray2<f32>, change: &dyn Fn(&mut Array2<f32>)| {
            let mut own = std::mem::take(layer).into_owned();
            change(&mut own);
            *layer = own.into_shared();
        };
        if let Some(velocity) = &mut self.velocity {
            changed(velocity, &|velocity| ms.restore_differences(velocity));
        }
        for [u, s] in [&mut self.moments, &mut self.reconstruction].into_iter().flatten() {
            changed(u, &|u| mu.restore(u));
            changed(s, &|s| ms.restore(s));
        }
        if let Some([std_u, std_s]) = &mut self.residual_std {
            *std_u *= &mu.span;
            *std_s *= &ms.span;
        }
        for (gene, ratio) in self.ratio.iter_mut().flatten().enumerate() {
            *ratio *= mu.span[gene] / ms.span[gene];
        }
        Ok(())
    }
}

/// Computes every score that `evidence` allows.
///
/// # Errors
/// [`Error::Shape`] if arrays that are compared do not have the same shape.
pub fn evaluate(evidence: &Evidence) -> Result<Evaluation> {
    let [elbo_train, elbo_test] = evidence.bound;
    let mut scores = Evaluation { elbo_train, elbo_test, ..Evaluation::default() };
    let fitted = match (&evidence.moments, &evidence.reconstruction) {
        (Some(_), Some(_)) => reconstructed(evidence)?,
        _ => evidence.measured.unwrap_or_default(),
    };
    (scores.mse_train, scores.mae_train, scores.ll_train) = (fitted.mse_train, fitted.mae_train, fitted.ll_train);
    (scores.mse_test, scores.mae_test, scores.ll_test) = (fitted.mse_test, fitted.mae_test, fitted.ll_test);
    if let (Some(time), Some(known)) = (&evidence.time, evidence.true_time.as_ref().or(evidence.capture_time.as_ref()))
    {
        same_shape("time", &[known.len()], &[time.len()])?;
        scores.time_spearman = over_finite_pairs(stats::spearman, time, known);
    }
    if let (Some(velocity), Some(truth)) = (&evidence.velocity, &evidence.true_velocity) {
        let found = velocity_scores(velocity.view(), truth.view())?;
        scores.velocity_cell_cosine = found.cell_cosine;
        scores.velocity_cell_cosine_scaled = found.cell_cosine_scaled;
        scores.velocity_gene_pearson = found.gene_pearson;
        scores.velocity_sign_agreement = found.sign_agreement;
    }
    if let (Some(ratio), Some(truth)) = (&evidence.ratio, &evidence.true_ratio) {
        same_shape("ratio gamma/beta", &[truth.len()], &[ratio.len()])?;
        scores.ratio_abs_log_err = ratio_abs_log_err(ratio, truth);
    }
    Ok(scores)
}

/// How well the moments are reconstructed, by part of the data; without a split, all cells count as training.
///
/// # Errors
/// [`Error::Shape`] if arrays that are compared do not have the same shape.
pub fn reconstructed(evidence: &Evidence) -> Result<ReconstructionRecord> {
    let (Some(moments), Some(fit)) = (&evidence.moments, &evidence.reconstruction) else {
        return Ok(ReconstructionRecord::default());
    };
    let errors = |part: Part| {
        let std = evidence.residual_std.as_ref().map(|std| std.each_ref().map(Array1::view));
        reconstruction(views(moments), views(fit), std, evidence.split.as_deref().map(|split| (split, part)))
    };
    let train = errors(Part::Train)?;
    let test = if evidence.split.is_some() { errors(Part::Test)? } else { Reconstruction::default() };
    Ok(ReconstructionRecord {
        mse_train: train.mse,
        mse_test: test.mse,
        mae_train: train.mae,
        mae_test: test.mae,
        ll_train: train.ll,
        ll_test: test.ll,
    })
}

fn views(pair: &[ArcArray2<f32>; 2]) -> [ArrayView2<'_, f32>; 2] {
    [pair[0].view(), pair[1].view()]
}

/// A part of the cells, with its number in `split`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Cells that the model was fitted to.
    Train = 0,
    /// Cells that decided when to stop.
    Validation = 1,
    /// Cells held out.
    Test = 2,
}

/// Distance of a reconstruction from the moments; see the module's equations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reconstruction {
    /// Mean squared error.
    pub mse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Log-likelihood per cell.
    pub ll: Option<f64>,
}

/// MSE, MAE and log-likelihood over the cells of one part (`cells`: each cell's part, and the part wanted), or all cells.
///
/// - `moments`, `fit`: `[Mu, Ms]` and their reconstructions, `[n_obs, n_vars]`, in counts
/// - `std`: residual s.d. `[unspliced, spliced]`, `[n_vars]`; without it there is no log-likelihood
///
/// Genes whose reconstruction is not finite in every cell (of all parts) are left out, of the log-likelihood
/// also those without a positive s.d. A score over no cell or no gene is `None`.
///
/// # Errors
/// [`Error::Shape`] if the arrays disagree on `n_obs` or `n_vars`.
pub fn reconstruction(
    moments: [ArrayView2<f32>; 2],
    fit: [ArrayView2<f32>; 2],
    std: Option<[ArrayView1<f64>; 2]>,
    cells: Option<(&[u8], Part)>,
) -> Result<Reconstruction> {
    let shape = moments[0].shape();
    same_shape("Ms", shape, moments[1].shape())?;
    same_shape(FIT_U.key(), shape, fit[0].shape())?;
    same_shape(FIT_S.key(), shape, fit[1].shape())?;
    for (what, std) in ["std_u", "std_s"].into_iter().zip(std.iter().flatten()) {
        same_shape(what, &shape[1..], std.shape())?;
    }
    if let Some((split, _)) = cells {
        same_shape("split", &shape[..1], &[split.len()])?;
    }
    let n_obs = shape[0];
    let wanted = |i: &usize| cells.is_none_or(|(split, part)| split[*i] == part as u8);
    let rows: Vec<usize> = (0..n_obs).filter(wanted).collect();
    let [fit_u, fit_s] = fit.map(finite_genes);
    let genes: Vec<usize> = (0..shape[1]).filter(|&g| fit_u[g] && fit_s[g]).collect();
    if rows.is_empty() || genes.is_empty() {
        return Ok(Reconstruction::default());
    }

    let residual =
        |species: usize, i: usize, g: usize| f64::from(moments[species][[i, g]]) - f64::from(fit[species][[i, g]]);
    let (mut squares, mut absolutes) = (0.0, 0.0);
    for &i in &rows {
        for &g in &genes {
            let [u, s] = [0, 1].map(|species| residual(species, i, g));
            squares += u * u + s * s;
            absolutes += u.abs() + s.abs();
        }
    }
    let n = count(rows.len()) * count(genes.len());
    let density = |[std_u, std_s]: [ArrayView1<f64>; 2]| {
        let usable = |std: f64| std > 0.0 && std.is_finite();
        let mut genes = genes.clone();
        genes.retain(|&g| usable(std_u[g]) && usable(std_s[g]));
        let log_density = |residual: f64, std: f64| -0.5 * ((2.0 * PI).ln() + (residual / std).powi(2)) - std.ln();
        let mut sum = 0.0;
        for &i in &rows {
            for &g in &genes {
                sum += log_density(residual(0, i, g), std_u[g]);
                sum += log_density(residual(1, i, g), std_s[g]);
            }
        }
        (!genes.is_empty()).then(|| sum / count(rows.len()))
    };
    Ok(Reconstruction { mse: Some(squares / n), mae: Some(absolutes / n), ll: std.and_then(density) })
}

/// Agreement of inferred with true velocity; the fields are explained at [`Evaluation`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VelocityScores {
    /// Genes compared: those whose velocity is finite in every cell.
    pub n_genes: usize,
    /// Median cosine over cells.
    pub cell_cosine: Option<f64>,
    /// Median cosine over cells, genes scaled to s.d. 1.
    pub cell_cosine_scaled: Option<f64>,
    /// Median correlation over genes.
    pub gene_pearson: Option<f64>,
    /// Share of agreeing signs.
    pub sign_agreement: Option<f64>,
}

/// Compares inferred with true velocity, both `[n_obs, n_vars]`.
///
/// # Errors
/// [`Error::Shape`] if the shapes differ.
pub fn velocity_scores(velocity: ArrayView2<f32>, truth: ArrayView2<f32>) -> Result<VelocityScores> {
    same_shape("velocity", truth.shape(), velocity.shape())?;
    let (finite, finite_truth) = (finite_genes(velocity), finite_genes(truth));
    let genes: Vec<usize> = (0..velocity.ncols()).filter(|&g| finite[g] && finite_truth[g]).collect();
    let compared: Vec<Gene> =
        genes.par_iter().map(|&g| Gene::compare(g, &column(velocity, g), &column(truth, g))).collect();
    let cells: Vec<Cell> = (0..velocity.nrows())
        .into_par_iter()
        .map(|i| Cell::compare(velocity.row(i), truth.row(i), &compared))
        .collect();
    let total = |part: fn(&Cell) -> usize| cells.iter().map(part).sum::<usize>();
    let (alike, large) = (total(|cell| cell.alike), total(|cell| cell.large));
    let cosines = |part: fn(&Cell) -> f64| {
        let some = !genes.is_empty();
        some.then(|| median(cells.iter().map(part))).flatten()
    };
    Ok(VelocityScores {
        n_genes: genes.len(),
        cell_cosine: cosines(|cell| cell.cosine),
        cell_cosine_scaled: cosines(|cell| cell.cosine_scaled),
        gene_pearson: median(compared.iter().filter_map(|gene| gene.pearson)),
        sign_agreement: (large > 0).then(|| count(alike) / count(large)),
    })
}

/// What the comparison of a gene's velocities over cells yields.
struct Gene {
    /// Position among the columns.
    at: usize,
    pearson: Option<f64>,
    /// S.d. of the inferred and the true velocity.
    sd: [f64; 2],
    /// True velocities above this are large.
    threshold: f64,
}

impl Gene {
    fn compare(at: usize, velocity: &[f64], truth: &[f64]) -> Self {
        Self {
            at,
            pearson: over_finite_pairs(stats::pearson, velocity, truth),
            sd: [velocity, truth].map(|values| std_dev(values, 0) + TINY),
            threshold: 0.05 * truth.iter().fold(0.0, |max: f64, v| v.abs().max(max)),
        }
    }
}

/// What the comparison of a cell's velocities over genes yields.
struct Cell {
    cosine: f64,
    cosine_scaled: f64,
    /// Genes with a large true velocity, and those among them whose sign is right.
    large: usize,
    alike: usize,
}

impl Cell {
    fn compare(velocity: ArrayView1<f32>, truth: ArrayView1<f32>, genes: &[Gene]) -> Self {
        let (mut plain, mut scaled) = (Angle::default(), Angle::default());
        let (mut large, mut alike) = (0, 0);
        for gene in genes {
            let (v, v_true) = (f64::from(velocity[gene.at]), f64::from(truth[gene.at]));
            plain.add(v, v_true);
            scaled.add(v / gene.sd[0], v_true / gene.sd[1]);
            if v_true.abs() > gene.threshold {
                large += 1;
                alike += usize::from(sign(v) == sign(v_true));
            }
        }
        Self { cosine: plain.cosine(), cosine_scaled: scaled.cosine(), large, alike }
    }
}

fn column(matrix: ArrayView2<f32>, at: usize) -> Vec<f64> {
    matrix.column(at).iter().map(|&v| f64::from(v)).collect()
}

/// Median over genes of `|ln ratio − ln truth|`, both γ/β per gene. Genes without a finite, positive estimate or a
/// finite truth are left out; `None` if none is left.
#[must_use]
pub fn ratio_abs_log_err(ratio: &[f64], truth: &[f64]) -> Option<f64> {
    let pairs = ratio.iter().zip(truth);
    let usable =
        pairs.filter(|(found, truth)| found.is_finite() && truth.is_finite() && **found > 0.0 && **truth > 0.0);
    median(usable.map(|(found, truth)| (found.ln() - truth.ln()).abs()))
}

/// Added to denominators that may vanish: a cell without velocity has cosine 0, a gene without spread stays small.
const TINY: f64 = 1e-12;

/// Sums for the cosine between two vectors.
#[derive(Clone, Copy, Default)]
struct Angle {
    product: f64,
    square_a: f64,
    square_b: f64,
}

impl Angle {
    fn add(&mut self, a: f64, b: f64) {
        self.product += a * b;
        self.square_a += a * a;
        self.square_b += b * b;
    }

    fn cosine(&self) -> f64 {
        self.product / (self.square_a.sqrt() * self.square_b.sqrt() + TINY)
    }
}

/// −1, 0 or 1; `f64::signum` has no zero.
fn sign(x: f64) -> i8 {
    i8::from(x > 0.0) - i8::from(x < 0.0)
}

/// Which genes are finite in every cell, `[n_vars]`.
fn finite_genes(matrix: ArrayView2<f32>) -> Vec<bool> {
    let mut finite = vec![true; matrix.ncols()];
    for row in matrix.rows() {
        for (finite, value) in finite.iter_mut().zip(row) {
            *finite &= value.is_finite();
        }
    }
    finite
}

fn same_shape(what: &str, wanted: &[usize], found: &[usize]) -> Result<()> {
    if wanted == found {
        return Ok(());
    }
    Err(Error::Shape { what: what.to_owned(), wanted: wanted.to_vec(), found: found.to_vec() })
}

/// The middle value; `None` of nothing.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| stats::median(&values))
}

/// `correlation` over the pairs of which both values are finite; `None` for fewer than three, or where one side is constant.
fn over_finite_pairs(correlation: fn(&[f64], &[f64]) -> f64, a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = a.iter().zip(b);
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.filter(|(a, b)| a.is_finite() && b.is_finite()).unzip();
    // Asked of the values, not of the s.d., which rounding keeps from zero.
    #[allow(clippy::float_cmp)]
    let constant = |values: &[f64]| values.iter().all(|&value| value == values[0]);
    if a.len() < 3 || constant(&a) || constant(&b) {
        return None;
    }
    // Not finite where squares leave the range of f64.
    Some(correlation(&a, &b)).filter(|found| found.is_finite())
}

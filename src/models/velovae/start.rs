//! Where learning starts: residual spreads, cell times and rates from steady-state arguments.
//!
//! Per gene, as scVelo starts its EM: `β = 1`, `γ` from the cells at the top, times from the explicit inverse of
//! the ODE. Each gene's times are turned into ranks over `[0, t_max]`, so that genes agree on the scale; a cell's
//! start time is the median over genes. Rates then follow from the cells' times.

use ndarray::{Array1, Array2, ArrayView1};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::settings::{Init, Likelihood, Variant, Velovae};
use crate::data::quantities::{
    FIT_ALPHA, FIT_BETA, FIT_DISPERSION_S, FIT_DISPERSION_U, FIT_GAMMA, FIT_S0, FIT_SCALING, FIT_U0, LATENT_TIME,
    LINEAGE_PROBABILITIES, Quantity,
};
use crate::data::{CaptureTimes, Dataset, Fit, Frame, Run};
use crate::error::{Error, Result};
use crate::kinetics::{self, Rates, State};
use crate::models::soft_grid::{self, SoftGrid};
use crate::models::{VelocityModel, dispersion};
use crate::stats;
use crate::train::Split;

/// Start values. Per gene `[n_vars]`, per cell `[n_obs]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    /// Factor by which unspliced abundance is divided inside the model.
    pub scaling: Vec<f64>,
    /// Residual s.d. of unspliced abundance; dispersion of unspliced counts where counts are explained.
    pub noise_u: Vec<f64>,
    /// The same of spliced ones.
    pub noise_s: Vec<f64>,
    pub alpha: Vec<f64>,
    pub beta: Vec<f64>,
    pub gamma: Vec<f64>,
    pub t_on: Vec<f64>,
    pub t_off: Vec<f64>,
    /// Unspliced and spliced abundance of the root, where the model carries it.
    pub u0: Vec<f64>,
    pub s0: Vec<f64>,
    /// State of each cell, `[n_obs, n_latent]` row by row; empty: none.
    pub cell_state: Vec<f32>,
    /// Share of each lineage in each cell, `[n_obs, n_lineages]` row by row; empty where lineages have no rates of their own.
    pub lineages: Vec<f32>,
    /// Time of each cell, in `[0, t_max]`.
    pub cell_time: Vec<f64>,
    /// Prior mean of each cell's time.
    pub prior_mean: Vec<f64>,
    /// Prior s.d. of each cell's time.
    pub prior_std: Vec<f64>,
    /// What the soft grid, where the times come from it, says of the direction of time and the lineages; else null.
    pub evidence: serde_json::Value,
}

/// One gene fitted on its own.
struct GeneStart {
    scaling: f64,
    sigma_u: f64,
    sigma_s: f64,
    times: Vec<f64>,
}

impl Start {
    /// Start values from all cells of `data`; rates and spreads from the training cells alone.
    pub(super) fn new(settings: &Velovae, data: &Dataset, split: &Split, run: &mut Run) -> Result<Self> {
        if settings.of_counts() {
            data.require_counts("set model.likelihood = \"gaussian\"")?;
        }
        let columns = |gene: usize| Columns::new(data, gene);
        let genes: Vec<GeneStart> =
            (0..data.n_vars()).into_par_iter().map(|gene| fit_gene(&columns(gene), &split.train, settings)).collect();
        let with_soft_grid = settings.init == Init::SoftGrid && data.raw_counts;
        if settings.init == Init::SoftGrid && !data.raw_counts && settings.capture_time.is_empty() {
            run.reporter().warn(
                "the layers hold no raw counts, which model.init = \"soft_grid\" needs: times start from each gene's \
                 steady-state fit instead",
            );
        }
        let times_wanted = with_soft_grid && (settings.capture_time.is_empty() || settings.of_counts());
        let lineages_wanted = settings.variant == Variant::Branching && settings.lineages.is_empty();
        let by_soft_grid = match times_wanted || lineages_wanted {
            true => Some(fit_soft_grid(settings, data, run)?),
            false => None,
        };
        let (cell_time, prior_mean, prior_std) = match settings.capture_time.as_str() {
            "" => {
                let time = match &by_soft_grid {
                    None => median_over_genes(&genes, data.n_obs(), settings.t_max),
                    Some(_) if !with_soft_grid => median_over_genes(&genes, data.n_obs(), settings.t_max),
                    Some(fit) if settings.of_counts() => fit[LATENT_TIME].to_vec(),
                    Some(fit) => spread(&fit[LATENT_TIME].to_vec(), settings.t_max),
                };
                let (mean, std) = one_prior(settings, data.n_obs());
                (time, mean, std)
            }
            _ => from_capture_time(settings, &data.obs, run)?,
        };
        // What no joint stage will learn has to be there from the start.
        let times_of_grid = with_soft_grid && settings.capture_time.is_empty();
        let with_states = settings.carries() || !settings.has_joint_stage(times_of_grid);
        let scaling: Vec<f64> =
            genes.iter().map(|gene| if settings.of_counts() { 1.0 } else { gene.scaling }).collect();
        let rates: Vec<GeneRates> = (0..data.n_vars())
            .into_par_iter()
            .map(|gene| rates_given_times(&columns(gene), scaling[gene], &split.train, &cell_time))
            .collect();
        let all = |value: f64| vec![value; data.n_vars()];
        let mut start = Self {
            scaling,
            noise_u: genes.iter().map(|gene| gene.sigma_u).collect(),
            noise_s: genes.iter().map(|gene| gene.sigma_s).collect(),
            alpha: rates.iter().map(|rates| rates.alpha).collect(),
            beta: all(1.0),
            gamma: rates.iter().map(|rates| rates.gamma).collect(),
            t_on: rates.iter().map(|rates| rates.t_on).collect(),
            t_off: rates.iter().map(|rates| rates.t_off).collect(),
            u0: all(LEAST_ROOT),
            s0: all(LEAST_ROOT),
            lineages: lineages(settings, data, by_soft_grid.as_ref())?,
            cell_state: if with_states { leading_components(data, settings.n_latent) } else { Vec::new() },
            cell_time,
            prior_mean,
            prior_std,
            evidence: match &by_soft_grid {
                Some(fit) if times_of_grid => soft_grid::evidence(fit),
                _ => serde_json::Value::Null,
            },
        };
        if settings.of_counts() {
            start.take_counts(settings, by_soft_grid.as_ref().filter(|_| with_soft_grid));
        } else if let Some(fit) = by_soft_grid.filter(|_| settings.keeps_start_rates(times_of_grid)) {
            start.take_rates(&fit);
        }
        Ok(start)
    }

    /// Whether the times come from the soft grid.
    pub(super) fn by_soft_grid(&self) -> bool {
        !self.evidence.is_null()
    }

    /// What counts need: dispersions, and where the soft grid has fitted them, the rates and the root.
    fn take_counts(&mut self, settings: &Velovae, by_soft_grid: Option<&Fit>) {
        let dispersion = if settings.likelihood == Likelihood::Poisson { 0.0 } else { dispersion::START };
        self.noise_u.fill(dispersion);
        self.noise_s.fill(dispersion);
        let Some(fit) = by_soft_grid else { return };
        let of = |quantity: Quantity<Array1<f64>>| -> Vec<f64> { fit[quantity].to_vec() };
        (self.noise_u, self.noise_s) = (of(FIT_DISPERSION_U), of(FIT_DISPERSION_S));
        if settings.is_full() {
            (self.alpha, self.beta, self.gamma) = (of(FIT_ALPHA), of(FIT_BETA), of(FIT_GAMMA));
            let root = |values: Vec<f64>| values.into_iter().map(|value| value.max(LEAST_ROOT)).collect();
            (self.u0, self.s0) = (root(of(FIT_U0)), root(of(FIT_S0)));
        }
    }

    /// What moments need where no joint stage follows: the rates of the soft grid, and the scaling that they belong to.
    fn take_rates(&mut self, fit: &Fit) {
        self.scaling = fit[FIT_SCALING].to_vec();
        self.alpha = fit[FIT_ALPHA].to_vec();
        // It is written so that it acts on unscaled counts.
        self.beta = (&fit[FIT_BETA] * &fit[FIT_SCALING]).to_vec();
        self.gamma = fit[FIT_GAMMA].to_vec();
    }

    /// Share of each lineage with rates of its own in each cell, `[n_obs, n_lineages]`, if there are any.
    pub(super) fn lineages(&self) -> Option<Array2<f32>> {
        let shape = (self.cell_time.len(), self.n_lineages());
        (!self.lineages.is_empty())
            .then(|| Array2::from_shape_vec(shape, self.lineages.clone()).expect("a row for each cell"))
    }

    /// Number of lineages with rates of their own, at least 1.
    pub(super) fn n_lineages(&self) -> usize {
        (self.lineages.len() / self.cell_time.len().max(1)).max(1)
    }

    /// The same values for all genes and cells.
    pub(super) fn flat(settings: &Velovae, n_obs: usize, n_vars: usize) -> Self {
        let (per_gene, middle) = (vec![1.0; n_vars], settings.t_max / 2.0);
        Self {
            scaling: per_gene.clone(),
            noise_u: per_gene.clone(),
            noise_s: per_gene.clone(),
            u0: per_gene.clone(),
            s0: per_gene.clone(),
            cell_state: Vec::new(),
            lineages: Vec::new(),
            alpha: per_gene.clone(),
            beta: per_gene.clone(),
            gamma: per_gene,
            t_on: vec![0.0; n_vars],
            t_off: vec![middle; n_vars],
            cell_time: vec![middle; n_obs],
            prior_mean: vec![middle; n_obs],
            prior_std: vec![settings.time_prior_std * settings.t_max; n_obs],
            evidence: serde_json::Value::Null,
        }
    }
}

/// Abundances of one gene in all cells.
struct Columns {
    u: Vec<f64>,
    s: Vec<f64>,
}

impl Columns {
    fn new(data: &Dataset, gene: usize) -> Self {
        Self {
            u: data.mu.column(gene).iter().map(|&value| f64::from(value)).collect(),
            s: data.ms.column(gene).iter().map(|&value| f64::from(value)).collect(),
        }
    }
}

/// Steady-state start of one gene: `β = 1`, `γ` and `α` from the cells above the 98th percentile of both species.
fn fit_gene(columns: &Columns, train: &[usize], settings: &Velovae) -> GeneStart {
    let expressed: Vec<usize> =
        train.iter().copied().filter(|&cell| columns.u[cell] > 0.0 && columns.s[cell] > 0.0).collect();
    let floor = settings.min_std;
    if expressed.len() < 3 {
        return GeneStart { scaling: 1.0, sigma_u: floor, sigma_s: floor, times: vec![f64::NAN; columns.u.len()] };
    }
    let of = |values: &[f64]| -> Vec<f64> { expressed.iter().map(|&cell| values[cell]).collect() };
    let (std_u, std_s) = (stats::std_dev(&of(&columns.u), 0), stats::std_dev(&of(&columns.s), 0));
    let scaling = if std_u > 0.0 && std_s > 0.0 { std_u / std_s } else { 1.0 };
    let scaled: Vec<f64> = columns.u.iter().map(|u| u / scaling).collect();

    let top_u = stats::percentile(&of(&scaled), 98.0);
    let top_s = stats::percentile(&of(&columns.s), 98.0);
    let in_both = |&&cell: &&usize| scaled[cell] >= top_u && columns.s[cell] >= top_s;
    let in_s = |&&cell: &&usize| columns.s[cell] >= top_s;
    let both: Vec<usize> = expressed.iter().filter(in_both).copied().collect();
    let top = if both.is_empty() { expressed.iter().filter(in_s).copied().collect() } else { both };
    let sum = |f: &dyn Fn(usize) -> f64| top.iter().map(|&cell| f(cell)).sum::<f64>();
    let gamma = sum(&|cell| scaled[cell] * columns.s[cell]) / sum(&|cell| columns.s[cell].powi(2)) + 1e-6;
    let count = top.len() as f64;
    let steady = State { u: sum(&|cell| scaled[cell]) / count, s: sum(&|cell| columns.s[cell]) / count };
    let rates = Rates { alpha: steady.u, beta: 1.0, gamma };

    let fitted = assign_times(&scaled, &columns.s, rates, steady, std_s.max(1e-12));
    let residual = |f: &dyn Fn(usize) -> f64| {
        let squares: Vec<f64> = expressed.iter().map(|&cell| f(cell).powi(2)).collect();
        stats::mean(&squares).sqrt()
    };
    GeneStart {
        sigma_u: residual(&|cell| (scaled[cell] - fitted[cell].1.u) * scaling).max(floor),
        sigma_s: residual(&|cell| columns.s[cell] - fitted[cell].1.s).max(floor),
        times: fitted.into_iter().map(|(time, _)| time).collect(),
        scaling,
    }
}

/// Time and fitted state of each cell on the nearer of the two branches, from the explicit inverse.
fn assign_times(u: &[f64], s: &[f64], rates: Rates, steady: State, std: f64) -> Vec<(f64, State)> {
    let origin = State { u: 0.0, s: 0.0 };
    let repression = Rates { alpha: 0.0, ..rates };
    let t_switch = kinetics::explicit_time(steady, origin, rates);
    let at_switch = kinetics::solve(t_switch, origin, rates);
    let distance = |a: State, b: State| ((a.u - b.u) / std).powi(2) + ((a.s - b.s) / std).powi(2);
    let assign = |(&u, &s): (&f64, &f64)| {
        let observed = State { u, s };
        let tau_on = kinetics::explicit_time(observed, origin, rates).clamp(0.0, t_switch);
        let tau_off = kinetics::explicit_time(observed, at_switch, repression).clamp(0.0, t_switch);
        let on = kinetics::solve(tau_on, origin, rates);
        let off = kinetics::solve(tau_off, at_switch, repression);
        match distance(observed, on) <= distance(observed, off) {
            true => (tau_on, on),
            false => (t_switch + tau_off, off),
        }
    };
    u.iter().zip(s).map(assign).collect()
}

/// Each gene's times as ranks over `[0, t_max]`; a cell's time is their median, as a rank over `[0, t_max]` again.
fn median_over_genes(genes: &[GeneStart], n_obs: usize, t_max: f64) -> Vec<f64> {
    let ranked: Vec<Vec<f64>> = genes
        .par_iter()
        .filter(|gene| gene.times.iter().all(|time| time.is_finite()))
        .map(|gene| spread(&gene.times, t_max))
        .collect();
    if ranked.is_empty() {
        return vec![t_max / 2.0; n_obs];
    }
    let medians: Vec<f64> = (0..n_obs)
        .into_par_iter()
        .map(|cell| stats::median(&ranked.iter().map(|times| times[cell]).collect::<Vec<_>>()))
        .collect();
    spread(&medians, t_max)
}

/// Least abundance of the root: its logarithm is learned.
const LEAST_ROOT: f64 = 1e-2;

/// The soft-grid EM on the same counts.
fn fit_soft_grid(settings: &Velovae, data: &Dataset, run: &mut Run) -> Result<Fit> {
    let likelihood = match settings.likelihood {
        Likelihood::Poisson => soft_grid::Likelihood::Poisson,
        Likelihood::Gaussian | Likelihood::NegativeBinomial => soft_grid::Likelihood::NegativeBinomial,
    };
    let t_max = settings.t_max;
    let (capture_time, capture_order) = (settings.capture_time.clone(), settings.capture_order.clone());
    // The decoder of counts has no scaling, and takes the rates as they are.
    let scaling = if settings.of_counts() { soft_grid::Scaling::One } else { soft_grid::Scaling::Gene };
    SoftGrid { uncertainty: false, likelihood, t_max, capture_time, capture_order, scaling, ..SoftGrid::default() }
        .fit(data, run)
}

/// The share of each lineage in each cell, row by row, where lineages have rates of their own: of the column that the settings name,
/// or of the trunk and the lineages of the soft grid.
fn lineages(settings: &Velovae, data: &Dataset, by_soft_grid: Option<&Fit>) -> Result<Vec<f32>> {
    if settings.variant != Variant::Branching {
        return Ok(Vec::new());
    }
    if settings.lineages.is_empty() {
        let Some(shares) = by_soft_grid.and_then(|fit| fit.get(LINEAGE_PROBABILITIES)) else {
            return Ok(vec![1.0; data.n_obs()]);
        };
        let with_trunk = |row: ArrayView1<'_, f32>| [vec![(1.0 - row.sum()).max(0.0)], row.to_vec()].concat();
        return Ok(shares.rows().into_iter().flat_map(with_trunk).collect());
    }
    let column = data.obs.get(&settings.lineages).ok_or_else(|| {
        let names: Vec<&str> = data.obs.columns.iter().map(|(name, _)| name.as_str()).collect();
        Error::Setting {
            key: "model.lineages".to_owned(),
            value: format!("{:?}", settings.lineages),
            wanted: format!("must be a column of obs; there are: {}", names.join(", ")),
        }
    })?;
    let labels = column.to_labels();
    let mut known = labels.clone();
    known.sort();
    known.dedup();
    let one_hot = |label: &String| known.iter().map(|of| f32::from(of == label)).collect::<Vec<f32>>();
    Ok(labels.iter().flat_map(one_hot).collect())
}

/// The first `count` principal components of all cells, on one scale: the first has an s.d. of 1. Empty if there are none.
fn leading_components(data: &Dataset, count: usize) -> Vec<f32> {
    let given = data.pca.ncols().min(count);
    if given == 0 {
        return Vec::new();
    }
    let first: Vec<f64> = data.pca.column(0).iter().map(|&value| f64::from(value)).collect();
    let scale = stats::std_dev(&first, 0).max(f64::MIN_POSITIVE) as f32;
    let of_cell = |cell: ArrayView1<'_, f32>| -> Vec<f32> {
        (0..count).map(|at| if at < given { cell[at] / scale } else { 0.0 }).collect()
    };
    data.pca.rows().into_iter().flat_map(of_cell).collect()
}

/// `values` replaced by their ranks, over `[0, t_max]`.
fn spread(values: &[f64], t_max: f64) -> Vec<f64> {
    stats::rank_shares(values).into_iter().map(|share| share * t_max).collect()
}

/// Mean and s.d. of the prior of the time of each cell of `obs`.
pub(super) fn priors(settings: &Velovae, obs: &Frame, run: &Run) -> Result<(Vec<f64>, Vec<f64>)> {
    if settings.capture_time.is_empty() {
        return Ok(one_prior(settings, obs.index.len()));
    }
    let (_, mean, std) = from_capture_time(settings, obs, run)?;
    Ok((mean, std))
}

/// The prior of cells without capture times.
fn one_prior(settings: &Velovae, n_obs: usize) -> (Vec<f64>, Vec<f64>) {
    (vec![settings.t_max / 2.0; n_obs], vec![settings.time_prior_std * settings.t_max; n_obs])
}

/// Start times and priors from the capture times in `obs`.
///
/// The prior mean is the capture time, moved and scaled to `[0, t_max]`; the prior s.d. is 0.525 of the mean gap to
/// the neighbouring capture times (VeloVAE's program).
fn from_capture_time(settings: &Velovae, obs: &Frame, run: &Run) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let captured = CaptureTimes::read(obs, settings.captured())?;
    let groups = captured.on_axis(settings.t_max);
    let (mean, std): (Vec<f64>, Vec<f64>) = captured.of.iter().map(|&group| groups[group as usize]).unzip();
    let mut rng = run.rng("capture time", 0);
    let jittered = mean.iter().zip(&std).map(|(mean, std)| mean + 0.2 * std * rng.random_range(-1.0..1.0));
    Ok((jittered.map(|time| time.clamp(0.0, settings.t_max)).collect(), mean, std))
}

/// Rates of one gene once the cells have times.
struct GeneRates {
    alpha: f64,
    gamma: f64,
    t_on: f64,
    t_off: f64,
}

/// Rates of one gene from cells with times, at `β = 1`: `t_off` is the median time of the cells with the highest
/// abundance, `t_on` and `α` follow from the heights there and half-way up, `γ` from the highest spliced abundance.
fn rates_given_times(columns: &Columns, scaling: f64, train: &[usize], cell_time: &[f64]) -> GeneRates {
    const SMALLEST: f64 = 1e-3;
    let u: Vec<f64> = train.iter().map(|&cell| columns.u[cell] / scaling).collect();
    let s: Vec<f64> = train.iter().map(|&cell| columns.s[cell]).collect();
    let t: Vec<f64> = train.iter().map(|&cell| cell_time[cell]).collect();
    let (top_u, top_s) = (stats::percentile(&u, 95.0), stats::percentile(&s, 95.0));
    let chosen = |f: &dyn Fn(usize) -> bool| -> Vec<usize> { (0..u.len()).filter(|&cell| f(cell)).collect() };
    let either = chosen(&|cell| u[cell] >= top_u || s[cell] >= top_s);
    let median_of =
        |values: &[f64], cells: &[usize]| stats::median(&cells.iter().map(|&cell| values[cell]).collect::<Vec<_>>());
    let (u1, t1) = (median_of(&u, &either), median_of(&t, &either));
    let half = chosen(&|cell| t[cell] <= t1 && (u[cell] - u1 / 2.0).abs() < 0.02 * u1);
    let t_on = if half.is_empty() || u1 <= 0.0 {
        0.0
    } else {
        let (u2, t2) = (median_of(&u, &half), median_of(&t, &half));
        // ln[(u₁ − u₂) / (u₁ e^{−t₂} − u₂ e^{−t₁})] with e^{t₁} taken out, for late cells.
        let rise = (u1 - u2) / (u1 * (t1 - t2).exp() - u2);
        if rise > 0.0 { (t1 + rise.ln()).clamp(0.0, t1) } else { 0.0 }
    };
    let height = -(t_on - t1).exp_m1();
    let alpha = (u1 / height.max(0.05)).max(SMALLEST);
    let gamma = alpha / top_s.max(SMALLEST);
    GeneRates { alpha, gamma: gamma.clamp(1e-2, 1e2), t_on, t_off: t1.max(t_on + SMALLEST) }
}

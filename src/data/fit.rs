//! What every model returns.

use ndarray::{Array1, Array2};

use super::Uncertainty;

/// Result of a model in plain arrays over the cells and kept genes of a [`Dataset`](super::Dataset).
/// `None` where a model has no such quantity.
#[derive(Clone, Debug, Default)]
pub struct Fit {
    /// The model's name: scVelo's word where it has one (`deterministic`, `stochastic`), else as in `[model] kind`.
    pub model: String,
    /// `ds/dt`, `[n_obs, n_vars]`.
    pub velocity: Array2<f32>,
    /// `du/dt`, `[n_obs, n_vars]`.
    pub velocity_u: Option<Array2<f32>>,
    /// Residual of the stochastic model's equation of second moments, `[n_obs, n_vars]`, in squared units of `Ms`.
    pub variance_velocity: Option<Array2<f32>>,
    /// Posterior s.d. of `velocity`, `[n_obs, n_vars]`.
    pub velocity_std: Option<Array2<f32>>,
    /// Posterior s.d. of `velocity_u`, `[n_obs, n_vars]`.
    pub velocity_u_std: Option<Array2<f32>>,
    /// Reconstructed unspliced abundance, `[n_obs, n_vars]`, in units of `Mu`.
    pub fit_u: Option<Array2<f32>>,
    /// Reconstructed spliced abundance, `[n_obs, n_vars]`, in units of `Ms`.
    pub fit_s: Option<Array2<f32>>,
    /// Spliced abundance extrapolated by `future_time`, `[n_obs, n_vars]`.
    pub future: Option<Array2<f32>>,
    /// How far ahead `future` looks, in units of `latent_time`.
    pub future_time: Option<f64>,
    /// Time per cell and gene, `[n_obs, n_vars]`.
    pub fit_t: Option<Array2<f32>>,
    /// Time per cell and gene on the induction branch, `[n_obs, n_vars]`, whether the cell is on it or not.
    pub fit_tau: Option<Array2<f32>>,
    /// The same on the repression branch, since the switch, `[n_obs, n_vars]`.
    pub fit_tau_off: Option<Array2<f32>>,
    /// Probability of each kinetic state of a gene in a cell, `[n_obs, n_vars]` each: induction, its steady state, repression, its
    /// steady state.
    pub states: Option<[Array2<f32>; 4]>,
    /// One time per cell, `[n_obs]`.
    pub latent_time: Option<Array1<f64>>,
    /// Posterior s.d. of `latent_time`, `[n_obs]`.
    pub latent_time_std: Option<Array1<f64>>,
    /// Probability of each lineage behind the point where they part, `[n_obs, n_lineages]`; what is missing to 1 is before it.
    pub lineages: Option<Array2<f32>>,
    /// Size of the cell as the model has it, mean about 1: what it counts more or less than others of its state, `[n_obs]`.
    pub cell_size: Option<Array1<f64>>,
    /// Cell state, `[n_obs, n_latent]`.
    pub latent: Option<Array2<f32>>,
    /// Posterior s.d. of `latent`, `[n_obs, n_latent]`.
    pub latent_std: Option<Array2<f32>>,
    /// Coefficient of variation of the reconstruction, mean over genes, `[n_obs]`.
    pub cell_cv: Option<Array1<f64>>,
    /// How much the direction of the velocity varies between samples of it.
    pub uncertainty: Option<Uncertainty>,
    /// The part of the data each cell was in: 0 train, 1 validation, 2 test; `[n_obs]`.
    pub split: Option<Vec<u8>>,
    /// Column of `obs` whose groups were tested for kinetics of their own.
    pub diff_kinetics_groups: Option<String>,
    /// What else the model knows, for `uns` under the model's name: a JSON object of words, numbers, truth values and lists.
    pub details: Option<serde_json::Value>,
    /// Parameters per gene.
    pub genes: GeneParams,
}

/// Parameters per kept gene, each `[n_vars]`; `None` where a model has no such parameter.
#[derive(Clone, Debug, Default)]
pub struct GeneParams {
    /// Transcription rate.
    pub alpha: Option<Array1<f64>>,
    /// Transcription rate that induction approaches, where it varies.
    pub alpha_last: Option<Array1<f64>>,
    /// Rate of that approach.
    pub alpha_approach: Option<Array1<f64>>,
    /// Splicing rate.
    pub beta: Option<Array1<f64>>,
    /// Degradation rate.
    pub gamma: Option<Array1<f64>>,
    /// Time of switching on.
    pub t_on: Option<Array1<f64>>,
    /// Time of switching off.
    pub t_switch: Option<Array1<f64>>,
    /// Factor by which unspliced counts are divided inside the model.
    pub scaling: Option<Array1<f64>>,
    /// S.d. of unspliced abundance: of the residuals, or of the cells that count, as the model has it.
    pub std_u: Option<Array1<f64>>,
    /// S.d. of spliced abundance, likewise.
    pub std_s: Option<Array1<f64>>,
    /// Score of the fit, larger is better.
    pub likelihood: Option<Array1<f64>>,
    /// Variance of the distances to the curve, in units of the spreads.
    pub variance: Option<Array1<f64>>,
    /// Unspliced abundance before the gene is switched on.
    pub u0: Option<Array1<f64>>,
    /// Spliced abundance before the gene is switched on.
    pub s0: Option<Array1<f64>>,
    /// Unspliced abundance at the upper mode of the cells.
    pub steady_u: Option<Array1<f64>>,
    /// Spliced abundance at the upper mode of the cells.
    pub steady_s: Option<Array1<f64>>,
    /// P-value of the abundances having one mode only.
    pub pval_steady: Option<Array1<f64>>,
    /// Factor by which the gene's own clock was stretched to the common one.
    pub alignment_scaling: Option<Array1<f64>>,
    /// What the fit has minimised, at its end.
    pub loss: Option<Array1<f64>>,
    /// The same at its start.
    pub start_loss: Option<Array1<f64>>,
    /// How the fit of the gene ended.
    pub status: Option<Vec<String>>,
    /// Coefficient of variation of the reconstruction, mean over cells.
    pub cv: Option<Array1<f64>>,
    /// Slope of unspliced over spliced abundance at steady state, γ/β.
    pub velocity_gamma: Option<Array1<f64>>,
    /// Offset of that line, where one was fitted.
    pub velocity_offset: Option<Array1<f64>>,
    /// Slope of the line through the extreme cells, where `velocity_gamma` is another.
    pub velocity_qreg_ratio: Option<Array1<f64>>,
    /// R² over all cells of the line through the extreme cells.
    pub velocity_r2: Option<Array1<f64>>,
    /// R² over all cells of the line through all cells.
    pub fit_r2: Option<Array1<f64>>,
    /// Groups of cells with kinetics of their own, their names joined by commas; empty if there are none.
    pub diff_kinetics: Option<Vec<String>>,
    /// The largest p-value of these groups; NaN if there are none.
    pub pval_kinetics: Option<Array1<f64>>,
    /// Standard error of ln β from the curvature of the objective, the times held.
    pub ln_beta_se: Option<Array1<f64>>,
    /// The same of ln γ.
    pub ln_gamma_se: Option<Array1<f64>>,
    /// Overdispersion d of unspliced counts, variance m + d m².
    pub dispersion_u: Option<Array1<f64>>,
    /// The same of spliced counts.
    pub dispersion_s: Option<Array1<f64>>,
    /// Log-likelihood of the gene in held-out cells, given the other genes; nats per cell.
    pub ll_held_out: Option<Array1<f64>>,
    /// The same less that of a constant abundance.
    pub dynamics: Option<Array1<f64>>,
    /// P-value of `dynamics` against permuted cells.
    pub pval_dynamics: Option<Array1<f64>>,
    /// What the gene says for the chosen direction of time over the next best; nats.
    pub direction: Option<Array1<f64>>,
    /// How strongly the gene follows each dimension of the cell state, `[n_vars, n_latent]`.
    pub loadings: Option<Array2<f32>>,
    /// Genes whose velocity should be used.
    pub velocity_genes: Vec<bool>,
}

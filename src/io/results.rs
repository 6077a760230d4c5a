//! What is added to a file: results under their AnnData keys.

use ndarray::{Array1, ArrayView1, ArrayView2};
use serde_json::Value;

use super::keys;
use super::uns::Uns;
use crate::data::{Column, Dataset, Directional, Fit, GeneParams, MinMax, MomentScaling, Neighbors};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// A layer over cells and kept genes, `[n_obs, n_vars]`.
#[derive(Clone, Debug)]
pub enum Layer<'a> {
    /// All values. In a file with all genes, those that were not kept get NaN.
    Dense(ArrayView2<'a, f32>),
    /// These values in their units before they were scaled. In a file with all genes, those that were not kept get NaN.
    Restored(ArrayView2<'a, f32>, &'a MinMax),
    /// Nonzero values. In a file with all genes, those that were not kept have none.
    Sparse(&'a Csr<f32>),
}

/// Elements to add to a file, or to replace in it, each with its key. Arrays run over all cells and the kept genes.
#[derive(Clone, Debug, Default)]
pub struct Results<'a> {
    /// Layers, `[n_obs, n_vars]`.
    pub layers: Vec<(String, Layer<'a>)>,
    /// Columns of `obs`, `[n_obs]`.
    pub obs: Vec<(String, Column)>,
    /// Columns of `var`, `[n_vars]`; numbers, truth values and words.
    pub var: Vec<(String, Column)>,
    /// Coordinates of cells, `[n_obs, n_dims]`.
    pub obsm: Vec<(String, ArrayView2<'a, f32>)>,
    /// Graphs of cells, `[n_obs, n_obs]`.
    pub obsp: Vec<(String, &'a Csr<f32>)>,
    /// Everything else.
    pub uns: Vec<(String, Uns)>,
}

impl<'a> Results<'a> {
    /// What preprocessing and a model have found. The neighbour graph is part of it if it was computed here
    /// rather than read from the file, and so are the principal components, unless the file brings its own (see
    /// [`write_results`](super::write_results)).
    ///
    /// `params` is a JSON object and becomes `uns["velocity_params"]`; `mode` is the model's name unless given, and
    /// `future_time` is added if the fit has one.
    ///
    /// # Errors
    /// [`Error::Shape`] if an array of `fit` does not run over the cells and genes of `data`.
    pub fn new(data: &'a Dataset, fit: &'a Fit, params: &Value) -> Result<Self> {
        let mut results = Self::without_layers(fit, params);
        let layers = [
            (keys::MS, Some(&data.ms)),
            (keys::MU, Some(&data.mu)),
            (keys::VELOCITY, Some(&fit.velocity)),
            (keys::VELOCITY_U, fit.velocity_u.as_ref()),
            (keys::VELOCITY_STD, fit.velocity_std.as_ref()),
            (keys::VELOCITY_U_STD, fit.velocity_u_std.as_ref()),
            (keys::VARIANCE_VELOCITY, fit.variance_velocity.as_ref()),
            (keys::FIT_U, fit.fit_u.as_ref()),
            (keys::FIT_S, fit.fit_s.as_ref()),
            (keys::FIT_S_FUTURE, fit.future.as_ref()),
            (keys::FIT_T, fit.fit_t.as_ref()),
            (keys::FIT_TAU, fit.fit_tau.as_ref()),
            (keys::FIT_TAU_OFF, fit.fit_tau_off.as_ref()),
        ];
        for (key, matrix) in layers {
            if let Some(matrix) = matrix {
                results.layers.push((key.to_owned(), Layer::Dense(matrix.view())));
            }
        }
        for (key, matrix) in keys::STATES.into_iter().zip(fit.states.iter().flatten()) {
            results.layers.push((key.to_owned(), Layer::Dense(matrix.view())));
        }
        let coordinates =
            [(keys::latent(&fit.model), fit.latent.as_ref()), (keys::latent_std(&fit.model), fit.latent_std.as_ref())];
        for (key, matrix) in coordinates {
            if let Some(matrix) = matrix {
                results.obsm.push((key, matrix.view()));
            }
        }
        if fit.fit_tau.is_some() || fit.diff_kinetics_groups.is_some() {
            results.uns.push((keys::RECOVER_DYNAMICS.to_owned(), recover_dynamics(fit)));
        }
        if let Some(scaling) = &data.scaling {
            results.add_scaling(data, scaling);
        }
        if !data.neighbors_from_file {
            results.add_graph(data);
        }
        results.check(data.n_obs(), data.n_vars())?;
        Ok(results)
    }

    /// What a model has found of cells and of genes, but not of both at once.
    #[must_use]
    pub fn without_layers(fit: &'a Fit, params: &Value) -> Self {
        let mut results = Self {
            var: genes(&fit.genes),
            obs: cells(fit),
            uns: vec![(keys::VELOCITY_PARAMS.to_owned(), velocity_params(fit, params))],
            ..Self::default()
        };
        if let Some(lineages) = &fit.lineages {
            results.obsm.push((keys::LINEAGE_PROBABILITIES.to_owned(), lineages.view()));
        }
        if let Some(details) = fit.details.as_ref().and_then(Uns::from_json) {
            results.uns.push((fit.model.clone(), details));
        }
        results
    }

    /// The moments before they were scaled, and how they were.
    fn add_scaling(&mut self, data: &'a Dataset, scaling: &'a MomentScaling) {
        let MomentScaling { mu, ms } = scaling;
        self.layers.push((keys::MS_RAW.to_owned(), Layer::Restored(data.ms.view(), ms)));
        self.layers.push((keys::MU_RAW.to_owned(), Layer::Restored(data.mu.view(), mu)));
        self.var.extend(float_columns(&[
            (keys::MS_MIN, Some(&ms.min)),
            (keys::MS_SPAN, Some(&ms.span)),
            (keys::MU_MIN, Some(&mu.min)),
            (keys::MU_SPAN, Some(&mu.span)),
        ]));
        for (key, value) in &mut self.uns {
            if let (keys::VELOCITY_PARAMS, Uns::Dict(members)) = (key.as_str(), value) {
                members.push((keys::MOMENTS_SCALED.to_owned(), Uns::Bool(true)));
            }
        }
    }

    fn add_graph(&mut self, data: &'a Dataset) {
        if !data.pca.is_empty() {
            self.obsm.push((keys::X_PCA.to_owned(), data.pca.view()));
        }
        self.add_neighbors(&data.neighbors);
    }

    /// A neighbour graph, as scanpy keeps one.
    pub fn add_neighbors(&mut self, graph: &'a Neighbors) {
        self.obsp.push((keys::CONNECTIVITIES.to_owned(), &graph.connectivities));
        self.obsp.push((keys::DISTANCES.to_owned(), &graph.distances));
        let text = |key: &str, word: &str| (key.to_owned(), Uns::Text(word.to_owned()));
        #[allow(clippy::cast_possible_wrap)] // tens of neighbours
        let params = vec![
            (keys::N_NEIGHBORS.to_owned(), Uns::Int(graph.n_neighbors as i64)),
            text("method", "umap"),
            text("metric", "euclidean"),
        ];
        let record = vec![
            text(keys::CONNECTIVITIES_KEY, keys::CONNECTIVITIES),
            text(keys::DISTANCES_KEY, keys::DISTANCES),
            (keys::PARAMS.to_owned(), Uns::Dict(params)),
        ];
        self.uns.push((keys::NEIGHBORS.to_owned(), Uns::Dict(record)));
    }

    /// Fails unless every element runs over `n_obs` cells and `n_vars` kept genes.
    pub(super) fn check(&self, n_obs: usize, n_vars: usize) -> Result<()> {
        let shape = |what: String, wanted: &[usize], found: &[usize]| {
            if wanted == found {
                return Ok(());
            }
            let (wanted, found) = (wanted.to_vec(), found.to_vec());
            Err(Error::Shape { what, wanted, found })
        };
        for (key, layer) in &self.layers {
            let found = match layer {
                Layer::Dense(matrix) | Layer::Restored(matrix, _) => [matrix.nrows(), matrix.ncols()],
                Layer::Sparse(matrix) => [matrix.n_rows, matrix.n_cols],
            };
            shape(format!("layers[{key:?}]"), &[n_obs, n_vars], &found)?;
        }
        for (key, column) in &self.obs {
            shape(format!("obs[{key:?}]"), &[n_obs], &[column.len()])?;
        }
        for (key, column) in &self.var {
            shape(format!("var[{key:?}]"), &[n_vars], &[column.len()])?;
        }
        for (key, matrix) in &self.obsm {
            shape(format!("obsm[{key:?}]"), &[n_obs, matrix.ncols()], &[matrix.nrows(), matrix.ncols()])?;
        }
        for (key, graph) in &self.obsp {
            shape(format!("obsp[{key:?}]"), &[n_obs, n_obs], &[graph.n_rows, graph.n_cols])?;
        }
        Ok(())
    }
}

fn cells(fit: &Fit) -> Vec<(String, Column)> {
    let numbers = [
        (keys::LATENT_TIME, fit.latent_time.as_ref()),
        (keys::LATENT_TIME_STD, fit.latent_time_std.as_ref()),
        (keys::CELL_SIZE, fit.cell_size.as_ref()),
        (keys::FIT_CV, fit.cell_cv.as_ref()),
    ];
    let mut columns = float_columns(&numbers);
    if let Some(uncertainty) = &fit.uncertainty {
        columns.extend(directions(&uncertainty.intrinsic, INTRINSIC));
        columns.extend(uncertainty.extrinsic.iter().flat_map(|of| directions(of, EXTRINSIC)));
    }
    if let Some(lineages) = &fit.lineages {
        columns.push((keys::LATENT_LINEAGE.to_owned(), likeliest(lineages.view())));
    }
    if let Some(split) = &fit.split {
        let known = |&part: &u8| (usize::from(part) < keys::SPLITS.len()).then_some(u32::from(part));
        let column = Column::Categorical {
            codes: split.iter().map(known).collect(),
            categories: keys::SPLITS.map(str::to_owned).to_vec(),
            ordered: false,
        };
        columns.push((keys::VELOCITY_SPLIT.to_owned(), column));
    }
    columns
}

/// Keys of a [`Directional`], in the order of its fields.
const INTRINSIC: [&str; 5] = [
    keys::DIRECTIONAL_VARIANCE,
    keys::DIRECTIONAL_DIFFERENCE,
    keys::DIRECTIONAL_COSINE_SIM_VARIANCE,
    keys::DIRECTIONAL_COSINE_SIM_DIFFERENCE,
    keys::DIRECTIONAL_COSINE_SIM_MEAN,
];
/// The same of what the velocities lead to.
const EXTRINSIC: [&str; 5] = [
    keys::DIRECTIONAL_VARIANCE_EXTRINSIC,
    keys::DIRECTIONAL_DIFFERENCE_EXTRINSIC,
    keys::DIRECTIONAL_COSINE_SIM_VARIANCE_EXTRINSIC,
    keys::DIRECTIONAL_COSINE_SIM_DIFFERENCE_EXTRINSIC,
    keys::DIRECTIONAL_COSINE_SIM_MEAN_EXTRINSIC,
];

fn directions(of: &Directional, keys: [&str; 5]) -> Vec<(String, Column)> {
    let Directional { variance, difference, cos_variance, cos_difference, cos_mean } = of;
    let columns = [variance, difference, cos_variance, cos_difference, cos_mean];
    let named: Vec<_> = keys.into_iter().zip(columns.map(Some)).collect();
    float_columns(&named)
}

/// The likeliest lineage of each cell, or the trunk.
fn likeliest(lineages: ArrayView2<'_, f32>) -> Column {
    let code = |cell: ArrayView1<'_, f32>| {
        let trunk = 1.0 - cell.sum();
        let (mut best, mut most) = (0, trunk);
        for (code, &q) in (1..).zip(cell) {
            if q > most {
                (best, most) = (code, q);
            }
        }
        Some(best)
    };
    let numbers = (0..lineages.ncols()).map(|k| k.to_string());
    Column::Categorical {
        codes: lineages.rows().into_iter().map(code).collect(),
        categories: std::iter::once(keys::TRUNK.to_owned()).chain(numbers).collect(),
        ordered: false,
    }
}

fn genes(genes: &GeneParams) -> Vec<(String, Column)> {
    let mut columns = float_columns(&[
        (keys::FIT_ALPHA, genes.alpha.as_ref()),
        (keys::FIT_ALPHA_LAST, genes.alpha_last.as_ref()),
        (keys::FIT_ALPHA_APPROACH, genes.alpha_approach.as_ref()),
        (keys::FIT_BETA, genes.beta.as_ref()),
        (keys::FIT_GAMMA, genes.gamma.as_ref()),
        (keys::FIT_T_ON, genes.t_on.as_ref()),
        (keys::FIT_T_OFF, genes.t_switch.as_ref()),
        (keys::FIT_SCALING, genes.scaling.as_ref()),
        (keys::FIT_STD_U, genes.std_u.as_ref()),
        (keys::FIT_STD_S, genes.std_s.as_ref()),
        (keys::FIT_LIKELIHOOD, genes.likelihood.as_ref()),
        (keys::FIT_VARIANCE, genes.variance.as_ref()),
        (keys::FIT_U0, genes.u0.as_ref()),
        (keys::FIT_S0, genes.s0.as_ref()),
        (keys::FIT_STEADY_U, genes.steady_u.as_ref()),
        (keys::FIT_STEADY_S, genes.steady_s.as_ref()),
        (keys::FIT_PVAL_STEADY, genes.pval_steady.as_ref()),
        (keys::FIT_ALIGNMENT_SCALING, genes.alignment_scaling.as_ref()),
        (keys::FIT_LOSS, genes.loss.as_ref()),
        (keys::FIT_LOSS_START, genes.start_loss.as_ref()),
        (keys::FIT_CV, genes.cv.as_ref()),
        (keys::VELOCITY_GAMMA, genes.velocity_gamma.as_ref()),
        (keys::VELOCITY_OFFSET, genes.velocity_offset.as_ref()),
        (keys::VELOCITY_QREG_RATIO, genes.velocity_qreg_ratio.as_ref()),
        (keys::VELOCITY_R2, genes.velocity_r2.as_ref()),
        (keys::FIT_R2, genes.fit_r2.as_ref()),
        (keys::FIT_PVAL_KINETICS, genes.pval_kinetics.as_ref()),
        (keys::FIT_LN_BETA_SE, genes.ln_beta_se.as_ref()),
        (keys::FIT_LN_GAMMA_SE, genes.ln_gamma_se.as_ref()),
        (keys::FIT_DISPERSION_U, genes.dispersion_u.as_ref()),
        (keys::FIT_DISPERSION_S, genes.dispersion_s.as_ref()),
        (keys::FIT_LL_HELD_OUT, genes.ll_held_out.as_ref()),
        (keys::FIT_DYNAMICS, genes.dynamics.as_ref()),
        (keys::FIT_PVAL_DYNAMICS, genes.pval_dynamics.as_ref()),
        (keys::FIT_DIRECTION, genes.direction.as_ref()),
    ]);
    if let Some(loadings) = &genes.loadings {
        let column = |loading: ndarray::ArrayView1<'_, f32>| loading.iter().map(|&value| f64::from(value)).collect();
        let named = loadings.columns().into_iter().enumerate();
        columns.extend(named.map(|(index, loading)| (keys::loading(index), Column::Float(column(loading)))));
    }
    if let Some(status) = &genes.status {
        columns.push((keys::FIT_STATUS.to_owned(), Column::Text(status.clone())));
    }
    if let Some(found) = &genes.diff_kinetics {
        columns.push((keys::FIT_DIFF_KINETICS.to_owned(), Column::Text(found.clone())));
    }
    let used = Column::Bool(genes.velocity_genes.clone());
    columns.push((keys::VELOCITY_GENES.to_owned(), used));
    columns
}

fn float_columns(named: &[(&str, Option<&Array1<f64>>)]) -> Vec<(String, Column)> {
    named.iter().filter_map(|&(key, values)| Some((key.to_owned(), Column::Float(values?.to_vec())))).collect()
}

/// How scVelo's `tl.velocity(mode = "dynamical")` is to read the fit: from moments, distances averaged over neighbours; and
/// where it finds the groups with kinetics of their own.
fn recover_dynamics(fit: &Fit) -> Uns {
    let member = |key: &str, value: bool| (key.to_owned(), Uns::Bool(value));
    let mut members = vec![member("fit_connected_states", true), member("use_raw", false)];
    if let Some(column) = &fit.diff_kinetics_groups {
        members.push((keys::FIT_DIFF_KINETICS.to_owned(), Uns::Text(column.clone())));
    }
    Uns::Dict(members)
}

fn velocity_params(fit: &Fit, params: &Value) -> Uns {
    let mut members = match Uns::from_json(params) {
        Some(Uns::Dict(members)) => members,
        _ => Vec::new(),
    };
    let mut default = |key: &str, value: Uns| {
        if members.iter().all(|(known, _)| known != key) {
            members.push((key.to_owned(), value));
        }
    };
    default(keys::MODE, Uns::Text(fit.model.clone()));
    // Whose `obs["latent_time"]` is: an earlier fit may have left one.
    default(keys::LATENT_TIME, Uns::Bool(fit.latent_time.is_some()));
    if let Some(ahead) = fit.future_time {
        default(keys::FUTURE_TIME, Uns::Float(ahead));
    }
    Uns::Dict(members)
}

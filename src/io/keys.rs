//! Every AnnData key that this program reads or writes, once.
//!
//! The names are scVelo's where scVelo has one, so its plots and CellRank read our files as they are.
//! Axis 0 is cells (`n_obs`), axis 1 genes (`n_vars`).

// --- what a file brings ---------------------------------------------------------------------------------------

/// layers, `[n_obs, n_vars]`: spliced counts.
pub const SPLICED: &str = "spliced";
/// layers, `[n_obs, n_vars]`: unspliced counts.
pub const UNSPLICED: &str = "unspliced";
/// uns: scanpy's record of the neighbour graph.
pub const NEIGHBORS: &str = "neighbors";
/// obsp, `[n_obs, n_obs]`: weights of the neighbour graph.
pub const CONNECTIVITIES: &str = "connectivities";
/// obsp, `[n_obs, n_obs]`: distances to the nearest neighbours.
pub const DISTANCES: &str = "distances";
/// `uns["neighbors"]`: where in obsp the weights are.
pub const CONNECTIVITIES_KEY: &str = "connectivities_key";
/// `uns["neighbors"]`: where in obsp the distances are.
pub const DISTANCES_KEY: &str = "distances_key";
/// `uns["neighbors"]`: settings of the graph, a dictionary.
pub const PARAMS: &str = "params";
/// `uns["neighbors"]["params"]`: neighbours asked for, the cell itself included.
pub const N_NEIGHBORS: &str = "n_neighbors";

// --- what preprocessing adds ----------------------------------------------------------------------------------

/// layers, `[n_obs, n_vars]`: first moments of spliced counts; from 0 to 1 if [`MOMENTS_SCALED`].
pub const MS: &str = "Ms";
/// layers, `[n_obs, n_vars]`: first moments of unspliced counts; from 0 to 1 if [`MOMENTS_SCALED`].
pub const MU: &str = "Mu";
/// layers, `[n_obs, n_vars]`: the moments behind scaled [`MS`], in counts. Ours.
pub const MS_RAW: &str = "Ms_raw";
/// layers, `[n_obs, n_vars]`: the moments behind scaled [`MU`], in counts. Ours.
pub const MU_RAW: &str = "Mu_raw";
/// var: least value of [`MS_RAW`] over cells, in counts. Ours.
pub const MS_MIN: &str = "Ms_min";
/// var: largest less least value of [`MS_RAW`] over cells, 1 if they are the same: `Ms_raw = Ms_min + Ms_span · Ms`. Ours.
pub const MS_SPAN: &str = "Ms_span";
/// var: least value of [`MU_RAW`] over cells, in counts. Ours.
pub const MU_MIN: &str = "Mu_min";
/// var: largest less least value of [`MU_RAW`] over cells, 1 if they are the same: `Mu_raw = Mu_min + Mu_span · Mu`. Ours.
pub const MU_SPAN: &str = "Mu_span";
/// `uns["velocity_params"]`: true if the moments of this fit were scaled, so that all its abundances are in these units. Ours.
pub const MOMENTS_SCALED: &str = "moments_scaled";
/// obsm, `[n_obs, n_pcs]`: principal components.
pub const X_PCA: &str = "X_pca";

// --- what a model adds ----------------------------------------------------------------------------------------

/// layers, `[n_obs, n_vars]`: `ds/dt`.
pub const VELOCITY: &str = "velocity";
/// layers, `[n_obs, n_vars]`: `du/dt`.
pub const VELOCITY_U: &str = "velocity_u";
/// layers, `[n_obs, n_vars]`: residual of the stochastic model's equation of second moments.
pub const VARIANCE_VELOCITY: &str = "variance_velocity";
/// layers, `[n_obs, n_vars]`: unspliced abundance of the fit, in units of `Mu`. Ours.
pub const FIT_U: &str = "fit_u";
/// layers, `[n_obs, n_vars]`: spliced abundance of the fit, in units of `Ms`. Ours.
pub const FIT_S: &str = "fit_s";
/// layers, `[n_obs, n_vars]`: spliced abundance of the fit, `velocity_params["future_time"]` later. Ours.
pub const FIT_S_FUTURE: &str = "fit_s_future";
/// layers, `[n_obs, n_vars]`: time per cell and gene.
pub const FIT_T: &str = "fit_t";
/// layers, `[n_obs, n_vars]`: time on the induction branch.
pub const FIT_TAU: &str = "fit_tau";
/// layers, `[n_obs, n_vars]`: time on the repression branch. The odd name is scVelo's.
pub const FIT_TAU_OFF: &str = "fit_tau_";
/// layers, `[n_obs, n_vars]`: probabilities of the kinetic states of a gene in a cell. Ours; the words are veloVI's.
pub const STATES: [&str; 4] =
    ["state_induction", "state_induction_steady", "state_repression", "state_repression_steady"];

/// obs: one time per cell.
pub const LATENT_TIME: &str = "latent_time";
/// obs: posterior s.d. of `latent_time`. Ours.
pub const LATENT_TIME_STD: &str = "latent_time_std";
/// layers: posterior s.d. of the velocity. Ours.
pub const VELOCITY_STD: &str = "velocity_std";
/// layers: posterior s.d. of `du/dt`. Ours.
pub const VELOCITY_U_STD: &str = "velocity_u_std";
/// obs: the likeliest lineage, by number from 0, or [`TRUNK`]. Ours.
pub const LATENT_LINEAGE: &str = "latent_lineage";
/// The category of [`LATENT_LINEAGE`] before the lineages part.
pub const TRUNK: &str = "trunk";
/// obsm, `[n_obs, n_lineages]`: probability of each lineage; what is missing to 1 is the trunk's. Ours.
pub const LINEAGE_PROBABILITIES: &str = "lineage_probabilities";
/// obs: size of the cell as a model has it, mean about 1. Ours.
pub const CELL_SIZE: &str = "cell_size";
/// obs and var: coefficient of variation of the reconstruction, mean over the other axis. Ours.
pub const FIT_CV: &str = "fit_cv";
/// obs: variance of the angles between samples of the velocity and their mean, in squared radians. veloVI's name.
pub const DIRECTIONAL_VARIANCE: &str = "directional_variance";
/// obs: 95th percentile less 5th of these angles, in radians. veloVI's name.
pub const DIRECTIONAL_DIFFERENCE: &str = "directional_difference";
/// obs: variance of the similarities of samples of the velocity with their mean. veloVI's name.
pub const DIRECTIONAL_COSINE_SIM_VARIANCE: &str = "directional_cosine_sim_variance";
/// obs: 95th percentile less 5th of these similarities. veloVI's name.
pub const DIRECTIONAL_COSINE_SIM_DIFFERENCE: &str = "directional_cosine_sim_difference";
/// obs: mean of these similarities. veloVI's name.
pub const DIRECTIONAL_COSINE_SIM_MEAN: &str = "directional_cosine_sim_mean";
/// obs: as [`DIRECTIONAL_VARIANCE`], of the states that the samples lead to.
pub const DIRECTIONAL_VARIANCE_EXTRINSIC: &str = "directional_variance_extrinsic";
/// obs: as [`DIRECTIONAL_DIFFERENCE`], of the states that the samples lead to.
pub const DIRECTIONAL_DIFFERENCE_EXTRINSIC: &str = "directional_difference_extrinsic";
/// obs: as [`DIRECTIONAL_COSINE_SIM_VARIANCE`], of the states that the samples lead to.
pub const DIRECTIONAL_COSINE_SIM_VARIANCE_EXTRINSIC: &str = "directional_cosine_sim_variance_extrinsic";
/// obs: as [`DIRECTIONAL_COSINE_SIM_DIFFERENCE`], of the states that the samples lead to.
pub const DIRECTIONAL_COSINE_SIM_DIFFERENCE_EXTRINSIC: &str = "directional_cosine_sim_difference_extrinsic";
/// obs: as [`DIRECTIONAL_COSINE_SIM_MEAN`], of the states that the samples lead to.
pub const DIRECTIONAL_COSINE_SIM_MEAN_EXTRINSIC: &str = "directional_cosine_sim_mean_extrinsic";
/// obs: the part of the data that a cell was in, `train`, `validation` or `test`. Ours.
pub const VELOCITY_SPLIT: &str = "velocity_split";
/// The categories of [`VELOCITY_SPLIT`], by code.
pub const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// var: transcription rate.
pub const FIT_ALPHA: &str = "fit_alpha";
/// var: transcription rate that induction approaches. Ours; veloVI's `alpha_1`.
pub const FIT_ALPHA_LAST: &str = "fit_alpha_last";
/// var: rate of that approach. Ours; veloVI's `lambda_alpha`.
pub const FIT_ALPHA_APPROACH: &str = "fit_alpha_approach";
/// var: splicing rate.
pub const FIT_BETA: &str = "fit_beta";
/// var: degradation rate.
pub const FIT_GAMMA: &str = "fit_gamma";
/// var: time of switching on. Ours.
pub const FIT_T_ON: &str = "fit_t_on";
/// var: time of switching off. The odd name is scVelo's.
pub const FIT_T_OFF: &str = "fit_t_";
/// var: factor by which unspliced counts are divided inside the model.
pub const FIT_SCALING: &str = "fit_scaling";
/// var: s.d. of unspliced abundance, of residuals (VeloVAE) or of the cells that count (scVelo's meaning).
pub const FIT_STD_U: &str = "fit_std_u";
/// var: s.d. of spliced abundance, likewise.
pub const FIT_STD_S: &str = "fit_std_s";
/// var: score of the fit, larger is better.
pub const FIT_LIKELIHOOD: &str = "fit_likelihood";
/// var: variance of the distances to the curve.
pub const FIT_VARIANCE: &str = "fit_variance";
/// var: unspliced abundance before the gene is switched on.
pub const FIT_U0: &str = "fit_u0";
/// var: spliced abundance before the gene is switched on.
pub const FIT_S0: &str = "fit_s0";
/// var: unspliced abundance at the upper mode.
pub const FIT_STEADY_U: &str = "fit_steady_u";
/// var: spliced abundance at the upper mode.
pub const FIT_STEADY_S: &str = "fit_steady_s";
/// var: p-value of the abundances having one mode only.
pub const FIT_PVAL_STEADY: &str = "fit_pval_steady";
/// var: factor from the gene's own clock to the common one.
pub const FIT_ALIGNMENT_SCALING: &str = "fit_alignment_scaling";
/// var: the minimised objective at the end of the fit. Ours.
pub const FIT_LOSS: &str = "fit_loss";
/// var: the objective at the start of the fit. Ours.
pub const FIT_LOSS_START: &str = "fit_loss_start";
/// var: how the fit of the gene ended. Ours.
pub const FIT_STATUS: &str = "fit_status";
/// var: standard error of ln β. Ours.
pub const FIT_LN_BETA_SE: &str = "fit_ln_beta_se";
/// var: standard error of ln γ. Ours.
pub const FIT_LN_GAMMA_SE: &str = "fit_ln_gamma_se";
/// var: overdispersion of unspliced counts. Ours.
pub const FIT_DISPERSION_U: &str = "fit_dispersion_u";
/// var: overdispersion of spliced counts. Ours.
pub const FIT_DISPERSION_S: &str = "fit_dispersion_s";
/// var: log-likelihood in held-out cells, nats per cell. Ours.
pub const FIT_LL_HELD_OUT: &str = "fit_ll_held_out";
/// var: what dynamics explains there over a constant, nats per cell. Ours.
pub const FIT_DYNAMICS: &str = "fit_dynamics";
/// var: p-value of [`FIT_DYNAMICS`] against permuted cells. Ours.
pub const FIT_PVAL_DYNAMICS: &str = "fit_pval_dynamics";
/// var: what the gene says for the direction of time, nats. Ours.
pub const FIT_DIRECTION: &str = "fit_direction";
/// var: slope of unspliced over spliced abundance at steady state.
pub const VELOCITY_GAMMA: &str = "velocity_gamma";
/// var: offset of that line, where one was fitted.
pub const VELOCITY_OFFSET: &str = "velocity_offset";
/// var: slope of the line through the extreme cells alone (quantile regression), where [`VELOCITY_GAMMA`] is another.
pub const VELOCITY_QREG_RATIO: &str = "velocity_qreg_ratio";
/// var: R² over all cells of the line through the extreme cells. scVelo's `tl.velocity` chooses genes by it.
pub const VELOCITY_R2: &str = "velocity_r2";
/// var: R² over all cells of the line through all cells. scVelo's `recover_dynamics` chooses genes by it.
pub const FIT_R2: &str = "fit_r2";
/// var: groups of cells with kinetics of their own, joined by commas. scVelo's `tl.velocity(diff_kinetics=True)` reads it.
pub const FIT_DIFF_KINETICS: &str = "fit_diff_kinetics";
/// var: the largest p-value of these groups.
pub const FIT_PVAL_KINETICS: &str = "fit_pval_kinetics";
/// var: permutation score, the largest of all groups of cells. Ours; veloVI keeps it in a table.
pub const PERMUTATION_SCORE: &str = "permutation_score";
/// var: the same between two permuted data sets. Ours.
pub const PERMUTATION_NULL: &str = "permutation_score_null";
/// var: the group of cells in which the score is largest. Ours.
pub const PERMUTATION_GROUP: &str = "permutation_score_group";
/// var: genes whose velocity should be used.
pub const VELOCITY_GENES: &str = "velocity_genes";

/// uns: what scVelo wants to know of a dynamical fit, a dictionary. In it, under [`FIT_DIFF_KINETICS`], is the column of obs with
/// the groups that were tested.
pub const RECOVER_DYNAMICS: &str = "recover_dynamics";
/// uns: model, settings, version and seed, a dictionary.
pub const VELOCITY_PARAMS: &str = "velocity_params";
/// `uns["velocity_params"]`: the model's name, scVelo's word where it has one.
pub const MODE: &str = "mode";
/// What [`MODE`] is where the dynamical model made the velocities.
pub const DYNAMICAL: &str = "dynamical";
/// What [`MODE`] is where the stochastic model made the velocities.
pub const STOCHASTIC: &str = "stochastic";
/// `uns["velocity_params"]`: how far ahead [`FIT_S_FUTURE`] looks, in units of `latent_time`.
pub const FUTURE_TIME: &str = "future_time";

/// `uns["velocity_params"]`: the column of obs with capture times that the model was told of.
pub const CAPTURE_TIME: &str = "capture_time";

/// var: how strongly the gene follows dimension `index` of the cell state. Ours.
#[must_use]
pub fn loading(index: usize) -> String {
    format!("fit_loading_{index}")
}

/// obsm, `[n_obs, n_latent]`: cell states of a model, `X_velovae` for all of VeloVAE's variants.
#[must_use]
pub fn latent(model: &str) -> String {
    let family = model.split_once('_').map_or(model, |(family, _)| family);
    match family {
        "velovae" | "velovi" => format!("X_{family}"),
        _ => format!("X_{model}"),
    }
}

/// obsm, `[n_obs, n_latent]`: posterior s.d. of the cell states of a model. Ours.
#[must_use]
pub fn latent_std(model: &str) -> String {
    format!("{}_std", latent(model))
}

// --- what the velocity graph adds -----------------------------------------------------------------------------

/// uns, `[n_obs, n_obs]` CSR: cosines with the neighbours that the velocity points to.
pub const VELOCITY_GRAPH: &str = "velocity_graph";
/// uns, `[n_obs, n_obs]` CSR: cosines with the neighbours that the velocity points away from.
pub const VELOCITY_GRAPH_NEG: &str = "velocity_graph_neg";
/// obs: length of the velocity vector.
pub const VELOCITY_LENGTH: &str = "velocity_length";
/// obs: agreement of a cell's velocity with its neighbours'.
pub const VELOCITY_CONFIDENCE: &str = "velocity_confidence";
/// obs: agreement of a cell's velocity with where its transitions lead it on average.
pub const VELOCITY_CONFIDENCE_TRANSITION: &str = "velocity_confidence_transition";
/// obs: how much a cell stays where it is, for want of a cell that its velocity points to.
pub const VELOCITY_SELF_TRANSITION: &str = "velocity_self_transition";
/// obsp, `[n_obs, n_obs]`: probabilities of moving from one cell to another; CellRank's name.
pub const T_FWD: &str = "T_fwd";
/// obs: agreement of a cell's velocity with those of its neighbours in the same group. Ours.
pub const VELOCITY_COHERENCE: &str = "velocity_coherence";
/// obs: how much a cell looks like one where lineages begin, from 0 to 1.
pub const ROOT_CELLS: &str = "root_cells";
/// obs: how much a cell looks like one where lineages end, from 0 to 1.
pub const END_POINTS: &str = "end_points";
/// var: largest over groups of how much higher the velocity of the gene is in the group than elsewhere.
pub const VELOCITY_SCORE: &str = "velocity_score";
/// uns: names and scores of these genes by group, the highest first.
pub const RANK_VELOCITY_GENES: &str = "rank_velocity_genes";
/// uns: agreement of the graph of some genes with that of all, and of random sets of as many. Ours.
pub const VELOCITY_RECONSTRUCTABILITY: &str = "velocity_reconstructability";
/// uns: direction of velocities between groups, beside that of shuffled velocities. Ours.
pub const VELOCITY_BOUNDARIES: &str = "velocity_boundaries";
/// uns: what the graph, times and scores were made with. Ours.
pub const VELOCITY_GRAPH_PARAMS: &str = "velocity_graph_params";
/// obs: pseudotime along the velocity graph.
pub const VELOCITY_PSEUDOTIME: &str = "velocity_pseudotime";

/// obs: the shared time of the genes, made as scVelo makes it, where [`LATENT_TIME`] is the model's own. Ours.
pub const LATENT_TIME_GENES: &str = "latent_time_genes";

/// obs: a shared time of the genes that was not made as scVelo makes it. Ours.
#[must_use]
pub fn latent_time_by(method: &str) -> String {
    format!("{LATENT_TIME}_{method}")
}

/// obsm, `[n_obs, n_dims]`: velocities projected onto the embedding `X_<basis>`.
#[must_use]
pub fn projected(basis: &str) -> String {
    format!("velocity_{basis}")
}

// --- what a simulation knows ----------------------------------------------------------------------------------

/// obs: the time at which a cell was simulated.
pub const TRUE_T: &str = "true_t";
/// layers, `[n_obs, n_vars]`: `ds/dt` before noise.
pub const TRUE_VELOCITY: &str = "true_velocity";
/// layers, `[n_obs, n_vars]`: unspliced abundance before noise.
pub const TRUE_UNSPLICED: &str = "true_unspliced";
/// layers, `[n_obs, n_vars]`: spliced abundance before noise.
pub const TRUE_SPLICED: &str = "true_spliced";
/// var: transcription rate of the simulation.
pub const TRUE_ALPHA: &str = "true_alpha";
/// var: splicing rate of the simulation.
pub const TRUE_BETA: &str = "true_beta";
/// var: degradation rate of the simulation.
pub const TRUE_GAMMA: &str = "true_gamma";
/// var: time of switching on in the simulation.
pub const TRUE_T_ON: &str = "true_t_on";
/// var: time of switching off in the simulation.
pub const TRUE_T_OFF: &str = "true_t_off";
/// var: scaling of unspliced counts in the simulation.
pub const TRUE_SCALING: &str = "true_scaling";

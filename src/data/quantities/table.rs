//! The list of quantities. One line here and one assignment in a model make an output.
//!
//! `NAME: type = place "key", unit, writer;` with `known` where scVelo, scanpy, CellRank or veloVI have this name, and `needed` for
//! layers that are written without being asked for: those that the next commands and scVelo read.

use super::{About, Graph, Kind, Labels, Matrix, Numbers, Quantity, Record, Truths, Words};

macro_rules! quantities {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident = $place:ident $key:literal, $unit:ident, $writer:ident $(, $flag:ident)*;)*) => {
        $(
            $(#[doc = $doc])+
            pub const $name: Quantity<$kind> = {
                const ABOUT: &About = &About {
                    key: $key,
                    slot: super::Slot::$place,
                    kind: <$kind as Kind>::NAME,
                    unit: super::Unit::$unit,
                    writer: super::Writer::$writer,
                    known: false $(|| flag!($flag known))*,
                    needed: false $(|| flag!($flag needed))*,
                    doc: concat!($($doc),+),
                };
                Quantity::new(ABOUT)
            };
        )*

        /// All quantities.
        pub const ALL: &[&About] = &[$($name.about()),*];
    };
}

macro_rules! flag {
    (known known) => {
        true
    };
    (needed needed) => {
        true
    };
    ($flag:ident $asked:ident) => {
        false
    };
}

quantities! {
    // --- what a file brings ---------------------------------------------------------------------------------------
    /// Spliced counts.
    SPLICED: Matrix = Layers "spliced", Counts, Input, known;
    /// Unspliced counts.
    UNSPLICED: Matrix = Layers "unspliced", Counts, Input, known;

    // --- what a simulation knows ----------------------------------------------------------------------------------
    /// Unspliced abundance before noise.
    TRUE_UNSPLICED: Matrix = Layers "true_unspliced", TrueCounts, Simulate;
    /// Spliced abundance before noise.
    TRUE_SPLICED: Matrix = Layers "true_spliced", TrueCounts, Simulate;
    /// `ds/dt` before noise.
    TRUE_VELOCITY: Matrix = Layers "true_velocity", TrueCountsPerTime, Simulate;
    /// Time at which the cell was simulated.
    TRUE_T: Numbers = Obs "true_t", TrueTime, Simulate;
    /// Size of the cell: what all its counts are multiplied by.
    TRUE_SIZE: Numbers = Obs "true_size", None, Simulate;
    /// Lineage of the cell.
    TRUE_BRANCH: Labels = Obs "true_branch", None, Simulate;
    /// Parts of the lineages, as cell types would be.
    CLUSTERS: Labels = Obs "clusters", None, Simulate;
    /// Day on which the cell would have been collected.
    CAPTURE_TIME: Labels = Obs "capture_time", None, Simulate;
    /// Sample that the cell is from; samples differ in what is captured.
    SAMPLE: Labels = Obs "sample", None, Simulate;
    /// Transcription rate.
    TRUE_ALPHA: Numbers = Var "true_alpha", TrueCountsPerTime, Simulate;
    /// Splicing rate.
    TRUE_BETA: Numbers = Var "true_beta", PerTrueTime, Simulate;
    /// Degradation rate.
    TRUE_GAMMA: Numbers = Var "true_gamma", PerTrueTime, Simulate;
    /// Time of switching on.
    TRUE_T_ON: Numbers = Var "true_t_on", TrueTime, Simulate;
    /// Time of switching off.
    TRUE_T_OFF: Numbers = Var "true_t_off", TrueTime, Simulate;
    /// Kind of the gene: shared by the lineages, or of one of them.
    TRUE_PROGRAM: Labels = Var "true_program", None, Simulate;
    /// Transcription rate in a lineage, by its number.
    TRUE_ALPHA_OF: Numbers = Var "true_alpha_*", TrueCountsPerTime, Simulate;
    /// Time at which transcription changes in a lineage, by its number.
    TRUE_T_OF: Numbers = Var "true_t_*", TrueTime, Simulate;
    /// Where the simulation draws the cells.
    X_TRUE: Matrix = Obsm "X_true", Embedding, Simulate;

    // --- what preprocessing adds ----------------------------------------------------------------------------------
    /// First moments of spliced counts: means over each cell's neighbours. In which units, `uns["nascent_fit"]["moments"]` says.
    MS: Matrix = Layers "Ms", Ms, Preprocess, known, needed;
    /// First moments of unspliced counts, likewise.
    MU: Matrix = Layers "Mu", Mu, Preprocess, known, needed;
    /// The moments behind an `Ms` that was scaled to [0, 1].
    MS_RAW: Matrix = Layers "Ms_raw", Unscaled, Preprocess;
    /// The moments behind a `Mu` that was scaled to [0, 1].
    MU_RAW: Matrix = Layers "Mu_raw", Unscaled, Preprocess;
    /// Least value over cells before scaling.
    MS_MIN: Numbers = Var "Ms_min", Unscaled, Preprocess;
    /// Largest less least value over cells before scaling, 1 if they are the same: `Ms_raw = Ms_min + Ms_span · Ms`.
    MS_SPAN: Numbers = Var "Ms_span", Unscaled, Preprocess;
    /// Least value over cells before scaling.
    MU_MIN: Numbers = Var "Mu_min", Unscaled, Preprocess;
    /// Largest less least value over cells before scaling, 1 if they are the same: `Mu_raw = Mu_min + Mu_span · Mu`.
    MU_SPAN: Numbers = Var "Mu_span", Unscaled, Preprocess;
    /// Principal components in which neighbours were sought, where the file brings none under this name.
    X_PCA: Matrix = Obsm "X_pca", None, Preprocess, known;
    /// The same, where the file brings components of its own that the neighbours do not come from.
    X_PCA_VELOCITY: Matrix = Obsm "X_pca_velocity", None, Preprocess;
    /// Weights of the neighbour graph.
    CONNECTIVITIES: Graph = Obsp "connectivities", Share, Preprocess, known;
    /// Distances to the nearest neighbours.
    DISTANCES: Graph = Obsp "distances", None, Preprocess, known;
    /// scanpy's record of the neighbour graph: which components and how many neighbours.
    NEIGHBORS: Record = Uns "neighbors", None, Preprocess, known;
    /// Weights of the neighbour graph, where the file brings another under scanpy's name.
    CONNECTIVITIES_VELOCITY: Graph = Obsp "velocity_neighbors_connectivities", Share, Preprocess;
    /// Distances to the nearest neighbours, where the file brings others under scanpy's name.
    DISTANCES_VELOCITY: Graph = Obsp "velocity_neighbors_distances", None, Preprocess;
    /// scanpy's record of that neighbour graph.
    NEIGHBORS_VELOCITY: Record = Uns "velocity_neighbors", None, Preprocess;

    // --- what a model adds: cells and genes -----------------------------------------------------------------------
    /// `ds/dt`.
    VELOCITY: Matrix = Layers "velocity", MsPerTime, Fit, known, needed;
    /// `du/dt`.
    VELOCITY_U: Matrix = Layers "velocity_u", MuPerTime, Fit, known;
    /// Posterior s.d. of `velocity`.
    VELOCITY_STD: Matrix = Layers "velocity_std", MsPerTime, Fit;
    /// Posterior s.d. of `velocity_u`.
    VELOCITY_U_STD: Matrix = Layers "velocity_u_std", MuPerTime, Fit;
    /// `ds/dt` of the soft grid's curve at the cell, where `velocity` is the cell's own. Written so that both can be compared.
    VELOCITY_CURVE: Matrix = Layers "velocity_curve", MsPerTime, Fit, needed;
    /// `ds/dt` of the cell around the soft grid's curve, where `velocity` is the curve's. Written so that both can be compared.
    VELOCITY_CELL: Matrix = Layers "velocity_cell", MsPerTime, Fit, needed;
    /// Residual of the stochastic model's equation of second moments.
    VARIANCE_VELOCITY: Matrix = Layers "variance_velocity", MsSquared, Fit, known;
    /// Unspliced abundance of the fit.
    FIT_U: Matrix = Layers "fit_u", Mu, Fit;
    /// Spliced abundance of the fit.
    FIT_S: Matrix = Layers "fit_s", Ms, Fit;
    /// Spliced abundance of the fit a little later: after `uns["nascent_fit"]["facts"]["future_time"]`.
    FIT_S_FUTURE: Matrix = Layers "fit_s_future", Ms, Fit;
    /// Time per cell and gene.
    FIT_T: Matrix = Layers "fit_t", Time, Fit, known, needed;
    /// Time on the gene's induction branch, whether the cell is on it or not.
    FIT_TAU: Matrix = Layers "fit_tau", Time, Fit, known;
    /// Time on the gene's repression branch, since the switch. The odd name is scVelo's.
    FIT_TAU_OFF: Matrix = Layers "fit_tau_", Time, Fit, known;
    /// Probability that the gene is in induction in the cell.
    STATE_INDUCTION: Matrix = Layers "state_induction", Share, Fit;
    /// Probability of the steady state that induction leads to.
    STATE_INDUCTION_STEADY: Matrix = Layers "state_induction_steady", Share, Fit;
    /// Probability that the gene is in repression in the cell.
    STATE_REPRESSION: Matrix = Layers "state_repression", Share, Fit;
    /// Probability of the steady state that repression leads to.
    STATE_REPRESSION_STEADY: Matrix = Layers "state_repression_steady", Share, Fit;

    // --- what a model adds: cells ---------------------------------------------------------------------------------
    /// One time per cell: the model's own, or scVelo's shared time of the genes (`nascent graph`).
    LATENT_TIME: Numbers = Obs "latent_time", Time, Fit, known;
    /// Posterior s.d. of `latent_time`.
    LATENT_TIME_STD: Numbers = Obs "latent_time_std", Time, Fit;
    /// The likeliest lineage by its number from 0, or `trunk` before the lineages part.
    LATENT_LINEAGE: Labels = Obs "latent_lineage", None, Fit;
    /// Probability of each lineage; what is missing to 1 is the trunk's.
    LINEAGE_PROBABILITIES: Matrix = Obsm "lineage_probabilities", Share, Fit;
    /// Size of the cell: what all its counts are multiplied by; mean about 1.
    CELL_SIZE: Numbers = Obs "cell_size", None, Fit;
    /// Relative capture of unspliced molecules in the cell's sample (`model.batch`): what its unspliced counts are multiplied by besides
    /// `cell_size`; mean logarithm over cells 0.
    CELL_CAPTURE: Numbers = Obs "cell_capture", None, Fit;
    /// Coefficient of variation of the reconstruction over posterior draws, mean over genes.
    CELL_CV: Numbers = Obs "fit_cv", None, Fit;
    /// Part of the data that the cell was in: `train`, `validation` or `test`.
    VELOCITY_SPLIT: Labels = Obs "velocity_split", None, Fit;
    /// Variance of the angles between samples of the velocity and their mean.
    DIRECTIONAL_VARIANCE: Numbers = Obs "directional_variance", SquaredRadians, Fit, known;
    /// 95th percentile less 5th of these angles.
    DIRECTIONAL_DIFFERENCE: Numbers = Obs "directional_difference", Radians, Fit, known;
    /// Variance of the cosines between samples of the velocity and their mean.
    DIRECTIONAL_COSINE_SIM_VARIANCE: Numbers = Obs "directional_cosine_sim_variance", None, Fit, known;
    /// 95th percentile less 5th of these cosines.
    DIRECTIONAL_COSINE_SIM_DIFFERENCE: Numbers = Obs "directional_cosine_sim_difference", None, Fit, known;
    /// Mean of these cosines.
    DIRECTIONAL_COSINE_SIM_MEAN: Numbers = Obs "directional_cosine_sim_mean", Cosine, Fit, known;
    /// As `directional_variance`, of the states that the samples lead to.
    DIRECTIONAL_VARIANCE_EXTRINSIC: Numbers = Obs "directional_variance_extrinsic", SquaredRadians, Fit;
    /// As `directional_difference`, of the states that the samples lead to.
    DIRECTIONAL_DIFFERENCE_EXTRINSIC: Numbers = Obs "directional_difference_extrinsic", Radians, Fit;
    /// As `directional_cosine_sim_variance`, of the states that the samples lead to.
    DIRECTIONAL_COSINE_SIM_VARIANCE_EXTRINSIC: Numbers = Obs "directional_cosine_sim_variance_extrinsic", None, Fit;
    /// As `directional_cosine_sim_difference`, of the states that the samples lead to.
    DIRECTIONAL_COSINE_SIM_DIFFERENCE_EXTRINSIC: Numbers = Obs "directional_cosine_sim_difference_extrinsic", None, Fit;
    /// As `directional_cosine_sim_mean`, of the states that the samples lead to.
    DIRECTIONAL_COSINE_SIM_MEAN_EXTRINSIC: Numbers = Obs "directional_cosine_sim_mean_extrinsic", Cosine, Fit;
    /// Cell states of VeloVAE.
    X_VELOVAE: Matrix = Obsm "X_velovae", None, Fit;
    /// Posterior s.d. of `X_velovae`.
    X_VELOVAE_STD: Matrix = Obsm "X_velovae_std", None, Fit;
    /// Cell states of veloVI.
    X_VELOVI: Matrix = Obsm "X_velovi", None, Fit;
    /// Posterior s.d. of `X_velovi`.
    X_VELOVI_STD: Matrix = Obsm "X_velovi_std", None, Fit;

    // --- what a model adds: genes ---------------------------------------------------------------------------------
    /// Genes whose velocity should be used.
    VELOCITY_GENES: Truths = Var "velocity_genes", None, Fit, known;
    /// Transcription rate; of the soft grid, the largest over its pieces.
    FIT_ALPHA: Numbers = Var "fit_alpha", MuPerTime, Fit, known;
    /// Transcription rate that induction approaches; veloVI's `alpha_1`.
    FIT_ALPHA_LAST: Numbers = Var "fit_alpha_last", MuPerTime, Fit;
    /// Rate of that approach; veloVI's `lambda_alpha`.
    FIT_ALPHA_APPROACH: Numbers = Var "fit_alpha_approach", PerTime, Fit;
    /// Splicing rate, over the scaling: that of unspliced counts as they are.
    FIT_BETA: Numbers = Var "fit_beta", PerTime, Fit, known;
    /// Degradation rate.
    FIT_GAMMA: Numbers = Var "fit_gamma", PerTime, Fit, known;
    /// Time of switching on.
    FIT_T_ON: Numbers = Var "fit_t_on", Time, Fit;
    /// Time of switching off. The odd name is scVelo's.
    FIT_T_OFF: Numbers = Var "fit_t_", Time, Fit, known;
    /// Factor by which unspliced counts are divided inside the model.
    FIT_SCALING: Numbers = Var "fit_scaling", None, Fit, known;
    /// S.d. of unspliced abundance: of the residuals (networks), of the cells that count (dynamical, as scVelo has it).
    FIT_STD_U: Numbers = Var "fit_std_u", Mu, Fit, known;
    /// S.d. of spliced abundance, likewise.
    FIT_STD_S: Numbers = Var "fit_std_s", Ms, Fit, known;
    /// Score of the fit, larger is better.
    FIT_LIKELIHOOD: Numbers = Var "fit_likelihood", None, Fit, known;
    /// Variance of the distances to the curve, in units of `fit_std_u` and `fit_std_s`.
    FIT_VARIANCE: Numbers = Var "fit_variance", None, Fit, known;
    /// Unspliced abundance before the gene is switched on.
    FIT_U0: Numbers = Var "fit_u0", Mu, Fit, known;
    /// Spliced abundance before the gene is switched on.
    FIT_S0: Numbers = Var "fit_s0", Ms, Fit, known;
    /// Unspliced abundance at the upper mode of the cells.
    FIT_STEADY_U: Numbers = Var "fit_steady_u", Mu, Fit, known;
    /// Spliced abundance at the upper mode of the cells.
    FIT_STEADY_S: Numbers = Var "fit_steady_s", Ms, Fit, known;
    /// P-value of the abundances having one mode only.
    FIT_PVAL_STEADY: Numbers = Var "fit_pval_steady", Share, Fit, known;
    /// Factor from the gene's own clock to the common one.
    FIT_ALIGNMENT_SCALING: Numbers = Var "fit_alignment_scaling", None, Fit, known;
    /// Objective that the fit minimised, at its end.
    FIT_LOSS: Numbers = Var "fit_loss", None, Fit;
    /// Objective that the fit minimised, at its start.
    FIT_LOSS_START: Numbers = Var "fit_loss_start", None, Fit;
    /// How the fit of the gene ended: `fitted`, `not converged`, or why there is no fit.
    FIT_STATUS: Words = Var "fit_status", None, Fit;
    /// Coefficient of variation of the reconstruction over posterior draws, mean over cells.
    FIT_CV: Numbers = Var "fit_cv", None, Fit;
    /// Standard error of ln β, the times held.
    FIT_LN_BETA_SE: Numbers = Var "fit_ln_beta_se", None, Fit;
    /// Standard error of ln γ, the times held.
    FIT_LN_GAMMA_SE: Numbers = Var "fit_ln_gamma_se", None, Fit;
    /// Posterior s.d. of ln α (full variational Bayes).
    FIT_ALPHA_STD: Numbers = Var "fit_alpha_std", None, Fit;
    /// Posterior s.d. of ln β (full variational Bayes).
    FIT_BETA_STD: Numbers = Var "fit_beta_std", None, Fit;
    /// Posterior s.d. of ln γ (full variational Bayes).
    FIT_GAMMA_STD: Numbers = Var "fit_gamma_std", None, Fit;
    /// Posterior s.d. of ln γ/β (full variational Bayes).
    FIT_GAMMA_BETA_STD: Numbers = Var "fit_gamma_beta_std", None, Fit;
    /// Splicing rate in each lineage (the trunk first).
    FIT_BETA_LINEAGES: Matrix = Var "fit_beta_lineage_*", PerTime, Fit;
    /// Degradation rate in each lineage (the trunk first).
    FIT_GAMMA_LINEAGES: Matrix = Var "fit_gamma_lineage_*", PerTime, Fit;
    /// Overdispersion d of unspliced counts: variance m + d m².
    FIT_DISPERSION_U: Numbers = Var "fit_dispersion_u", None, Fit;
    /// Overdispersion d of spliced counts: variance m + d m².
    FIT_DISPERSION_S: Numbers = Var "fit_dispersion_s", None, Fit;
    /// How far cells depart from the curve of unspliced abundances: s.d. over cells of the factor that their neighbours tell.
    FIT_DEPARTURE_U: Numbers = Var "fit_departure_u", None, Fit;
    /// How far cells depart from the curve of spliced abundances, likewise.
    FIT_DEPARTURE_S: Numbers = Var "fit_departure_s", None, Fit;
    /// Log-likelihood of the gene in held-out cells, given the other genes.
    FIT_LL_HELD_OUT: Numbers = Var "fit_ll_held_out", NatsPerCell, Fit;
    /// Log-likelihood in held-out cells less that of a constant abundance.
    FIT_DYNAMICS: Numbers = Var "fit_dynamics", NatsPerCell, Fit;
    /// P-value of `fit_dynamics` against permuted cells; not corrected for the number of genes.
    FIT_PVAL_DYNAMICS: Numbers = Var "fit_pval_dynamics", Share, Fit;
    /// Log-likelihood in held-out cells less that of a gene without delay: unspliced in proportion to spliced abundance.
    FIT_DELAY: Numbers = Var "fit_delay", NatsPerCell, Fit;
    /// P-value of `fit_delay` against counts drawn without delay, among genes of like depth; not corrected for the number of genes.
    FIT_PVAL_DELAY: Numbers = Var "fit_pval_delay", Share, Fit;
    /// Benjamini–Hochberg q-value of `fit_pval_delay`: velocity genes are those below 0.05.
    FIT_QVAL_DELAY: Numbers = Var "fit_qval_delay", Share, Fit;
    /// Log-likelihood ratio of the gene: the chosen direction of time against the next best, less the same on counts without a direction.
    FIT_DIRECTION: Numbers = Var "fit_direction", Nats, Fit;
    /// How strongly the gene follows each dimension of the cell state, by its number.
    FIT_LOADINGS: Matrix = Var "fit_loading_*", None, Fit;
    /// Slope of unspliced over spliced abundance at steady state, γ/β.
    VELOCITY_GAMMA: Numbers = Var "velocity_gamma", None, Fit, known;
    /// Offset of that line, where one was fitted.
    VELOCITY_OFFSET: Numbers = Var "velocity_offset", Mu, Fit, known;
    /// Slope of the line through the extreme cells alone (quantile regression), where `velocity_gamma` is another.
    VELOCITY_QREG_RATIO: Numbers = Var "velocity_qreg_ratio", None, Fit, known;
    /// R² over all cells of the line through the extreme cells. scVelo's `tl.velocity` chooses genes by it.
    VELOCITY_R2: Numbers = Var "velocity_r2", None, Fit, known;
    /// R² over all cells of the line through all cells. scVelo's `recover_dynamics` chooses genes by it.
    FIT_R2: Numbers = Var "fit_r2", None, Fit, known;
    /// Groups of cells with kinetics of their own, joined by commas. scVelo's `tl.velocity(diff_kinetics=True)` reads it.
    FIT_DIFF_KINETICS: Words = Var "fit_diff_kinetics", None, Fit, known;
    /// The largest p-value of these groups.
    FIT_PVAL_KINETICS: Numbers = Var "fit_pval_kinetics", Share, Fit, known;

    /// scVelo's course of the objective of `recover_dynamics`. Nothing here writes it; it goes with the fit that it belongs to.
    SCVELO_LOSS: Matrix = Varm "loss", None, Fit, known;

    // --- what a model adds: everything else -----------------------------------------------------------------------
    /// scVelo's record of what made the velocities: `mode`.
    VELOCITY_PARAMS: Record = Uns "velocity_params", None, Fit, known;
    /// Our record of the fit: program, model, settings, seed, input, what was written. Read by every later command.
    NASCENT_FIT: Record = Uns "nascent_fit", None, Fit;
    /// What scVelo wants to know of a dynamical fit.
    RECOVER_DYNAMICS: Record = Uns "recover_dynamics", None, Fit, known;
    /// The soft grid's tree of times, transcription by piece, and evidence for the direction of time; of another model that starts from the
    /// soft grid's times, the evidence alone.
    SOFT_GRID: Record = Uns "soft_grid", None, Fit;
    /// veloVI's held-out bound, and what its times were scaled to.
    VELOVI: Record = Uns "velovi", None, Fit;

    // --- permutation score ----------------------------------------------------------------------------------------
    /// Permutation score, the largest of all groups of cells. veloVI keeps it in a table.
    PERMUTATION_SCORE: Numbers = Var "permutation_score", StandardErrors, Permute;
    /// The same between two permuted data sets.
    PERMUTATION_NULL: Numbers = Var "permutation_score_null", StandardErrors, Permute;
    /// The group of cells in which the score is largest.
    PERMUTATION_GROUP: Words = Var "permutation_score_group", None, Permute;
    /// Our record of the score: program, groups, what was written.
    NASCENT_PERMUTATION: Record = Uns "nascent_permutation", None, Permute;

    // --- what the velocity graph adds -----------------------------------------------------------------------------
    /// Cosines with the cells that the velocity points to.
    VELOCITY_GRAPH: Graph = Uns "velocity_graph", Cosine, Graph, known;
    /// Cosines with the cells that the velocity points away from.
    VELOCITY_GRAPH_NEG: Graph = Uns "velocity_graph_neg", Cosine, Graph, known;
    /// Probabilities of moving from one cell to another.
    T_FWD: Graph = Obsp "T_fwd", Share, Graph, known;
    /// Velocities projected onto the embedding `X_*`.
    PROJECTED: Matrix = Obsm "velocity_*", Embedding, Graph, known;
    /// UMAP, where the file brings no embedding.
    X_UMAP: Matrix = Obsm "X_umap", Embedding, Preprocess, known;
    /// Length of the velocity vector.
    VELOCITY_LENGTH: Numbers = Obs "velocity_length", MsPerTime, Graph, known;
    /// Agreement of the cell's velocity with its neighbours'.
    VELOCITY_CONFIDENCE: Numbers = Obs "velocity_confidence", Cosine, Graph, known;
    /// Agreement of the cell's velocity with where its transitions lead it on average.
    VELOCITY_CONFIDENCE_TRANSITION: Numbers = Obs "velocity_confidence_transition", Cosine, Graph, known;
    /// How much the cell stays where it is, for want of a cell that its velocity points to.
    VELOCITY_SELF_TRANSITION: Numbers = Obs "velocity_self_transition", Share, Graph, known;
    /// Agreement of the cell's velocity with those of its neighbours in the same group.
    VELOCITY_COHERENCE: Numbers = Obs "velocity_coherence", Cosine, Graph;
    /// How much the cell looks like one where lineages begin.
    ROOT_CELLS: Numbers = Obs "root_cells", Share, Graph, known;
    /// How much the cell looks like one where lineages end.
    END_POINTS: Numbers = Obs "end_points", Share, Graph, known;
    /// Pseudotime along the velocity graph.
    VELOCITY_PSEUDOTIME: Numbers = Obs "velocity_pseudotime", Share, Graph, known;
    /// scVelo's shared time of the genes, where `latent_time` is the model's own.
    LATENT_TIME_GENES: Numbers = Obs "latent_time_genes", Share, Graph;
    /// A shared time of the genes by another method than scVelo's, which the name ends with.
    LATENT_TIME_BY: Numbers = Obs "latent_time_*", Share, Graph;
    /// Largest over groups of how much higher the velocity of the gene is in the group than elsewhere.
    VELOCITY_SCORE: Numbers = Var "velocity_score", None, Graph, known;
    /// Names and scores of these genes by group, the highest first.
    RANK_VELOCITY_GENES: Record = Uns "rank_velocity_genes", None, Graph, known;
    /// Agreement of the graph of some genes with that of all, beside that of random sets of as many.
    VELOCITY_RECONSTRUCTABILITY: Record = Uns "velocity_reconstructability", None, Graph;
    /// Direction of velocities between groups, beside that of shuffled velocities.
    VELOCITY_BOUNDARIES: Record = Uns "velocity_boundaries", None, Graph;
    /// Our record of the graph: program, settings, genes, root, neighbours, what was written.
    NASCENT_GRAPH: Record = Uns "nascent_graph", None, Graph;
}

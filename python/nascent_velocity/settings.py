"""The settings, with their types and defaults. Made by scripts/settings_types.py from configs/: change those.

    settings: nv.settings.SoftGrid = {"model": {"grid": 200}}
    adata = nv.train(adata, "soft_grid", settings=settings)
"""

from __future__ import annotations

from typing import List, TypedDict, Union


class Input(TypedDict, total=False):
    """``[input]``."""

    spliced: str
    """Name of the layer with spliced counts. Default: "spliced"."""
    unspliced: str
    """Name of the layer with unspliced counts. Default: "unspliced"."""


class Preprocess(TypedDict, total=False):
    """``[preprocess]``."""

    recipe: str
    """Steps of preprocessing and their order: "scvelo-0.3"; "velovi" then scales Mu and Ms of each gene to [0, 1] and
    keeps the genes whose unspliced abundance a steady-state line explains. Default: "scvelo-0.3"."""
    counts: str
    """What the layers hold: "raw" counts, "normalised" values, or "auto": whole numbers are taken for raw counts, and
    so are fractional counts, of which at least 15 % are whole; the program says what it found. Default: "auto"."""
    min_shared_counts: int
    """Genes are kept whose spliced and unspliced counts, summed over the cells that have both, are at least this; 0
    keeps all. Default: 20."""
    min_shared_cells: int
    """Genes are kept that have both spliced and unspliced counts in at least this many cells; 0 keeps all. Default:
    0."""
    n_top_genes: int
    """Number of highly variable genes to keep (more if several are equally variable); 0 keeps all. Default: 2000."""
    flavor: str
    """How the variability of genes is scored; "seurat": standardised log dispersion. Default: "seurat"."""
    genes: List[str]
    """If not empty, exactly these genes are kept and no filter is used: names of the file, ids or symbols. Default:
    []."""
    genes_from: str
    """If not empty, exactly the genes of a column of var, those for which it is true, or "all" genes are kept and no
    filter is used. Default: ""."""
    retain_genes: List[str]
    """Genes that are kept even if a filter would remove them. Default: []."""
    n_pcs: int
    """Number of principal components in which neighbours are found; at most cells - 1 and genes - 1 are used. Default:
    30."""
    n_neighbors: int
    """Number of nearest neighbours of a cell, the cell itself included. Default: 30."""
    neighbors: str
    """Neighbour graph: from the "file", or computed ("compute"); "auto" takes the file's if it has at least
    n_neighbors. Default: "auto"."""
    use_rep: str
    """Key in obsm of an embedding of the file, all columns of which neighbours are found in ("X_pca_harmony"); empty:
    principal components. Default: ""."""
    batch: str
    """Column of obs with batches: neighbours of a cell are the nearest n_neighbors / number of batches in each batch,
    rounded down, as BBKNN has it (in its own, the cell itself is one of them); empty: the nearest wherever they are.
    Default: ""."""
    moments: str
    """Mu and Ms (means over neighbours): computed ("compute"), or taken from the "file". Default: "compute"."""


class Output(TypedDict, total=False):
    """``[output]``."""

    genes: str
    """Genes in the output: "all" of the input (NaN where not fitted), "fitted", or "auto": all, unless one matrix of
    all genes would be over 256 MiB. Default: "auto"."""
    layers: str
    """Layers in the output: "needed" (those that the next commands and scVelo read), "all", or names of others to add,
    separated by commas ("fit_u,fit_s"). Default: "needed"."""
    compression: int
    """Gzip level of what is added to the file, 0 (none) to 9. Default: 2."""


class VelovaeModelUncertainty(TypedDict, total=False):
    """``[model.uncertainty]``."""

    n_samples: int
    """Posterior samples of the velocity per cell, from which its uncertainty is computed; 0: none, else at least 2.
    Default: 25."""
    centred: bool
    """Similarity of two samples: true: correlation over genes (scvi-tools); false: cosine (the paper). Default:
    True."""
    population: bool
    """Denominator of variances: true: number of samples (scvi-tools); false: number of samples - 1. Default: True."""
    extrinsic: bool
    """Whether to compute the extrinsic uncertainty too: that of the future state that the velocity graph predicts; this
    takes most of the time. Default: True."""
    extrapolation: str
    """What the extrinsic uncertainty is measured on: the predicted "state" (scvi-tools), or the "displacement" from the
    cell to it. Default: "state"."""


class VelovaeModelTrain(TypedDict, total=False):
    """``[model.train]``."""

    device: str
    """Where to compute: "auto" (a discrete GPU if there is one, else the CPU), "cpu", "wgpu", "wgpu:1" and so on
    (nascent devices lists them); the flag --device sets it. Default: "auto"."""
    epochs: int
    """Maximum number of epochs (passes over the training cells). Default: 1000."""
    batch_size: int
    """Cells per gradient step. Default: 128."""
    optimizer: str
    """"adam": weight decay is an L2 penalty, part of the gradient; "adamw": weight decay is applied to the parameters
    directly. Default: "adam"."""
    learning_rate: float
    """Learning rate (step size of the optimizer). Default: 0.0002."""
    weight_decay: float
    """Weight decay: strength with which parameters are shrunk towards 0; 0: none. Default: 0.001."""
    epsilon: float
    """Adam's epsilon, added to the root of the second moment; the larger, the more slowly parameters with small
    gradients change. Default: 1e-08."""
    clip_norm: float
    """Gradient-norm clipping: a gradient (of all parameters together) with a larger norm is scaled down to this norm;
    0: no clipping. Default: 0.0."""
    split: str
    """Column of obs that assigns each cell to "train", "validation" or "test"; empty: cells are assigned at random, by
    the two fractions below. Default: ""."""
    validation_fraction: float
    """Fraction of cells held out for validation (early stopping), in [0, 1). Default: 0.15."""
    test_fraction: float
    """Fraction of cells held out for the final evaluation, in [0, 1). Default: 0.15."""
    stop_on: str
    """Held-out cells that early stopping uses: "validation", or "test", which stops on the cells that are reported (as
    the VeloVAE package does). Default: "validation"."""
    check_every: int
    """Epochs between two validations. Default: 2."""
    patience: int
    """Early stopping: number of validations in a row without sufficient gain that ends a stage of training; 0: no early
    stopping. Default: 10."""
    min_gain: float
    """Early stopping: smallest decrease of the validation loss that counts as gain, in nats (natural-log units) per
    gene and cell. Default: 0.001."""
    checkpoint_seconds: float
    """Seconds between checkpoints; the last epoch of a stage always writes one. Default: 20.0."""
    memory: str
    """Memory for the whole run, as "4GB": cells that do not fit are read from the file meanwhile; "": all are kept.
    Default: ""."""


class VelovaeModel(TypedDict, total=False):
    """``[model]``, with ``kind = "velovae"``."""

    kind: str
    """Default: "velovae"."""
    variant: str
    """"full": the transcription rate depends on the cell's state; "basic": one transcription rate per gene, switched on
    and off once; "branching" (only with a likelihood of counts): as full, and every lineage has rates of splicing and
    degradation of its own. Default: "full"."""
    lineages: str
    """Branching: column of obs with the lineage or cell type of each cell; empty: the lineages that the soft_grid model
    finds. Default: ""."""
    lineage_sd: float
    """Branching: prior s.d. of the logarithm of a rate over the lineages. Default: 0.5."""
    likelihood: str
    """Distribution of the data; "gaussian": of moments (Mu, Ms); "negative_binomial" or "poisson": of counts, with a
    size factor of each cell that is inferred. Default: "gaussian"."""
    size_sd: float
    """Counts: prior s.d. of the cells' size factors, around a prior mean of 1. Default: 0.3."""
    t_max: float
    """Time of the latest cell (by convention 20); only products of times and rates are identified. Default: 20.0."""
    capture_time: str
    """Column of obs with capture times, the times at which cells were collected (numbers, or text such as E8.5): mean
    of the prior of a cell's time; empty: none. Default: ""."""
    capture_order: List[str]
    """Labels of capture_time, the first captured first: their times are then evenly spaced; []: labels are read as
    times (E8.5, day-3, 24h beside 2d), and refused where they cannot be compared (E16.5 beside P2). Default: []."""
    init: str
    """Initial times where there are no capture times: the latent times of the "soft_grid" model, or from each gene's
    "steady_state" fit (median over genes), as also where the layers hold no raw counts. Default: "soft_grid"."""
    time_prior_std: float
    """Prior s.d. of a cell's time as a fraction of t_max, where there are no capture times; the prior mean is half of
    t_max. Default: 0.25."""
    n_latent: int
    """Full: number of dimensions of the latent cell state (paper: 5). Default: 5."""
    state_prior_std: float
    """Full: prior s.d. of the latent cell state (paper: 1; the authors' later program: 0.01). Default: 1.0."""
    hidden: List[int]
    """Widths of the encoder's two hidden layers; the decoder has them in reverse order. Default: [500, 250]."""
    dropout: float
    """Dropout: fraction of activations set to 0 in training. Default: 0.2."""
    rate_posterior: bool
    """Full variational Bayes: whether the rates have log-normal posteriors, whose s.d. are written, instead of one
    value each. Default: False."""
    alpha_prior: List[float]
    """Rate_posterior: prior of the transcription rate, log-normal: its median, and the s.d. of its logarithm. Default:
    [1.0, 2.0]."""
    beta_prior: List[float]
    """The same of the splicing rate. Default: [1.0, 0.7]."""
    gamma_prior: List[float]
    """The same of the degradation rate. Default: [0.5, 0.7]."""
    min_std: float
    """Smallest residual s.d. of a gene, in units of Mu and Ms. Default: 0.1."""
    start_epochs: int
    """Maximum number of epochs in which the encoder first learns the initial times, and of those in which decoder and
    rates then follow; 0: none. Default: 100."""
    joint_stage: str
    """Full, on moments: whether times, states and rates are learned together before the rounds, each cell from u = s =
    0, from where abundances only rise; "always" (paper); "never": times stay those of the start and states the
    principal components, and the rounds learn the s.d. of both; where the times come from the soft grid, the rates
    start as its rates, too; "auto": only where the times do not come from the soft grid, or no round follows. Default:
    "auto"."""
    refine_rounds: int
    """Maximum number of rounds in which each gene's residual s.d. and, with full, the initial conditions are estimated
    again and training goes on; they end at the first that does not raise the bound (ELBO) of held-out cells, which is
    undone. Default: 5."""
    refine_epochs: int
    """Maximum number of epochs in each of these rounds. Default: 500."""
    initial: str
    """Full: initial conditions are the ancestors' "observed" (paper) or "reconstructed" (fitted) abundances. Default:
    "observed"."""
    initial_space: str
    """Full: ancestors of a cell: "time": all cells of the time window below (paper); "time_and_state": those of them
    that are nearest in the latent cell state. Default: "time_and_state"."""
    n_ancestors: int
    """Full: number of ancestors per cell with "time_and_state". Default: 10."""
    window: List[float]
    """Full: time window of the ancestors, as fractions of the training cells in order of time; [0.06, 0.03]: the cells
    that come before the cell by 3 to 6 % of all training cells. Default: [0.06, 0.03]."""
    future_time: float
    """How far in the future the predicted abundance fit_s_future is, in units of time. Default: 1.0."""
    n_samples: int
    """Posterior samples from which the coefficients of variation (fit_cv) are computed; 0: none. Default: 30."""
    rate_learning_rate: float
    """Learning rate of the kinetic rates, which have no weight decay. Default: 0.0005."""
    uncertainty: VelovaeModelUncertainty
    train: VelovaeModelTrain


class VeloviPreprocess(TypedDict, total=False):
    """``[preprocess]``."""

    recipe: str
    """Steps of preprocessing and their order: "scvelo-0.3"; "velovi" then scales Mu and Ms of each gene to [0, 1] and
    keeps the genes whose unspliced abundance a steady-state line explains. Default: "velovi"."""
    counts: str
    """What the layers hold: "raw" counts, "normalised" values, or "auto": whole numbers are taken for raw counts, and
    so are fractional counts, of which at least 15 % are whole; the program says what it found. Default: "auto"."""
    min_shared_counts: int
    """Genes are kept whose spliced and unspliced counts, summed over the cells that have both, are at least this; 0
    keeps all. Default: 20."""
    min_shared_cells: int
    """Genes are kept that have both spliced and unspliced counts in at least this many cells; 0 keeps all. Default:
    0."""
    n_top_genes: int
    """Number of highly variable genes to keep (more if several are equally variable); 0 keeps all. Default: 2000."""
    flavor: str
    """How the variability of genes is scored; "seurat": standardised log dispersion. Default: "seurat"."""
    genes: List[str]
    """If not empty, exactly these genes are kept and no filter is used: names of the file, ids or symbols. Default:
    []."""
    genes_from: str
    """If not empty, exactly the genes of a column of var, those for which it is true, or "all" genes are kept and no
    filter is used. Default: ""."""
    retain_genes: List[str]
    """Genes that are kept even if a filter would remove them. Default: []."""
    n_pcs: int
    """Number of principal components in which neighbours are found; at most cells - 1 and genes - 1 are used. Default:
    30."""
    n_neighbors: int
    """Number of nearest neighbours of a cell, the cell itself included. Default: 30."""
    neighbors: str
    """Neighbour graph: from the "file", or computed ("compute"); "auto" takes the file's if it has at least
    n_neighbors. Default: "auto"."""
    use_rep: str
    """Key in obsm of an embedding of the file, all columns of which neighbours are found in ("X_pca_harmony"); empty:
    principal components. Default: ""."""
    batch: str
    """Column of obs with batches: neighbours of a cell are the nearest n_neighbors / number of batches in each batch,
    rounded down, as BBKNN has it (in its own, the cell itself is one of them); empty: the nearest wherever they are.
    Default: ""."""
    moments: str
    """Mu and Ms (means over neighbours): computed ("compute"), or taken from the "file". Default: "compute"."""


class VeloviModelUncertainty(TypedDict, total=False):
    """``[model.uncertainty]``."""

    n_samples: int
    """Posterior samples of the velocity per cell, from which its uncertainty is computed; 0: none, else at least 2.
    Default: 25."""
    centred: bool
    """Similarity of two samples: true: correlation over genes (scvi-tools); false: cosine (the paper). Default:
    True."""
    population: bool
    """Denominator of variances: true: number of samples (scvi-tools); false: number of samples - 1. Default: True."""
    extrinsic: bool
    """Whether to compute the extrinsic uncertainty too: that of the future state that the velocity graph predicts; this
    takes most of the time. Default: True."""
    extrapolation: str
    """What the extrinsic uncertainty is measured on: the predicted "state" (scvi-tools), or the "displacement" from the
    cell to it. Default: "state"."""


class VeloviModelTrain(TypedDict, total=False):
    """``[model.train]``."""

    device: str
    """Where to compute: "auto" (a discrete GPU if there is one, else the CPU), "cpu", "wgpu", "wgpu:1" and so on
    (nascent devices lists them); the flag --device sets it. Default: "auto"."""
    epochs: int
    """Maximum number of epochs (passes over the training cells). Default: 500."""
    batch_size: int
    """Cells per gradient step. Default: 256."""
    optimizer: str
    """"adam": weight decay is an L2 penalty, part of the gradient; "adamw": weight decay is applied to the parameters
    directly. Default: "adamw"."""
    learning_rate: float
    """Learning rate (step size of the optimizer). Default: 0.01."""
    weight_decay: float
    """Weight decay: strength with which parameters are shrunk towards 0; 0: none. Default: 0.01."""
    epsilon: float
    """Adam's epsilon, added to the root of the second moment; the larger, the more slowly parameters with small
    gradients change. Default: 0.01."""
    clip_norm: float
    """Gradient-norm clipping: a gradient (of all parameters together) with a larger norm is scaled down to this norm;
    0: no clipping. Default: 10.0."""
    split: str
    """Column of obs that assigns each cell to "train", "validation" or "test"; empty: cells are assigned at random, by
    the two fractions below. Default: ""."""
    validation_fraction: float
    """Fraction of cells held out for validation (early stopping), in [0, 1). Default: 0.1."""
    test_fraction: float
    """Fraction of cells held out for the final evaluation, in [0, 1). Default: 0.0."""
    stop_on: str
    """Held-out cells that early stopping uses: "validation", or "test", which stops on the cells that are reported (as
    the VeloVAE package does). Default: "validation"."""
    check_every: int
    """Epochs between two validations. Default: 1."""
    patience: int
    """Early stopping: number of validations in a row without sufficient gain that ends a stage of training; 0: no early
    stopping. Default: 45."""
    min_gain: float
    """Early stopping: smallest decrease of the validation loss that counts as gain, in nats (natural-log units) per
    gene and cell. Default: 0.0."""
    checkpoint_seconds: float
    """Seconds between checkpoints; the last epoch of a stage always writes one. Default: 20.0."""
    memory: str
    """Memory for the whole run, as "4GB": cells that do not fit are read from the file meanwhile; "": all are kept.
    Default: ""."""


class VeloviModel(TypedDict, total=False):
    """``[model]``, with ``kind = "velovi"``."""

    kind: str
    """Default: "velovi"."""
    init: str
    """Start values of the rates: "shipped" with scvi-tools (beta 0.974, gamma 0.313), or "seed": of the paper's example
    (beta 0.1, gamma 0.05). Default: "shipped"."""
    gamma_from_data: bool
    """Whether gamma starts at the ratio u / s of the 1 % of cells with the highest unspliced abundance of the gene.
    Default: False."""
    t_max: float
    """Length of the time axis (by convention 20). Default: 20.0."""
    n_latent: int
    """Number of dimensions of the latent cell state z. Default: 10."""
    hidden: int
    """Width of the hidden layers. Default: 256."""
    dropout: float
    """Dropout: fraction of activations of the encoder set to 0 in training. Default: 0.1."""
    linear_decoder: bool
    """Whether times depend linearly on z (before a sigmoid), so that every gene has loadings on z. Default: False."""
    time_dependent_transcription: bool
    """Whether the transcription rate changes during induction, towards a second rate. Default: False."""
    state_posterior: str
    """How the likelihood is averaged over the kinetic states: at one draw per cell and gene ("sampled", veloVI), or by
    an analytic bound without draws ("analytic"). Default: "sampled"."""
    state_prior: float
    """Concentration of the symmetric Dirichlet prior over the four kinetic states. Default: 0.25."""
    state_spread: List[float]
    """Factors that multiply the residual s.d. in each of the four kinetic states. Default: [1.0, 1.0, 1.0, 0.1]."""
    joint_state: bool
    """Whether u and s of a gene share one kinetic state; false: each has its own (veloVI). Default: False."""
    penalty: float
    """Weight of the penalty on the squared distance of the abundances at the switch from the median of the 1 % of cells
    with the highest unspliced abundance. Default: 0.2."""
    penalty_schedule: str
    """Weight of the penalty during training: "fade": it falls to 0 during the warm-up (scvi-tools); "constant" (the
    paper). Default: "fade"."""
    warmup_epochs: int
    """Epochs of warm-up, in which the weight of the KL divergence rises from 0 to 1; 0: no warm-up. Default: 400."""
    warmup: str
    """KL divergences that are warmed up: that of "z", or "all" (those of z and of the kinetic states). Default: "z"."""
    n_samples: int
    """Posterior samples of z over which velocity, times and fitted abundances are averaged. Default: 25."""
    velocity_statistic: str
    """Velocity that is written: "mean": posterior mean over the kinetic states; "max": that of the most probable state.
    Default: "mean"."""
    repressed_time: str
    """Time given to the state of repression at steady state: "zero" (veloVI: it looks early), "t_max", or "exclude": it
    is left out of the mean. Default: "zero"."""
    rescale: bool
    """Whether each gene's times are rescaled so that its latest cell is at t_max, as scVelo's functions expect.
    Default: True."""
    uncertainty: VeloviModelUncertainty
    train: VeloviModelTrain


class SoftGridModel(TypedDict, total=False):
    """``[model]``, with ``kind = "soft_grid"``."""

    kind: str
    """Default: "soft_grid"."""
    likelihood: str
    """Distribution of the data: of counts, "negative_binomial" or "poisson"; or of moments (Mu, Ms), "gaussian" or
    "seed" (squared distances over one scalar). Default: "negative_binomial"."""
    time_scope: str
    """Time of a cell: "shared": one for all genes; "gene" (only with gaussian or seed): one for each gene. Default:
    "shared"."""
    shape: str
    """Shape of the trajectory: "tree": a line, or lineages after a branch point; "ring": a cycle; "auto": a ring if
    cells lie on one and held-out cells are likelier on it. Default: "auto"."""
    lineages: int
    """Number of lineages (branches of the trajectory) after the branch point; 1: no branching; 0: chosen by the
    likelihood of held-out cells. Default: 0."""
    max_lineages: int
    """Lineages = 0: the largest number of lineages that is tried. Default: 4."""
    grid: int
    """Number of time points from the root to the end of a lineage. Default: 100."""
    pieces: int
    """Number of time intervals with constant transcription rate from the root to the end of a lineage. Default: 20."""
    t_max: float
    """Time of the last grid point (by convention 20). Default: 20.0."""
    time_prior: str
    """Prior of times over the grid: "learned" from the cells, or "uniform". Default: "learned"."""
    smoothing: float
    """Pseudocounts: cells added to every grid point before the prior of times is learned; 0: none. Default: 0.01."""
    capture_time: str
    """Column of obs with capture times, the times at which cells were collected (day, E8.5): the root is at the
    earliest, and each capture time learns a prior of times of its own; empty: none. Default: ""."""
    capture_order: List[str]
    """Labels of capture_time, the first captured first: their times are then evenly spaced; []: labels are read as
    times (E8.5, day-3, 24h beside 2d), and refused where they cannot be compared (E16.5 beside P2). Default: []."""
    batch: str
    """Column of obs that says which sample a cell is from: each sample captures unspliced molecules in a share of its
    own, relative to spliced ones and common to its genes, and all share kinetics, times and tree; empty: one sample.
    Default: ""."""
    root: str
    """Where time starts, as column=value of obs (clusters=Ductal): at the end of the data that is nearest to these
    cells, or amid them if they lie at no end; empty: each end is tried, and a place amid the cells, and the likelihood
    decides. Default: ""."""
    evidence: float
    """Direction of time: the mean over genes of the log-likelihood ratio, chosen direction against the next best, less
    the same on counts without a direction, must be at least this many standard errors to count as determined. Default:
    3.5."""
    sizes: str
    """Size factor of a cell: "shared": one for both species (spliced, unspliced), inferred; "species": one for each,
    inferred; "total": total counts over their median. Default: "shared"."""
    size_sd: float
    """Prior s.d. of the cells' size factors, around a prior mean of 1. Default: 0.3."""
    beta_prior: List[float]
    """Prior of the splicing rate beta, log-normal: its median (in 1 / time), and the s.d. of ln beta. Default: [1.0,
    0.7]."""
    gamma_prior: List[float]
    """Prior of the degradation rate gamma, likewise. Default: [0.5, 0.7]."""
    rate_scale: str
    """Medians of beta_prior and gamma_prior: "learned": each is lowered, by a factor of at most 20, to where the genes'
    rates are: cells may lie on a shorter part of a trajectory than these suppose; "fixed": they are as given. Default:
    "learned"."""
    scaling: str
    """Relative capture of unspliced molecules: "gene": each gene has its own, around a median of all genes; "one":
    unspliced and spliced molecules are counted alike. Default: "gene"."""
    switch_cost: float
    """Penalty on changes of the transcription rate along time: w in w ln(1 + (d ln alpha / 0.3)^2), in nats (natural-
    log units). Default: 1.0."""
    lineage_cost: float
    """Penalty on differences of the transcription rate between lineages: w in the same formula. Default: 0.3."""
    max_rounds: int
    """Maximum number of EM rounds. Default: 60."""
    tolerance: float
    """The fit ends after a round that raises the objective by less than this fraction. Default: 5e-06."""
    choice_cells: int
    """Maximum number of cells, drawn at random, on which the direction of time and the number of lineages are decided.
    Default: 3000."""
    choice_rounds: int
    """EM rounds of each candidate in these decisions. Default: 15."""
    velocity: str
    """Whose velocity is "velocity": "curve": the mean of the curve's over the cell's posterior, the same for all cells
    at one time of one lineage; "cell": the cell's own, from its abundances around the curve as its neighbours' counts
    tell them; the other is written as velocity_cell or velocity_curve. Default: "curve"."""
    uncertainty: bool
    """Whether to compute the posterior s.d. of velocities, the cell's own velocity beside the curve's, and each gene's
    score on held-out cells and against permuted ones. Default: True."""
    stream: bool
    """Whether to read cells block by block, for files larger than memory; no layers are written then. Default:
    False."""
    block_cells: int
    """Stream: cells per block. Default: 20000."""
    passes: int
    """Stream: passes over the file after the fit to the choice_cells. Default: 2."""


class DynamicalModel(TypedDict, total=False):
    """``[model]``, with ``kind = "dynamical"``."""

    kind: str
    """Default: "dynamical"."""
    schedule: str
    """How parameters of single genes are optimised: "converged": to the minimum of the loss; "compat": the few simplex
    steps of scVelo. The fit as scVelo has it is "compat" with one time for each gene. Default: "converged"."""
    time_scope: str
    """Time of a cell: "shared": one latent time for all genes, from fits of single genes; "gene": one for each gene
    (scVelo). Default: "shared"."""
    genes: str
    """Genes to fit: "velocity_genes" (those that the steady-state model selects, as in scVelo), or "all" that
    preprocessing kept. Default: "velocity_genes"."""
    fit_scaling: bool
    """Whether the scaling of unspliced abundance is fitted; false: it stays at the ratio of the standard deviations.
    Default: True."""
    t_max: float
    """Length of the time axis: each gene's times are rescaled so that its cells span it (scVelo: 20, called hours).
    Default: 20.0."""
    max_rounds: int
    """Maximum number of EM rounds of converged, and of the shared time. Default: 50."""
    tolerance: float
    """Converged and the shared time: the fit ends after a round that lowers the loss by less than this fraction.
    Default: 0.0003."""
    max_iter: int
    """Compat: scVelo's max_iter; each simplex makes max_iter / 5 - 1 steps. Default: 10."""
    full_projection: bool
    """Compat: assign times by projection onto the curve in all stages and for all genes; false: in the last stage,
    where beta < gamma. Default: False."""
    velocity: str
    """Velocities are computed from the fitted abundances ("fit"), or from the observed ones ("residuals", scVelo's
    dynamical_residuals). Default: "fit"."""
    min_likelihood: float
    """Velocity genes have a likelihood above this. Default: 0.001."""
    min_r2: float
    """Velocity genes have an R² of the steady-state line through all cells above this. Default: 0.01."""
    groups: str
    """With one time for each gene: column of obs with groups of cells to test for kinetics that differ from those of
    the other cells; empty: no test. Default: ""."""
    silence_groups: bool
    """Whether velocities are set to 0 in groups whose kinetics differ. Default: False."""
    branch_times: bool
    """With one time for each gene: whether to write fit_tau and fit_tau_, the times on both branches, from which scVelo
    recomputes velocities. Default: True."""


class SteadyStateModel(TypedDict, total=False):
    """``[model]``, with ``kind = "steady_state"``."""

    kind: str
    """Default: "steady_state"."""
    mode: str
    """What the slope of the steady-state line is fitted to: "stochastic": first and second moments; "deterministic":
    first moments only. Default: "stochastic"."""
    fit_offset: bool
    """Whether the steady-state line has an intercept (basal unspliced abundance); false: it passes through the origin.
    Default: False."""
    percentile: float
    """Cells above this percentile (50 to 100) of abundance decide the slope; with an intercept, also those below 100
    minus it. Default: 95.0."""
    min_r2: float
    """Velocity genes have a velocity_r2 (R² of the line through the extreme cells) above this. Default: 0.01."""
    min_ratio: float
    """Velocity genes have a slope (gamma / beta, from the extreme cells) above this. Default: 0.01."""
    highly_variable: str
    """Column of var that marks highly variable genes; where the file has it, only these can be velocity genes; empty:
    not used. Default: "highly_variable"."""


class AnalysisInput(TypedDict, total=False):
    """``[input]``."""

    spliced: str
    """Layer with spliced counts; where this is the default, the layer that the fit was made from, or one of the names
    that the field uses. Default: "spliced"."""
    unspliced: str
    """Layer with unspliced counts, likewise. Default: "unspliced"."""


class AnalysisGraphTransitions(TypedDict, total=False):
    """``[graph.transitions]``."""

    kernel: str
    """Kernel that turns similarities into weights: "exponential" (scVelo), or "softmax" over all candidate cells
    (CellRank). Default: "exponential"."""
    scale: float
    """Lambda in exp(lambda * similarity); 0: 10 (exponential), or 1 / median of the absolute similarity (softmax).
    Default: 0.0."""
    kernel_sigma: float
    """Sigma in exp(similarity / sigma^2), given instead of scale; 0: not given. Default: 0.0."""
    self_transitions: bool
    """Exponential: whether a cell may stay where it is, the more probably the lower its largest similarity. Default:
    True."""
    negative: bool
    """Exponential: whether cells with a negative similarity get negative weights; false: they get none. Default:
    False."""
    weight_diffusion: float
    """Weight of undirected diffusion on the embedding, in [0, 1); used only if scale_diffusion is above 0. Default:
    0.0."""
    scale_diffusion: float
    """Width of the Gaussian kernel on the embedding that multiplies the transitions, in units of the mean distance of
    candidate cells; 0: none. Default: 0.0."""
    write: bool
    """Whether the transition matrix is written to the file, as obsp["T_fwd"]. Default: True."""


class AnalysisGraph(TypedDict, total=False):
    """``[graph]``."""

    similarity: str
    """Similarity of the velocity v_i with the displacement vectors x_j - x_i: "correlation" (scVelo, CellRank),
    "cosine", or "dot_product" (only with the softmax kernel). Default: "correlation"."""
    square_root: str
    """Whether square roots of the entries are compared: "on", "off", or "auto": where the stochastic model made the
    velocities (scVelo). Default: "auto"."""
    neighbors: str
    """Cells j that a cell may move to: "two_levels": its nearest neighbours and their neighbours (scVelo); "nearest":
    its nearest neighbours; "connectivities": all that it is connected with (CellRank). Default: "two_levels"."""
    n_neighbors: int
    """Number of nearest neighbours used, of those in the file; 0: all; a cell with fewer uses these. Default: 0."""
    max_candidates: int
    """Maximum number of cells that a cell may move to, drawn at random; 0: no limit. Default: 0."""
    n_pcs: int
    """Number of principal components of Ms in which displacement vectors and velocities are compared; 0: in the genes.
    Default: 0."""
    transitions: AnalysisGraphTransitions


class AnalysisEmbeddingProjection(TypedDict, total=False):
    """``[embedding.projection]``."""

    kernel_scale: float
    """Lambda in exp(lambda * similarity), which turns similarities into transition probabilities. Default: 10.0."""
    self_transitions: bool
    """Whether cells may stay where they are; a cell with a low similarity to all its neighbours then gets a short
    arrow. Default: True."""
    negative_cosines: bool
    """Whether cells with a negative similarity push the arrow away; false: they attract it a little. Default: True."""
    density_correction: str
    """What is subtracted so that arrows do not point to where cells are dense: "row_mean" (scVelo), "one_over_k" (its
    paper) or "none". Default: "row_mean"."""
    weighting: str
    """Additional weights of the displacement vectors: "plain": none; "kernel": Gaussian of their length on the
    embedding; "confidence": none, but the arrow is multiplied by the cell's largest similarity. Default: "plain"."""
    displacement: str
    """Length of the displacement vectors on the embedding: "unit": scaled to 1; "full": as it is (scVelo's
    retain_scale). Default: "unit"."""


class AnalysisEmbeddingField(TypedDict, total=False):
    """``[embedding.field]``."""

    kind: str
    """Rule by which arrows are left out: "stream": for streamlines; "grid": for arrows on a grid. Default: "stream"."""
    density: float
    """Density of the grid; 1: 50 points per axis. Default: 1.0."""
    smooth: float
    """S.d. of the Gaussian weights of cells, in units of the grid spacing. Default: 0.5."""
    n_neighbors: int
    """Number of nearest cells averaged at each grid point; 0: one fiftieth of all cells. Default: 0."""
    min_mass: float
    """Threshold below which arrows are left out: stream: length 10^(min_mass - 6); grid: density of cells in % of its
    99th percentile. Default: 1.0."""
    cutoff_percentile: float
    """Stream: percentage of grid points left out because the velocities near them are the shortest. Default: 5.0."""


class AnalysisEmbeddingUmap(TypedDict, total=False):
    """``[embedding.umap]``."""

    min_dist: float
    """Distance on the embedding below which cells count as touching; at most spread. Default: 0.5."""
    spread: float
    """Scale of the embedding: distance over which similarity falls to 1/e beyond min_dist. Default: 1.0."""
    n_epochs: int
    """Number of epochs (passes over the neighbour graph); 0: 500, or 200 above 10,000 cells. Default: 0."""
    negative_samples: int
    """Number of random cells that repel a cell for each neighbour that attracts it. Default: 5."""
    learning_rate: float
    """Initial learning rate; it falls to 0. Default: 1.0."""


class AnalysisEmbedding(TypedDict, total=False):
    """``[embedding]``."""

    projection: AnalysisEmbeddingProjection
    field: AnalysisEmbeddingField
    umap: AnalysisEmbeddingUmap


class AnalysisTimeTerminal(TypedDict, total=False):
    """``[time.terminal]``."""

    min_share: float
    """Smallest terminal state, as a fraction of all cells, in [0, 1): smaller sets of cells that reach only each other
    are ignored; 0: none is ignored (scVelo). Default: 0.01."""
    max_leak: float
    """Largest probability per step of leaving a terminal state for good, in [0, 1] (scVelo: 0.001, and it finds none
    where the probability is larger). Default: 1.0."""
    tolerance: float
    """Eigenvalues within this relative distance of the leading one mark further terminal states, in [0, 1). Default:
    0.001."""
    n_eigenvectors: int
    """Maximum number of eigenvectors per terminal state. Default: 10."""


class AnalysisTimePseudotime(TypedDict, total=False):
    """``[time.pseudotime]``."""

    n_components: int
    """Number of diffusion components. Default: 10."""
    flatten_slow: bool
    """Whether components with an eigenvalue of at least 0.9994 get weight 1, as in scVelo; this loses the order of
    cells along long, thin data. Default: False."""


class AnalysisTimeLatent(TypedDict, total=False):
    """``[time.latent]``."""

    method: str
    """How the times of the genes are combined into one per cell: "scvelo": the two of five low quantiles that spread
    cells most evenly; "likelihood_mean" or "median" over genes, each in units of its longest time. Default:
    "scvelo"."""
    min_likelihood: float
    """Genes with a smaller likelihood are not used. Default: 0.1."""
    min_confidence: float
    """Cells whose time agrees less than this with that of their neighbours, in [0, 1], are left out of the mean over
    neighbours. Default: 0.75."""
    rerooting: str
    """Which times each of several roots starts from: "shipped": those left by the root before it, as in scVelo (the
    order of roots matters); "fixed": the fitted ones. Default: "shipped"."""
    renormalise_rows: bool
    """Whether the weights of neighbours are normalised to 1 again after cells were left out; scVelo does not. Default:
    False."""


class AnalysisTime(TypedDict, total=False):
    """``[time]``."""

    terminal: AnalysisTimeTerminal
    pseudotime: AnalysisTimePseudotime
    latent: AnalysisTimeLatent


class AnalysisScores(TypedDict, total=False):
    """``[scores]``."""

    sizes: List[int]
    """Sizes of gene sets whose velocity graph is compared with that of all genes (reconstructability). Default: [10,
    30, 100, 300]."""
    draws: int
    """Number of random gene sets of each size, for comparison. Default: 5."""
    cells: int
    """Maximum number of cells over which this is averaged, drawn at random. Default: 1000."""
    order: str
    """Column of numbers in var that ranks the genes, largest first; empty: how well each gene is fitted
    (fit_likelihood, or what the model has instead). Default: ""."""
    genes: List[str]
    """Gene set of your own to test for reconstructability: do these genes alone give the velocity graph of all?.
    Default: []."""
    edges: List[str]
    """Known directions between groups of cells, as ["Ductal > Beta"]. Default: []."""
    shuffles: int
    """Number of times that velocities are permuted over cells, for a null distribution. Default: 20."""
    top_genes: int
    """Number of top-ranked velocity genes listed for each group. Default: 100."""


class Velovae(TypedDict, total=False):
    """All settings of ``nascent train`` with the model ``velovae``."""

    seed: int
    input: Input
    preprocess: Preprocess
    model: VelovaeModel
    output: Output


class Velovi(TypedDict, total=False):
    """All settings of ``nascent train`` with the model ``velovi``."""

    seed: int
    input: Input
    preprocess: VeloviPreprocess
    model: VeloviModel
    output: Output


class SoftGrid(TypedDict, total=False):
    """All settings of ``nascent train`` with the model ``soft_grid``."""

    seed: int
    input: Input
    preprocess: Preprocess
    model: SoftGridModel
    output: Output


class Dynamical(TypedDict, total=False):
    """All settings of ``nascent train`` with the model ``dynamical``."""

    seed: int
    input: Input
    preprocess: Preprocess
    model: DynamicalModel
    output: Output


class SteadyState(TypedDict, total=False):
    """All settings of ``nascent train`` with the model ``steady_state``."""

    seed: int
    input: Input
    preprocess: Preprocess
    model: SteadyStateModel
    output: Output


class Analysis(TypedDict, total=False):
    """All settings of ``nascent graph`` and ``nascent report``."""

    seed: int
    input: AnalysisInput
    graph: AnalysisGraph
    embedding: AnalysisEmbedding
    time: AnalysisTime
    scores: AnalysisScores


#: Settings of any model.
Settings = Union[Velovae, Velovi, SoftGrid, Dynamical, SteadyState]

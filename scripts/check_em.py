"""Compares fits of ours with stored ones of scVelo; ends with status 1 if a line fails.

usage: check_em.py REFERENCE_FOLDER

REFERENCE_FOLDER holds scvelo_*.h5ad, complete runs of scVelo 0.3.4, and scvelo_em_sensitivity.json: how far scVelo's own
results move when Ms and Mu are multiplied by 1 + 1e-6 N(0, 1). Its simplex search stops after a few steps, and these end
elsewhere after any rounding; so nobody, scVelo included, can be asked to come nearer.
Compared are the genes that scVelo fitted. The latent time is computed by scVelo from our file and the stored graph.
"""

import json
import pathlib
import sys
import tempfile

import anndata
import numpy as np
import scvelo as scv
from scipy.stats import spearmanr

import em_runs

DATA_SETS = ["sim_300x30", "pancreas_top300", "dentategyrus_100obs"]
PARAMETERS = ["alpha", "beta", "gamma", "t_", "scaling"]
scv.settings.verbosity = 0


class Lines:
    """The lines of a table, each judged."""

    def __init__(self):
        self.n_failed = 0

    def add(self, name, ours, theirs, smaller_is_better):
        passes = ours <= theirs if smaller_is_better else ours >= theirs
        self.n_failed += not passes
        print(f"  {name:36} {ours:10.4g} {theirs:10.4g}  {'pass' if passes else 'FAIL'}")


def stripped(reference):
    """What goes into a fit, without anything that scVelo's fit left in the file."""
    layers = {name: reference.layers[name] for name in ("spliced", "unspliced", "Ms", "Mu")}
    graph = {name: reference.obsp[name] for name in ("distances", "connectivities")}
    obs, var = reference.obs[[]].copy(), reference.var[[]].copy()
    uns = {"neighbors": reference.uns["neighbors"]}
    obsm = {"X_pca": reference.obsm["X_pca"]}
    return anndata.AnnData(reference.X, obs=obs, var=var, uns=uns, obsm=obsm, layers=layers, obsp=graph)


def fit(program, data, folder, schedule):
    """Our fit of the file; its genes are the reference's, in order."""
    output = folder / f"{schedule}.h5ad"
    em_runs.train(program, data, output, schedule, 1, em_runs.AS_IN_FILE)
    return anndata.read_h5ad(output)


def compare_fits(ours, reference, genes, own, lines):
    """Parameters, likelihood and velocity of the genes that both fitted."""
    for name in PARAMETERS:
        found, stored = (data.var[f"fit_{name}"].to_numpy()[genes] for data in (ours, reference))
        difference = np.abs(found - stored) / np.abs(stored)
        label = f"{name}: relative difference"
        lines.add(f"{label}, median", np.median(difference), own[name]["median"], True)
        lines.add(f"{label}, p90", np.percentile(difference, 90), own[name]["p90"], True)
        lines.add(f"{label}, < 1 %", np.mean(difference < 0.01), own[name]["frac_below_1pct"], False)
    difference = np.abs(ours.var["fit_likelihood"] - reference.var["fit_likelihood"])[genes]
    lines.add("likelihood: difference, median", np.median(difference), own["likelihood"]["median"], True)

    found, stored = (np.float64(data.layers["velocity"][:, genes]) for data in (ours, reference))
    varies = (found.std(axis=0) > 0) & (stored.std(axis=0) > 0)
    if not varies.all():
        print(f"  velocity does not vary: {np.sum(~varies)} genes left out of the next three lines")
    pearson = [np.corrcoef(found[:, gene], stored[:, gene])[0, 1] for gene in np.flatnonzero(varies)]
    own = own["velocity_gene_pearson"]
    lines.add("velocity per gene: Pearson, median", np.median(pearson), own["median"], False)
    lines.add("velocity per gene: Pearson, p10", np.percentile(pearson, 10), own["p10"], False)
    lines.add("velocity per gene: Pearson, min", np.min(pearson), own["min"], False)


def latent_time(ours, genes):
    """scVelo's latent time from the velocities, gene times and likelihoods of some genes of ours."""
    ours = ours.copy()
    ours.var["velocity_genes"] = ours.var["velocity_genes"].to_numpy() & genes
    times = np.float64(ours.layers["fit_t"])
    times[:, ~genes] = np.nan
    ours.layers["fit_t"] = times
    np.random.seed(0)
    scv.tl.velocity_graph(ours, n_jobs=1, show_progress_bar=False)
    scv.tl.latent_time(ours)
    return ours.obs["latent_time"].to_numpy()


def compare_losses(ours, reference, genes, lines):
    """Share of genes whose loss at the end is no higher than scVelo's; half of them at least must be."""
    history = np.asarray(reference.varm["loss"])[genes]
    stored = np.array([row[np.isfinite(row)][-1] for row in history])
    ratio = ours.var["fit_loss"].to_numpy()[genes] / stored
    print(f"  loss of ours / scVelo's: median {np.median(ratio):.4f}, p90 {np.percentile(ratio, 90):.4f}, max {ratio.max():.4f}")
    return np.mean(ratio <= 1.0)


def check(name, folder, own, program, lines):
    """Both schedules on one data set."""
    reference = anndata.read_h5ad(folder / f"scvelo_{name}.h5ad")
    fitted = np.isfinite(reference.var["fit_alpha"].to_numpy())
    with tempfile.TemporaryDirectory(prefix="check_em.") as temporary:
        temporary = pathlib.Path(temporary)
        data = temporary / "input.h5ad"
        stripped(reference).write_h5ad(data)
        compat, converged = (fit(program, data, temporary, schedule) for schedule in ("compat", "converged"))
    for ours in (compat, converged):
        assert (ours.var_names == reference.var_names).all(), "output.genes=all keeps the genes"
    genes, also = (fitted & np.isfinite(ours.var["fit_alpha"].to_numpy()) for ours in (compat, converged))
    n_more = int(np.isfinite(compat.var["fit_alpha"]).sum() - genes.sum())

    print(f"\n{name}, compat" + " " * (38 - len(name)) + "ours     scVelo")
    lines.add("genes that scVelo fitted", genes.sum(), fitted.sum(), False)
    print(f"  genes fitted by ours only            {n_more:10d}")
    compare_fits(compat, reference, genes, own, lines)
    correlation = spearmanr(latent_time(compat, genes), reference.obs["latent_time"]).statistic
    lines.add("latent time: Spearman", correlation, own["latent_time_spearman"], False)

    print(f"\n{name}, converged")
    lines.add("genes that scVelo fitted", also.sum(), fitted.sum(), False)
    lines.add("loss at most scVelo's: share of genes", compare_losses(converged, reference, also, lines), 0.99, False)


def main():
    folder = pathlib.Path(sys.argv[1])
    sensitivity = json.loads((folder / "scvelo_em_sensitivity.json").read_text())
    program, lines = em_runs.nascent(), Lines()
    for name in DATA_SETS:
        check(name, folder, sensitivity[f"scvelo_{name}.h5ad eps=1e-06"], program, lines)
    print(f"\n{lines.n_failed} lines fail" if lines.n_failed else "\nall lines pass")
    sys.exit(1 if lines.n_failed else 0)


if __name__ == "__main__":
    main()

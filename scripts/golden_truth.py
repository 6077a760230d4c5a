"""Writes tests/golden/truth.json: scores against a truth, by numpy and scipy, from scVelo's stored
velocities and velocity graphs.

usage: golden_truth.py FOLDER_WITH_SCVELO_RUNS OUTPUT.json
"""

import json
import sys
import warnings

import anndata
import numpy as np
from scipy.stats import spearmanr

warnings.filterwarnings("ignore")
folder, output = sys.argv[1:3]


def arrows(data):
    """Positions and arrows in principal components, by the projection of La Manno et al. 2018 and Bergen et al. 2020 with a scale of
    10 and negative cosines, from scVelo's stored similarities."""
    x = data.obsm["X_pca"].astype(float)
    graph, negative = (data.uns[f"velocity_graph{kind}"].toarray().astype(float) for kind in ("", "_neg"))
    weights = np.expm1(10 * graph) - np.expm1(-10 * negative)
    v = np.zeros_like(x)
    for i in range(len(x)):
        near = np.flatnonzero(weights[i])
        near = near[near != i]
        steps = x[near] - x[i]
        steps /= np.linalg.norm(steps, axis=1)[:, None]
        v[i] = (weights[i, near] - weights[i, near].mean()) @ steps
    return x, v


def neighbours(data, i):
    row = data.obsp["distances"][i]
    return [j for j, d in zip(row.indices, row.data) if j != i and d > 0]


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def flow(data, time, period=None):
    x, v = arrows(data)
    found = []
    for i in range(data.n_obs):
        ahead = np.zeros(x.shape[1])
        for j in neighbours(data, i):
            apart = time[j] - time[i]
            if period:
                apart = (apart + period / 2) % period - period / 2
            ahead += apart * (x[j] - x[i])
        if np.any(ahead):
            found.append(cosine(v[i], ahead))
    return float(np.mean(found))


def edges(data, groups, steps):
    x, v = arrows(data)
    scores = {}
    for a, b in steps:
        cells = []
        for i in np.flatnonzero(groups == a):
            near = [j for j in neighbours(data, i) if groups[j] == b]
            if near:
                cells.append(np.mean([cosine(x[j] - x[i], v[i]) for j in near]))
        scores[f"{a} > {b}"] = float(np.mean(cells)) if cells else None
    return scores


def velocities(found, truth):
    kept = np.isfinite(found).all(0) & np.isfinite(truth).all(0)
    found, truth = found[:, kept].astype(float), truth[:, kept].astype(float)
    scaled = [m / (m.std(0) + 1e-12) for m in (found, truth)]
    large = np.abs(truth) > 0.05 * np.abs(truth).max(0)
    return {
        "n_genes": int(kept.sum()),
        "velocity_gene_pearson": float(np.median([np.corrcoef(found[:, g], truth[:, g])[0, 1] for g in range(found.shape[1])])),
        "velocity_cell_cosine_scaled": float(np.median([cosine(a, b) for a, b in zip(*scaled)])),
        "velocity_sign_agreement": float((np.sign(found) == np.sign(truth))[large].mean()),
    }


sim = anndata.read_h5ad(f"{folder}/scvelo_sim_300x30.h5ad")
time = sim.obs["true_t"].to_numpy(float)
marked = sim.var["velocity_genes"].to_numpy(bool)
found, truth = (np.asarray(sim.layers[name]) for name in ("velocity", "velocity_deterministic"))
result = {
    "source": "scVelo 0.3.4's files scvelo_sim_300x30.h5ad and scvelo_pancreas_top300.h5ad; numpy, scipy",
    "sim": {
        "time_spearman": float(spearmanr(sim.obs["latent_time"], time)[0]),
        **velocities(found, truth),
        "velocity_gene_pearson_of_velocity_genes": velocities(found[:, marked], truth[:, marked])["velocity_gene_pearson"],
        "n_velocity_genes": velocities(found[:, marked], truth[:, marked])["n_genes"],
        "flow_along_time": flow(sim, time),
        "confidence": float(sim.obs["velocity_confidence"].astype(float).mean()),
    },
    "circle": {"flow_along_time": flow(sim, time, 20.0)},
}
cells = anndata.read_h5ad(f"{folder}/scvelo_pancreas_top300.h5ad")
steps = [["Ngn3 low EP", "Ngn3 high EP"], ["Ngn3 high EP", "Pre-endocrine"], ["Pre-endocrine", "Beta"], ["Ductal", "Beta"]]
result["cells"] = {"edge_scores": edges(cells, cells.obs["clusters"].astype(str).to_numpy(), steps)}
json.dump(result, open(output, "w"), indent=1)

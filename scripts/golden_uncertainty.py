"""Writes tests/golden/uncertainty.json: scVelo's velocity graph and transition matrix, and scvi-tools' directional statistics.

    python scripts/golden_uncertainty.py

The input is a formula, which tests/it/uncertainty.rs repeats; neighbours are the nearest cells over all genes. The
extrinsic part follows veloVI's tutorial: one velocity graph per sample, approx=True, no square roots.
"""

import json
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp
import scvelo as scv
import scvi
from scipy.spatial.distance import cdist
from scvi.external.velovi._model import _compute_directional_statistics_tensor

N_OBS, N_SAMPLES, N_NEIGHBORS = 60, 5, 6
SHOWN = [0, 17, 59]  # cells whose transitions are stored


def noise(i, g, l):
    """Uniform in [-0.5, 0.5), from whole numbers."""
    return ((i * 7919 + g * 104_729 + l * 15_485_863 + i * g * 31 + g * l * 17) % 1009) / 1009.0 - 0.5


def abundances(n_vars):
    i, g = np.meshgrid(np.arange(N_OBS), np.arange(n_vars), indexing="ij")
    return (2.0 + np.sin(0.05 * i + g) + 0.3 * noise(i, g, 0)).astype(np.float32)


def velocities(n_vars, l):
    i, g = np.meshgrid(np.arange(N_OBS), np.arange(n_vars), indexing="ij")
    return (0.05 * np.cos(0.05 * i + g) + 0.08 * noise(i, g, l + 1)).astype(np.float32)


def neighbours(ms):
    distances = cdist(ms.astype(float), ms.astype(float))
    np.fill_diagonal(distances, np.inf)
    kept = np.zeros_like(distances)
    for i, row in enumerate(distances):
        nearest = np.argsort(row)[: N_NEIGHBORS - 1]
        kept[i, nearest] = row[nearest]
    return sp.csr_matrix(kept)


def statistics(samples):
    frame, _ = _compute_directional_statistics_tensor(samples.astype(np.float64), n_jobs=1, n_cells=N_OBS)
    return {name.removeprefix("directional_"): frame[name].tolist() for name in frame}


golden = {"source": f"scVelo {scv.__version__}, scvi-tools {scvi.__version__}, scripts/golden_uncertainty.py"}
for n_vars in (40, 120):
    ms = abundances(n_vars)
    samples = np.stack([velocities(n_vars, l) for l in range(N_SAMPLES)])
    data = anndata.AnnData(ms.copy(), layers={"Ms": ms})
    distances = neighbours(ms)
    data.obsp["distances"] = distances
    data.obsp["connectivities"] = ((distances + distances.T) > 0).astype(np.float32)
    params = {"n_neighbors": N_NEIGHBORS, "method": "umap"}
    keys = {"connectivities_key": "connectivities", "distances_key": "distances"}
    data.uns["neighbors"] = {**keys, "params": params}
    extrapolated, displaced, transitions, own = [], [], [], []
    for l in range(N_SAMPLES):
        key = f"sample_{l}"
        data.layers[key] = samples[l]
        scv.tl.velocity_graph(data, vkey=key, sqrt_transform=False, approx=True, n_jobs=1, show_progress_bar=False)
        t = scv.utils.get_transition_matrix(data, vkey=key, self_transitions=True, use_negative_cosines=True)
        extrapolated.append(np.asarray(t @ ms))
        displaced.append(np.asarray(t @ ms - np.asarray(t.sum(1)) * ms))
        own.append(data.obs[f"{key}_self_transition"].to_numpy().tolist())
        if l == 0:
            rows = sp.csr_matrix(t)[SHOWN]
            rows.sort_indices()
            transitions = [
                {"cell": c, "to": rows[k].indices.tolist(), "weight": rows[k].data.astype(float).tolist()}
                for k, c in enumerate(SHOWN)
            ]
    golden[str(n_vars)] = {
        "intrinsic": statistics(samples),
        "state": statistics(np.stack(extrapolated)),
        "displacement": statistics(np.stack(displaced)),
        "self_transition": own,
        "transitions": transitions,
    }
target = Path(__file__).parent.parent / "tests" / "golden" / "uncertainty.json"
target.write_text(json.dumps(golden) + "\n")

"""Writes tests/golden/flow.json: scVelo's arrows on principal components and on grids, umap-learn's curve.

    python scripts/golden_flow.py REFERENCE

REFERENCE is the folder with scVelo's runs; their stored graphs, velocities and (for grids) arrows are taken as they are.
Arrows are computed anew, without scVelo's autoscale and without an error of scipy (see transitions); of each, a few values
are kept.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy as np
import scvelo as scv
from scipy.sparse import csr_matrix
from scvelo.plotting.velocity_embedding_grid import compute_velocity_on_grid
from scvelo.tools.transition_matrix import transition_matrix
from sklearn.manifold import trustworthiness
from umap.umap_ import find_ab_params

reference = Path(sys.argv[1])
golden = {"source": f"scVelo {scv.__version__}, umap-learn {version('umap-learn')}, scripts/golden_flow.py"}

pancreas = anndata.read_h5ad(reference / "scvelo_pancreas_top300.h5ad")
places = pancreas.obsm["X_umap"].astype(float)
arrows = pancreas.obsm["velocity_umap"].astype(float)

grids = []
for density, stream in ((1, False), (1, True), (0.6, True)):
    x, v = compute_velocity_on_grid(places, arrows, density=density, adjust_for_stream=stream, autoscale=False)
    grid = {"density": density, "stream": stream}
    if stream:
        kept = ~np.isnan(v[0])
        grid["x"], grid["y"] = x[0].tolist(), x[1].tolist()
        shown = np.argwhere(kept)[:: max(1, kept.sum() // 40)]
        grid["arrows"] = [[int(row), int(column), *v[:, row, column].tolist()] for row, column in shown]
        grid["n_kept"] = int(kept.sum())
    else:
        shown = range(0, len(x), max(1, len(x) // 40))
        grid["arrows"] = [[*x[at].tolist(), *v[at].tolist()] for at in shown]
        grid["n_kept"] = len(x)
    grids.append(grid)
golden["grids"] = grids
golden["trustworthiness"] = trustworthiness(pancreas.obsm["X_pca"], pancreas.obsm["X_umap"], n_neighbors=15)



def transitions(data, key):
    """scVelo's transition matrix without its diagonal.

    tl.velocity_embedding removes the diagonal with setdiag(0). Where a few entries of it are missing (cells without
    self-transition), scipy 1.13 inserts them first and then zeroes the others one place off: self-transitions stay and
    transitions to other cells go. A matrix that comes without diagonal is left as it is.
    """
    dense = transition_matrix(data, vkey=key, use_negative_cosines=True).toarray()
    np.fill_diagonal(dense, 0)
    return csr_matrix(dense)


def arrows_of(data, key, basis, n_shown, **options):
    scv.tl.velocity_embedding(data, basis=basis, vkey=key, T=transitions(data, key), autoscale=False, **options)
    arrows = data.obsm[f"{key}_{basis}"]
    # The first dimensions are enough.
    return {str(cell): arrows[cell][:6].tolist() for cell in range(0, len(arrows), len(arrows) // n_shown)}


runs = {}
for name in ("sim_300x30", "pancreas_top300", "dentategyrus_100obs"):
    data = anndata.read_h5ad(reference / f"scvelo_{name}.h5ad")
    for key in ("velocity", "velocity_deterministic", "velocity_stochastic"):
        for basis in ("umap", "pca"):
            runs[f"{name} {key} {basis}"] = arrows_of(data, key, basis, 10)
golden["arrows"] = runs
gyrus = anndata.read_h5ad(reference / "scvelo_dentategyrus_100obs.h5ad")
golden["retained"] = arrows_of(gyrus, "velocity", "pca", 10, retain_scale=True)

golden["curves"] = [[d, s, *map(float, find_ab_params(s, d))] for d, s in ((0.5, 1.0), (0.1, 1.0), (0.3, 2.0))]
target = Path(__file__).parent.parent / "tests" / "golden" / "flow.json"
target.write_text(json.dumps(golden) + "\n")

"""Writes tests/golden/flow.json: scVelo's arrows on principal components and on grids, umap-learn's curve.

    python scripts/golden_flow.py REFERENCE

REFERENCE is the folder with scVelo's runs; their stored graphs, velocities and arrows are taken as they are. Grids come from
the pancreas, arrows without scVelo's autoscale from the dentate gyrus; of each, a few values are kept.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy as np
import scvelo as scv
from scvelo.plotting.velocity_embedding_grid import compute_velocity_on_grid
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

gyrus = anndata.read_h5ad(reference / "scvelo_dentategyrus_100obs.h5ad")
cells = [0, 13, 50, 99]
for name, options in {"direct": {"direct_pca_projection": True}, "retained": {"retain_scale": True}}.items():
    scv.tl.velocity_embedding(gyrus, basis="pca", autoscale=False, **options)
    golden[name] = {str(cell): gyrus.obsm["velocity_pca"][cell].tolist() for cell in cells}

golden["curves"] = [[d, s, *map(float, find_ab_params(s, d))] for d, s in ((0.5, 1.0), (0.1, 1.0), (0.3, 2.0))]
target = Path(__file__).parent.parent / "tests" / "golden" / "flow.json"
target.write_text(json.dumps(golden) + "\n")

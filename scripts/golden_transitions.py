"""Writes tests/golden/transitions.json: rows of scVelo's transition matrices along an embedding, from its own stored graphs.

usage: golden_transitions.py FOLDER_WITH_SCVELO_RUNS OUTPUT.json
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import anndata
import scvelo as scv

folder, output = sys.argv[1:3]
ROWS = [0, 7, 41]
found = {"tool": f"scVelo {scv.__version__} tl.transition_matrix(basis=\"umap\", …)", "runs": {}}
for run in ("sim_300x30", "dentategyrus_100obs"):
    data = anndata.read_h5ad(f"{folder}/scvelo_{run}.h5ad")
    kinds = {}
    for scale, weight in ((1.0, 0.0), (0.7, 0.3)):
        T = scv.utils.get_transition_matrix(data, basis="umap", scale_diffusion=scale, weight_diffusion=weight).tocsr()
        T.sort_indices()
        rows = {}
        for i in ROWS:
            row = T[i]
            kept = row.data != 0
            rows[i] = {"cells": row.indices[kept].tolist(), "values": [float(f"{v:.7g}") for v in row.data[kept]]}
        kinds[f"{scale} {weight}"] = rows
    found["runs"][run] = kinds
json.dump(found, open(output, "w"), indent=None)

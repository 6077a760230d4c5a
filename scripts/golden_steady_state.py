"""Writes tests/golden/steady_state_offset.json: scVelo's steady-state fits with an offset, and with R2 of the full fit.

    python scripts/golden_steady_state.py REFERENCE/scvelo_dentategyrus_100obs.h5ad

The input is a run of scVelo with Ms, Mu, spliced, unspliced and the neighbour graph; nothing of it is recomputed.
"""

import json
import sys
from pathlib import Path

import anndata
import scvelo as scv

data = anndata.read_h5ad(sys.argv[1])
golden = {"source": f"scVelo {scv.__version__}, tl.velocity(fit_offset=True), {Path(sys.argv[1]).name}"}
for mode in ("deterministic", "stochastic"):
    scv.tl.velocity(data, mode=mode, vkey=mode, fit_offset=True)
    golden[mode] = {key: data.var[f"{mode}_{key}"].tolist() for key in ("gamma", "offset", "r2", "genes")}
scv.tl.velocity(data, mode="deterministic", vkey="adjusted", r2_adjusted=True)
golden["adjusted"] = {key: data.var[f"adjusted_{key}"].tolist() for key in ("gamma", "r2", "genes")}
target = Path(__file__).parent.parent / "tests" / "golden" / "steady_state_offset.json"
target.write_text(json.dumps(golden) + "\n")

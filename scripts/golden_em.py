"""Writes tests/golden/em_losses.json: the last loss that scVelo 0.3.4 `tl.recover_dynamics` records of every gene.

usage: python scripts/golden_em.py REFERENCE_FOLDER      (the folder with scvelo_*.h5ad; needs anndata)
"""
import json
import sys
from pathlib import Path

import anndata
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CASES = ("sim_300x30", "pancreas_top300", "dentategyrus_100obs")

golden = {"source": "scVelo 0.3.4 tl.recover_dynamics, varm['loss'], last finite entry of each fitted gene"}
for case in CASES:
    data = anndata.read_h5ad(Path(sys.argv[1]) / f"scvelo_{case}.h5ad")
    rows = zip(data.var_names, data.varm["loss"])
    golden[case] = {gene: float(row[np.isfinite(row)][-1]) for gene, row in rows if np.isfinite(row).any()}
(ROOT / "tests" / "golden" / "em_losses.json").write_text(json.dumps(golden, indent=1) + "\n")

"""Writes tests/golden/em_spread.json: how far scVelo's fits move when the last digits of their input do.

    python scripts/golden_em_spread.py REFERENCE_DIR > tests/golden/em_spread.json

REFERENCE_DIR holds the complete runs scvelo_*.h5ad of scVelo 0.3.4. Of each, Ms and Mu are multiplied by 1 + 1e-6 N(0, 1) with
five seeds; the same genes are fitted again, and compared with the stored fit as check_em.py compares ours. Five CPU minutes.
"""

import json
import sys

import anndata
import numpy as np
import scvelo as scv

from check_em import DATA_SETS, figures, stripped

SEEDS = range(5)


def moved(reference, genes, seed):
    """scVelo's fit of the file with its moments moved."""
    data = stripped(reference)
    draws = np.random.default_rng(seed)
    for layer in ("Ms", "Mu"):
        data.layers[layer] = np.float32(data.layers[layer] * (1 + 1e-6 * draws.standard_normal(data.shape)))
    scv.tl.recover_dynamics(data, var_names=list(data.var_names[genes]), n_jobs=1, show_progress_bar=False)
    scv.tl.velocity(data, mode="dynamical")
    return data


def main():
    spread = {}
    for name in DATA_SETS:
        reference = anndata.read_h5ad(f"{sys.argv[1]}/scvelo_{name}.h5ad")
        genes = np.isfinite(reference.var["fit_alpha"].to_numpy())
        spread[name] = [figures(moved(reference, genes, seed), reference, genes) for seed in SEEDS]
    print(json.dumps(spread, indent=1))


if __name__ == "__main__":
    main()

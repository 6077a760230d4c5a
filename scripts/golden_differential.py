"""Writes tests/golden/differential_kinetics.json: scVelo's test for differential kinetics on stored fits.

    python scripts/golden_differential.py REFERENCE_FOLDER

Inputs are runs of scVelo with Ms, Mu, the neighbour graph and fit_*; nothing of them is recomputed. Columns `latent_time`
are dropped: scVelo would read them when it loads a fit, and not use them, for it assigns times anew in every step.

Two runs of each file. `as_is`: scVelo as it is, in single precision. `settled`: in double precision, and without the choices
that rounding makes in the first. scVelo asks for the sign of residuals of u that are 0 but for the last digits, wherever
times come from u alone; here the sign of the residual of s decides then, reversed. A group of which no cell is compared has p = 1.
"""

import json
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scvelo as scv
from scvelo.core import SplicingDynamics
from scvelo.tools._em_model_utils import BaseDynamics

SETTLED = 1e-9  # residuals of u in units of its spread that count as 0
folder = Path(sys.argv[1])
divergence, pval = BaseDynamics.get_divergence, BaseDynamics.get_pval_diff_kinetics


def sides(self, *args, mode=None, **kwargs):
    if mode != "outside_of_trajectory":
        return divergence(self, *args, mode=mode, **kwargs)
    tau, tau_ = divergence(self, *args, mode="tau", **kwargs)
    u, s = self.u / self.scaling, self.s
    side = []
    for alpha, start, at in ((self.alpha, [0, 0], tau), (0, [self.u0_, self.s0_], tau_)):
        solution = SplicingDynamics(alpha=alpha, beta=self.beta, gamma=self.gamma, initial_state=start)
        ut, st = solution.get_solution(at, stacked=False)
        du = (u - ut) / self.std_u * self.scaling
        side.append(np.where(np.abs(du) > SETTLED, np.sign(du), -np.sign(s - st)))
    return side[0] * side[1] == 1


def compared(self, *args, **kwargs):
    value = pval(self, *args, **kwargs)
    return 1 if np.isnan(value) else value


def test(data, double):
    data = data.copy()
    if double:
        data.layers["Ms"], data.layers["Mu"] = data.layers["Ms"].astype(float), data.layers["Mu"].astype(float)
    genes = data.var_names[data.var["fit_alpha"].notna()]
    scv.tl.differential_kinetic_test(data, var_names=list(genes), groupby="groups")
    rows = data.var_names.isin(genes)
    pvals = np.array([list(row) for row in data.varm["fit_pvals_kinetics"][rows]], dtype=float)
    clean = lambda values: [None if np.isnan(value) else float(f"{value:.6g}") for value in values]
    return {
        "genes": list(genes),
        "fit_diff_kinetics": [str(word) for word in data.var["fit_diff_kinetics"][rows]],
        "fit_pval_kinetics": clean(data.var["fit_pval_kinetics"][rows].astype(float)),
        "fit_pvals_kinetics": [clean(row) for row in pvals],
    }


def quarters(data):
    """Four equal groups along the first principal component, for a file without clusters."""
    rank = np.argsort(np.argsort(data.obsm["X_pca"][:, 0]))
    return pd.Categorical([f"quarter {1 + 4 * r // data.n_obs}" for r in rank])


golden = {"source": f"scVelo {scv.__version__}, tl.differential_kinetic_test (scripts/golden_differential.py)"}
for name in ("dentategyrus_100obs", "pancreas_top300"):
    data = anndata.read_h5ad(folder / f"scvelo_{name}.h5ad")
    del data.obs["latent_time"]
    data.obs["groups"] = data.obs["clusters"] if "clusters" in data.obs else quarters(data)
    entry = {"names": list(data.obs["groups"].cat.categories), "groups": data.obs["groups"].cat.codes.tolist()}
    entry["as_is"] = test(data, double=False)
    digits = test(data, double=True)
    BaseDynamics.get_divergence, BaseDynamics.get_pval_diff_kinetics = sides, compared
    entry["settled"] = test(data, double=True)
    BaseDynamics.get_divergence, BaseDynamics.get_pval_diff_kinetics = divergence, pval
    for other, run in (("in double precision", digits), ("settled", entry["settled"])):
        same = [a == b for a, b in zip(entry["as_is"]["fit_diff_kinetics"], run["fit_diff_kinetics"])]
        print(f"{name}: {sum(same)} of {len(same)} genes have the same groups as_is and {other}")
    golden[name] = entry
target = Path(__file__).parent.parent / "tests" / "golden" / "differential_kinetics.json"
target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")

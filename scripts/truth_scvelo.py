"""scVelo with its usual steps on one file, for scripts/truth and scripts/benchmark_public.

usage: truth_scvelo.py "" | _dynamical  INPUT.h5ad OUTPUT.h5ad SEED [benchmark]

benchmark: the steps of the public benchmark: duplicate cells are removed first, by principal components of values without logarithms, which
scVelo keeps and later finds neighbours by.
"""

import os
import sys
import warnings

import anndata
import scanpy as sc
import scvelo as scv

warnings.filterwarnings("ignore")
mode, source, target, seed = sys.argv[1].strip("_") or "stochastic", sys.argv[2], sys.argv[3], int(sys.argv[4])
scv.settings.verbosity = 0
benchmark = sys.argv[5:] == ["benchmark"]
threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

data = anndata.read_h5ad(source)
if benchmark:
    scv.pp.remove_duplicate_cells(data)
scv.pp.filter_and_normalize(data, min_shared_counts=20)
sc.pp.log1p(data)
# As `nascent train` does by default, so that both see the same genes.
if data.n_vars > 2000:
    sc.pp.highly_variable_genes(data, n_top_genes=2000, subset=True)
n_pcs = min(30, data.n_vars - 1, data.n_obs - 1)
neighbors = {"n_neighbors": 30, "n_pcs": n_pcs, "random_state": seed}
if benchmark:
    scv.pp.moments(data, n_pcs=n_pcs, n_neighbors=30)
    sc.pp.neighbors(data, **neighbors)
else:
    sc.pp.pca(data, n_comps=n_pcs, random_state=seed)
    sc.pp.neighbors(data, **neighbors)
    scv.pp.moments(data, n_pcs=None, n_neighbors=None)
if mode == "dynamical":
    scv.tl.recover_dynamics(data, n_jobs=threads, show_progress_bar=False)
scv.tl.velocity(data, mode=mode)
scv.tl.velocity_graph(data, n_jobs=threads, show_progress_bar=False)
scv.tl.velocity_pseudotime(data)
scv.tl.velocity_confidence(data)
if mode == "dynamical":
    scv.tl.latent_time(data)
data.write_h5ad(target)

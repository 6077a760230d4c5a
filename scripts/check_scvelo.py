"""Opens a file of ours with anndata, and lets scVelo work on it.

usage: check_scvelo.py FITTED.h5ad STREAM.png
"""

import sys
import warnings

warnings.filterwarnings("ignore")

import anndata
import matplotlib

matplotlib.use("Agg")
import numpy as np
import scanpy as sc
import scvelo as scv

path, picture = sys.argv[1:3]
data = anndata.read_h5ad(path)
print(data)

genes = data.var["velocity_genes"].to_numpy()
assert genes.dtype == bool and genes.sum() > 1, "velocity_genes is a boolean column"
for layer in ("Ms", "Mu", "velocity", "velocity_u", "fit_u", "fit_s"):
    assert np.isfinite(data.layers[layer][:, genes]).all(), layer
assert np.isfinite(data.obs["latent_time"]).all()

if "X_umap" not in data.obsm:
    sc.tl.umap(data, random_state=0)
scv.tl.velocity_graph(data, n_jobs=1, show_progress_bar=False)
scv.tl.velocity_embedding(data, basis="umap")
assert np.isfinite(data.obsm["velocity_umap"]).all()
color = next((name for name in ("clusters", "celltype", "true_branch") if name in data.obs), "latent_time")
scv.pl.velocity_embedding_stream(data, basis="umap", color=[color, "latent_time"], show=False)
matplotlib.pyplot.gcf().savefig(picture, dpi=110, bbox_inches="tight")
print(f"scVelo {scv.__version__}: velocity graph with {data.uns['velocity_graph'].nnz} entries; stream plot in {picture}")

if color == "clusters" or color == "celltype":
    order = data.obs.groupby(color, observed=True)["latent_time"].median().sort_values()
    print("clusters by median latent time:", ", ".join(f"{name} {time:.1f}" for name, time in order.items()))

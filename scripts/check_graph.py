"""Lets scVelo or CellRank work on a file with our velocity graph.

usage: check_graph.py scvelo|cellrank FOLDER     (FOLDER holds graph.h5ad and softmax.h5ad, see check_graph)
"""

import sys
import warnings

warnings.filterwarnings("ignore")

import anndata
import matplotlib

matplotlib.use("Agg")
import numpy as np
import scipy.sparse as sp

program, folder = sys.argv[1:3]
data = anndata.read_h5ad(f"{folder}/graph.h5ad")
groups = next((name for name in ("clusters", "celltype", "cell_type", "true_branch") if name in data.obs), None)
basis = data.uns["nascent_graph"]["basis"]


def largest(a, b):
    return np.abs((sp.csr_matrix(a) - sp.csr_matrix(b)).data).max(initial=0)


def check_scvelo():
    import scvelo as scv

    # Plots, from what is in the file: nothing of it is computed again.
    color = [name for name in (groups, "latent_time", "velocity_pseudotime", "velocity_confidence") if name in data.obs]
    scv.pl.velocity_embedding_stream(data, basis=basis, color=color, show=False, save=f"{folder}/scvelo_stream.png")
    scv.pl.velocity_embedding_grid(data, basis=basis, color=color[0], show=False)
    scv.pl.velocity_embedding(data, basis=basis, color=color[0], show=False)
    scv.pl.velocity_graph(data, basis=basis, threshold=0.2, show=False)
    genes = data.var_names[data.var["velocity_genes"]][:3]
    scv.pl.velocity(data, list(genes), basis=basis, show=False)
    scv.pl.scatter(data, basis=basis, color=["root_cells", "end_points"], show=False)
    if "rank_velocity_genes" in data.uns:
        import pandas as pd

        print(pd.DataFrame(data.uns["rank_velocity_genes"]["names"]).head(3).to_string())
    # The same graph, made by scVelo.
    own = data.copy()
    del own.uns["velocity_graph"], own.uns["velocity_graph_neg"]
    scv.tl.velocity_graph(own, n_jobs=1, show_progress_bar=False)
    for key in ("velocity_graph", "velocity_graph_neg"):
        print(f"{key}: {own.uns[key].nnz} entries, largest difference {largest(own.uns[key], data.uns[key]):.1e}")
        assert largest(own.uns[key], data.uns[key]) < 1e-5
    T = scv.utils.get_transition_matrix(own)
    print(f"transition matrix: largest difference {largest(T, data.obsp['T_fwd']):.1e}")
    assert largest(T, data.obsp["T_fwd"]) < 1e-5
    stored = {key: data.obs[key].to_numpy() for key in ("velocity_confidence", "velocity_pseudotime")}
    scv.tl.velocity_confidence(own)
    print(f"velocity_confidence: largest difference {np.abs(own.obs['velocity_confidence'] - stored['velocity_confidence']).max():.1e}")
    print(f"scVelo {scv.__version__}: its plots and tools ran on the file; stream plot in {folder}/scvelo_stream.png")


def check_cellrank():
    import cellrank as cr

    def kernel(path):
        data = anndata.read_h5ad(path)
        return data, cr.kernels.VelocityKernel(data).compute_transition_matrix(show_progress_bar=False)

    softmax, theirs = kernel(f"{folder}/softmax.h5ad")
    difference = largest(theirs.transition_matrix, softmax.obsp["T_fwd"])
    print(f"VelocityKernel against our softmax kernel: largest difference {difference:.1e}")
    assert difference < 1e-4
    mixed = 0.8 * theirs + 0.2 * cr.kernels.ConnectivityKernel(softmax).compute_transition_matrix()
    mixed.plot_projection(basis=basis, color=groups, recompute=True, save=f"{folder}/cellrank_projection.png")
    # Our transitions, as they are.
    ours = cr.kernels.PrecomputedKernel(data.obsp["T_fwd"].astype(float), adata=data)
    estimator = cr.estimators.GPCCA(ours)
    estimator.compute_schur(n_components=6, method="brandts")
    estimator.compute_macrostates(n_states=3, cluster_key=groups)
    print("macrostates from our transitions:", ", ".join(estimator.macrostates.cat.categories))
    print(f"CellRank {cr.__version__}: its kernels and estimators ran on the files")


check_scvelo() if program == "scvelo" else check_cellrank()

"""The Python half of scripts/check_pipeline: makes the processed file, and compares what came out with what scanpy reads."""

import pathlib
import sys

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.io


def starsolo(source):
    """Counts of the called cells, layers of cells x genes, by the rules of STARsolo's own documentation."""
    folder = pathlib.Path(source) / "Velocyto" / "filtered"
    barcodes = (folder / "barcodes.tsv").read_text().split()
    genes = pd.read_csv(folder / "features.tsv", sep="\t", header=None, index_col=0)
    layers = {name: scipy.io.mmread(folder / f"{name}.mtx").T.tocsr() for name in ["spliced", "unspliced", "ambiguous"]}
    return barcodes, genes, layers


def process(source, output):
    """Clusters and UMAP of the spliced counts, in another order, with fewer genes and other barcodes."""
    barcodes, genes, layers = starsolo(source)
    adata = anndata.AnnData(layers["spliced"].astype(np.float32))
    adata.obs_names = [f"{barcode}-1" for barcode in barcodes]
    adata.var_names = genes[1].to_numpy()
    adata.var["gene_ids"] = genes.index.to_numpy()
    adata.var_names_make_unique()
    order = np.random.default_rng(0).permutation(adata.n_obs)
    adata = adata[order].copy()
    sc.pp.filter_genes(adata, min_cells=3)
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=10)
    sc.pp.neighbors(adata, n_neighbors=10)
    sc.tl.umap(adata)
    adata.obs["clusters"] = pd.Categorical((adata.obsm["X_pca"][:, 0] > 0).astype(int).astype(str))
    adata.write_h5ad(output)
    print(adata)


def compare(source, folder):
    """Every number of the merged layers is the pipeline's, all of the processed file is there, and the results open."""
    barcodes, genes, layers = starsolo(source)
    folder = pathlib.Path(folder)
    processed, merged = (anndata.read_h5ad(folder / f"{name}.h5ad") for name in ["processed", "merged"])
    assert list(merged.obs_names) == list(processed.obs_names) and list(merged.var_names) == list(processed.var_names)
    cells = [barcodes.index(name.removesuffix("-1")) for name in merged.obs_names]
    columns = genes.index.get_indexer(merged.var["gene_ids"])
    for name in ["spliced", "unspliced"]:
        wanted = layers[name][cells][:, columns].toarray()
        assert (merged.layers[name].toarray() == wanted).all(), name
        print(f"{name}: {int(wanted.sum())} molecules, all where they belong")
    for name in ["X_pca", "X_umap"]:
        assert (merged.obsm[name] == processed.obsm[name]).all(), name
    assert (merged.X != processed.X).nnz == 0
    velocity = anndata.read_h5ad(folder / "velocity.h5ad")
    assert np.isfinite(velocity.obs["latent_time"]).all() and "velocity_graph" in velocity.uns
    assert velocity.obs["clusters"].equals(processed.obs["clusters"].loc[velocity.obs_names])
    assert (folder / "report" / "report.html").stat().st_size > 10_000
    print(velocity)


if __name__ == "__main__":
    {"process": process, "compare": compare}[sys.argv[1]](*sys.argv[2:])

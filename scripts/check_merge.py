"""Processed files as scanpy and the converters from R leave them, for the test of `nascent merge`.

usage: check_merge.py make|check FOLDER

`make` reads the names of cells from FOLDER/cells.txt, writes NAME.h5ad for each kind of file and prints the names; `check` compares
NAME.whole.h5ad (all cells have counts) and NAME.cut.h5ad (the first two have none) with NAME.h5ad.
"""

import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

GENES = ["Sox17", "Aldoa", "Gata1"]


def scanpy(cells):
    """Everything that an AnnData object can hold."""
    n = len(cells)
    rng = np.random.default_rng(0)
    data = anndata.AnnData(
        X=sp.csr_matrix(np.log1p(rng.poisson(1.0, (n, 3))).astype(np.float32)),
        obs=pd.DataFrame(
            {
                "clusters": pd.Categorical(["b", "a", None] * (n // 3), categories=["b", "a"], ordered=True),
                "share": rng.random(n),
                "flag": np.arange(n) % 2 == 0,
                "words": [f"w{i}" for i in range(n)],
                "whole": np.arange(n, dtype=np.int32),
            },
            index=cells,
        ),
        var=pd.DataFrame({"mean": [1.0, 2.0, 3.0]}, index=GENES),
        obsm={"X_umap": rng.random((n, 2)).astype(np.float32), "X_pca": rng.random((n, 4)),
              "frame": pd.DataFrame({"a": np.arange(n)}, index=cells), "sparse": sp.csr_matrix(np.eye(n, 3))},
        varm={"PCs": rng.random((3, 4))},
        obsp={"connectivities": sp.random(n, n, 0.4, "csr", random_state=0), "distances": rng.random((n, n))},
        uns={"clusters_colors": np.array(["#000000", "#ffffff"]), "neighbors": {"params": {"n_neighbors": 5}}},
        layers={"dense": rng.random((n, 3)), "columns": sp.csc_matrix(rng.poisson(1.0, (n, 3)))},
    )
    wide = anndata.AnnData(sp.csr_matrix(rng.poisson(1.0, (n, 5)).astype(np.float32)),
                           obs=data.obs, var=pd.DataFrame(index=[*GENES, "Rp1", "Xkr4"]))
    data.raw = wide
    return data


def seurat(cells):
    """As SeuratDisk leaves an object: dense scaled X, labels as numbers, no layers; `raw` holds the names of the genes."""
    data = scanpy(cells)
    del data.layers, data.obsm["frame"], data.obsm["sparse"]
    data.X = np.asarray(data.X.todense()) - 0.5
    data.obs["seurat_clusters"] = np.arange(len(cells)) % 3
    raw = anndata.AnnData(sp.csr_matrix(np.ones((len(cells), 3), np.float32)), obs=data.obs, var=pd.DataFrame(index=GENES))
    data.raw = raw
    data.var_names = ["0", "1", "2"]
    return data


def zellkonverter(cells):
    """As zellkonverter and anndataR write: logged X, layer counts, names of samples before the barcodes."""
    data = scanpy([f"s1_{cell}" for cell in cells])
    data.layers["counts"] = sp.csr_matrix(np.ones(data.shape))
    return data


def plain(folder):
    """Neither groups that are empty nor marks of encodings at the top, as some converters leave them."""
    with h5py.File(folder / "plain.h5ad", "r+") as file:
        for name in ["layers", "varm", "varp", "obsp"]:
            if name in file and (name == "layers" or not len(file[name])):
                del file[name]
        for key in list(file.attrs):
            del file.attrs[key]


KINDS = {"scanpy": scanpy, "seurat": seurat, "zellkonverter": zellkonverter, "plain": scanpy}


def same(name, one, other):
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, dict):
        assert set(one) <= set(other), f"{name}: {set(one)} in {set(other)}"
        for key, value in one.items():
            same(f"{name}[{key!r}]", value, other[key])
    elif sp.issparse(one):
        assert one.format == other.format and one.dtype == other.dtype, f"{name}: {one.format} {one.dtype} {other.format} {other.dtype}"
        assert (one != other).nnz == 0, name
    else:
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype and np.array_equal(one, other), f"{name}: {one.dtype} {other.dtype}"


def main(what, folder):
    if what == "make":
        cells = (folder / "cells.txt").read_text().split()
        for name, kind in KINDS.items():
            kind(cells).write_h5ad(folder / f"{name}.h5ad")
        plain(folder)
        print(*KINDS)
        return
    for name in KINDS:
        before = anndata.read_h5ad(folder / f"{name}.h5ad")
        for out, kept in [("whole", slice(None)), ("cut", slice(2, None))]:
            after = anndata.read_h5ad(folder / f"{name}.{out}.h5ad")
            wanted = before[kept].copy()
            label = f"{name} {out}"
            same(f"{label} X", wanted.X, after.X)
            # A subset in Python drops categories that are not used; a file keeps them.
            obs = before.obs.iloc[kept]
            same(f"{label} obs", obs, after.obs[list(obs.columns)])
            same(f"{label} var", wanted.var, after.var)
            same(f"{label} raw", wanted.raw.X, after.raw.X)
            same(f"{label} raw var", wanted.raw.var, after.raw.var)
            for slot in ["obsm", "varm", "obsp", "layers"]:
                for key, value in getattr(wanted, slot).items():
                    same(f"{label} {slot}[{key!r}]", value, getattr(after, slot)[key])
            same(f"{label} uns", dict(before.uns), dict(after.uns))
            assert after.layers["spliced"].dtype.kind == "u" and after.layers["spliced"].format == "csr", label
            assert after.uns["nascent_merge"]["cells_matched"] == after.n_obs, label


main(sys.argv[1], Path(sys.argv[2]))

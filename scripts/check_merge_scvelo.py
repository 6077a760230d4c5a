"""Merges the same processed file and loom with `scv.utils.merge` and with `nascent merge`, and compares the layers in the cells and
genes that both keep.

usage: $(scripts/scvelo_python) scripts/check_merge_scvelo.py [FOLDER]     [default: target/merge_scvelo]

NASCENT=... names the program; without it, the release build is used. The data are a loom as velocyto wrote it, and a loom of pancreas
with its names (SAMPLE:BARCODEx). The processed file has other barcodes ("-1"), another order, fewer genes, cells that the loom lacks, and
genes that are called alike.
"""

import os
import pathlib
import subprocess
import sys

import anndata
import loompy
import numpy as np
import pandas as pd
import scvelo as scv

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
NASCENT = os.environ.get("NASCENT", ROOT / "target" / "release" / "nascent")
LAYERS = ["spliced", "unspliced", "ambiguous"]


def pancreas(folder):
    """A loom of the counts of pancreas, under names as velocyto gives them."""
    data = anndata.read_h5ad(DATA / "pancreas.h5ad")
    rng = np.random.default_rng(1)
    barcodes = ["".join(word) for word in rng.choice(list("ACGT"), (data.n_obs, 16))]
    layers = {name: data.layers[name].T.toarray().astype(np.uint32) for name in LAYERS[:2]}
    layers["ambiguous"] = rng.poisson(0.1, layers["spliced"].shape).astype(np.uint32)
    path = folder / "pancreas.loom"
    rows = {"Gene": data.var_names.to_numpy(str), "Accession": np.array([f"ENSMUSG{i:011}" for i in range(data.n_vars)])}
    loompy.create(str(path), {"": layers["spliced"] + layers["unspliced"], **layers}, rows,
                  {"CellID": np.array([f"pancreas:{barcode}x" for barcode in barcodes])})
    return path


def processed(loom, path):
    """As scanpy leaves the cells of a loom: shuffled, four in five of them and some more, nine in ten genes, names of 10x."""
    rng = np.random.default_rng(0)
    ldata = anndata.read_loom(str(loom), validate=False)
    names = [name.split(":")[1].removesuffix("x") + "-1" for name in ldata.obs_names]
    cells = rng.permutation(len(names))[: len(names) * 4 // 5]
    strange = ["".join(word) + "-1" for word in rng.choice(list("ACGT"), (5, len(names[0]) - 2))]
    genes = np.sort(rng.permutation(ldata.n_vars)[: ldata.n_vars * 9 // 10])
    counts = ldata.layers["spliced"][cells][:, genes].toarray()
    counts = np.vstack([counts, counts[:5]]).astype(np.float32)
    adata = anndata.AnnData(np.log1p(counts), obs=pd.DataFrame(index=[names[i] for i in cells] + strange),
                            var=pd.DataFrame({"gene_ids": ldata.var["Accession"].to_numpy()[genes]}, index=ldata.var_names[genes]))
    adata.var_names_make_unique()
    adata = adata[rng.permutation(adata.n_obs)].copy()
    adata.obs["clusters"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 2, "a", "b"))
    adata.write_h5ad(path)
    return strange


def check(loom, folder):
    """Merges both ways and compares."""
    name = loom.stem
    before, after = folder / f"{name}_processed.h5ad", folder / f"{name}_merged.h5ad"
    strange = processed(loom, before)
    subprocess.run([NASCENT, "merge", before, loom, "--output", after], check=True)
    ours, adata, ldata = anndata.read_h5ad(after), anndata.read_h5ad(before), anndata.read_loom(str(loom), validate=False)
    wanted = [cell for cell in adata.obs_names if cell not in strange]
    twice = set(ldata.var_names[ldata.var_names.duplicated(keep=False)])
    # scVelo cuts names to their barcodes where none is the same in both: by default to 12 bases, of which 10x has 16.
    theirs = scv.utils.merge(adata, ldata, id_length=len(wanted[0]) - 2)
    theirs.obs_names = [f"{cell}-1" for cell in theirs.obs_names]
    assert list(ours.obs_names) == wanted, "the cells that have counts, in the order of the processed file"
    assert set(theirs.obs_names) == set(wanted), "scVelo keeps the same cells"
    genes = [gene for gene in theirs.var_names if gene in ours.var_names and gene not in twice]
    assert set(theirs.var_names) - twice <= set(ours.var_names), "no gene of scVelo's is lost"
    print(f"{name}: {ours.n_obs} cells in both; genes: {ours.n_vars} of ours, {theirs.n_vars} of scVelo's, {len(genes)} compared")
    for layer in LAYERS:
        one = np.asarray(ours[wanted, genes].layers[layer].todense() if layer in ours.layers else 0)
        other = np.asarray(theirs[wanted, genes].layers[layer].todense())
        differ = int((one != other).sum())
        print(f"  {layer}: {int(other.sum())} molecules, {differ} of {other.size} values differ")
        assert differ == 0, layer
    assert ours.obs["clusters"].equals(anndata.read_h5ad(before).obs["clusters"].loc[wanted])


def main(folder=ROOT / "target" / "merge_scvelo"):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for loom in [DATA / "pipelines" / "velocyto_0.17.17" / "sample1.loom", pancreas(folder)]:
        check(loom, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])

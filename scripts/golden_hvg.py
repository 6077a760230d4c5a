"""Writes tests/golden/pancreas_hvg.tsv from scanpy's scores of variable genes.

    python scripts/golden_hvg.py REFERENCE_DIR > tests/golden/pancreas_hvg.tsv

REFERENCE_DIR holds scvelo_pancreas_top300_hvg.npz and pancreas_top2000_genes.npz, both made by scanpy 1.10.4
(`pp.highly_variable_genes`, flavour seurat, n_top_genes = 300 and 2000) after scVelo 0.3.4
`pp.filter_and_normalize(min_shared_counts=20)` and `sc.pp.log1p` of pancreas.h5ad.
"""

import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
scores = np.load(folder / "scvelo_pancreas_top300_hvg.npz")
top2000 = set(np.load(folder / "pancreas_top2000_genes.npz")["genes"])

print("# pancreas.h5ad, 3962 genes with 20 shared counts: scVelo 0.3.4, scanpy 1.10.4, flavour seurat; scripts/golden_hvg.py")
print("gene\tmeans\tdispersions\tdispersions_norm\ttop300\ttop2000")
columns = [scores[name] for name in ("genes", "means", "dispersions", "dispersions_norm", "highly_variable")]
for gene, mean, dispersion, norm, top300 in zip(*columns):
    print(f"{gene}\t{mean:.7g}\t{dispersion:.7g}\t{norm:.7g}\t{int(top300)}\t{int(gene in top2000)}")

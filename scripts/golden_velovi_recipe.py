"""Writes tests/golden/velovi_recipe.tsv from files that scVelo and scikit-learn prepared for veloVI.

    python scripts/golden_velovi_recipe.py pancreas=PREPARED.h5ad sim_600x200=PREPARED.h5ad > tests/golden/velovi_recipe.tsv

Each PREPARED.h5ad is of `scripts/velovi_runs.py prepare` on ../shared/data/NAME.h5ad. A row per gene, in the order of the file.
"""

import sys

import anndata as ad

CELLS = (0, 123)

print("# genes and moments as veloVI's tutorial prepares them: scVelo 0.3.4, scanpy 1.10.4, scikit-learn 1.5.2; scripts/golden_velovi_recipe.py")
values = [f"{layer}_{cell}" for layer in ("Ms", "Mu") for cell in CELLS]
print("\t".join(["file", "gene", "Ms_span", "Mu_span", "velocity_gamma", "velocity_r2", *values]))
for argument in sys.argv[1:]:
    name, path = argument.split("=", 1)
    data = ad.read_h5ad(path)
    columns = [data.var[key] for key in ("span_s", "span_u", "velocity_gamma", "velocity_r2")]
    columns += [data.layers[layer][cell] for layer in ("Ms", "Mu") for cell in CELLS]
    for gene, *numbers in zip(data.var_names, *columns):
        print("\t".join([name, gene, *(f"{number:.7g}" for number in numbers)]))

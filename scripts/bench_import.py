"""Makes a molecule_info.h5 for scripts/bench_import: bench_import.py FILE MOLECULES CELLS"""

import json
import sys

import h5py
import numpy as np

GENES = 36_601
# Molecules that are made at once.
BLOCK = 1 << 22


def names(numbers):
    """Barcodes of sixteen bases, the digits of a number."""
    bases = np.frombuffer(b"ACGT", dtype="S1")
    digits = (np.asarray(numbers, dtype=np.uint64)[:, None] >> (2 * np.arange(16, dtype=np.uint64))) & 3
    return bases[digits.astype(int)].view("S16").ravel()


def main(path, molecules, cells):
    rng = np.random.default_rng(0)
    barcodes = 50 * cells
    # Barcodes come one after the other, cells among the others, as in Cell Ranger's files.
    is_cell = np.zeros(barcodes, dtype=bool)
    is_cell[rng.choice(barcodes, cells, replace=False)] = True
    share = np.where(is_cell, 0.9 / cells * rng.lognormal(0, 0.5, barcodes), 0.1 / (barcodes - cells))
    per_barcode = rng.multinomial(molecules, share / share.sum())
    ends = np.cumsum(per_barcode)
    popularity = np.cumsum(1 / np.arange(1, GENES + 1))
    order = rng.permutation(GENES)
    with h5py.File(path, "w") as file:
        file.attrs["file_version"] = 6
        text = np.dtype(h5py.string_dtype())
        library = [{"library_id": 0, "library_type": "Gene Expression", "gem_group": 1}]
        file.create_dataset("library_info", data=json.dumps(library), dtype=text)
        file.create_dataset("metrics_json", data=json.dumps({"analysis_parameters": {"include_introns": True}}), dtype=text)
        file["barcodes"] = names(np.arange(barcodes) * 8_191)
        features = {
            "id": [f"ENSG{gene:011d}" for gene in range(GENES)],
            "name": [f"GENE{gene}" for gene in range(GENES)],
            "feature_type": ["Gene Expression"] * GENES,
            "genome": ["GRCh38"] * GENES,
        }
        for name, values in features.items():
            file[f"features/{name}"] = np.array(values, dtype="S")
        called = np.flatnonzero(is_cell).astype(np.uint64)
        file["barcode_info/pass_filter"] = np.stack([called, np.zeros_like(called), np.zeros_like(called)], axis=1)
        file["barcode_info/genomes"] = np.array(["GRCh38"], dtype="S")
        types = {"barcode_idx": "u8", "feature_idx": "u4", "gem_group": "u2", "library_idx": "u2", "umi": "u4", "count": "u4", "umi_type": "u4"}
        column = {
            name: file.create_dataset(name, (molecules,), kind, chunks=(1 << 16,), compression="gzip", compression_opts=1, shuffle=True)
            for name, kind in types.items()
        }
        for start in range(0, molecules, BLOCK):
            end = min(start + BLOCK, molecules)
            n = end - start
            column["barcode_idx"][start:end] = np.searchsorted(ends, np.arange(start, end), side="right")
            column["feature_idx"][start:end] = order[np.searchsorted(popularity, rng.random(n) * popularity[-1])]
            column["gem_group"][start:end] = np.ones(n, "u2")
            column["library_idx"][start:end] = np.zeros(n, "u2")
            column["umi"][start:end] = rng.integers(0, 1 << 24, n)
            column["count"][start:end] = rng.geometric(0.3, n)
            column["umi_type"][start:end] = rng.random(n) > 0.3


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

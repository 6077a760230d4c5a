"""Files of every AnnData encoding, and a check of what comes out of them.

    check_anndata.py make FOLDER     write FOLDER/*.h5ad and FOLDER/expected.json
    check_anndata.py check FOLDER    compare FOLDER/out/{all,fitted}/*.h5ad with what went in

`tests/it/io_python.rs` runs both, and the library in between, with the Pythons that NASCENT_PYTHON names.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

warnings.filterwarnings("ignore")

N_OBS, N_VARS = 12, 7
KEPT = [1, 3, 4]
VERSION = tuple(int(part) for part in version("anndata").split(".")[:2])


def counts(seed):
    rng = np.random.default_rng(seed)
    return rng.poisson(0.8, (N_OBS, N_VARS)).astype("f4")


def base(form=sp.csr_matrix, dtype="f4"):
    spliced, unspliced = (form(counts(seed).astype(dtype)) for seed in (1, 2))
    obs = pd.DataFrame(index=[f"cell {i}" for i in range(N_OBS)])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(N_VARS)])
    data = anndata.AnnData(form(counts(3).astype(dtype)), obs=obs, var=var)
    data.layers["spliced"], data.layers["unspliced"] = spliced, unspliced
    return data


def add_columns(data):
    n = np.arange(N_OBS)
    obs = data.obs
    obs["int"] = n - 3
    obs["small"] = n.astype("u1")
    obs["float"] = np.where(n == 2, np.nan, n / 7)
    obs["single"] = (n / 3).astype("f4")
    obs["bool"] = n % 2 == 0
    obs["label"] = pd.Categorical.from_codes(n % 3 - (n == 4), ["α", "b c", "d"])
    obs["ordered"] = pd.Categorical.from_codes(n % 2, ["low", "high"], ordered=True)
    obs["numbered"] = pd.Categorical(n % 4)
    obs["text"] = [f"w{i}" for i in n]
    obs["Int64"] = pd.array(n, dtype="Int64")
    obs["Int64 missing"] = pd.array([None if i == 1 else i for i in n], dtype="Int64")
    obs["boolean"] = pd.array(n % 2 == 1, dtype="boolean")
    obs["boolean missing"] = pd.array([None if i == 1 else i % 2 == 1 for i in n], dtype="boolean")
    g = np.arange(N_VARS)
    data.var["symbol"] = [f"S{i}" for i in g]
    data.var["class"] = pd.Categorical.from_codes(g % 2, ["x", "y"])
    data.var["mean"] = g / 2
    data.var["hvg"] = g % 2 == 0
    data.var["rank"] = pd.array([None if i == 3 else i for i in g], dtype="Int64")
    # anndata would make these labels; words with repeats are kept as words by writing them as such below.
    return data


def add_rest(data):
    rng = np.random.default_rng(5)
    data.raw = data.copy()
    data.obsm["X_pca"] = rng.normal(size=(N_OBS, 4))
    data.obsm["X_umap"] = rng.normal(size=(N_OBS, 2)).astype("f4")
    data.obsm["table"] = pd.DataFrame({"a": np.arange(N_OBS)}, index=data.obs_names)
    data.obsm["sparse"] = sp.csr_matrix(counts(6))
    data.varm["PCs"] = rng.normal(size=(N_VARS, 4))
    data.varm["table"] = pd.DataFrame({"b": [f"v{i}" for i in range(N_VARS)]}, index=data.var_names)
    data.varm["sparse"] = sp.csr_matrix(counts(6).T)
    data.varp["corr"] = rng.normal(size=(N_VARS, N_VARS))
    data.varp["sparse"] = sp.csr_matrix(counts(7).T @ counts(7))
    data.layers["csc"] = sp.csc_matrix(counts(8).astype("f8"))
    data.layers["int"] = counts(9).astype("i4")
    graph = sp.csr_matrix((np.ones(N_OBS, "f4"), (np.arange(N_OBS), (np.arange(N_OBS) + 1) % N_OBS)))
    data.obsp["connectivities"] = graph + graph.T
    data.obsp["distances"] = graph
    data.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {"n_neighbors": 2, "method": "umap"},
    }
    data.uns["label_colors"] = np.array(["#111111", "#222222", "#333333"], dtype=object)
    data.uns["nested"] = {"a": {"b": 1, "c": "word"}, "empty": {}, "array": np.arange(3)}
    data.uns["rank_genes_groups"] = np.rec.fromarrays([["g1", "g2"], [1.0, 2.0]], names=["names", "scores"])
    data.uns["frame"] = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=["r", "s"])
    return data


def edited(folder, name, source, edit):
    path = folder / f"{name}.h5ad"
    source.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        edit(file)


def fixed_strings(kind):
    def edit(file):
        for axis, n, prefix in (("obs", N_OBS, "cell "), ("var", N_VARS, "gene")):
            group = file[axis]
            index = group.attrs["_index"]
            del group[index]
            words = np.array([f"{prefix}{i}".encode() for i in range(n)], dtype=h5py.string_dtype(kind, 12))
            group.create_dataset(index, data=words)
            group[index].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})

    return edit


def legacy_frame(file):
    """anndata 0.7: labels under __categories, codes with a reference to them."""
    for mark in ("encoding-type", "encoding-version"):
        file.attrs.pop(mark, None)
    for axis in ("obs", "var"):
        group = file[axis]
        group.attrs["encoding-version"] = "0.1.0"
        for name in list(group):
            if not isinstance(group[name], h5py.Group):
                for mark in ("encoding-type", "encoding-version"):
                    group[name].attrs.pop(mark, None)
                continue
            column = group[name]
            if column.attrs["encoding-type"] == "nullable-string-array":
                words = column["values"][...]
                del group[name]
                group[name] = words
                continue
            if column.attrs["encoding-type"] != "categorical":
                del group[name]
                group.attrs["column-order"] = [c for c in group.attrs["column-order"] if c != name]
                continue
            codes, labels = column["codes"][...], column["categories"][...]
            ordered = column.attrs["ordered"]
            del group[name]
            labels_at = group.require_group("__categories").create_dataset(name, data=labels)
            labels_at.attrs["ordered"] = ordered
            group.create_dataset(name, data=codes).attrs["categories"] = labels_at.ref


def legacy_sparse(file):
    """h5sparse: other names of the attributes."""
    for group in (file["X"], file["layers/spliced"], file["layers/unspliced"]):
        form, shape = group.attrs["encoding-type"][:3], group.attrs["shape"]
        for name in list(group.attrs):
            del group.attrs[name]
        group.attrs["h5sparse_format"] = form
        group.attrs["h5sparse_shape"] = shape


def records(file):
    """anndata 0.6: tables of records, labels in uns, graph in uns."""
    legacy_sparse(file)
    for name in list(file.attrs):
        del file.attrs[name]
    for name in ("obsp", "varp", "obsm", "varm", "obs", "var"):
        if name in file:
            del file[name]
    kind = [("index", "S10"), ("n_counts", "f4"), ("clusters", "i1"), ("batch", "S4")]
    rows = [(f"cell {i}".encode(), i / 2, i % 2, b"b1") for i in range(N_OBS)]
    file["obs"] = np.array(rows, dtype=kind)
    file["var"] = np.array([(f"gene{i}".encode(), i) for i in range(N_VARS)], dtype=[("index", "S10"), ("n", "i8")])
    arrays = np.zeros(N_OBS, dtype=[("X_pca", "f4", (4,)), ("X_tsne", "f8", (2,))])
    arrays["X_pca"] = np.arange(N_OBS * 4).reshape(N_OBS, 4)
    file["obsm"] = arrays
    uns = file.require_group("uns")
    for name in list(uns.attrs):
        del uns.attrs[name]
    uns["clusters_categories"] = np.array([b"Alpha", b"Beta"])
    graph(uns.create_group("neighbors"))


def graph(record):
    """scanpy before 1.5: the matrices themselves in uns."""
    ring = sp.csr_matrix((np.ones(N_OBS), (np.arange(N_OBS), (np.arange(N_OBS) + 1) % N_OBS)))
    for name in ("connectivities", "distances"):
        group = record.create_group(name)
        group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", ring.shape
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(ring, part)
    record["params/n_neighbors"] = 5


def wild(file):
    """Unsorted indices; no explicit order is promised by anndata."""
    group = file["layers/spliced"]
    indptr = group["indptr"][...]
    for name in ("data", "indices"):
        values = group[name][...]
        for start, end in zip(indptr[:-1], indptr[1:]):
            values[start:end] = values[start:end][::-1]
        group[name][...] = values


def retyped(dtype):
    def edit(file):
        attrs = dict(file["layers/spliced"].attrs)
        values = file["layers/spliced"][...]
        del file["layers/spliced"]
        file.create_dataset("layers/spliced", data=values.astype(dtype), chunks=(5, 3))
        file["layers/spliced"].attrs.update(attrs)

    return edit


def unknown_column(file):
    file["obs"].create_dataset("odd", data=np.zeros((N_OBS, 2)))
    file["obs/odd"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], "odd"]


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    dense = np.asarray
    base(dense).write_h5ad(folder / "dense.h5ad")
    base(dense, "f8").write_h5ad(folder / "dense_f8_gzip.h5ad", compression="gzip")
    base(dense, "u2").write_h5ad(folder / "dense_u2_lzf.h5ad", compression="lzf")
    base(np.asfortranarray, "i8").write_h5ad(folder / "dense_fortran_i8.h5ad")
    base(sp.csr_matrix).write_h5ad(folder / "csr.h5ad")
    base(sp.csr_matrix, "f8").write_h5ad(folder / "csr_f8_gzip.h5ad", compression="gzip")
    base(sp.csr_matrix, "i8").write_h5ad(folder / "csr_i8_lzf.h5ad", compression="lzf")
    base(sp.csc_matrix).write_h5ad(folder / "csc.h5ad")
    base(sp.csc_matrix, "f8").write_h5ad(folder / "csc_f8.h5ad")
    no_x = base()
    no_x.X = None
    no_x.write_h5ad(folder / "no_x.h5ad")
    truth = base(dense)
    truth.layers["unspliced"] = truth.layers["unspliced"] > 0
    truth.write_h5ad(folder / "dense_bool.h5ad")
    wide = base()
    for layer in wide.layers.values():
        layer.indices, layer.indptr = layer.indices.astype("i8"), layer.indptr.astype("i8")
    wide.write_h5ad(folder / "csr_wide_indices.h5ad")

    add_columns(base()).write_h5ad(folder / "columns.h5ad")
    add_columns(base()).write_h5ad(folder / "columns_gzip.h5ad", compression="gzip")
    add_rest(add_columns(base())).write_h5ad(folder / "everything.h5ad", compression="gzip")
    if VERSION >= (0, 11):
        nullable = base()
        words = pd.array([f"n{i}" if i % 3 else None for i in range(N_OBS)], dtype="string")
        nullable.obs["string missing"] = words
        nullable.obs["string whole"] = pd.array([f"n{i}" for i in range(N_OBS)], dtype="string")
        with anndata.settings.override(allow_write_nullable_strings=True):
            nullable.write_h5ad(folder / "nullable_strings.h5ad")

    edited(folder, "fixed_ascii", base(), fixed_strings("ascii"))
    edited(folder, "fixed_utf8", base(), fixed_strings("utf-8"))
    edited(folder, "legacy_frame", add_columns(base()), legacy_frame)
    edited(folder, "legacy_sparse", base(), legacy_sparse)
    edited(folder, "legacy_sparse_csc", base(sp.csc_matrix), legacy_sparse)
    edited(folder, "records", base(), records)
    edited(folder, "uns_graph", base(), lambda file: graph(file["uns"].create_group("neighbors")))
    edited(folder, "unsorted", base(), wild)
    edited(folder, "half", base(dense), retyped("f2"))
    edited(folder, "big_endian", base(dense), retyped(">f4"))
    if VERSION >= (0, 8):
        edited(folder, "unknown_column", base(), unknown_column)

    expected = {path.stem: expect(path) for path in sorted(folder.glob("*.h5ad"))}
    (folder / "expected.json").write_text(json.dumps(expected))
    print(f"anndata {version('anndata')}: {len(expected)} files")


def expect(path):
    if path.stem == "unknown_column":
        return {"spliced": counts(1).tolist(), "unspliced": counts(2).tolist(), "x": counts(3).tolist(),
                "obs": {}, "var": {}, "obs_names": [f"cell {i}" for i in range(N_OBS)], "obsm": {}, "n_neighbors": None}
    data = anndata.read_h5ad(path)
    full = lambda matrix: None if matrix is None else as_dense(matrix).astype(float).tolist()
    arrays = {key: as_dense(value).tolist() for key, value in data.obsm.items()
              if sp.issparse(value) or isinstance(value, pd.DataFrame) or (isinstance(value, np.ndarray) and value.ndim == 2)}
    has_graph = "connectivities" in data.obsp
    params = data.uns.get("neighbors", {}).get("params", {})
    return {
        "spliced": full(data.layers["spliced"]),
        "unspliced": full(data.layers["unspliced"]),
        "x": full(data.X),
        "obs": {name: column(data.obs[name]) for name in data.obs},
        "var": {name: column(data.var[name]) for name in data.var},
        "obs_names": list(data.obs_names),
        "obsm": arrays,
        "n_neighbors": int(params["n_neighbors"]) if has_graph else None,
    }


def column(series):
    plain = lambda value: None if pd.isna(value) else value.item() if hasattr(value, "item") else value
    if isinstance(series.dtype, pd.CategoricalDtype):
        labels = [None if pd.isna(value) else str(value) for value in series]
        return {"labels": labels, "categories": [str(label) for label in series.cat.categories]}
    return {"values": [plain(value) for value in series]}


def as_dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def check(folder):
    failures = 0
    paths = sorted(folder.glob("*.h5ad"))
    for path in paths:
        for mode in ("all", "fitted"):
            if path.stem == "unknown_column":
                continue
            try:
                compare(path, folder / "out" / mode / path.name, mode)
            except Exception as error:  # every file is to be reported
                failures += 1
                print(f"FAILED {mode} {path.stem}: {type(error).__name__}: {error}")
    survives(folder)
    print(f"anndata {version('anndata')}: {2 * len(paths)} outputs, {failures} failures")
    sys.exit(failures > 0)


def survives(folder):
    """A column that nobody can parse is still in the output."""
    for mode in ("all", "fitted"):
        path = folder / "out" / mode / "unknown_column.h5ad"
        if path.exists():
            with h5py.File(path, "r") as file:
                assert file["obs/odd"].shape == (N_OBS, 2)


def compare(before_path, after_path, mode):
    before, after = anndata.read_h5ad(before_path), anndata.read_h5ad(after_path)
    kept = KEPT if mode == "fitted" else list(range(N_VARS))
    raw = before.raw
    before = before[:, kept].copy()
    ours = {"Ms", "Mu", "velocity", "velocity_u", "variance_velocity", "fit_u", "fit_s", "fit_s_future", "fit_t"}
    same(before.X, after.X, "X")
    for key in before.layers:
        same(before.layers[key], after.layers[key], f"layers {key}")
    assert set(after.layers) == set(before.layers) | ours, set(after.layers)
    for axis in ("obs", "var"):
        old, new = getattr(before, axis), getattr(after, axis)
        pd.testing.assert_frame_equal(old, new[list(old.columns)], check_names=False)
    for axis in ("obsm", "varm", "varp"):
        for key in getattr(before, axis):
            same(getattr(before, axis)[key], getattr(after, axis)[key], f"{axis} {key}")
    for key in before.uns:
        same_tree(before.uns[key], after.uns[key], f"uns {key}")
    if raw is not None:
        same(raw.X, after.raw.X, "raw X")
        pd.testing.assert_frame_equal(raw.var, after.raw.var)
    results(after, mode)
    if before_path.stem == "nullable_strings":
        anndata.settings.allow_write_nullable_strings = True
    after.write_h5ad(after_path.with_suffix(".again"))


def results(after, mode):
    n = len(KEPT)
    pattern = np.arange(1, N_OBS * n + 1, dtype="f4").reshape(N_OBS, n)
    factors = {"Ms": 1, "Mu": 0.5, "velocity": -0.25, "velocity_u": 2, "fit_u": 3, "fit_s": 4, "fit_s_future": 5,
               "fit_t": 6, "variance_velocity": 7}
    columns = KEPT if mode == "all" else list(range(n))
    others = [i for i in range(after.n_vars) if i not in columns]
    for key, factor in factors.items():
        layer = after.layers[key]
        assert layer.dtype == np.float32 and isinstance(layer, np.ndarray), key
        np.testing.assert_array_equal(layer[:, columns], pattern * np.float32(factor))
        assert np.isnan(layer[:, others]).all(), key
    names = ["alpha", "beta", "gamma", "t_on", "t_", "scaling", "std_u", "std_s", "likelihood", "cv"]
    for start, name in enumerate(names, start=1):
        np.testing.assert_array_equal(after.var[f"fit_{name}"].to_numpy()[columns], start + np.arange(n))
    assert after.var["velocity_genes"].dtype == bool
    assert list(after.var["velocity_genes"].to_numpy()[columns]) == [True, False, True]
    np.testing.assert_array_equal(after.obs["latent_time"], 0.5 + np.arange(N_OBS))
    assert list(after.obs["velocity_split"][:3]) == ["train", "validation", "test"]
    assert after.obsm["X_velovae"].shape == (N_OBS, 5) == after.obsm["X_velovae_std"].shape
    record = after.uns["nascent_fit"]
    assert after.uns["velocity_params"]["mode"] == record["mode"] == "velovae" and record["seed"] == 3
    settings = record["settings"]
    assert bool(settings["flag"]) is True and settings["inner"]["rate"] == 0.5 and list(settings["inner"]["names"]) == ["a", "b"]
    assert record["facts"]["future_time"] == 0.125 and "layers/fit_u" in record["written"]
    # Ours stand beside the file's own, under a name of their own.
    neighbors = after.uns[record["neighbors"]["key"]]
    assert neighbors["params"]["n_neighbors"] == 2
    ring = np.roll(np.eye(N_OBS), 1, axis=1)
    np.testing.assert_array_equal(as_dense(after.obsp[neighbors["connectivities_key"]]), ring)
    np.testing.assert_array_equal(as_dense(after.obsp[neighbors["distances_key"]]), ring * 0.5)


def same(old, new, what):
    if old is None or new is None:
        assert old is None and new is None, what
        return
    if isinstance(old, pd.DataFrame):
        pd.testing.assert_frame_equal(old, new)
        return
    assert sp.issparse(old) == sp.issparse(new), f"{what}: sparse or not"
    np.testing.assert_array_equal(as_dense(old), as_dense(new), err_msg=what)


def same_tree(old, new, what):
    if isinstance(old, dict):
        assert set(old) == set(new), what
        for key in old:
            same_tree(old[key], new[key], f"{what} {key}")
    elif isinstance(old, pd.DataFrame) or sp.issparse(old):
        same(old, new, what)
    else:
        assert np.array_equal(np.asarray(old), np.asarray(new)), what


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))

"""What people do with a fit, from Python."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import QUICK

import nascent_velocity as nv

SLOTS = ("obs", "var", "layers", "obsm", "varm", "obsp", "varp", "uns")


def same(left, right):
    """Whether two members of objects are equal to the last bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if sp.issparse(left):
        return left.dtype == right.dtype and left.shape == right.shape and (left != right).nnz == 0
    if isinstance(left, (pd.Series, pd.DataFrame)):
        return left.equals(right)
    if isinstance(left, np.ndarray) and left.dtype.kind == "f":
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=True)
    return np.array_equal(left, right)


def what_changed(before, after):
    """Members of `before` that `after` lacks or has otherwise, and those that only `after` has."""
    lost, added = set(), set()
    for slot in SLOTS:
        left, right = getattr(before, slot), getattr(after, slot)
        lost |= {f"{slot}/{key}" for key in left.keys() if key not in right.keys() or not same(left[key], right[key])}
        added |= {f"{slot}/{key}" for key in right.keys() if key not in left.keys()}
    return lost, added


def test_training_adds_all_that_its_record_names_and_changes_nothing_else(counts):
    counts.obs["mine"] = [f"word {at}" for at in range(counts.n_obs)]
    counts.uns["object"] = {"function": print, "number": 1}
    counts.raw = counts
    before = counts.copy()
    with pytest.warns(UserWarning, match="object"):
        fit = nv.train(counts, "steady_state", **QUICK)
    assert fit is counts
    lost, added = what_changed(before, fit)
    assert lost == set()
    assert added == set(fit.uns["nascent_fit"]["written"])
    assert {"layers/velocity", "layers/Ms", "layers/Mu", "var/velocity_genes"} <= added
    assert same(before.X, fit.X) and fit.raw is not None
    assert list(fit.obs_names) == list(before.obs_names) and list(fit.obs["mine"]) == list(before.obs["mine"])


def test_results_are_those_of_the_program_on_files(counts, tmp_path):
    counts.write_h5ad(tmp_path / "counts.h5ad")
    words = ["--set", "model.kind=steady_state", "--set", "preprocess.min_shared_counts=5", "--threads", "1"]
    nv.run("train", "--input", "counts.h5ad", "--output", "fit.h5ad", *words, folder=tmp_path, quiet=True)
    expected = anndata.read_h5ad(tmp_path / "fit.h5ad")
    fit = nv.train(counts, "steady_state", **QUICK)
    for key in ("velocity", "Ms", "Mu"):
        assert same(expected.layers[key], fit.layers[key]), key
    assert same(expected.var["velocity_genes"], fit.var["velocity_genes"])


def test_cells_keep_their_order_and_a_view_leaves_its_parent_alone(counts):
    parent = counts.copy()
    names = list(reversed(counts.obs_names[20:120]))
    fit = nv.train(counts[names], "steady_state", **QUICK)
    assert not fit.is_view and list(fit.obs_names) == names
    assert fit.layers["velocity"].shape == (100, counts.n_vars)
    assert what_changed(parent, counts) == (set(), set())


def test_a_fit_of_some_genes_only_is_an_object_of_these(counts):
    genes = list(counts.var_names[3:13])
    parent = counts.copy()
    fit = nv.train(counts, "steady_state", genes=genes, output__genes="fitted", **QUICK)
    assert fit is not counts and set(fit.var_names) <= set(genes)
    assert np.isfinite(fit.layers["velocity"]).all()
    assert same(fit.layers["spliced"], parent[:, fit.var_names].layers["spliced"])
    assert what_changed(parent, counts) == (set(), set())


def test_a_new_fit_takes_the_graph_of_an_earlier_one_out(fitted):
    fit = fitted.copy()
    assert "velocity_graph" in fit.uns
    nv.train(fit, "steady_state", seed=1, model__mode="deterministic", **QUICK)
    assert "velocity_graph" not in fit.uns and "nascent_graph" not in fit.uns
    assert not any(key.startswith("velocity_") for key in fit.obsm)
    assert fit.uns["nascent_fit"]["seed"] == 1


def test_a_graph_adds_arrows_and_pseudotime(fitted):
    time = fitted.obs["velocity_pseudotime"]
    assert time.between(0, 1).all()
    basis = str(fitted.uns["nascent_graph"]["basis"])
    assert fitted.obsm[f"velocity_{basis}"].shape == fitted.obsm[f"X_{basis}"].shape
    rows = fitted.obsp["T_fwd"].sum(axis=1)
    assert np.allclose(rows, 1, atol=1e-5)


def test_a_root_that_is_given_is_where_time_starts(fitted):
    first = fitted.obs_names[fitted.obs["true_t"].argmin()]
    fit = nv.graph(fitted.copy(), root=f"cell={first}", quiet=True)
    assert fit.obs["velocity_pseudotime"][first] == 0
    assert fit.uns["nascent_graph"]["root"]["cell"] == first


def test_the_summary_is_printed_without_files_that_are_gone(counts, capfd):
    nv.train(counts, "steady_state", threads=1, preprocess__min_shared_counts=5)
    said = capfd.readouterr()
    assert "velocities of 150 cells" in said.out and "written to" not in said.out and "nascent-fit" not in said.out
    assert "counts" in said.err, "progress goes to stderr"


def test_settings_are_a_dictionary_or_keywords_and_keywords_count_most(counts):
    settings = {"preprocess": {"n_neighbors": 12, "n_pcs": 7}, "output": {"compression": 1}}
    fit = nv.train(counts, "steady_state", settings=settings, preprocess__n_neighbors=np.int64(9), **QUICK)
    used = fit.uns["nascent_fit"]["settings"]
    assert (used["preprocess"]["n_neighbors"], used["preprocess"]["n_pcs"]) == (9, 7)
    assert used["output"]["compression"] == 1


def test_an_error_has_the_message_hint_and_exit_code_of_the_program(counts):
    del counts.layers["unspliced"]
    with pytest.raises(nv.NascentError) as caught:
        nv.train(counts, "steady_state", **QUICK)
    error = caught.value
    assert error.message.startswith('adata.h5ad: layers["unspliced"]: not found') and error.exit_code == 2
    assert "--set input.unspliced=NAME" in error.hint
    assert "input__unspliced=" in str(error), "how it is done in Python is said, too"


def test_an_unknown_setting_is_the_programs_error(counts):
    with pytest.raises(nv.NascentError, match="did you mean n_neighbors"):
        nv.train(counts, "steady_state", preprocess__n_neighbours=3, **QUICK)
    with pytest.raises(nv.NascentError, match="soft_grid"):
        nv.train(counts, "softgrid", quiet=True)
    assert "velocity" not in counts.layers


def test_what_is_no_object_is_refused():
    with pytest.raises(TypeError, match="AnnData"):
        nv.train("counts.h5ad")


def test_a_report_is_a_page_and_pictures(fitted, tmp_path):
    page = nv.report(fitted, tmp_path / "report", quiet=True)
    assert page == tmp_path / "report" / "report.html" and page.stat().st_size > 10_000
    assert list((tmp_path / "report" / "figures").glob("*.svg"))


def test_fits_are_compared_by_name(fitted, tmp_path):
    other = nv.train(fitted.copy(), "steady_state", model__mode="deterministic", **QUICK)
    found = nv.compare({"stochastic": fitted, "deterministic": other}, quiet=True)
    assert "stochastic" in str(found) and "deterministic" in str(found)
    other.write_h5ad(tmp_path / "other.h5ad")
    assert "other" in str(nv.compare(fitted, tmp_path / "other.h5ad", quiet=True))


def test_a_file_or_an_object_is_inspected(counts, tmp_path):
    counts.write_h5ad(tmp_path / "counts.h5ad")
    for what in (tmp_path / "counts.h5ad", str(tmp_path / "counts.h5ad"), counts):
        found = nv.inspect(what)
        assert found["ready"] is True, found
    (tmp_path / "nothing.h5ad").write_text("nothing")
    assert nv.inspect(tmp_path / "nothing.h5ad")["ready"] is False
    with pytest.raises(nv.NascentError, match="nowhere.h5ad"):
        nv.inspect(tmp_path / "nowhere.h5ad")


def test_a_run_is_kept_and_resumed_where_a_folder_is_named(counts, tmp_path):
    short = {"model__train__epochs": 3, "model__refine_epochs": 0, "model__start_epochs": 2, "model__hidden": [16, 8]}
    words = {**QUICK, **short, "model__init": "steady_state", "model__n_samples": 2, "run": tmp_path / "my.run"}
    first = nv.train(counts.copy(), "velovae", **words)
    assert (tmp_path / "my.run" / "metrics.jsonl").exists()
    again = nv.train(counts.copy(), "velovae", resume=True, **words)
    assert same(first.layers["velocity"], again.layers["velocity"])
    with pytest.raises(TypeError, match="run="):
        nv.train(counts, "velovae", resume=True)


def test_a_backed_object_is_fitted_as_one_in_memory(counts, tmp_path):
    counts.write_h5ad(tmp_path / "counts.h5ad")
    backed = anndata.read_h5ad(tmp_path / "counts.h5ad", backed="r")
    expected = nv.train(counts, "steady_state", **QUICK)
    fit = nv.train(backed, "steady_state", **QUICK)
    assert same(np.asarray(fit.layers["velocity"]), expected.layers["velocity"])

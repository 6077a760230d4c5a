"""Compares nascent's dynamical model with scVelo's recover_dynamics, on one file with one set of moments and one graph.

Without DATA, counts with known truth are simulated. scVelo prepares them (filter, size, logarithm of X, PCA, neighbours,
moments); then each program fits that file, in turn, in a process of its own. CPU time is the figure to compare where the
machine is shared; of several runs the one with the least is shown, and the range. Scores are over the genes that all fitted.

With --skip-scvelo nothing of Python but its standard library is used: nascent prepares the data itself, or takes a file
that has moments and a graph (--prepared), and scores itself against the truth.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import em_runs

SCVELO = "scVelo"
ABSENT = "–"


# ---- steps that need scVelo, each run as a process of its own: bench_em.py prepare | recover | score


def prepare(raw, prepared):
    """scVelo's preprocessing, all genes that pass its filter."""
    import anndata
    import scanpy as sc
    import scvelo as scv

    scv.settings.verbosity = 0
    data = anndata.read_h5ad(raw)
    scv.pp.filter_and_normalize(data, min_shared_counts=20)
    sc.pp.log1p(data)
    n_pcs = min(30, data.n_vars - 1, data.n_obs - 1)
    sc.pp.pca(data, n_comps=n_pcs, random_state=0)
    sc.pp.neighbors(data, n_neighbors=30, n_pcs=n_pcs, random_state=0)
    scv.pp.moments(data, n_pcs=None, n_neighbors=None)
    data.write_h5ad(prepared)
    print(json.dumps({"cells": data.n_obs, "genes": data.n_vars}))


def recover(prepared, fitted):
    """scVelo's fit, and how long that alone took."""
    import resource
    import time

    import anndata
    import numpy as np
    import scvelo as scv

    def cpu():
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    scv.settings.verbosity = 0
    data = anndata.read_h5ad(prepared)
    wall_before, cpu_before = time.perf_counter(), cpu()
    scv.tl.recover_dynamics(data, n_jobs=1, show_progress_bar=False)
    wall, cpu_seconds = time.perf_counter() - wall_before, cpu() - cpu_before
    scv.tl.velocity(data, mode="dynamical")
    data.write_h5ad(fitted)
    n_fitted = int(np.isfinite(data.var["fit_alpha"]).sum())
    print(json.dumps({"wall": wall, "cpu": cpu_seconds, "n_fitted": n_fitted, "version": scv.__version__}))


def score(prepared, *fitted):
    """How well each file fits, and how near it comes to the truth; the first is scVelo's. Over the genes fitted in all."""
    import anndata
    import numpy as np

    truth = anndata.read_h5ad(prepared)
    fits = [anndata.read_h5ad(path) for path in fitted]
    genes = truth.var_names
    for fit in fits:
        usable = np.isfinite(fit.var["fit_alpha"]) & np.isfinite(fit.layers["velocity"]).all(axis=0)
        genes = genes.intersection(fit.var_names[usable], sort=False)
    truth = truth[:, genes]
    fits = [fit[:, genes] for fit in fits]
    losses = [last_loss(fits[0]), *(fit.var["fit_loss"].to_numpy() if "fit_loss" in fit.var else None for fit in fits[1:])]

    scores = []
    for fit, loss in zip(fits, losses):
        of = {"genes": len(genes), "likelihood": float(np.median(fit.var["fit_likelihood"]))}
        if loss is not None:
            of["loss"] = float(np.median(loss))
            of["no_worse"] = float(np.mean(loss <= losses[0]))
        if "true_velocity" in truth.layers:
            of.update(against_truth(np.float64(fit.layers["velocity"]), np.float64(truth.layers["true_velocity"])))
        if {"true_gamma", "true_beta"} <= set(truth.var):
            ratio = np.log(fit.var["fit_gamma"] / fit.var["fit_beta"]).to_numpy()
            of["ratio"] = float(np.median(np.abs(ratio - np.log(truth.var["true_gamma"] / truth.var["true_beta"]).to_numpy())))
        scores.append(of)
    print(json.dumps(scores))


def last_loss(fit):
    """Loss of each gene at the end of scVelo's fit."""
    import numpy as np

    return np.array([history[np.isfinite(history)][-1] for history in np.asarray(fit.varm["loss"])])


def against_truth(found, true):
    """Median Pearson per gene, median cosine per cell, and share of equal signs where the true velocity is above 5 % of the
    gene's largest. Cells x genes.
    """
    import numpy as np

    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(true, axis=1)
    cosine = (found * true).sum(axis=1)[norms > 0] / norms[norms > 0]
    varies = (found.std(axis=0) > 0) & (true.std(axis=0) > 0)
    pearson = [np.corrcoef(found[:, gene], true[:, gene])[0, 1] for gene in np.flatnonzero(varies)]
    large = np.abs(true) > 0.05 * np.abs(true).max(axis=0)
    sign = (np.sign(found) == np.sign(true))[large].mean()
    return {"gene": float(np.median(pearson)), "cell": float(np.median(cosine)), "sign": float(sign)}


# ---- the comparison, standard library only


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench_em", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=pathlib.Path, help="counts, with or without truth; simulated if not given")
    parser.add_argument("--cells", type=int, default=3000, help="of the simulation")
    parser.add_argument("--genes", type=int, default=1000, help="of the simulation")
    parser.add_argument("--branches", type=int, default=1, help="of the simulation")
    parser.add_argument("--seed", type=int, default=11, help="of the simulation")
    threads = parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    threads.help = "of the converged schedule; all else runs on one"
    parser.add_argument("--repeats", type=int, default=3, help="runs of nascent")
    parser.add_argument("--scvelo-repeats", type=int, default=1)
    parser.add_argument("--prepared", action="store_true", help="DATA has Ms, Mu and a graph already")
    parser.add_argument("--skip-scvelo", action="store_true")
    parser.add_argument("--dir", type=pathlib.Path, help="keep all files there [default: a temporary folder, removed]")
    given = parser.parse_args()
    if given.prepared and given.data is None:
        parser.error("--prepared needs DATA")
    if min(given.threads) < 1 or given.repeats < 1 or given.scvelo_repeats < 1:
        parser.error("threads and repeats are at least 1")
    return given


def main():
    given = arguments()
    if given.dir is not None:
        given.dir.mkdir(parents=True, exist_ok=True)
        compare(given, given.dir)
    else:
        with tempfile.TemporaryDirectory(prefix="bench_em.") as folder:
            compare(given, pathlib.Path(folder))


def python(step, *paths):
    """Runs a step of this file in its own process: the run, and what it printed last, as JSON."""
    done = em_runs.run([sys.executable, "-W", "ignore", __file__, step, *paths], em_runs.ONE_THREAD)
    return done, json.loads(done.output.strip().splitlines()[-1])


def compare(given, folder):
    program = em_runs.nascent()
    data = given.data
    if data is None:
        data = folder / "simulated.h5ad"
        em_runs.simulate(program, data, given.cells, given.genes, given.branches, given.seed)
        print(f"simulated {given.cells} cells, {given.genes} genes, branches {given.branches}, seed {given.seed}", flush=True)
    as_in_file = given.prepared or not given.skip_scvelo
    if not given.prepared and not given.skip_scvelo:
        raw, data = data, folder / "prepared.h5ad"
        done, size = python("prepare", raw, data)
        print(f"prepared by scVelo in {done.wall:.0f} s: {size['cells']} cells, {size['genes']} genes", flush=True)

    systems = [] if given.skip_scvelo else [(SCVELO, None, 1)]
    systems += [("compat", "compat", 1)] + [("converged", "converged", n_threads) for n_threads in given.threads]
    settings = em_runs.AS_IN_FILE if as_in_file else ["preprocess.n_top_genes=0"]
    runs = [[] for _ in systems]
    paths = [folder / f"{name}_{n_threads}.h5ad" for name, _, n_threads in systems]
    for turn in range(max(given.repeats, 0 if given.skip_scvelo else given.scvelo_repeats)):
        for (name, schedule, n_threads), of, path in zip(systems, runs, paths):
            if turn < (given.scvelo_repeats if name == SCVELO else given.repeats):
                path.unlink(missing_ok=True)
                if name == SCVELO:
                    of.append(recovered(data, path))
                else:
                    of.append(em_runs.train(program, data, path, schedule, n_threads, settings))
                print(f"{name}, threads {n_threads}: {of[-1].cpu:.1f} CPU s in all, peak {mebi(of[-1].peak)}", flush=True)

    if given.skip_scvelo:
        scores = [own_scores(program, path) for path in paths]
    else:
        _, scores = python("score", data, *paths)
    report(given, systems, runs, scores)


def recovered(data, path):
    done, fit = python("recover", data, path)
    done.fit_wall, done.fit_cpu, done.n_fitted = fit["wall"], fit["cpu"], fit["n_fitted"]
    return done


def own_scores(program, path):
    """Scores against the truth by `nascent evaluate`, over all genes of the file."""
    found = json.loads(em_runs.run([program, "evaluate", path, "--json"]).output)
    names = {
        "gene": "velocity_gene_pearson",
        "cell": "velocity_cell_cosine",
        "sign": "velocity_sign_agreement",
        "ratio": "ratio_abs_log_err",
    }
    return {key: found[name] for key, name in names.items() if found.get(name) is not None}


def mebi(n_bytes):
    return f"{n_bytes / 2**20:.0f} MiB"


def report(given, systems, runs, scores):
    """One table, a column for each system; nothing is shown for what is not known."""
    best = [min(of, key=lambda run: run.fit_cpu or run.cpu) for of in runs]
    shown = lambda spec, value: ABSENT if value is None else format(value, spec)
    row = lambda name, spec, values: [name, *(shown(spec, value) for value in values)]

    def span(of):
        seconds = [run.fit_cpu for run in of if run.fit_cpu is not None]
        return f"{min(seconds):.2f}–{max(seconds):.2f}" if len(seconds) > 1 else ABSENT

    rows = [
        ["", *(name if name == SCVELO else f"nascent {name}" for name, _, _ in systems)],
        row("threads", "d", [n_threads for _, _, n_threads in systems]),
        row("genes fitted", "d", [run.n_fitted for run in best]),
        row("fit, wall s", ".2f", [run.fit_wall for run in best]),
        row("fit, CPU s", ".2f", [run.fit_cpu for run in best]),
        ["fit, CPU s, range", *map(span, runs)],
    ]
    if not given.skip_scvelo:
        ratios = [run.fit_cpu and best[0].fit_cpu / run.fit_cpu for run in best]
        rows.append(row("fit, CPU of scVelo / this", ".1f", ratios))
    rows += [
        row("whole process, wall s", ".2f", [run.wall for run in best]),
        row("whole process, CPU s", ".2f", [run.cpu for run in best]),
        ["whole process, peak memory", *(mebi(run.peak) for run in best)],
    ]
    labels = {
        "genes": ("genes scored", "d"),
        "likelihood": ("likelihood, median", ".4f"),
        "loss": ("final loss, median", ".4g"),
        "no_worse": ("loss at most scVelo's, share of genes", ".1%"),
        "gene": ("velocity of a gene, median Pearson with truth", ".3f"),
        "cell": ("velocity of a cell, median cosine with truth", ".3f"),
        "sign": ("sign of velocity as in truth", ".1%"),
        "ratio": ("gamma/beta, median absolute log error", ".3f"),
    }
    for key, (label, spec) in labels.items():
        if any(key in of for of in scores):
            rows.append(row(label, spec, [of.get(key) for of in scores]))
    print()
    em_runs.table(rows)


if __name__ == "__main__":
    steps = {"prepare": prepare, "recover": recover, "score": score}
    if len(sys.argv) > 1 and sys.argv[1] in steps:
        steps[sys.argv[1]](*sys.argv[2:])
    else:
        main()

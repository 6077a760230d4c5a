"""Simulated sets of the public benchmark of Wu et al. 2026, and scores of fits of them, for scripts/benchmark_public.

usage: benchmark_public.py simulate SET SEED rounded|drawn OUTPUT.h5ad
       benchmark_public.py score FIT.h5ad SIMULATED.h5ad SCORES.json
       benchmark_public.py table PUBLISHED.tsv OUTPUT.tsv [SET MODEL SEED SCORES.json CPU]...

SET is ode_100, ode_500, sde_100 or sde_500: the simulator and its number of genes.
"""

import importlib.metadata
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")

SCORES = ("rv", "dcor", "dcor_velocity_genes", "dcor_genes", "dcor_course", "dcor_genes_course", "time_pearson", "time_spearman",
          "pseudotime_pearson", "n_genes", "n_velocity_genes")


def ode(genes, seed, noise=1):
    """scVelo's simulator as the benchmark calls it: genes that switch off at four times, rates alike, normal noise on u and s."""
    import scvelo as scv

    return scv.datasets.simulation(
        n_obs=1500, n_vars=genes, alpha=5, beta=0.3, gamma=0.5, random_seed=seed, noise_level=noise
    )


def sde(genes, seed, noise=1):
    """SDEvelo's simulator: eight paths of 200 cells, of which each follows the kinetics with noise of its own.

    Its file is loaded alone, for the package itself imports PyTorch. The simulator draws a gene's rates from numpy's generator before it
    seeds it: it is seeded here, so that a seed gives the same set again. Rates of the published sets cannot be drawn again.
    """
    path = next(file.locate() for file in importlib.metadata.files("sdevelo") if file.name == "_sim.py")
    spec = importlib.util.spec_from_file_location("sdevelo_sim", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.random.seed(seed)
    simulator = module.SimData(n_vars=genes, K=8, seed=seed)
    simulator.sigma_1 *= noise
    simulator.sigma_2 *= noise
    return simulator.generate()


def velocities(data):
    """`ds/dt = β u − γ s` as the benchmark has it: of the values that were drawn, with their noise, before anything is rounded."""
    rate = {name: data.var[f"true_{name}"].to_numpy() for name in ("beta", "gamma")}
    return rate["beta"] * data.layers["unspliced"] - rate["gamma"] * data.layers["spliced"]


def simulate(name, seed, values, target):
    kind, genes = name.split("_")
    draw = {"ode": ode, "sde": sde}[kind]
    data = draw(int(genes), int(seed))
    data.layers["true_velocity"] = velocities(data)
    data.layers["course_velocity"] = velocities(draw(int(genes), int(seed), noise=0))
    if values == "rounded":
        for layer in ("unspliced", "spliced"):
            data.layers[layer] = np.round(data.layers[layer])
    data.X = data.layers["spliced"].copy()
    # The simulators number both cells and genes from 0.
    data.obs_names = [f"cell{i}" for i in range(data.n_obs)]
    data.var_names = [f"gene{i}" for i in range(data.n_vars)]
    data.write_h5ad(target)


def finite_genes(layer):
    """Genes with a velocity in every cell."""
    return np.isfinite(layer).all(axis=0)


def dense(matrix):
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)


def rv(first, second):
    """RV coefficient of two matrices with a row for each cell: the sum of squared covariances between them over that within them.

    The benchmark's program has it in place of distance correlation: its distances are squared, and doubly centred squared distances are
    scalar products; nor does it take the root. A gene without a velocity counts as one with velocity 0.
    """
    first, second = (np.nan_to_num(matrix) - np.nan_to_num(matrix).mean(axis=0) for matrix in (first, second))
    shared = [np.square(a.T @ b).sum() for a, b in ((first, second), (first, first), (second, second))]
    return float(shared[0] / np.sqrt(shared[1] * shared[2])) if shared[1] and shared[2] else 0.0


def dcor_matrix(first, second):
    """Distance correlation with cells as samples: each cell is a point with as many coordinates as there are genes."""
    import dcor

    return float(dcor.distance_correlation(first, second)) if first.shape[1] else float("nan")


def dcor_genes(first, second):
    """Mean over genes of the distance correlation of one gene over cells."""
    import dcor

    each = [dcor.distance_correlation(first[:, i].copy(), second[:, i].copy()) for i in range(first.shape[1])]
    return float(np.mean(each)) if each else float("nan")


def times(data, truth):
    """Correlation of the fit's time with the true one: latent time, where the model has it, else pseudotime; and of pseudotime."""
    from scipy.stats import pearsonr, spearmanr

    true = truth.obs["true_t"].to_numpy(float)
    told = {}
    for key in ("latent_time", "velocity_pseudotime"):
        if key in data.obs:
            value = data.obs[key].to_numpy(float)
            known = np.isfinite(value)
            told[key] = (pearsonr(value[known], true[known])[0], spearmanr(value[known], true[known])[0])
    none = (float("nan"), float("nan"))
    pseudotime = told.get("velocity_pseudotime", none)
    pearson, spearman = told.get("latent_time", pseudotime)
    return {"time_pearson": pearson, "time_spearman": spearman, "pseudotime_pearson": pseudotime[0]}


def score(fit, simulated, target):
    import anndata

    truth = anndata.read_h5ad(simulated)
    data = truth if fit == simulated else anndata.read_h5ad(fit)
    data = data[truth.obs_names]
    if fit == simulated:
        # What somebody comes to who knows every course and every time, but not the noise: the most that a curve can reach.
        velocity, scores = truth.layers["course_velocity"], {}
    else:
        velocity, scores = dense(data.layers["velocity"]), times(data, truth)
        if "Ms_span" in data.var and "Ms_raw" in data.layers:
            # The model was fitted to moments from 0 to 1; the truth is in counts.
            velocity = velocity * data.var["Ms_span"].to_numpy(float)
    there = finite_genes(velocity)
    marked = there & data.var["velocity_genes"].astype(bool).to_numpy() if "velocity_genes" in data.var else there
    at = truth.var_names.get_indexer(data.var_names)
    noisy, course = truth.layers["true_velocity"][:, at], truth.layers["course_velocity"][:, at]
    scores |= {
        "rv": rv(velocity, truth.layers["true_velocity"]),
        "dcor": dcor_matrix(noisy[:, there], velocity[:, there]),
        "dcor_velocity_genes": dcor_matrix(noisy[:, marked], velocity[:, marked]),
        "dcor_genes": dcor_genes(noisy[:, there], velocity[:, there]),
        "dcor_course": dcor_matrix(course[:, there], velocity[:, there]),
        "dcor_genes_course": dcor_genes(course[:, there], velocity[:, there]),
        "n_genes": int(there.sum()),
        "n_velocity_genes": int(marked.sum()),
    }
    Path(target).write_text(json.dumps({key: scores.get(key) for key in SCORES}) + "\n")


def number(value, digits=3):
    return "" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def table(published, target, *words):
    """All scores, one line for each fit, to `target`; means over seeds beside the published figures to stdout."""
    fits = {}
    with open(target, "w", encoding="utf-8") as out:
        print("set", "model", "seed", *SCORES, "cpu_seconds", sep="\t", file=out)
        for at in range(0, len(words), 5):
            name, model, seed, path, cpu = words[at : at + 5]
            scores = json.loads(Path(path).read_text()) if Path(path).is_file() else None
            cpu = sum(map(float, Path(cpu).read_text().split())) if Path(cpu).is_file() else None
            row = scores or {}
            print(name, model, seed, *(number(row.get(key), 0 if key.startswith("n_") else 4) for key in SCORES),
                  number(cpu, 1), sep="\t", file=out)
            fits.setdefault((name, model), []).append((scores, cpu))

    rows = [("set", "method", "seeds", "RV", "(range)", "place", "time", "place", "rank", "pseudotime", "dCor", "dCor, no noise",
             "dCor, genes", "genes", "CPU s")]
    known = {}
    for line in Path(published).read_text(encoding="utf-8").splitlines()[1:]:
        of, method, measure, *seeds = line.split("\t")
        known.setdefault((of, measure), {})[method] = [float(seed) for seed in seeds]
    for name in dict.fromkeys(name for name, _ in fits):
        there = {measure: known.get((name, measure), {}) for measure in ("rv", "time")}
        for model in (model for of, model in fits if of == name):
            done = [(scores, cpu) for scores, cpu in fits[name, model] if scores]
            if not done:
                rows.append((name, model, "no fit", *[""] * 12))
                continue

            def mean(key):
                each = [scores[key] for scores, _ in done if scores[key] is not None and np.isfinite(scores[key])]
                return np.mean(each) if each else None

            def place(key, measure):
                own = mean(key)
                if own is None:
                    return "–"
                ahead = sum(np.mean(seeds) > own for seeds in there[measure].values())
                return f"{ahead + 1}/{len(there[measure]) + 1}"

            def shown(key, digits=3):
                return number(mean(key), digits) or "–"

            values = [scores["rv"] for scores, _ in done]
            spent = [cpu for _, cpu in done if cpu is not None]
            rows.append((name, model, f"{len(done)}", shown("rv"), f"{min(values):.3f}–{max(values):.3f}", place("rv", "rv"),
                         shown("time_pearson"), place("time_pearson", "time"), shown("time_spearman"), shown("pseudotime_pearson"),
                         shown("dcor"), shown("dcor_course"), shown("dcor_genes"), shown("n_genes", 0),
                         number(np.mean(spent), 1) if spent else "–"))
        for method, seeds in sorted(there["rv"].items(), key=lambda item: -np.mean(item[1])):
            time = number(np.mean(there["time"][method]))
            rows.append((name, f"published: {method}", f"{len(seeds)}", number(np.mean(seeds)), f"{min(seeds):.3f}–{max(seeds):.3f}", "",
                         time, *[""] * 8))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (f"{cell:<{w}}" if i < 2 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths)))
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    commands = {"simulate": simulate, "score": score, "table": table}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])

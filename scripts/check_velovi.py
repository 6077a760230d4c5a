"""See scripts/check_velovi."""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import anndata as ad
import numpy as np
from scipy.stats import rankdata

import velovi_runs

HERE = os.path.dirname(os.path.abspath(__file__))
NASCENT = os.path.join(HERE, "..", "target", "release", "nascent")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of nascent")
    asked = parser.parse_args()
    os.makedirs(asked.folder, exist_ok=True)
    prepared, counts = (os.path.join(asked.folder, name) for name in ("prepared.h5ad", "counts.h5ad"))
    if not os.path.exists(counts):
        velovi_runs.prepare(asked.data, prepared, 2000)
        data = ad.read_h5ad(asked.data)
        data.obs["given_split"] = ad.read_h5ad(prepared).obs["velocity_split"].astype(str).to_numpy()
        data.write_h5ad(counts)
    for seed in range(asked.seeds):
        ours(asked, counts, seed)
        theirs(asked, prepared, seed)
    compare(asked, ad.read_h5ad(prepared))


def name(asked, program, seed):
    return os.path.join(asked.folder, f"{program}_{asked.epochs}_{asked.threads}_{seed}")


def ours(asked, counts, seed):
    prefix = name(asked, "nascent", seed)
    if os.path.exists(prefix + ".json"):
        return
    with open(prefix + ".toml", "w", encoding="utf-8") as file:
        file.write('[model]\nkind = "velovi"\n')
    words = [NASCENT, "train", prefix + ".toml", "--input", counts, "--output", prefix + ".h5ad", "--seed", str(seed)]
    words += ["--threads", str(asked.threads), "--set", f"model.train.epochs={asked.epochs}"]
    words += ["--set", "model.train.split=given_split", "--set", "model.rescale=false"]
    words += ["--set", "model.uncertainty.n_samples=0", "--set", "output.layers=all"]
    words += [word for setting in asked.set for word in ("--set", setting)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak_mb = run(words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(os.path.join(prefix + ".run", "metrics.jsonl"), encoding="utf-8") as file:
        epochs = sum(1 for _ in file)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Of the whole program, with reading, preprocessing, prediction and writing.
    report = {"epochs": epochs, "cpu_s_per_epoch": cpu / epochs, "peak_mb": peak_mb}
    with open(prefix + ".json", "w", encoding="utf-8") as file:
        json.dump(report, file)


def run(words):
    """Runs a program to its end and returns its peak memory in MiB, as the system counts it while the program runs."""
    peak_kb = 0
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as program:
        while program.poll() is None:
            try:
                with open(f"/proc/{program.pid}/status", encoding="utf-8") as file:
                    of_program = [line for line in file if line.startswith("VmHWM")]
                peak_kb = max([peak_kb, *(int(line.split()[1]) for line in of_program)])
            except OSError:
                pass
            time.sleep(0.02)
    if program.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: failed")
    return peak_kb / 1024


def theirs(asked, prepared, seed):
    prefix = name(asked, "scvi", seed)
    if os.path.exists(prefix + ".json"):
        return
    words = [sys.executable, os.path.join(HERE, "velovi_runs.py"), "train", prepared, prefix, "--seed", str(seed)]
    words += ["--epochs", str(asked.epochs), "--threads", str(asked.threads)]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def compare(asked, prepared):
    genes = prepared.var_names
    runs = {"nascent": [], "scvi-tools": []}
    for seed in range(asked.seeds):
        prefix = name(asked, "nascent", seed)
        fitted = ad.read_h5ad(prefix + ".h5ad")
        missing = np.isnan(np.asarray(fitted.layers["velocity"])).all(0)
        if set(fitted.var_names[~missing]) != set(genes):
            raise SystemExit("the two programs did not choose the same genes")
        fitted = fitted[:, genes]
        rates = {rate: fitted.var["fit_" + rate].to_numpy() for rate in ("alpha", "beta", "gamma")}
        velocity, times = (np.asarray(fitted.layers[key], dtype=float) for key in ("velocity", "fit_t"))
        report = json.load(open(prefix + ".json", encoding="utf-8"))
        report["elbo_held_out"] = float(fitted.uns["velovi"]["elbo_held_out"])
        report["fit_mse"] = float(
            np.mean((fitted.layers["fit_s"] - prepared.layers["Ms"]) ** 2 + (fitted.layers["fit_u"] - prepared.layers["Mu"]) ** 2)
        )
        report.update(velovi_runs.truth(prepared, velocity, times, rates))
        runs["nascent"].append((report, velocity, times))

        prefix = name(asked, "scvi", seed)
        saved = np.load(prefix + ".npz")
        order = [list(saved["genes"]).index(gene) for gene in genes]
        report = json.load(open(prefix + ".json", encoding="utf-8"))
        runs["scvi-tools"].append((report, saved["velocity"][:, order], saved["time"][:, order]))

    keys = [key for key in runs["nascent"][0][0] if key in runs["scvi-tools"][0][0] and key not in ("seed", "threads")]
    print(f"| {os.path.basename(asked.data)}, {len(genes)} genes, {asked.seeds} seeds | nascent | scvi-tools |\n|---|---|---|")
    for key in keys:
        cells = [spread([report[key] for report, _, _ in runs[program]]) for program in runs]
        print(f"| {key} | {' | '.join(cells)} |")
    print("\n| agreement of velocities | gene correlation | sign | gene time | mean time |\n|---|---|---|---|---|")
    ours, theirs = runs["nascent"], runs["scvi-tools"]
    within = {"nascent, two seeds": itertools.combinations(ours, 2), "scvi-tools, two seeds": itertools.combinations(theirs, 2)}
    for label, pairs in {**within, "nascent and scvi-tools": itertools.product(ours, theirs)}.items():
        print(f"| {label} | {' | '.join(agreement(list(pairs)))} |")


def spread(values):
    return f"{np.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def agreement(pairs):
    """Median over genes of the correlation of velocities, share of equal signs, median over genes of the rank correlation of times,
    rank correlation of mean times; over pairs of runs."""
    rows = []
    for (_, v, s), (_, w, t) in pairs:
        ranks = [np.apply_along_axis(rankdata, 0, times) for times in (s, t)]
        means = [rankdata(times.mean(1)) for times in (s, t)]
        rows.append(
            (
                np.nanmedian(correlations(v, w)),
                np.mean(np.sign(v) == np.sign(w)),
                np.nanmedian(correlations(*ranks)),
                np.corrcoef(*means)[0, 1],
            )
        )
    return [spread(column) for column in zip(*rows)] if rows else ["–"] * 4


def correlations(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(0) / np.sqrt((x * x).sum(0) * (y * y).sum(0))


if __name__ == "__main__":
    main()

"""Trains scvi-tools' VELOVI on one file, several times, on one split of its cells.

usage: velovi_runs.py prepare IN.h5ad OUT.h5ad          genes and moments as VELOVI's tutorial prepares them, and the split
       velovi_runs.py train PREPARED.h5ad OUT_PREFIX --seed 0 --epochs 500 --threads 1

`prepare` writes the kept genes with min-max scaled moments and the column velocity_split of obs: a tenth of the cells,
drawn with a fixed seed, is for validation. `train` writes OUT_PREFIX.npz (velocity, time, rates, in min-max units) and
OUT_PREFIX.json (held-out bound, seconds, epochs, agreement with the truth where the file holds it).
Run by scripts/check_velovi in an environment with scvi-tools.
"""

import argparse
import json
import os
import resource
import time
import warnings

warnings.filterwarnings("ignore")

import anndata as ad
import numpy as np
from scipy.stats import spearmanr


def prepare(source, target, n_top):
    import scanpy as sc
    import scvelo as scv
    from sklearn.preprocessing import MinMaxScaler

    scv.settings.verbosity = 0
    a = ad.read_h5ad(source)
    scv.pp.filter_and_normalize(a, min_shared_counts=20)
    sc.pp.log1p(a)
    if a.n_vars > n_top:
        sc.pp.highly_variable_genes(a, n_top_genes=n_top, subset=True)
    sc.pp.pca(a, n_comps=min(30, a.n_vars - 1, a.n_obs - 1), random_state=0)
    sc.pp.neighbors(a, n_neighbors=30, random_state=0)
    scv.pp.moments(a, n_pcs=None, n_neighbors=None)
    for key, name in (("Mu", "span_u"), ("Ms", "span_s")):
        a.var[name] = a.layers[key].max(0) - a.layers[key].min(0)
        a.layers[key] = MinMaxScaler().fit_transform(a.layers[key])
    scv.tl.velocity(a, mode="deterministic")
    a = a[:, (a.var.velocity_r2 > 0) & (a.var.velocity_gamma > 0) & a.var.velocity_genes].copy()
    held_out = np.random.default_rng(0).permutation(a.n_obs)[: int(np.floor(0.1 * a.n_obs))]
    part = np.full(a.n_obs, "train", dtype=object)
    part[held_out] = "validation"
    a.obs["velocity_split"] = part
    a.write_h5ad(target)
    print(f"{target}: {a.n_obs} cells, {a.n_vars} genes, {len(held_out)} cells held out")


def train(source, prefix, seed, epochs, threads):
    import torch

    torch.set_num_threads(threads)
    import scvi
    from scvi.external import VELOVI

    scvi.settings.seed = seed
    scvi.settings.verbosity = 40
    a = ad.read_h5ad(source)
    part = a.obs["velocity_split"].to_numpy()
    split = [np.flatnonzero(part == "train"), np.flatnonzero(part == "validation"), np.array([], dtype=int)]
    VELOVI.setup_anndata(a, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(a)
    cpu, wall = time.process_time(), time.time()
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, external_indexing=split)
    cpu, wall = time.process_time() - cpu, time.time() - wall
    history = model.history["elbo_validation"].iloc[:, 0].to_numpy(dtype=float)
    # What the model records of an epoch is one draw: the mean of 25 is compared.
    held_out = [elbo(model, split[1]) for _ in range(25)]
    times = model.get_latent_time(n_samples=25).to_numpy()
    velocity = model.get_velocity(n_samples=25, velo_statistic="mean").to_numpy()
    fit_s, fit_u = (fit.to_numpy() for fit in model.get_expression_fit(n_samples=25))
    rates = {name: np.asarray(model.get_rates()[name]).ravel() for name in ("alpha", "beta", "gamma")}
    report = {
        "seed": seed,
        "threads": threads,
        "epochs": len(history),
        "cpu_s_per_epoch": cpu / len(history),
        "wall_s_per_epoch": wall / len(history),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "elbo_held_out": float(np.mean(held_out)),
        "elbo_held_out_best_epoch": float(-history.min()),
        "fit_mse": float(np.mean((fit_s - a.layers["Ms"]) ** 2 + (fit_u - a.layers["Mu"]) ** 2)),
    }
    report.update(truth(a, velocity, times, rates))
    np.savez_compressed(prefix + ".npz", genes=a.var_names.to_numpy(dtype=str), velocity=velocity, time=times, **rates)
    with open(prefix + ".json", "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    print(json.dumps(report))


def elbo(model, cells):
    """Mean over the cells of one draw of the bound: likelihood less both divergences."""
    import torch

    total = 0.0
    with torch.inference_mode():
        model.module.eval()
        for tensors in model._make_data_loader(adata=model.adata, indices=cells):
            _, _, loss = model.module(tensors, loss_kwargs={"kl_weight": 1.0})
            parts = [*loss.reconstruction_loss.values(), *loss.kl_local.values()]
            total += float(sum(part.sum() for part in parts))
    return -total / len(cells)


def truth(a, velocity, times, rates):
    """Scores of a velocity, of times per gene and of rates in min-max units, where the file knows the truth."""
    report = {}
    if "true_t" in a.obs:
        report["time_spearman"] = float(spearmanr(times.mean(1), a.obs["true_t"])[0])
    if "true_velocity" in a.layers:
        v, t = velocity * a.var["span_s"].to_numpy(), np.asarray(a.layers["true_velocity"])
        report["gene_pearson"] = float(np.nanmedian([np.corrcoef(v[:, g], t[:, g])[0, 1] for g in range(a.n_vars)]))
        cosine = lambda x, y: (x * y).sum(1) / np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1), 1e-12)
        report["cell_cosine"] = float(np.median(cosine(v, t)))
        report["cell_cosine_scaled"] = float(np.median(cosine(v / v.std(0), t / t.std(0))))
        moving = np.abs(t) > 0.05 * np.abs(t).max(0)
        report["sign_agreement"] = float(np.mean(np.sign(v)[moving] == np.sign(t)[moving]))
    if "true_gamma" in a.var:
        found = rates["gamma"] / rates["beta"] * (a.var["span_u"] / a.var["span_s"]).to_numpy()
        wanted = (a.var["true_gamma"] / a.var["true_beta"]).to_numpy()
        report["gamma_beta_error"] = float(np.median(np.abs(np.log(found / wanted))))
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare")
    first.add_argument("source")
    first.add_argument("target")
    first.add_argument("--top", type=int, default=2000)
    second = commands.add_parser("train")
    second.add_argument("source")
    second.add_argument("prefix")
    second.add_argument("--seed", type=int, default=0)
    second.add_argument("--epochs", type=int, default=500)
    second.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.command == "prepare":
        prepare(chosen.source, chosen.target, chosen.top)
    else:
        os.environ.setdefault("OMP_NUM_THREADS", str(chosen.threads))
        train(chosen.source, chosen.prefix, chosen.seed, chosen.epochs, chosen.threads)

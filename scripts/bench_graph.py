"""Times one side of scripts/bench_graph: `nascent PROGRAM FITTED OUTPUT` or `scvelo FITTED`."""

import re
import resource
import subprocess
import sys
import time
import warnings

warnings.filterwarnings("ignore")


def nascent(program, fitted, output):
    words = [program, "graph", fitted, "--output", output, "--threads", "1"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    alone = re.search(r"in ([\d.]+) CPU seconds", said).group(1)
    print(f"nascent: velocity graph {alone}, whole program {used.ru_utime + used.ru_stime:.2f} CPU s, {used.ru_maxrss / 1024:.0f} MiB")


def scvelo(fitted):
    import anndata
    import scvelo as scv

    scv.settings.verbosity = 0
    data = anndata.read_h5ad(fitted)
    steps = {
        "velocity graph": lambda: scv.tl.velocity_graph(data, n_jobs=1, show_progress_bar=False),
        "embedding": lambda: scv.tl.velocity_embedding(data, basis="umap"),
        "confidence": lambda: scv.tl.velocity_confidence(data),
        "terminal states": lambda: scv.tl.terminal_states(data),
        "pseudotime": lambda: scv.tl.velocity_pseudotime(data),
        "latent time": lambda: scv.tl.latent_time(data) if "fit_t" in data.layers else None,
        "ranking": lambda: scv.tl.rank_velocity_genes(data, groupby="clusters") if "clusters" in data.obs else None,
    }
    # What is compiled at the first call is compiled before the clock runs.
    steps["velocity graph"]()
    times = {}
    for name, step in steps.items():
        begun = time.process_time()
        step()
        times[name] = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("scVelo:  " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in times.items()), end="")
    print(f"; all {sum(times.values()):.2f} CPU s, {peak:.0f} MiB")


{"nascent": nascent, "scvelo": scvelo}[sys.argv[1]](*sys.argv[2:])

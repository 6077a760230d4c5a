"""Silly values for every setting, see scripts/fuzz_settings."""

import argparse
import collections
import concurrent.futures
import json
import random
import resource
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

# As TOML. Text that is no TOML is taken as text.
VALUES = [
    "0", "1", "2", "3", "7", "-1", "1000", "1000000000", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
    "0.0", "-0.0", "0.5", "1e-300", "1e-30", "1e-9", "1e9", "1e30", "1e300", "-1e300", "-0.5", "inf", "-inf", "nan", "1e400",
    '""', '" "', '"nonsense"', "nonsense", '"0"', '"1e9"', '"../x"', '"ä"', "true", "false",
    "[]", "[0]", "[-1]", "[1, 2]", "[0.0, 0.0]", "[1e300, 1e300]", "[1e-300, 1e-300]", "[nan, nan]", '["a"]', "[[1]]", "[1, 2, 3, 4]",
    "[0, 0, 0, 0]", "[1000000000, 1000000000]", "{}", "1979-05-27",
]

# What keeps a run short whose setting is accepted. The setting that is tried comes behind and wins.
QUICK = {
    "soft_grid": ["model.max_rounds=3", "model.choice_rounds=1", "model.max_lineages=2", "model.grid=20", "model.pieces=5"],
    "velovae": [
        "model.train.epochs=2", "model.start_epochs=1", "model.refine_rounds=1", "model.refine_epochs=1", "model.hidden=[8, 4]",
        "model.n_samples=2", "model.uncertainty.n_samples=2", "model.init=steady_state", "model.train.device=cpu",
    ],
    "velovi": [
        "model.train.epochs=2", "model.hidden=8", "model.n_samples=2", "model.uncertainty.n_samples=2", "model.train.device=cpu",
    ],
    "dynamical": ["model.max_rounds=3"],
    "steady_state": [],
    "graph": ["scores.draws=1", "scores.sizes=[5]", "scores.shuffles=2"],
}

# Keys that change what the other flags mean, or where the program looks for its device.
LEFT_OUT = {"model.kind"}


def keys(table, prefix=""):
    """Dotted keys of all values."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def cases(configs, only):
    for path in sorted(configs.glob("*.toml")):
        table = tomllib.loads(path.read_text())
        kind = table.get("model", {}).get("kind", "graph")
        for key in keys(table):
            if key in LEFT_OUT or only not in f"{path.name} {key}":
                continue
            for value in VALUES:
                yield path, kind, key, value


def limited(gigabytes):
    def limit():
        size = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def judge(key, done):
    """The kind of an ending."""
    said = done.stderr
    if "memory allocation" in said or "out of memory" in said.lower():
        return "memory"
    if done.returncode == 101 or "panicked" in said or done.returncode < 0:
        return "panic"
    if done.returncode == 0:
        return "accepted"
    if "no value for" in said or done.returncode not in (1, 2):
        return "other"
    # A fit that diverges names what became of it, not why.
    if done.returncode == 1 and "not finite" in said:
        return "diverged"
    errors = said[said.find("error:"):]
    return "refused" if key in errors else "unnamed"


def run(options, folder, case, number):
    path, kind, key, value = case
    quick = [word for flag in QUICK[kind] for word in ("--set", flag)]
    if kind == "graph":
        output = folder / f"out{number}.h5ad"
        words = ["graph", folder / "fit.h5ad", "--output", output, "--config", path]
    else:
        output = folder / f"out{number}.h5ad"
        words = ["train", path, "--input", folder / "in.h5ad", "--output", output, "--set", "preprocess.min_shared_counts=2"]
    words = [options.nascent, *map(str, words), *quick, "--set", f"{key}={value}", "--threads", "1"]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=options.seconds, check=False,
            preexec_fn=limited(options.gigabytes),
        )
        found, said = judge(key, done), done.stderr
    except subprocess.TimeoutExpired:
        found, said = "endless", ""
    output.unlink(missing_ok=True)
    subprocess.run(["rm", "-rf", str(output.with_suffix(".run"))], check=False)
    return case, found, said


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nascent", required=True)
    parser.add_argument("--configs", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=400, help="how many are drawn; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--only", default="", help="only cases with this in the config's name or the key")
    options = parser.parse_args()
    # It is run in other folders.
    options.nascent = str(Path(options.nascent).resolve())
    every = list(cases(options.configs, options.only))
    drawn = random.Random(options.seed).sample(every, min(options.cases, len(every))) if options.cases else every
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [options.nascent, "simulate", "--cells", "60", "--genes", "25", "--branches", "2", "--output", "in.h5ad"]
        subprocess.run(made, cwd=folder, check=True, capture_output=True)
        fit = [options.nascent, "train", "--input", "in.h5ad", "--output", "fit.h5ad", "--set", "model.kind=dynamical",
               "--set", "model.time_scope=gene", "--set", "preprocess.min_shared_counts=2", "--set", "model.max_rounds=3"]
        subprocess.run(fit, cwd=folder, check=True, capture_output=True)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            runs = [pool.submit(run, options, folder, case, at) for at, case in enumerate(drawn)]
            for done in concurrent.futures.as_completed(runs):
                (path, _, key, value), found, said = done.result()
                counts[found] += 1
                if found not in ("refused", "accepted", "diverged"):
                    error = " / ".join(line for line in said.splitlines() if line.startswith(("error", "thread", "hint", "memory")) or "panicked" in line)
                    print(f"{found:9}{path.stem}: {key}={value}: {error}", flush=True)
    print(json.dumps({"tried": len(drawn), "of": len(every), **counts}))
    return 1 if any(counts[bad] for bad in ("panic", "endless", "memory", "unnamed", "other")) else 0


if __name__ == "__main__":
    sys.exit(main())

"""What the EM scripts share: running a program and measuring it, and the settings of `nascent train`. Standard library only:
on Linux a program's peak memory is counted from that of the process that started it, which therefore has to stay small.
"""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
FITTED = re.compile(r"(\d+) of (\d+) genes fitted in ([\d.]+) s \(([\d.]+) CPU s\)")
# Take the genes, the graph and the moments that are in the file.
AS_IN_FILE = ["preprocess.moments=file", "preprocess.min_shared_counts=0", "preprocess.n_top_genes=0"]


@dataclasses.dataclass
class Run:
    """A program that ran: seconds, bytes, and what it printed. `fit_*` and `n_fitted` are those of the fit alone."""

    wall: float
    cpu: float
    peak: int
    output: str
    fit_wall: float | None = None
    fit_cpu: float | None = None
    n_fitted: int | None = None


def run(command, environment=None):
    """Runs a command in its own process and measures it, its own children included. Ends the script where it fails."""
    command = [str(word) for word in command]
    with tempfile.TemporaryFile() as printed:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=printed, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    if process.returncode != 0:
        sys.exit(f"{output}\nfailed ({process.returncode}): {' '.join(command)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, output)


def nascent():
    """The program: NASCENT=… where that is set, else the release build, made if it is missing."""
    if os.environ.get("NASCENT"):
        return os.environ["NASCENT"]
    path = ROOT / "target" / "release" / "nascent"
    if not path.exists():
        subprocess.run([ROOT / "scripts" / "setup"], cwd=ROOT, check=True)
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    return str(path)


def train(program, data, output, schedule, n_threads, settings):
    """Fits the dynamical model, with one time for each gene as scVelo has it, unless `settings` say otherwise. `output` ends in
    .h5ad; the run's folder lies next to it.
    """
    words = ["model.kind=dynamical", f"model.schedule={schedule}", "model.time_scope=gene", "output.genes=all", *settings]
    command = [program, "train", "--input", data, "--output", output, "--run", output.with_suffix(".run")]
    command += ["--threads", n_threads, *(word for setting in words for word in ("--set", setting))]
    done = run(command)
    if found := FITTED.search(done.output):
        done.n_fitted, done.fit_wall, done.fit_cpu = int(found[1]), float(found[3]), float(found[4])
    return done


def simulate(program, output, cells, genes, branches, seed):
    """Writes counts with known truth."""
    command = [program, "simulate", "--cells", cells, "--genes", genes, "--branches", branches, "--seed", seed]
    return run([*command, "--output", output])


def table(rows):
    """Prints rows of words as Markdown with aligned columns; the first is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for row in [rows[0], rule, *rows[1:]]:
        cells = [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:]))]
        print(f"| {' | '.join(cells)} |")

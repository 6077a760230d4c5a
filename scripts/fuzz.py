"""Damaged files for every command, see scripts/fuzz."""

import argparse
import collections
import concurrent.futures
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import h5py

import fuzz_mutations

CPU_SECONDS = 20
# On a machine that is busy otherwise, too.
WALL_SECONDS = 240
# Of messages, in bytes.
MOST_SAID = 1 << 20
# Of files, outputs and messages, in KiB.
FILES_KIB = 1 << 20
# Of addresses: threads and the allocator set much aside that they never touch.
ADDRESSES_KIB = 8 << 20
# What a run may take, in MiB: the program itself, and what can become of a file. Values of one kind may take 64 MiB though the file holds
# nothing for them, and deflate makes them a thousand times shorter.
MIB = 300
MIB_PER_MIB = 100

# Of each command: what it reads, and its words. IN is the damaged file, OTHER a sound fit.
COMMANDS = {
    "inspect": (["counts", "fit", "graph"], ["inspect IN"]),
    "gather": (["counts", "fit", "graph"], ["gather IN --output out.h5ad"]),
    "train": (["counts", "fit", "graph"], ["train steady.toml --input IN --output out.h5ad"]),
    "graph": (["fit", "graph"], ["graph IN --output out.h5ad", "graph IN"]),
    "evaluate": (["counts", "fit", "graph"], ["evaluate IN", "evaluate IN --json"]),
    "report": (["graph"], ["report IN --output out.report"]),
    "compare": (["fit", "graph"], ["compare IN OTHER", "compare OTHER IN --groups clusters"]),
}

# What a message may hold: no other control characters, which would reach the terminal.
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")

# Opens every file it is told of in a process of its own, and says of each whether that went well. anndata reserves what a file declares,
# which a damaged one can set at terabytes: so its memory is limited.
OPENER = """
import os, resource, sys, warnings
import anndata
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for line in sys.stdin:
    path = line.rstrip("\\n")
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            anndata.read_h5ad(path)
            code = 0
        finally:
            os._exit(code)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def bases(nascent, folder):
    """Sound files: counts, a fit, a graph, each as nascent writes it and in HDF5's newest format."""
    (folder / "steady.toml").write_text('[model]\nkind = "steady_state"\n')
    for words in [
        "simulate --cells 40 --genes 12 --branches 2 --seed 3 --output counts.h5ad",
        "train steady.toml --input counts.h5ad --output fit.h5ad",
        "graph fit.h5ad --output graph.h5ad",
    ]:
        subprocess.run([nascent, *words.split()], cwd=folder, check=True, capture_output=True)
    found = []
    for name in ["counts", "fit", "graph"]:
        old, new = folder / f"{name}.h5ad", folder / f"{name}-latest.h5ad"
        with h5py.File(old) as source, h5py.File(new, "w", libver="latest") as target:
            for key in source:
                source.copy(key, target)
            for key, value in source.attrs.items():
                target.attrs[key] = value
        for path, libver in [(old, "earliest"), (new, "latest")]:
            found.append({"name": name, "path": path, "libver": libver, "metadata": fuzz_mutations.metadata(path)})
    return found


class Run:
    """One damaged file, one command."""

    def __init__(self, fuzz, number):
        self.fuzz, self.number = fuzz, number
        self.rng = random.Random(f"{fuzz.seed} {number}")
        self.command = fuzz.commands[number % len(fuzz.commands)]
        reads, words = COMMANDS[self.command]
        self.source = self.rng.choice([base for base in fuzz.bases if base["name"] in reads])
        self.words = self.rng.choice(words).replace("OTHER", "other.h5ad").replace("IN", "in.h5ad").split()
        self.folder = fuzz.scratch / str(number)

    def __call__(self):
        self.folder.mkdir()
        (self.folder / "steady.toml").symlink_to(self.fuzz.scratch / "steady.toml")
        (self.folder / "other.h5ad").symlink_to(self.fuzz.scratch / "fit.h5ad")
        self.path = self.folder / "in.h5ad"
        # h5py works for one thread at a time, and so does what is drawn.
        self.damage = fuzz_mutations.damage(self.rng, self.source, self.path)
        self.before = self.path.read_bytes()
        self.run()
        self.faults = list(self.judge())
        self.opened = self.code == 0 and self.wrote()
        if self.faults:
            self.keep()
        if not self.opened:
            shutil.rmtree(self.folder)
        return self

    def run(self):
        limits = f"ulimit -c 0 -f {FILES_KIB} -t {CPU_SECONDS} -v {ADDRESSES_KIB}; exec \"$0\" \"$@\""
        with open(self.folder / "said", "w+b") as said:
            child = subprocess.Popen(
                ["bash", "-c", limits, self.fuzz.nascent, *self.words], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
            self.late = False
            timer = threading.Timer(WALL_SECONDS, self.stop, [child])
            timer.start()
            begun = time.monotonic()
            _, status, used = os.wait4(child.pid, 0)
            timer.cancel()
            child.returncode = os.waitstatus_to_exitcode(status)
            self.length = said.seek(0, os.SEEK_END)
            said.seek(0)
            self.said = said.read(MOST_SAID)
        os.remove(self.folder / "said")
        self.code, self.wall, self.cpu, self.mib = child.returncode, time.monotonic() - begun, used.ru_utime, used.ru_maxrss / 1024

    def stop(self, child):
        self.late = True
        child.kill()

    def wrote(self):
        return self.folder / "out.h5ad" if (self.folder / "out.h5ad").exists() else self.path if self.words[0] == "graph" else None

    def judge(self):
        if self.late or -self.code in (signal.SIGXCPU, signal.SIGKILL):
            yield "no end"
        elif self.code < 0:
            yield f"crash: {signal.Signals(-self.code).name}"
        elif self.code not in (0, 1, 2):
            yield f"exit code {self.code}"
        if b"panicked" in self.said:
            yield "panic"
        if self.code in (1, 2) and b"error:" not in self.said:
            yield "no message"
        if self.length > MOST_SAID:
            yield f"messages of {self.length >> 20} MiB"
        if CONTROL.search(self.said):
            yield "control characters in messages"
        bound = MIB + MIB_PER_MIB * len(self.before) / 2**20
        if self.mib > bound:
            yield f"memory: {self.mib:.0f} MiB where {bound:.0f} are allowed"
        # The folder of a run tells how far it came.
        left = {path.name for path in self.folder.iterdir()} - {"in.h5ad", "other.h5ad", "steady.toml", "out.run"}
        if self.code == 0:
            left -= {"out.h5ad", "out.report"}
        if left:
            yield f"left behind: {', '.join(sorted(left))}"
        if not (self.code == 0 and self.words[0] == "graph" and len(self.words) == 2) and self.path.read_bytes() != self.before:
            yield "the input was changed"

    def keep(self):
        place = self.fuzz.keep / f"{self.fuzz.seed}-{self.number}.h5ad"
        place.write_bytes(self.before)
        words = [self.fuzz.nascent, *(word.replace("other.h5ad", str(self.fuzz.keep / "other.h5ad")) for word in self.words)]
        words = [str(self.fuzz.keep / "steady.toml") if word == "steady.toml" else str(place) if word == "in.h5ad" else word for word in words]
        words = ["/tmp/out.h5ad" if word == "out.h5ad" else "/tmp/out.report" if word == "out.report" else word for word in words]
        told = [shlex.join(words), f"damage: {self.damage}", *self.faults, self.said.decode(errors="replace")[-2000:]]
        place.with_suffix(".txt").write_text("\n".join(told) + "\n")


class Fuzz:
    def __init__(self, arguments, scratch):
        self.nascent, self.seed, self.scratch, self.keep = arguments.nascent, arguments.seed, scratch, Path(arguments.keep).resolve()
        self.keep.mkdir(parents=True, exist_ok=True)
        self.commands = [name for name in COMMANDS if arguments.only in name]
        self.bases = bases(self.nascent, scratch)
        for name, other in [("fit.h5ad", "other.h5ad"), ("steady.toml", "steady.toml")]:
            shutil.copyfile(scratch / name, self.keep / other)

    def sound(self, runs):
        """Of those files that were written, the ones that anndata cannot open though it opens what they were made from."""
        opener = subprocess.Popen([sys.executable, "-c", OPENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        def opens(path):
            opener.stdin.write(f"{path}\n")
            opener.stdin.flush()
            return opener.stdout.readline().strip() == "0"

        checked = 0
        for run in runs:
            before = run.folder / "before.h5ad"
            before.write_bytes(run.before)
            if opens(before):
                checked += 1
                if not opens(run.wrote()):
                    run.faults.append("anndata cannot open the output, but the input")
                    run.keep()
        opener.stdin.close()
        opener.wait()
        return checked


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to repeat one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nascent")
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep")
    parser.add_argument("--open", type=int, default=30, help="outputs that are opened with anndata")
    arguments = parser.parse_args()
    built = [arguments.root / "target" / kind / "nascent" for kind in ("release", "debug")]
    arguments.nascent = str(Path(arguments.nascent or next(path for path in built if path.exists())).resolve())
    arguments.keep = arguments.keep or arguments.root / "target" / "fuzz"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        fuzz = Fuzz(arguments, Path(scratch))
        codes, faulty, written, slowest, largest = collections.Counter(), [], [], None, None
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            numbers = range(arguments.first, arguments.first + arguments.files)
            for run in pool.map(lambda number: Run(fuzz, number)(), numbers):
                codes[run.command, run.code] += 1
                slowest = max(slowest or run, run, key=lambda run: run.cpu)
                largest = max(largest or run, run, key=lambda run: run.mib)
                if run.faults:
                    faulty.append(run)
                if run.opened and len(written) < arguments.open:
                    written.append(run)
                elif run.opened:
                    shutil.rmtree(run.folder)
        checked = fuzz.sound(written)
        faulty += [run for run in written if run.faults and run not in faulty]
    report(arguments, codes, faulty, checked, slowest, largest, time.monotonic() - begun)


def report(arguments, codes, faulty, checked, slowest, largest, seconds):
    print(f"{arguments.files} damaged files, seed {arguments.seed}, {seconds:.0f} s; {checked} outputs opened with anndata")
    for command in sorted({command for command, _ in codes}):
        of = {code: n for (name, code), n in codes.items() if name == command}
        print(f"  {command:9}", ", ".join(f"exit code {code}: {of[code]}" for code in sorted(of)))
    print(f"  most CPU time {slowest.cpu:.1f} s (number {slowest.number}), most memory {largest.mib:.0f} MiB (number {largest.number})")
    for run in faulty:
        print(f"bad: number {run.number}, {run.command}: {'; '.join(run.faults)} [{run.damage}]")
    if faulty:
        print(f"error: {len(faulty)} bad files; they are kept in {arguments.keep}, each with its command in a .txt", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

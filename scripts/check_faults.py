"""Faults of machines, one after the other; see scripts/check_faults."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEURAL = (
    "train velovae --input counts.h5ad --output OUT --threads 1 --set model.init=steady_state --set model.train.epochs=2 --set model.start_epochs=1 "
    "--set model.refine_epochs=1 --set model.refine_rounds=1 --set model.n_samples=2 --set model.hidden=[16,8] --set model.train.device=cpu "
    "--set model.train.checkpoint_seconds=0 --set model.train.patience=0"
)
# Some seconds of training, to be killed and stopped in.
LONG = NEURAL.replace("epochs=2", "epochs=60").replace("refine_epochs=1", "refine_epochs=20").replace("[16,8]", "[32,16]")

# Commands that write OUT; what of it is a folder.
WRITERS = {
    "simulate": "simulate --cells 150 --genes 40 --branches 2 --seed 3 --output OUT",
    "train": "train steady.toml --input counts.h5ad --output OUT",
    "graph": "graph fit.h5ad --output OUT",
    "import": "import counts.h5ad --output OUT",
    "report": "report graph.h5ad --output OUT",
    "merge": "merge processed.h5ad counts.h5ad --replace --output OUT",
    "explain": "explain fit.h5ad --csv OUT",
    "permute": "permute --input counts.h5ad --output OUT --run neural.run --groups clusters",
    "train, neural": NEURAL,
}
# Commands that add to the file that they read.
IN_PLACE = {"permute": "neural.h5ad"}


def contents(path):
    """What stands at `path`: bytes of a file, or of all files below a folder; None if there is nothing."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    return path.read_bytes() if path.exists() else None


class Checks:
    def __init__(self, nascent, folder, seed):
        self.nascent, self.folder, self.rng = nascent, folder, random.Random(seed)
        self.wrong, self.whole, self.seconds = [], {}, {}

    def path(self, name):
        return self.folder / name

    def start(self, words, limit=None, **how):
        words = [self.nascent, *words.split()]
        if limit is not None:
            words = ["bash", "-c", f"trap '' XFSZ; ulimit -c 0 -f {limit}; exec \"$0\" \"$@\"", *words]
        return subprocess.Popen(
            words, cwd=self.folder, stdin=subprocess.DEVNULL, **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **how}
        )

    def run(self, words, limit=None, **how):
        """Exit code and all that was said; what nascent may never do is noted."""
        child = self.start(words, limit, **how)
        try:
            said = (child.communicate(timeout=120)[0] or b"").decode(errors="replace")
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            said = "no end within two minutes"
        self.require(child.returncode in (0, 1, 2, 130) and "panicked" not in said, f"{words}: exit code {child.returncode}: {said[-500:]}")
        return child.returncode, said

    def succeed(self, words):
        code, said = self.run(words)
        self.require(code == 0, f"{words}: exit code {code}: {said[-500:]}")
        return said

    def require(self, holds, what):
        if not holds:
            self.wrong.append(what)

    def unfinished(self):
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.name.startswith(".nascent-") and path.suffix == ".tmp"]

    def clear(self, name="out"):
        """Nothing of an earlier run called `name`."""
        for path in self.folder.glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for left in self.unfinished():
            self.path(left).unlink()

    def words(self, writer):
        return WRITERS[writer].replace("OUT", "out.h5ad")

    def ready(self, writer):
        """A place as before a run of `writer`; returns what stands at its output."""
        self.clear()
        if writer in IN_PLACE:
            shutil.copyfile(self.path(IN_PLACE[writer]), self.path("out.h5ad"))
        elif writer != "report":
            self.path("out.h5ad").write_text("before")
        return contents(self.path("out.h5ad"))

    def prepare(self):
        self.path("steady.toml").write_text('[model]\nkind = "steady_state"\n')
        self.succeed("simulate --cells 150 --genes 40 --branches 2 --seed 3 --output counts.h5ad")
        self.succeed("train steady.toml --input counts.h5ad --output fit.h5ad")
        self.succeed("graph fit.h5ad --output graph.h5ad")
        self.succeed("import counts.h5ad --output processed.h5ad")
        self.succeed(NEURAL.replace("OUT", "neural.h5ad"))
        self.sound = {path.name: contents(path) for path in self.folder.iterdir()}
        for writer in WRITERS:
            self.ready(writer)
            begun = time.monotonic()
            self.succeed(self.words(writer))
            self.seconds[writer] = time.monotonic() - begun
            self.whole[writer] = contents(self.path("out.h5ad"))
        self.require(len(self.whole) == len(WRITERS) and None not in self.whole.values(), "not every command wrote its output")

    def untouched(self, after):
        """What the commands only read is as it was."""
        changed = [name for name, before in self.sound.items() if contents(self.path(name)) != before]
        self.require(not changed, f"{after}: changed: {', '.join(changed)}")

    def again(self, writer, after):
        """The same command gives the same bytes."""
        self.succeed(self.words(writer))
        self.require(contents(self.path("out.h5ad")) == self.whole[writer], f"{after}: the same command gives other bytes")

    def kills(self, times):
        """kill -9 at random moments."""
        for writer in ["simulate", "train", "graph", "import", "report", "merge"]:
            early = 0
            for _ in range(times):
                before = self.ready(writer)
                child = self.start(self.words(writer), stdout=subprocess.DEVNULL)
                after = self.rng.random() * self.seconds[writer]
                time.sleep(after)
                child.kill()
                child.wait()
                now, what = contents(self.path("out.h5ad")), f"{writer}, killed after {after:.3f} s"
                early += now == before
                if isinstance(now, dict):
                    # A page and its pictures: each is whole or not there.
                    damaged = [name for name, held in now.items() if self.whole[writer].get(name) != held and not name.endswith(".tmp")]
                    self.require(not damaged, f"{what}: damaged: {', '.join(damaged)}")
                else:
                    self.require(now in (before, self.whole[writer]), f"{what}: the output is damaged or lost")
                self.untouched(what)
                if self.path("out.h5ad").exists() and now == before:
                    self.again(writer, what)
            print(f"kill -9, {writer}: {times} times, {early} of them before its output stood")

    def kills_of_training(self, times):
        """kill -9 in the middle of training; the run goes on from its checkpoints."""
        self.clear()
        begun = time.monotonic()
        self.succeed(LONG.replace("OUT", "out.h5ad"))
        seconds, whole = time.monotonic() - begun, contents(self.path("out.h5ad"))
        self.clear()
        words = LONG.replace("OUT", "out.h5ad") + " --resume"
        for kind in [signal.SIGKILL, signal.SIGTERM] * (times // 2):
            child = self.start(words)
            time.sleep((0.2 + self.rng.random()) * seconds / times)
            child.send_signal(kind)
            said = child.communicate()[0].decode(errors="replace")
            allowed = (-9, 0) if kind == signal.SIGKILL else (130, 0)
            self.require(child.returncode in allowed and "panicked" not in said, f"training, {kind.name}: {child.returncode}: {said[-300:]}")
            self.require(contents(self.path("out.h5ad")) in (None, whole), f"training, {kind.name}: the output is damaged")
        # A checkpoint that was torn while it was written: the run goes on from the one before.
        last = self.path("out.run/checkpoints/last.ckpt")
        torn = last.exists() and last.with_name("previous.ckpt").exists()
        if torn:
            last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
        said = self.succeed(words)
        self.require(not torn or "previous.ckpt" in said, f"a torn checkpoint is not named: {said[-300:]}")
        self.require(contents(self.path("out.h5ad")) == whole, "a run that was killed and resumed gives other bytes")
        print(f"training killed or stopped {times} times, {'then its last checkpoint torn, ' if torn else ''}and resumed")

    def full_disk(self, steps):
        """Writes that fail from some size of a file on."""
        for writer in WRITERS:
            before = self.ready(writer)
            held = self.whole[writer]
            largest = max(map(len, held.values())) if isinstance(held, dict) else len(held)
            if writer in ("permute", "train, neural"):
                largest = max(largest, *(len(part) for part in self.sound["neural.run"].values()))
            refused = 0
            for step in range(steps + 1):
                before = self.ready(writer)
                # With the last one there is room enough.
                kib = largest * step // steps // 1024 + (64 if step == steps else 0)
                code, said = self.run(self.words(writer), limit=kib)
                now, what = contents(self.path("out.h5ad")), f"{writer}, no file above {kib} KiB"
                refused += code != 0
                if code == 0:
                    self.require(now == held, f"{what}: said to have succeeded, and the output is another")
                elif isinstance(held, dict):
                    damaged = [name for name, part in (now or {}).items() if held.get(name) != part]
                    self.require(not damaged, f"{what}: damaged: {', '.join(damaged)}")
                else:
                    self.require(now == before, f"{what}: what stood at the output does not stand there")
                self.require(code == 0 or "error:" in said, f"{what}: no message")
                self.require(not self.unfinished(), f"{what}: left behind: {self.unfinished()}")
                if writer == "train, neural" and code:
                    self.run(self.words(writer) + " --resume")
                    self.require(contents(self.path("out.h5ad")) == held, f"{what}: resumed, it gives other bytes")
            self.untouched(writer)
            print(f"full disk, {writer}: {refused} of {steps + 1} refused")
            self.require(refused > 0, f"{writer}: no write was refused")

    def signals(self):
        """Ctrl-C and what clusters send, where there is no checkpoint to go on from."""
        for writer in ["simulate", "train", "graph", "import", "report", "merge"]:
            for kind in [signal.SIGINT, signal.SIGTERM]:
                before = self.ready(writer)
                child = self.start(self.words(writer))
                time.sleep(self.rng.random() * self.seconds[writer])
                child.send_signal(kind)
                said = child.communicate()[0].decode(errors="replace")
                what = f"{writer}, {kind.name}"
                # Before the program listens, the system ends it.
                self.require(child.returncode in (0, 130, -kind), f"{what}: exit code {child.returncode}: {said[-300:]}")
                self.require(not self.unfinished(), f"{what}: left behind: {self.unfinished()}")
                now = contents(self.path("out.h5ad"))
                whole = isinstance(now, dict) and all(self.whole[writer].get(name) == held for name, held in now.items())
                self.require(whole or now in (before, self.whole[writer]), f"{what}: the output is damaged or lost")
        print("signals: 2 to each of 6 commands")

    def nobody_reads(self):
        """What the program says goes nowhere: a pipe that was closed, a full disk."""
        for words in ["keys", "inspect graph.h5ad", "evaluate fit.h5ad --json", "compare fit.h5ad graph.h5ad"]:
            reads, writes = os.pipe()
            os.close(reads)
            child = self.start(words, stdout=writes, stderr=subprocess.PIPE)
            os.close(writes)
            said = child.communicate()[1].decode(errors="replace")
            self.require("panicked" not in said and child.returncode in (0, 1, 141, -signal.SIGPIPE), f"{words} | true: {child.returncode}: {said[-300:]}")
            with open("/dev/full", "w") as full:
                child = self.start(words, stdout=full, stderr=subprocess.PIPE)
                said = child.communicate()[1].decode(errors="replace")
            self.require("panicked" not in said and child.returncode in (0, 1), f"{words} >/dev/full: {child.returncode}: {said[-300:]}")
        print("4 commands whose words nobody reads")

    def two_at_once(self):
        """A second run in the folder of one that works; two commands that write the same file."""
        self.clear()
        words = LONG.replace("OUT", "out.h5ad")
        first = self.start(words)
        mark = self.path("out.run/config.toml")
        begun = time.monotonic()
        while not mark.exists() and first.poll() is None and time.monotonic() - begun < 60:
            time.sleep(0.01)
        code, said = self.run(words)
        self.require(code == 2 and "another run works in this folder" in said, f"two runs in one folder: exit code {code}: {said[-300:]}")
        first.communicate()
        self.require(first.returncode == 0, f"the first of two runs: exit code {first.returncode}")
        self.clear()
        for writer in ["graph", "simulate"]:
            self.ready(writer)
            both = [self.start(self.words(writer)) for _ in range(2)]
            for child in both:
                said = child.communicate()[0].decode(errors="replace")
                self.require(child.returncode == 0, f"{writer}, two at once: exit code {child.returncode}: {said[-300:]}")
            self.require(contents(self.path("out.h5ad")) == self.whole[writer], f"{writer}, two at once: the output is another")
            self.require(not self.unfinished(), f"{writer}, two at once: left behind: {self.unfinished()}")
        print("two runs in one folder, two commands with one output")

    def closed_places(self):
        """Places that cannot be written, also for those who may write everywhere."""
        for writer in WRITERS:
            if writer in IN_PLACE:
                continue
            for place in ["/proc/out.h5ad", "nowhere/out.h5ad", "steady.toml/out.h5ad"]:
                if writer in ("report", "train, neural", "train") and place.startswith("nowhere"):
                    # They make their folders.
                    continue
                self.clear()
                code, said = self.run(WRITERS[writer].replace("OUT", place))
                self.require(code in (1, 2) and "error:" in said, f"{writer} to {place}: exit code {code}: {said[-300:]}")
            self.untouched(f"{writer} to a closed place")
        print("places that cannot be written")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--nascent")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    built = [arguments.root / "target" / kind / "nascent" for kind in ("release", "debug")]
    nascent = str(Path(arguments.nascent or next(path for path in built if path.exists())).resolve())
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(nascent, Path(folder), arguments.seed)
        checks.prepare()
        checks.kills(arguments.kills)
        checks.kills_of_training(4)
        checks.full_disk(arguments.steps)
        checks.signals()
        checks.nobody_reads()
        checks.two_at_once()
        checks.closed_places()
        wrong = checks.wrong
    for what in wrong:
        print(f"wrong: {what}")
    print(f"{len(wrong)} things wrong, {time.monotonic() - begun:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

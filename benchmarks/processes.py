"""Two processes on two cores against one: whole runs in turn, each timed by the rows of its own log."""

import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.timing import append, claim, machine, ratio
from gancore import read_rows

ROUNDS, STEPS = 7, 8
VARIANTS = {"1 process of 1 thread": (1, 1), "1 process of 2 threads": (1, 2), "2 processes of 1 thread": (2, 1)}
SETTINGS = ["--gen", "dcgan", "--loss", "bce", "--size", "64", "--batch", "64", "--sprites.count", "512"]
SETTINGS += ["--n-critic.reuse-fakes", "true", "--log-every", "1", "--device", "cpu"]
SETTINGS += ["--sample-every", "1000000", "--save-every", "1000000"]


def pace(processes: int, threads: int, steps: int) -> float:
    """Return the median wall seconds of a step of one whole run; its first step is left out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["run", *SETTINGS, "--steps", str(steps), "--nproc", str(processes), "--out", str(out)]
        how = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run([sys.executable, "-m", "gancore", *words], env=how, check=True, capture_output=True)
        seconds = [row["seconds"] for row in read_rows(out)]
    return statistics.median(after - before for before, after in pairwise(seconds))


def main(given) -> None:
    """Take the variants in turn, so that a noisy moment hits them alike."""
    rounds, steps = given.rounds or (1 if given.quick else ROUNDS), 3 if given.quick else STEPS
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(rounds):
        for name in list(VARIANTS)[:: 1 if turn % 2 else -1]:
            found[name].append(pace(*VARIANTS[name], steps))
    *others, two = VARIANTS
    for name in others:
        gain = ratio(found[name], found[two])
        label = f"{name} ÷ {two}"
        print(claim("processes", label, gain, "wall"), flush=True)
        append(
            given.json,
            {"benchmark": "processes", "label": label, "ratio": gain.median, "low": gain.low, "high": gain.high,
             "level": gain.level, "n": gain.n, "clock": "wall", **machine()},
        )  # fmt: skip

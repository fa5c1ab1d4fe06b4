"""Two processes on two cores against one: whole runs in turn, each timed by the rows of its own log."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from math import comb
from pathlib import Path

from gancore import read_rows

VARIANTS = {  # name: processes, threads of each
    "1 process, 1 thread": (1, 1),
    "1 process, 2 threads": (1, 2),
    "2 processes, 1 thread": (2, 1),
}
SETTINGS = ["--gen", "dcgan", "--loss", "bce", "--size", "64", "--batch", "64", "--sprites.count", "512"]
SETTINGS += ["--n-critic.reuse-fakes", "true", "--log-every", "1", "--device", "cpu"]
EVERY = ["--sample-every", "1000000", "--save-every", "1000000"]


def pace(processes: int, threads: int, steps: int) -> float:
    """Return the median seconds of a step of one whole run; its first step is left out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["run", *SETTINGS, *EVERY, "--steps", str(steps), "--nproc", str(processes), "--out", str(out)]
        how = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run([sys.executable, "-m", "gancore", *words], env=how, check=True, capture_output=True)
        seconds = [row["seconds"] for row in read_rows(out)]
    return statistics.median(after - before for before, after in pairwise(seconds))


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """Return the distribution-free interval of the median, from the order of the values."""
    ordered, n = sorted(values), len(values)
    tail, k = 0.0, 0
    while k < n // 2 and tail + comb(n, k) / 2**n <= (1 - level) / 2:
        tail += comb(n, k) / 2**n
        k += 1
    return ordered[max(0, k - 1)], ordered[n - max(1, k)]


def main() -> None:
    """Take the variants in turn, so that a noisy moment hits them alike; print ratios of images a second."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--steps", type=int, default=8)
    given = asked.parse_args()
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(given.rounds):
        for name in list(VARIANTS)[:: 1 if turn % 2 else -1]:
            found[name].append(pace(*VARIANTS[name], given.steps))
    print(f"wall seconds of a step, DCGAN 64 px, batch 64, {given.steps} steps a run, n = {given.rounds}")
    two = found["2 processes, 1 thread"]
    for name, seconds in found.items():
        ratios = [one / other for one, other in zip(seconds, two, strict=True)]
        low, high = interval(ratios)
        about = f"2 processes are {statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}] times as fast"
        print(f"  {name:22} {statistics.median(seconds):.3f} s   {about if seconds is not two else ''}")


if __name__ == "__main__":
    main()

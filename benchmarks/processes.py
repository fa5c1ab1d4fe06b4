"""Times two processes on two cores against one, by the logs of whole runs.

Two runs at once, each with half the batch and nothing to tell the other, show what the machine
gives at most.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from attrs import frozen

from benchmarks.timing import ratio, tell_ratio
from gancore import read_rows

ROUNDS = 7
BATCH = 64
WARM = 3  # steps that are not counted: kernels are chosen and memory is taken in them
SETTINGS = (
    "--gen dcgan --dcgan.width 64 --dcgan-critic.width "
    "64 --size 64 --sprites.count 512 --device cpu "
    "--log-every 1 --sample-every 1000000 --save-every 1000000"
)
TASKS = {  # words and steps of a run
    "dcgan": ("--loss bce --n-critic.reuse-fakes true", 12),
    "wgan-gp": ("--loss wgan-gp --critic-norm none", 6),
}


@frozen
class Variant:
    """Simultaneous runs, processes per run, threads per process, and the batch of each run."""

    runs: int = 1
    processes: int = 1
    threads: int = 1
    batch: int = BATCH


VARIANTS = {
    "1 process of 1 thread": Variant(),
    "1 process of 2 threads": Variant(threads=2),
    "2 runs of half the batch": Variant(runs=2, batch=BATCH // 2),
    "2 processes of 1 thread": Variant(processes=2),
}


def pace(task: str, variant: Variant, steps: int) -> float:
    """Return the median wall seconds of a step once it is warm."""
    how = {**os.environ, "OMP_NUM_THREADS": str(variant.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    shared = f"--batch {variant.batch} --steps {steps} --nproc {variant.processes}"
    words = f"{SETTINGS} {TASKS[task][0]} {shared}".split()
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(number) for number in range(variant.runs)]
        commands = [
            [sys.executable, "-m", "gancore", "run", *words, "--out", str(place)]
            for place in places
        ]
        started = [subprocess.Popen(each, env=how, stderr=subprocess.DEVNULL) for each in commands]
        codes = [each.wait() for each in started]
        if any(codes):
            raise RuntimeError("a run failed: " + " ".join(commands[0]))
        logs = [[row["seconds"] for row in read_rows(place)][WARM - 1 :] for place in places]
    return statistics.median(after - before for log in logs for before, after in pairwise(log))


def main(given) -> None:
    """Take the variants in turn, so that a noisy moment hits them alike."""
    rounds = given.rounds or (1 if given.quick else ROUNDS)
    for task, (_, steps) in TASKS.items():
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for turn in range(rounds):
            for name in list(VARIANTS)[:: 1 if turn % 2 else -1]:
                found[name].append(pace(task, VARIANTS[name], WARM + 2 if given.quick else steps))
        report(task, found, given)


def report(task: str, found: dict[str, list[float]], given) -> None:
    """Print times, and what each variant gains, and append it to the file."""
    for name, seconds in found.items():
        print(f"  {task:8} {name:26} {statistics.median(seconds) * 1e3:8.1f} ms a step")
    one, *others = VARIANTS
    for name in others:
        tell_ratio(
            given, "processes", f"{task}, {one} ÷ {name}", ratio(found[one], found[name]), "wall"
        )

"""How long until `gan` answers, draws a sample, or makes a run's first step?

Whole processes, taken in turn.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import append, machine, median_of

ROUNDS = 7
COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "gan --help": ["-m", "gancore", "--help"],
    "gan plugins": ["-m", "gancore", "plugins"],
    "gan run --help": ["-m", "gancore", "run", "--help"],
    "gan plugins dcgan": ["-m", "gancore", "plugins", "dcgan"],
    "import torch": ["-c", "import torch"],
    "gan sample -n 1": ["-m", "gancore", "sample", "RUN", "-n", "1"],
    "import what a run imports": ["-m", "benchmarks.first_step", "imports"],
    "first step of a run": ["-m", "benchmarks.first_step", "run"],
}


SMALL = [
    "--steps",
    "1",
    "--size",
    "16",
    "--batch",
    "4",
    "--dcgan.width",
    "4",
    "--dcgan-critic.width",
    "4",
]


def seconds_of(words: list[str], clock: str) -> float:
    """Run a process to its end; return its wall time, or the processor time it took."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )
        wall = time.monotonic() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if clock == "wall":
        return wall
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(rounds: int, run: str, clock: str) -> dict[str, list[float]]:
    """Return the seconds of each command; `run` is the folder that samples are drawn from."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, words in COMMANDS.items():
            found = seconds_of([run if word == "RUN" else word for word in words], clock)
            if turn:  # the first round fills the disk's cache
                seconds[name].append(found)
    return seconds


def main(given) -> None:
    """Take the commands in turn, so that a noisy moment hits them alike."""
    rounds = given.rounds or (3 if given.quick else ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        seconds_of(["-m", "gancore", "run", "--out", run, *SMALL], given.clock)
        seconds = measured(rounds, run, given.clock)
    print(f"  seconds of a process, {given.clock}, median of {rounds} with its interval")
    for name, found in seconds.items():
        interval = median_of(found)
        print(f"  {name:26} {interval.median:.2f} [{interval.low:.2f}, {interval.high:.2f}]")
        append(
            given.json,
            {
                "benchmark": "startup",
                "label": name,
                "seconds": interval.median,
                "low": interval.low,
                "high": interval.high,
                "level": interval.level,
                "n": interval.n,
                "clock": given.clock,
                **machine(),
            },
        )
    beyond = median_of(
        [
            run - torch
            for run, torch in zip(
                seconds["first step of a run"], seconds["import torch"], strict=True
            )
        ]
    )
    shares = zip(seconds["gan sample -n 1"], seconds["import torch"], strict=True)
    share = median_of([sample / torch for sample, torch in shares])
    print(
        f"  a sample takes {share.median:.2f} [{share.low:.2f}, {share.high:.2f}] of `import torch`"
    )
    print(
        f"  the first step comes {beyond.median:.2f} s "
        f"[{beyond.low:.2f}, {beyond.high:.2f}] after `import torch`"
    )

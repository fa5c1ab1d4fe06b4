"""How long until `gan` answers, and until a run makes its first step? Whole processes, taken in turn."""

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
    "import torch": ["-c", "import torch"],
    "import what a run imports": ["-m", "benchmarks.first_step", "imports"],
    "first step of a run": ["-m", "benchmarks.first_step", "run"],
}


def seconds_of(words: list[str], clock: str) -> float:
    """Run a process to its end; return its wall time, or the processor time it took."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if clock == "wall":
        return wall
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(given) -> None:
    """Take the commands in turn, so that a noisy moment hits them alike."""
    rounds = given.rounds or (3 if given.quick else ROUNDS)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, words in COMMANDS.items():
            found = seconds_of(words, given.clock)
            if turn:  # the first round fills the disk's cache
                seconds[name].append(found)
    print(f"  seconds of a process, {given.clock}, median of {rounds} with its interval")
    for name, found in seconds.items():
        interval = median_of(found)
        print(f"  {name:26} {interval.median:.2f} [{interval.low:.2f}, {interval.high:.2f}]")
        append(
            given.json,
            {"benchmark": "startup", "label": name, "seconds": interval.median, "low": interval.low,
             "high": interval.high, "level": interval.level, "n": interval.n, "clock": given.clock, **machine()},
        )  # fmt: skip
    beyond = median_of(
        [run - torch for run, torch in zip(seconds["first step of a run"], seconds["import torch"], strict=True)]
    )
    print(f"  the first step comes {beyond.median:.2f} s [{beyond.low:.2f}, {beyond.high:.2f}] after `import torch`")

"""How much memory two steps take, measured in a fresh process for each contestant."""

import contextlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from attrs import asdict

from benchmarks.contestants import make, scratch
from benchmarks.tasks import Task

STEPS = 2
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in which a system states the peak


def forget_peak() -> None:
    """Reset the peak to what is resident now (Linux): importing torch has its own peak."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the largest resident size of this process since then, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def data_on_device() -> int:
    """Return the resident bytes of this process now, or its peak if the system has no more."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return peak()


def of(task, contestant: str) -> int:
    """Return by how many bytes a contestant raises the peak, in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.memory", json.dumps(asdict(task)), contestant]
    root = Path(__file__).resolve().parent.parent
    return int(subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the rise of one contestant's peak."""
    torch.set_num_threads(1)
    given = json.loads(sys.argv[1])
    contestant = sys.argv[2]
    task = Task(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
    )
    forget_peak()
    begun = peak()
    with scratch() as folder:
        runner = make(task, contestant, Path(folder))
        for _ in range(STEPS):
            runner.step()
        print(peak() - begun)


if __name__ == "__main__":
    main()

"""`python -m benchmarks [NAME ...]`: time composed runs beside hand-written loops.

Each task is timed against a `textbook` loop (the gain of the operations) and a `twin` written by
hand with the same operations (the cost of composing). A ratio is a median of rounds, with its 95 %
interval. The last lines of a task are claims that can be pasted.
"""

import argparse
from pathlib import Path

import torch
from attrs import evolve

from benchmarks import large_data, memory, peers, penalty, processes, scaling, startup, toy
from benchmarks.contestants import field_of, scratch
from benchmarks.tasks import TASKS, quick
from benchmarks.timing import CLOCKS, append, claim, described, in_turn, machine, median_of, ratio
from gancore.hardware.device import saves_time

# slower ÷ faster, as one would hope
PAIRS = [
    ("textbook", "composed"),
    ("composed", "twin"),
    ("textbook", "twin"),
]
OF_THE_TOY = "toy-2d"
OTHERS = {
    "penalty": penalty.main,
    "processes": processes.main,
    "scaling": scaling.main,
    "startup": startup.main,
    "large-data": large_data.main,
}


def read_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"any of {', '.join([*TASKS, *OTHERS])}; none is all",
    )
    parser.add_argument(
        "--rounds", type=int, help="rounds of each task; its own number where it is not given"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of torch; with more than one the clock is wall",
    )
    parser.add_argument(
        "--wall", action="store_true", help="wall time instead of the process's processor time"
    )
    parser.add_argument(
        "--quick", action="store_true", help="narrow nets and few rounds, to see that all runs"
    )
    parser.add_argument(
        "--force", action="store_true", help="bf16 also where the processor is no faster in it"
    )
    parser.add_argument(
        "--million", action="store_true", help="large-data: also a folder of a million images"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one JSON object a figure")
    given = parser.parse_args()
    if unknown := set(given.names) - {*TASKS, *OTHERS}:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    given.clock = "wall" if given.wall or given.threads > 1 else "processor time"
    return given


def main():
    given = read_arguments()
    torch.set_num_threads(given.threads)
    print(described(machine()))
    for name in given.names or [*TASKS, *OTHERS]:
        print(f"\n{name}", flush=True)
        if name in OTHERS:
            OTHERS[name](given)
            continue
        task = quick(TASKS[name]) if given.quick else TASKS[name]
        task = evolve(task, rounds=given.rounds or task.rounds)
        if task.precision == "bf16" and not (given.force or saves_time("bf16")):
            print("  not applicable: this processor is no faster in bf16; --force times it")
        else:
            (toy.overhead if name == OF_THE_TOY else time_task)(task, given)


def time_task(task, given):
    """Time the contestants of a task in turn, and print times, memory, ratios and claims."""
    with scratch() as folder:
        contestants = field_of(task, Path(folder))
        if task.name == "dcgan-64":
            contestants |= peers_of(task, Path(folder), contestants["composed"])
        seconds = in_turn(
            {name: each.step for name, each in contestants.items()},
            task.rounds,
            block=task.block,
            warmup=task.warmup,
            clock=CLOCKS[given.clock],
        )
    peaks = {} if given.quick else {name: memory.of(task, name) for name in task.contestants}
    for name, found in seconds.items():
        middle = median_of(found).median
        rise = f"  {peaks[name] / 2**20:5.0f} MiB" if name in peaks else ""
        print(
            f"  {name:17} {middle * 1e3:8.1f} ms a step  {task.shown / middle:7.1f} images/s{rise}"
        )
    pairs = PAIRS + [(name, "composed") for name in seconds if name not in task.contestants]
    for above, below in pairs:
        if above in seconds and below in seconds:
            report(task, given, seconds, peaks, above, below)


def report(task, given, seconds, peaks, above, below):
    """Print one claim and append it to the file."""
    found = ratio(seconds[above], seconds[below])
    print(claim(task.name, f"{above} ÷ {below}", found, given.clock), flush=True)
    both = {name: median_of(seconds[name]).median for name in (above, below)}
    append(
        given.json,
        {
            "benchmark": task.name,
            "above": above,
            "below": below,
            "ratio": found.median,
            "low": found.low,
            "high": found.high,
            "level": found.level,
            "n": found.n,
            "clock": given.clock,
            "quick": given.quick,
            "seconds": both,
            "images_per_second": {name: task.shown / each for name, each in both.items()},
            "peak_bytes": {name: peaks[name] for name in both if name in peaks},
            **machine(),
        },
    )


def peers_of(task, folder, start):
    """Return the peers of a task: torchgan if it can be imported, else a restatement."""
    try:
        return {"torchgan": peers.torchgan(task, folder, start)}
    except ImportError as error:
        print(f"  {error}; its passes are restated in our own words")
        return {"restated torchgan": peers.restated(task, start)}


if __name__ == "__main__":
    main()

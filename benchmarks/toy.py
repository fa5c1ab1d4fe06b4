"""What does composing cost where there is next to no arithmetic?

Microseconds a step, by idle components.
"""

from pathlib import Path

from benchmarks.contestants import composed, scratch, written
from benchmarks.idle import CALLS
from benchmarks.timing import CLOCKS, append, described, in_turn, machine, median_of, ratio

IDLE = (0, 5, 10, 20)


def overhead(task, given):
    """Time composed runs with idle components beside the twin and the textbook."""
    with scratch() as folder:
        runs = {count: composed(task, Path(folder), idle=count) for count in IDLE}
        loops = {kind: written(task, kind, start=runs[0]) for kind in ("textbook", "twin")}
        seconds = in_turn(
            {name: each.step for name, each in {**loops, **runs}.items()},
            task.rounds,
            block=task.block,
            warmup=task.warmup,
            clock=CLOCKS[given.clock],
        )
    for name, found in seconds.items():
        label = f"composed, {name} idle" if name in runs else name
        print(f"  {label:17} {median_of(found).median * 1e6:8.0f} µs a step")
    print(f"  textbook ÷ composed {ratio(seconds['textbook'], seconds[0])}")
    print(f"  composed ÷ twin {ratio(seconds[0], seconds['twin'])}")
    beyond = difference(seconds[0], seconds["twin"])
    most = max(IDLE)
    slope = difference(seconds[most], seconds[0], most)
    where = described(machine())
    print(f"{task.name}: composed - twin {beyond} µs a step, 1 thread, {given.clock}, {where}")
    print(
        f"{task.name}: each idle component, asked {CALLS} times a step, "
        f"{slope} µs a step, 1 thread, {given.clock}"
    )
    rows = {"composed - twin": beyond, "idle component": slope}
    for label, found in rows.items():
        append(
            given.json,
            {
                "benchmark": task.name,
                "label": label,
                "microseconds": found.median,
                "low": found.low,
                "high": found.high,
                "level": found.level,
                "n": found.n,
                "clock": given.clock,
                "quick": given.quick,
                "seconds": {str(name): median_of(each).median for name, each in seconds.items()},
                **machine(),
            },
        )


def difference(more, less, shares=1):
    """Return the median difference of the rounds, divided by `shares`, in microseconds."""
    return median_of([(one - other) / shares * 1e6 for one, other in zip(more, less, strict=True)])

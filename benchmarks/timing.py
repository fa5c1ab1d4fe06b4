"""Times contestants in interleaved rounds; ratios per round, interval of the median."""

import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import comb
from pathlib import Path

import torch
from attrs import frozen

from gancore.hardware.device import cpu_facts, processor_name

CLOCKS = {"processor time": time.process_time, "wall": time.perf_counter}


@frozen
class Interval:
    """A median with an interval that contains the true one with probability `level`."""

    median: float
    low: float
    high: float
    level: float
    n: int

    def __str__(self):
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}], n = {self.n}"


def median_of(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the median and its interval from order statistics: values must be independent.

    The k-th smallest and k-th largest of n miss the true median with a chance of 2·P(B < k), B ~
    Binomial(n, 1/2). The largest k that keeps the level is taken; where there is none (n < 6) the
    whole range, with the level it has.
    """
    found = sorted(values)
    n = len(values)

    def missed(k):
        return 2 * sum(comb(n, below) for below in range(k)) / 2**n

    k = max([k for k in range(1, n // 2 + 1) if missed(k) <= 1 - level], default=1)
    return Interval(statistics.median(found), found[k - 1], found[-k], max(0.0, 1 - missed(k)), n)


def in_turn(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    block: int = 1,
    warmup: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Return seconds per step of each contestant, per round; the first one alternates.

    A round times `block` steps of each, one contestant after the other, and every second round goes
    backwards. The first `warmup` steps are not timed. The garbage collector rests meanwhile.
    """
    for step in contestants.values():
        for _ in range(warmup):
            step()
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn // 2 % len(names)
            order = names[first:] + names[:first]
            for name in reversed(order) if turn % 2 else order:
                step = contestants[name]
                begun = clock()
                for _ in range(block):
                    step()
                seconds[name].append((clock() - begun) / block)
    finally:
        gc.enable()
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> Interval:
    """Return the median of the ratios of the rounds."""
    return median_of([one / other for one, other in zip(above, below, strict=True)])


# ── where it was measured ─────────────────────────────────────────────────────────────────────────


def machine() -> dict[str, object]:
    """Say where and with what a figure was measured."""
    flags = cpu_facts().get("flags", "").split()
    return {
        "processor": processor_name(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "bf16": "avx512_bf16" in flags,
        "amx": "amx_bf16" in flags,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "date": date.today().isoformat(),
    }


def described(where: Mapping[str, object]) -> str:
    """Put a machine into words."""
    bf16, amx = ("yes" if where[key] else "no" for key in ("bf16", "amx"))
    return (
        f"{where['processor']} ({where['vectors']}, "
        f"avx512_bf16 {bf16}, AMX {amx}), torch {where['torch']}"
    )


def claim(benchmark: str, label: str, found: Interval, clock: str) -> str:
    """Return a line to paste: benchmark, ratio, interval, n, threads, clock, versions."""
    where = machine()
    threads = f"{where['threads']} thread{'s' if where['threads'] != 1 else ''}"
    return f"{benchmark}: {label} {found}, {threads}, {clock}, {described(where)}"


def append(path: Path | None, row: Mapping[str, object]) -> None:
    """Append one JSON object as a line, where a file is wanted."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def tell_ratio(given, benchmark: str, label: str, found: Interval, clock: str) -> None:
    """Print a ratio as a claim, and append it to the file that the arguments name."""
    print(claim(benchmark, label, found, clock), flush=True)
    append(
        given.json,
        {
            "benchmark": benchmark,
            "label": label,
            "ratio": found.median,
            "low": found.low,
            "high": found.high,
            "level": found.level,
            "n": found.n,
            "clock": clock,
            **machine(),
        },
    )

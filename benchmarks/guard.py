"""`python -m benchmarks.guard`, for CI: fails if composing has become clearly slow.

Ratios of processor time, side by side in one process, with margins so wide that a busy machine does
not cross them.
"""

import sys
from pathlib import Path

import torch
from attrs import evolve

from benchmarks.contestants import field_of, scratch
from benchmarks.tasks import DCGAN_28
from benchmarks.timing import Interval, in_turn, ratio

TASK = evolve(DCGAN_28, name="dcgan-28-like", width=32, block=2, rounds=15)
LIMITS = (
    ("textbook", "composed", 0.9, None, "a composed run is slower than the textbook loop"),
    ("composed", "twin", None, 1.25, "composing costs more than a quarter of a step"),
)


def judge(
    above: str, below: str, least: float | None, most: float | None, why: str, found: Interval
) -> str:
    """Return a sentence where the median lies outside the limits, or nothing."""
    if (least is None or found.median >= least) and (most is None or found.median <= most):
        return ""
    bound = f"at least {least:g}" if least is not None else f"at most {most:g}"
    return f"{TASK.name}: {above} ÷ {below} is {found}, but {bound} is wanted: {why}"


def main() -> int:
    """Print each ratio; return 1 where one lies outside its limits."""
    torch.set_num_threads(1)
    with scratch() as folder:
        steps = {name: each.step for name, each in field_of(TASK, Path(folder)).items()}
        seconds = in_turn(steps, TASK.rounds, block=TASK.block, warmup=6)
    wrong = []
    for limit in LIMITS:
        found = ratio(seconds[limit[0]], seconds[limit[1]])
        print(f"{TASK.name}: {limit[0]} ÷ {limit[1]} {found}")
        wrong.append(judge(*limit, found))
    for sentence in filter(None, wrong):
        print(sentence, file=sys.stderr)
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main())

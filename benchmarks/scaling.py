"""How time and memory grow with batch, image size, threads and length: a table each."""

import gc
import os
import time
from pathlib import Path

import torch
from attrs import evolve

from benchmarks import memory
from benchmarks.contestants import composed, scratch, written
from benchmarks.tasks import DCGAN_28, DCGAN_64, TOY
from benchmarks.timing import CLOCKS, append, in_turn, machine, median_of, ratio

ROUNDS = 5  # first looks: an interval of five rounds is their whole range


def main(given) -> None:
    """Print every table."""
    for axis in (batches, sides, threads, lengths):
        axis(given)


def row(given, axis, value, text, **figures) -> None:
    """Print one row and append it to the file."""
    print(f"  {axis} {value:<6} {text}", flush=True)
    append(
        given.json, {"benchmark": "scaling", "axis": axis, "value": value, **figures, **machine()}
    )


def beside_twin(task, given):
    """Return seconds a step of a composed run and its twin, by rounds."""
    with scratch() as folder:
        run = composed(task, Path(folder))
        steps = {"composed": run.step, "twin": written(task, "twin", start=run).step}
        rounds = given.rounds or ROUNDS
        return in_turn(
            steps, rounds, block=task.block, warmup=task.warmup, clock=CLOCKS[given.clock]
        )


def batches(given) -> None:
    """Show images a second and the share of composing, from one image to many."""
    for batch in (1, 4, 16) if given.quick else (1, 4, 16, 64, 256):
        task = evolve(
            DCGAN_28,
            batch=batch,
            width=16 if given.quick else 64,
            block=max(1, 64 // batch),
            warmup=10,
        )
        seconds = beside_twin(task, given)
        middle, cost = (
            median_of(seconds["composed"]).median,
            ratio(seconds["composed"], seconds["twin"]),
        )
        beyond = (median_of(seconds["composed"]).median - median_of(seconds["twin"]).median) * 1e6
        text = (
            f"{batch / middle:8.1f} images/s  {middle * 1e3:8.2f} ms a step  "
            f"composed ÷ twin {cost} ({beyond:.0f} µs)"
        )
        row(given, "batch", batch, text, seconds=middle, composed_by_twin=cost.median)


def sides(given) -> None:
    """Show time and memory of narrow nets, by the image's side in pixels."""
    for side in (28, 32) if given.quick else (28, 32, 64, 128, 256):
        task = evolve(DCGAN_64, shape=(3, side, side), width=8, batch=32, block=1)
        with scratch() as folder:
            steps = {"composed": composed(task, Path(folder)).step}
            seconds = in_turn(steps, given.rounds or ROUNDS, warmup=3, clock=CLOCKS[given.clock])
        middle = median_of(seconds["composed"]).median
        peak = memory.of(task, "composed")
        text = (
            f"{middle * 1e3:8.1f} ms a step  "
            f"{middle / task.batch / side**2 * 1e9:6.0f} ns a pixel  "
        )
        row(given, "side", side, f"{text}{peak / 2**20:6.0f} MiB", seconds=middle, peak_bytes=peak)


def threads(given) -> None:
    """Show the wall time of a step and its efficiency, by threads."""
    before = torch.get_num_threads()
    alone = 0.0
    task = evolve(DCGAN_28, width=16) if given.quick else DCGAN_28
    cores = os.cpu_count() or 1
    for count in sorted({1, 2, 4, 8, cores}):
        if count > cores:
            continue
        torch.set_num_threads(count)
        with scratch() as folder:
            steps = {"composed": composed(task, Path(folder)).step}
            seconds = in_turn(
                steps, given.rounds or ROUNDS, block=4, warmup=4, clock=time.perf_counter
            )
        middle = median_of(seconds["composed"]).median
        alone = alone or middle
        row(
            given,
            "threads",
            count,
            f"{middle * 1e3:8.1f} ms a step (wall)  efficiency {alone / middle / count:.2f}",
            seconds=middle,
        )
    torch.set_num_threads(before)


def lengths(given) -> None:
    """Show that a step costs no more, and the process is no larger, after many steps."""
    clock = CLOCKS[given.clock]
    made = 0
    with scratch() as folder:
        step = composed(TOY, Path(folder)).step
        for count in (100, 1000) if given.quick else (100, 1000, 10_000):
            gc.collect()
            for _ in range(count - made - 100):
                step()
            begun = clock()
            for _ in range(100):
                step()
            middle = (clock() - begun) / 100
            made = count
            data_on_device = memory.data_on_device()
            text = (
                f"{middle * 1e6:8.0f} µs a step over the last 100  "
                f"{data_on_device / 2**20:6.0f} MiB resident"
            )
            row(given, "steps", count, text, seconds=middle, resident_bytes=data_on_device)

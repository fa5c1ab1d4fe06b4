"""What does composing cost? Blocks of composed steps against blocks of the same steps written by hand, in turn."""

import gc
import importlib.util
import statistics
import time
from pathlib import Path

import torch

from gancore import compose
from gancore.run.run import open_data, prepare
from gancore.runtime import Runtime

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ROUNDS, STEPS, BATCH, WIDTH = 15, 8, 64, 32


def twin(name):
    """Load a plain loop."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds_of(block):
    """Return the processor time of a block; it leaves out waiting for a core."""
    begun = time.process_time()
    block()
    return time.process_time() - begun


def blocks(name, loss):
    """Return two functions that make the same steps from the same start, networks included."""
    options = {"sprites.count": 1024, "dcgan.width": WIDTH, "dcgan-critic.width": WIDTH}
    composition = compose(loss=loss, options=options, settings={"batch": BATCH})
    data, module = open_data(composition), twin(name)

    def composed():
        training = prepare(composition, data, Runtime(torch.device("cpu")))
        for _ in range(STEPS):
            training.advance()

    return composed, lambda: module.train(data.samples, STEPS, BATCH, width=WIDTH, log=None)


def ratios(name, loss):
    """Time both in turn, changing who goes first."""
    composed, plain = blocks(name, loss)
    composed()
    plain()
    gc.collect()
    gc.disable()
    found = []
    for turn in range(ROUNDS):
        if turn % 2:
            first, second = seconds_of(composed), seconds_of(plain)
        else:
            second, first = seconds_of(plain), seconds_of(composed)
        found.append(first / second)
    gc.enable()
    return sorted(found)


def main():
    """Print one line a loss."""
    torch.set_num_threads(1)
    print(f"composed ÷ plain, processor time of {STEPS} steps and building, median of {ROUNDS} pairs (range)")
    for name, loss in (("plain_dcgan", "bce"), ("plain_wgan_gp", "wgan-gp")):
        found = ratios(name, loss)
        print(f"  {loss:8} {statistics.median(found):.3f} ({found[0]:.3f} to {found[-1]:.3f})")


if __name__ == "__main__":
    main()

"""The time and memory that a component adds to a step, measured with and without it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from attrs import frozen
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gancore.plugins.component import kebab
from gancore.testing.comparing import capture
from gancore.testing.trainings import train
from gancore.train.data import Data
from gancore.train.loop import Training
from gancore.train.precision import Runtime

WARM_UP_STEPS = 3  # steps before the first that counts: the first ones allocate and choose kernels


@frozen
class Cost:
    """What a component adds to a step of a tiny training.

    `microseconds` is the median, over `steps` pairs of steps, of the time with the component less
    that without it, in µs; `microseconds_without` the median time of a step without it.
    `bytes_made` are the bytes of the tensors that the operations of a step make, more than without
    it: memory that is used and freed within the step. `bytes_kept` are the bytes of weights,
    buffers, optimizer and state, more than without it: memory, and size of a checkpoint. Either is
    negative where the component replaces something dearer.
    """

    component: str
    microseconds: float
    microseconds_without: float
    bytes_made: int
    bytes_kept: int
    steps: int
    device: str

    def __str__(self) -> str:
        return (
            f"{self.component}: {self.microseconds:+,.0f} µs a step, beside "
            f"{self.microseconds_without:,.0f} µs without it; {_size(self.bytes_made)} of tensors "
            f"made a step, {_size(self.bytes_kept)} kept "
            f"(median of {self.steps} pairs of steps on {self.device})"
        )


def _size(count: int) -> str:
    """Write a number of bytes with its sign, e.g. `+1.5 KiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:+,.0f} {unit}" if unit == "B" else f"{size:+,.1f} {unit}"
        size /= 1024
    return f"{size:+,.1f} GiB"


def cost_of(
    component: type,
    *,
    data: Data | None = None,
    beside: Sequence[Any] = (),
    instead: Sequence[Any] = (),
    batch: int = 8,
    steps: int = 30,
    runtime: Runtime | None = None,
    **options: Any,
) -> Cost:
    """Measure what a component adds to a step: two trainings, with and without it, step by step.

    They take turns in one process, so that what else the machine does slows both alike. `beside`
    are components of both trainings, `instead` those of the training without the component, and
    stand-ins fill the slots that are open. Times of a busy machine vary: read them, and let no test
    depend on them.
    """
    made = component(**options)
    with_it = train(made, *beside, data=data, batch=batch, runtime=runtime)
    without = train(*instead, *beside, data=data, batch=batch, runtime=runtime)
    for _ in range(WARM_UP_STEPS):
        with_it.train_step()
        without.train_step()
    differences = []
    base = []
    for index in range(steps):
        # who comes first alternates, as the second step finds warmer caches
        if index % 2:
            slower, faster = _time(with_it), _time(without)
        else:
            faster, slower = _time(without), _time(with_it)
        differences.append(slower - faster)
        base.append(faster)
    return Cost(
        component=kebab(component.__name__),
        microseconds=median(differences),
        microseconds_without=median(base),
        bytes_made=_bytes_made(with_it) - _bytes_made(without),
        bytes_kept=_bytes_kept(with_it) - _bytes_kept(without),
        steps=steps,
        device=str(with_it.context.gan.device),
    )


def _time(training: Training) -> float:
    """Return the time of one step in µs."""
    _wait(training.context.gan.device)
    start = time.perf_counter()
    training.train_step()
    _wait(training.context.gan.device)
    return 1e6 * (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of each tensor that an operation makes and that is no view of its inputs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and add the bytes of its new tensors."""
        kwargs = kwargs or {}
        given = {_storage(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        answer = func(*args, **kwargs)
        for each in tree_leaves(answer):
            if isinstance(each, Tensor) and _storage(each) not in given:
                self.bytes += each.untyped_storage().nbytes()
        return answer


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes_made(training: Training) -> int:
    counting = _Counting()
    with counting:
        training.train_step()
    return counting.bytes


def _bytes_kept(training: Training) -> int:
    total = 0
    for tensors in capture(training).files.values():
        total += sum(tensor.nbytes for tensor in tensors.values())
    return total

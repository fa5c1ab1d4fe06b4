"""Several processes that make each step of one run together, every one with its own rows of the batch.

Each minimises the mean over its own rows, and the gradients are averaged: the step of one process that had all the
rows. What a network computes of the whole batch it asks for by `gather` and `average`, which gradients pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.distributed as dist
from attrs import field, frozen
from torch import Tensor

from gancore.errors import PeerError


class Exchange(Protocol):
    """How processes hand each other tensors of one shape; all of them must take part. Raises PeerError."""

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, by rank: `[R, …]`."""

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same bits in each."""


class Messages:
    """Exchange by torch's own messages: gloo between processors, NCCL between CUDA devices."""

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, by rank: `[R, …]`."""
        found = values.new_empty(dist.get_world_size(), *values.shape)
        with _reaching_all():
            dist.all_gather(list(found.unbind()), values.contiguous())
        return found

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same bits in each."""
        found = values.clone(memory_format=torch.contiguous_format)
        with _reaching_all():
            dist.all_reduce(found)
        return found


@contextmanager
def _reaching_all() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerError.gone(error) from error


@frozen
class ProcessGroup:
    """The processes of a run: `rank` of this one, from 0, `size`, how many there are, and how they reach each other."""

    rank: int = 0
    size: int = 1
    exchange: Exchange = field(factory=Messages, eq=False, repr=False)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes, measures and speaks."""
        return self.rank == 0

    @property
    def key(self) -> tuple[int, ...]:
        """What parts this process's own random numbers from those of the one that leads."""
        return (self.rank,) if self.rank else ()

    def local_rows(self, rows: Tensor) -> Tensor:
        """Take this process's share of rows `[N, …]` that all have; all of them where they cannot be shared out."""
        if self.size == 1:
            return rows
        share, rest = divmod(len(rows), self.size)
        return rows if rest else rows[self.rank * share : (self.rank + 1) * share]

    def all_reduce_mean(self, gradients: Sequence[Tensor], figures: Mapping[str, Any]) -> dict[str, Any]:
        """Average gradients over the processes, in place, and return the averages of figures: in one message."""
        if self.size == 1:
            return dict(figures)
        tensors = {name: figure for name, figure in figures.items() if isinstance(figure, Tensor)}
        flat = torch.cat([each.detach().flatten() for each in (*gradients, *tensors.values())])
        flat = self.exchange.all_reduce(flat).div_(self.size)
        parts = torch.split(flat, [each.numel() for each in (*gradients, *tensors.values())])
        for gradient, part in zip(gradients, parts, strict=False):
            gradient.copy_(part.view(gradient.shape))
        means = zip(tensors, parts[len(gradients) :], strict=True)
        return {**figures, **{name: mean.view(tensors[name].shape) for name, mean in means}}

    def gather(self, rows: Tensor) -> Tensor:
        """Do what `gancore.gather` does, with these processes."""
        found: Tensor = _Gather.apply(rows, self) if self.size > 1 else rows
        return found

    def average(self, values: Tensor) -> Tensor:
        """Do what `gancore.average` does, with these processes."""
        found: Tensor = _Average.apply(values, self) if self.size > 1 else values
        return found

    def all_reduce_max(self, number: int) -> int:
        """Return the highest of the numbers that the processes give: how they agree to go on or to stop."""
        return int(self.exchange.all_gather(torch.tensor(number)).max()) if self.size > 1 else number

    def broadcast_text(self, text: str) -> str:
        """Return the text of the process that leads."""
        if self.size == 1:
            return text
        letters = text.encode() if self.is_main else b""
        page = letters.ljust(self.all_reduce_max(len(letters)))
        return bytes(self.exchange.all_gather(torch.tensor(list(page), dtype=torch.uint8))[0].tolist()).decode()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let `gather` and `average` reach the other processes inside the block, which all of them must enter."""
        global _joined
        before, _joined = _joined, self
        try:
            yield
        finally:
            _joined = before


SINGLE_PROCESS = ProcessGroup()

_joined = SINGLE_PROCESS


def peers() -> ProcessGroup:
    """Return the processes that make this step together; a world of one outside of a step.

    For an autograd function, whose backward runs outside of `together` and asks these for `gather` and `average`.
    """
    return _joined


def gather(rows: Tensor) -> Tensor:
    """Join the rows `[n, …]` of all processes to those of the whole batch, `[N, …]`; alone, return them as they are.

    Gradients go back to the process whose rows they are. For layers that compare or average the samples of a batch.
    """
    return _joined.gather(rows)


def average(values: Tensor) -> Tensor:
    """Average values of any shape over all processes; alone, return them as they are. Gradients pass."""
    return _joined.average(values)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return group.exchange.all_gather(rows).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Scatter.apply(gradient, ctx.group), None


class _Scatter(torch.autograd.Function):
    """The sum over all processes, of which each takes its own rows: what gradients of a gathering do."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return group.local_rows(group.exchange.all_reduce(whole))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Gather.apply(gradient, ctx.group), None


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return group.exchange.all_gather(values).mean(0)  # in one hop: few numbers wait for their journey, not for room

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Average.apply(gradient, ctx.group), None

"""The processes that train one run together, each on its own rows of every batch.

Each process minimises the mean over its own rows, and the gradients are averaged. This makes the
same step as one process with all the rows. A layer that computes over the whole batch uses `gather`
and `average` of `gancore.distributed.collectives`.
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
    """A way to exchange tensors of one shape between processes.

    Every process must take part. Raises PeerError.
    """

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, by rank: `[R, …]`."""

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, bit-identical in each."""


class TorchExchange:
    """Exchange through `torch.distributed`: gloo between CPUs, NCCL between CUDA devices."""

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, by rank: `[R, …]`."""
        found = values.new_empty(dist.get_world_size(), *values.shape)
        with _raising_peer_error():
            dist.all_gather(list(found.unbind()), values.contiguous())
        return found

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, bit-identical in each."""
        found = values.clone(memory_format=torch.contiguous_format)
        with _raising_peer_error():
            dist.all_reduce(found)
        return found


@contextmanager
def _raising_peer_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerError.gone(error) from error


@frozen
class ProcessGroup:
    """The processes that share a run; in an ordinary run, this one alone.

    - `rank`: the number of this process, from 0.
    - `size`: how many processes there are.

    Internal: `all_reduce_max`, `all_reduce_mean`, `broadcast_text`, `exchange`, `key`, `together`.
    """

    rank: int = 0
    size: int = 1
    exchange: Exchange = field(factory=TorchExchange, eq=False, repr=False)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes, measures and prints: rank 0."""
        return self.rank == 0

    @property
    def key(self) -> tuple[int, ...]:
        """The part of a random stream's key that makes it this process's own; empty for rank 0."""
        return (self.rank,) if self.rank else ()

    def local_rows(self, rows: Tensor) -> Tensor:
        """Return this process's share of the rows `[N, …]` of the whole batch.

        Return all of them if N is not divisible by the number of processes.
        """
        if self.size == 1:
            return rows
        share, rest = divmod(len(rows), self.size)
        return rows if rest else rows[self.rank * share : (self.rank + 1) * share]

    def all_reduce_mean(
        self, gradients: Sequence[Tensor], figures: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Average gradients over the processes in place, and return the averages of `figures`."""
        if self.size == 1:
            return dict(figures)
        names = [name for name, figure in figures.items() if isinstance(figure, Tensor)]
        tensors = [*gradients, *(figures[name] for name in names)]
        # one message for everything: a message costs more than the few bytes of most tensors
        flat = torch.cat([each.detach().flatten() for each in tensors])
        flat = self.exchange.all_reduce(flat).div_(self.size)
        parts = torch.split(flat, [each.numel() for each in tensors])
        count = len(gradients)
        for gradient, part in zip(gradients, parts[:count], strict=True):
            gradient.copy_(part.view(gradient.shape))
        averages = dict(figures)
        for name, part in zip(names, parts[count:], strict=True):
            averages[name] = part.view(figures[name].shape)
        return averages

    def all_reduce_max(self, number: int) -> int:
        """Return the largest of the numbers that the processes pass, e.g. to agree on stopping."""
        if self.size == 1:
            return number
        return int(self.exchange.all_gather(torch.tensor(number)).max())

    def broadcast_text(self, text: str) -> str:
        """Return the text that rank 0 passes."""
        if self.size == 1:
            return text
        content = text.encode() if self.is_main else b""
        # tensors of one shape are exchanged, so every process pads to the longest text
        padded = content.ljust(self.all_reduce_max(len(content)))
        gathered = self.exchange.all_gather(torch.tensor(list(padded), dtype=torch.uint8))
        return bytes(gathered[0].tolist()).decode()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let `gather` and `average` use this group inside the block.

        Every process of the group must enter the block.
        """
        before = _current
        use_group(self)
        try:
            yield
        finally:
            use_group(before)


SINGLE_PROCESS = ProcessGroup()

_current = SINGLE_PROCESS


def use_group(group: ProcessGroup) -> None:
    """Set the group that `peers` returns. `ProcessGroup.together` does so for a block."""
    global _current
    _current = group


def peers() -> ProcessGroup:
    """Return the processes that make the current step; a group of size 1 outside of a step.

    A layer may read `peers().size` in `forward`. An autograd function saves the group there and
    passes it to `gather` and `average` in `backward`, which runs outside of `together`.
    """
    return _current

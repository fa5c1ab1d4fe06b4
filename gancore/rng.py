"""Randomness that is derived, never carried: (seed, attempt, stream, step, …) → generator.

No generator survives a step, so a run resumes exactly, and a component can be added without moving
anybody else's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

import torch
from attrs import frozen
from torch import Tensor


def derive(seed: int, *key: int | str) -> int:
    """Return 63 bits that depend on every part of the key: the low bits of BLAKE2b over `seed/part/part/…`."""
    text = "/".join(map(str, (seed, *key)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


class Share(torch.Generator):
    """The stream of one process of several that share a batch; `whole` is the stream of the whole batch."""

    rank: int
    size: int
    whole: torch.Generator


def draw_rows(sample: Callable[..., Tensor], shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """Draw numbers `[n, …]` for the n rows of a batch at hand, the same however many processes share the batch.

    `sample` is `torch.randn`, `torch.rand`, or what else takes a shape, `generator` and `device`.
    """
    if not isinstance(rng, Share):
        return sample(tuple(shape), generator=rng, device=rng.device)
    rows, *rest = shape
    drawn = sample((rng.size * rows, *rest), generator=rng.whole, device=rng.device)
    return drawn[rng.rank * rows : (rng.rank + 1) * rows]


@frozen
class Streams:
    """The random streams of one run. `attempt` is raised only when a run rolls back and tries other numbers."""

    seed: int
    attempt: int = 0

    def number(self, *key: int | str) -> int:
        """Return the 63-bit seed of one stream, e.g. `number("init", "critic")`."""
        return derive(self.seed, self.attempt, *key)

    def generator(self, *key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a fresh generator on `device` for one stream at one moment."""
        return torch.Generator(device).manual_seed(self.number(*key))

    def share(
        self, *key: int | str, rank: int, size: int, device: torch.device | str = "cpu", own: bool = True
    ) -> torch.Generator:
        """Return one process's generator, for `draw_rows`; what else it draws is its `own`, or the same for all."""
        if size == 1:
            return self.generator(*key, device=device)
        rng = Share(device)
        rng.manual_seed(self.number(*key, "process", rank) if own else self.number(*key))
        rng.rank, rng.size, rng.whole = rank, size, self.generator(*key, device=device)
        return rng

    @contextmanager
    def building(self, *key: int | str) -> Iterator[torch.Generator]:
        """Seed torch's global CPU generator inside the block, for modules that draw while they are constructed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.number("construct", *key))
            yield self.generator("init", *key)

"""Randomness that is derived, never carried: (seed, attempt, stream, step, …) → generator.

No generator survives a step, so a run resumes exactly, and a component can be added without moving
anybody else's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch
from attrs import frozen


def derive(seed: int, *key: int | str) -> int:
    """Return 63 bits that depend on every part of the key: the low bits of BLAKE2b over `seed/part/part/…`."""
    text = "/".join(map(str, (seed, *key)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


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

    @contextmanager
    def building(self, *key: int | str) -> Iterator[torch.Generator]:
        """Seed torch's global CPU generator inside the block, for modules that draw while they are constructed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.number("construct", *key))
            yield self.generator("init", *key)

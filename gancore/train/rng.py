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
from torch import Tensor, nn


def derive(seed: int, *key: int | str) -> int:
    """Return 63 bits that depend on every part of the key: the first of 64 that BLAKE2b gives for
    `seed/part/part/…`.
    """
    text = "/".join(map(str, (seed, *key)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


class Share(torch.Generator):
    """The stream of one process of several that share a batch.

    `whole` is the stream of the whole batch.
    """

    rank: int
    size: int
    whole: torch.Generator


def draw_rows(sample: Callable[..., Tensor], shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """Draw numbers `[n, …]` for the n rows of a batch at hand, the same however many processes
    share the batch.

    `sample` is `torch.randn`, `torch.rand`, or what else takes a shape, `generator` and `device`:
    `functools.partial(torch.randint, 10)` draws whole numbers below 10. The numbers lie on
    `rng.device`, in hooks that are given tensors the device of these.
    """
    if not isinstance(rng, Share):
        return sample(tuple(shape), generator=rng, device=rng.device)
    rows, *rest = shape
    # the rows of all processes, by a stream that each of them has, and of these its own
    drawn = sample((rng.size * rows, *rest), generator=rng.whole, device=rng.device)
    return drawn[rng.rank * rows : (rng.rank + 1) * rows]


def global_generators(device: torch.device) -> list[torch.Generator]:
    """List torch's global generators that a network on `device` may draw from."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return [torch.default_generator, torch.cuda.default_generators[index]]
    if device.type == "mps":
        mps = torch.mps._get_default_mps_generator()  # noqa: SLF001 - has no other name
        return [torch.default_generator, mps]
    return [torch.default_generator]


def seed_globally(number: int, device: torch.device) -> None:
    """Seed torch's global generators, from which layers draw that are given no generator of their
    own.
    """
    # torch.manual_seed would note the whole call stack, each time, for each kind of device that was
    # never used
    torch.default_generator.manual_seed(number)
    if device.type != "cpu":
        for generator in global_generators(device)[1:]:
            generator.manual_seed(number)


@contextmanager
def fork_state(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Run forward passes inside the block that leave no trace, in whichever mode the network is.

    Afterwards the network's buffers, such as running statistics and the vectors of a power
    iteration, and torch's global random numbers are what they were. Weights that the block changes
    stay changed.
    """
    numbers = [(generator, generator.get_state()) for generator in global_generators(device)]
    kept = []
    for module in network.modules():
        buffers = module._buffers  # noqa: SLF001 - the dict itself, to put other tensors into it
        kept.append((buffers, dict(buffers)))
    for buffers, own in kept:
        for name, buffer in own.items():
            # a copy to write on: copying values back instead would spoil the graph of an earlier
            # pass
            buffers[name] = None if buffer is None else buffer.clone()
    try:
        yield
    finally:
        for buffers, own in kept:
            for name, buffer in own.items():
                buffers[name] = buffer
        for generator, state in numbers:
            generator.set_state(state)


@frozen
class Streams:
    """The random streams of one run.

    `attempt` is raised only when a run rolls back and tries other numbers.
    """

    seed: int
    attempt: int = 0

    def number(self, *key: int | str) -> int:
        """Return the 63-bit seed of one stream, e.g. `number("init", "critic")`."""
        return derive(self.seed, self.attempt, *key)

    def generator(self, *key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a fresh generator on `device` for one stream at one moment."""
        return torch.Generator(device).manual_seed(self.number(*key))

    def share(
        self,
        *key: int | str,
        rank: int,
        size: int,
        device: torch.device | str = "cpu",
        own: bool = True,
    ) -> torch.Generator:
        """Return one process's generator, for `draw_rows`.

        What else it draws is its `own`, or the same for all.
        """
        if size == 1:
            return self.generator(*key, device=device)
        rng = Share(device)
        rng.manual_seed(self.number(*key, "process", rank) if own else self.number(*key))
        rng.rank = rank
        rng.size = size
        rng.whole = self.generator(*key, device=device)
        return rng

    @contextmanager
    def building(self, *key: int | str) -> Iterator[torch.Generator]:
        """Seed torch's global CPU generator inside the block, for modules that draw while they are
        constructed.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.number("construct", *key))
            yield self.generator("init", *key)

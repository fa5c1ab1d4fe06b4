"""Run calls in a pool of threads within bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from itertools import islice
from threading import Condition
from typing import Any, TypeVar

CHUNK = 1024  # calls that wait for a thread at a time
Result = TypeVar("Result")


def map_in_chunks(
    pool: Executor, function: Callable[..., Result], *arguments: Iterable[Any]
) -> Iterator[Result]:
    """Yield the results of calls in order, as `pool.map` does, which would submit all at once."""
    calls = zip(*arguments, strict=True)
    while chunk := list(islice(calls, CHUNK)):
        yield from pool.map(function, *zip(*chunk, strict=True))


class PixelBudget:
    """A number of pixels that all threads together may decode at a time."""

    def __init__(self, pixels: int) -> None:
        self.free = pixels
        self.changed = Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until that many pixels are free, and hold them; at most the whole budget."""
        with self.changed:
            self.changed.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.changed:
                self.free += pixels
                self.changed.notify_all()

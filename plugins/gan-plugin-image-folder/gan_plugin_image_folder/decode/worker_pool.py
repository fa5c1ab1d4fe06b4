"""How files are tried: again where disk or network fail, quietly, in bounded memory."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from itertools import islice
from threading import Condition
from typing import Any, TypeVar

from PIL import Image, PngImagePlugin

from gan_plugin_image_folder.decode.decoder_output import kept_back
from gan_plugin_image_folder.decode.image_file import Unusable

TRIES, PAUSE = 3, 0.5  # seconds between them
MOST_METADATA = 64 << 20  # bytes of a colour profile or a text of a PNG file; Pillow alone refuses more than 1 MiB
AT_ONCE = 1024  # calls that wait for a thread
Item = TypeVar("Item")


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the function returns, or the Unusable that it raises; a fault that may pass is tried again."""
    for left in reversed(range(TRIES)):
        try:
            return function(*arguments)
        except Unusable as found:
            fault = found
        if not fault.passing or not left:
            break
        time.sleep(PAUSE)
    return fault


def spread(pool: Executor, function: Callable[..., Item], *arguments: Iterable[Any]) -> Iterator[Item]:
    """Yield what the function returns, in order, as `pool.map` does; that lays out all calls at once."""
    calls = zip(*arguments, strict=True)
    while some := list(islice(calls, AT_ONCE)):
        yield from pool.map(function, *zip(*some, strict=True))


@contextmanager
def quiet() -> Iterator[Callable[[], list[str]]]:
    """Keep back what Pillow and its decoders say of rotten files; yield a function that returns the latter's lines."""
    usual = PngImagePlugin.MAX_TEXT_CHUNK
    with kept_back() as said, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        PngImagePlugin.MAX_TEXT_CHUNK = MOST_METADATA
        try:
            yield said
        finally:
            PngImagePlugin.MAX_TEXT_CHUNK = usual


class Room:
    """Room for so many pixels at once, however many threads there are: whoever needs more than is free waits."""

    def __init__(self, pixels: int) -> None:
        self.free, self.changed = pixels, Condition()

    @contextmanager
    def for_so_many(self, pixels: int) -> Iterator[None]:
        """Take that many pixels, at most as many as there are in all, and give them back."""
        with self.changed:
            self.changed.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.changed:
                self.free += pixels
                self.changed.notify_all()

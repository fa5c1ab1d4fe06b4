"""Silence Pillow and its decoders: C libraries write a line to stderr for every corrupt file."""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from typing import IO

from PIL import Image, PngImagePlugin

STDERR = 2  # the file descriptor that C writes to
MOST_BYTES = 1 << 20  # of the captured text that are read
# Bytes of a colour profile or a text in a PNG file; Pillow's own limit is 1 MiB.
MOST_METADATA = 64 << 20


@contextmanager
def silence_decoders() -> Iterator[Callable[[], list[str]]]:
    """Capture stderr and ignore Pillow's warnings; yield a function that returns captured lines.

    Warnings of decompression bombs become errors.
    """
    usual = PngImagePlugin.MAX_TEXT_CHUNK
    with capture_stderr() as captured_lines, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        PngImagePlugin.MAX_TEXT_CHUNK = MOST_METADATA
        try:
            yield captured_lines
        finally:
            PngImagePlugin.MAX_TEXT_CHUNK = usual


@contextmanager
def capture_stderr() -> Iterator[Callable[[], list[str]]]:
    """Redirect file descriptor 2 to a temporary file; yield a function that returns its lines.

    Text that Python writes to `sys.stderr` still reaches the terminal.
    """
    try:
        terminal = os.dup(STDERR)
    except OSError:  # stderr is closed, so there is nothing to keep off it
        yield list
        return
    with (
        tempfile.TemporaryFile(buffering=0) as file,
        os.fdopen(terminal, "w", 1, "utf-8", "backslashreplace") as terminal_text,
    ):
        python_uses_it = writes_to(STDERR)
        if python_uses_it:
            sys.stderr.flush()
        os.dup2(file.fileno(), STDERR)
        # From here on descriptor 2 is the file, for C and Python alike: give Python the terminal.
        try:
            with redirect_stderr(terminal_text if python_uses_it else sys.stderr):
                yield partial(read_lines, file)
        finally:
            os.dup2(terminal, STDERR)


def read_lines(file: IO[bytes]) -> list[str]:
    """Return the lines of a file, and leave its position at the end, where C goes on writing."""
    file.seek(0)
    lines = file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
    file.seek(0, os.SEEK_END)
    return lines


def writes_to(descriptor: int) -> bool:
    """Return whether `sys.stderr` writes to this file descriptor."""
    try:
        return sys.stderr.fileno() == descriptor
    except (OSError, ValueError, AttributeError):  # replaced by an object without a descriptor
        return False

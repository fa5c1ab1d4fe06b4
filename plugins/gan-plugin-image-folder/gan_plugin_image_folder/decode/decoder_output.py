"""What libraries in C write to the process's stderr, kept back: decoders speak there of every rotten file."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from typing import IO

STDERR = 2  # the file descriptor that C writes to
MOST_BYTES = 1 << 20  # of what was said that are looked at


@contextmanager
def kept_back() -> Iterator[Callable[[], list[str]]]:
    """Turn the descriptor of stderr into a file; yield a function that returns the lines in it so far.

    What Python writes to `sys.stderr` appears as ever.
    """
    try:
        terminal = os.dup(STDERR)
    except OSError:  # closed: nobody would read it
        yield list
        return
    with (
        tempfile.TemporaryFile(buffering=0) as file,
        os.fdopen(terminal, "w", 1, "utf-8", "backslashreplace") as screen,
    ):
        spoken = speaks_to(STDERR)
        if spoken:
            sys.stderr.flush()
        os.dup2(file.fileno(), STDERR)
        try:
            with redirect_stderr(screen if spoken else sys.stderr):
                yield partial(lines_of, file)
        finally:
            os.dup2(terminal, STDERR)


def lines_of(file: IO[bytes]) -> list[str]:
    """Read the lines of a file, and leave it at its end, where others write."""
    file.seek(0)
    lines = file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
    file.seek(0, os.SEEK_END)
    return lines


def speaks_to(descriptor: int) -> bool:
    """Whether `sys.stderr` writes to that descriptor."""
    try:
        return sys.stderr.fileno() == descriptor
    except (OSError, ValueError, AttributeError):  # no file
        return False

"""What libraries in C write to the process's stderr, kept back: decoders speak there of every rotten file."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

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
    with tempfile.TemporaryFile() as file, os.fdopen(terminal, "w", 1, "utf-8", "backslashreplace") as screen:
        sys.stderr.flush()
        os.dup2(file.fileno(), STDERR)
        try:
            with redirect_stderr(screen if speaks_to(STDERR) else sys.stderr):
                yield lambda: os.pread(file.fileno(), MOST_BYTES, 0).decode("utf-8", "replace").splitlines()
        finally:
            os.dup2(terminal, STDERR)


def speaks_to(descriptor: int) -> bool:
    """Whether `sys.stderr` writes to that descriptor."""
    try:
        return sys.stderr.fileno() == descriptor
    except (OSError, ValueError, AttributeError):  # no file
        return False

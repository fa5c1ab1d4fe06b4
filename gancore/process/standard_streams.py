"""The three standard streams of a process, any of which may be closed, broken, or missing."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


def write_line(text: str, stream: Any = None) -> None:
    """Write one line to `stream`, or stderr; one that is missing, closed or broken is no reason to stop."""
    stream = sys.stderr if stream is None else stream
    if stream is None:  # as pythonw has it
        return
    with contextlib.suppress(OSError, ValueError):
        stream.write(f"{text}\n")
        stream.flush()


def keep_streams() -> None:
    """Give this process three standard streams that can be used, and a stderr that never raises.

    Where a descriptor is closed, as by `2>&-`, the next file that is opened would get its number, and what a library
    writes to stderr would go into that file, a checkpoint say. So the null device takes the place. To be called first.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _fill(number)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    if not isinstance(sys.stderr, Lasting):
        sys.stderr = Lasting(sys.stderr)


def _fill(number: int) -> None:
    """Open the null device under a descriptor's number where that is closed."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        os.set_inheritable(number, True)  # processes that this one starts need all three too


class Lasting:
    """A text stream whose errors are dropped: its reader may close the pipe, or its disk be full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; drop it where that fails."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            silence(self._stream)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write lines; drop them where that fails."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what waits; drop it where that fails."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        """Be the stream itself in everything else."""
        return getattr(self._stream, name)


def silence(stream: Any) -> None:
    """Point a broken stream at the null device, so that what waits in it can be written when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

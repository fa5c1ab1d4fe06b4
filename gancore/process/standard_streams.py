"""Keeps the standard streams of a process usable if they are closed, broken or missing."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


def write_line(text: str, stream: Any = None) -> None:
    """Write one line to `stream`, or to stderr; drop it if the stream is closed or missing."""
    stream = sys.stderr if stream is None else stream
    if stream is None:  # under pythonw
        return
    with contextlib.suppress(OSError, ValueError):
        stream.write(f"{text}\n")
        stream.flush()


def keep_streams() -> None:
    """Make the three standard streams usable, and let errors of stderr be dropped.

    If a descriptor is closed, as after `2>&-`, the next file that is opened gets its number, and
    what a library writes to stderr ends up in that file, e.g. a checkpoint. So this opens the null
    device in its place. Call it before anything else opens a file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _fill(number)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            stream = open(number, mode, errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    if not isinstance(sys.stderr, UnfailingStream):
        sys.stderr = UnfailingStream(sys.stderr)


def _fill(number: int) -> None:
    """Open the null device under a descriptor's number if that is closed."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        os.set_inheritable(number, True)  # child processes need all three too


class UnfailingStream:
    """A text stream that drops errors: the pipe's reader may go away, or the disk fill up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it if that fails."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            silence(self._stream)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write lines, or drop them if that fails."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the buffer, or drop it if that fails."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the stream."""
        return getattr(self._stream, name)


def silence(stream: Any) -> None:
    """Point a broken stream at the null device, so that flushing it at exit does not fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

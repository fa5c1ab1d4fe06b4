"""Catches the signals that ask a command to end, so that it can end in an orderly way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

CAUGHT = ("SIGINT", "SIGTERM", "SIGHUP")
# `timeout` and service managers signal a process and then its process group: that is one request
SAME_REQUEST = 0.3  # seconds


class Signals:
    """Context manager that catches the signals which ask this process to end.

    `on_first` is called at the first signal. A later one calls `on_repeat`; without `on_repeat` it
    ends the process as it would have without a handler. A signal within 0.3 seconds of the first
    counts as the same request. Signals that are ignored, as under nohup, stay ignored. On exit the
    previous handlers are restored.
    """

    def __init__(
        self,
        on_first: Callable[[int], object] | None = None,
        on_repeat: Callable[[int], object] | None = None,
    ) -> None:
        self.caught: list[int] = []
        self.repeated = False
        self._on_first = on_first
        self._on_repeat = on_repeat
        self._first_at = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for name in CAUGHT:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.caught:
            self.caught.append(number)
            self._first_at = time.monotonic()
            if self._on_first is not None:
                self._on_first(number)
        elif time.monotonic() - self._first_at > SAME_REQUEST:
            self.repeated = True
            (self._on_repeat or end_now)(number)


def end_now(number: int) -> None:
    """End this process as the signal does when no handler is installed."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

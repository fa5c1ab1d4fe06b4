"""Signals that ask a command to end: the first is kept, and the command ends when it can."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

CAUGHT = ("SIGINT", "SIGTERM", "SIGHUP")
ONE = 0.3  # seconds in which signals count as one: `timeout` and service managers signal a process and its group


class Signals:
    """Keeps the signals that ask this process to end, where they are not ignored, as nohup has it.

    `on_first` is called at the first. A later one calls `on_repeat` where it is given, and ends the process as the
    system would where it is not. Signals that follow the first at once are one with it. As a context manager it puts
    the handlers back that were there before.
    """

    def __init__(
        self, on_first: Callable[[int], object] | None = None, on_repeat: Callable[[int], object] | None = None
    ) -> None:
        self.caught: list[int] = []
        self.repeated = False
        self._on_first = on_first
        self._on_repeat = on_repeat
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for name in CAUGHT:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._keep)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if not self.caught:
            self.caught.append(number)
            self._since = time.monotonic()
            if self._on_first is not None:
                self._on_first(number)
        elif time.monotonic() - self._since > ONE:
            self.repeated = True
            (self._on_repeat or end_now)(number)


def end_now(number: int) -> None:
    """Do what the system does at a signal that nobody catches."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

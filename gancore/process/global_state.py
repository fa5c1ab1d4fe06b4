"""Detects when a plugin changes settings of the whole process, such as torch's default dtype."""

from __future__ import annotations

import io
import locale
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch

from gancore.errors import PluginError, clean
from gancore.process.standard_streams import write_line

SLOW_IMPORT = 2.0  # seconds until a message says which plugin is being imported

ProcessSettings = Mapping[str, Any]

HANDLERS = "the signal handlers"
WATCHED_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGPIPE")


def _write_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _write_benchmark(on: bool) -> None:
    torch.backends.cudnn.benchmark = on


def _handlers() -> dict[int, Any]:
    handlers = {}
    for name in WATCHED_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None:  # Windows lacks some
            handlers[number] = signal.getsignal(number)
    return handlers


def _swapped(before: Mapping[int, Any], now: Mapping[int, Any]) -> bool:
    """Return whether a foreign signal handler was installed.

    Our own handler resets itself after the first Ctrl-C, which is no change by a plugin.
    """
    plain = (signal.SIG_DFL, signal.default_int_handler)
    for number, handler in before.items():
        ours = getattr(handler, "__module__", "").startswith("gancore.")
        reset = ours and now[number] in plain
        if now[number] is not handler and not reset:
            return True
    return False


def _write_handlers(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


ACCESS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, _write_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "the precision of torch's matmuls": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "cuDNN's benchmark mode": (lambda: torch.backends.cudnn.benchmark, _write_benchmark),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    ),
    HANDLERS: (_handlers, _write_handlers),
}


def settings() -> ProcessSettings:
    """Return the settings of the process that a plugin may not change."""
    return {name: read() for name, (read, _) in ACCESS.items()}


def put_back(before: ProcessSettings) -> list[str]:
    """Restore the settings; describe each that had changed."""
    now = settings()
    changed = []
    # apart from the others, because gancore's own handler may have reset itself
    if _swapped(before[HANDLERS], now[HANDLERS]):
        _write_handlers(before[HANDLERS])
        changed.append(HANDLERS)
    for name, value in before.items():
        if name != HANDLERS and now[name] != value:
            _, write = ACCESS[name]
            write(value)
            changed.append(f"{name} from {value} to {now[name]}")
    return changed


@contextmanager
def unchanged(label: str, where: str) -> Iterator[None]:
    """Restore the settings of the process after the block.

    Raises PluginError if it changed them.
    """
    before = settings()
    changed: list[str] = []
    try:
        yield
    finally:
        changed += put_back(before)
    # not in `finally`, where it would replace an error of the block itself
    if changed:
        raise PluginError(
            f"{label} changes {' and '.join(changed)}",
            where=where,
            fix="pass dtype, device and the like to each call; these settings affect every plugin",
        )


@contextmanager
def same_numbers() -> Iterator[None]:
    """Restore the global random states of torch (CPU), Python and NumPy, and torch's grad mode."""
    state = random.getstate()
    numpy = sys.modules.get("numpy")
    numbers = numpy.random.get_state() if numpy else None
    with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(torch.is_grad_enabled()):
        try:
            yield
        finally:
            random.setstate(state)
            if numpy:
                numpy.random.set_state(numbers)


@contextmanager
def importing(name: str, origin: str) -> Iterator[None]:
    """Guard the import of a plugin: print its output under its name, and restore settings.

    Raises PluginError with the settings that it changed. Warning filters are restored without an
    error, because many libraries set them when they are imported.
    """
    # taken before stderr is redirected, so that the message of the timer is printed at once
    console = sys.stderr
    said = io.StringIO()
    waiting = threading.Timer(SLOW_IMPORT, lambda: _write_to(console, f"importing {name} …"))
    waiting.daemon = True
    waiting.start()
    try:
        with (
            unchanged(f"the import of {name}", origin),
            same_numbers(),
            warnings.catch_warnings(),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            yield
    finally:
        waiting.cancel()
        for line in said.getvalue().splitlines():
            _write_to(console, f"{name}: {clean(line)}")


def _write_to(console: Any, text: str) -> None:
    if console is not None:  # under pythonw
        write_line(text, console)

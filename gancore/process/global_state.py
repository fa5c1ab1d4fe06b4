"""What a whole process shares, and what no plugin may change for the others: compared around the plugin's own code."""

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

PATIENCE = 2.0  # seconds an import may take before we say what is waited for

Settings = Mapping[str, Any]

HANDLERS = "the signal handlers"


def _write_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _write_benchmark(on: bool) -> None:
    torch.backends.cudnn.benchmark = on


def _handlers() -> dict[int, Any]:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGPIPE")
    return {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names if hasattr(signal, name)}


def _swapped(before: Mapping[int, Any], now: Mapping[int, Any]) -> bool:
    """Whether somebody else's handler came in; ours goes by itself, when the first Ctrl-C was heard."""
    plain = (signal.SIG_DFL, signal.default_int_handler)
    return any(
        now[number] is not handler
        and not (getattr(handler, "__module__", "").startswith("gancore.") and now[number] in plain)
        for number, handler in before.items()
    )


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
    "the precision of torch's products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "cuDNN's benchmark mode": (lambda: torch.backends.cudnn.benchmark, _write_benchmark),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    ),
    HANDLERS: (_handlers, _write_handlers),
}


def settings() -> Settings:
    """Read everything that a plugin may not change."""
    return {name: read() for name, (read, _) in ACCESS.items()}


def put_back(before: Settings) -> list[str]:
    """Set everything to what it was; say what had changed."""
    now = settings()
    swapped = _swapped(before[HANDLERS], now[HANDLERS])
    changed = [name for name, value in before.items() if (swapped if name == HANDLERS else now[name] != value)]
    for name in changed:
        ACCESS[name][1](before[name])
    return [name if name == HANDLERS else f"{name} from {before[name]} to {now[name]}" for name in changed]


@contextmanager
def unchanged(label: str, where: str) -> Iterator[None]:
    """Refuse what changes the settings of the process, once they are put back. Raises PluginError."""
    before = settings()
    changed: list[str] = []
    try:
        yield
    finally:
        changed += put_back(before)
    if changed:
        raise PluginError(
            f"{label} changes {' and '.join(changed)}",
            where=where,
            fix="a plugin may not change what all others rely on; give dtype, device and such to each call",
        )


@contextmanager
def same_numbers() -> Iterator[None]:
    """Put the global random numbers of torch (CPU), Python and NumPy back, and torch's grad mode."""
    state, numpy = random.getstate(), sys.modules.get("numpy")
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
    """Surround the import of a plugin: what it prints goes to stderr under its name, and it changes nothing for others.

    Filters of warnings are put back without a word: libraries that plugins import set them all the time.
    Raises PluginError naming what it changed.
    """
    console, said = sys.stderr, io.StringIO()
    waiting = threading.Timer(PATIENCE, lambda: _write(console, f"importing {name} …"))
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
            _write(console, f"{name}: {clean(line)}")


def _write(console: Any, text: str) -> None:
    if console is not None:  # as pythonw has it
        write_line(text, console)

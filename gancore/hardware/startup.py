"""Spares a process the import of torch's compiler, which takes about as long as that of torch itself."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.optim import Optimizer


def leave_compiler_out() -> None:
    """Let torch's optimisers work without torch's compiler, which they import to tell it to leave them alone.

    For a process of our own only: it changes torch's classes. Where the compiler was imported before, or a version of
    torch does all this otherwise, nothing is changed. What an optimiser computes stays the same.
    """
    if "torch._dynamo" in sys.modules:
        return
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        if plain := getattr(method, "__wrapped__", None):
            plain.__dynamo_disable = plain  # where torch keeps what its compiler made of the method
    for cls in _heirs(Optimizer):
        step = vars(cls).get("step")
        if getattr(getattr(step, "__code__", None), "co_name", "") == "_use_grad":
            cls.step = _stepping(step.__wrapped__)


def _heirs(cls: Any) -> Iterator[Any]:
    for each in cls.__subclasses__():
        yield each
        yield from _heirs(each)


def _stepping(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def stepping(self: Optimizer, *args: Any, **more: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **more)

    return stepping


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # what glibc's mallopt sets, by its numbers
KEPT, LARGEST = 2**30, 2**25  # bytes that a training lets it keep, and of the largest piece: glibc takes no more


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next step, rather than give it back and take new pages each time.

    For a process of our own only. Nothing is changed where the system has another library, or the user settled it.
    """
    given = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if sys.platform == "linux" and not given and (set_option := getattr(ctypes.CDLL(None), "mallopt", None)):
        set_option(TRIM_THRESHOLD, KEPT)
        set_option(MMAP_THRESHOLD, LARGEST)

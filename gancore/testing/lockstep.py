"""Processes of one run as threads that take turns, so that a test needs neither ports nor time.

One thread runs at a time, from one exchange of tensors to the next. What is global in a process,
torch's random numbers above all, is put back whenever a thread goes on.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from attrs import define, field
from torch import Tensor

from gancore.distributed.group import ProcessGroup, peers, use_group
from gancore.errors import PeerError

Result = TypeVar("Result")

TURN_TIMEOUT = 120.0  # seconds that a thread may take from one exchange to the next


@define(eq=False)
class _Globals:
    """What is global in a process and changes in a step: random numbers, and the group in use."""

    torch_numbers: Tensor = field(factory=torch.get_rng_state)
    numbers: Any = field(factory=random.getstate)
    numpy_numbers: Any = field(init=False, default=None)
    group: ProcessGroup = field(factory=peers)

    def __attrs_post_init__(self) -> None:
        if numpy := sys.modules.get("numpy"):
            self.numpy_numbers = numpy.random.get_state()

    def put_back(self) -> None:
        """Make them what they were when this was made."""
        torch.set_rng_state(self.torch_numbers)
        random.setstate(self.numbers)
        if self.numpy_numbers is not None:
            sys.modules["numpy"].random.set_state(self.numpy_numbers)
        use_group(self.group)


@define(eq=False)
class _Turns:
    """Whose turn it is, and what the threads passed at each exchange."""

    size: int
    turn: int = 0
    over: set[int] = field(factory=set)
    passed: dict[int, dict[int, Tensor]] = field(factory=dict)  # by exchange, then by rank
    changed: threading.Condition = field(factory=threading.Condition)

    def wait(self, rank: int) -> None:
        """Wait for this thread's turn. Raises PeerError where another does not end its own."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.turn == rank, TURN_TIMEOUT):
                raise PeerError.gone("it does not end its turn")

    def pass_on(self, rank: int) -> None:
        """Give the turn to the next thread that is not over."""
        with self.changed:
            for further in range(1, self.size + 1):
                following = (rank + further) % self.size
                if following not in self.over:
                    self.turn = following
                    break
            self.changed.notify_all()

    def end(self, rank: int) -> None:
        """Note that a thread is over, and give the turn on."""
        self.over.add(rank)
        self.pass_on(rank)


@define(eq=False)
class _TurnExchange:
    """Exchange between the threads; each has one of its own."""

    rank: int
    turns: _Turns
    count: int = 0

    def all_gather(self, values: Tensor) -> Tensor:
        """Return the values of all threads, by rank: `[R, …]`. Raises PeerError."""
        passed = self.turns.passed.setdefault(self.count, {})
        self.count += 1
        passed[self.rank] = values.detach().clone(memory_format=torch.contiguous_format)
        kept = _Globals()
        self.turns.pass_on(self.rank)
        self.turns.wait(self.rank)
        kept.put_back()
        forms = {(tuple(each.shape), each.dtype) for each in passed.values()}
        if len(passed) < self.turns.size or len(forms) > 1:
            raise PeerError(
                "the processes of this run no longer do the same",
                fix="call gancore.gather and gancore.average in every process, or in none",
            )
        return torch.stack([passed[rank] for rank in range(self.turns.size)])

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all threads."""
        return self.all_gather(values).sum(0)


def in_processes(size: int, work: Callable[[ProcessGroup], Result]) -> list[Result]:
    """Call `work(group)` as each of `size` processes would, and return what they return, by rank.

    Raises the error of a process that failed; that of one which only missed another comes last.
    """
    turns = _Turns(size)
    before = _Globals()
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}

    def run(rank: int) -> None:
        try:
            turns.wait(rank)
            before.put_back()
            results[rank] = work(ProcessGroup(rank, size, _TurnExchange(rank, turns)))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            errors[rank] = error
        finally:
            turns.end(rank)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before.put_back()
    if errors:
        raise _cause(list(errors.values()))
    return [results[rank] for rank in range(size)]


def _cause(errors: Sequence[BaseException]) -> BaseException:
    """Return the first error that is no mere consequence of another process's."""
    own = [each for each in errors if not isinstance(each, PeerError)]
    return [*own, *errors][0]

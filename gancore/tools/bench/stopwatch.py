"""Where the time of a step goes: every moment is charged to the innermost part of the step that is
open.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from attrs import define, evolve, field, frozen

from gancore.guard.hooks import GuardedHooks
from gancore.plugins.calling import Component, Implementation
from gancore.plugins.slots import ROLES
from gancore.run.finite import check_finite
from gancore.train.loop import Training

DATA = "data wait"
MAKING = "generator forward"
JUDGING = "critic forward"
BACKWARD = "backward"
OPTIMIZER = "optimizer"
CHECK = "check for finite numbers"
REST = "rest"
TIMED_PARTS = {"data": DATA, "backward": BACKWARD}  # by what a runtime calls them


@frozen
class Part:
    """A part of a step: whose update it belongs to, what is done, and the component and hook where
    it is one's own.
    """

    player: str
    work: str
    component: str = ""
    hook: str = ""


@define(eq=False)
class Stopwatch:
    """Charges time to parts that open and close within each other, from `start` to `stop`.

    `now` gives a stamp and `between(earlier, later)` the seconds from one to the other.
    """

    now: Callable[[], Any] = time.perf_counter
    between: Callable[[Any, Any], float] = field(default=lambda earlier, later: later - earlier)
    player: str = "both"  # whose update it is now
    calls: Counter[Part] = field(factory=Counter)
    _open: list[Part] = field(factory=list)
    # what was innermost from each stamp on
    _marks: list[tuple[Any, Part | None]] = field(factory=list)

    def start(self) -> None:
        """Begin a step."""
        self._open = []
        self._marks = []
        self.calls.clear()
        self.player = "both"
        self.enter(REST)

    def stop(self) -> dict[Part, float]:
        """End the step; return the seconds of each part that was open in it.

        They sum to the whole of the step.
        """
        self.leave()
        spent: dict[Part, float] = {}
        for (begun, part), (ended, _) in itertools.pairwise(self._marks):
            if part is not None:
                spent[part] = spent.get(part, 0.0) + self.between(begun, ended)
        return spent

    def enter(self, work: str, component: str = "", hook: str = "") -> None:
        """Open a part within the one that is open."""
        part = Part(self.player, work, component, hook)
        self.calls[part] += 1
        self._open.append(part)
        self._marks.append((self.now(), part))

    def leave(self) -> None:
        """Close the part that was opened last."""
        self._open.pop()
        self._marks.append((self.now(), self._open[-1] if self._open else None))

    @contextmanager
    def part(self, work: str, component: str = "", hook: str = "") -> Iterator[None]:
        """Hold a part open."""
        self.enter(work, component, hook)
        try:
            yield
        finally:
            self.leave()

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Hold a part open that a runtime names: the data, a backward pass, or an update by its
        role.
        """
        if part in TIMED_PARTS:
            with self.part(TIMED_PARTS[part]):
                yield
            return
        self.player = part if part in ROLES else "both"
        try:
            with self.part(REST):
                yield
        finally:
            self.player = "both"


def stopwatch_for(device: torch.device) -> Stopwatch:
    """Make a stopwatch of wall time.

    On CUDA of events in the stream, so that nothing waits within a step.
    """
    if device.type != "cuda":
        return Stopwatch()

    def now() -> torch.cuda.Event:
        # it is stamped when the device reaches it, so that nothing waits while the step is made
        event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def between(earlier: torch.cuda.Event, later: torch.cuda.Event) -> float:
        later.synchronize()
        return float(earlier.elapsed_time(later)) / 1000  # from milliseconds

    return Stopwatch(now, between)


def timed(hook: str, method: Implementation, watch: Stopwatch) -> Implementation:
    """Return the same method on the stopwatch; other parts that open inside it are not its own."""
    function = method.function

    def call(*arguments: Any) -> Any:
        with watch.part("components", method.chosen.name, hook):
            return function(*arguments)

    return evolve(method, function=call)


class TimedHooks(GuardedHooks):
    """Hooks on the stopwatch, which they tell whose turn it is."""

    def __init__(self, chosen: Sequence[Component], watch: Stopwatch) -> None:
        super().__init__(chosen, calls=0)
        self._watch = watch
        for hook, found in self._implementations.items():
            self._implementations[hook] = tuple(timed(hook, each, watch) for each in found)

    def all(self, hook: str, **given: Any) -> list[tuple[str, Any]]:
        """Collect every answer that is not None; terms are asked of one player."""
        if hook.endswith("_terms"):
            self._watch.player = hook.removesuffix("_terms")
        return super().all(hook, **given)

    def first(self, hook: str, *, only: str | None = None, **given: Any) -> Any:
        """Return the first answer that is not None.

        Before each step of an optimiser its player is named.
        """
        if hook == "skip_update":
            self._watch.player = given["role"]
        return super().first(hook, only=only, **given)


def plain_step(training: Training) -> float:
    """Make one step; return its seconds of wall time."""
    wait_for(training)  # for what was given to the device before: it is not part of this step
    begun = time.perf_counter()
    check_finite(training.train_step(), training.step)
    wait_for(training)
    return time.perf_counter() - begun


def timed_step(training: Training, hooks: TimedHooks, watch: Stopwatch) -> dict[Part, float]:
    """Make one step on the stopwatch; return the seconds of its parts.

    The bits are those of a plain step.
    """
    plain = training.context
    training.context = evolve(plain, hooks=hooks, runtime=evolve(plain.runtime, timed=watch.timed))
    wait_for(training)
    try:
        with on_the_watch(training, watch):
            watch.start()
            figures = training.train_step()
            with watch.part(CHECK):
                check_finite(figures, training.step)
            return watch.stop()
    finally:
        training.context = plain


def wait_for(training: Training) -> None:
    """Wait until the device has done all it was given."""
    device = training.context.gan.device
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type != "cpu":
        torch.mps.synchronize()


@contextmanager
def on_the_watch(training: Training, watch: Stopwatch) -> Iterator[None]:
    """Put both networks and both optimisers on the stopwatch inside the block."""
    gan = training.context.gan
    with ExitStack() as stack:
        for role, work in zip(ROLES, (MAKING, JUDGING), strict=True):
            enter = partial(_enter, watch, work)
            leave = partial(_leave, watch)
            network = gan.player(role).network
            optimizer = gan.player(role).optimizer
            for handle in (
                network.register_forward_pre_hook(enter),
                # also where a forward pass fails: a part left open would take the time of the rest
                network.register_forward_hook(leave, always_call=True),
                optimizer.register_step_pre_hook(partial(_enter, watch, OPTIMIZER)),
                optimizer.register_step_post_hook(leave),
            ):
                stack.callback(handle.remove)
        yield


def _enter(watch: Stopwatch, work: str, *_: Any) -> None:
    watch.enter(work)


def _leave(watch: Stopwatch, *_: Any) -> None:
    watch.leave()

"""What a rule is, what it finds, and what it says as long as it cannot be checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

from gan_plugin_doctor.advice import UNKNOWN, Advice, Recipe, worded
from gan_plugin_doctor.series import Log

START = 100  # steps before which no rule is checked: what is seen there is the beginning, not a fault
DRAWINGS = 10  # sample grids of a run that says nothing else: metrics are measured as often


@dataclass(frozen=True)
class Seen:
    """What a rule saw: since which step, in words with numbers, and the figure that passed its threshold.

    `attempt` replaces the rule's advice, where that depends on what was seen.
    """

    since: int
    what: str
    statistic: float
    threshold: float
    attempt: tuple[Advice, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What `gan diagnose` prints. `severity` is fault (training has failed or soon will) or warning."""

    rule: str
    severity: str
    since: int
    seen: str
    statistic: float
    threshold: float
    causes: tuple[str, ...]
    attempt: str
    source: str

    def as_json(self) -> dict[str, object]:
        """Return the finding as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Waiting:
    """Why a rule was not checked, and the step from which it will be; None where this composition never lets it."""

    why: str
    step: int | None = None

    def __str__(self) -> str:
        return self.why if self.step is None else f"{self.why}: from step {self.step} on"


@dataclass(frozen=True)
class Rule:
    """A pure function over the log, with what is known about what it finds.

    `needs` are patterns of keys; one of each `a|b` must have `least` values before the rule can be checked, and the
    run must be at step `start` or later. `losses` says for which kind of loss the rule makes sense: wasserstein, other
    or any. `given_by` is what to choose for the figures to be there, in words; empty where every run has them.
    """

    name: str
    check: Callable[[Log], Seen | None]
    severity: str
    needs: tuple[str, ...]
    least: int
    losses: str
    causes: tuple[str, ...]
    attempt: tuple[Advice, ...]
    source: str
    start: int
    given_by: str

    def waits(self, log: Log, recipe: Recipe = UNKNOWN) -> Waiting | None:
        """Say why the rule cannot be checked on this log; None where it can."""
        steps = log.find("step").steps
        if not steps:
            return Waiting("no row yet", max(self.start, self.least * every(recipe, "log-every")))
        if self.losses != "any" and log.wasserstein != (self.losses == "wasserstein"):
            return Waiting(f"{'only' if self.losses == 'wasserstein' else 'not'} for Wasserstein losses")
        lacking = [waiting for need in self.needs if (waiting := self._lacks(need, log, recipe))]
        if lacking:
            return max(lacking, key=lambda each: float("inf") if each.step is None else each.step)
        if steps[-1] < self.start:
            return Waiting(f"{steps[-1]} of {self.start} steps", self.start)
        return None

    def _lacks(self, need: str, log: Log, recipe: Recipe) -> Waiting | None:
        """Say what is missing of one figure, if anything."""
        found = max((log.find(pattern) for pattern in need.split("|")), key=len)
        if len(found) >= self.least:
            return None
        shown = "any figure" if need == "step" else need.replace("|", " or ")
        if not len(found) and not expected(need, recipe):
            return Waiting(f"no {shown} in the log" + (f"; {self.given_by}" if self.given_by else ""))
        gap = gap_of(found.steps) or (found.steps[0] if len(found) else rhythm(need, recipe))
        last = found.steps[-1] if len(found) else 0
        at = max(self.start, last + (self.least - len(found)) * gap)
        # what ceased to be written would be due in the past
        at = max(at, log.step + 1)
        return Waiting(f"{len(found)} of {self.least} values of {shown}", at)

    def lacks(self, log: Log, recipe: Recipe = UNKNOWN) -> str:
        """Say in words why the rule cannot be checked on this log; empty where it can."""
        return str(self.waits(log, recipe) or "")

    def find(self, log: Log, recipe: Recipe = UNKNOWN) -> Finding | None:
        """Look for the fault in a log that lacks nothing."""
        seen = self.check(log)
        if seen is None:
            return None
        attempt = worded(seen.attempt or self.attempt, recipe)
        return Finding(
            self.name, self.severity, seen.since, seen.what, seen.statistic, seen.threshold,
            self.causes, attempt, self.source,
        )  # fmt: skip


def gap_of(steps: list[int]) -> int:
    """Return the usual distance of the newest steps at which a figure was written; 0 where it cannot be known."""
    recent = steps[-9:]
    gaps = [late - early for early, late in zip(recent, recent[1:], strict=False)]
    return round(median(gaps)) if gaps else 0


def every(recipe: Recipe, setting: str) -> int:
    """Return how many steps lie between two rows, or two sample grids, as far as the recipe says so."""
    settings = recipe.options("run")
    given = settings.get(setting)
    if isinstance(given, int) and given > 0:
        return given
    steps = settings.get("steps")
    return max(1, steps // DRAWINGS) if isinstance(steps, int) and setting == "sample-every" else 10


def rhythm(need: str, recipe: Recipe) -> int:
    """Return how many steps lie between two values of a figure that a component measures."""
    names = [pattern.partition("/")[0] for pattern in need.split("|")]
    own = [recipe.options(name).get("every") for name in names]
    return next((each for each in own if isinstance(each, int) and each > 0), every(recipe, "sample-every"))


def expected(need: str, recipe: Recipe) -> bool:
    """Return whether a component of the composition writes a figure that is not in the log yet."""
    return any(recipe.has(pattern.partition("/")[0]) for pattern in need.split("|"))


def rule(
    *, severity: str, needs: tuple[str, ...], least: int, causes: tuple[str, ...], attempt: tuple[Advice, ...],
    source: str, losses: str = "any", start: int = START, given_by: str = "",
) -> Callable[[Callable[[Log], Seen | None]], Rule]:  # fmt: skip
    """Make a rule of a function; it goes by the function's name, in kebab-case."""

    def make(check: Callable[[Log], Seen | None]) -> Rule:
        name = check.__name__.replace("_", "-")
        return Rule(name, check, severity, needs, least, losses, causes, attempt, source, start, given_by)

    return make

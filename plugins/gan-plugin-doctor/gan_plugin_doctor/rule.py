"""Rules and findings, and the reason why a rule cannot be checked yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

from gan_plugin_doctor.advice import UNKNOWN, Advice, Recipe, worded
from gan_plugin_doctor.series import Log

# No rule is checked before this step: figures of an untrained pair look like faults.
START = 100
DRAWINGS = 10  # default number of sample grids, and so of measurements, in a run


@dataclass(frozen=True)
class Observation:
    """The evidence of a rule: since which step, in words with numbers, and a statistic.

    The statistic has passed the threshold. `attempt` replaces the rule's advice if that depends on
    the evidence.
    """

    since: int
    what: str
    statistic: float
    threshold: float
    attempt: tuple[Advice, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One finding, as printed by `gan diagnose`.

    `severity` is fault (training has failed or soon will) or warning.
    """

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
    """Why a rule cannot be checked, and the first step at which it can.

    The step is None if this composition never has the figures.
    """

    why: str
    step: int | None = None

    def __str__(self) -> str:
        return self.why if self.step is None else f"{self.why}: from step {self.step} on"


@dataclass(frozen=True)
class Rule:
    """A pure function over the log, with the causes, advice and source of its finding.

    `needs` are patterns of keys; one of each `a|b` must have `least` values before the rule can be
    checked, and the run must have reached step `start`, and the `share` of its steps. `losses`
    restricts the rule to a kind of loss: wasserstein, other or any. `given_by` says which option
    provides the figures; it is empty if every run has them.
    """

    name: str
    check: Callable[[Log], Observation | None]
    severity: str
    needs: tuple[str, ...]
    least: int
    losses: str
    causes: tuple[str, ...]
    attempt: tuple[Advice, ...]
    source: str
    start: int
    given_by: str
    share: float = 0.0

    def waits(self, log: Log, recipe: Recipe = UNKNOWN) -> Waiting | None:
        """Return why the rule cannot be checked on this log; None if it can."""
        steps = log.find("step").steps
        if not steps:
            return Waiting("no row yet", max(self.start, self.least * every(recipe, "log-every")))
        if self.losses != "any" and log.wasserstein != (self.losses == "wasserstein"):
            only = "only" if self.losses == "wasserstein" else "not"
            return Waiting(f"{only} for Wasserstein losses")
        lacking = []
        for need in self.needs:
            waiting = self._lacks(need, log, recipe)
            if waiting is not None:
                lacking.append(waiting)
        if lacking:
            # the rule can be checked when the last of its figures is there, which may be never
            return max(lacking, key=lambda each: float("inf") if each.step is None else each.step)
        if steps[-1] < self.start:
            return Waiting(f"{steps[-1]} of {self.start} steps", self.start)
        return self._is_early(steps[-1], recipe) if self.share else None

    def _is_early(self, step: int, recipe: Recipe) -> Waiting | None:
        """Return why a rule about the end of a run cannot be checked yet; None if it can."""
        end = last_step(recipe)
        if end is None:
            return Waiting("it needs the length of the run, which `gan diagnose` reads in steps")
        first = round(self.share * end)
        return Waiting(f"{step} of {first} steps", first) if step < first else None

    def _lacks(self, need: str, log: Log, recipe: Recipe) -> Waiting | None:
        """Return what is missing of one figure; None if nothing is."""
        found = max((log.find(pattern) for pattern in need.split("|")), key=len)
        if len(found) >= self.least:
            return None
        shown = "any figure" if need == "step" else need.replace("|", " or ")
        if not len(found) and not expected(need, recipe):
            remedy = f"; {self.given_by}" if self.given_by else ""
            return Waiting(f"no {shown} in the log{remedy}")
        gap = gap_of(found.steps) or (found.steps[0] if len(found) else rhythm(need, recipe))
        last = found.steps[-1] if len(found) else 0
        at = max(self.start, last + (self.least - len(found)) * gap)
        # a figure that is no longer written would be due in the past
        at = max(at, log.step + 1)
        return Waiting(f"{len(found)} of {self.least} values of {shown}", at)

    def lacks(self, log: Log, recipe: Recipe = UNKNOWN) -> str:
        """Return in words why the rule cannot be checked on this log; empty if it can."""
        return str(self.waits(log, recipe) or "")

    def find(self, log: Log, recipe: Recipe = UNKNOWN) -> Finding | None:
        """Check the rule on a log that has all its figures."""
        seen = self.check(log)
        if seen is None:
            return None
        attempt = worded(seen.attempt or self.attempt, recipe)
        return Finding(
            self.name,
            self.severity,
            seen.since,
            seen.what,
            seen.statistic,
            seen.threshold,
            self.causes,
            attempt,
            self.source,
        )


def gap_of(steps: list[int]) -> int:
    """Return the usual number of steps between the newest values of a figure; 0 if unknown."""
    recent = steps[-9:]
    gaps = [late - early for early, late in zip(recent, recent[1:], strict=False)]
    return round(median(gaps)) if gaps else 0


def every(recipe: Recipe, setting: str) -> int:
    """Return the number of steps between two rows, or two sample grids, if the recipe states it."""
    settings = recipe.options("run")
    given = settings.get(setting)
    if isinstance(given, int) and given > 0:
        return given
    steps = settings.get("steps")
    return max(1, steps // DRAWINGS) if isinstance(steps, int) and setting == "sample-every" else 10


def last_step(recipe: Recipe) -> int | None:
    """Return the last step of the run; None if its length is not stated in steps."""
    settings = recipe.options("run")
    steps = settings.get("steps")
    return steps if isinstance(steps, int) and not settings.get("epochs") else None


def rhythm(need: str, recipe: Recipe) -> int:
    """Return the number of steps between two values of a figure that a component measures."""
    names = [pattern.partition("/")[0] for pattern in need.split("|")]
    own = [recipe.options(name).get("every") for name in names]
    stated = (each for each in own if isinstance(each, int) and each > 0)
    return next(stated, every(recipe, "sample-every"))


def expected(need: str, recipe: Recipe) -> bool:
    """Return whether a component of the composition writes a figure that is not in the log yet."""
    return any(recipe.has(pattern.partition("/")[0]) for pattern in need.split("|"))


def rule(
    *,
    severity: str,
    needs: tuple[str, ...],
    least: int,
    causes: tuple[str, ...],
    attempt: tuple[Advice, ...],
    source: str,
    losses: str = "any",
    start: int = START,
    given_by: str = "",
    share: float = 0.0,
) -> Callable[[Callable[[Log], Observation | None]], Rule]:
    """Make a rule of a function; its name is the function's, in kebab-case."""

    def make(check: Callable[[Log], Observation | None]) -> Rule:
        name = check.__name__.replace("_", "-")
        return Rule(
            name,
            check,
            severity,
            needs,
            least,
            losses,
            causes,
            attempt,
            source,
            start,
            given_by,
            share,
        )

    return make

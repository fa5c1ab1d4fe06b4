"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from gan_plugin_doctor.series import Log


@dataclass(frozen=True)
class Seen:
    """What a rule saw: since which step, in words with numbers, and the figure that passed its threshold."""

    since: int
    what: str
    statistic: float
    threshold: float


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
class Rule:
    """A pure function over the log, with what is known about what it finds.

    `needs` are patterns of keys; one of each `a|b` must have `least` values before the rule can be checked. `losses`
    says for which kind of loss the rule makes sense: wasserstein, other or any.
    """

    name: str
    check: Callable[[Log], Seen | None]
    severity: str
    needs: tuple[str, ...]
    least: int
    losses: str
    causes: tuple[str, ...]
    attempt: str
    source: str

    def lacks(self, log: Log) -> str:
        """Say why the rule cannot be checked on this log; empty where it can."""
        if self.losses != "any" and log.wasserstein != (self.losses == "wasserstein"):
            return "only for Wasserstein losses" if self.losses == "wasserstein" else "not for Wasserstein losses"
        for need in self.needs:
            count = max(len(log.find(pattern)) for pattern in need.split("|"))
            if count < self.least:
                return f"{need.replace('|', ' or ')}: {count} values, {self.least} needed"
        return ""

    def find(self, log: Log) -> Finding | None:
        """Look for the fault in a log that lacks nothing."""
        seen = self.check(log)
        if seen is None:
            return None
        return Finding(
            self.name, self.severity, seen.since, seen.what, seen.statistic, seen.threshold,
            self.causes, self.attempt, self.source,
        )  # fmt: skip


def rule(
    *, severity: str, needs: tuple[str, ...], least: int, causes: tuple[str, ...], attempt: str, source: str,
    losses: str = "any",
) -> Callable[[Callable[[Log], Seen | None]], Rule]:  # fmt: skip
    """Make a rule of a function; it goes by the function's name, in kebab-case."""

    def make(check: Callable[[Log], Seen | None]) -> Rule:
        return Rule(check.__name__.replace("_", "-"), check, severity, needs, least, losses, causes, attempt, source)

    return make

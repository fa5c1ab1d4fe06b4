"""All rules in one place."""

from __future__ import annotations

from gan_plugin_doctor import losses, quality, rates, wasserstein
from gan_plugin_doctor.rule import Finding, Rule
from gan_plugin_doctor.series import Log

RULES: tuple[Rule, ...] = tuple(
    each for module in (losses, rates, wasserstein, quality) for each in vars(module).values() if isinstance(each, Rule)
)


def examine(log: Log) -> list[Finding]:
    """Return what holds at the end of a log, faults first."""
    found = [each.find(log) for each in RULES if not each.lacks(log)]
    return sorted((each for each in found if each), key=lambda finding: (finding.severity != "fault", finding.since))


def unchecked(log: Log) -> dict[str, str]:
    """Return the rules that cannot be checked on a log, each with what it lacks."""
    return {each.name: lack for each in RULES if (lack := each.lacks(log))}

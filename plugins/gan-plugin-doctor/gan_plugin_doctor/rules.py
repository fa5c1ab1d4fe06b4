"""All rules in one place."""

from __future__ import annotations

from gan_plugin_doctor import losses, quality, rates, wasserstein
from gan_plugin_doctor.advice import UNKNOWN, Recipe
from gan_plugin_doctor.rule import Finding, Rule, Waiting
from gan_plugin_doctor.series import Log

MODULES = (losses, rates, wasserstein, quality)
RULES: tuple[Rule, ...] = tuple(each for module in MODULES for each in vars(module).values() if isinstance(each, Rule))


def examine(log: Log, recipe: Recipe = UNKNOWN) -> list[Finding]:
    """Return what holds at the end of a log, faults first, with advice for a composition."""
    found = [each.find(log, recipe) for each in RULES if not each.waits(log, recipe)]
    return sorted((each for each in found if each), key=lambda finding: (finding.severity != "fault", finding.since))


def waiting(log: Log, recipe: Recipe = UNKNOWN) -> dict[str, Waiting]:
    """Return the rules that cannot be checked on a log yet, each with what it waits for."""
    return {each.name: waits for each in RULES if (waits := each.waits(log, recipe))}


def unchecked(log: Log, recipe: Recipe = UNKNOWN) -> dict[str, str]:
    """Return the rules that cannot be checked on a log yet, each with what it lacks, in words."""
    return {name: str(each) for name, each in waiting(log, recipe).items()}

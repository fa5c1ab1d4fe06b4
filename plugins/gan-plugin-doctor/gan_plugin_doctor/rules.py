"""The list of all rules."""

from __future__ import annotations

from itertools import chain
from types import ModuleType

from gan_plugin_doctor import dynamics, losses, memory, networks, quality, rates, wasserstein
from gan_plugin_doctor.advice import UNKNOWN, Recipe
from gan_plugin_doctor.rule import Finding, Rule, Waiting
from gan_plugin_doctor.series import Log


def rules_of(module: ModuleType) -> list[Rule]:
    """Return the rules that a module defines, in their order."""
    return [each for each in vars(module).values() if isinstance(each, Rule)]


MODULES = (losses, rates, dynamics, wasserstein, quality, memory, networks)
RULES: tuple[Rule, ...] = tuple(chain.from_iterable(map(rules_of, MODULES)))


def examine(log: Log, recipe: Recipe = UNKNOWN) -> list[Finding]:
    """Return the findings at the end of a log, faults first, with advice for a composition."""
    found = []
    for each in RULES:
        # a rule counts on its figures being there
        if each.waits(log, recipe):
            continue
        finding = each.find(log, recipe)
        if finding is not None:
            found.append(finding)
    return sorted(found, key=lambda finding: (finding.severity != "fault", finding.since))


def waiting(log: Log, recipe: Recipe = UNKNOWN) -> dict[str, Waiting]:
    """Return the rules that cannot be checked on a log yet, and why."""
    found = {}
    for each in RULES:
        waits = each.waits(log, recipe)
        if waits is not None:
            found[each.name] = waits
    return found


def unchecked(log: Log, recipe: Recipe = UNKNOWN) -> dict[str, str]:
    """Return the rules that cannot be checked on a log yet, and why, in words."""
    return {name: str(each) for name, each in waiting(log, recipe).items()}

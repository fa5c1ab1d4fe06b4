"""Compatibility rules between the chosen components."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from gancore.errors import CompositionError
from gancore.plugins.calling import Component
from gancore.plugins.component import Rule, info_of
from gancore.plugins.slots import SINGLE

# kinds that are chosen for each player: their tags read `critic.TAG`
OF_ONE_PLAYER = frozenset(slot.kind for slot in SINGLE.values() if slot.role is not None)


def tags_of(each: Component) -> set[str]:
    """Return the tags of a component; those of a norm or optimiser are `critic.TAG` and so on."""
    provided = info_of(each.component).provides
    if each.kind in OF_ONE_PLAYER:
        return {f"{role}.{tag}" for role, tag in itertools.product(each.roles, provided)}
    return set(provided)


def check_rules(
    chosen: Sequence[Component],
    tags: Iterable[str],
    force: bool,
    of_interest: Callable[[str], bool],
) -> tuple[str, ...]:
    """Check every component's rules against the tags of the others; return notes.

    Raises CompositionError for the first hard rule that is broken, unless forced.
    """
    notes = []
    for each in chosen:
        for rule in info_of(each.component).rules:
            if not of_interest(rule.tag) or not rule.when(each.component):
                continue
            others = [
                other.name for other in chosen if other is not each and rule.tag in tags_of(other)
            ]
            own = [each.name] if not rule.present and rule.tag in tags_of(each) else []
            if bool(others or own or rule.tag in set(tags)) == rule.present:
                error = _broken(each, rule, [other for other in chosen if other.name in others])
                if rule.hard and not force:
                    raise error
                notes.append(f"{error.what}" + (f" ({error.fix})" if error.fix else ""))
    return tuple(notes)


def _broken(each: Component, rule: Rule, others: Sequence[Component]) -> CompositionError:
    cite = f" ({rule.cite})" if rule.cite else ""
    names = " and ".join(repr(one.name) for one in (each, *others))
    verb = "cannot be composed" if others else "cannot be used here"
    if not rule.hard:
        verb = "are an unusual pair" if others else "is unusual here"
    where = ", ".join(f"{one.kind} {one.name} ({one.chosen_by})" for one in (each, *others))
    return CompositionError(f"{names} {verb}: {rule.reason}{cite}", where=where, fix=rule.fix)

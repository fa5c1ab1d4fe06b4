"""Compatibility rules between the chosen components."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from gancore.errors import CompositionError
from gancore.plugins.calling import Component
from gancore.plugins.component import Rule, info_of
from gancore.plugins.slots import SINGLE

# what is known once the data is open: tags for rules and recipes, in words
TAGS_OF_DATA = {
    "data.points": "points",
    "data.signals": "signals",
    "data.images": "images",
    "data.volumes": "volumes",
    "data.labels": "data with labels",
    "data.flat-colours": "images in flat colours",
}
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
    from_data = set(tags)
    notes = []
    for each in chosen:
        for rule in info_of(each.component).rules:
            if not of_interest(rule.tag) or not rule.when(each.component):
                continue
            providers = [other for other in chosen if rule.tag in tags_of(other)]
            others = [other for other in providers if other is not each]
            # a component may provide what it requires itself, but never conflicts with itself
            counted = others if rule.present else providers
            if (bool(counted) or rule.tag in from_data) != rule.present:
                continue
            error = _broken(each, rule, others)
            if rule.hard and not force:
                raise error
            notes.append(f"{error.what} ({error.fix})" if error.fix else error.what)
    return tuple(notes)


def _broken(each: Component, rule: Rule, others: Sequence[Component]) -> CompositionError:
    involved = (each, *others)
    cite = f" ({rule.cite})" if rule.cite else ""
    names = " and ".join(repr(one.name) for one in involved)
    if rule.hard:
        verb = "cannot be composed" if others else "cannot be used here"
    else:
        verb = "are an unusual pair" if others else "is unusual here"
    where = ", ".join(f"{one.kind} {one.name} ({one.chosen_by})" for one in involved)
    return CompositionError(f"{names} {verb}: {rule.reason}{cite}", where=where, fix=rule.fix)

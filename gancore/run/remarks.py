"""Remarks on the data of a new run: what a user may not expect of it, and which flags change it."""

from __future__ import annotations

from gancore.plugins.component import info_of
from gancore.recipe import lookup
from gancore.recipe.compose import DEFAULT, Composition
from gancore.run.listing import shortened
from gancore.train.data import Data

LABELS = "data.labels"  # the tag that a component requires which is trained with labels
BESIDE_TRAINING = ("metric", "track")  # kinds of components that change no network
FLAGS_FOR_LABELS = "with-labels"  # key of `[about]` of the recipe `default`


def few_note(data: Data, batch: int) -> list[str]:
    """Return a note where a batch holds more samples than there are."""
    if len(data) >= batch:
        return []
    if len(data) == 1:
        return [f"1 sample fills a batch of {batch} by repetition"]
    return [f"{len(data)} samples fill a batch of {batch} by repetition"]


def label_note(composition: Composition, data: Data) -> list[str]:
    """Return a note where the user's own data have classes that no component is trained with.

    It ends with the flags that the recipe called `default` recommends for such data.
    """
    kinds = [each for each in data.label_sets if len(each) > 1]
    if not kinds or not _is_own(composition) or _uses_labels(composition):
        return []
    sets = [f"{each.name} ({shortened(each.classes, ', ')})" for each in kinds]
    flags = "--cond NAME    (`gan plugins cond` lists them)"
    if DEFAULT in lookup.recipe_files():
        for recipe in lookup.recipe_chain(DEFAULT):
            flags = recipe.about.get(FLAGS_FOR_LABELS, flags)
    return [
        f"the data have classes, {', '.join(sets)}, which this run ignores; to use them: {flags}"
    ]


def _is_own(composition: Composition) -> bool:
    """Return whether the data lie at a path that the user gave."""
    return any(
        each.kind == "data" and getattr(each.component, "path", "") for each in composition.chosen
    )


def _uses_labels(composition: Composition) -> bool:
    for each in composition.chosen:
        if each.kind in BESIDE_TRAINING:
            continue
        for rule in info_of(each.component).rules:
            # a rule is broken where its tag is `present`, or is not: this one requires the tag
            if rule.tag == LABELS and not rule.present:
                return True
    return False

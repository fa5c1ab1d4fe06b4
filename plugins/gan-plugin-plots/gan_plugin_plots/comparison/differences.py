"""What differs in the resolved recipes of runs."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from gan_plugin_plots.comparison.runs import RunFiles

ABSENT = "–"
SETTINGS = "run"  # the table of a recipe that holds the settings
SECTIONS = ("component", "option", "setting", "version")
SEEDS = (
    "one run each: differences between seeds are not separated from those of the recipes; "
    "gan study does that"
)


@frozen
class Difference:
    """One line of what differs: the section, the key, and the text for each run."""

    section: str
    key: str
    values: list[str]


def differences(runs: list[RunFiles]) -> list[Difference]:
    """List what differs between recipes: components, options, settings; then versions.

    A component that a run does not use has no options there: `–`.
    """
    found = []
    tables = [flat(run.recipe) for run in runs]
    for key in in_order(tables):
        values = [show(table[key]) if key in table else ABSENT for table in tables]
        if len(set(values)) > 1:
            found.append(Difference(section_of(key), name_of_key(key), values))
    versions = [run.versions for run in runs]
    for name in sorted(set().union(*versions)):
        known = [table[name] for table in versions if name in table]
        # a component that one run lacks is said above; a run without a checkpoint states none
        if len(set(known)) > 1:
            values = [table.get(name, ABSENT) for table in versions]
            found.append(Difference("version", name, values))
    return sorted(found, key=lambda each: SECTIONS.index(each.section))


def flat(recipe: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """Return the entries of a recipe by their path, such as `("adam", "lr")` or `("gen",)`."""
    found = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            for path, each in flat(value).items():
                found[(key, *path)] = each
        elif key != "format":
            found[(key,)] = value
    return found


def in_order(tables: list[dict[tuple[str, ...], Any]]) -> list[tuple[str, ...]]:
    """List the keys of all tables, each once, in order of appearance."""
    found: dict[tuple[str, ...], None] = {}
    for table in tables:
        found |= dict.fromkeys(table)
    return list(found)


def section_of(key: tuple[str, ...]) -> str:
    """Return which part of a recipe a key belongs to."""
    if len(key) == 1:
        return "component"
    return "setting" if key[0] == SETTINGS else "option"


def name_of_key(key: tuple[str, ...]) -> str:
    """Return a key as the command line has it: `gen`, `adam.lr`, `steps`."""
    return ".".join(key[1:] if key[0] == SETTINGS and len(key) > 1 else key)


def show(value: Any) -> str:
    """Format a value of a recipe."""
    if isinstance(value, list):
        return ", ".join(map(show, value)) or "none"
    if isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def on_seeds(runs: list[RunFiles]) -> str:
    """Return the note on how many runs stand for each recipe."""
    groups: dict[str, list[str]] = {}
    for run in runs:
        table = flat(run.recipe)
        table.pop((SETTINGS, "seed"), None)
        entries = sorted((name_of_key(key), show(value)) for key, value in table.items())
        groups.setdefault(json.dumps(entries), []).append(run.label)
    if len(groups) == len(runs):
        return SEEDS
    alike = [" = ".join(labels) for labels in groups.values() if len(labels) > 1]
    same = f"equal but for the seed: {'; '.join(alike)}"
    if len(groups) == 1:
        return f"{same}: what differs comes from seed, machine or versions"
    return f"{same}; no test is made of the difference between recipes: gan study does that"


def on_data(runs: list[RunFiles]) -> str:
    """Return the warning that the data differ; empty where they do not."""
    found = describe_data(runs)
    if len(set(found)) < 2:
        return ""
    return f"the data differ ({' | '.join(found)}): no figure of one run can be set against another"


def describe_data(runs: list[RunFiles]) -> list[str]:
    """Return for each run a text that is equal for equal data.

    It is the fingerprint where every run has one, else what the recipes say of the data.
    """
    texts = []
    for run in runs:
        name = str(run.recipe.get("data", "unknown"))
        if all(each.data for each in runs):
            # of one content whatever the folder or the reader is called
            texts.append(f"{run.data[:12]}")
            continue
        size = show(run.setting("size"))
        options = json.dumps(run.options(name), sort_keys=True, default=str)
        texts.append(f"{name} {options} at size {size}")
    return texts

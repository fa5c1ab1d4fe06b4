"""Compare the plugins that a run was trained with and those that are installed now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from gancore.errors import CheckpointError, PluginError
from gancore.plugins import discovery, loading
from gancore.plugins.slots import SLOTS
from gancore.recipe.compose import Choice, Composition, pick
from gancore.recipe.options import Given
from gancore.recipe.toml import Layer
from gancore.run import directory
from gancore.run.checkpoint import reader


def absent(layer: Layer) -> list[Choice]:
    """List the choices of a recipe that no installed plugin provides."""
    # component files are installed nowhere
    published = [each for each in pick([layer]) if not loading.is_file(each.wanted)]
    return [each for each in published if not discovery.named(_published_name(each))]


def _published_name(choice: Choice) -> str:
    """Return the name of a component without the distribution in `distribution:name`."""
    return choice.wanted.rpartition(":")[2]


def require(lost: Sequence[Choice], folder: Path) -> None:
    """Raise PluginError naming what is not installed and what to install, by the checkpoint."""
    if not lost:
        return
    found, _ = reader.newest(folder / directory.CHECKPOINTS)
    written: Mapping[str, Any] = found.manifest.get("plugins", {}) if found else {}
    # dicts and no lists: several lost components of one distribution give one requirement
    names: dict[str, None] = {}
    requirements: dict[str, None] = {}
    places = []
    for each in lost:
        names[repr(each.wanted)] = None
        places.append(f"{each.slot} = {each.name} ({each.where})")
        about = written.get(each.alias or _published_name(each), {})
        if about.get("distribution"):
            requirements[f"{about['distribution']}=={about['version']}"] = None
    fix = "install the plugin that publishes it"
    if requirements:
        fix = f"pip install {' '.join(requirements)}"
    raise PluginError(
        f"the run was trained with {' and '.join(names)}, which is not installed",
        where=", ".join(places),
        fix=fix,
    )


def spare(layer: Layer, lost: Sequence[Choice], folder: Path) -> Layer:
    """Remove lost components from a recipe, to draw samples.

    Raises PluginError where one is of the generator.
    """
    require([each for each in lost if SLOTS[each.slot].to_sample], folder)
    if not lost:
        return layer
    names = {each.name for each in lost}
    slots = {}
    for slot, given in layer.slots.items():
        if isinstance(given.value, list):
            kept = [name for name in layer.names(slot) if name not in names]
            slots[slot] = evolve(given, value=kept)
        elif given.value not in names:
            slots[slot] = given
    options = dict(layer.options)
    for each in lost:
        options.pop(each.alias or _published_name(each), None)
    # rules concern training, so one that misses a lost component must not stand in the way
    force = Given(True, "to draw samples")
    options["run"] = {**options.get("run", {}), "force": force}
    return evolve(layer, slots=slots, options=options)


def compare_versions(then: Mapping[str, Any], composition: Composition) -> list[str]:
    """List the components whose version differs from that in `then`, the checkpoint's manifest.

    Raises CheckpointError where one comes from another distribution that does not replace the
    former one, or of another major version without `migrate`.
    """
    notes = []
    for each in composition.chosen:
        was = then.get(each.name, {"distribution": each.distribution, "version": each.version})
        former = was["distribution"]
        if former != each.distribution and not discovery.replaces(each.distribution, former):
            raise _other(each.name, was, f"now {each.distribution or 'a file'} gives that name")
        before = _numbers(was["version"])
        now = _numbers(each.version)
        change = f"{each.name} was {was['version']} then and is {each.version} now"
        if before[:1] != now[:1] and not hasattr(each.component, "migrate"):
            why = f"now {each.version} is installed, which need not go on as it did"
            raise _other(each.name, was, why)
        if before[:2] != now[:2]:
            notes.append(f"{change}; the run may not be bit-exact")
        elif was["version"] != each.version:
            notes.append(change)
    return notes


def _other(name: str, was: Mapping[str, Any], why: str) -> CheckpointError:
    source = f"{was['distribution'] or 'a file'} {was['version']}".strip()
    fix = "choose the file again"
    if was["distribution"]:
        fix = f"pip install {was['distribution']}=={was['version']}"
    return CheckpointError(
        f"the run was trained with {name} of {source}; {why}", where=name, fix=fix
    )


def _numbers(version: str) -> list[int]:
    return list(map(int, re.findall(r"\d+", version)[:3]))

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
    picks = [each for each in pick([layer]) if not loading.is_file(each.wanted)]
    return [each for each in picks if not discovery.named(each.wanted.rpartition(":")[2])]


def require(lost: Sequence[Choice], folder: Path) -> None:
    """Raise PluginError naming what is not installed and what to install, by the checkpoint."""
    if not lost:
        return
    found, _ = reader.newest(folder / directory.CHECKPOINTS)
    written: Mapping[str, Any] = found.manifest.get("plugins", {}) if found else {}
    about = [written.get(each.alias or each.wanted.rpartition(":")[2], {}) for each in lost]
    known = [each for each in about if each.get("distribution")]
    wanted = dict.fromkeys(f"{each['distribution']}=={each['version']}" for each in known)
    names = " and ".join(dict.fromkeys(repr(each.wanted) for each in lost))
    raise PluginError(
        f"the run was trained with {names}, which is not installed",
        where=", ".join(f"{each.slot} = {each.name} ({each.where})" for each in lost),
        fix=f"pip install {' '.join(wanted)}" if wanted else "install the plugin that publishes it",
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
            slots[slot] = evolve(
                given, value=[name for name in layer.names(slot) if name not in names]
            )
        elif given.value not in names:
            slots[slot] = given
    tables = {each.alias or each.wanted.rpartition(":")[2] for each in lost}
    options = {table: values for table, values in layer.options.items() if table not in tables}
    # rules concern training
    options["run"] = {
        **options.get("run", {}),
        "force": Given(True, "to draw samples"),
    }
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
            raise _other(
                each.name, was, f"now {each.version} is installed, which need not go on as it did"
            )
        if before[:2] != now[:2]:
            notes.append(f"{change}; the run may not be bit-exact")
        elif was["version"] != each.version:
            notes.append(change)
    return notes


def _other(name: str, was: Mapping[str, Any], why: str) -> CheckpointError:
    source = f"{was['distribution'] or 'a file'} {was['version']}".strip()
    fix = (
        f"pip install {was['distribution']}=={was['version']}"
        if was["distribution"]
        else "choose the file again"
    )
    return CheckpointError(
        f"the run was trained with {name} of {source}; {why}", where=name, fix=fix
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]

"""Find the component that reads what lies at a path: `--data ./photos` is a reader's choice."""

from __future__ import annotations

import os
from pathlib import Path

from gancore.errors import UsageError, did_you_mean
from gancore.plugins import discovery, loading
from gancore.recipe.options import Given
from gancore.recipe.toml import Layer

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


def path_as_data(layer: Layer) -> Layer:
    """Read `--data PATH` as the reader that fits what lies there, with that path.

    Raises UsageError for a path that is not there, and where no reader or more than one fits.
    """
    given = layer.slots.get("data")
    if given is None or not looks_like_path(given.value):
        return layer
    path = Path(os.path.expanduser(given.value)).resolve()
    # `os.path.exists` rather than `Path.exists`, which raises for a name that is too long
    if not os.path.exists(path):
        names = data_components()
        beside = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        near = did_you_mean(path.name, beside) or did_you_mean(given.value, names)
        fix = near or f"one of {', '.join(names)}, or a path"
        raise UsageError(f"there is no file or folder {given.value}", where=given.where, fix=fix)
    reader = find_reader(path, given.where)
    slots = {**layer.slots, "data": Given(reader, given.where)}
    # the user's own `--READER.path` comes last and wins
    of_reader = {"path": Given(str(path), given.where), **layer.options.get(reader, {})}
    return Layer(layer.origin, slots, {**layer.options, reader: of_reader})


def data_components() -> list[str]:
    """Return the names of the installed components for the slot `data`."""
    return [row.name for row in discovery.installed() if row.kind == "data"]


def looks_like_path(name: str) -> bool:
    """Whether `--data` names a path rather than a component."""
    if name in data_components() or not name or loading.is_file(name):
        return False
    return "/" in name or "\\" in name or name.startswith((".", "~")) or os.path.exists(name)


def find_reader(path: Path, where: str) -> str:
    """Ask every installed data component how well it fits a path; return the name of the best."""
    fits: dict[str, int] = {}
    readers: list[str] = []
    for row in discovery.installed():
        if row.kind != "data" or row.status != "ok":
            continue
        try:
            component = loading.load(row)()
            fit = component.recognizes(path) if hasattr(component, "recognizes") else None
        except Exception:  # a broken reader that was not chosen is no reason to stop
            continue
        if hasattr(component, "path"):
            readers.append(row.name)
        if fit:
            fits[row.name] = fit
    highest = max(fits.values(), default=0)
    best = [name for name, fit in fits.items() if fit == highest]
    if len(best) == 1:
        return best[0]
    if best:
        what = f"what {' and '.join(best)} both read"
        fix = f"--data {best[0]} --{best[0]}.path {path}"
    elif path.is_file() and path.name.lower().endswith(ARCHIVES):
        what = "an archive"
        fix = "unpack it first, and give the folder"
    else:
        what = "nothing that a reader knows"
        fix = f"--data NAME --NAME.path PATH; readers are {', '.join(readers)}"
    raise UsageError(f"{path} holds {what}", where=where, fix=fix)

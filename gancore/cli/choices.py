"""From the words of a command line to a layer of choices: slots, settings, and `--component.option value`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gancore import discovery
from gancore.component import options_of
from gancore.errors import UsageError, did_you_mean
from gancore.options import Given, Text
from gancore.recipe import LISTS, ONE_OF, SHORTHANDS, Layer
from gancore.settings import Settings

ORIGIN = "command line"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
PLAIN_FLAGS = (  # that choose nothing
    "recipe", "small", "compat", "out", "resume", "overwrite", "accept-changed-data", "stall-timeout", "dry-run",
    "json", "help",
)  # fmt: skip


def layer_of_words(
    given: Mapping[str, Any], extra: Sequence[str], flags: Sequence[str] = PLAIN_FLAGS, command: str = "gan run"
) -> Layer:
    """Build the command line's layer from parsed flags and the words that no flag took.

    Raises UsageError for a word that is no `--component.option value`, or an option given twice.
    """
    slots: dict[str, Given] = {}
    options: dict[str, dict[str, Given]] = {"run": {}}
    settings = options_of(Settings)
    for name, value in given.items():
        flag = name.replace("_", "-")
        if value is None or value == ():
            continue
        if flag in settings:
            options["run"][flag] = Given(Text(value) if isinstance(value, str) else value, f"--{flag} {value}")
        else:
            for slot in SHORTHANDS.get(flag, (flag,)):
                chosen = list(value) if flag in LISTS else value
                slots[slot] = Given(chosen, f"--{flag} {', '.join(value) if flag in LISTS else value}")
    for table, name, value in split_words(extra, [*given, *flags], command):
        if name in options.setdefault(table, {}):
            raise UsageError(f"--{table}.{name} is given twice", where=ORIGIN, mend="give it once")
        options[table][name] = Given(Text(value), f"--{table}.{name} {value}")
    return path_as_data(Layer(ORIGIN, slots, options))


def split_words(words: Sequence[str], flags: Sequence[str], command: str = "gan run") -> Iterator[tuple[str, str, str]]:
    """Yield (component, option, value) for `--component.option value` or `--component.option=value`.

    An option without a value counts as `true`. Raises UsageError for anything else.
    """
    queue = list(words)
    while queue:
        word = queue.pop(0)
        flag, equals, value = word.removeprefix("--").partition("=")
        table, dot, name = flag.partition(".")
        if not word.startswith("--") or not dot or not table or not name:
            raise unknown_word(word, flags, command)
        if not equals:
            value = queue.pop(0) if queue and not queue[0].startswith("--") else "true"
        yield table, name, value


def unknown_word(word: str, flags: Sequence[str], command: str) -> UsageError:
    """Make the error for a word that means nothing."""
    known = [f"--{flag.replace('_', '-')}" for flag in flags]
    kind = "option" if word.startswith("-") else "argument"
    near = did_you_mean(word.partition("=")[0], known)
    return UsageError(f"`{command}` has no {kind} {word!r}", where=ORIGIN, mend=near or f"{command} --help")


def path_as_data(layer: Layer) -> Layer:
    """Read `--data PATH` as the reader that fits what lies there, with that path.

    Raises UsageError for a path that is not there, and where no reader or more than one fits.
    """
    given = layer.slots.get("data")
    if given is None or not looks_like_path(given.value):
        return layer
    path = Path(os.path.expanduser(given.value)).resolve()
    if not os.path.exists(path):
        names = [row.name for row in discovery.installed() if row.kind == "data"]
        beside = [entry.name for entry in path.parent.iterdir()] if os.path.isdir(path.parent) else []
        mend = (
            did_you_mean(path.name, beside)
            or did_you_mean(given.value, names)
            or f"one of {', '.join(names)}, or a path"
        )
        raise UsageError(f"there is no file or folder {given.value}", where=given.where, mend=mend)
    reader = find_reader(path, given.where)
    options = {**layer.options, reader: {"path": Given(str(path), given.where), **layer.options.get(reader, {})}}
    return Layer(layer.origin, {**layer.slots, "data": Given(reader, given.where)}, options)


def looks_like_path(name: str) -> bool:
    """Whether `--data` names a path rather than a component."""
    known = any(row.name == name for row in discovery.installed() if row.kind == "data")
    if known or not name or discovery.is_file(name):
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
            component = discovery.load(row)()
            fit = component.recognizes(path) if hasattr(component, "recognizes") else None
        except Exception:  # a reader that fails here was not chosen by anybody
            continue
        if hasattr(component, "path"):
            readers.append(row.name)
        if fit:
            fits[row.name] = fit
    best = [name for name, fit in fits.items() if fit == max(fits.values())]
    if len(best) != 1:
        what = "nothing that a reader knows" if not best else f"what {' and '.join(best)} both read"
        mend = (
            f"--data {best[0]} --{best[0]}.path {path}"
            if best
            else f"--data NAME --NAME.path PATH; readers are {', '.join(readers)}"
        )
        if not best and path.is_file() and path.name.lower().endswith(ARCHIVES):
            what, mend = "an archive", "unpack it first, and give the folder"
        raise UsageError(f"{path} holds {what}", where=where, mend=mend)
    return best[0]


def slot_flags() -> list[str]:
    """List the flags that choose components."""
    return [*ONE_OF, *SHORTHANDS, *LISTS]

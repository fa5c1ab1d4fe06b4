"""The table of tensors in a checkpoint's `state.json`: name, type and shape of each, by file.

The files hold plain names only. A tensor whose name is any other text, such as a class of the data,
is stored as `text.K`, where K is its place among the sorted names of its file; the table holds its
own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gancore.run.checkpoint import safetensors_header
from gancore.run.listing import shortened

Table = Mapping[str, Mapping[str, str]]  # a file's stem → a tensor's name → e.g. `F32[64, 3]`

STAND_IN_NAME = re.compile(r"text\.\d+")


def stored_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name that each tensor has in its file, by its own name."""
    stored: dict[str, str] = {}
    for place, name in enumerate(sorted(names)):
        # a tensor that is itself called `text.3` gets a stand-in too, or two could have one name
        is_kept = safetensors_header.is_plain(name) and not STAND_IN_NAME.fullmatch(name)
        stored[name] = name if is_kept else f"text.{place}"
    return stored


def escaped(name: str) -> str:
    """Escape a name for JSON.

    Lone surrogates, as in file names that are not UTF-8, become `%udcff`.
    """
    doubled = name.replace("%", "%%")
    return re.sub("[\ud800-\udfff]", lambda found: f"%u{ord(found[0]):04x}", doubled)


def unescaped(name: str) -> str:
    """Return the name that `escaped` was given.

    Raises ValueError for text that it cannot have returned.
    """

    def replaced(found: re.Match[str]) -> str:
        if found[1] is not None:
            return chr(int(found[1], 16))
        if found[0] != "%%":
            raise ValueError(f"{name!r} is not an escaped name")
        return "%"

    return re.sub(r"%u(d[89a-f][0-9a-f]{2})|%.?", replaced, name, flags=re.DOTALL)


def differences_from_table(table: Table, found: Table) -> list[str]:
    """List where files differ from the table.

    `found` has type and shape of their tensors by stored name.
    """
    listed = []
    for stem, tensors in found.items():
        wrong = _differences_of_file(table.get(stem, {}), tensors)
        if wrong:
            listed.append(f"{stem}.safetensors does not hold what was saved: {shortened(wrong)}")
    return listed


def _differences_of_file(table: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    wanted = {unescaped(name): type_and_shape for name, type_and_shape in table.items()}
    stored = stored_names(wanted)
    wrong = [f"{name} is missing" for name in wanted if stored[name] not in found]
    unknown = set(found) - set(stored.values())
    wrong += [f"{name} was not saved" for name in found if name in unknown]
    for name, type_and_shape in wanted.items():
        present = found.get(stored[name], type_and_shape)
        if present != type_and_shape:
            wrong.append(f"{name} is {present}, not {type_and_shape}")
    return wrong

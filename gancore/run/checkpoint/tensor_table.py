"""The table of a checkpoint's tensors in `state.json`: the name, type and shape of each, by file.

The files hold plain names only. A tensor whose name is any other text, such as a class of the data, is stored as
`text.K`, K being its place among the sorted names of its file; the table tells which name that was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gancore.run.checkpoint import safetensors_header

Table = Mapping[str, Mapping[str, str]]  # a file's stem → a tensor's name → its form, e.g. `F32[64, 3]`

RESERVED = re.compile(r"text\.\d+")
SHOWN = 5  # differences that are named


def stored_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each tensor's name the one that it has in its file."""
    return {
        name: name if safetensors_header.is_plain(name) and not RESERVED.fullmatch(name) else f"text.{place}"
        for place, name in enumerate(sorted(names))
    }


def escaped(name: str) -> str:
    """Write a name so that JSON holds it: lone surrogates, as of file names that are no UTF-8, become `%udcff`."""
    plain = name.replace("%", "%%")
    return re.sub("[\ud800-\udfff]", lambda found: f"%u{ord(found[0]):04x}", plain)


def unescaped(name: str) -> str:
    """Return the name that `escaped` wrote. Raises ValueError for what it cannot have written."""

    def replaced(found: re.Match[str]) -> str:
        if found[1] is not None:
            return chr(int(found[1], 16))
        if found[0] != "%%":
            raise ValueError(f"{name!r} is no name of a tensor")
        return "%"

    return re.sub(r"%u(d[89a-f][0-9a-f]{2})|%.?", replaced, name, flags=re.DOTALL)


def differences(table: Table, found: Table) -> list[str]:
    """List what the files hold against the table; `found` gives forms by stored name. Nothing where they agree."""
    told = []
    for stem, forms in found.items():
        wanted = {unescaped(name): form for name, form in table.get(stem, {}).items()}
        stored = stored_names(wanted)
        wrong = [f"{name} is missing" for name in wanted if stored[name] not in forms]
        wrong += [f"{name} is not of it" for name in forms if name not in stored.values()]
        wrong += [
            f"{name} is {forms[stored[name]]}, not {form}"
            for name, form in wanted.items()
            if forms.get(stored[name], form) != form
        ]
        if wrong:
            more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            told.append(f"{stem}.safetensors does not hold what was saved: {'; '.join(wrong[:SHOWN])}{more}")
    return told

"""The list of images to leave out: one name a line, seen from the folder of images."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from gan_plugin_image_folder.files import spelt
from gan_plugin_image_folder.folder import is_image, shown
from gancore import DataError, UsageError

HEADER = "# images to leave out, seen from their folder, one a line; a line in quotes is a JSON string\n"
WHERE = "image-folder.leave-out"
MOST_BYTES = 256 << 20


def line_of(name: str) -> str:
    """Write a name on one line: as it is, or as a JSON string where that would be read otherwise."""
    plain = name.isprintable() and name == name.strip() and not name.startswith(('"', "#"))
    return name if plain else json.dumps(name)


def write_list(path: Path, names: Sequence[str]) -> None:
    """Write a list; raises UsageError where it cannot be, and where another file than such a list is in the way."""
    try:
        if os.path.lexists(path) and not (path.is_file() and starts_as_list(path)):
            what, fix = f"{shown(str(path))} is there already, and is no such list", "name a file that is not there"
            raise UsageError(what, where="--fix-list", fix=fix)
        if is_image(spelt(path.name)):
            what = f"{shown(str(path))} is named like an image"
            raise UsageError(what, where="--fix-list", fix=f"--fix-list {shown(str(path.with_suffix('.txt')))}")
        path.write_text(HEADER + "".join(f"{line_of(name)}\n" for name in names), encoding="utf-8")
    except OSError as error:
        what = f"{shown(str(path))} cannot be written: {error.strerror}"
        raise UsageError(what, where="--fix-list", fix="name a file in a folder that you may write to") from None


def starts_as_list(path: Path) -> bool:
    """Whether a file is a list that was written here, or empty."""
    with path.open("rb") as file:
        return file.read(len(HEADER)) in (HEADER.encode(), b"")


def read_list(given: str, base: Path) -> frozenset[str]:
    """Return the names in a list, whose path is seen from `base`.

    Raises UsageError where there is no such file, DataError for one that cannot be read.
    """
    path = base / os.path.expanduser(given)
    if not os.path.isfile(path):
        raise UsageError(f"the file {shown(str(path))} does not exist", where=WHERE, fix=f"--{WHERE} FILE")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{shown(str(path))} is larger than {MOST_BYTES >> 20} MiB", where=WHERE)
        lines = path.read_bytes().decode("utf-8-sig", "surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"{shown(str(path))} cannot be read: {error.strerror}", where=WHERE) from None
    return frozenset(
        name_of(line.strip(), f"{shown(str(path))}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    )


def name_of(line: str, where: str) -> str:
    """Read one line. Raises DataError for a quoted one that is no JSON string."""
    if not line.startswith('"'):
        return line.removeprefix("./")
    try:
        name = json.loads(line)
    except ValueError:
        name = None
    if not isinstance(name, str):
        raise DataError(
            f"{shown(line)} is no JSON string", where=where, fix="write the name as it is, or fix the quotes"
        )
    return name

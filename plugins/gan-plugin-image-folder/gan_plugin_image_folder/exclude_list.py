"""The list of images to leave out: one name a line, relative to the folder of images.

`gan data check --fix-list` writes it, and the option `leave-out` reads it.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from gan_plugin_image_folder.names import encode_name, printable
from gan_plugin_image_folder.scan import has_image_suffix
from gancore import DataError, UsageError

# A file that begins with this line was written here, and may be overwritten.
HEADER = (
    "# images to leave out, seen from their folder, one a line; a line in quotes is a JSON string\n"
)
WHERE = "image-folder.leave-out"
MOST_BYTES = 256 << 20


def write_exclude_list(path: Path, names: Sequence[str]) -> None:
    """Write the list. Raises UsageError where that fails, or would overwrite another file."""
    try:
        refuse_overwriting(path)
        lines = [encode_line(name) + "\n" for name in names]
        path.write_text(HEADER + "".join(lines), encoding="utf-8")
    except OSError as error:
        what = f"{printable(str(path))} cannot be written: {error.strerror}"
        fix = "name a file in a folder that you may write to"
        raise UsageError(what, where="--fix-list", fix=fix) from None


def refuse_overwriting(path: Path) -> None:
    """Raise UsageError for an existing file that is no such list, and for the name of an image."""
    if os.path.lexists(path) and not (path.is_file() and is_exclude_list(path)):
        what = f"{printable(str(path))} already exists and is not such a list"
        raise UsageError(what, where="--fix-list", fix="name a file that does not exist")
    if has_image_suffix(encode_name(path.name)):
        what = f"{printable(str(path))} has the suffix of an image"
        fix = f"--fix-list {printable(str(path.with_suffix('.txt')))}"
        raise UsageError(what, where="--fix-list", fix=fix)


def is_exclude_list(path: Path) -> bool:
    """Return whether a file is a list that was written here, or empty."""
    with path.open("rb") as file:
        return file.read(len(HEADER)) in (HEADER.encode(), b"")


def encode_line(name: str) -> str:
    """Return the line of a name: as it is, or as a JSON string if it would be read otherwise."""
    plain = name.isprintable() and name == name.strip() and not name.startswith(('"', "#"))
    return name if plain else json.dumps(name)


def read_exclude_list(given: str, base: Path) -> frozenset[str]:
    """Return the names in a list; its path is relative to `base`.

    Raises UsageError where there is no such file, DataError where it cannot be read.
    """
    path = base / os.path.expanduser(given)
    name = printable(str(path))
    if not os.path.isfile(path):
        raise UsageError(f"the file {name} does not exist", where=WHERE, fix=f"--{WHERE} FILE")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{name} is larger than {MOST_BYTES >> 20} MiB", where=WHERE)
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}", where=WHERE) from None
    # Names in other encodings than UTF-8 are written as JSON strings, or as raw bytes by hand.
    names = set()
    for number, line in enumerate(raw.decode("utf-8-sig", "surrogateescape").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            names.add(decode_line(line.strip(), f"{name}, line {number}"))
    return frozenset(names)


def decode_line(line: str, where: str) -> str:
    """Read one line of the list. Raises DataError for a quoted one that is not a JSON string."""
    if not line.startswith('"'):
        return line.removeprefix("./")
    try:
        name = json.loads(line)
    except ValueError:
        name = None
    if not isinstance(name, str):
        what = f"{printable(line)} is not a JSON string"
        raise DataError(what, where=where, fix="write the name as it is, or correct the quotes")
    return name

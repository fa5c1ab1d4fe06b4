"""File names: as bytes that are the same in every locale, and as text that is safe to print."""

import os
from difflib import get_close_matches
from pathlib import Path

MOST_PRINTED = 5  # names in one message; the others are counted


def encode_name(name: str) -> bytes:
    """Return the bytes of a file name."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(name: bytes | bytearray) -> str:
    """Return a file name from its bytes; bytes that are not UTF-8 become lone surrogates."""
    return name.decode("utf-8", "surrogateescape")


def path_below(root: str, name: str) -> bytes:
    """Return the path of a file below `root`, as bytes for the operating system."""
    return os.path.join(os.fsencode(root), encode_name(name))


def printable(*names: str) -> str:
    """Join the first five names; escape control characters and lone surrogates."""
    text = ", ".join(names[:MOST_PRINTED])
    if len(names) > MOST_PRINTED:
        text += f" and {len(names) - MOST_PRINTED} more"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def nearest_sibling(path: Path, files_only: bool = False) -> str | None:
    """Return the path beside `path` with the most similar name, to suggest it; None for none."""
    siblings = list(path.parent.glob("*"))
    if files_only:
        siblings = list(filter(Path.is_file, siblings))
    near = get_close_matches(path.name, [each.name for each in siblings], n=1)
    return printable(str(path.parent / near[0])) if near else None

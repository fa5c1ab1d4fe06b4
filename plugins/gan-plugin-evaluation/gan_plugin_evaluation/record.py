"""`evaluation.json`: a list of records, one for each figure, which grows with every evaluation."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from gancore import DataError, UsageError

FILE = "evaluation.json"
SAME = ("features", "n_real", "n_fake", "protocol", "data", "split")


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a file; none where there is no file.

    Raises DataError for a file that holds something else, which so is never overwritten.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise damaged(path, "it is no list of records")
    return found


def damaged(path: Path, reason: str) -> DataError:
    """Make the error for a file that records cannot be added to."""
    fix = "move it away; a new one is begun"
    return DataError(f"{path} holds no records of evaluations: {reason}", where=str(path), fix=fix)


def append_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Add records to a file, which is replaced whole. Raises UsageError where that fails."""
    content = json.dumps([*read_records(path), *records], indent=1) + "\n"
    written = ""
    try:
        with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            written = file.name
            file.write(content)
        os.replace(written, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(written)
        what = f"{path} cannot be written: {error.strerror}"
        raise UsageError(what, where=str(path), fix="-o FILE names another place") from None


def expect_comparable(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Raise UsageError unless two records may be compared.

    Their metric, features, numbers of samples, data, split and protocol are the same.
    """
    for name in ("metric", *SAME):
        if first.get(name) != second.get(name):
            raise UsageError(
                f"these figures cannot be compared: {name} is {first.get(name)!r} of the one, "
                f"{second.get(name)!r} of the other",
                where=FILE,
                fix="evaluate both with the same data, -n and --features",
            )

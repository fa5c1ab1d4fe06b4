"""Tell the user about what does not stop a run."""

from collections.abc import Iterable
from logging import getLogger


def warn(lines: Iterable[str]) -> None:
    """Log lines as warnings of gancore."""
    for line in lines:
        getLogger("gancore").warning("%s", line)

"""Tell the user about what does not stop a run."""

import os
from collections.abc import Iterable
from logging import getLogger


def warn(lines: Iterable[str]) -> None:
    """Log lines as warnings of gancore, in the first process of a run alone."""
    if "MASTER_ADDR" in os.environ and os.environ.get("RANK", "0") != "0":
        return
    for line in lines:
        getLogger("gancore").warning("%s", line)

"""A run and its directory.

Importing this package puts a guard around the import of components: see `gancore.guard.global_state`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from gancore.plugins import loading


def _watched(name: str, origin: str) -> AbstractContextManager[object]:
    from gancore.guard.global_state import importing  # here, for it requires torch

    return importing(name, origin)


loading.importing = _watched

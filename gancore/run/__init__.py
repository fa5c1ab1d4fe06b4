"""A run and its directory. From here on the import of a component is a watched one: see `gancore.run.process`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from gancore import discovery


def _watched(name: str, origin: str) -> AbstractContextManager[object]:
    from gancore.run.process import importing  # here, for it needs torch

    return importing(name, origin)


discovery.importing = _watched

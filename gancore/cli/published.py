"""Finds the commands of `gan` and the executors of `gan sweep` that plugins publish."""

from __future__ import annotations

from functools import cache

from gancore.plugins.discovery import Row, entries, row_of

COMMANDS = "gancore.commands"  # entry point groups
EXECUTORS = "gancore.executor"


@cache
def commands() -> dict[str, Row]:
    """Return the published commands by name: entry points that name a click command."""
    return _published(COMMANDS, "command")


@cache
def executors() -> dict[str, Row]:
    """Return the published executors by name.

    Their entry points name a function `open_executor(address, jobs)`.
    """
    return _published(EXECUTORS, "executor")


def _published(group: str, kind: str) -> dict[str, Row]:
    found = []
    for entry, distribution in entries():
        if entry.group == group:
            found.append(row_of(entry, kind, distribution))
    return {row.name: row for row in sorted(found, key=lambda row: row.name)}

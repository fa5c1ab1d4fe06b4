"""The commands of `gan`, and the engines of `gan sweep`, that installed distributions publish."""

from __future__ import annotations

from functools import cache

from gancore.plugins.discovery import Row, entries, row_of

COMMANDS, EXECUTORS = "gancore.commands", "gancore.executor"


@cache
def commands() -> dict[str, Row]:
    """List the published commands by name: entry points whose value is a click command."""
    return _published(COMMANDS, "command")


@cache
def executors() -> dict[str, Row]:
    """List the published engines by name: entry points whose value is a function `open_executor(address, jobs)`."""
    return _published(EXECUTORS, "executor")


def _published(group: str, kind: str) -> dict[str, Row]:
    found = [row_of(entry, kind, distribution) for entry, distribution in entries() if entry.group == group]
    return {row.name: row for row in sorted(found, key=lambda row: row.name)}

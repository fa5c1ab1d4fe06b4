"""The commands of `gan` that installed distributions publish."""

from __future__ import annotations

from functools import cache

from gancore.discovery import Row, entries, row_of

COMMANDS = "gancore.commands"


@cache
def commands() -> dict[str, Row]:
    """List the published commands by name: entry points whose value is a click command."""
    found = [row_of(entry, "command", distribution) for entry, distribution in entries() if entry.group == COMMANDS]
    return {row.name: row for row in sorted(found, key=lambda row: row.name)}

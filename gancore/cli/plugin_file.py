"""`gan plugins ./file.py[:Class]`: everything that the conformance kit says of a file."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence

import click

from gancore.cli.console import tell, write_stderr
from gancore.errors import GanError
from gancore.recipe.options import Given
from gancore.testing.checks import CHECKS
from gancore.testing.faults import Fault
from gancore.testing.findings import Findings, find_faults_of_file


def check_file(given: str, options: Mapping[str, Mapping[str, Given]], as_json: bool) -> None:
    """Check the components of a file and print the findings; exit with 1 where there are any.

    `options` are those of each component by its name. Raises UsageError for a missing file or
    class, and for an option that its component refuses.
    """
    found = find_faults_of_file(given, options)
    if as_json:
        click.echo(json.dumps(list(map(_object, found)), indent=1))
    else:
        tell("\n\n".join(map(_text, found)))
    context = click.get_current_context()
    if "--debug" in (context.find_root().obj or ()):
        _show_tracebacks(found)
    for each in found:
        if not each.sound:
            context.exit(1)


def _text(found: Findings) -> str:
    return "\n".join(_lines(found))


def _lines(found: Findings) -> Iterator[str]:
    """Yield the lines of one component: a summary, its faults in three parts, what was left."""
    count = len(found.faults)
    if found.sound:
        yield f"{found.component}: sound ({', '.join(CHECKS)})"
    else:
        yield f"{found.component}: {count} {'fault' if count == 1 else 'faults'}"
    for number, fault in enumerate(found.faults, 1):
        yield ""
        lines = str(GanError(fault.what, where=fault.where, fix=fault.fix)).splitlines()
        yield f"{number}. {lines[0]}"
        for line in lines[1:]:
            yield f"   {line}"
    if found.skipped:
        yield ""
    for reason in found.skipped:
        yield f"not checked: {reason}"


def _object(found: Findings) -> dict[str, object]:
    faults = list(map(_fault_object, found.faults))
    return {"name": found.component, "faults": faults, "not_checked": list(found.skipped)}


def _fault_object(fault: Fault) -> dict[str, str]:
    return {"what": fault.what, "where": fault.where, "fix": fault.fix}


def _show_tracebacks(found: Sequence[Findings]) -> None:
    for each in found:
        for fault in each.faults:
            if fault.__cause__ is None:
                continue
            for text in traceback.format_exception(fault.__cause__):
                for line in text.splitlines():
                    write_stderr(line)

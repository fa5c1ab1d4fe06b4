"""`gan diagnose`: what the rules find in the log of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gan_plugin_doctor.rule import Finding
from gan_plugin_doctor.rules import RULES, examine, unchecked
from gan_plugin_doctor.series import Log


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
def diagnose(run: Path, as_json: bool) -> None:
    """Look in the log of RUN for signs of known faults; a finding is reported to help, not sure to."""
    from gancore import read_rows

    log = Log(read_rows(run))
    findings, lacking = examine(log), unchecked(log)
    checked = [each.name for each in RULES if each.name not in lacking]
    if as_json:
        answer = {"step": log.step, "findings": [each.as_json() for each in findings]}
        click.echo(json.dumps({**answer, "checked": checked, "unchecked": lacking}, indent=2))
        return
    for finding in findings:
        click.echo(report(finding) + "\n")
    if not findings:
        click.echo(f"nothing found up to step {log.step}")
    click.echo(f"checked: {', '.join(checked) or 'no rule'}")
    for name, lack in lacking.items():
        click.echo(f"could not check {name} ({lack})")


def report(finding: Finding) -> str:
    """Lay a finding out in lines."""
    causes = "\n".join(f"  likely: {cause}" for cause in finding.causes)
    head = f"{finding.severity}: {finding.rule}, since step {finding.since}\n  seen:   {finding.seen}"
    return f"{head}\n{causes}\n  try:    {finding.attempt}\n  source: {finding.source}"

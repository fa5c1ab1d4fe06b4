"""`gan diagnose`: what the rules find in the log of a run, and what they have not checked yet."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import click

from gan_plugin_doctor.advice import Recipe
from gan_plugin_doctor.rule import Finding, Waiting
from gan_plugin_doctor.rules import RULES, examine, waiting
from gan_plugin_doctor.series import Log


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
def diagnose(run: Path, as_json: bool) -> None:
    """Look in the log of RUN for signs of known faults; a finding is reported to help, not sure to."""
    from gancore import read_rows

    log = Log(read_rows(run))
    recipe = recipe_of(run)
    findings = examine(log, recipe)
    waits = waiting(log, recipe)
    checked = [each.name for each in RULES if each.name not in waits]
    if as_json:
        answer = {
            "step": log.step,
            "findings": [each.as_json() for each in findings],
            "checked": checked,
            "unchecked": {name: str(each) for name, each in waits.items()},
            "checked-from": {name: each.step for name, each in waits.items() if each.step is not None},
        }
        click.echo(json.dumps(answer, indent=2))
        return
    for finding in findings:
        click.echo(report(finding) + "\n")
    if not findings:
        click.echo(f"nothing found up to step {log.step}" if checked else f"nothing was checked up to step {log.step}")
    click.echo(f"checked: {', '.join(checked) or 'no rule'}")
    for line in unjudged(waits, last_step(recipe)):
        click.echo(line)


def recipe_of(run: Path) -> Recipe:
    """Read the resolved recipe of a run; an empty one where there is none that can be read."""
    try:
        return Recipe(tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return Recipe()


def last_step(recipe: Recipe) -> int | None:
    """Return the step at which the run ends; None where its length is not told in steps."""
    settings = recipe.options("run")
    steps = settings.get("steps")
    return steps if isinstance(steps, int) and not settings.get("epochs") else None


def unjudged(waits: dict[str, Waiting], end: int | None) -> list[str]:
    """Lay out the rules that were not checked, those that will be first."""
    lines = []
    for name, each in waits.items():
        if each.step is not None:
            beyond = end is not None and each.step > end
            more = f", after the end of this run at step {end}" if beyond else ""
            lines.append(f"not checked yet: {name} ({each}{more})")
    lines += [f"cannot be checked here: {name} ({each})" for name, each in waits.items() if each.step is None]
    if end is not None and any(each.step is not None and each.step > end for each in waits.values()):
        lines.append("more rows, by a smaller --log-every and --sample-every, are checked earlier")
    return lines


def report(finding: Finding) -> str:
    """Lay a finding out in lines."""
    causes = "\n".join(f"  likely: {cause}" for cause in finding.causes)
    head = f"{finding.severity}: {finding.rule}, since step {finding.since}\n  seen:   {finding.seen}"
    return f"{head}\n{causes}\n  try:    {finding.attempt}\n  source: {finding.source}"

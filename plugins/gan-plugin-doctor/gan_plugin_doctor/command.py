"""`gan diagnose`: the findings of all rules on the log of a run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import click

from gan_plugin_doctor.advice import Recipe
from gan_plugin_doctor.rule import Finding, Waiting, last_step
from gan_plugin_doctor.rules import RULES, examine, waiting
from gan_plugin_doctor.series import Log


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
def diagnose(run: Path, as_json: bool) -> None:
    """Look in the log of RUN for signs of known faults; a finding is a hint, not a proof."""
    from gancore import read_rows

    log = Log(read_rows(run))
    recipe = recipe_of(run)
    findings = examine(log, recipe)
    waits = waiting(log, recipe)
    checked = [each.name for each in RULES if each.name not in waits]
    if as_json:
        reasons = {}
        due = {}  # without those that this composition never allows
        for name, each in waits.items():
            reasons[name] = str(each)
            if each.step is not None:
                due[name] = each.step
        answer = {
            "step": log.step,
            "findings": [each.as_json() for each in findings],
            "checked": checked,
            "unchecked": reasons,
            "checked-from": due,
        }
        click.echo(json.dumps(answer, indent=2))
        return
    for finding in findings:
        click.echo(report(finding) + "\n")
    if not findings:
        what = "nothing found" if checked else "nothing was checked"
        click.echo(f"{what} up to step {log.step}")
    click.echo(f"checked: {', '.join(checked) or 'no rule'}")
    for line in unchecked_lines(waits, last_step(recipe)):
        click.echo(line)


def recipe_of(run: Path) -> Recipe:
    """Read the resolved recipe of a run; an empty one if it cannot be read."""
    try:
        return Recipe(tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        # the rules look at the log; without a recipe only their advice is less exact
        return Recipe()


def unchecked_lines(waits: dict[str, Waiting], end: int | None) -> list[str]:
    """Return lines about the rules that were not checked, first those that will be."""
    later = []
    never = []
    too_late = False
    for name, each in waits.items():
        if each.step is None:
            never.append(f"cannot be checked here: {name} ({each})")
            continue
        more = ""
        if end is not None and each.step > end:
            too_late = True
            more = f", after the end of this run at step {end}"
        later.append(f"not checked yet: {name} ({each}{more})")
    lines = later + never
    if too_late:
        lines.append("a smaller --log-every and --sample-every give more rows, and earlier checks")
    return lines


def report(finding: Finding) -> str:
    """Format a finding as lines."""
    causes = "\n".join(f"  likely: {cause}" for cause in finding.causes)
    head = f"{finding.severity}: {finding.rule}, since step {finding.since}"
    seen = f"  seen:   {finding.seen}"
    return f"{head}\n{seen}\n{causes}\n  try:    {finding.attempt}\n  source: {finding.source}"

"""`gan bench`: what a composition costs on this machine, and what limits it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.choices import layer_of_words, once
from gancore.cli.console import note, show_table, tell
from gancore.cli.run import compose_words, variants_of, with_slots, with_variants
from gancore.cli.verify_resume import composition_of_run
from gancore.errors import UsageError

if TYPE_CHECKING:
    from gancore.tools.bench.measure import Cost, Report, Spread

OWN_FLAGS = ("recipe", "small", "compat", "rounds", "without-each", "json", "help")
COLUMNS = ("ms", "quartiles", "share", "calls")
SET_BY_TRIAL = ("steps", "epochs", "sample-every", "sample-epochs", "save-every", "keep", "keep-every", "rollbacks")


@click.command(context_settings={"ignore_unknown_options": True})
@partial(with_slots, leave_out=SET_BY_TRIAL)
@click.argument("composition", metavar="[RUN|RECIPE]", required=False)
@click.option(
    "--recipe", metavar="NAME|FILE", multiple=True, callback=once, help="The same as RECIPE; flags override it."
)
@with_variants
@click.option(
    "--rounds", metavar="N", type=click.IntRange(1),
    help="Steps to time, each beside a plain one. [as many as take 20 seconds, at least 5]",
)  # fmt: skip
@click.option("--without-each", is_flag=True, help="Also time steps without each component that may be left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
def bench(
    composition: str | None,
    recipe: str | None,
    small: bool,
    compat: bool,
    rounds: int | None,
    without_each: bool,
    as_json: bool,
    extra: tuple[str, ...],
    **given: Any,
) -> None:
    """Measure what RUN or RECIPE composes, or any flags of `gan run`: a step, its parts, each component, memory.

    Steps on the stopwatch and plain ones take turns in this process; every moment belongs to the innermost part that
    is open, so the parts sum to the step. Nothing is written. The figures hold for this machine, as it is now.
    """
    if composition is not None and composition.startswith("--"):  # words for a component, and no recipe
        extra, composition = (composition, *extra), None
    words, variants = layer_of_words(given, extra, OWN_FLAGS, "gan bench"), variants_of(small=small, compat=compat)
    if composition is not None and recipe is not None:
        raise UsageError("a composition is given twice", where=f"{composition}, --recipe {recipe}", fix="give one")
    if composition is not None and Path(composition).is_dir():
        chosen = composition_of_run(Path(composition), words, variants)
    else:
        chosen = compose_words(words, composition or recipe, variants)
    from gancore.hardware.startup import prepare_process
    from gancore.tools.bench.measure import bench as measure

    prepare_process()
    with redirect_stdout(sys.stderr):  # what components print must not mix with the result
        report = measure(chosen, rounds or 0, without_each=without_each)
    show_json(report) if as_json else show(report)


def show_json(report: Report) -> None:
    """Print all of it."""
    from attrs import asdict

    click.echo(json.dumps(asdict(report), indent=1))


def show(report: Report) -> None:
    """Print what a person reads."""
    tell(f"{conditions(report.machine)}\n")
    tell(f"a step: {in_ms(report.step)}, n = {report.step.n} rounds; {report.samples_per_second:,.0f} samples/s")
    cost = report.timed.median / report.step.median - 1
    tell(f"on the stopwatch: {in_ms(report.timed)}; timing the parts costs {cost:+.1%}\n")
    show_table(("update of", "part", *COLUMNS), [(part.of, part.name, *columns(part)) for part in report.parts])
    tell("")
    called = [each for each in report.components if each.calls]
    show_table(("component", "kind", *COLUMNS), [(each.name, each.of, *columns(each)) for each in called])
    idle = ", ".join(each.name for each in report.components if not each.calls)
    tell(f"called by no step, but while networks are built or at rows of the log: {idle or 'none'}\n")
    for key, name in (("row", "a row of the log"), ("full", "a row at which everything is measured")):
        costs = sorted(report.rows[key].items(), key=lambda pair: -pair[1])
        tell(f"{name}: {', '.join(f'{component} {ms:.3g} ms' for component, ms in costs)}")
    tell("memory: " + ", ".join(f"{name} {size:,.1f} MiB" for name, size in report.memory.items()))
    for one in report.left_out:
        tell(f"with ÷ without {one.name}: {ratio(one.ratio) if one.ratio else one.reason}")
    tell("\nwhat limits it: " + "; ".join(report.limits))
    for text in report.notes:
        note(text)


def conditions(machine: Mapping[str, Any]) -> str:
    """Say in one line where and how it was measured."""
    amx = {True: "AMX", False: "no AMX", None: "AMX unknown"}[machine["amx"]]
    layout = "channels last" if machine["channels_last"] else "channels first"
    return (
        f"{machine['processor']} ({machine['instructions']}, {amx}), {machine['device']}, {machine['threads']} of "
        f"{machine['cores']} cores, torch {machine['torch']}, {machine['precision']}, {layout}, "
        f"batch {machine['batch']}; wall time, medians with quartiles"
    )


def in_ms(figure: Spread) -> str:
    """Write milliseconds with their quartiles."""
    return f"{figure.median:.4g} ms [{figure.low:.4g}, {figure.high:.4g}]"


def ratio(figure: Spread) -> str:
    """Write a ratio with its quartiles."""
    return f"{figure.median:.3f} [{figure.low:.3f}, {figure.high:.3f}], n = {figure.n}"


def columns(cost: Cost) -> tuple[str, ...]:
    """Write the columns that parts and components have in common."""
    ms = cost.ms
    return f"{ms.median:.3f}", f"{ms.low:.3f} to {ms.high:.3f}", f"{cost.share:.1%}", f"{cost.calls:g}"

"""`gan bench`: measure what a composition costs on this machine, and what limits its speed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.choices import layer_of_words
from gancore.cli.composition import compose_run_or_recipe, compose_words, split_argument
from gancore.cli.console import note, show_table, tell
from gancore.cli.flags import (
    component_options,
    composition_flags,
    flag_names,
    json_flag,
    recipe_flag,
    variant_flags,
    variants_of,
)
from gancore.errors import UsageError

if TYPE_CHECKING:
    from gancore.tools.bench.measure import PartCost, Report, Spread

COLUMNS = ("ms", "quartiles", "share", "calls")
# settings of the length of a run and of what it writes: a measurement trains no run
NOT_MEASURED = (
    "steps",
    "epochs",
    "sample-every",
    "sample-epochs",
    "save-every",
    "keep",
    "keep-every",
    "rollbacks",
)


@click.command(
    "bench",
    short_help="Measure the speed and memory of a composition.",
    context_settings={"ignore_unknown_options": True},
)
@composition_flags(leave_out=NOT_MEASURED)
@click.argument("composition", metavar="[RUN|RECIPE]", required=False)
@recipe_flag
@variant_flags
@click.option(
    "--rounds",
    metavar="N",
    type=click.IntRange(1),
    help="How many steps to time. [as many as fit into 20 seconds, at least 5]",
)
@click.option(
    "--without-each",
    is_flag=True,
    help="Also time steps without each component that can be left out.",
)
@json_flag
@component_options
def bench_command(
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
    """Measure the time of a step, its parts and each component, and the memory of a training.

    The composition is that of RUN or RECIPE, or of the flags, which are those of `gan run`. Steps
    with a stopwatch and plain steps alternate in this process. Time is charged to the innermost
    part that is open, so the parts add up to the step. Nothing is written to disk. The figures hold
    for this machine in its present state.
    """
    composition, extra = split_argument(composition, extra)
    words = layer_of_words(given, extra, flag_names(), "gan bench")
    variants = variants_of(small=small, compat=compat)
    if composition is not None and recipe is not None:
        where = f"{composition}, --recipe {recipe}"
        raise UsageError("a composition is given twice", where=where, fix="give one")
    if recipe is not None:
        chosen = compose_words(words, recipe, variants)
    else:
        chosen = compose_run_or_recipe(words, composition, variants)
    from gancore.hardware.startup import prepare_process
    from gancore.tools.bench.measure import bench

    prepare_process()
    with redirect_stdout(sys.stderr):  # stdout is for the result, not for what components print
        report = bench(chosen, rounds or 0, without_each=without_each)
    if as_json:
        print_report_json(report)
    else:
        print_report(report)


def print_report_json(report: Report) -> None:
    """Print all figures as JSON."""
    from attrs import asdict

    click.echo(json.dumps(asdict(report), indent=1))


def print_report(report: Report) -> None:
    """Print the report as text."""
    tell(f"{conditions(report.machine)}\n")
    speed = f"{report.samples_per_second:,.0f} samples/s"
    tell(f"a step: {in_ms(report.step)}, n = {report.step.n} rounds; {speed}")
    cost = report.timed.median / report.step.median - 1
    tell(f"with the stopwatch: {in_ms(report.timed)}; timing the parts costs {cost:+.1%}\n")
    parts = [(part.of, part.name, *columns(part)) for part in report.parts]
    show_table(("update of", "part", *COLUMNS), parts)
    tell("")
    components = []
    idle = []
    for each in report.components:
        if each.calls:
            components.append((each.name, each.of, *columns(each)))
        else:
            idle.append(each.name)
    show_table(("component", "kind", *COLUMNS), components)
    tell(f"called only while networks are built or rows are logged: {', '.join(idle) or 'none'}\n")
    tell(f"a row of the log: {costs_of_row(report.rows['row'])}")
    tell(f"a row with every metric: {costs_of_row(report.rows['full'])}")
    sizes = [f"{name} {size:,.1f} MiB" for name, size in report.memory.items()]
    tell(f"memory: {', '.join(sizes)}")
    for one in report.left_out:
        tell(f"with ÷ without {one.name}: {ratio(one.ratio) if one.ratio else one.reason}")
    tell("\nwhat limits it: " + "; ".join(report.limits))
    for text in report.notes:
        note(text)


def costs_of_row(costs: Mapping[str, float]) -> str:
    """Format the milliseconds of each component in a row, the dearest first."""
    by_cost = sorted(costs, key=costs.__getitem__, reverse=True)
    return ", ".join(f"{name} {costs[name]:.3g} ms" for name in by_cost)


def conditions(machine: Mapping[str, Any]) -> str:
    """Describe in one line the machine and settings of a measurement."""
    # without AMX half precision saves no time on a processor
    amx = {True: "AMX", False: "no AMX", None: "AMX unknown"}[machine["amx"]]
    layout = "channels last" if machine["channels_last"] else "channels first"
    return (
        f"{machine['processor']} ({machine['instructions']}, {amx}), {machine['device']}, "
        f"{machine['threads']} of {machine['cores']} cores, torch {machine['torch']}, "
        f"{machine['precision']}, {layout}, batch {machine['batch']}; "
        "wall time, medians with quartiles"
    )


def in_ms(figure: Spread) -> str:
    """Format milliseconds with their quartiles."""
    return f"{figure.median:.4g} ms [{figure.low:.4g}, {figure.high:.4g}]"


def ratio(figure: Spread) -> str:
    """Format a ratio with its quartiles."""
    return f"{figure.median:.3f} [{figure.low:.3f}, {figure.high:.3f}], n = {figure.n}"


def columns(cost: PartCost) -> tuple[str, ...]:
    """Format the columns that parts and components share."""
    ms = cost.ms
    quartiles = f"{ms.low:.3f} to {ms.high:.3f}"
    return f"{ms.median:.3f}", quartiles, f"{cost.share:.1%}", f"{cost.calls:g}"

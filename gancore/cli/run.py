"""`gan run`: compose, check, train."""

from __future__ import annotations

import json
import math
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.choices import layer_of_words, once
from gancore.cli.composition import compose_words
from gancore.cli.console import counted, say, tell
from gancore.cli.cost import announce_cost
from gancore.cli.flags import (
    component_options,
    composition_flags,
    folder_flag,
    json_flag,
    recipe_flag,
    variant_flags,
    variants_of,
)
from gancore.cli.signals import Signals
from gancore.cli.stall import stall_watch
from gancore.errors import UsageError
from gancore.plugins.component import options_of
from gancore.plugins.slots import ROLES
from gancore.recipe.toml import Layer
from gancore.run import directory

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition
    from gancore.run.directory import MetricsRow
    from gancore.run.loop import Run
    from gancore.run.rows import Step

BYTES_PER_WEIGHT = 16  # a float32 weight, its gradient and the two moments of an adaptive optimizer


@click.command(
    short_help="Train a GAN.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
    add_help_option=False,
)
@composition_flags()
@recipe_flag
@variant_flags
@folder_flag("--out", "Folder of the run. [runs/GEN-LOSS-N]")
@folder_flag("--resume", "Continue the run in DIR from its newest checkpoint.")
@click.option(
    "--overwrite", is_flag=True, help="If --out is not empty, first rename it to OUT.old-1."
)
@click.option(
    "--accept-changed-data",
    is_flag=True,
    help="With --resume: continue even if the data has changed.",
)
@click.option(
    "--stall-timeout",
    metavar="SECONDS",
    type=click.IntRange(0),
    default=600,
    help="End the run if a step takes longer than this; 0 waits forever. [600]",
)
@click.option(
    "--minutes",
    metavar="M",
    type=float,
    multiple=True,
    callback=once,
    help="Train for about M minutes: measure the speed here first, and plan --steps by it.",
)
@click.option(
    "--nproc",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    help="Train in N processes, which share each batch. [1]",
)
@click.option(
    "--dry-run", is_flag=True, help="Build the networks and print the composition; write nothing."
)
@json_flag
@click.option(
    "-h",
    "--help",
    "wants_help",
    is_flag=True,
    help="Show this page, followed by the options of the components given on the command line.",
)
@component_options
@click.pass_context
def run(
    context: click.Context,
    /,
    recipe: str | None,
    small: bool,
    compat: bool,
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    accept_changed_data: bool,
    stall_timeout: int,
    minutes: float | None,
    nproc: int,
    dry_run: bool,
    as_json: bool,
    wants_help: bool,
    extra: tuple[str, ...],
    **given: Any,
) -> None:
    """Train a GAN that is composed of the given components.

    Without any flag this trains a small GAN on a data set that comes with gancore. Options of
    components are given as `--component.option value`, e.g. `--my-trick.weight 0.2`;
    `gan plugins NAME` lists them.
    """
    words = layer_of_words(given, extra)
    if wants_help:
        show_help(context, words)
        return
    from gancore.hardware.startup import prepare_process

    prepare_process()
    if minutes is not None:
        expect_minutes(minutes, words, resume)
    if resume is not None:
        of_new_runs = recipe is not None or small or compat or out is not None or overwrite
        expect_resumable(resume, of_new_runs or dry_run)
        open_run = partial(resume_run, resume, words, accept_changed_data)
    else:
        composition = compose_words(words, recipe, variants_of(small=small, compat=compat))
        if dry_run:
            from gancore.cli.dry_run import show_composition

            show_composition(composition, as_json, minutes)
            return
        if nproc > 1:
            from gancore.cli.nproc import expect_run

            expect_run(composition, out, overwrite, nproc)
        open_run = partial(start_run, composition, words, out, overwrite, minutes)
    if nproc > 1:
        from gancore.cli.nproc import launch

        sys.exit(launch(nproc, context.find_root().obj))
    with redirect_stdout(sys.stderr):  # stdout is for the result, not for what components print
        opened = open_run()
    train_run(opened, as_json, stall_timeout)


def expect_resumable(folder: Path, refused: bool) -> None:
    """Raise UsageError where flags are given that `--resume` refuses, or a folder that is no run.

    Raises GanError where a process trains the run.
    """
    if refused:
        raise UsageError(
            "--resume cannot be combined with "
            "--recipe, --small, --compat, --out, --overwrite or --dry-run",
            fix="leave them out",
        )
    directory.expect(folder)
    directory.refuse_in_use(folder)  # opening it would report its process as killed


def expect_minutes(minutes: float, words: Layer, resume: Path | None) -> None:
    """Raise UsageError for minutes that are no time, or beside another length of the run."""
    given = f"--minutes {minutes:g}"
    if not 0 < minutes < math.inf:
        raise UsageError("a run takes more than 0 minutes", where=given, fix="--minutes 5")
    if resume is not None:
        raise UsageError(
            "--minutes plans a new run, and cannot be combined with --resume",
            where=given,
            fix="--steps N, the number of steps that the whole run is to have",
        )
    for name in ("steps", "epochs"):
        if other := words.options["run"].get(name):
            raise UsageError(
                f"--minutes and --{name} both give the length of the run",
                where=f"{given}, {other.where}",
                fix=f"leave out --minutes or --{name}",
            )


def start_run(
    composition: Composition,
    words: Layer,
    out: Path | None,
    overwrite: bool,
    minutes: float | None = None,
) -> Run:
    """Start a run, or resume it if torchrun has restarted this process after losing another."""
    from gancore.distributed.launch import restarts
    from gancore.recipe.compose import may_run
    from gancore.run.loop import Run

    if out is not None and restarts() and (out / directory.RECIPE).exists():
        return Run.resume(out, files=may_run(words))
    return Run.start(composition, out, overwrite=overwrite, minutes=minutes)


def resume_run(folder: Path, words: Layer, changed_data: bool) -> Run:
    """Resume a run with the settings of the command line."""
    from gancore.recipe.compose import may_run
    from gancore.run.loop import Run

    return Run.resume(folder, [words], may_run(words), changed_data=changed_data)


def show_help(context: click.Context, words: Layer) -> None:
    """Print the help page and the options of the components given on the command line."""
    click.echo(context.get_help())
    if not words.slots:
        return
    from gancore.cli.plugins import describe_options

    for each in compose_words(words, None).chosen:
        if each.chosen_by.startswith("--"):
            tell(f"\n{each.name}:")
            declared: Any = type(each.component)
            describe_options(each.name, options_of(declared))


def train_run(run: Run, as_json: bool, stall_timeout: int) -> None:
    """Train a run to its end and print its progress; a signal ends it after the current step."""
    first = run.training.step
    signals = stop_by_signal(run)
    last: MetricsRow = {}

    if run.group.size > 1:
        from gancore.cli.nproc import end_with_launcher

        end_with_launcher(run)
    for line in describe_run(run):
        say(line)
    # a run of so many minutes was planned by the speed measured here, which was just said
    announce = None if planned_by_time(run) else announce_cost(run)
    with redirect_stdout(sys.stderr), stall_watch(run, stall_timeout) as stepped:

        def keep(row: MetricsRow) -> None:
            nonlocal last
            last = row

        def after_step(_: Step) -> None:
            stepped()
            if announce is not None:
                announce()

        run.fit(on_row=keep, on_step=after_step)
    figures = run.folder / "metrics.jsonl"
    if signals.caught:
        stopped = run.folder / "samples" / "stopped.png"
        if stopped.exists():
            say(f"samples in {stopped}, figures in {figures}")
        shared = f" --nproc {run.group.size}" if run.group.size > 1 else ""
        say(
            f"stopped at step {run.training.step}, saved; "
            f"continue with: gan run --resume {run.folder}{shared}"
        )
        sys.exit(128 + signals.caught[0])
    samples = run.folder / "samples" / "final.png"
    if as_json and run.group.is_main:
        seed = run.composition.settings.seed
        result = {"run": str(run.folder), "samples": str(samples), "seed": seed, "last": last}
        click.echo(json.dumps(result))
    step = run.training.step
    done = f"done: {step} steps"
    if first and step == first:
        done = f"nothing was trained: the run is at {run.position}"
    say(f"{done}; samples in {samples}, figures in {figures}")


def describe_run(run: Run) -> list[str]:
    """Describe a run in two lines: its length and device; its data and the size of its networks."""
    gan = run.training.context.gan
    plan = run.training.context.plan
    data = run.training.context.data
    composition = run.composition
    settings = composition.settings
    length = counted(settings.steps, "step", "steps")
    if settings.epochs:
        length = counted(settings.epochs, "epoch", "epochs")
    if planned := planned_by_time(run):
        length += f" ({planned})"
    shape = "x".join(map(str, plan.shape))
    samples = shape
    if data is not None:
        each_pass = counted(run.training.order.batches_per_epoch, "batch", "batches")
        number = counted(len(data), "sample", "samples")
        source = composition.slots["data"][0]
        samples = f"{number} of {shape} from {source}, {each_pass} in a pass over the data"
    networks = []
    memory = 0.0
    for role in ROLES:
        weights = sum(weight.numel() for weight in gan.player(role).parameters)
        memory += weights * BYTES_PER_WEIGHT / 2**20
        name = composition.slots["gen" if role == "generator" else "critic"][0]
        networks.append(f"{role} {name} with {weights:,} weights")
    sizes = f"({memory:,.0f} MiB with gradients and two moments)"
    return [
        f"run {run.folder}: {length} of batches of {settings.batch}, on {gan.device}",
        f"  {samples}; {', '.join(networks)} {sizes}",
    ]


def planned_by_time(run: Run) -> str:
    """Return how `--minutes` led to the length of a run; empty where it was given otherwise."""
    origin = run.composition.origins.get("run.steps", "")
    return origin if origin.startswith("--minutes") else ""


def stop_by_signal(run: Run) -> Signals:
    """Let the first signal end the run after its current step, and the next one end it at once.

    In a run of several processes the launcher decides when to end it at once: the system and the
    launcher send each process the same signal, at any distance.
    """

    def stop(number: int) -> None:
        run.stop_after_step = True

    on_repeat = (lambda _: None) if run.group.size > 1 else None
    signals = Signals(on_first=stop, on_repeat=on_repeat)
    signals.__enter__()  # never left: the process ends with the run
    return signals

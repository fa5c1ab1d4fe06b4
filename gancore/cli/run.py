"""`gan run`: compose, check, train."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.choices import layer_of_words, once, refuse_downloads, slot_flags
from gancore.cli.console import say, tell
from gancore.cli.cost import cost_said
from gancore.cli.signals import Signals
from gancore.cli.stall import stall_watch
from gancore.errors import UsageError
from gancore.plugins.component import options_of
from gancore.plugins.slots import LISTS
from gancore.recipe.options import show
from gancore.recipe.settings import Settings
from gancore.recipe.toml import Layer
from gancore.run import directory

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition
    from gancore.run.session import Run

SLOT_HELP = {
    "data": "Data set by name, or a path to files of your own.",
    "gen": "Generator.",
    "critic": "Critic.",
    "upsample": "How the generator doubles its maps.",
    "gen-norm": "Norm of the generator.",
    "critic-norm": "Norm of the critic.",
    "loss": "Loss.",
    "gen-optim": "Optimiser of the generator.",
    "critic-optim": "Optimiser of the critic.",
    "schedule": "Which player is updated when.",
    "latent": "Law of the latent.",
    "init": "Initial weights.",
    "norm": "Norm of both players.",
    "optim": "Optimiser of both players.",
    "cond": "Conditioning on labels; repeat for several.",
    "reg": "Regularizer or trick, by name or ./file.py; repeat for several.",
    "metric": "Metric; repeat for several.",
    "track": "Tracker or picture; repeat for several.",
    "without": "Leave out a component that a recipe or another component asks for.",
}

PLACE = click.Path(path_type=Path)
VARIANT_HELP = {
    "small": "Take the recipe at the size that a laptop trains in minutes.",
    "compat": "Take the recipe as its source had it, faults included.",
}


class SettingFlag(click.Option):
    """The flag of a setting, whose help shows what a run without any flag takes."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return flag and help, with the value of the default recipe where that has one."""
        from gancore.recipe.compose import default_layers

        name = self.opts[0].removeprefix("--")
        given = [layer.options["run"][name] for layer in default_layers() if name in layer.options.get("run", {})]
        if given:
            help_text = options_of(Settings)[name].help
            self.help = f"{help_text} [{show(given[-1].value)}]"
        return super().get_help_record(ctx)


def with_slots(command: Callable[..., Any], leave_out: Sequence[str] = ()) -> Callable[..., Any]:
    """Give a command one flag a slot and one a setting."""
    for name, option in reversed([each for each in options_of(Settings).items() if each[0] not in leave_out]):
        default = show(option.default)
        if option.type is bool:
            command = click.option(f"--{name}", is_flag=True, default=None, help=option.help)(command)
            continue
        metavar, text = "N" if option.type is int else "TEXT", f"{option.help} [{default}]"
        flag = click.option(f"--{name}", cls=SettingFlag, metavar=metavar, multiple=True, callback=once, help=text)
        command = flag(command)
    for slot in reversed(slot_flags()):
        callback = None if slot in LISTS else once
        command = click.option(f"--{slot}", metavar="NAME", multiple=True, callback=callback, help=SLOT_HELP[slot])(
            command
        )
    return command


def with_variants(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one flag a variant of a recipe."""
    for name, text in reversed(VARIANT_HELP.items()):
        command = click.option(f"--{name}", is_flag=True, help=text)(command)
    return command


def variants_of(**wanted: bool) -> list[str]:
    """List the variants whose flags were given."""
    return [name for name, given in wanted.items() if given]


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True}, add_help_option=False
)
@with_slots
@click.option(
    "--recipe", metavar="NAME|FILE", multiple=True, callback=once, help="Start from a recipe; flags override it."
)
@with_variants
@click.option(
    "--out", metavar="DIR", type=PLACE, multiple=True, callback=once, help="Where to write the run. [runs/GEN-LOSS-K]"
)
@click.option("--resume", metavar="DIR", type=PLACE, multiple=True, callback=once, help="Go on with the run in DIR.")
@click.option("--overwrite", is_flag=True, help="Where --out holds something, move it aside to OUT.old-1 first.")
@click.option("--accept-changed-data", is_flag=True, help="With --resume: go on although the data are not the same.")
@click.option(
    "--stall-timeout",
    metavar="SECONDS",
    type=click.IntRange(0),
    default=600,
    show_default=True,
    help="End a run in which no step ends for so long; 0 never does.",
)
@click.option("--nproc", metavar="N", type=click.IntRange(1), default=1, help="Share each batch among N processes. [1]")
@click.option("--dry-run", is_flag=True, help="Print the resolved composition, build it, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
@click.option(
    "-h", "--help", "wants_help", is_flag=True, help="Show this page, and the options of the chosen components."
)
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
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
    nproc: int,
    dry_run: bool,
    as_json: bool,
    wants_help: bool,
    extra: tuple[str, ...],
    **given: Any,
) -> None:
    """Train a GAN composed of the chosen components.

    With no option at all it trains on an embedded data set. Options of components are given as
    `--component.option value`, e.g. `--my-trick.weight 0.2`; `gan plugins NAME` lists them.
    """
    words = layer_of_words(given, extra)
    if wants_help:
        show_help(context, words)
        return
    from gancore.hardware.startup import prepare_process

    prepare_process()
    if resume is not None:
        if recipe is not None or small or compat or out is not None or overwrite or dry_run:
            what = "--resume goes with none of --recipe, --small, --compat, --out, --overwrite, --dry-run"
            raise UsageError(what, fix="leave them out")
        directory.expect(resume)
        directory.refuse_in_use(resume)
    else:
        composition = compose_words(words, recipe, variants_of(small=small, compat=compat))
        if dry_run:
            from gancore.cli.dry_run import show_composition

            show_composition(composition, as_json)
            return
        if nproc > 1:
            from gancore.cli.nproc import expect_run

            expect_run(composition, out, overwrite, nproc)
    if nproc > 1:
        from gancore.cli.nproc import launch

        sys.exit(launch(nproc, context.find_root().obj))
    with redirect_stdout(sys.stderr):  # what components print must not mix with the result
        if resume is not None:
            begun = take_up(resume, words, accept_changed_data)
        else:
            begun = begin(composition, words, out, overwrite)
    with_run(begun, as_json, stall_timeout)


def begin(composition: Composition, words: Layer, out: Path | None, overwrite: bool) -> Run:
    """Start a run; where torchrun starts its processes again after one was lost, take it up."""
    from gancore.distributed.launch import restarts
    from gancore.recipe.compose import may_run
    from gancore.run.session import Run

    if out is not None and restarts() and (out / directory.RECIPE).exists():
        return Run.resume(out, files=may_run(words))
    return Run.start(composition, out, overwrite=overwrite)


def take_up(folder: Path, words: Layer, changed_data: bool) -> Run:
    """Resume a run with the settings of a command line."""
    from gancore.recipe.compose import may_run
    from gancore.run.session import Run

    return Run.resume(folder, [words], may_run(words), changed_data=changed_data)


def compose_words(words: Layer, recipe: str | None, variants: Sequence[str] = ()) -> Composition:
    """Resolve the command line over a recipe and its variants. Raises UsageError for variants of nothing."""
    from gancore.recipe.compose import may_run, recipe_layers, resolve

    if recipe is None and variants:
        raise UsageError(f"--{variants[0]} belongs to a recipe", where=f"--{variants[0]}", fix="--recipe NAME")
    layers = recipe_layers(recipe, variants) if recipe is not None else []
    composition = resolve([*layers, words], may_run(words))
    refuse_downloads(composition.recipe(), words)
    return composition


def show_help(context: click.Context, words: Layer) -> None:
    """Print the page, and below it the options of the components that were chosen on the command line."""
    click.echo(context.get_help())
    if not words.slots:
        return
    from gancore.cli.plugins import describe_options

    for each in compose_words(words, None).chosen:
        if each.chosen_by.startswith("--"):
            tell(f"\n{each.name}:")
            declared: Any = type(each.component)
            describe_options(each.name, options_of(declared))


def with_run(run: Run, as_json: bool, stall_timeout: int) -> None:
    """Train a run to its end, telling how it goes; a signal ends it after the step, saved."""
    from gancore.run.display import shown, with_notes

    first = run.training.step
    signals = stop_by_signal(run)
    row: dict[str, Any] = {}

    settings = run.composition.settings
    if run.group.size > 1:
        from gancore.cli.nproc import end_with_launcher

        end_with_launcher(run)
    say(f"run {run.folder}: {describe(run)}")
    with redirect_stdout(sys.stderr), stall_watch(run, stall_timeout), cost_said(run):
        for made in with_notes(run, shown(run)):
            row = row if made is None else made
    if signals.caught:
        if (stopped := run.folder / "samples" / "stopped.png").exists():
            say(f"samples in {stopped}, figures in {run.folder / 'metrics.jsonl'}")
        shared = f" --nproc {run.group.size}" if run.group.size > 1 else ""
        say(f"stopped at step {run.training.step}, saved; go on with: gan run --resume {run.folder}{shared}")
        sys.exit(128 + signals.caught[0])
    samples = run.folder / "samples" / "final.png"
    if as_json and run.group.is_main:
        click.echo(json.dumps({"run": str(run.folder), "samples": str(samples), "seed": settings.seed, "last": row}))
    last = run.training.step
    done = f"done: {last} steps" if last > first or not first else f"nothing was trained: the run is at {run.position}"
    say(f"{done}; samples in {samples}, figures in {run.folder / 'metrics.jsonl'}")


def describe(run: Run) -> str:
    """Say in one line what a run is made of."""
    gan, context = run.training.context.gan, run.training.context
    count = {role: sum(weight.numel() for weight in gan.player(role).parameters) for role in ("generator", "critic")}
    shape = "x".join(map(str, context.plan.shape))
    images = f"{len(context.data):,} samples of {shape}" if context.data is not None else shape
    memory = sum(count.values()) * 16 / 2**20  # float32 weight, gradient, two moments
    settings = run.composition.settings
    length = f"{settings.epochs:,} epochs" if settings.epochs else f"{settings.steps:,} steps"
    return (
        f"{length} of batches of {settings.batch}; {images}, "
        f"generator {count['generator']:,} and critic {count['critic']:,} weights "
        f"({memory:,.0f} MiB with gradients and two moments), {gan.device}"
    )


def stop_by_signal(run: Run) -> Signals:
    """Let the first signal end the run after its step. A later one ends it at once, unless its launcher decides that.

    Several processes are sent the same signal by the system and by their launcher, at any distance.
    """

    def stop(number: int) -> None:
        run.stop_after_step = True

    signals = Signals(on_first=stop, on_repeat=(lambda _: None) if run.group.size > 1 else None)
    signals.__enter__()  # for the rest of the process, which ends with the run
    return signals

"""`gan study`: compare arms with a baseline over paired seeds, by one figure fixed beforehand."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from gancore.cli.choices import layer_of_words, once, refuse_downloads
from gancore.cli.composition import split_argument
from gancore.cli.console import clean, note, say, tell
from gancore.cli.executors import PROCESS, executor_flags, find_executor
from gancore.cli.flags import (
    FOLDER,
    component_options,
    composition_flags,
    flag_names,
    folder_flag,
    json_flag,
    variant_flags,
    variants_of,
)
from gancore.cli.sweep import make_sweep_folder, train_trials
from gancore.errors import GanError, UsageError
from gancore.recipe import lookup
from gancore.recipe.data_path import path_as_data
from gancore.recipe.toml import Layer

if TYPE_CHECKING:
    from gancore.tools.study import Design
    from gancore.tools.sweep import Trial

Arms = dict[str, list[Layer]]
OWN_FLAGS = (  # that are no choices of a run
    "arm", "ablate", "aa", "figure", "better", "scale", "last", "seeds", "secondary", "plan", "sd",
    "pilot", "small", "compat",
)  # fmt: skip


@click.command(
    short_help="Compare arms with a baseline over paired seeds, by one figure.",
    context_settings={"ignore_unknown_options": True},
)
@composition_flags(leave_out=("seed",))
@click.argument("recipe", required=False)
@click.option(
    "--arm",
    metavar='NAME="FLAGS"',
    multiple=True,
    help="An arm, and the flags in which it differs from the baseline. Repeatable.",
)
@click.option("--ablate", is_flag=True, help="One arm without each component in turn.")
@click.option("--aa", is_flag=True, help="Compare the baseline with itself, on other seeds.")
@click.option(
    "--figure",
    metavar="NAME",
    multiple=True,
    callback=once,
    help="The one figure that is tested, as the log of a run names it: METRIC/NAME.",
)
@click.option("--better", type=click.Choice(["less", "more"]), help="Which of it is better. [less]")
@click.option(
    "--scale",
    type=click.Choice(["log", "linear"]),
    help="Compare logarithms or the figure itself. [log for a ratio or distance]",
)
@click.option(
    "--last",
    metavar="K",
    type=click.IntRange(1),
    help="Evaluations at the end of a run whose mean is its score. [5]",
)
@click.option(
    "--seeds",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Pairs of runs, seeds 0 to N - 1. [8]",
)
@click.option(
    "--secondary",
    metavar="A,B",
    multiple=True,
    callback=once,
    help="Figures to show, without a test.",
)
@click.option("--plan", is_flag=True, help="Print what N seeds can find, and run nothing.")
@click.option(
    "--sd",
    metavar="X",
    type=click.FloatRange(0, min_open=True),
    help="With --plan: standard deviation of paired differences, of logarithms on a log scale.",
)
@click.option(
    "--pilot",
    metavar="DIR",
    type=FOLDER,
    help="With --plan: the folder of a study or sweep to take it from.",
)
@executor_flags
@variant_flags
@folder_flag("--out", "Folder of the study. [runs/study-RECIPE]")
@json_flag
@component_options
def study(
    recipe: str | None,
    jobs: int,
    executor: str | None,
    out: Path | None,
    as_json: bool,
    extra: tuple[str, ...],
    **given: Any,
) -> None:
    """Train arms with the same seeds as a baseline, and say what the pairs show: no more.

    The baseline is RECIPE with the flags of `gan run`. The arms are those of its `[study]` table,
    of --arm, or of --ablate. Arms, seeds, figure and how it is read are fixed in DIR before the
    first run; a change of any makes another study. DIR gets a run for each arm and seed,
    `study.md`, `study.json` and `study.png`, when all runs have ended. To continue a study that was
    interrupted, repeat the command.
    """
    recipe, extra = split_argument(recipe, extra)
    own = {name: given.pop(name) for name in OWN_FLAGS}
    words = layer_of_words(given, extra, flag_names(), "gan study")
    _refuse_seed(words)
    arms, design, files = find_arms(recipe, words, own)
    if own["plan"]:
        print_plan(design, own["sd"], own["pilot"])
        return
    from gancore.tools import study as tools
    from gancore.tools.sweep import plan_trials

    open_executor = find_executor(executor or PROCESS)
    folder = out or Path("runs") / f"study-{Path(recipe or 'arms').stem}"
    # the words of the command line lie below the arms already, which may change them
    nothing = Layer("command line")
    shifts = {tools.AGAIN: design.seeds} if own["aa"] else {}
    trials = plan_trials(arms, nothing, design.seeds, folder, files, shifts)
    for trial in trials:
        refuse_downloads(trial.recipe, words)
    content = start_study(folder, design, trials)
    if text := tools.out_of_reach(design):
        note(text)
    failures = train_trials(trials, open_executor(jobs), jobs)
    write_study(folder, _title(recipe), design, trials, failures, content, as_json)


# ── arms ──────────────────────────────────────────────────────────────────────────────────────────


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@composition_flags(leave_out=("seed",))
@component_options
def arm_flags(extra: tuple[str, ...], **given: Any) -> Layer:
    """Read the flags of one arm."""
    return layer_of_words(given, extra, flag_names(), "--arm")


def _title(recipe: str | None) -> str:
    """Return the first line of the recipe, or its name."""
    if recipe is None:
        return "Study"
    return lookup.recipe_chain(recipe)[-1].summary or Path(recipe).stem


def _refuse_seed(layer: Layer) -> None:
    if "seed" in layer.options.get("run", {}):
        raise UsageError("a study sets the seeds of its runs", where=layer.origin, fix="--seeds N")


def find_arms(
    recipe: str | None, words: Layer, own: Mapping[str, Any]
) -> tuple[Arms, Design, Callable[[str], bool]]:
    """Return the layers of each arm, the design, and which component files may be run.

    The words of the command line hold for every arm, below what the arm itself changes.
    """
    from gancore.recipe.compose import may_run, recipe_layers
    from gancore.tools import study as tools

    variants = variants_of(small=own["small"], compat=own["compat"])
    table = _table_of(recipe, own)
    base = recipe_layers(recipe, variants) if recipe is not None else []
    arms, against = tools.read_arms(table, [*base, words], variants)
    of_user = [words]
    for word in own["arm"]:
        name, layer = _read_arm(word)
        if name in arms:
            raise UsageError(f"arm {name} is given twice", where="--arm", fix="another name")
        arms[name] = [*arms[tools.BASELINE], layer]
        of_user.append(layer)
    tests = list(map(may_run, of_user))

    def files(name: str) -> bool:
        return any(test(name) for test in tests)

    if own["ablate"]:
        arms |= _ablated(arms[tools.BASELINE], files)
    if own["aa"]:
        arms[tools.AGAIN] = arms[tools.BASELINE]
    return arms, tools.make_design(table, list(arms), against), files


def _table_of(recipe: str | None, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `[study]` table of a recipe, over which the flags win."""
    table = dict(lookup.recipe_chain(recipe)[-1].study) if recipe is not None else {}
    for key in ("figure", "better", "scale", "last", "seeds"):
        if own[key] is not None:
            table[key] = own[key]
    if own["secondary"]:
        table["secondary"] = own["secondary"].split(",")
    return table


def _read_arm(word: str) -> tuple[str, Layer]:
    """Read `NAME=FLAGS`. Raises UsageError."""
    from gancore.tools.sweep.arms import ARM_ORIGIN

    name, _, flags = word.partition("=")
    where = f"--arm {word}"
    try:
        words = shlex.split(flags)
    except ValueError as error:  # a quote without its end
        raise UsageError(f"the flags of arm {name} cannot be read: {error}", where=where) from None
    if not name or not words:
        raise UsageError(f"{word!r} is no arm", where=where, fix='--arm NAME="--reg REGULARIZER"')
    try:
        layer: Layer = arm_flags.main(args=words, prog_name="--arm", standalone_mode=False)
    except GanError as error:
        raise UsageError(error.what, where=where, fix=error.fix) from None
    _refuse_seed(evolve(layer, origin=where))
    return name, path_as_data(evolve(layer, origin=f"{ARM_ORIGIN}{name}"))


def _ablated(base: Sequence[Layer], files: Callable[[str], bool]) -> Arms:
    """Return one arm for each component that can be left out, with a note for those that cannot."""
    from gancore.recipe.compose import resolve
    from gancore.tools import study as tools

    arms: Arms = {}
    for name, layer in tools.ablation_arms(resolve(base, files)).items():
        layers = [*base, layer]
        try:
            # with a layer above, as a trial has: the last one may not choose what it leaves out
            resolve([*layers, Layer("seed")], files)
        except GanError as error:
            note(f"no arm {name}, which cannot be composed: {error.what}")
        else:
            arms[name] = layers
    return arms


# ── planning ──────────────────────────────────────────────────────────────────────────────────────


def print_plan(design: Design, sd: float | None, pilot: Path | None) -> None:
    """Print what numbers of seeds can find. Raises UsageError without a deviation."""
    from gancore.tools import study as tools

    if sd is None and pilot is None:
        what = "a plan needs to know how much paired differences vary"
        raise UsageError(what, where="--plan", fix="--pilot DIR of a study or sweep, or --sd X")
    if sd is None:
        assert pilot is not None
        sd = tools.deviation_of_pilot(pilot, design.figure, design.scale)
    tell("\n".join(tools.plan_lines(design, sd)))


# ── folder and report ─────────────────────────────────────────────────────────────────────────────


def start_study(folder: Path, design: Design, trials: Sequence[Trial]) -> dict[str, Any]:
    """Fix a study in its folder before the first run; return what `study.json` holds.

    Raises UsageError where the folder holds another study.
    """
    from gancore.tools import study as tools

    fixed = tools.contents_of(design, trials)
    make_sweep_folder(folder)
    tools.refuse_another(folder, fixed)
    content = {
        "id": tools.study_id(fixed),
        "design": fixed,
        "settings": {trial.arm: _setting_of(trial) for trial in trials},
        "circumstances": _circumstances(),
    }
    if not (folder / tools.STUDY).exists():
        _write_json(folder, content)
    return content


def _write_json(folder: Path, content: Mapping[str, Any]) -> None:
    from gancore.run import atomic
    from gancore.tools import study as tools

    atomic.replace(folder / tools.STUDY, (json.dumps(content, indent=1) + "\n").encode())


def _setting_of(trial: Trial) -> str:
    """Return data and length of a run in words."""
    run = trial.recipe["run"]
    length = f"{run['epochs']} epochs" if run.get("epochs") else f"{run['steps']} steps"
    return f"{trial.recipe['data']}, {length} of batch {run['batch']}"


def _circumstances() -> dict[str, str]:
    return {
        "gancore": version("gancore"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def write_study(
    folder: Path,
    title: str,
    design: Design,
    trials: Sequence[Trial],
    failures: Mapping[Path, str],
    content: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Write `study.md`, `study.json` and `study.png`, and print the table and the sentences."""
    from gancore.run import atomic
    from gancore.run.pictures import save_picture
    from gancore.tools import study as tools

    arms = tools.score_arms(design, trials, failures)
    comparisons = tools.compare_arms(design, arms)
    whole = {**content, "results": tools.results_as_json(arms, comparisons)}
    text = tools.study_as_markdown(title, content, design, arms, comparisons)
    atomic.replace(folder / "study.md", text.encode())
    _write_json(folder, whole)
    save_picture(tools.study_picture(design, arms, comparisons), folder / "study.png")
    for line in (json.dumps(whole) if as_json else text).splitlines():
        click.echo(clean(line))
    say(f"done: table in {folder / 'study.md'}, pairs in {folder / 'study.png'}")

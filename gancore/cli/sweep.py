"""`gan sweep`: train a run with something varied, over several seeds, and compare the results."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from gancore.cli.choices import layer_of_words, once, refuse_downloads
from gancore.cli.composition import split_argument
from gancore.cli.console import clean, note, say
from gancore.cli.executors import PROCESS, executor_flags, find_executor
from gancore.cli.flags import (
    component_options,
    composition_flags,
    flag_names,
    folder_flag,
    json_flag,
    variant_flags,
    variants_of,
)
from gancore.cli.signals import Signals
from gancore.errors import UsageError
from gancore.progressbar import duration
from gancore.recipe import lookup
from gancore.recipe.data_path import path_as_data

if TYPE_CHECKING:
    from gancore.tools.claims import Claim, FiguresByArm
    from gancore.tools.sweep import Trial


@click.command(
    short_help="Compare variants of a run over several seeds.",
    context_settings={"ignore_unknown_options": True},
)
@composition_flags()
@click.argument("recipe", required=False)
@click.option(
    "--vary",
    metavar="KEY=A,B",
    multiple=True,
    help="Vary a slot, a setting or a component.option. Repeat to try every combination.",
)
@click.option(
    "--seeds",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Number of seeds per arm, 0 to N - 1. [the recipe's, or 3]",
)
@executor_flags
@click.option(
    "--figures",
    metavar="A,B",
    multiple=True,
    callback=once,
    help="Columns of the table. [the recipe's, or every metric]",
)
@variant_flags
@folder_flag("--out", "Folder of the sweep. [runs/sweep-RECIPE]")
@json_flag
@component_options
def sweep(
    recipe: str | None,
    vary: tuple[str, ...],
    seeds: int | None,
    jobs: int,
    executor: str | None,
    figures: str | None,
    small: bool,
    compat: bool,
    out: Path | None,
    as_json: bool,
    extra: tuple[str, ...],
    **given: Any,
) -> None:
    """Train every arm of a sweep with the same seeds, and compare the results in one table.

    The arms are those of RECIPE, or one for each combination of the --vary values. Flags of
    `gan run` apply to all arms. DIR gets a run for each arm and seed, `sweep.md`, `sweep.json` and
    `comparison.png`. To continue a sweep that was interrupted, repeat the command.
    """
    recipe, extra = split_argument(recipe, extra)
    from gancore.recipe.compose import may_run, recipe_layers
    from gancore.tools import sweep as tools
    from gancore.tools.claims import read_claims

    words = layer_of_words(given, extra, flag_names(), "gan sweep")
    open_executor = find_executor(executor or PROCESS)
    variants = variants_of(small=small, compat=compat)
    base = recipe_layers(recipe, variants) if recipe is not None else []
    table: Mapping[str, Any] = {}
    if vary:
        arms = tools.arms_of_words(vary, base, words)
        for name, layers in arms.items():
            # `--vary data=./a,./b` finds its readers as `--data ./a` does
            arms[name] = list(map(path_as_data, layers))
    elif recipe is not None:
        table = lookup.recipe_chain(recipe)[-1].sweep
        arms = tools.arms_of_recipe(table, base, variants)
    else:
        raise UsageError("nothing is varied", fix="gan sweep RECIPE, or --vary KEY=A,B")
    claims = read_claims(table, list(arms))
    folder = out or Path("runs") / f"sweep-{Path(recipe or 'vary').stem}"
    count = seeds or int(table.get("seeds", 3))
    trials = tools.plan_trials(arms, words, count, folder, may_run(words))
    # each trial, before the first is trained: an arm's own recipe may download something too
    for trial in trials:
        refuse_downloads(trial.recipe, words)
    make_sweep_folder(folder)
    failures = train_trials(trials, open_executor(jobs), jobs)
    wanted = figures.split(",") if figures else list(table.get("figures", []))
    write_report(folder, recipe, trials, failures, wanted, claims, as_json)


def make_sweep_folder(folder: Path) -> None:
    """Make the folder of a sweep. Raises UsageError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{folder} cannot be created: {error.strerror}"
        raise UsageError(what, where="--out", fix="name another folder") from None


class Stopped(KeyboardInterrupt):  # no Exception, so that no `except Exception` on its way holds it
    """A signal asked the sweep to end."""


def train_trials(
    trials: Sequence[Trial], executor: AbstractContextManager[Executor], jobs: int
) -> dict[Path, str]:
    """Train the trials and print a line about each; return why some failed, by folder.

    A signal ends the process with that signal's exit code, and says how to continue.
    """
    from gancore.tools.sweep import train_all

    failures = {}
    with Signals(on_first=_raise_stopped) as signals, Forecast(trials) as forecast:
        try:
            with executor as pool, closing(train_all(trials, pool, jobs)) as outcomes:
                for number, (trial, failure) in enumerate(outcomes, 1):
                    outcome = f"{failure or 'done'}{forecast.left()}"
                    say(f"{number}/{len(trials)}  {trial.arm}, seed {trial.seed}: {outcome}")
                    if failure:
                        failures[trial.folder] = failure
        # only here, when the executor has been closed and its processes have ended
        except Stopped:
            say("stopped; what has been saved is kept: repeat the command to continue")
            sys.exit(128 + signals.caught[0])
    return failures


def _raise_stopped(number: int) -> None:
    raise Stopped


class Forecast:
    """Prints from time to time how much of a sweep is done and how long the rest will take."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        # what an interrupted sweep had done before tells nothing about the speed of this one
        self.before = self.shares()
        threading.Thread(target=self._print_lines, name="sweep forecast", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()

    def shares(self) -> list[float]:
        """Return how much of each run is done, from 0 to 1."""
        from gancore.tools.sweep import share_of

        return [share_of(trial) for trial in self.trials]

    def left(self) -> str:
        """Return e.g. `  12 min left`; '' if that is unknown or nothing is left."""
        from gancore.tools.sweep import time_left

        seconds = time_left(self.before, self.shares(), time.monotonic() - self.began)
        return f"  {duration(seconds)} left" if seconds else ""

    def _print_lines(self) -> None:
        from gancore.run.display import PAUSE, RARER

        # the longer a sweep takes, the rarer the lines
        while not self.over.wait(max(PAUSE, (time.monotonic() - self.began) / RARER)):
            shares = self.shares()
            if left := self.left():
                say(f"{sum(shares) / len(shares):.0%} of {len(shares)} runs{left}")


def write_report(
    folder: Path,
    recipe: str | None,
    trials: Sequence[Trial],
    failures: Mapping[Path, str],
    figures: Sequence[str],
    claims: Sequence[Claim],
    as_json: bool,
) -> None:
    """Write `sweep.md`, `sweep.json` and `comparison.png`, and print the table."""
    from gancore.run import atomic
    from gancore.run.pictures import save_picture
    from gancore.tools.claims import claim_as_json, claim_as_line, judge_claims
    from gancore.tools.sweep import comparison_picture, tabulate

    table = tabulate(trials, failures)
    logged = logged_figures(table)
    for figure in dict.fromkeys([*figures, *(claim.figure for claim in claims)]):
        if figure not in logged:
            known = ", ".join(logged) or "none"
            note(f"no run has logged the figure {figure!r}; there are {known}")
    lines = [f"# {recipe or 'sweep'}", ""]
    lines += markdown(table, shown_figures(figures, logged), trials, failures)
    lines.append("")
    verdicts = []
    for claim, verdict in zip(claims, judge_claims(claims, table), strict=True):
        lines.append(claim_as_line(claim, verdict))
        verdicts.append(claim_as_json(claim, verdict))
    text = "\n".join(lines) + "\n"
    by_arm = {}
    for arm, seeds in table.items():
        by_arm[arm] = {str(seed): dict(row) for seed, row in seeds.items()}
    content = {
        "recipe": recipe,
        "figures": by_arm,
        "failures": {str(path): why for path, why in failures.items()},
        "claims": verdicts,
    }
    markdown_file = folder / "sweep.md"
    picture_file = folder / "comparison.png"
    atomic.replace(markdown_file, text.encode())
    atomic.replace(folder / "sweep.json", (json.dumps(content, indent=1) + "\n").encode())
    save_picture(comparison_picture(trials), picture_file)
    for line in (json.dumps(content) if as_json else text).splitlines():
        click.echo(clean(line))
    say(f"done: table in {markdown_file}, samples side by side in {picture_file}")


def logged_figures(table: FiguresByArm) -> list[str]:
    """Return the names of all figures that a run of the sweep has logged."""
    names: dict[str, None] = {}
    for seeds in table.values():
        for row in seeds.values():
            names |= dict.fromkeys(row)
    return list(names)


def shown_figures(wanted: Sequence[str], logged: Iterable[str]) -> list[str]:
    """Return the columns of the table: the speed, then the wanted figures or every metric."""
    pace = "seconds/step"
    if pace in wanted:
        return list(wanted)
    if wanted:
        return [pace, *wanted]
    metrics = list(logged)
    if pace in metrics:
        metrics.remove(pace)
    # losses and gradient norms of the two players are no metrics
    players = ("critic/", "generator/")
    return [pace, *(name for name in metrics if not name.startswith(players))]


def markdown(
    table: FiguresByArm,
    figures: Sequence[str],
    trials: Sequence[Trial],
    failures: Mapping[Path, str],
) -> list[str]:
    """Return the lines of the table: an arm per row, mean ± standard deviation over its seeds."""
    lines = [f"| arm | seeds | {' | '.join(figures)} |"]
    lines.append("| --- | --- |" + " --- |" * len(figures))
    for arm, seeds in table.items():
        count = f"{len(seeds)}"
        folders = [trial.folder for trial in trials if trial.arm == arm]
        failed = [folder for folder in folders if folder in failures]
        if failed:
            # one reason, to keep the row short; `sweep.json` has all
            count += f" ({len(failed)} failed: {failures[failed[0]]})"
        cells = [cell_of(figure, seeds) for figure in figures]
        lines.append(f"| {arm} | {count} | {' | '.join(cells)} |")
    return lines


def cell_of(figure: str, seeds: Mapping[int, Mapping[str, float]]) -> str:
    """Format mean ± standard deviation of a figure over the seeds that have it."""
    from gancore.tools.sweep import mean_and_deviation

    # a seed that failed early, or a metric that was not due, leaves none
    values = [row[figure] for row in seeds.values() if figure in row]
    if not values:
        return "–"
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.4g}" if len(values) == 1 else f"{mean:.4g} ± {deviation:.2g}"

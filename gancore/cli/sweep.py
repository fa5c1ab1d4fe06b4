"""`gan sweep`: the same run with something varied, over several seeds, in one table and one picture."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from gancore.cli.choices import layer_of_words, once, path_as_data, refuse_downloads
from gancore.cli.console import clean, note, say
from gancore.cli.executors import PROCESS, find_executor
from gancore.cli.run import PLACE, variants_of, with_slots, with_variants
from gancore.cli.signals import Signals
from gancore.errors import UsageError
from gancore.recipe import lookup

if TYPE_CHECKING:
    from gancore.tools.claims import Claim
    from gancore.tools.sweep import Trial

OWN_FLAGS = ("vary", "seeds", "jobs", "executor", "figures", "small", "compat", "out", "json", "help")
Table = Mapping[str, Mapping[int, Mapping[str, float]]]


@click.command(context_settings={"ignore_unknown_options": True})
@with_slots
@click.argument("recipe", required=False)
@click.option(
    "--vary", metavar="KEY=A,B", multiple=True, help="Vary a slot, a setting or component.option; repeat for a grid."
)
@click.option(
    "--seeds", metavar="N", type=click.IntRange(1, 1000), help="Seeds of each arm, 0 to N - 1. [the recipe's, or 3]"
)
@click.option("--jobs", metavar="N", type=click.IntRange(1), default=1, show_default=True, help="Runs at once.")
@click.option(
    "--executor",
    metavar="NAME[:ADDRESS]",
    multiple=True,
    callback=once,
    help=f"What trains the runs: {PROCESS}, or an engine that a plugin publishes. [{PROCESS}]",
)
@click.option(
    "--figures",
    metavar="A,B",
    multiple=True,
    callback=once,
    help="Figures of the table. [the recipe's, or all measured]",
)
@with_variants
@click.option(
    "--out", metavar="DIR", type=PLACE, multiple=True, callback=once, help="Where to write. [runs/sweep-RECIPE]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON on stdout.")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
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
    """Train every arm of RECIPE, or of --vary, with the same seeds, and set their figures beside each other.

    Any flag of `gan run` holds for all arms. A sweep that was interrupted goes on where it stopped when the same
    command is given again. DIR gets a run for each arm and seed, `sweep.md`, `sweep.json` and `comparison.png`.
    """
    if recipe is not None and recipe.startswith("--"):  # `gan sweep --vary A=1,2 --my-trick.weight 2` names no recipe
        extra = (recipe, *extra)
        recipe = None
    from gancore.recipe.compose import may_run, recipe_layers
    from gancore.tools import claims as claiming
    from gancore.tools import sweep as sweeps

    words = layer_of_words(given, extra, OWN_FLAGS, "gan sweep")
    open_executor = find_executor(executor or PROCESS)
    variants = variants_of(small=small, compat=compat)
    base = recipe_layers(recipe, variants) if recipe is not None else []
    table = lookup.recipe_chain(recipe)[-1].sweep if recipe is not None else {}
    if vary:
        arms, table = sweeps.arms_of_words(vary, base, words), {}
        arms = {name: [path_as_data(layer) for layer in layers] for name, layers in arms.items()}
    elif recipe is None:
        raise UsageError("nothing is varied", fix="gan sweep RECIPE, or --vary KEY=A,B")
    else:
        arms = sweeps.arms_of_recipe(table, base, variants)
    claims = claiming.read_claims(table, list(arms))
    folder = out or Path("runs") / f"sweep-{Path(recipe or 'vary').stem}"
    trials = sweeps.plan_trials(arms, words, seeds or int(table.get("seeds", 3)), folder, may_run(words))
    for trial in trials:
        refuse_downloads(trial.recipe, words)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}", where="--out", fix="name a folder") from None
    failures = carry_out(trials, open_executor(jobs), jobs)
    wanted = figures.split(",") if figures else list(table.get("figures", []))
    report(folder, recipe, trials, failures, wanted, claims, as_json)


class Stopped(KeyboardInterrupt):
    """A signal asked the sweep to end."""


def carry_out(trials: Sequence[Trial], executor: AbstractContextManager[Executor], jobs: int) -> dict[Path, str]:
    """Train the trials in an engine, telling of each; return why some failed, by folder.

    A signal ends the sweep with the words to go on, and the exit code of that signal.
    """
    from gancore.tools.sweep import train_all

    failures = {}
    with Signals(on_first=_stop) as signals, Forecast(trials) as forecast:
        try:
            with executor as pool, closing(train_all(trials, pool, jobs)) as outcomes:
                for number, (trial, failure) in enumerate(outcomes, 1):
                    left = forecast.left()
                    say(f"{number}/{len(trials)}  {trial.arm}, seed {trial.seed}: {failure or 'done'}{left}")
                    if failure:
                        failures[trial.folder] = failure
        except Stopped:
            say("stopped; what is saved stays: give the same command again to go on")
            sys.exit(128 + signals.caught[0])
    return failures


def _stop(number: int) -> None:
    raise Stopped


class Forecast:
    """Says now and then how much of a sweep is done and how long it will take, while its runs are trained."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        self.before = self.shares()
        threading.Thread(target=self._tell, name="sweep forecast", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()

    def shares(self) -> list[float]:
        """Return how much of each run is done."""
        from gancore.tools.sweep import share_of

        return [share_of(trial) for trial in self.trials]

    def left(self) -> str:
        """Return the words for the time left, nothing where it is not known or nothing is left."""
        from gancore.run.display import duration
        from gancore.tools.sweep import time_left

        seconds = time_left(self.before, self.shares(), time.monotonic() - self.began)
        return f"  {duration(seconds)} left" if seconds else ""

    def _tell(self) -> None:
        from gancore.run.display import PAUSE, RARER

        while not self.over.wait(max(PAUSE, (time.monotonic() - self.began) / RARER)):
            shares = self.shares()
            if left := self.left():
                say(f"{sum(shares) / len(shares):.0%} of {len(shares)} runs{left}")


def report(
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
    from gancore.tools.claims import as_json as claim_as_json
    from gancore.tools.claims import judge, line_of
    from gancore.tools.sweep import compare, tabulate

    table = tabulate(trials, failures)
    found = list(dict.fromkeys(key for seeds in table.values() for row in seeds.values() for key in row))
    measured = [key for key in found if not key.startswith(("critic/", "generator/"))]
    shown = [
        *(["seconds/step"] if "seconds/step" not in figures else []),
        *(figures or [k for k in measured if k != "seconds/step"]),
    ]
    for figure in {*figures, *(claim.figure for claim in claims)} - set(found):
        note(f"no run has a figure {figure!r}; there are {', '.join(found) or 'none'}")
    verdicts = list(zip(claims, judge(claims, table), strict=True))
    lines = [f"# {recipe or 'sweep'}", "", *markdown(table, shown, trials, failures), ""]
    lines += [line_of(claim, verdict) for claim, verdict in verdicts]
    text = "\n".join(lines) + "\n"
    content = {
        "recipe": recipe,
        "figures": {arm: {str(seed): dict(row) for seed, row in seeds.items()} for arm, seeds in table.items()},
        "failures": {str(path): why for path, why in failures.items()},
        "claims": [claim_as_json(claim, verdict) for claim, verdict in verdicts],
    }
    atomic.replace(folder / "sweep.md", text.encode())
    atomic.replace(folder / "sweep.json", (json.dumps(content, indent=1) + "\n").encode())
    save_picture(compare(trials), folder / "comparison.png")
    for line in (json.dumps(content) if as_json else text).splitlines():
        click.echo(clean(line))
    say(f"done: table in {folder / 'sweep.md'}, samples side by side in {folder / 'comparison.png'}")


def markdown(table: Table, figures: Sequence[str], trials: Sequence[Trial], failures: Mapping[Path, str]) -> list[str]:
    """Write the table: an arm a row, mean ± standard deviation over the seeds that finished."""
    from gancore.tools.sweep import spread

    lines = ["| arm | seeds | " + " | ".join(figures) + " |", "| --- | --- |" + " --- |" * len(figures)]
    for arm, seeds in table.items():
        cells = []
        for figure in figures:
            values = [row[figure] for row in seeds.values() if figure in row]
            mean, deviation = spread(values) if values else (float("nan"), float("nan"))
            cells.append("–" if not values else f"{mean:.4g}" + (f" ± {deviation:.2g}" if len(values) > 1 else ""))
        failed = [trial for trial in trials if trial.arm == arm and trial.folder in failures]
        count = f"{len(seeds)}" + (f" ({len(failed)} failed: {failures[failed[0].folder]})" if failed else "")
        lines.append(f"| {arm} | {count} | " + " | ".join(cells) + " |")
    return lines

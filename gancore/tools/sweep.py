"""A sweep: one composition with something varied, each arm over the same seeds, side by side in one table."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen
from PIL import Image, ImageDraw

from gancore.errors import GanError, UsageError
from gancore.plugins.slots import SLOTS, WITHOUT, filled_by, holds_several, hyphened
from gancore.process.standard_streams import keep_streams
from gancore.recipe.compose import Composition, recipe_layers, resolve
from gancore.recipe.options import Given, Text
from gancore.recipe.settings import RESUMABLE
from gancore.recipe.toml import Layer, layer_of, read_recipe
from gancore.run import directory
from gancore.run.directory import Row, rows_in
from gancore.run.loop import Run

LENGTH = {"steps", "epochs"}
OF_AN_ARM = ("arm ", "--vary ")  # how the origins of layers that vary begin
MOST_SEEDS = 1000
LAST = 5  # values of a figure that are averaged into its final one: a single evaluation is too noisy
FINISHED = Path("samples") / "final.png"  # the last thing a run writes
THUMB = 320  # pixels a side in the comparison picture
SINGLE_PROCESS = (
    threading.Lock()
)  # a run has its process to itself: torch's settings and random numbers are the process's


@frozen
class Trial:
    """One arm with one seed: its folder and its resolved recipe."""

    arm: str
    seed: int
    folder: Path
    recipe: Mapping[str, Any]


# ── arms ──────────────────────────────────────────────────────────────────────────────────────────────────────


def arms_of_recipe(sweep: Mapping[str, Any], base: Sequence[Layer], variants: Sequence[str]) -> dict[str, list[Layer]]:
    """Return the layers of each arm of a `[sweep]` table: the recipe it extends, the sweep's own layers, its changes.

    Raises UsageError for a table without arms, or arms that are no tables.
    """
    arms = sweep.get("arms")
    if not isinstance(arms, dict) or not arms or not all(isinstance(arm, dict) for arm in arms.values()):
        raise UsageError("the recipe has no [sweep.arms.NAME] table", fix="name a sweep, or --vary KEY=A,B")
    forms = {"arms": dict, "seeds": int, "figures": list, "claims": list}
    for key, value in sweep.items():
        if key not in forms or not isinstance(value, forms[key]):
            known = ", ".join(f"{name} ({form.__name__})" for name, form in forms.items())
            raise UsageError(f"sweep.{key} is {value!r}, which no sweep knows", fix=f"one of {known}")
    if not 1 <= sweep.get("seeds", 1) <= MOST_SEEDS or not all(
        isinstance(each, str) for each in sweep.get("figures", [])
    ):
        fix = f"seeds = 1 to {MOST_SEEDS}, figures = names"
        raise UsageError("the sweep's seeds or figures are none", where="[sweep]", fix=fix)
    if wrong := [name for name, arm in arms.items() if not isinstance(arm.get("extends", ""), str)]:
        raise UsageError(f"arm {wrong[0]} extends no name", where=f"[sweep.arms.{wrong[0]}]", fix='extends = "NAME"')
    found = {}
    for name, content in arms.items():
        own = {key: value for key, value in content.items() if key != "extends"}
        below = recipe_layers(content["extends"], variants) if "extends" in content else []
        found[name] = [*below, *base, layer_of(f"arm {name}", own)]
    return found


def arms_of_words(vary: Sequence[str], base: Sequence[Layer], words: Layer) -> dict[str, list[Layer]]:
    """Return the layers of each arm of `KEY=A,B` words: every combination of their values.

    KEY is a slot, a setting or `component.option`; several components for one slot are joined by `+`, none is `none`.
    What base and words chose for such a slot gives way. Values that hold commas are parted by semicolons. Raises
    UsageError for a word without values, or a key that is given twice.
    """
    choices = []
    keys = [hyphened(word.partition("=")[0]) for word in vary]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise UsageError(f"{twice.pop()} is varied twice", where="--vary", fix="give all its values at once")
    for word in vary:
        key, _, values = word.partition("=")
        key = hyphened(key)
        parts = values.split(";" if ";" in values else ",")
        if not key or not all(parts):
            raise UsageError(f"{word!r} varies nothing", where=f"--vary {word}", fix="--vary KEY=A,B")
        choices.append([(key, value) for value in parts])
    return {
        ",".join(f"{key}={value}" for key, value in combination): [
            *base,
            *(_varied(*each, [*base, words]) for each in combination),
        ]
        for combination in itertools.product(*choices)
    }


def _varied(key: str, value: str, base: Sequence[Layer]) -> Layer:
    where = f"--vary {key}={value}"
    table, dot, name = key.rpartition(".")
    if holds_several(key):
        names = [] if value == "none" else [hyphened(each) for each in value.split("+")]
        gone = [each for layer in base for each in layer.names(key) if each not in names]
        return Layer(where, {key: Given(names, where), **({WITHOUT: Given(gone, where)} if gone else {})})
    if key in SLOTS:
        return Layer(where, {slot: Given(value, where) for slot in filled_by(key)})
    return Layer(where, {}, {table if dot else "run": {name: Given(Text(value), where)}})


def plan_trials(
    arms: Mapping[str, Sequence[Layer]], words: Layer, seeds: int, out: Path, files: Callable[[str], bool]
) -> list[Trial]:
    """Resolve every arm with every seed before any is trained.

    Raises UsageError and CompositionError, and UsageError where a folder holds another run, where two arms are one and
    the same, and for words that would undo what varies.
    """
    trials: list[Trial] = []
    _expect_free(arms, words)
    for (name, layers), seed in itertools.product(arms.items(), range(seeds)):
        seeded = Layer("seed", {}, {"run": {"seed": Given(seed, f"seed {seed}")}})
        recipe = resolve([*layers, words, seeded], files).recipe()
        folder = out / re.sub(r"[^\w.,=+-]", "_", name) / f"seed-{seed}"
        if (folder / directory.RECIPE).exists():
            _expect_same(folder, recipe)
        twins = [each.arm for each in trials if each.seed == seed and each.recipe == recipe]
        if twins:
            raise UsageError(f"arms {twins[0]} and {name} are the same run", fix="give each a change of its own")
        trials.append(Trial(name, seed, folder, recipe))
    return trials


def _expect_free(arms: Mapping[str, Sequence[Layer]], words: Layer) -> None:
    own = {name: [each for each in layers if each.origin.startswith(OF_AN_ARM)] for name, layers in arms.items()}
    for layer in [words, *itertools.chain.from_iterable(own.values())]:
        if "seed" in layer.options.get("run", {}):
            raise UsageError("a sweep counts its seeds itself", where=layer.origin, fix="--seeds N")
    for name, layer in ((name, layer) for name, layers in own.items() for layer in layers):
        both = [slot for slot in layer.slots if slot in words.slots and not holds_several(slot)]
        for table, options in layer.options.items():
            both += [f"{table}.{key}" for key in options if key in words.options.get(table, {})]
        if both:
            what = f"{both[0]} is what arm {name} varies, and a flag would make all arms alike"
            raise UsageError(what, where=words.origin, fix="leave the flag out")


def _expect_same(folder: Path, recipe: Mapping[str, Any]) -> None:
    there, wanted = _fixed(read_recipe(folder / directory.RECIPE).layer), _fixed(layer_of("", recipe))
    for table, key in [place for place in {**there, **wanted} if there.get(place) != wanted.get(place)]:
        what = f"[{table}] differs" if table else f"{key} differs"
        raise UsageError(f"{folder} holds another run: {what}", where="--out", fix="another --out")


def _fixed(layer: Layer) -> dict[tuple[str, str], Any]:
    """List by (table, key) what a run that goes on may not change; a sweep's runs keep their length too."""
    free = RESUMABLE - LENGTH
    options = {(table, key): given.value for table, each in layer.options.items() for key, given in each.items()}
    chosen = {("", slot): given.value for slot, given in layer.slots.items()}
    return {place: value for place, value in (chosen | options).items() if place[0] != "run" or place[1] not in free}


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────


def end_with_parent(parent: int) -> None:
    """End this process, which trains for `parent`, at Ctrl-C and soon after that is gone: nobody would read the answer.

    Nothing is lost: a checkpoint is there whole or not at all, and the sweep goes on from it.
    """
    keep_streams()
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def train(folder: str, recipe: Mapping[str, Any]) -> str:
    """Train one run to its end, from where it stands; return why it failed, or nothing.

    It was planned on a machine that may be another: what is not here as it was there is told with this one's name.
    """
    with SINGLE_PROCESS:
        try:
            composition = _composed_here(folder, recipe)
            if (Path(folder) / directory.RECIPE).exists():
                Run.resume(folder, files=lambda _: True).fit(progress=False)
            else:
                Run.start(composition, folder).fit(progress=False)
        except GanError as error:
            return error.what
    return ""


def _composed_here(folder: str, recipe: Mapping[str, Any]) -> Composition:
    here, above = socket.gethostname(), Path(folder).parent
    if not above.is_dir():
        raise UsageError(f"{here} sees no folder {above}: all machines must share it", where=folder)
    try:
        return resolve([layer_of(folder, recipe)], exact=True)
    except GanError as error:
        raise UsageError(f"{here} cannot compose the run: {error.what}", where=error.where, fix=error.fix) from error


def train_all(trials: Sequence[Trial], executor: Executor, jobs: int = 1) -> Generator[tuple[Trial, str]]:
    """Train what is not finished, `jobs` runs at once; yield each trial with '' or why it failed, finished ones first.

    The executor is given no run before it is that one's turn: what waits in a worker that dies would die with it.
    """
    finished = [trial for trial in trials if (trial.folder / FINISHED).exists()]
    yield from ((trial, "") for trial in finished)
    queue = (trial for trial in trials if trial not in finished)
    waiting: dict[Future[str], Trial] = {}
    try:
        while True:
            for trial in islice(queue, jobs - len(waiting)):
                waiting[_submit(trial, executor)] = trial
            if not waiting:
                return
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield (trial := waiting.pop(done)), _failure_of(done, trial)
    finally:
        for each in waiting:
            each.cancel()


def share_of(trial: Trial) -> float:
    """How much of a run of a sweep is done, from 0 to 1, by the newest row that it wrote."""
    if (trial.folder / FINISHED).exists():
        return 1.0
    row = directory.last_row(trial.folder) or {}
    settings = trial.recipe["run"]
    if settings.get("epochs"):
        return min(1.0, float(row.get("epoch", 0)) / int(settings["epochs"]))
    return min(1.0, float(row.get("step", 0)) / max(1, int(settings["steps"])))


def time_left(before: Sequence[float], now: Sequence[float], seconds: float) -> float | None:
    """Estimate the seconds left from the shares of all runs, `seconds` ago and now; None where none has moved."""
    done = sum(now) - sum(before)
    return seconds * (len(now) - sum(now)) / done if done > 0 else None


def _submit(trial: Trial, executor: Executor) -> Future[str]:
    trial.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        return executor.submit(train, str(trial.folder.absolute()), dict(trial.recipe))
    except Exception as error:  # a pool whose process died takes nothing more, nor does an engine that is gone
        failed: Future[str] = Future()
        failed.set_exception(error)
        return failed


def _failure_of(done: Future[str], trial: Trial) -> str:
    try:
        failure = done.result()
    except CancelledError:
        return "its executor gave it up, and may be gone"
    except GanError as error:  # of the executor
        return error.what
    except Exception as error:  # the process died: out of memory, or killed
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    lost = f"{trial.folder} was trained where it is not seen from here: all machines must share it"
    return failure or ("" if _is_finished(trial.folder) else lost)


def _is_finished(folder: Path) -> bool:
    """Look for the last file that a run writes, folder by folder: a network drive looks anew at what is listed."""
    place = folder.parent
    for name in (folder.name, *FINISHED.parts):
        if name not in os.listdir(place):
            return False
        place /= name
    return True


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────


def final_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Average the last values of every figure, and take the median seconds of a step.

    Rows of a resumed run count only against the row before them in the same process.
    """
    timed = [row for row in rows if "seconds" in row]
    pairs = [(a, b) for a, b in itertools.pairwise(timed) if b["seconds"] > a["seconds"] and b["step"] > a["step"]]
    paces = [(b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairs]
    figures = {"seconds/step": statistics.median(paces)} if paces else {}
    for key in dict.fromkeys(key for row in rows for key in row if "/" in key):
        last = [row[key] for row in rows if key in row][-LAST:]
        figures[key] = sum(value / len(last) for value in last)  # no sum of huge values overflows
    return figures


def tabulate(trials: Sequence[Trial], failures: Mapping[Path, str]) -> dict[str, dict[int, dict[str, float]]]:
    """Return the final figures by arm and seed; failed runs are left out."""
    table: dict[str, dict[int, dict[str, float]]] = {trial.arm: {} for trial in trials}
    for trial in trials:
        if trial.folder not in failures and (trial.folder / directory.METRICS).exists():
            rows = rows_in(trial.folder / directory.METRICS)
            table[trial.arm] |= {trial.seed: final_figures(rows)} if rows else {}
    return table


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (divisor n - 1; nan for one value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


# ── the picture ───────────────────────────────────────────────────────────────────────────────────────────────


def compare(trials: Sequence[Trial]) -> Image.Image:
    """Lay out the final samples: a row an arm, a column a seed; what failed stays white."""
    arms, seeds = list(dict.fromkeys(each.arm for each in trials)), sorted({each.seed for each in trials})
    label, gap = 18, 6
    sheet = Image.new("RGB", (len(seeds) * (THUMB + gap) + gap, len(arms) * (THUMB + gap + label) + gap), "white")
    pen = ImageDraw.Draw(sheet)
    for trial in trials:
        left, top = gap + seeds.index(trial.seed) * (THUMB + gap), gap + arms.index(trial.arm) * (THUMB + gap + label)
        pen.text((left, top), f"{trial.arm}   seed {trial.seed}", fill="black", font_size=13)
        if (trial.folder / FINISHED).exists():
            with Image.open(trial.folder / FINISHED) as picture:
                shown = picture.convert("RGB")
            shown.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
            sheet.paste(shown, (left, top + label))
    return sheet

"""Plans the trials of a sweep, one for each arm and seed, and trains those that are missing."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from gancore.errors import GanError, UsageError
from gancore.plugins.slots import holds_several
from gancore.recipe.compose import resolve
from gancore.recipe.options import Given
from gancore.recipe.settings import RESUMABLE
from gancore.recipe.toml import Layer, layer_of, read_recipe
from gancore.run import directory
from gancore.tools.sweep.arms import ARM_ORIGIN, VARY_ORIGIN
from gancore.tools.sweep.worker import train_trial

FINISHED = Path("samples") / "final.png"  # the last file that a run writes


@frozen
class Trial:
    """One arm with one seed: its folder and its resolved recipe."""

    arm: str
    seed: int
    folder: Path
    recipe: Mapping[str, Any]


# ── planning ──────────────────────────────────────────────────────────────────────────────────────


def plan_trials(
    arms: Mapping[str, Sequence[Layer]],
    words: Layer,
    seeds: int,
    out: Path,
    files: Callable[[str], bool],
    shifts: Mapping[str, int] | None = None,
) -> list[Trial]:
    """Resolve every arm with every seed, before any of them is trained.

    `files` says which component files may be executed. `shifts` are added to the seeds of an arm's
    runs, while its trials and folders keep their numbers. Raises UsageError and CompositionError
    for arms that cannot be composed, and UsageError if a folder holds another run, if two arms are
    the same run, and if `words` override what an arm varies.
    """
    _check_overrides(arms, words)
    trials: list[Trial] = []
    for (name, layers), seed in itertools.product(arms.items(), range(seeds)):
        own = seed + (shifts or {}).get(name, 0)
        seeded = Layer("seed", {}, {"run": {"seed": Given(own, f"seed {own}")}})
        recipe = resolve([*layers, words, seeded], files).recipe()
        folder = out / re.sub(r"[^\w.,=+-]", "_", name) / f"seed-{seed}"
        if (folder / directory.RECIPE).exists():
            _check_same_run(folder, recipe)
        for each in trials:
            if each.seed == seed and each.recipe == recipe:
                what = f"arms {each.arm} and {name} are the same run"
                raise UsageError(what, fix="give each a change of its own")
        trials.append(Trial(name, seed, folder, recipe))
    return trials


def _check_overrides(arms: Mapping[str, Sequence[Layer]], words: Layer) -> None:
    """Raise UsageError if the seed is set, or if `words` set something that an arm varies."""
    for name, layers in arms.items():
        varying = [each for each in layers if each.origin.startswith((ARM_ORIGIN, VARY_ORIGIN))]
        for layer in [words, *varying]:
            if "seed" in layer.options.get("run", {}):
                what = "a sweep sets the seeds of its runs"
                raise UsageError(what, where=layer.origin, fix="--seeds N")
        for layer in varying:
            if both := [*_set_by_both(layer, words)]:
                what = f"{both[0]} is varied by arm {name}, and a flag would make all arms the same"
                raise UsageError(what, where=words.origin, fix="leave the flag out")


def _set_by_both(one: Layer, other: Layer) -> Iterator[str]:
    for slot in one.slots:
        if slot in other.slots and not holds_several(slot):  # lists add up instead
            yield slot
    for table, options in one.options.items():
        for key in options:
            if key in other.options.get(table, {}):
                yield f"{table}.{key}"


def _check_same_run(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Raise UsageError unless the run in a folder is the one that a recipe describes."""
    there = _fixed_choices(read_recipe(folder / directory.RECIPE).layer)
    wanted = _fixed_choices(layer_of("", recipe))
    for table, key in {**there, **wanted}:
        if there.get((table, key)) != wanted.get((table, key)):
            what = f"[{table}] differs" if table else f"{key} differs"
            raise UsageError(
                f"{folder} holds another run: {what}", where="--out", fix="another --out"
            )


def _fixed_choices(layer: Layer) -> dict[tuple[str, str], Any]:
    """Return by (table, key) the choices of a run that may not change while it is resumed.

    Unlike other runs, those of a sweep may not change their length.
    """
    may_change = RESUMABLE - {"steps", "epochs"}
    found: dict[tuple[str, str], Any] = {}
    for slot, given in layer.slots.items():
        found["", slot] = given.value
    for table, options in layer.options.items():
        for key, given in options.items():
            if table != "run" or key not in may_change:
                found[table, key] = given.value
    return found


# ── training ──────────────────────────────────────────────────────────────────────────────────────


def train_all(
    trials: Sequence[Trial], executor: Executor, jobs: int = 1
) -> Generator[tuple[Trial, str]]:
    """Train the unfinished trials, `jobs` at a time; yield each trial with '' or why it failed.

    Finished trials come first. A trial is submitted only when it can start: trials that wait in a
    worker process would be lost with it.
    """
    finished = []
    unfinished = []
    for trial in trials:
        if (trial.folder / FINISHED).exists():
            finished.append(trial)
        else:
            unfinished.append(trial)
    for trial in finished:
        yield trial, ""
    queue = iter(unfinished)
    running: dict[Future[str], Trial] = {}
    try:
        while True:
            for trial in islice(queue, jobs - len(running)):
                running[_submit(trial, executor)] = trial
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                trial = running.pop(done)
                yield trial, _failure_of(done, trial)
    finally:
        # also when the caller stops asking, which closes this generator
        for each in running:
            each.cancel()


def _submit(trial: Trial, executor: Executor) -> Future[str]:
    trial.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        return executor.submit(train_trial, str(trial.folder.absolute()), dict(trial.recipe))
    except Exception as error:  # a pool that lost a process, or an executor that has gone away
        failed: Future[str] = Future()
        failed.set_exception(error)
        return failed


def _failure_of(done: Future[str], trial: Trial) -> str:
    try:
        failure = done.result()
    except CancelledError:
        return "its executor cancelled it, and may be gone"
    except GanError as error:  # from the executor
        return error.what
    except Exception as error:  # the process died: out of memory, or killed
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    if failure:
        return failure
    if not _is_finished(trial.folder):
        return f"{trial.folder} was trained but is not visible here: all machines must share it"
    return ""


def _is_finished(folder: Path) -> bool:
    """Return whether the last file that a run writes exists.

    Lists one folder after the other, because network file systems refresh what is listed.
    """
    place = folder.parent
    for name in (folder.name, *FINISHED.parts):
        if name not in os.listdir(place):
            return False
        place /= name
    return True


# ── progress ──────────────────────────────────────────────────────────────────────────────────────


def share_of(trial: Trial) -> float:
    """Return how much of a trial is done, from 0 to 1, according to its newest metrics row."""
    if (trial.folder / FINISHED).exists():
        return 1.0
    row = directory.last_row(trial.folder) or {}
    settings = trial.recipe["run"]
    if settings.get("epochs"):
        return min(1.0, float(row.get("epoch", 0)) / int(settings["epochs"]))
    # a run of 0 steps is one that is built and saved
    return min(1.0, float(row.get("step", 0)) / max(1, int(settings["steps"])))


def time_left(before: Sequence[float], now: Sequence[float], seconds: float) -> float | None:
    """Estimate the seconds left from the shares of all trials, `seconds` ago and now.

    Returns None if no trial has advanced.
    """
    done = sum(now) - sum(before)
    return seconds * (len(now) - sum(now)) / done if done > 0 else None

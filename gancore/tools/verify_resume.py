"""Whether a composition resumes exactly: one run in one go, one in two goes, and everything they
left compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from gancore.errors import GanError
from gancore.plugins.component import cached_fields
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.toml import layer_of
from gancore.run import directory
from gancore.run.checkpoint import reader, verified, writer
from gancore.run.directory import MetricsRow, rows_in
from gancore.run.loop import Run
from gancore.run.rows import Step
from gancore.tools.sweep.worker import start_worker, train_trial

CLOCK = ("seconds", "images_per_second")  # the only figures of a row that may differ
PICTURES = (".png", ".svg", ".gif")
MOST_NAMED = 3  # differing tensors, values, rows that are named


@frozen
class Verdict:
    """What two runs of one composition have in common.

    `differences` is empty where that is every bit.
    """

    steps: int
    tensors: int
    rows: int
    pictures: int
    device: str
    differences: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()  # components with fields that are not saved


def fit_until(run: Run, last: int) -> Run:
    """Train a run until after step number `last`, as a signal during that step would end it."""

    def stop(step: Step) -> None:
        run.stop_after_step = step.number >= last

    return run.fit(on_step=stop, progress=False)


def trial_recipe(composition: Composition, steps: int) -> dict[str, Any]:
    """Return the recipe of a trial of 2·steps, with rows and pictures in both halves."""
    settings = {"steps": 2 * steps, "epochs": 0, "save-every": 2 * steps, "log-every": 2}
    settings |= {"sample-every": steps // 2 + 1, "sample-epochs": 0}
    recipe = composition.recipe()
    return {**recipe, "run": {**recipe["run"], **settings}}


def verify(
    composition: Composition,
    steps: int,
    folder: Path,
    tell: Callable[[str], object] = lambda _: None,
) -> Verdict:
    """Train 2·steps at once, and steps, then the others in a fresh process; compare what they left.

    Both runs lie below `folder`. `tell` is called with what is done next. Raises GanError where
    one of the runs fails.
    """
    recipe = trial_recipe(composition, steps)
    whole = folder / "at-once" / "run"  # of one name, as pictures may bear the folder's
    parts = folder / "in-two-goes" / "run"
    tell(f"{steps} steps, to be interrupted")
    first = Run.start(resolve([layer_of("trial", recipe)], exact=True), parts)
    reached = fit_until(first, steps).training.step
    if reached < steps:
        raise GanError(
            f"the run ends by itself at step {reached}, before it could be interrupted",
            fix=f"--steps {max(1, reached // 2)}, or leave out what ends it",
        )
    tell(f"{steps} more in a fresh process")
    if failure := _go_on(parts, recipe):
        raise GanError(
            f"the interrupted run does not go on: {failure}", fix="`gan run --debug` shows more"
        )
    tell(f"{2 * steps} steps at once")
    Run.start(resolve([layer_of("trial", recipe)], exact=True), whole).fit(progress=False)
    last = writer.steps(whole / directory.CHECKPOINTS)[-1]
    return Verdict(
        steps,
        sum(map(len, reader.read(last).snapshot.files.values())),
        len(rows_in(whole / directory.METRICS)),
        len(pictures(whole)),
        first.training.context.gan.device.type,
        tuple(differences(whole, parts)),
        tuple(suspects(first.composition)),
    )


def _go_on(folder: Path, recipe: Mapping[str, Any]) -> str:
    # another number of threads may sum in another order, and give other bits
    alike = (os.getpid(), torch.get_num_threads())
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_settle, initargs=alike
    ) as pool:
        try:
            return pool.submit(train_trial, str(folder), recipe).result()
        except BrokenProcessPool as error:
            return str(error)


def _settle(parent: int, threads: int) -> None:
    start_worker(parent)
    torch.set_num_threads(threads)


def suspects(composition: Composition) -> list[str]:
    """Name the components that have `cached()` fields, which are not saved."""
    return [each.name for each in composition.chosen if cached_fields(type(each.component))]


# ── what two runs left ───────────────────────────────────────────────────────────────────────


def differences(whole: Path, parts: Path) -> list[str]:
    """Say what differs between two runs: newest checkpoint, rows apart from the clock, and every
    picture's bytes.
    """
    one = writer.steps(whole / directory.CHECKPOINTS)[-1]
    other = writer.steps(parts / directory.CHECKPOINTS)[-1]
    if one.name != other.name:
        return [f"one ends at {one.name}, the other at {other.name}"]
    expected = reader.read(one).snapshot
    found = reader.read(other).snapshot
    told = []
    for name, tensors in expected.files.items():
        if wrong := tensor_difference(tensors, found.files.get(name, {})):
            told.append(f"{name}.safetensors: {wrong}")
    if wrongs := value_differences(expected.state, found.state):
        told.append(f"{verified.STATE}: {_first_of(wrongs)}")
    rows = _untimed(rows_in(whole / directory.METRICS))
    if wrongs := value_differences(rows, _untimed(rows_in(parts / directory.METRICS))):
        told.append(f"{directory.METRICS}: {_first_of(wrongs)}")
    # the sums are the proof; what was compared before says where they differ, in words
    if not told and (one / verified.SUMS).read_bytes() != (other / verified.SUMS).read_bytes():
        told.append(f"{verified.SUMS} differs")
    return told + picture_differences(pictures(whole), pictures(parts))


def _first_of(differences: Sequence[str]) -> str:
    more = f" and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
    return f"{'; '.join(differences[:MOST_NAMED])}{more}"


def tensor_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say which tensors of one file differ and by how much at most, absolutely and relatively.

    '' for none.
    """
    names = _names_in_either(expected, found)
    wrong = [name for name in names if not _same_bits(expected.get(name), found.get(name))]
    if not wrong:
        return ""
    largest = relative = 0.0
    for name in wrong:
        if name not in expected or name not in found:
            continue
        one = expected[name].double()
        other = found[name].double()
        if one.shape != other.shape:
            continue
        gap = (one - other).abs().flatten()
        size = torch.maximum(one.abs(), other.abs()).flatten()
        largest = max(largest, float(gap.max()))
        # 0 / 0 is nan where both are 0, and no difference
        relative = max(relative, float((gap / size).nan_to_num().max()))
    shown = ", ".join(wrong[:MOST_NAMED]) + (", …" if len(wrong) > MOST_NAMED else "")
    most = f"by at most {largest:.3g}, and {relative:.3g} of a value"
    return f"{len(wrong)} of {len(names)} tensors differ, {most}: {shown}"


def _names_in_either(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names in the order of the first, and then those that the second alone has."""
    return list(dict.fromkeys((*expected, *found)))


def _same_bits(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    # as bytes: nan equals nan there, and 0.0 does not equal -0.0
    bytes_of_one = one.contiguous().flatten().view(torch.uint8)
    bytes_of_other = other.contiguous().flatten().view(torch.uint8)
    return torch.equal(bytes_of_one, bytes_of_other)


def value_differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """List where two JSON values differ, each as `path is X, not Y`, the second being expected."""
    told = []
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in _names_in_either(expected, found):
            place = f"{path}.{key}".lstrip(".")
            told += value_differences(expected.get(key), found.get(key), place)
    elif isinstance(expected, list) and isinstance(found, Sequence):
        if len(expected) != len(found):
            return [f"{path or 'it'} holds {len(found)}, not {len(expected)}"]
        for index, one in enumerate(expected):
            told += value_differences(one, found[index], f"{path}[{index}]")
    # 1 equals 1.0 and True, and is not the same in a file
    elif expected != found or type(expected) is not type(found):
        told.append(f"{path} is {found!r}, not {expected!r}")
    return told


def _untimed(rows: Sequence[MetricsRow]) -> list[MetricsRow]:
    untimed = []
    for row in rows:
        row = dict(row)
        for name in CLOCK:
            row.pop(name, None)
        untimed.append(row)
    return untimed


def pictures(folder: Path) -> dict[str, Path]:
    """Return every file of `samples/` and every picture of a run's folder, by its path in there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        # hidden files are temporary ones of a save that was cut off
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix in PICTURES or inner.parts[0] == "samples":
            found[inner.as_posix()] = path
    return found


def picture_differences(expected: Mapping[str, Path], found: Mapping[str, Path]) -> list[str]:
    """Say which pictures are missing, too many, or differ in any byte."""
    told = [f"{name} is missing" for name in expected if name not in found]
    told += [f"{name} should not be there" for name in found if name not in expected]
    for name, path in expected.items():
        if name in found and path.read_bytes() != found[name].read_bytes():
            told.append(f"{name} differs")
    return told

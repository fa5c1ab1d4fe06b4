"""The conformance kit: `check_component`, and the checks that it consists of."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from attrs import evolve
from torch import Tensor

from gancore.errors import PluginError
from gancore.guard.results import describe_value
from gancore.plugins.calling import Component, Hooks
from gancore.plugins.component import Option, cached_fields, info_of, options_of
from gancore.recipe.compose import option_values
from gancore.recipe.options import Given, read_options
from gancore.run.directory import RECIPE
from gancore.run.pictures import grid, save_picture
from gancore.testing.comparing import (
    assert_equal,
    capture,
    first_difference,
    restore,
    through_files,
)
from gancore.testing.faults import Fault
from gancore.testing.gradients import compare_gradients
from gancore.testing.processes import DEPENDS_ON_ROWS, compare_processes
from gancore.testing.stand_ins import StandIn, StandInLayers, StandInLoss, StandInReader
from gancore.testing.subject import Subject, leave_out
from gancore.testing.trainings import chosen_of, some_data, train
from gancore.testing.watching import CHANGES, WatchedHooks
from gancore.train.context import TrainingContext
from gancore.train.data import Data
from gancore.train.loop import Training
from gancore.train.progress import Progress
from gancore.train.sampling import draw_samples

STEPS = 3

# what a run calls between its steps, and what it only reads
RECORDS = frozenset({"measure", "record", "draw", "stop"})
READS = RECORDS | {"recognizes", "describe_data", "chosen_size"}
TERMS = frozenset({"critic_terms", "generator_terms"})

# Hooks of which only the first component's is called. A component that makes networks of its own
# need not ask for its own norm, say: without these hooks the stand-ins ask for it.
FIRST = frozenset(
    {"make_generator", "make_critic", "make_data", "schedule", "critic_terms", "generator_terms"}
)


def check_component(
    cls: type,
    *,
    data: Data | None = None,
    beside: Sequence[Any] = (),
    without: Sequence[str] = (),
    **options: Any,
) -> list[str]:
    """Check that a component keeps every rule; an AssertionError names the rule that it breaks.

    - `help`, `options`: its help is complete; its options are validated and survive TOML.
    - `training`: its hooks return the same for the same random numbers, keep shape and type, do not
      write into their inputs or change settings of the process; a view lets gradients pass; terms
      are finite and differentiable. It keeps nothing on its class or module, so two runs in one
      process are equal. A training resumed from files equals one that was never interrupted, bit
      for bit.
    - `records`: what it measures, records, draws and samples has the right type.
    - `calls`: each of its hooks was called in one of these trainings.
    - `name`: it works under another name than that of its class, as it may be published.
    - `logging`: measuring and recording changes no bit of the networks, and a component that only
      logs changes none at all, beside batch norm and layers that draw too.
    - `processes`: two processes that share each batch compute what one does.
    - `gradients`: the gradient of its terms is that of their values, by finite differences in
      float64.

    `beside` are further components that it requires, `options` those of its options that have no
    default that works, and `without` names checks to leave out: `without=["gradients"]` for a term
    that stops a gradient on purpose. Returns sentences about what could not be checked.
    """
    subject = Subject(cls, options, beside, data)
    unknown = [name for name in without if name not in CHECKS]
    if unknown:
        raise ValueError(f"there is no check {unknown[0]!r}; checks are {', '.join(CHECKS)}")
    for name in CHECKS:
        if name not in without:
            run_check(name, subject)
    return subject.skipped


def run_check(name: str, subject: Subject) -> None:
    """Run one check of `CHECKS`; an AssertionError names what is wrong."""
    try:
        CHECKS[name](subject)
    except PluginError as error:
        raise Fault.of(error) from error


def check_composes_with(
    component: type,
    others: Sequence[Any],
    *,
    data: Data | None = None,
    beside: Sequence[Any] = (),
    **options: Any,
) -> None:
    """Check a component beside each of the others, before it and after it in calling order.

    `others` are component classes, or functions that make a component. Each pair is trained as in
    `check_component`: every call is checked, a resumed training equals an uninterrupted one, the
    hooks beside the steps are called, and two processes compute what one does. An AssertionError
    names the pair.
    """
    for other in others:

        def both(other: Any = other) -> list[Any]:
            return [component(**options), other(), *beside]

        def both_reversed(other: Any = other) -> list[Any]:
            return [other(), component(**options), *beside]

        for make in (both, both_reversed):
            names = " before ".join(type(each).__name__ for each in make()[:2])
            try:
                check_records(_check_training(make, data=data))
                compare_processes(make, data)
            except (AssertionError, PluginError) as error:
                raise Fault(f"{names}: {error}") from error


# ── help and options ─────────────────────────────────────────────────────────────────────────────


def check_help(cls: type) -> None:
    """Check that a docstring, a source and the help of every option are there."""
    for fault in help_faults(cls):
        raise fault


def help_faults(cls: type) -> Iterator[Fault]:
    """Yield what is missing in the documentation of a component class."""
    name = cls.__name__
    if not info_of(cls).source.strip():
        yield Fault(f"{name} cites no source", fix='@component(source="Authors, venue and year")')
    first = (cls.__doc__ or "").partition("\n")[0]
    if not 0 < len(first) < 120:
        yield Fault(
            f"{name}: the first line of its docstring must hold 1 to 119 characters",
            fix="say in one line what the component does; `gan plugins` shows it",
        )
    for option_name, each in options_of(cls).items():
        if not each.help.strip():
            yield Fault(f"{name}.{option_name} has no help", fix='option(…, help="…")')


def check_options(cls: type, options: Mapping[str, Any]) -> None:
    """Check that options out of range are refused, and that TOML stores and restores the others."""
    for fault in option_faults(cls, options):
        raise fault


def option_faults(cls: type, options: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the options of a component class."""
    try:
        made = cls(**options)
    except ValueError as error:
        yield Fault(
            f"{cls.__name__} cannot be made with its defaults: {error}",
            fix="give each option a default in its range, or pass options to the check",
        )
        return
    for each in options_of(cls).values():
        for value in _out_of_range(each):
            try:
                cls(**{**options, each.name: value})
            except ValueError:
                continue
            yield Fault(
                f"{cls.__name__}.{each.name} takes {value!r}, though it must be {each.range}",
                fix="leave the range to option(…), and do not replace its validator",
            )
    written = option_values(Component("it", "test", made))
    given = {name: Given(value, "TOML") for name, value in written.items()}
    try:
        again = cls(**read_options("it", options_of(cls), given))
        kept = option_values(Component("it", "test", again)) == written
    except (ValueError, TypeError) as error:
        raise Fault(f"{cls.__name__} does not survive TOML: {error}") from error
    if not kept:
        yield Fault(
            f"{cls.__name__} does not survive TOML",
            fix="options are int, float, bool, str, a tuple of one of these, or any of them | None",
        )


def _out_of_range(each: Option) -> list[Any]:
    """Return a value beyond each bound of an option, and one that is no choice of it."""
    values: list[Any] = []
    for bound, step in ((each.ge, -1), (each.gt, -1), (each.le, 1), (each.lt, 1)):
        if bound is not None:
            values.append(bound + step)
    return [*values, "no such choice"] if each.choices else values


# ── training and resuming ────────────────────────────────────────────────────────────────────────


def check_exact_resume(
    make: Callable[[], Sequence[Any]], *, data: Data | None = None, steps: int = STEPS
) -> None:
    """Check that a resumed training equals one that was never interrupted, bit for bit.

    2·steps in one go are compared with steps, saved and loaded into new objects, and steps again;
    and with another run of 2·steps in the same process.
    """
    _check_training(make, data=data, steps=steps)


def _check_training(
    make: Callable[[], Sequence[Any]], *, data: Data | None = None, steps: int = STEPS
) -> Training:
    """Run `check_exact_resume` and return the training that was never interrupted."""
    try:
        whole = train(*make(), data=data, hooks=WatchedHooks)
        chosen = whole.context.hooks.chosen
        before = {each.name: cached_values(each.component) for each in chosen}
        figures = [whole.train_step() for _ in range(2 * steps)]
    except PluginError as error:
        raise Fault.of(error) from error
    for row in figures:
        for name, value in row.items():
            _refuse_not_finite(name, float(value))
    # first, because a resumed run would differ too, and its message would blame what is saved
    again = train(*make(), data=data)
    for _ in range(2 * steps):
        again.train_step()
    assert_equal(
        capture(whole),
        capture(again),
        "two runs in one process differ: something is kept on class or module",
    )
    first = train(*make(), data=data)
    for _ in range(steps):
        first.train_step()
    second = train(*make(), data=data)
    restore(second, through_files(capture(first)))
    for _ in range(steps):
        second.train_step()
    what = "a resumed run differs"
    for each in chosen:
        # a likely cause, and no fault as long as the runs are equal: the data's statistics, say
        for name in _changed(before[each.name], cached_values(each.component)):
            fault = f"changes {name} while training, which is cached() and so not saved"
            what += f"; {each.name} {fault}"
    assert_equal(capture(whole), capture(second), what)
    return whole


def _refuse_not_finite(name: str, value: float) -> None:
    if math.isfinite(value):
        return
    # `critic/my-trick/size` is a term of my-trick, in the critic's update
    role, _, rest = name.partition("/")
    hook = f"{role}_terms" if "/" in rest else ""
    raise Fault(f"{name} is {value}", hook=hook, fix="look for 0/0, log(0), √0 and large exponents")


def _check_training_of(subject: Subject) -> None:
    before = shared_data(subject.cls)
    subject.trained = _check_training(subject.make, data=subject.data)
    _note_calls(subject, subject.trained)
    changed = _changed(before, shared_data(subject.cls))
    if changed:
        raise Fault(
            f"{', '.join(changed)} changes while training, though all runs of a process share it",
            fix="declare a field of the component by state() or cached()",
        )


def _note_calls(subject: Subject, training: Training) -> None:
    hooks = training.context.hooks
    assert isinstance(hooks, WatchedHooks)
    subject.note(hooks.called, hooks.answered, hooks.changed)


def shared_data(cls: type) -> dict[str, str]:
    """Return the representations of the data on a class and its module, by name."""
    # not what is imported or defined there: only what can hold a value
    kinds = (bool, int, float, str, list, dict, set, bytearray, Tensor)
    found = {}
    for place in (cls, sys.modules[cls.__module__]):
        for name, value in vars(place).items():
            if not name.startswith("__") and isinstance(value, kinds):
                found[f"{place.__name__}.{name}"] = repr(value)
    return found


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names whose values are not what they were, or were not there."""
    return [name for name, value in now.items() if before.get(name) != value]


def cached_values(component: Any) -> dict[str, str]:
    """Return the representations of a component's `cached()` fields, by name."""
    return {name: repr(getattr(component, name, None)) for name in cached_fields(type(component))}


# ── what a run calls beside its steps ────────────────────────────────────────────────────────────


def check_records(training: Training) -> None:
    """Call every hook that a run calls beside its steps once, and check its results.

    `draw` is given the folder `samples` of a run whose `metrics.jsonl` has one row.
    """
    context = training.context
    before = capture(training)
    try:
        with TemporaryDirectory() as place:
            folder = make_run_folder(Path(place))
            _check_data_hooks(context.hooks, Path(place))
            _check_samples(context)
            call_records(training, folder)
            outside = [path.name for path in Path(place).iterdir() if path.name != "run"]
            if outside:
                raise Fault(
                    f"draw writes {', '.join(outside)} outside the run's folder",
                    fix='write into folder / "NAME"',
                    hook="draw",
                )
    except PluginError as error:
        raise Fault.of(error) from error
    found = first_difference(before, capture(training), ["generator", "critic"])
    if found:
        raise Fault(
            f"measuring or drawing changes {found}",
            fix="call a network inside `with gancore.fork_state(network, gan.device):`",
        )


def make_run_folder(place: Path) -> Path:
    """Make the folder of a run below `place`, and return that of its samples."""
    folder = place / "run" / "samples"
    folder.mkdir(parents=True)
    save_picture(grid(torch.zeros(1, 3, 8, 8)), folder / "final.png")
    (folder.parent / RECIPE).write_text("")
    return folder


def call_records(training: Training, folder: Path) -> None:
    """Call `measure`, `record`, `stop` and `draw` as a run does after a step; check the figures."""
    context = training.context
    row: dict[str, Any] = {
        "step": training.step,
        "epoch": training.epoch,
        "critic/total": 0.5,
        "generator/total": 0.5,
    }
    progress = Progress(context, training.step, training.epoch)
    row |= _measured(context, progress)
    (folder.parent / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    given = dict(row)
    for hook in ("record", "stop"):
        for each in context.hooks.implementations(hook):
            context.hooks.ask(each, hook, {"row": given, "folder": folder.parent})
            if given != row:
                raise Fault(
                    f"{each.chosen.name}.{hook} writes into the row, which all components share",
                    fix="work on a copy: dict(row)",
                )
    context.hooks.all("draw", progress=progress, folder=folder)


def _check_data_hooks(hooks: Hooks, place: Path) -> None:
    for path in (place / "run", place / "nothing-is-here", place / "file.unknown"):
        for name, fit in hooks.all("recognizes", path=path):
            if fit not in (0, 1, 2):
                raise Fault(f"{name}.recognizes gave {fit!r}, but 0, 1 or 2 is wanted")
    for each in hooks.implementations("recognizes"):
        reader: Any = type(each.chosen.component)
        if "path" not in options_of(reader):
            raise Fault(
                f"{each.chosen.name}.recognizes fits paths, but there is no option `path` to "
                "receive the one that the user gives",
                fix='path: str = option("", help="the file, or the folder, to read")',
            )
    for name, size in hooks.all("chosen_size"):
        if not isinstance(size, tuple) or [type(side) for side in size] != [int, int]:
            raise Fault(
                f"{name}.chosen_size gave {size!r}, which is no size",
                fix="return (height, width), or None",
            )
    for name, facts in hooks.all("describe_data"):
        try:
            json.dumps(facts, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Fault(
                f"{name}.describe_data gave what JSON cannot hold: {error}",
                fix="text, finite numbers, None, and lists and dicts of these",
            ) from error


def _check_samples(context: TrainingContext) -> None:
    if not any(map(context.hooks.any, ("sampling_generator", "select_samples"))):
        return
    images, labels = draw_samples(context, 4, "check")
    again, _ = draw_samples(context, 4, "check")
    hook = "select_samples" if context.hooks.any("select_samples") else "sampling_generator"
    if len(images) != len(labels) or len(labels) > 4:
        what = f"4 samples became {len(images)} with {len(labels)} rows of labels"
        raise Fault(what, fix="return the same rows of images, z and labels", hook=hook)
    if images.shape[1:] != context.plan.shape:
        what = f"samples are {list(images.shape[1:])}, not {list(context.plan.shape)}"
        raise Fault(what, fix="keep the shape of a sample", hook=hook)
    if not torch.equal(images, again):
        what = "sampling_generator or select_samples does not repeat itself"
        raise Fault(what, fix="draw from `rng`, and write nothing into fields", hook=hook)


def _measured(context: TrainingContext, progress: Progress) -> dict[str, float]:
    answers = context.hooks.all(
        "measure",
        progress=progress,
        rng=lambda name: context.streams.generator(f"component/{name}", progress.step, "measure"),
    )
    found: dict[str, float] = {}
    for name, figures in answers:
        for key, value in figures.items():
            label = f"{name}.measure: {key}"
            is_scalar = isinstance(value, Tensor) and value.dim() == 0
            if not is_scalar and not isinstance(value, int | float):
                raise Fault(f"{label} is {describe_value(value)}, but a number is wanted")
            if not math.isfinite(float(value)):
                raise Fault(
                    f"{label} is {float(value)}", fix="leave a figure out where it has no value"
                )
            found[f"{name}/{key}"] = float(value)
    return found


def _check_records_of(subject: Subject) -> None:
    training = subject.trained
    if training is None:
        training = train(*subject.make(), data=subject.data, hooks=WatchedHooks)
    check_records(training)
    _note_calls(subject, training)


# ── that every hook is called, and that logging changes nothing ──────────────────────────────────


def _check_calls(subject: Subject) -> None:
    """Check that each hook was called; where one was not, call it where the stand-ins lead."""
    missing = subject.hooks - subject.called
    if missing:
        shadowing = (FIRST & subject.hooks) - missing
        less = Subject(leave_out(subject.cls, shadowing), subject.options, subject.beside)
        try:
            training = train(
                *less.make(),
                StandInReader(),
                data=some_data(),
                stand_ins=[StandIn(dim=3), StandInLoss()],
                hooks=WatchedHooks,
            )
            training.train_step()
            check_records(training)
        except PluginError as error:
            raise Fault.of(error) from error
        _note_calls(subject, training)
    for hook in sorted(subject.hooks & CHANGES.keys() - subject.changed):
        subject.skipped.append(
            f"what {hook} does: it changed nothing in any call; give options with which it does"
        )
    missing = subject.hooks - subject.called
    if missing:
        name = sorted(missing)[0]
        raise Fault(
            f"{subject.name}.{name} is never called, so it is not checked",
            fix="pass data and components beside it that lead to its call: data=…, beside=[…]",
        )


def _check_name(subject: Subject) -> None:
    """Check that the component works under another name than that of its class."""
    made = chosen_of(subject.make()[0])
    renamed = evolve(made, name="published-under-another-name")
    training = train(renamed, *subject.beside, data=subject.data, hooks=WatchedHooks)
    try:
        training.train_step()
    except PluginError as error:
        raise Fault(
            f"under another name than that of its class {error.what}",
            where=error.where,
            fix="gancore.name_of(self) is the name that a component has in a composition",
        ) from error


def _check_logging(subject: Subject) -> None:
    """Check that what only reads changes no bit, beside layers that a stray pass changes."""
    if subject.hooks & RECORDS:
        with TemporaryDirectory() as place:
            folder = make_run_folder(Path(place))
            logged = _stepped(subject.make(), subject.data, lambda it: call_records(it, folder))
        plain = _stepped(subject.make(), subject.data)
        _refuse_difference(subject, plain, logged, "what it measures, records or draws")
    only_logs = subject.hooks <= READS | TERMS and not subject.answered & TERMS
    if only_logs and subject.hooks & TERMS:
        plain = _stepped(subject.make()[1:], subject.data)
        _refuse_difference(subject, plain, _stepped(subject.make(), subject.data), "what it logs")


def _stepped(
    components: Sequence[Any],
    data: Data | None,
    after: Callable[[Training], object] = lambda training: None,
) -> Training:
    training = train(*components, StandInLayers(), data=data)
    for _ in range(STEPS):
        training.train_step()
        after(training)
    return training


def _refuse_difference(subject: Subject, plain: Training, logged: Training, what: str) -> None:
    found = first_difference(capture(plain), capture(logged))
    if found:
        raise Fault(
            f"{subject.name} changes the training by {what} ({found})",
            fix="ask by batch.critic(…) and batch.generator(…), or call a network inside "
            "`with gancore.fork_state(network, gan.device):`",
            hook=next(iter(sorted(subject.hooks & (RECORDS | TERMS)))),
        )


def _check_processes(subject: Subject) -> None:
    if subject.hooks & DEPENDS_ON_ROWS:
        compare_processes(subject.make_apart, subject.data)


def _check_gradients(subject: Subject) -> None:
    if subject.answered & TERMS:
        subject.skipped += compare_gradients(subject.make, subject.data)


CHECKS: dict[str, Callable[[Subject], None]] = {
    "help": lambda subject: check_help(subject.cls),
    "options": lambda subject: check_options(subject.cls, subject.options),
    "training": _check_training_of,
    "records": _check_records_of,
    "calls": _check_calls,
    "name": _check_name,
    "logging": _check_logging,
    "processes": _check_processes,
    "gradients": _check_gradients,
}

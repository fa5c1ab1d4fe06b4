"""Everything that the checks find wrong with a component: not the first fault alone."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from gancore.errors import GanError, UsageError, did_you_mean
from gancore.plugins import loading
from gancore.plugins.component import collected_faults, kebab, options_of
from gancore.recipe.options import Given, read_options
from gancore.testing.checks import CHECKS, help_faults, option_faults, run_check
from gancore.testing.faults import Fault
from gancore.testing.subject import Subject, leave_out
from gancore.train.data import Data

# checks whose faults are listed one by one, without running them again
LISTED = ("help", "options")

# a method at fault in one of these would fail in every check that follows, for the same reason
FUNDAMENTAL = ("training", "records", "calls")


@frozen
class Findings:
    """What the checks say of one component: its faults, and what they could not check."""

    component: str
    faults: tuple[Fault, ...]
    skipped: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


def find_faults(
    cls: type,
    *,
    data: Data | None = None,
    beside: Sequence[Any] = (),
    broken: Iterable[str] = (),
    **options: Any,
) -> Findings:
    """Run every check of `check_component`, and go on after each fault.

    A method at fault is left out of the checks that follow, so that they say what else is wrong.
    `broken` are methods to leave out from the beginning.
    """
    skipped: list[str] = []
    faults = list(help_faults(cls))
    try:
        faults += option_faults(cls, options)
    except Exception as error:  # the class itself refuses to be made
        return Findings(kebab(cls.__name__), (*faults, as_fault(error, cls)), ("everything else",))
    examined = Subject(leave_out(cls, broken), options, beside, data)
    for name in CHECKS:
        if name not in LISTED:
            last = _run_through(name, examined, cls, faults)
            skipped += last.skipped
            if name in FUNDAMENTAL:
                examined = last
            examined.skipped = []
    # several checks may meet the same fault
    once = {each.what: each for each in reversed(faults)}
    placed = [placed_in(cls, once[what]) for what in dict.fromkeys(each.what for each in faults)]
    return Findings(kebab(cls.__name__), tuple(placed), tuple(dict.fromkeys(skipped)))


def _run_through(name: str, subject: Subject, cls: type, faults: list[Fault]) -> Subject:
    """Run one check until it passes or no single method is at fault; collect the faults.

    Returns the subject without the methods at fault.
    """
    while subject.hooks:
        try:
            run_check(name, subject)
            break
        except Exception as error:  # code of a plugin may raise anything
            fault = as_fault(error, cls)
        faults.append(fault)
        if fault.hook not in subject.hooks:
            break
        subject = subject.less(fault.hook)
    return subject


def find_faults_of_file(
    given: str, options: Mapping[str, Mapping[str, Given]] | None = None
) -> list[Findings]:
    """Find what is wrong with the components of `./file.py`, or with that of `./file.py:Class`.

    `options` are those of each component by its name. Raises UsageError for a missing file or
    class, and for an option that its component refuses. A file that cannot be imported has one
    finding.
    """
    path, _ = loading.split_file(given)
    with collected_faults() as definitions:
        try:
            classes = loading.load_classes(given)
        except GanError as error:
            if error.exit_code == 2:
                raise
            faults = [Fault.of(each) for each in (*definitions, error)]
            skipped = ("everything else, until the file can be imported",)
            return [Findings(path.name, tuple(faults), skipped)]
    if not classes:
        fault = Fault(
            f"{path.name} holds no component",
            where=str(path),
            fix='decorate a class with @component(source="…")',
        )
        return [Findings(path.name, (fault,), ())]
    chosen = options_of_classes(classes.values(), options or {})
    found = []
    for name, cls in classes.items():
        own = [Fault.of(each) for each in definitions if names_class(each.what, name)]
        broken = [each.what.partition(" ")[0].partition(".")[2] for each in own]
        rest = find_faults(cls, broken=filter(None, broken), **chosen[kebab(name)])
        known = {each.what for each in own}
        more = [each for each in rest.faults if each.what not in known]
        placed = [placed_in(cls, each) for each in (*own, *more)]
        found.append(Findings(rest.component, tuple(placed), rest.skipped))
    return found


def options_of_classes(
    classes: Iterable[type], given: Mapping[str, Mapping[str, Given]]
) -> dict[str, dict[str, Any]]:
    """Return the options of each class by its component's name, as arguments of the class.

    Raises UsageError for an option that its component refuses, or that is of no component here.
    """
    names = {kebab(each.__name__): each for each in classes}
    for table, options in given.items():
        if table not in names:
            first = next(iter(options.values()))
            fix = did_you_mean(table, names) or f"the file has {', '.join(names)}"
            raise UsageError(f"the file has no component {table!r}", where=first.where, fix=fix)
    return {
        name: read_options(name, options_of(each), given.get(name, {}))
        for name, each in names.items()
    }


def names_class(text: str, name: str) -> bool:
    """Return whether a message begins with the name of a class, or of a member of it."""
    return text.startswith((f"{name} ", f"{name}."))


def as_fault(error: Exception, cls: type) -> Fault:
    """Return any error as a fault: what is no rule of gancore's is named by its type."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, GanError):
        fault = Fault.of(error)
    elif isinstance(error, AssertionError):
        fault = Fault(str(error))
    else:
        fault = Fault(
            f"{type(error).__name__}: {error}",
            where=loading.last_line(error, {cls.__module__.partition(".")[0]}),
            fix="--debug shows the traceback",
        )
    fault.__cause__ = error
    return fault


def placed_in(cls: type, fault: Fault) -> Fault:
    """Return the fault with the line of the component's file that it concerns."""
    if ", line " in fault.where:
        return fault
    try:
        file = inspect.getsourcefile(cls) or ""
        line = line_of(file, cls.__name__, fault.hook or member_named_in(cls, fault.what))
    except (OSError, TypeError, SyntaxError):
        return fault
    place = f"{file}, line {line}"
    where = f"{place} ({fault.where})" if fault.where else place
    placed = Fault(fault.what, where=where, fix=fault.fix, hook=fault.hook)
    placed.__cause__ = fault.__cause__
    return placed


def member_named_in(cls: type, text: str) -> str:
    """Return the method or option that a message names as `Class.member`; '' if it names none."""
    head = text.partition(" ")[0].rstrip(":")
    owner, _, member = head.partition(".")
    return member.replace("-", "_") if owner == cls.__name__ else ""


def line_of(file: str, class_name: str, member: str) -> int:
    """Return the line of a member of a class, or of the class where it has no such member."""
    for node in ast.parse(Path(file).read_bytes()).body:
        if not isinstance(node, ast.ClassDef) or node.name != class_name:
            continue
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.name == member:
                return part.lineno
            if isinstance(part, ast.AnnAssign) and ast.unparse(part.target) == member:
                return part.lineno
        return node.lineno
    return 1

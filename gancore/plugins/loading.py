"""Import a component from an installed distribution or from a file."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gancore.errors import PluginError, UsageError
from gancore.plugins.component import INFO, kebab
from gancore.plugins.discovery import Row, refuse_other_gancore
from gancore.plugins.slots import FILE, KINDS


def load(row: Row) -> type:
    """Import a component's class. Raises PluginError naming its origin."""
    found = load_object(row)
    if not isinstance(found, type) or INFO not in vars(found):
        what = f"{row.name} is {found!r}, no component class"
        raise PluginError(what, where=row.origin, fix="decorate it with @component")
    return found


def load_object(row: Row) -> Any:
    """Import what a row names, with the output of its module on stderr.

    Raises PluginError naming its origin, UsageError where it is made for other versions of gancore.
    """
    refuse_other_gancore(row)
    module, _, attribute = row.object.partition(":")
    fix = f"fix or uninstall {row.distribution}"
    # commands are no part of a training, and need not wait for torch
    with _foreign(row.name, row.origin, module, fix, watched=row.kind in KINDS):
        return getattr(importlib.import_module(module), attribute)


@contextmanager
def _foreign(name: str, origin: str, module: str, fix: str, watched: bool = True) -> Iterator[None]:
    """Run the import of a plugin's module in this context.

    Raises PluginError for whatever it raises, with the line of the plugin that did. A `watched`
    import is refused where it changes the settings of the process.
    """
    try:
        guard = _importing(name, origin) if watched else contextlib.redirect_stdout(sys.stderr)
        with guard:
            yield
    except PluginError as error:
        where = error.where if origin in error.where else _joined(origin, error.where)
        raise PluginError(error.what, where=where, fix=error.fix) from error
    # a plugin that calls sys.exit() must not end gancore as if all were well
    except (Exception, SystemExit) as error:
        line = last_line(error, {module.partition(".")[0]})
        # the plugin's own module may be missing too, and that cannot be installed by its name
        if isinstance(error, ModuleNotFoundError) and error.name and error.name != module:
            fix = f"pip install {error.name}"
        raise PluginError(
            f"{name} cannot be imported: {type(error).__name__}: {error}",
            where=_joined(origin, line),
            fix=fix,
        ) from error


def _joined(origin: str, line: str) -> str:
    return f"{origin}, {line}" if line else origin


def _importing(name: str, origin: str) -> AbstractContextManager[None]:
    # imported here, because it needs torch, which takes a second, and plugins are listed without it
    from gancore.process.global_state import importing

    return importing(name, origin)


def last_line(error: BaseException, modules: set[str]) -> str:
    """Return the last line of these top-level modules that an error passed: `file.py, line 3`."""
    last = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] in modules:
            last = f"{frame.f_code.co_filename}, line {line}"
    return last


def load_file(given: str) -> tuple[str, type]:
    """Load the component of a file, `./file.py` or `./file.py:Class`; return its name and class.

    The name is that of the class in kebab-case: `MyTrick` → `my-trick`. Raises UsageError for a
    missing file, or one that does not hold exactly one component.
    """
    classes = load_classes(given)
    if len(classes) != 1:
        path, _ = split_file(given)
        held = ", ".join(classes) or "none"
        raise UsageError(
            f"{path} holds {len(classes)} components ({held})", where=given, fix=f"{path}:NAME"
        )
    ((name, cls),) = classes.items()
    return kebab(name), cls


def load_classes(given: str) -> dict[str, type]:
    """Load the components of a file by class name, or the one that `./file.py:Class` names.

    Raises UsageError for a missing file or class.
    """
    path, wanted = split_file(given)
    classes = {}
    for name, thing in vars(_run_file(path)).items():
        if not isinstance(thing, type) or INFO not in vars(thing):
            continue
        # not those that the file imports
        if thing.__module__ == _module_name(path):
            classes[name] = thing
    if not wanted:
        return classes
    if wanted not in classes:
        held = ", ".join(classes) or "none"
        raise UsageError(f"{path} holds no component {wanted}", where=given, fix=f"it holds {held}")
    return {wanted: classes[wanted]}


def is_file(name: str) -> bool:
    """Return whether a name is a component file: `./file.py` or `again=./file.py:Class`."""
    return FILE.search(name) is not None


def split_file(given: str) -> tuple[Path, str]:
    """Split `./file.py:Class` into path and class. Raises UsageError for a missing file."""
    location, _, wanted = given.rpartition("=")[2].partition(".py:")
    path = Path(f"{location}.py" if wanted else location).absolute()
    if not os.path.isfile(path):
        raise UsageError(
            f"there is no file {path}", where=given, fix="name a Python file that holds a component"
        )
    return path.resolve(), wanted


def _module_name(path: Path) -> str:
    return f"gancore_file_{path.stem}"


def _run_file(path: Path) -> ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(
            f"{path} is no Python file",
            where=str(path),
            fix="name a Python file that holds a component",
        )
    module = importlib.util.module_from_spec(spec)
    # before it is executed: the types of options are looked up in their module by its name
    sys.modules[name] = module
    with _foreign(str(path), str(path), name, "fix the file"):
        spec.loader.exec_module(module)
    return module

"""What is installed, read from metadata alone: nothing is imported before it is chosen."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import evolve, frozen

from gancore.component import CARD, kebab
from gancore.errors import PluginError, UsageError, did_you_mean, nearest, spelt
from gancore.recipe import FILE, IN_WORDS, KINDS, Recipe, hyphened, read_recipe

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PREFIX = "gancore."
RECIPES = "gancore.recipes"
REPLACES = "gancore.replaces"


def _plainly(name: str, origin: str) -> AbstractContextManager[object]:
    return contextlib.redirect_stdout(sys.stderr)


# what surrounds the import of a component, given its name and origin; `gancore.run` puts a watchful one here
importing: Callable[[str, str], AbstractContextManager[object]] = _plainly


@frozen
class Row:
    """One published component, as `gan plugins` shows it. `status` is `ok` or the reason why it cannot be used.

    `known_as` holds the words by which users may look for it, each with what they should know then.
    """

    name: str
    kind: str
    distribution: str
    version: str
    summary: str
    status: str
    object: str
    known_as: tuple[tuple[str, str], ...] = ()

    @property
    def origin(self) -> str:
        """Where its code comes from, for messages: distribution, version, module and name."""
        return f"{self.distribution} {self.version}, {self.object}"


@cache
def installed() -> tuple[Row, ...]:
    """List every component that installed distributions publish, by kind and name."""
    published = [(entry, entry.group.removeprefix(PREFIX), distribution) for entry, distribution in entries()]
    rows = [row_of(entry, kind, distribution) for entry, kind, distribution in published if kind in KINDS]
    counts = Counter(row.name for row in rows)
    twice = [evolve(row, status="the name is published twice") if counts[row.name] > 1 else row for row in rows]
    return tuple(sorted(twice, key=lambda row: (KINDS.index(row.kind), row.name, row.distribution)))


@cache
def named(name: str) -> tuple[Row, ...]:
    """List the components of one name. The sources of all others are left unread, which takes a third of a second."""
    found = [(entry, distribution) for entry, distribution in entries() if entry.name == name]
    kinds = [entry.group.removeprefix(PREFIX) for entry, _ in found]
    rows = [
        row_of(entry, kind, distribution)
        for (entry, distribution), kind in zip(found, kinds, strict=True)
        if kind in KINDS
    ]
    return tuple(sorted(rows, key=lambda row: (KINDS.index(row.kind), row.distribution)))


@cache
def entries() -> tuple[tuple[metadata.EntryPoint, metadata.Distribution], ...]:
    """List our entry points of each installed distribution: the first on `sys.path` is the one that is imported."""
    seen, ours = set[str](), list[tuple[metadata.EntryPoint, metadata.Distribution]]()
    for distribution in metadata.distributions():
        try:
            name, found = normalized(distribution.name or ""), distribution.entry_points
        except Exception:  # metadata that nobody can read publish nothing
            continue
        if name not in seen:
            ours += [(entry, distribution) for entry in found if entry.group.startswith(PREFIX)]
        seen.add(name)
    return tuple(ours)


def normalized(distribution: str) -> str:
    """Spell a distribution's name as package indexes compare it: `Gan_Plugin` is `gan-plugin`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def replaces(distribution: str, former: str) -> bool:
    """Return whether a distribution declares that it replaces a former one.

    The declaration is an entry point of group `gancore.replaces`: the name of the former
    distribution, and the module that now holds its components.
    """
    return any(
        entry.group == REPLACES
        and normalized(entry.name) == normalized(former)
        and normalized(publisher.name or "") == normalized(distribution)
        for entry, publisher in entries()
    )


def row_of(entry: metadata.EntryPoint, kind: str, distribution: metadata.Distribution) -> Row:
    """Describe one entry point, without running what it names."""
    summary, status, words = _look(entry)
    told = distribution.metadata  # which raises for what is not there, where a backport of it was imported
    about = {key: told[key] for key in told}
    name, version = about.get("Name") or "?", about.get("Version") or "?"
    summary = summary or about.get("Summary") or ""
    return Row(entry.name, kind, name, version, summary, refusal(entry.name, kind) or status, entry.value, words)


def refusal(name: str, kind: str = "") -> str:
    """Say why a component, or a command, cannot have a name, or nothing."""
    if not NAME.fullmatch(name) or len(name) > 64:
        return f"the name {name!r} is not lower-case words joined by hyphens, 64 letters at most"
    taken = kind != "command" and name in (*KINDS, "run", "format")  # the tables of a recipe
    return f"the name {name!r} is a word of gancore's own" if taken else ""


def _look(entry: metadata.EntryPoint) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Read the class's docstring, what is plainly broken, and `known_as`, from the source, without running it."""
    try:
        spec = spec_of(entry.module)
        if spec is None or spec.origin is None:
            return "", f"there is no module {entry.module}", ()
        tree = ast.parse(Path(spec.origin).read_bytes())
    except Exception as error:  # whatever lies there, it must not keep others from being listed
        return "", f"{entry.value} cannot be read: {error}", ()
    for node in tree.body:
        if isinstance(node, ast.Raise):
            return "", f"{entry.module} raises when imported: {ast.unparse(node)}", ()
        if (missing := _missing_import(node)) is not None:
            return "", f"needs {missing}, which is not installed", ()
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == entry.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0], "ok", tuple(_users_words(node))
    defined = {alias.asname or alias.name for node in tree.body for alias in getattr(node, "names", ())}
    return "", "ok" if entry.attr in defined else f"there is no {entry.attr} in {entry.module}", ()


def _users_words(node: ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Read `known_as={WORD: WHAT TO KNOW}` from a decorator, as far as its words and sentences are plain."""
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    for keyword in (each for call in calls for each in call.keywords if each.arg == "known_as"):
        if isinstance(keyword.value, ast.Dict):
            for word, remark in zip(keyword.value.keys, keyword.value.values, strict=True):
                if isinstance(word, ast.Constant) and isinstance(remark, ast.Constant):
                    yield spelt(str(word.value)), str(remark.value)


def spec_of(module: str) -> Any:
    """Find a module's file without importing it, nor the parents of a dotted name."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)  # also through the finders of editable installs
    for count in range(len(rest)):
        path = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(".".join([top, *rest[: count + 1]]), path or [])
    return spec


def _missing_import(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [node.module or ""]
    else:
        return None
    return next((top for top in (name.partition(".")[0] for name in names) if not _importable(top)), None)


@cache
def _importable(name: str) -> bool:
    return name in sys.stdlib_module_names or PathFinder.find_spec(name) is not None


def find(name: str, kind: str) -> Row:
    """Find an installed component by name, or by `distribution:name`. Raises UsageError where it cannot be used.

    The name of a replaced distribution finds the components of the one that replaces it.
    """
    distribution, _, bare = name.rpartition(":")
    found = named(bare)
    if not found:
        # a plugin may be published under a name with `_`, to be refused with the reason
        found = tuple(row for row in installed() if hyphened(row.name) == bare)
    rows = list(found)
    if distribution:
        rows = [row for row in found if normalized(row.distribution) == normalized(distribution)]
        rows = rows or [row for row in found if replaces(row.distribution, distribution)]
    where = f"{kind} {name}"
    if not rows:
        of_kind = [row.name for row in installed() if row.kind == kind]
        mend = meant(bare, kind) or (f"one of {', '.join(of_kind)}" if of_kind else "none is installed")
        raise UsageError(
            f"no {IN_WORDS.get(kind, kind)} is called {name!r}",
            where=where,
            mend=f"{mend}    (`gan plugins {kind}` lists {len(of_kind)})",
        )
    if len(rows) > 1:
        names = dict.fromkeys(f"{row.distribution}:{row.name}" for row in rows)
        mend = " or ".join(names) if len(names) > 1 else f"uninstall {rows[0].distribution}, which publishes them all"
        raise UsageError(f"{len(rows)} components are called {name!r}", where=where, mend=mend)
    row = rows[0]
    if refused := refusal(row.name):
        raise UsageError(refused, where=f"{where}, {row.origin}", mend="its author must rename it")
    if row.kind != kind:
        one, other = IN_WORDS.get(row.kind, row.kind), IN_WORDS.get(kind, kind)
        mend = next(meant_by_word(bare, kind), f"--{row.kind} {name}")
        raise UsageError(f"{name!r} is of kind {one}, not {other}", where=where, mend=mend)
    return row


def meant(word: str, kind: str = "", *, guess: bool = True) -> str:
    """Say which component a user may have meant by a word: of this kind first, else by the flag that chooses it.

    It is known by the words of `known_as`, by its name, by its name joined with its kind's, and, where we may `guess`,
    by a name that is near. Nothing for a word that is none of these.
    """
    wanted = spelt(word)
    rows = sorted((row for row in installed() if row.status == "ok"), key=lambda row: row.kind != kind)
    if found := [*meant_by_word(word, kind)]:
        return found[0]
    for row in rows:
        names = [row.name, *(f"{row.name}-{each}" for each in (row.kind, IN_WORDS.get(row.kind)) if each)]
        if wanted in (*names, *(each.replace("-", "") for each in names)):
            return f"did you mean {_chosen(row, kind)}?"
    if found := [each for other in KINDS for each in meant_by_word(word, other, kind)]:
        return found[0]
    if not guess:
        return ""
    if kind and (near := did_you_mean(word, [row.name for row in rows if row.kind == kind])):
        return near
    near_rows = [row for name in nearest(word, [row.name for row in rows]) for row in rows if row.name == name]
    names = list(dict.fromkeys(_chosen(row, kind) for row in near_rows))
    return f"did you mean {' or '.join(names)}?" if names else ""


def meant_by_word(word: str, kind: str, wanted: str | None = None) -> Iterator[str]:
    """Yield `did you mean NAME?` for components of a kind known by a word, with what to know of each.

    NAME stands with its flag where another kind, or none, was `wanted`.
    """
    for row in installed():
        for other, remark in row.known_as if row.kind == kind and row.status == "ok" else ():
            if spelt(word) == other:
                yield f"did you mean {_chosen(row, kind if wanted is None else wanted)}? {remark}".rstrip()


def _chosen(row: Row, kind: str) -> str:
    return row.name if row.kind == kind else f"--{row.kind} {row.name}"


def load(row: Row) -> type:
    """Import a component's class. Raises PluginError naming its origin."""
    found = load_object(row)
    if not isinstance(found, type) or CARD not in vars(found):
        what = f"{row.name} is {found!r}, no component class"
        raise PluginError(what, where=row.origin, mend="decorate it with @component")
    return found


def load_object(row: Row) -> Any:
    """Import what a row names; what its module prints goes to stderr. Raises PluginError naming its origin."""
    module, _, attribute = row.object.partition(":")
    with _foreign(row.name, row.origin, module, f"mend or uninstall {row.distribution}", row.kind in KINDS):
        return getattr(importlib.import_module(module), attribute)


@contextmanager
def _foreign(name: str, origin: str, module: str, mend: str, watched: bool = True) -> Iterator[None]:
    """Run a plugin's module. Raises PluginError with the plugin's own last line for whatever it raises."""
    try:
        with (importing if watched else _plainly)(name, origin):
            yield
    except PluginError as error:
        where = error.where if origin in error.where else ", ".join(filter(None, (origin, error.where)))
        raise PluginError(error.what, where=where, mend=error.mend) from error
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name != module else ""
        raise PluginError(
            f"{name} cannot be imported: {type(error).__name__}: {error}",
            where=", ".join(filter(None, (origin, last_line(error, {module.partition(".")[0]})))),
            mend=f"pip install {missing}" if missing else mend,
        ) from error


def last_line(error: BaseException, modules: set[str]) -> str:
    """Say which line of these top-level modules an error came from, `file.py, line 3`; nothing where from none."""
    lines = [
        f"{frame.f_code.co_filename}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in modules
    ]
    return lines[-1] if lines else ""


def load_file(given: str) -> tuple[str, type]:
    """Load the component of a file that the user named, `./file.py` or `./file.py:Class`; return its name and class.

    Raises UsageError for a missing file, or one that does not hold exactly one component.
    """
    path, wanted = split_file(given)
    classes = {
        name: thing
        for name, thing in vars(_run_file(path)).items()
        if isinstance(thing, type) and CARD in vars(thing) and thing.__module__ == _module_name(path)
    }
    held = ", ".join(classes) or "none"
    if wanted and wanted not in classes:
        raise UsageError(f"{path} holds no component {wanted}", where=given, mend=f"it holds {held}")
    if not wanted and len(classes) != 1:
        raise UsageError(f"{path} holds {len(classes)} components ({held})", where=given, mend=f"{path}:NAME")
    name = wanted or next(iter(classes))
    return kebab(name), classes[name]


def is_file(name: str) -> bool:
    """Whether a name, perhaps with an alias, is a component file: `./file.py` or `again=./file.py:Class`."""
    return FILE.search(name) is not None


def split_file(given: str) -> tuple[Path, str]:
    """Split `./file.py:Class` into resolved path and class. Raises UsageError where there is no such file."""
    location, _, wanted = given.rpartition("=")[2].partition(".py:")
    path = Path(f"{location}.py" if wanted else location).absolute()
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}", where=given, mend="name a Python file that holds a component")
    return path.resolve(), wanted


def _module_name(path: Path) -> str:
    return f"gancore_file_{path.stem}"


def _run_file(path: Path) -> ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file", where=str(path), mend="name a Python file that holds a component")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _foreign(str(path), str(path), name, "mend the file"):
        spec.loader.exec_module(module)
    return module


def recipe_files() -> dict[str, Path]:
    """Find the recipes that installed distributions publish: entry points of group `gancore.recipes`.

    The value of an entry point is a package; the `*.toml` files in its folder are its recipes, by stem.
    """
    files: dict[str, Path] = {}
    for entry, _ in entries():
        if entry.group == RECIPES and (spec := spec_of(entry.module)) and spec.submodule_search_locations:
            folder = Path(next(iter(spec.submodule_search_locations)))
            files |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return files


def recipe_name(given: str) -> str:
    """Return the published recipe's name that a user wrote with `_` for `-`, or what was given."""
    files = recipe_files()
    return given if given in files else next((name for name in files if spelt(name) == spelt(given)), given)


def recipe_chain(given: str) -> list[Recipe]:
    """Read a recipe by file or by published name, and those it extends; the lowest comes first.

    A file that a recipe extends is looked for beside it.

    Raises UsageError where there is none of that name, and for recipes that extend each other in a circle.
    """
    published, chain, wanted, seen = recipe_files(), list[Recipe](), given, set[Path]()
    folder, where = Path(), f"--recipe {given}"
    while wanted or not chain:
        name = recipe_name(wanted)
        if wanted.endswith(".toml"):
            path, label = folder / wanted, ""
        elif name in published:
            path, label = published[name], f"recipe {name}"
        else:
            near = did_you_mean(wanted, published) or meant(wanted, guess=False)
            mend = near or f"`gan recipes` lists the {len(published)} there are; a file ends in .toml"
            raise UsageError(f"no recipe is called {wanted!r}", where=where, mend=mend)
        chain.insert(0, read_recipe(path, label))
        if path.resolve() in seen:
            raise UsageError(f"recipe {wanted} extends itself", where=where, mend="leave `extends` out")
        seen.add(path.resolve())
        wanted, folder, where = chain[0].extends, path.parent, f"extends, in {chain[0].name}"
    return chain

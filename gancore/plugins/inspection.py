"""Read what a plugin's source says without importing it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from gancore.errors import spelt


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

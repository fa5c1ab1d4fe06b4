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

from attrs import frozen

from gancore.errors import spelt


@frozen
class Inspected:
    """What the source of a published class or command shows.

    `summary` is the first line of its docstring, `status` is `ok` or what is plainly broken.
    `known_as` are the words by which users may look for it, each with what they should know then.
    """

    summary: str = ""
    status: str = "ok"
    known_as: tuple[tuple[str, str], ...] = ()


def inspect_entry(entry: metadata.EntryPoint) -> Inspected:
    """Read the class or function that an entry point names from its source, without running it."""
    try:
        spec = spec_of(entry.module)
        if spec is None or spec.origin is None:
            return Inspected(status=f"there is no module {entry.module}")
        # bytes, because the file itself declares how its text is encoded
        tree = ast.parse(Path(spec.origin).read_bytes())
    except Exception as error:  # a file like no Python file must not keep others from being listed
        return Inspected(status=f"{entry.value} cannot be read: {error}")
    for node in tree.body:
        if isinstance(node, ast.Raise):
            return Inspected(status=f"{entry.module} raises when imported: {ast.unparse(node)}")
        if (missing := _missing_import(node)) is not None:
            return Inspected(status=f"needs {missing}, which is not installed")
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == entry.attr:
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            return Inspected(summary, known_as=tuple(_known_as(node)))
    for node in tree.body:
        if entry.attr in [alias.asname or alias.name for alias in getattr(node, "names", ())]:
            return Inspected()  # imported from elsewhere, which is not followed
    return Inspected(status=f"there is no {entry.attr} in {entry.module}")


def _known_as(node: ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Read `known_as={WORD: WHAT TO KNOW}` from a decorator, where both are literals."""
    keywords: list[ast.keyword] = []
    for decorator in node.decorator_list:
        keywords += decorator.keywords if isinstance(decorator, ast.Call) else []
    for keyword in keywords:
        if keyword.arg != "known_as" or not isinstance(keyword.value, ast.Dict):
            continue
        for word, remark in zip(keyword.value.keys, keyword.value.values, strict=True):
            if isinstance(word, ast.Constant) and isinstance(remark, ast.Constant):
                yield spelt(str(word.value)), str(remark.value)


def spec_of(module: str) -> Any:
    """Find a module's file without importing it or the parents of a dotted name."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)  # also through the finders of editable installs
    for count in range(len(rest)):
        path = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(".".join([top, *rest[: count + 1]]), path or [])
    return spec


def _missing_import(node: ast.stmt) -> str | None:
    """Return the first top-level module that an import statement names and that is not there."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        # relative imports (of a level) name modules of the plugin itself, which is installed
        names = [node.module or ""]
    else:
        return None
    for name in names:
        top = name.partition(".")[0]
        if not is_importable(top):
            return top
    return None


@cache
def is_importable(name: str) -> bool:
    """Return whether a top-level module is there, without importing it."""
    return name in sys.stdlib_module_names or PathFinder.find_spec(name) is not None

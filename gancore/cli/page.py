"""Read a component's documentation, tags and options from its source, without importing it."""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from gancore import hookspecs
from gancore.plugins import inspection, loading
from gancore.plugins.component import (
    SPECS,
    ComponentInfo,
    Option,
    conflicts,
    info_of,
    options_of,
    requires,
    warns_with,
    warns_without,
)
from gancore.plugins.discovery import Row

RULES = {
    "requires": requires,
    "conflicts": conflicts,
    "warns_with": warns_with,
    "warns_without": warns_without,
}
TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "tuple": tuple,
    "frozenset": frozenset,
}
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitOr: operator.or_,
}
DEEPEST = 5  # modules that a name may be imported through


class NotPlain(Exception):
    """An expression whose value only running the module would give."""


@frozen
class Preset:
    """What `@preset` states."""

    source: str
    defaults: Mapping[str, Any]
    known_as: Mapping[str, str]


@frozen
class Page:
    """The documentation, the `ComponentInfo`, the options and the hooks of a component."""

    doc: str
    info: ComponentInfo
    options: Mapping[str, Option]
    hooks: tuple[str, ...]


def page_of(row: Row) -> Page:
    """Return the page of a component; import its module only where the source is not plain.

    Raises PluginError where that import fails.
    """
    try:
        return read_page(row)
    except (
        NotPlain,
        ArithmeticError,
        LookupError,
        OSError,
        RecursionError,
        SyntaxError,
        TypeError,
        ValueError,
    ):
        cls = loading.load(row)
        return imported_page(cls)


def imported_page(cls: type) -> Page:
    """Return the page of a class that was imported."""
    hooks = [name for name in SPECS if hasattr(getattr(cls, name, None), "gancore_impl")]
    doc = inspect.cleandoc(cls.__doc__ or "")
    return Page(doc, info_of(cls), options_of(cls), tuple(hooks))


def read_page(row: Row) -> Page:
    """Read the page from the source. Raises NotPlain where that takes importing the module."""
    module, _, name = row.object.partition(":")
    return _page_of_class(Source(module), name)


def _page_of_class(source: Source, name: str) -> Page:
    found = source.definition(name)
    if isinstance(found, ast.ImportFrom):
        return _page_of_class(*source.imported(found, name))
    if not isinstance(found, ast.ClassDef) or len(found.decorator_list) != 1:
        raise NotPlain(name)
    doc = ast.get_docstring(found) or ""
    made = source.value(found.decorator_list[0])
    if isinstance(made, ComponentInfo) and not found.bases:
        return Page(doc, made, dict(source.options(found)), hooks_in(found))
    if isinstance(made, Preset) and len(found.bases) == 1:
        base = _page_of_class(source, ast.unparse(found.bases[0]))
        cited = made.source or base.info.source
        info = evolve(base.info, source=cited, defaults=made.defaults, known_as=made.known_as)
        return Page(doc, info, base.options, base.hooks)
    raise NotPlain(name)


def hooks_in(found: ast.ClassDef) -> tuple[str, ...]:
    """Return the hooks that a class implements, in the order of the page of hooks."""
    marked = set()
    for node in found.body:
        if isinstance(node, ast.FunctionDef):
            words = [ast.unparse(each) for each in node.decorator_list]
            if any(word == "hookimpl" or word.startswith("hookimpl(") for word in words):
                marked.add(node.name)
    return tuple(name for name in SPECS if name in marked)


class Source:
    """A module's source, in which expressions are read and never run."""

    def __init__(self, module: str, depth: int = 0) -> None:
        spec = inspection.spec_of(module)
        if spec is None or spec.origin is None or depth > DEEPEST:
            raise NotPlain(module)
        self.depth = depth
        self.body = ast.parse(Path(spec.origin).read_bytes()).body

    def definition(self, name: str) -> Any:
        """Return the last top-level statement of the module that defines a name."""
        for node in reversed(self.body):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return node
            if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [
                name
            ]:
                return node
            if (
                isinstance(node, ast.AnnAssign)
                and ast.unparse(node.target) == name
                and node.value is not None
            ):
                return node
            if isinstance(node, ast.ImportFrom) and name in [
                each.asname or each.name for each in node.names
            ]:
                return node
        raise NotPlain(name)

    def options(self, found: ast.ClassDef) -> list[tuple[str, Option]]:
        """Read the options that a class declares."""
        options = []
        for node in found.body:
            if not isinstance(node, ast.AnnAssign) or node.value is None:
                continue
            given = self.value(node.value)
            # else it is a `state()` or a `cached()`
            if isinstance(given, dict) and "help" in given:
                name = ast.unparse(node.target)
                kind = self.value(node.annotation)
                options.append((name.replace("_", "-"), Option(name=name, type=kind, **given)))
        return options

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression. Raises NotPlain where that takes running it."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Tuple() | ast.List() | ast.Set():
                values = [self.value(each) for each in node.elts]
                return values if isinstance(node, ast.List) else tuple(values)
            case ast.Dict():
                if None in node.keys:
                    raise NotPlain(ast.unparse(node))
                keys = [self.value(key) for key in node.keys if key is not None]
                return dict(zip(keys, map(self.value, node.values), strict=True))
            case ast.JoinedStr():
                return "".join(str(self.value(part)) for part in node.values)
            case ast.FormattedValue(conversion=-1, format_spec=None):
                return self.value(node.value)
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.BinOp() if type(node.op) in OPERATORS:
                return OPERATORS[type(node.op)](self.value(node.left), self.value(node.right))
            case ast.Subscript(value=ast.Name(id="tuple")):
                return tuple[self.value(node.slice)]  # type: ignore[misc]
            case ast.Name():
                return self.named(node.id)
            case ast.Call():
                return self.called(node)
        raise NotPlain(ast.unparse(node))

    def argument(self, name: str, node: ast.expr) -> Any:
        """Return the value of a keyword argument, as far as a page shows it."""
        if name == "when":  # a rule's condition
            return lambda given: True
        if (
            name == "choices"
            and isinstance(node, ast.Call)
            and ast.unparse(node.func) == "tuple"
            and node.args
        ):
            node = node.args[0]
        if name == "choices" and isinstance(node, ast.Name):
            found = self.definition(node.id)
            node = found.value or node if isinstance(found, ast.Assign | ast.AnnAssign) else node
        if name == "choices" and isinstance(node, ast.Dict):  # of functions by name
            return [self.value(key) for key in node.keys if key is not None]
        return self.value(node)

    def named(self, name: str) -> Any:
        """Return the value of a name, also where it comes from another module."""
        if name in TYPES:
            return TYPES[name]
        found = self.definition(name)
        if isinstance(found, ast.Assign | ast.AnnAssign) and found.value is not None:
            return self.value(found.value)
        if isinstance(found, ast.ImportFrom):
            source, original = self.imported(found, name)
            return source.named(original)
        raise NotPlain(name)

    def imported(self, node: ast.ImportFrom, name: str) -> tuple[Source, str]:
        """Return the module that a name is imported from, and what it is called there."""
        if not node.module or node.level:
            raise NotPlain(name)
        original = next(each.name for each in node.names if name == (each.asname or each.name))
        return Source(node.module, self.depth + 1), original

    def called(self, node: ast.Call) -> Any:
        """Return what a call of one of gancore's declarations, or of `tuple`, gives."""
        name = ast.unparse(node.func)
        if any(each.arg is None for each in node.keywords):
            raise NotPlain(ast.unparse(node))
        if name in ("state", "cached"):
            return None
        given = [self.value(each) for each in node.args]
        named = {str(each.arg): self.argument(str(each.arg), each.value) for each in node.keywords}
        if name == "tuple" and len(given) == 1 and not named:
            return tuple(given[0])
        declared = self.definition(name)
        if not isinstance(declared, ast.ImportFrom) or declared.module not in (
            "gancore",
            "gancore.plugins.component",
        ):
            raise NotPlain(name)
        if name in RULES:
            return RULES[name](*given, **named)
        if name == "option":
            return _option(*given, **named)
        if name == "component" and not given:
            return _component_info(**named)
        if name == "preset" and not given:
            return Preset(**{"source": "", "known_as": {}, **named})
        raise NotPlain(name)


def _option(default: Any, **given: Any) -> dict[str, Any]:
    return {**given, "default": default, "choices": tuple(given.get("choices", ()))}


def _component_info(source: str, **given: Any) -> ComponentInfo:
    if given.pop("api", hookspecs.API) != hookspecs.API:
        raise NotPlain("api")  # importing it raises the error
    return ComponentInfo(
        source=source,
        provides=frozenset(given.get("provides", ())),
        rules=tuple(given.get("rules", ())),
        defaults=dict(given.get("defaults") or {}),
        defaults_with=dict(given.get("defaults_with") or {}),
        state_version=given.get("state_version", 1),
        known_as=dict(given.get("known_as") or {}),
    )

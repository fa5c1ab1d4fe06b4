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
    published_options,
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
# the modules whose `component`, `option` and the like are gancore's
DECLARING = ("gancore", "gancore.plugins.component")
# Modules that a name may be imported through. It also ends the search where two modules import the
# name from each other.
LONGEST_IMPORT_CHAIN = 5


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
    page = plain_page_of(row)
    return evolve(page, options=published_options(row.name, page.info, page.options))


def plain_page_of(row: Row) -> Page:
    """Return the page of a component with the options of its class."""
    try:
        return read_page(row)
    # besides NotPlain what an expression of the source raises, such as `1 / 0` or a list as a key
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
    # what a second decorator does to the class is not known without running it
    if not isinstance(found, ast.ClassDef) or len(found.decorator_list) != 1:
        raise NotPlain(name)
    doc = ast.get_docstring(found) or ""
    made = source.value(found.decorator_list[0])
    if isinstance(made, ComponentInfo):
        options, marked = _members(source, found)
        return Page(doc, made, options, tuple(name for name in SPECS if name in marked))
    if isinstance(made, Preset) and len(found.bases) == 1:
        base = _page_of_class(source, ast.unparse(found.bases[0]))
        cited = made.source or base.info.source
        info = evolve(base.info, source=cited, defaults=made.defaults, known_as=made.known_as)
        return Page(doc, info, base.options, base.hooks)
    raise NotPlain(name)


def _members(source: Source, found: ast.ClassDef) -> tuple[dict[str, Option], set[str]]:
    """Return the options and the hooks of a class and of the base that it may have.

    Raises NotPlain for a base that is no class of `attrs.define`, and for several.
    """
    own = dict(source.options(found))
    hooks = hooks_in(found)
    if not found.bases:
        return own, hooks
    if len(found.bases) > 1:
        raise NotPlain(found.name)
    name = ast.unparse(found.bases[0])
    base = source.definition(name)
    if isinstance(base, ast.ImportFrom):
        source, name = source.imported(base, name)
        base = source.definition(name)
    if not isinstance(base, ast.ClassDef) or not _is_attrs_class(base):
        raise NotPlain(name)
    inherited, more = _members(source, base)
    kept = {name: option for name, option in inherited.items() if name not in own}
    return kept | own, hooks | more


def _is_attrs_class(found: ast.ClassDef) -> bool:
    words = [ast.unparse(each) for each in found.decorator_list]
    return len(words) == 1 and words[0].startswith("attrs.define(")


def hooks_in(found: ast.ClassDef) -> set[str]:
    """Return the hooks that a class implements itself."""
    marked = set()
    for node in found.body:
        if isinstance(node, ast.FunctionDef):
            words = [ast.unparse(each) for each in node.decorator_list]
            if any(word == "hookimpl" or word.startswith("hookimpl(") for word in words):
                marked.add(node.name)
    return marked


class Source:
    """A module's source, in which expressions are read and never run."""

    def __init__(self, module: str, depth: int = 0) -> None:
        spec = inspection.spec_of(module)
        if spec is None or spec.origin is None or depth > LONGEST_IMPORT_CHAIN:
            raise NotPlain(module)
        self.depth = depth
        self.body = ast.parse(Path(spec.origin).read_bytes()).body

    def definition(self, name: str) -> Any:
        """Return the last top-level statement of the module that defines a name."""
        # the last, because a later definition replaces an earlier one when the module is run
        for node in reversed(self.body):
            if name in _names_defined_by(node):
                return node
        raise NotPlain(name)

    def options(self, found: ast.ClassDef) -> list[tuple[str, Option]]:
        """Read the options that a class declares."""
        options = []
        for node in found.body:
            if not isinstance(node, ast.AnnAssign) or node.value is None:
                continue
            given = self.value(node.value)
            # no option is a `state()`, a `cached()` or a plain value
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
                return dict(zip(self.keys(node), map(self.value, node.values), strict=True))
            case ast.JoinedStr():
                parts = map(self.value, node.values)
                return "".join(map(str, parts))
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

    def keys(self, node: ast.Dict) -> list[Any]:
        """Return the keys of a dict. Raises NotPlain for `{**other}`, which has None as a key."""
        keys = []
        for key in node.keys:
            if key is None:
                raise NotPlain(ast.unparse(node))
            keys.append(self.value(key))
        return keys

    def argument(self, name: str, node: ast.expr) -> Any:
        """Return the value of a keyword argument, as far as a page shows it."""
        if name == "when":
            return lambda given: True  # a rule's condition is code, and no page shows it
        if name == "choices":
            return self.choices(node)
        return self.value(node)

    def choices(self, node: ast.expr) -> Any:
        """Return the choices of an option: the keys where they are the names of functions."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tuple" and node.args:
            node = node.args[0]
        if isinstance(node, ast.Name):
            found = self.definition(node.id)
            if isinstance(found, ast.Assign | ast.AnnAssign) and found.value is not None:
                node = found.value
        if isinstance(node, ast.Dict):
            return self.keys(node)  # the values are functions, which no expression here gives
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
        if not node.module or node.level:  # a relative import: the name of its package is not here
            raise NotPlain(name)
        for each in node.names:
            if name == (each.asname or each.name):
                return Source(node.module, self.depth + 1), each.name
        raise NotPlain(name)

    def called(self, node: ast.Call) -> Any:
        """Return what a call of one of gancore's declarations, or of `tuple`, gives."""
        name = ast.unparse(node.func)
        keywords = [each.arg for each in node.keywords]
        if None in keywords:  # `**more`
            raise NotPlain(ast.unparse(node))
        if name in ("state", "cached"):
            return None  # before their arguments, which may be tensors or functions
        given = [self.value(each) for each in node.args]
        named = {}
        for each in node.keywords:
            named[str(each.arg)] = self.argument(str(each.arg), each.value)
        if name == "tuple" and len(given) == 1 and not named:
            return tuple(given[0])
        # a function of the same name from elsewhere may do anything
        declared = self.definition(name)
        if not isinstance(declared, ast.ImportFrom) or declared.module not in DECLARING:
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


def _names_defined_by(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines, as far as their definition can be read."""
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            return [node.name]
        case ast.Assign(targets=[target]):
            return [ast.unparse(target)]
        case ast.AnnAssign() if node.value is not None:
            return [ast.unparse(node.target)]
        case ast.ImportFrom():
            return [each.asname or each.name for each in node.names]
    return []


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

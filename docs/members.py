"""Read the public members of gancore's classes, with their types and documentation.

A method or property is documented by its docstring, a field by an item of a list in the docstring
of its class::

    - `name`: what it holds, its shape, range or unit, and when it is there.

Names after `Internal:`, in a paragraph of its own, are for the core alone and left out.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs
from torch import nn

FIELD = re.compile(r"^- `(\w+)(\([^)`]*\))?`: (.*(?:\n  .*)*)\n?", re.MULTILINE)
INTERNAL = re.compile(r"^Internal: (.*(?:\n.+)*)\n?", re.MULTILINE)


@attrs.frozen
class Member:
    """A public member of a class: `shown` is its name with type or signature."""

    name: str
    shown: str
    doc: str


def family(cls: type, home: str = "gancore.") -> list[type]:
    """List a class and those of gancore that it inherits from, the most general first.

    `home` is what the names of their modules begin with.
    """
    return [each for each in reversed(cls.__mro__) if each.__module__.startswith(home)]


def docstring(thing: Any) -> str:
    """Return a docstring of its own, without the indentation of the source."""
    return inspect.cleandoc(thing.__doc__ or "")


def prose(cls: type) -> str:
    """Return the docstring of a class without its list of fields and its internal names."""
    text = INTERNAL.sub("", FIELD.sub("", docstring(cls)))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def listed_fields(cls: type) -> dict[str, tuple[str, str]]:
    """Return (arguments, documentation) of the fields that the docstrings of a class list."""
    found = {}
    for each in family(cls):
        for name, arguments, text in FIELD.findall(docstring(each)):
            found[name] = (arguments, re.sub(r"\n  ", "\n", text).strip())
    return found


def internal_names(cls: type) -> set[str]:
    """Return the names that the docstrings of a class list as internal."""
    found: set[str] = set()
    for each in family(cls):
        for text in INTERNAL.findall(docstring(each)):
            found |= set(re.findall(r"`(\w+)`", text))
    return found


def members(cls: type, home: str = "gancore.") -> list[Member]:
    """List the public members of a class: fields, then properties and methods, as defined."""
    hidden = internal_names(cls)
    found = {each.name: each for each in _all_members(cls, home)}  # of one overridden, the last
    return [each for name, each in found.items() if name not in hidden]


def _all_members(cls: type, home: str = "gancore.") -> Iterator[Member]:
    listed = listed_fields(cls)
    for name, kind, help_text in _fields(cls, home):
        arguments, doc = listed.get(name, ("", help_text))
        yield Member(name, _shown(name, kind, arguments), doc)
    for each in family(cls, home):
        for name, value in vars(each).items():
            if name.startswith("_") and name != "__len__":
                continue
            if isinstance(value, property):
                kind = value.fget.__annotations__["return"]
                yield Member(name, f"{name}: {kind}", docstring(value))
            elif isinstance(value, classmethod):
                doc = docstring(value.__func__)
                yield Member(name, f"{name}{signature(value.__func__, bound=True)}", doc)
            elif inspect.isfunction(value):
                yield Member(name, f"{name}{signature(value, bound=True)}", docstring(value))


def _shown(name: str, kind: str, arguments: str) -> str:
    """Write a field with its type; one that is a function, with its arguments and result."""
    result = re.fullmatch(r"Callable\[\[.*?\], (.*)\]", kind)
    if arguments and result:
        return f"{name}{arguments} -> {result[1]}"
    return f"{name}: {kind}" if kind and not arguments else f"{name}{arguments}"


def _fields(cls: type, home: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and help text of each public field; a plain class declares no types."""
    if attrs.has(cls):
        for field in attrs.fields(cls):
            if field.name.startswith("_"):
                continue
            option = field.metadata.get("option")
            yield field.name, _type(field.type), _option_help(option) if option else ""
        return
    for each in family(cls, home):
        declared = vars(each).get("__annotations__", {})
        for name in {**dict.fromkeys(_assigned_names(each)), **declared}:
            if not name.startswith("_"):
                yield name, declared.get(name, ""), ""


def _option_help(option: dict[str, Any]) -> str:
    may_change = "; may change when a run is resumed" if option["resumable"] else ""
    return option["help"] + may_change


def _assigned_names(cls: type) -> list[str]:
    """List the public attributes that the `__init__` of a class sets."""
    names = {}
    for node in ast.walk(ast.parse(dedent(inspect.getsource(cls)))):
        is_set = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if is_set and ast.unparse(node.value) == "self" and not node.attr.startswith("_"):
            names[node.attr] = None
    return list(names)


def signature(function: Callable[..., Any], *, bound: bool = False) -> str:
    """Write a signature as it stands in the source, without `self` where it is bound."""
    found = inspect.signature(function)
    parameters = list(found.parameters.values())[1 if bound else 0 :]
    by_place = [each for each in parameters if each.kind is each.POSITIONAL_ONLY]
    words = []
    starred = False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            words.append("*")
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        words.append(_parameter(each))
        if each in by_place[-1:]:
            words.append("/")
    returned = found.return_annotation
    arrow = "" if returned in (found.empty, None, "None") else f" -> {_type(returned)}"
    return f"({', '.join(words)}){arrow}"


def _parameter(each: inspect.Parameter) -> str:
    stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
    kind = "" if each.annotation is each.empty else f": {_type(each.annotation)}"
    default = "" if each.default is each.empty else f" = {_default(each.default)}"
    return f"{stars}{each.name}{kind}{default if kind else default.replace(' ', '')}"


def _type(annotation: Any) -> str:
    """Write a type as it stands in the source."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return (text or str(annotation)).replace("'", '"')


def _default(value: Any) -> str:
    if isinstance(value, Path):
        return f'Path("{value}")'
    if value is attrs.NOTHING or callable(value):  # made anew for each object, or a function
        return "…"
    return repr(value).replace("'", '"')


def constructor(cls: type) -> str:
    """Write how an object of a class is made."""
    return f"{cls.__name__}{signature(cls.__init__, bound=True)}"


def undocumented(cls: type) -> list[str]:
    """List what an author would look for in vain, and names of members that are not there."""
    name = cls.__name__
    found = [f"{name}.{each.name}" for each in members(cls) if not each.doc]
    there = {each.name for each in _all_members(cls)}
    inherited = set(dir(cls)) if not issubclass(cls, nn.Module) else set()
    named = {*listed_fields(cls), *internal_names(cls)}
    for other in sorted(named - there - inherited):
        what = f"{name}.{other}, which its docstring names and which is not there"
        found.append(what)
    return found if docstring(cls) else [name, *found]

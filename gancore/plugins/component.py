"""Make a class a component: `@component`, fields by `option()`, `state()` and `cached()`, rules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar, dataclass_transform, get_type_hints
from weakref import WeakKeyDictionary

import attrs
import pluggy

from gancore import hookspecs
from gancore.errors import PluginError, nearest

T = TypeVar("T")

hookimpl = pluggy.HookimplMarker("gancore")

# the attribute of a class for what `@component` was given; looked for in `vars(cls)` where a class
# that merely inherits it must not count
INFO = "__gancore__"


@attrs.frozen
class Rule:
    """A compatibility rule: a tag that this component requires or conflicts with.

    A tag is what another component `provides`. The rule is broken when the tag is there (`present`)
    or missing (not `present`). A broken rule that is `hard` is refused, another one is a note
    before the run. It holds only where `when(component)` is true, which may read the options.
    """

    tag: str
    present: bool
    hard: bool
    reason: str
    cite: str = ""
    fix: str = ""
    when: Callable[[Any], bool] = lambda component: True

    @property
    def verb(self) -> str:
        """What the rule does, in the words of its function: `requires`, `conflicts with`, …"""
        if self.hard:
            return "conflicts with" if self.present else "requires"
        return "warns with" if self.present else "warns without"


def requires(tag: str, reason: str, **more: Any) -> Rule:
    """Refuse a composition in which no component provides `tag`.

    `more` is any of `cite`, `fix`, and `when`, a function of the component.
    """
    return Rule(tag, False, True, reason, **more)


def conflicts(tag: str, reason: str, **more: Any) -> Rule:
    """Refuse a composition in which another component provides `tag`."""
    return Rule(tag, True, True, reason, **more)


def warns_with(tag: str, reason: str, **more: Any) -> Rule:
    """Note before the run that another component provides `tag`."""
    return Rule(tag, True, False, reason, **more)


def warns_without(tag: str, reason: str, **more: Any) -> Rule:
    """Note before the run that no component provides `tag`."""
    return Rule(tag, False, False, reason, **more)


@attrs.frozen
class ComponentInfo:
    """What a component states about itself in `@component`."""

    source: str
    provides: frozenset[str]
    rules: tuple[Rule, ...]
    defaults: Mapping[str, Any]
    defaults_with: Mapping[str, Mapping[str, Any]]
    state_version: int
    known_as: Mapping[str, str]


@attrs.frozen
class Option:
    """One option of a component, as it was declared."""

    name: str
    type: Any
    default: Any
    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[Any, ...] = ()
    resumable: bool = False
    run_length: bool = False

    @property
    def range(self) -> str:
        """The allowed values in words, e.g. `at least 0`; empty where any will do."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        words = {"at least": self.ge, "above": self.gt, "at most": self.le, "below": self.lt}
        limits = []
        for word, bound in words.items():
            if bound is not None:
                limits.append(f"{word} {bound:g}")
        return " and ".join(limits)

    def allows(self, value: Any) -> bool:
        """Return whether a value, or every item of a tuple, lies in the allowed range."""
        if isinstance(value, tuple):
            return all(self.allows(item) for item in value)
        if value is None or (self.choices and value in self.choices):
            return True
        if self.choices:
            return False
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


def option(
    default: Any,
    *,
    help: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Iterable[Any] = (),
    resumable: bool = False,
    run_length: bool = False,
) -> Any:
    """Declare an option: default, allowed range, and a help text that states the unit.

    Types are int, float, bool, str, a tuple of one of these, or any of them `| None`. `help` may
    not be empty.
    `resumable` is for settings of a run: one that may change when the run is resumed.
    `run_length` is for a number of steps, or None, which then stands for those of the run: where
    components are composed it becomes the number, which the recipe of the run states and a resume
    keeps. A run that is counted in epochs refuses it.
    """
    if isinstance(default, list | dict | set):
        what = f"an option's default is {default!r}, which all objects would share"
        raise PluginError(what, fix=f"a tuple, e.g. option({tuple(default)!r})")
    about = {
        "help": help,
        "ge": ge,
        "gt": gt,
        "le": le,
        "lt": lt,
        "choices": tuple(choices),
        "resumable": resumable,
        "run_length": run_length,
    }
    return attrs.field(default=default, validator=_check, metadata={"option": about})


def state(default: Any = None, *, factory: Callable[[], Any] | None = None) -> Any:
    """Declare a field that changes while training. gancore saves it in checkpoints and restores it.

    It may hold tensors, finite numbers, text, None, and nested lists and dicts of these.
    A restored tensor lies on the CPU: write `.to(device)` where it is used.
    """
    return _changing_field("state", default, factory)


def cached(default: Any = None, *, factory: Callable[[], Any] | None = None) -> Any:
    """Declare a field that changes while training and is not saved.

    Use it for what a resumed run computes or opens again, such as statistics of the data.
    """
    return _changing_field("cached", default, factory)


def _changing_field(kind: str, default: Any, factory: Callable[[], Any] | None) -> Any:
    if isinstance(default, list | dict | set):
        name = type(default).__name__
        what = f"the default of a field is {default!r}, which all objects would share"
        raise PluginError(what, fix=f"{kind}(factory={name})")
    chosen: dict[str, Any] = {"default": default} if factory is None else {"factory": factory}
    return attrs.field(**chosen, init=False, repr=False, metadata={kind: True})


def state_fields(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields that a component class declares by `state()`."""
    return tuple(field.name for field in attrs.fields(cls) if "state" in field.metadata)


def cached_fields(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields that a component class declares by `cached()`."""
    return tuple(field.name for field in attrs.fields(cls) if "cached" in field.metadata)


def has_state(component: Any) -> bool:
    """Return whether a component has anything to save: `state()` fields or a `state_dict()`."""
    return bool(state_fields(type(component))) or hasattr(component, "state_dict")


# the names that components go by in the composition that they were last bound into
_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def name_of(component: Any) -> str:
    """Return the name of a component in its composition: the published one, or the user's alias.

    It is the key of what belongs to the component, e.g. `plan.latent_slices[name_of(self)]`. Before
    the component is in a composition, its name is that of its class in kebab-case.
    """
    return _names.get(component) or kebab(type(component).__name__)


def set_name(component: Any, name: str) -> None:
    """Set what `name_of` returns."""
    _names[component] = name


def _check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    about = Option(
        attribute.name, attribute.type, attribute.default, **attribute.metadata["option"]
    )
    if not about.allows(value):
        name = attribute.name.replace("_", "-")
        raise ValueError(f"{name} is {value!r}, but must be {about.range} ({about.help})")


@cache
def options_of(cls: Any) -> dict[str, Option]:
    """Return the options of a component class by kebab-case name, in order of declaration."""
    fields = [field for field in attrs.fields(cls) if "option" in field.metadata]
    types = _option_types(cls, fields)
    options = {}
    for field in fields:
        options[field.name.replace("_", "-")] = Option(
            field.name, types[field.name], field.default, **field.metadata["option"]
        )
    return options


def published_options(
    name: str, info: ComponentInfo, options: Mapping[str, Option]
) -> dict[str, Option]:
    """Return options with the defaults that a component published as `name` sets for itself.

    A preset sets options of its own by a table of its own name.
    """
    own = info.defaults.get(name, {})
    own = own if isinstance(own, Mapping) else {}
    found = {}
    for option_name, option in options.items():
        found[option_name] = attrs.evolve(option, default=own.get(option_name, option.default))
    return found


def _option_types(cls: Any, fields: Iterable[attrs.Attribute[Any]]) -> dict[str, Any]:
    """Return the types of fields by name, whose annotations may be text."""
    # a class with these annotations alone, as those of other fields may name what is not there
    annotations = {field.name: field.type for field in fields}
    # a preset has no fields of its own: the types are those of its component's module
    module = next(each.__module__ for each in cls.__mro__ if "__attrs_attrs__" in vars(each))
    return get_type_hints(
        type("Options", (), {"__annotations__": annotations, "__module__": module})
    )


def kebab(name: str) -> str:
    """Spell a class's name as a component's: `MyOwnTrick` → `my-own-trick`."""
    # the second alternative parts `ABCTrick` before its last capital: `abc-trick`
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", "-", name)
    return words.strip("-").lower()


def info_of(thing: Any) -> ComponentInfo:
    """Return what a component or its class states about itself. Raises PluginError for others."""
    info = getattr(thing, INFO, None)
    if not isinstance(info, ComponentInfo):
        raise PluginError(
            f"{thing!r} is no component", fix="decorate its class with @gancore.component"
        )
    return info


@dataclass_transform(
    eq_default=False, kw_only_default=True, field_specifiers=(option, state, cached)
)
def component(
    bare: object = None,
    /,
    *,
    source: str = "",
    provides: Iterable[str] = (),
    rules: Iterable[Rule] = (),
    defaults: Mapping[str, Any] | None = None,
    defaults_with: Mapping[str, Mapping[str, Any]] | None = None,
    state_version: int = 1,
    known_as: Mapping[str, str] | None = None,
    api: int | None = None,
) -> Callable[[type[T]], type[T]]:
    """Make a class a component: its fields are options and state, `@hookimpl` methods are called.

    - `source` cites where the technique comes from, and may not be empty.
    - `provides` lists tags, which the `rules` of other components may name.
    - `rules` lists what this component `requires`, `conflicts` with, or warns of.
    - `defaults` are choices that replace those of gancore wherever the user makes none, in the form
      of a recipe, e.g. `{"optim": "descent", "descent": {"lr": 1e-4}}`.
    - `defaults_with` maps a tag to further defaults, which hold beside a component that provides
      the tag, and win over `defaults`.
    - `state_version`: raise it when the `state()` fields change. `migrate(state, from_version)`
      of the class is given an older state, a dict by field name, and returns it as it is now.
    - `known_as` maps other words by which users may look for this component to what they should
      know then, or to "". It is read from the source, so it must be a literal.
    - `api` is the version of the hooks that the class was written for, from
      `gancore.hookspecs.OLDEST_API` to `API`; by default the present one.

    Raises PluginError for a class whose methods would never be called: see `definition_faults`.
    """
    if bare is not None:
        raise PluginError(
            f"{getattr(bare, '__name__', bare)} is decorated with @component without parentheses",
            fix=EXAMPLE,
        )
    info = ComponentInfo(
        source=source,
        provides=frozenset(provides),
        rules=tuple(rules),
        defaults=dict(defaults or {}),
        defaults_with=dict(defaults_with or {}),
        state_version=state_version,
        known_as=dict(known_as or {}),
    )

    def decorate(cls: type[T]) -> type[T]:
        for fault in definition_faults(cls, source, api):
            _refuse(fault)
        defined = define_fields(cls)
        for fault in (*hash_faults(defined), *field_faults(defined)):
            _refuse(fault)
        restrict_assignment(defined)
        setattr(defined, INFO, info)
        return defined

    return decorate


def preset(
    *,
    defaults: Mapping[str, Any],
    source: str = "",
    known_as: Mapping[str, str] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Make an empty subclass of a component a preset: the component with other defaults around it.

    A preset is published under a name of its own, has a docstring, and inherits everything else::

        @preset(source="Authors, venue and year", defaults={"optim": "descent", "reg": ["bound"]})
        class Published(MyLoss):
            "The loss `my-loss` as first published: with plain descent and a bound."

    `defaults`, `source` and `known_as` are those of `component`; where no source is given, that of
    the component stands. Raises PluginError for a class that is no subclass of one component, or
    that has methods or fields of its own.
    """

    def decorate(cls: type[T]) -> type[T]:
        base = cls.__bases__[0]
        if len(cls.__bases__) != 1 or not isinstance(getattr(base, INFO, None), ComponentInfo):
            raise PluginError(
                f"the preset {cls.__name__} is not a subclass of one component",
                fix=f"class {cls.__name__}(THE_COMPONENT):",
            )
        special = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__"}
        special |= {"__firstlineno__", "__static_attributes__"}  # from Python 3.13 on
        own = [name for name in vars(cls) if name not in special]
        if own:
            raise PluginError(
                f"the preset {cls.__name__} has {', '.join(own)} of its own",
                fix="a preset changes defaults alone; @component makes a class that does more",
            )
        info = info_of(base)
        changed = attrs.evolve(
            info,
            source=source or info.source,
            defaults=dict(defaults),
            known_as=dict(known_as or {}),
        )
        # created again with __slots__, so that undeclared attributes are refused as in the base
        body: dict[str, Any] = {"__slots__": ()}
        body |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
        body |= {"__doc__": cls.__doc__, INFO: changed}
        made: type[T] = type(base)(cls.__name__, (base,), body)
        return made

    return decorate


EXAMPLE = '@component(source="Authors, venue and year, arXiv number")'


_collected: ContextVar[list[PluginError] | None] = ContextVar("collected", default=None)


@contextmanager
def collected_faults() -> Iterator[list[PluginError]]:
    """Collect what `@component` finds wrong in this context, where it would raise the first."""
    faults: list[PluginError] = []
    token = _collected.set(faults)
    try:
        yield faults
    finally:
        _collected.reset(token)


def _refuse(fault: PluginError) -> None:
    """Raise the fault of a class, or keep it where faults are collected."""
    collected = _collected.get()
    if collected is None:
        raise fault
    collected.append(fault)


def definition_faults(cls: type, source: str, api: int | None) -> Iterator[PluginError]:
    """Yield what is wrong with a class as it was written: its source, version and methods."""
    if not source.strip():
        yield PluginError(f"{cls.__name__} cites no source", fix=EXAMPLE)
    yield from api_faults(cls, hookspecs.API if api is None else api)
    yield from hook_faults(cls)


def api_faults(cls: type, api: int) -> Iterator[PluginError]:
    """Yield a PluginError for a class made for hooks of a version that is not supported."""
    oldest = hookspecs.OLDEST_API
    newest = hookspecs.API
    if not oldest <= api <= newest:
        versions = f"versions {oldest} to {newest}" if oldest < newest else f"version {newest}"
        yield PluginError(
            f"{cls.__name__} is made for hooks of version {api}, "
            f"but this gancore supports {versions}",
            fix="upgrade gancore" if api > newest else "upgrade the plugin",
        )


def define_fields(cls: type[T]) -> type[T]:
    """Give a class an `__init__` of its fields, and room for no attribute that is not declared."""
    # not the `==` of attrs: it leaves objects without the hash that pluggy needs, and it compares
    # tensors, the result of which is no bool
    return attrs.define(cls, eq=False, kw_only=True, slots=True)


def hash_faults(cls: type) -> Iterator[PluginError]:
    """Yield a PluginError for a class whose instances cannot be hashed."""
    if cls.__hash__ is None:
        yield PluginError(
            f"{cls.__name__} cannot be hashed",
            fix="leave __eq__ out, or define __hash__ beside it",
        )


def field_faults(cls: Any) -> Iterator[PluginError]:
    """Yield a PluginError for each option without a help text, or that a resume could change."""
    for each in attrs.fields(cls):
        about = each.metadata.get("option")
        if about is None:
            continue
        name = f"{cls.__name__}.{each.name}"
        if not about["help"].strip():
            yield PluginError(
                f"{name} has no help",
                fix=f'{each.name} = option({each.default!r}, help="what it is, and its unit")',
            )
        if about["resumable"]:
            # a resumed run keeps its components as they were, so that it ends with the same bits
            what = f"{name} is resumable, but only settings of a run may change when it is resumed"
            yield PluginError(what, fix="leave resumable out")


def restrict_assignment(cls: Any) -> None:
    """Allow hooks to set `state()` and `cached()` fields only; the error shows a declaration."""
    assign = cls.__setattr__
    declared = {each.name: each for each in attrs.fields(cls)}
    changing = {*state_fields(cls), *cached_fields(cls)}

    def set_attribute(self: Any, name: str, value: Any) -> None:
        # the `__init__` of attrs assigns every field once
        being_made = name in declared and not hasattr(self, name)
        known = inspect.getattr_static(type(self), name, None)
        if name in changing or being_made or isinstance(known, property):
            assign(self, name, value)
            return
        if name in declared and "option" in declared[name].metadata:
            what = f"{cls.__name__}.{name} is an option, which keeps the value that the user chose"
            name = f"current_{name}"
        else:
            what = f"{cls.__name__} has no field {name!r} that may change"
        raise AttributeError(
            f"{what}; declare one: `{_declaration(name, value)}`, "
            "or by cached() if it need not be saved"
        )

    cls.__setattr__ = set_attribute


def _declaration(name: str, value: Any) -> str:
    """Write the line that declares a field for a value like this one."""
    kind = type(value).__name__
    if type(value) in (bool, int, float, str):
        return f"{name}: {kind} = state({type(value)()!r})"
    if type(value) in (list, dict):
        return f"{name}: {kind} = state(factory={kind})"
    return f"{name}: {kind} | None = state()"


def _hook_arguments() -> dict[str, tuple[str, ...]]:
    """Return the names of the arguments of every hook, by its name."""
    specs: dict[str, tuple[str, ...]] = {}
    for name, spec in vars(hookspecs).items():
        if callable(spec) and hasattr(spec, "gancore_spec"):
            specs[name] = tuple(inspect.signature(spec).parameters)
    return specs


SPECS = _hook_arguments()


def hook_faults(cls: type) -> Iterator[PluginError]:
    """Yield a PluginError for each method of a class that pluggy would silently ignore.

    - a method named like a hook, or nearly so, without `@hookimpl`;
    - a marked method that is no hook, or a hook wrapper;
    - an argument that the hook does not have, or that has a default;
    - a class without any hook.
    """
    marked = 0
    # inherited methods too: one that overrides a hook without the mark would remove the hook
    for name in dir(cls):
        # not getattr, which hides that a method is static or of the class
        method = inspect.getattr_static(cls, name)
        if isinstance(method, staticmethod | classmethod) and name in SPECS:
            kind = type(method).__name__
            what = f"{cls.__name__}.{name} is a {kind}, but hooks are methods of an object"
            yield PluginError(what, fix=_definition(name))
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        file = inspect.getsourcefile(cls) or cls.__module__
        where = f"{file}, line {method.__code__.co_firstlineno}"
        if hasattr(method, "gancore_impl"):
            fault = _fault_of_marked(cls, name, method, where)
            if fault is not None:
                yield fault
            marked += 1
        elif near := get_close_matches(name, SPECS, n=1, cutoff=0.85):
            yield PluginError(
                f"{cls.__name__}.{name} acts on no hook, so it would never run",
                where=where,
                fix=f"{_definition(near[0])}    with @hookimpl above it",
            )
    if hasattr(cls, "state_dict") != hasattr(cls, "load_state_dict"):
        what = f"{cls.__name__} has one of state_dict() and load_state_dict() without the other"
        yield PluginError(what, fix="define both, or declare fields by state()")
    if not marked:
        yield PluginError(
            f"{cls.__name__} implements no hook, so it would do nothing",
            fix="mark its methods @hookimpl",
        )


def _definition(hook: str) -> str:
    return f"def {hook}({', '.join(('self', *SPECS[hook]))})"


def _fault_of_marked(
    cls: type, name: str, method: Callable[..., Any], where: str
) -> PluginError | None:
    """Return what is wrong with a method that is marked `@hookimpl`, or None."""
    label = f"{cls.__name__}.{name}"
    if name not in SPECS:
        near = nearest(name.replace("_", "-"), SPECS)
        return PluginError(
            f"{label} is marked @hookimpl, but gancore has no such hook",
            where=where,
            fix=_definition(near[0]) if near else "see gancore/hookspecs.py",
        )
    parameters = list(inspect.signature(method).parameters.values())
    if not parameters or parameters[0].name in SPECS[name]:
        return PluginError(f"{label} has no self", where=where, fix=_definition(name))
    del parameters[0]
    unknown = [each.name for each in parameters if each.name not in SPECS[name]]
    if unknown:
        return PluginError(
            f"{label} takes {', '.join(unknown)}, which the hook does not give",
            where=where,
            fix=f"any of {', '.join(SPECS[name])}",
        )
    # pluggy 1.6 never passes an argument that has a default, 1.7 does
    if any(each.default is not inspect.Parameter.empty for each in parameters):
        return PluginError(
            f"{label} gives a hook argument a default", where=where, fix="leave the default out"
        )
    # the methods of hooks are called one by one, not through pluggy: a wrapper would wrap nothing
    mark = method.gancore_impl  # type: ignore[attr-defined]
    if mark.get("wrapper") or mark.get("hookwrapper"):
        return PluginError(
            f"{label} is a hook wrapper; components are only called",
            where=where,
            fix="@hookimpl alone",
        )
    return None

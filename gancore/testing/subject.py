"""A component under test, with the parts of it that the checks leave out."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from gancore.plugins.calling import Component
from gancore.plugins.component import SPECS, kebab
from gancore.train.data import Data

# hooks of which one without the other is another fault
PAIRS = (
    {"critic_shape", "critic_view"},
    {"latent_width", "draw_latent"},
    {"generator_inputs", "adapt_generator"},
)


@define(eq=False)
class Subject:
    """A component class under test: its options, the components beside it, and the data.

    The checks note in `called` and `answered` which of its hooks were called, and which returned
    anything; in `changed`, which changed a tensor; in `skipped`, sentences about what they could
    not check.
    """

    cls: type
    options: Mapping[str, Any] = field(factory=dict)
    beside: Sequence[Any] = ()
    data: Data | None = None
    called: set[str] = field(init=False, factory=set)
    answered: set[str] = field(init=False, factory=set)
    changed: set[str] = field(init=False, factory=set)
    skipped: list[str] = field(init=False, factory=list)
    trained: Any = field(init=False, default=None)

    def make(self) -> list[Any]:
        """Make the component, and return it with those beside it."""
        return [self.cls(**self.options), *self.beside]

    def make_apart(self) -> list[Any]:
        """Make the component, and copies of those beside it, which share nothing with another."""
        return [self.cls(**self.options), *copy.deepcopy(list(self.beside))]

    def less(self, method: str) -> Subject:
        """Return the subject without a method; what is known of the calls of the others stays."""
        fewer = Subject(leave_out(self.cls, [method]), self.options, self.beside, self.data)
        fewer.called |= self.called
        fewer.answered |= self.answered
        fewer.changed |= self.changed
        fewer.skipped += self.skipped
        return fewer

    @property
    def name(self) -> str:
        """The name that the component has in the trainings of the checks."""
        return kebab(self.cls.__name__)

    @property
    def hooks(self) -> set[str]:
        """The hooks that the component implements."""
        return hooks_of(self.cls)

    def note(
        self,
        calls: Iterable[tuple[str, str]],
        answers: Iterable[tuple[str, str]],
        changes: Iterable[tuple[str, str]],
    ) -> None:
        """Note which of its hooks were called, answered, and changed a tensor in a training."""
        self.called |= {hook for name, hook in calls if name == self.name}
        self.answered |= {hook for name, hook in answers if name == self.name}
        self.changed |= {hook for name, hook in changes if name == self.name}


def hooks_of(cls: type) -> set[str]:
    """Return the names of the hooks that a component class implements."""
    found = set()
    for name in SPECS:
        if hasattr(inspect.getattr_static(cls, name, None), "gancore_impl"):
            found.add(name)
    return found


def leave_out(cls: type, methods: Iterable[str]) -> type:
    """Return a component class without some of its methods, and without the partners of these."""
    gone = set(methods)
    for pair in PAIRS:
        if gone & pair:
            gone |= pair
    # an option may be named too, whose declaration is at fault: it stays
    present = sorted(name for name in gone if callable(getattr(cls, name, None)))
    if not present:
        return cls
    # None is no method, so pluggy passes over it
    body: dict[str, Any] = dict.fromkeys(present)
    body |= {"__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__}
    made: type = type(cls)(cls.__name__, (cls,), body)
    return made


def unwrapped(each: Any) -> Any:
    """Return the component of a `Component`, or what was given."""
    return each.component if isinstance(each, Component) else each

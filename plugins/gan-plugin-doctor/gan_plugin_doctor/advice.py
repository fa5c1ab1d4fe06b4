"""Advice for a composition: flags to try, without those that are set already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

# slots whose components are published as another kind
KINDS = {"gen-norm": "norm", "critic-norm": "norm"}
LISTS = ("cond", "reg", "metric", "track")
NOTHING_LEFT = "nothing: every known remedy is in use or not available here; look at the images"


@cache
def installed(slot: str) -> frozenset[str]:
    """Return the names of the installed components that fit a slot."""
    return frozenset(entry.name for entry in entry_points(group=f"gancore.{KINDS.get(slot, slot)}"))


def as_words(value: object) -> str:
    """Format the value of an option as it is typed on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Recipe:
    """The composition of a run: the content of its resolved recipe, empty if unknown."""

    content: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.content)

    def names(self, slot: str) -> tuple[str, ...]:
        """Return the names of the components in a slot; an alias instead of a component's name."""
        held = self.content.get(slot, ())
        names = as_list([held] if isinstance(held, str) else held)
        return tuple(name.partition("=")[0] for name in names)

    def has(self, name: str) -> bool:
        """Return whether a component is in any slot, under its own name or an alias."""
        words: set[str] = set()
        for value in self.content.values():
            # tables hold options; lists and strings are the choices of slots
            for each in [value] if isinstance(value, str) else as_list(value):
                words.update(each.split("="))  # an alias is written `alias=name`
        return name in words

    def options(self, name: str) -> Mapping[str, Any]:
        """Return the options of a component, by its name or alias."""
        table = self.content.get(name, {})
        return table if isinstance(table, Mapping) else {}

    def rate_of(self, player: str) -> tuple[str, float] | None:
        """Return the flag of a player's learning rate and its value; None if there is none."""
        slot = "gen-optim" if player == "generator" else "critic-optim"
        for name in self.names(slot):
            options = self.options(name)
            rate = options.get("lr")
            own = options.get("critic-lr")
            if player == "critic" and "critic-lr" in options:
                rate = own if isinstance(own, int | float) else rate
                return (f"--{name}.critic-lr", float(rate)) if rate else None
            if rate:
                return f"--{name}.lr", float(rate)
        return None


def as_list(value: object) -> list[str]:
    """Return the strings of a list; an empty list for any other value."""
    if not isinstance(value, list | tuple):
        return []
    return [each for each in value if isinstance(each, str)]


UNKNOWN = Recipe()


@dataclass(frozen=True)
class Choose:
    """Advise to choose a component: `--slot name`.

    Not if a component in `unless` is chosen, with which it would change nothing.
    """

    slot: str
    name: str
    note: str = ""
    unless: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()  # where given, only beside one of these

    def words(self, recipe: Recipe) -> str:
        """Return the advice, or an empty string if it does not apply."""
        if self.name not in installed(self.slot):
            return ""
        alone = self.name in recipe.names(self.slot)
        taken = recipe.has(self.name) if self.slot in LISTS else alone
        if taken or any(map(recipe.has, self.unless)):
            return ""
        if recipe and self.beside and not any(map(recipe.has, self.beside)):
            return ""
        return f"--{self.slot} {self.name}{self.note}"


@dataclass(frozen=True)
class Drop:
    """Advise to remove a component: `--without name`."""

    name: str

    def words(self, recipe: Recipe) -> str:
        """Return the advice, or an empty string if the component is known not to be chosen."""
        return f"--without {self.name}" if recipe.has(self.name) or not recipe else ""


@dataclass(frozen=True)
class Set:
    """Advise a value of an option: `--name.option value`.

    With `only`, if it is higher (or lower) than the present value.
    """

    name: str
    option: str
    value: float | str
    only: Literal["other", "higher", "lower"] = "other"
    note: str = ""

    def words(self, recipe: Recipe) -> str:
        """Return the advice, or an empty string if it is set or the component is not chosen."""
        if not recipe:
            return f"--{self.name}.{self.option} {as_words(self.value)}{self.note}"
        now = recipe.options(self.name).get(self.option) if recipe.has(self.name) else None
        if now is None or now == self.value:
            return ""
        if self._is_backward(now):
            return ""
        flag = f"--{self.name}.{self.option} {as_words(self.value)}"
        return f"{flag} (now {as_words(now)}){self.note}"

    def _is_backward(self, now: Any) -> bool:
        """Return whether the value lies on the wrong side of the present one."""
        if not (isinstance(now, int | float) and isinstance(self.value, int | float)):
            return False
        if self.only == "higher":
            return self.value < now
        return self.only == "lower" and self.value > now


@dataclass(frozen=True)
class Scale:
    """Advise a multiple of a numeric option of a component, by the name of it or of its slot."""

    place: str
    option: str
    factor: float

    def words(self, recipe: Recipe) -> str:
        """Return the advice, or an empty string if the component has no such option."""
        for name in recipe.names(self.place) or (self.place,):
            now = recipe.options(name).get(self.option)
            if isinstance(now, bool) or not isinstance(now, int | float):
                continue
            wanted = now * self.factor
            value = max(1, round(wanted)) if isinstance(now, int) else wanted
            if value != now:
                return f"--{name}.{self.option} {as_words(value)} (now {as_words(now)})"
        return ""


@dataclass(frozen=True)
class Rate:
    """Advise a multiple of the learning rate of one player or both."""

    player: Literal["generator", "critic", "both"]
    factor: float

    def words(self, recipe: Recipe) -> str:
        """Return the advice with the present rates, or an empty string if there are none to set."""
        if not recipe:
            whose = "both players" if self.player == "both" else f"the {self.player}"
            return f"a {'lower' if self.factor < 1 else 'higher'} learning rate of {whose}"
        players = ("generator", "critic") if self.player == "both" else (self.player,)
        # a dict: both players may have one optimizer, and its flag is named once
        found = dict(filter(None, map(recipe.rate_of, players)))
        scaled = (
            f"{flag} {as_words(rate * self.factor)} (now {as_words(rate)})"
            for flag, rate in found.items()
        )
        return " ".join(scaled)


@dataclass(frozen=True)
class Say:
    """Advise in plain words, if no option applies."""

    text: str

    def words(self, recipe: Recipe) -> str:
        """Return the text."""
        return self.text


Advice = Choose | Drop | Set | Scale | Rate | Say


def worded(advice: tuple[Advice, ...], recipe: Recipe) -> str:
    """Join the advice that applies to a composition, or say that none is left."""
    flags: list[str] = []
    plain: list[str] = []
    for each in advice:
        if words := each.words(recipe):
            (plain if isinstance(each, Say) else flags).append(words)
    if flags:
        plain.insert(0, " or ".join(flags))
    return ". ".join(plain) or NOTHING_LEFT

"""Bind the hooks of the chosen components once, and call them in the order given by the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pluggy
from attrs import frozen

from gancore import hookspecs
from gancore.errors import GanError, PluginError
from gancore.plugins.component import SPECS, set_name
from gancore.plugins.slots import ROLES

# given as makers: a component's name → its own object
PER_COMPONENT = frozenset({"rng", "shared_rng", "log"})

# folds over several values whose answer may be the first of them alone
FIRST_ALONE = frozenset({"critic_view"})

TERMS = frozenset({"critic_terms", "generator_terms"})  # of which the loss is asked first

OF_ONE_PLAYER = {"adapt_generator": "generator", "adapt_critic": "critic"}


@frozen(eq=False)
class Component:
    """A component of a composition: its name there, its kind, the players it serves, its origin."""

    name: str
    kind: str
    component: Any
    roles: frozenset[str] = frozenset(ROLES)
    component_name: str = ""
    distribution: str = ""
    version: str = ""
    chosen_by: str = ""


@frozen(eq=False)
class Implementation:
    """One component's method for one hook, with the arguments it takes."""

    chosen: Component
    function: Callable[..., Any]
    wants: tuple[str, ...]

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """Pick what the method wants; what is given as a maker is made for this component."""
        name = self.chosen.name
        picked = []
        for want in self.wants:
            value = given[want]
            picked.append(value(name) if want in PER_COMPONENT else value)
        return picked

    def ask(self, given: Mapping[str, Any]) -> Any:
        """Call the method with the arguments it takes."""
        return self.function(*self.arguments(given))

    def __call__(self, hook: str, given: Mapping[str, Any]) -> Any:
        """Call the method with the arguments it takes.

        Raises PluginError, naming component, hook and step, where it fails.
        """
        try:
            return self.ask(given)
        except GanError:
            raise
        except (Exception, SystemExit) as error:
            when = f", step {given['step']}" if "step" in given else ""
            raise PluginError(
                f"{self.chosen.name} failed in {hook}{when}: {type(error).__name__}: {error}",
                where=f"{self.chosen.distribution or 'file'} {self.chosen.version}".strip(),
                fix="--debug shows the traceback",
            ) from error


class Hooks:
    """Call hooks on the chosen components and combine their results: `first`, `fold` or `all`."""

    def __init__(self, chosen: Iterable[Component]) -> None:
        self.chosen = tuple(chosen)
        self.asked: Component | None = None  # whose method is running now
        manager = pluggy.PluginManager("gancore")
        manager.add_hookspecs(hookspecs)
        for each in reversed(self.chosen):  # pluggy calls the last registered first
            manager.register(each.component, name=each.name)
            set_name(each.component, each.name)
        manager.check_pending()
        by_name = {each.name: each for each in self.chosen}
        self._implementations: dict[str, tuple[Implementation, ...]] = {}
        for hook in SPECS:
            found = [
                Implementation(by_name[impl.plugin_name], impl.function, tuple(impl.argnames))
                for impl in reversed(getattr(manager.hook, hook).get_hookimpls())
            ]
            if hook in TERMS:
                # so that the sides are scored in the loss's order, whichever components read them
                found.sort(key=lambda each: each.chosen.kind != "loss")
            self._implementations[hook] = tuple(found)

    def implementations(self, hook: str, role: str | None = None) -> tuple[Implementation, ...]:
        """Return the methods for a hook in calling order, with a role those of one player."""
        role = OF_ONE_PLAYER.get(hook, role)
        found = self._implementations[hook]
        return found if role is None else tuple(each for each in found if role in each.chosen.roles)

    def any(self, hook: str) -> bool:
        """Return whether any component implements the hook."""
        return bool(self._implementations[hook])

    def ask(self, implementation: Implementation, hook: str, given: Mapping[str, Any]) -> Any:
        """Call one component's method; `asked` is that component in the meantime."""
        before = self.asked
        self.asked = implementation.chosen
        try:
            return implementation(hook, given)
        finally:
            self.asked = before

    def first(self, hook: str, *, only: str | None = None, **given: Any) -> Any:
        """Return the first result that is not None. `only` calls one player's components."""
        before = self.asked
        try:
            for each in self.implementations(hook, only):
                self.asked = each.chosen
                answer = each(hook, given)
                if answer is not None:
                    return answer
        finally:
            self.asked = before
        return None

    def fold(self, hook: str, values: dict[str, Any], **given: Any) -> dict[str, Any]:
        """Pass `values` through every component. A result replaces them; several are a tuple."""
        found = self.implementations(hook)
        if not found:
            return values
        given |= values
        before = self.asked
        try:
            for each in found:
                self.asked = each.chosen
                answer = each(hook, given)
                if answer is None:
                    continue
                if len(values) == 1 or (hook in FIRST_ALONE and not isinstance(answer, tuple)):
                    answer = (answer, *list(values.values())[1:])
                values = dict(zip(values, answer, strict=True))
                given |= values
        finally:
            self.asked = before
        return values

    def all(self, hook: str, **given: Any) -> list[tuple[str, Any]]:
        """Return (name of the component, result) for every result that is not None, in calling
        order.
        """
        answers = []
        before = self.asked
        try:
            for each in self.implementations(hook):
                self.asked = each.chosen
                answer = each(hook, given)
                if answer is not None:
                    answers.append((each.chosen.name, answer))
        finally:
            self.asked = before
        return answers

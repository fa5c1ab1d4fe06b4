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

ASKED_OF_THE_LOSS_FIRST = frozenset({"critic_terms", "generator_terms"})

PLAYER_OF = {"adapt_generator": "generator", "adapt_critic": "critic"}


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
    """One component's method for one hook: call `function(*arguments(given))`."""

    chosen: Component
    function: Callable[..., Any]
    wants: tuple[str, ...]  # the arguments that the method takes, in its order

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """Pick what the method wants; what is given as a maker is made for this component."""
        name = self.chosen.name
        picked = []
        for want in self.wants:
            value = given[want]
            picked.append(value(name) if want in PER_COMPONENT else value)
        return picked


class Hooks:
    """Call hooks on the chosen components and combine their results: `first`, `fold` or `all`.

    They call the methods themselves, with no frame between, so that a traceback is short.
    """

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
            methods = list(reversed(getattr(manager.hook, hook).get_hookimpls()))
            if hook in ASKED_OF_THE_LOSS_FIRST:
                # so that the sides are scored in the loss's order, whichever components read them;
                # only one that asks to be first comes before, to put something into a side
                methods.sort(
                    key=lambda impl: (
                        not impl.tryfirst,
                        by_name[impl.plugin_name].kind != "loss",
                    )
                )
            self._implementations[hook] = tuple(
                Implementation(by_name[impl.plugin_name], impl.function, tuple(impl.argnames))
                for impl in methods
            )

    def implementations(self, hook: str, role: str | None = None) -> tuple[Implementation, ...]:
        """Return the methods for a hook in calling order, with a role those of one player."""
        role = PLAYER_OF.get(hook, role)
        found = self._implementations[hook]
        return found if role is None else tuple(each for each in found if role in each.chosen.roles)

    def any(self, hook: str) -> bool:
        """Return whether any component implements the hook."""
        return bool(self._implementations[hook])

    def ask(self, implementation: Implementation, hook: str, given: Mapping[str, Any]) -> Any:
        """Call one component's method; `asked` is that component in the meantime."""
        before = self.asked
        try:
            self.asked = implementation.chosen
            return implementation.function(*implementation.arguments(given))
        except BaseException as error:
            raise self.named(error, hook, given)  # noqa: B904 - it has its cause already
        finally:
            self.asked = before

    def first(self, hook: str, *, only: str | None = None, **given: Any) -> Any:
        """Return the first result that is not None. `only` calls one player's components."""
        before = self.asked
        try:
            for each in self.implementations(hook, only):
                self.asked = each.chosen
                answer = each.function(*each.arguments(given))
                if answer is not None:
                    return answer
        except BaseException as error:
            raise self.named(error, hook, given)  # noqa: B904
        finally:
            self.asked = before
        return None

    def fold(self, hook: str, values: dict[str, Any], **given: Any) -> dict[str, Any]:
        """Pass `values` through every component. A result replaces them; several are a tuple."""
        folded = values
        given |= values
        before = self.asked
        try:
            for each in self.implementations(hook):
                self.asked = each.chosen
                answer = each.function(*each.arguments(given))
                if answer is None:
                    continue
                if len(folded) == 1 or (hook in FIRST_ALONE and not isinstance(answer, tuple)):
                    answer = (answer, *list(folded.values())[1:])
                folded = dict(zip(folded, answer, strict=True))
                given |= folded
        except BaseException as error:
            raise self.named(error, hook, given)  # noqa: B904
        finally:
            self.asked = before
        self.check_folded(hook, values, folded, given)
        return folded

    def all(self, hook: str, **given: Any) -> list[tuple[str, Any]]:
        """Return (name of the component, result) for every result that is not None, in calling
        order.
        """
        answers = []
        before = self.asked
        try:
            for each in self.implementations(hook):
                self.asked = each.chosen
                answer = each.function(*each.arguments(given))
                if answer is not None:
                    answers.append((each.chosen.name, answer))
        except BaseException as error:
            raise self.named(error, hook, given)  # noqa: B904
        finally:
            self.asked = before
        return answers

    def check_folded(
        self, hook: str, values: dict[str, Any], folded: dict[str, Any], given: Mapping[str, Any]
    ) -> None:
        """Called with what a fold began with and what came of it, for a subclass to check."""

    def deprecated(self) -> list[str]:
        """Return a sentence for each deprecated hook and each component class that implements it.

        It says what to do instead.
        """
        sentences: dict[tuple[str, type], str] = {}  # once, however often a class is chosen
        for hook in SPECS:
            info = hookspecs.hook_info(hook)
            for each in self.implementations(hook) if info.deprecated else ():
                chosen = each.chosen
                origin = f" ({chosen.distribution} {chosen.version})" if chosen.distribution else ""
                sentences[hook, type(chosen.component)] = (
                    f"{chosen.name}{origin} implements {hook}, which is deprecated since gancore "
                    f"{info.deprecated}: {info.instead}"
                )
        return list(sentences.values())

    def named(self, error: BaseException, hook: str, given: Mapping[str, Any]) -> BaseException:
        """Return the error of a method as one that names its component, caused by it.

        Errors of gancore, Ctrl-C and the like stay as they are.
        """
        foreign = isinstance(error, Exception | SystemExit) and not isinstance(error, GanError)
        if not foreign or self.asked is None:
            return error
        blamed = self.blame(self.asked, hook, given, error)
        blamed.__cause__ = error
        return blamed

    def blame(
        self, asked: Component, hook: str, given: Mapping[str, Any], error: BaseException
    ) -> PluginError:
        """Return the error that names the component whose method raised `error`."""
        when = f", step {given['step']}" if "step" in given else ""
        return PluginError(
            f"{asked.name} failed in {hook}{when}: {type(error).__name__}: {error}",
            where=f"{asked.distribution or 'file'} {asked.version}".strip(),
            fix="--debug shows the traceback",
        )

"""Checks the first calls of each hook: its result, tensors written to, global settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from gancore.errors import GanError, PluginError
from gancore.guard import results
from gancore.guard.gradients import passes_gradient
from gancore.plugins.calling import Component, Hooks, Implementation
from gancore.plugins.loading import last_line
from gancore.process.global_state import ProcessSettings, put_back, settings, unchanged
from gancore.train.batch import Batch
from gancore.train.plan import Head, Tail

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition

CHECKED_CALLS = 8  # of each hook: enough for both sides of both updates, too few to cost time

CHECKED_WITH_GRADIENT = 2  # calls of critic_view on images that require a gradient

_every_call: ContextVar[bool] = ContextVar("every_call", default=False)


@contextmanager
def every_call_watched() -> Iterator[None]:
    """Watch all calls of the hooks that are bound in this context, not the first few alone."""
    before = _every_call.set(True)
    try:
        yield
    finally:
        _every_call.reset(before)


def guarded(composition: Composition) -> Composition:
    """Return the same composition with its hooks checked."""
    return evolve(composition, hooks=GuardedHooks(composition.chosen))


class GuardedHooks(Hooks):
    """Hooks whose first calls are checked, and whose global settings are checked at each row."""

    def __init__(self, chosen: Sequence[Component], watch: type[Guarded] | None = None) -> None:
        super().__init__(chosen)
        make = watch or Guarded
        always = _every_call.get() or watch is not None
        self._implementations = {
            hook: tuple(
                make(each.chosen, each.function, each.wants, self.chosen, always) for each in found
            )
            for hook, found in self._implementations.items()
        }
        self._settings: ProcessSettings = {}
        # the shape of a sample, and the shape that the critic is built for
        self._shapes: tuple[Shape, Shape] | None = None

    def fold(self, hook: str, values: dict[str, Any], **given: Any) -> dict[str, Any]:
        """Pass `values` through every component.

        Raises PluginError for a critic view of another shape than `critic_shape` returned.
        """
        answer = super().fold(hook, values, **given)
        if hook == "critic_shape" and not self._adds_to_the_view():
            sample: Shape = tuple(values["shape"])
            built_for: Shape = tuple(answer["shape"])
            self._shapes = sample, built_for
            # without a critic_view the view is the samples, and that hook is never called
            if sample != built_for and not self.any("critic_view"):
                raise self._blame_view({}, given, sample, built_for)
        if hook == "critic_view" and self._shapes is not None:
            plain, wanted = self._shapes
            shape = tuple(values["images"].shape[1:])
            view_shape = tuple(answer["images"].shape[1:])
            if shape == plain and view_shape != wanted:
                raise self._blame_view(values, given, view_shape, wanted)
        return answer

    def _adds_to_the_view(self) -> bool:
        """Return whether a component with `critic_shape` also wraps the critic.

        If so, it may change the shape of the view there.
        """
        wrapping = {each.chosen.name for each in self.implementations("adapt_critic")}
        return any(each.chosen.name in wrapping for each in self.implementations("critic_shape"))

    def _blame_view(
        self, values: dict[str, Any], given: Mapping[str, Any], found: Shape, wanted: Shape
    ) -> PluginError:
        """Return the error for a view of the wrong shape.

        It names the last component that changed the shape, or one that expects another shape.
        """
        changed = None
        for each in self.implementations("critic_view"):
            answer = self.ask(each, "critic_view", {**given, **values})
            if answer is None:
                continue
            if isinstance(answer, tuple):
                images, labels = answer
            else:
                images = answer
                labels = values["labels"]
            if images.shape[1:] != values["images"].shape[1:]:
                changed = each
            values = {"images": images, "labels": labels}
        hook = "critic_view" if changed else "critic_shape"
        culprit = changed or self.implementations("critic_shape")[-1]
        return PluginError(
            f"{culprit.chosen.name}.{hook}{when(given)}: "
            f"the view is [N, {_sizes(found)}], but the critic is built "
            f"for [N, {_sizes(wanted)}]",
            where=origin(culprit.chosen),
            fix="let critic_shape return the shape that critic_view returns",
        )

    def all(self, hook: str, **given: Any) -> list[tuple[str, Any]]:
        """Collect every result that is not None; at each row, check the process settings too."""
        found = super().all(hook, **given)
        if hook == "record":
            self._check_settings(given["row"]["step"])
        return found

    def _check_settings(self, step: int) -> None:
        if self._settings and (changed := put_back(self._settings)):
            raise PluginError(
                f"a component changed {' and '.join(changed)} before step {step}",
                where=", ".join(each.name for each in self.chosen),
                fix="--debug checks every call, and names the component",
            )
        # read at the first row, not earlier: signal handlers are installed after the build
        self._settings = self._settings or settings()


Shape = tuple[int, ...]


def _sizes(shape: Shape) -> str:
    return ", ".join(map(str, shape))


@frozen(eq=False)
class Guarded(Implementation):
    """One component's method with its first calls checked.

    Grad mode is restored after every call.
    """

    everyone: tuple[Component, ...] = field(repr=False)
    always: bool = False
    calls: Iterator[int] = field(factory=itertools.count, repr=False)
    calls_with_gradient: Iterator[int] = field(factory=itertools.count, repr=False)

    def __call__(self, hook: str, given: Mapping[str, Any]) -> Any:
        """Call the method. Raises PluginError with component, hook and step if it fails."""
        grad = torch.is_grad_enabled()
        try:
            if (
                self.always
                or next(self.calls) < CHECKED_CALLS
                or self.first_with_gradient(hook, given)
            ):
                return self.watched(hook, given)
            return self.function(*self.arguments(given))
        except GanError:
            raise
        except (Exception, SystemExit) as error:
            raise self.blame(hook, given, error) from error
        finally:
            if torch.is_grad_enabled() != grad:
                torch.set_grad_enabled(grad)

    def first_with_gradient(self, hook: str, given: Mapping[str, Any]) -> bool:
        """Return whether this is one of the first calls of critic_view that need a gradient."""
        if hook != "critic_view" or not given["images"].requires_grad:
            return False
        return next(self.calls_with_gradient) < CHECKED_WITH_GRADIENT

    def watched(self, hook: str, given: Mapping[str, Any]) -> Any:
        """Call the method and check what it did.

        Raises PluginError for what it may not do or return.
        """
        label = f"{self.chosen.name}.{hook}"
        where = origin(self.chosen)
        before = list(versions(given))
        with unchanged(label, where):
            answer = self.ask(given)
        for name, tensor, version in before:
            if tensor._version != version:  # noqa: SLF001 - the only count there is
                what = f"{label}{when(given)} writes into {name}"
                raise PluginError(what, where=where, fix="work on a copy: x + 1, not x.add_(1)")
        got, want = results.wanted(hook, self.chosen, given, answer)
        if want:
            gave = results.describe_value(got)
            what = f"{label}{when(given)} gave {gave}, but {want} is wanted"
            raise PluginError(
                what, where=where, fix="see docs/reference/hooks.md for what each hook returns"
            )
        if hook == "critic_view" and answer is not None:
            view = answer[0] if isinstance(answer, tuple) else answer
            if not passes_gradient(given["images"], view):
                what = (
                    f"{label}{when(given)} lets no gradient pass to the images, "
                    "so the generator cannot learn by it"
                )
                raise PluginError(
                    what, where=where, fix="no detach(), no rounding, no copy through NumPy"
                )
        watch_networks(hook, label, where, given, answer)
        return answer

    def blame(self, hook: str, given: Mapping[str, Any], cause: BaseException) -> PluginError:
        """Return the error naming the component whose code failed.

        That may be another one: a loss may call a network of another component.
        """
        found, line = culprit_of(cause, [self.chosen, *self.everyone])
        culprit = found or self.chosen
        by = "" if culprit is self.chosen else f" of {self.chosen.name}"
        return PluginError(
            f"{culprit.name} failed in {hook}{by}{when(given)}: {type(cause).__name__}: {cause}",
            where=", ".join(filter(None, (origin(culprit), line))),
            fix="--debug shows the traceback",
        )


def culprit_of(error: BaseException, everyone: Sequence[Component]) -> tuple[Component | None, str]:
    """Return the first component whose code raised the error, and the line; (None, "") if none."""
    line = last_line(error, {module_of(each.component) for each in everyone})
    lines = ((each, last_line(error, {module_of(each.component)})) for each in everyone)
    return next((each for each, own in lines if line and own == line), None), line


def when(given: Mapping[str, Any]) -> str:
    """Return e.g. `, step 5`, if the arguments of a hook contain the step."""
    if "step" in given:
        step = given["step"]
    elif "row" in given:
        step = given["row"].get("step")
    else:
        holder = given.get("progress", given.get("batch"))
        step = getattr(getattr(holder, "update_id", holder), "step", None)
    return "" if step is None else f", step {step}"


def origin(chosen: Component) -> str:
    """Return a component's distribution and version, or how it was chosen."""
    return f"{chosen.distribution} {chosen.version}" if chosen.distribution else chosen.chosen_by


def module_of(component: Any) -> str:
    """Return the top-level module of a component's class."""
    return type(component).__module__.partition(".")[0]


def versions(given: Mapping[str, Any]) -> Iterator[tuple[str, Tensor, int]]:
    """Yield each tensor that a hook receives and may not change, with its version counter."""
    found = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if isinstance(batch := given.get("batch"), Batch):
        for label, side in batch.sides.items():
            found |= {f"batch.{label}.{name}": value for name, value in side.computed().items()}
    for name, tensor in found.items():
        if not tensor.is_inference():
            yield name, tensor, tensor._version  # noqa: SLF001


def watch_networks(
    hook: str, label: str, where: str, given: Mapping[str, Any], answer: Any
) -> None:
    """Check the output of the networks in a result when they are first called."""
    if hook in results.NETWORKS and answer is not None:
        _watch_once(answer, results.NETWORKS[hook], f"the network of {label}", where, given)
    if hook == "extend_critic" and answer is not None:
        for part in answer if isinstance(answer, Sequence) else (answer,):
            if not isinstance(part, Tail | Head):
                gave = results.describe_value(part)
                what = f"{label} gave {gave}, but a Tail or a Head is wanted"
                raise PluginError(
                    what, where=where, fix="Tail(module, added=k) or Head(name, module)"
                )
            _watch_once(
                part.module,
                results.tail_or_head(part),
                f"the {type(part).__name__} of {label}",
                where,
                given,
            )


def _watch_once(
    net: nn.Module, check: results.Check, label: str, where: str, given: Mapping[str, Any]
) -> None:
    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        handle.remove()
        if inputs and (want := check(given, inputs, output)):
            shapes = " and ".join(
                results.describe_value(each) for each in inputs if isinstance(each, Tensor)
            )
            made = results.describe_value(output)
            what = f"{label} made {made} of {shapes}, but {want} is wanted"
            raise PluginError(
                what,
                where=where,
                fix="see docs/reference/hooks.md for the inputs and outputs of each network",
            )

    handle = net.register_forward_hook(look)

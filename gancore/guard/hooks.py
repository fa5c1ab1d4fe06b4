"""Checks the first calls of each hook: its result, tensors written to, global settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, evolve, field, frozen
from torch import Tensor, nn

from gancore.errors import PluginError
from gancore.guard import results
from gancore.guard.gradients import passes_gradient
from gancore.plugins.calling import Component, Hooks, Implementation
from gancore.plugins.loading import last_line
from gancore.process.global_state import unchanged
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
    """Hooks that check the first `calls` of each method, or all of them for None.

    Once its first calls are checked a method is called directly, at no cost.
    """

    def __init__(
        self,
        chosen: Sequence[Component],
        *,
        calls: int | None = CHECKED_CALLS,
        check: type[CheckedMethod] | None = None,
    ) -> None:
        super().__init__(chosen)
        if _every_call.get():
            calls = None
        # the shape of a sample, and the shape that the critic is built for
        self._shapes: tuple[Shape, Shape] | None = None
        if calls == 0:
            return
        make = check or CheckedMethod
        for hook, found in self._implementations.items():
            self._implementations[hook] = tuple(
                Checked(each.chosen, make(self, hook, each, calls), each.wants) for each in found
            )

    def call_directly(self, hook: str, method: Implementation) -> None:
        """End the checks of one method."""
        found = self._implementations[hook]
        self._implementations[hook] = tuple(
            method if each.chosen is method.chosen else each for each in found
        )

    def blame(
        self, asked: Component, hook: str, given: Mapping[str, Any], error: BaseException
    ) -> PluginError:
        """Return the error that names the component whose code failed.

        That may be another one than was asked: a loss may call a network of another component.
        """
        found, line = culprit_of(error, [asked, *self.chosen])
        culprit = found or asked
        by = "" if culprit is asked else f" of {asked.name}"
        return PluginError(
            f"{culprit.name} failed in {hook}{by}{when(given)}: {type(error).__name__}: {error}",
            where=", ".join(filter(None, (origin(culprit), line))),
            fix="--debug shows the traceback",
        )

    def check_folded(
        self, hook: str, values: dict[str, Any], folded: dict[str, Any], given: Mapping[str, Any]
    ) -> None:
        """Raise PluginError for a critic view of another shape than `critic_shape` returned."""
        if hook == "critic_shape" and not self._adds_to_the_view():
            sample: Shape = tuple(values["shape"])
            built_for: Shape = tuple(folded["shape"])
            self._shapes = sample, built_for
            # without a critic_view the view is the samples, and that hook is never called
            if sample != built_for and not self.any("critic_view"):
                raise self._blame_view({}, given, sample, built_for)
        if hook == "critic_view" and self._shapes is not None:
            plain, wanted = self._shapes
            shape = tuple(values["images"].shape[1:])
            view_shape = tuple(folded["images"].shape[1:])
            if shape == plain and view_shape != wanted:
                raise self._blame_view(values, given, view_shape, wanted)

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


Shape = tuple[int, ...]


def _sizes(shape: Shape) -> str:
    return ", ".join(map(str, shape))


@frozen(eq=False)
class Checked(Implementation):
    """A method under check, which needs more of what a hook is given than the method takes."""

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """Pass on all that the hook is given; what is given as a maker is not made yet."""
        return [given]


@define(eq=False)
class CheckedMethod:
    """The checks of one component's method for one hook.

    After the first `limit` calls (all, for None) the method is called directly.
    """

    hooks: GuardedHooks = field(repr=False)
    hook: str
    method: Implementation
    limit: int | None
    calls: int = 0
    calls_with_gradient: int = 0
    changes_grad_mode: bool = False  # then each call is followed by a restoration

    def __call__(self, given: Mapping[str, Any]) -> Any:
        """Call the method and check what it did. Torch's grad mode is restored."""
        grad = torch.is_grad_enabled()
        try:
            if self.is_due(given):
                return self.checked(given)
            return self.ask(given)
        finally:
            if torch.is_grad_enabled() != grad:
                torch.set_grad_enabled(grad)
                self.changes_grad_mode = True

    def ask(self, given: Mapping[str, Any]) -> Any:
        """Call the method with the arguments it takes."""
        return self.method.function(*self.method.arguments(given))

    def is_due(self, given: Mapping[str, Any]) -> bool:
        """Count this call and return whether it is checked; end the checks after the last one."""
        if self.limit is None:
            return True
        self.calls += 1
        due = self.calls <= self.limit
        pending = self.calls < self.limit
        if self.hook == "critic_view":
            # whether gradients pass shows only on images that require one, which may come late
            if given["images"].requires_grad:
                self.calls_with_gradient += 1
                due = due or self.calls_with_gradient <= CHECKED_WITH_GRADIENT
            pending = pending or self.calls_with_gradient < CHECKED_WITH_GRADIENT
        if not pending and not self.changes_grad_mode:
            self.hooks.call_directly(self.hook, self.method)
        return due

    def checked(self, given: Mapping[str, Any]) -> Any:
        """Call the method and check what it did.

        Raises PluginError for what it may not do or return.
        """
        hook = self.hook
        chosen = self.method.chosen
        label = f"{chosen.name}.{hook}"
        where = origin(chosen)
        before = list(versions(given))
        with unchanged(label, where):
            answer = self.ask(given)
        for name, tensor, version in before:
            if tensor._version != version:  # noqa: SLF001 - the only count there is
                what = f"{label}{when(given)} writes into {name}"
                raise PluginError(what, where=where, fix="work on a copy: x + 1, not x.add_(1)")
        got, want = results.wanted(hook, chosen, given, answer)
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

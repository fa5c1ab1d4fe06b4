"""Hooks whose every call is checked and noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gancore.errors import PluginError
from gancore.guard.hooks import CheckedMethod, GuardedHooks
from gancore.plugins.calling import Component
from gancore.plugins.component import has_state

# hooks that may not use torch's global generator; the others run networks, which may
QUIET = {
    "critic_view",
    "critic_targets",
    "critic_fakes",
    "critic_reals",
    "draw_latent",
    "draw_labels",
    "schedule",
    "learning_rate",
}


# hooks that change a tensor, by the argument that holds it
CHANGES = {
    "critic_view": "images",
    "critic_fakes": "images",
    "critic_reals": "images",
    "critic_targets": "targets",
    "sample_weights": "weights",
}

TERM_HOOKS = {"critic_terms", "generator_terms"}


class WatchedHooks(GuardedHooks):
    """Hooks whose every call is checked: its arguments, its result and its side effects.

    `called` holds (component, hook) for each method that was called, `answered` for each that
    returned something else than None, an empty dict or an empty list, or replaced what a side
    holds, and `changed` for each that returned other tensors than it was given.
    """

    def __init__(self, chosen: Sequence[Component]) -> None:
        self.called: set[tuple[str, str]] = set()
        self.answered: set[tuple[str, str]] = set()
        self.changed: set[tuple[str, str]] = set()
        super().__init__(chosen, calls=None, check=_Watched)


class _Watched(CheckedMethod):
    def checked(self, given: Mapping[str, Any]) -> Any:
        """Check one call, and note it."""
        hook = self.hook
        component = self.method.chosen.component
        assert isinstance(self.hooks, WatchedHooks)
        key = (self.method.chosen.name, hook)
        self.hooks.called.add(key)
        numbers = torch.get_rng_state()
        grad = torch.is_grad_enabled()
        answer = super().checked(given)
        if not (answer is None or (isinstance(answer, Mapping | Sequence) and not answer)):
            self.hooks.answered.add(key)
        # what it put into a side, every other term reads
        if hook in TERM_HOOKS and any(side.replaced for side in given["batch"].sides.values()):
            self.hooks.answered.add(key)
        if hook in CHANGES and answer is not None:
            result = answer[0] if isinstance(answer, tuple) else answer
            if not _same(result, given[CHANGES[hook]]):
                self.hooks.changed.add(key)
        faults = {"changes torch's grad mode": torch.is_grad_enabled() != grad}
        if hook in QUIET:
            faults["draws from torch's global generator"] = not torch.equal(
                torch.get_rng_state(), numbers
            )
            # a second call would change the state that the training goes on with
            repeats = has_state(component) or _same(answer, self.ask(given))
            faults["does not repeat itself for the same numbers"] = not repeats
        if hook == "critic_view" and answer is not None:
            images = answer[0] if isinstance(answer, tuple) else answer
            faults["changes the type of the images"] = images.dtype != given["images"].dtype
        for fault, found in faults.items():
            if found:
                raise PluginError(f"{self.method.chosen.name}.{hook} {fault}", fix=FIXES[fault])
        return answer


FIXES = {
    "changes torch's grad mode": "`with torch.no_grad():` around what needs it",
    "draws from torch's global generator": (
        "draw from `rng`: torch.randn(shape, generator=rng, device=rng.device)"
    ),
    "does not repeat itself for the same numbers": (
        "draw from `rng`, and keep what changes in state() fields"
    ),
    "changes the type of the images": "return images.dtype: view.to(images.dtype)",
}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    return bool(one == other)

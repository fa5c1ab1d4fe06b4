"""Checks that gradients reach the generator, in the first updates of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define
from torch import Tensor

UPDATES_WITHOUT_GRADIENT = 8  # before a run warns: an untrained critic may give none


def passes_gradient(images: Tensor, view: Tensor) -> bool:
    """Return whether a nonzero gradient flows from a critic view back to its images.

    Returns True if the images require no gradient.
    """
    if not (images.requires_grad and torch.is_grad_enabled()):
        return True
    if not view.requires_grad:
        return False
    # a random direction: for a view with its mean subtracted, the gradient of the sum is 0
    rng = torch.Generator(view.device).manual_seed(0)
    direction = torch.randn(view.shape, generator=rng, device=view.device, dtype=view.dtype)
    (gradient,) = torch.autograd.grad(view, images, direction, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.any())


@define
class FirstGradients:
    """Watches the generator's gradients until one of them is not 0."""

    without: int = 0  # updates of the generator so far with a gradient of 0
    over: bool = False

    def look(self, figures: Mapping[str, Any]) -> str:
        """Take the figures of an iteration; return a warning if all first gradients were 0."""
        # only in the first updates, because `float(norm)` waits for the GPU
        if self.over:
            return ""
        norm = figures.get("generator/grad_norm")
        if norm is None:
            return ""
        if float(norm):
            self.over = True
            return ""
        self.without += 1
        self.over = self.without == UPDATES_WITHOUT_GRADIENT
        if not self.over:
            return ""
        return (
            "the generator's gradient was exactly 0 in each of its first "
            f"{UPDATES_WITHOUT_GRADIENT} updates, so it does not learn"
        )

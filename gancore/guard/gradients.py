"""Whether gradients reach the generator: asked in the first updates of a run, and by the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define
from torch import Tensor

UPDATES = 8  # of the generator without a gradient before a run says so: an untrained critic may give none


def passes_gradient(images: Tensor, view: Tensor) -> bool:
    """Whether a view made of images lets a gradient other than 0 pass to them; True where they carry none."""
    if not (images.requires_grad and torch.is_grad_enabled()):
        return True
    if not view.requires_grad:
        return False
    # random directions: a view without its mean has a sum whose gradient is 0
    rng = torch.Generator(view.device).manual_seed(0)
    directions = torch.randn(view.shape, generator=rng, device=view.device, dtype=view.dtype)
    (gradient,) = torch.autograd.grad(view, images, directions, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.any())


@define
class FirstGradients:
    """Looks at the generator's gradients until one of them is not 0."""

    without: int = 0  # updates of the generator so far, all with a gradient of 0
    over: bool = False

    def look(self, figures: Mapping[str, Any]) -> str:
        """Take the figures of one iteration; return a remark once none of the first UPDATES had a gradient."""
        norm = None if self.over else figures.get("generator/grad_norm")
        if norm is None:
            return ""
        if float(norm):
            self.over = True
            return ""
        self.without += 1
        self.over = self.without == UPDATES
        if not self.over:
            return ""
        return f"the generator's gradient was exactly 0 in each of its first {UPDATES} updates, so it does not learn"

"""Draw latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gancore.plugins.calling import Hooks
    from gancore.train.plan import Plan
    from gancore.train.rng import Streams


def draw_latent(hooks: Hooks, plan: Plan, n: int, streams: Streams, *key: int | str) -> Tensor:
    """Draw latents `[n, Z]` on the CPU, so that a seed means the same on every device."""
    found = hooks.all(
        "draw_latent", n=n, plan=plan, rng=lambda name: streams.generator(f"latent/{name}", *key)
    )
    columns = [drawn for _, drawn in found]
    # torch.cat would copy the only one
    return columns[0] if len(columns) == 1 else torch.cat(columns, 1)

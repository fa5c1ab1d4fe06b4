"""What one training step needs: networks, optimizers, hooks and data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from torch import Tensor

if TYPE_CHECKING:
    from gancore.plugins.calling import Hooks
    from gancore.train.data import Data
    from gancore.train.networks import GAN
    from gancore.train.plan import Plan
    from gancore.train.precision import Runtime
    from gancore.train.rng import Streams


# samples [N, *shape] and labels [N, L], gathered when first called
Reals = Callable[[], tuple[Tensor, Tensor]]
Figures = dict[str, Any]


@frozen(eq=False)
class TrainingContext:
    """Everything an update needs and none of it changes: the players, the plan, the hooks, the
    random streams.
    """

    gan: GAN
    hooks: Hooks
    plan: Plan
    streams: Streams
    runtime: Runtime
    data: Data | None = field(repr=False)

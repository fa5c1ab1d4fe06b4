"""What a metric or a picture is given: a run as it is now."""

from __future__ import annotations

from attrs import frozen
from torch import Tensor

from gancore.run.samples import draw_samples
from gancore.step import Game


@frozen(eq=False)
class Progress:
    """A run after `step` finished iterations and `epoch` passes over the data."""

    game: Game
    step: int
    epoch: float

    def samples(self, n: int, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw n samples `[n, *shape]` and labels `[n, L]`, with the same latents at every step of the run."""
        return draw_samples(self.game, n, "measure", labels=labels)

    def reals(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n real samples `[n, *shape]` and labels `[n, L]`, the same at every step of the run."""
        return self.game.plan.reals(n)

"""What a metric or a picture is given: a run as it is now."""

from __future__ import annotations

from attrs import field, frozen
from torch import Tensor

from gancore.batch import Judgement, Sample
from gancore.networks import draw_latent
from gancore.plan import Plan
from gancore.run.samples import draw_samples, judge, make_samples
from gancore.step import Game


@frozen(eq=False)
class Progress:
    """A run after `step` finished iterations and `epoch` passes over the data.

    `before` is the step of the metrics row before this one; `drawing` says whether the run draws its samples now.
    """

    game: Game = field(repr=False)
    step: int
    epoch: float
    before: int = 0
    drawing: bool = True

    @property
    def plan(self) -> Plan:
        """Shapes, label sets, latent."""
        return self.game.plan

    def due(self, every: int) -> bool:
        """Whether what happens every so many steps happens now; with 0, whenever the run draws its samples."""
        return self.step // every > self.before // every if every else self.drawing

    def latents(self, n: int) -> Tensor:
        """Draw n latents `[n, Z]`, the same at every step of the run."""
        return draw_latent(self.game.hooks, self.game.plan, n, self.game.streams, "measure")

    def make(self, z: Tensor, labels: Tensor) -> Sample:
        """Make samples of latents `[n, Z]` and labels `[n, L]`, on the CPU, by the network that samples come from."""
        return make_samples(self.game, z, labels)

    def judge(self, images: Tensor, labels: Tensor) -> Judgement:
        """Let the critic judge plain images `[n, *shape]` with labels `[n, L]` in evaluation mode, on the CPU."""
        return judge(self.game, images, labels)

    def samples(self, n: int, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw n samples `[n, *shape]` and labels `[n, L]`, with the same latents at every step of the run."""
        return draw_samples(self.game, n, "measure", labels=labels)

    def reals(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n real samples `[n, *shape]` and labels `[n, L]`, the same at every step of the run."""
        return self.game.plan.reals(n)

"""What a metric or a picture is given: a run as it is now."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from torch import Tensor

from gancore.plugins.calling import Component
from gancore.plugins.slots import SEVERAL, SINGLE
from gancore.recipe.compose import option_values
from gancore.train.batch import Sample
from gancore.train.context import TrainingContext
from gancore.train.data import Data
from gancore.train.latents import draw_latent
from gancore.train.networks import GAN, CriticOutput
from gancore.train.plan import Plan
from gancore.train.sampling import draw_samples, judge, make_samples


@frozen(eq=False)
class Progress:
    """A run as it is now, for `measure` and `draw`.

    What its methods return lies on the CPU and comes from networks in evaluation mode.

    - `step`: how many iterations are finished.
    - `epoch`: how many times the data was shown, with a fraction.
    - `before`: the step of the metrics row before this one; 0 before the first.
    - `drawing`: whether the run draws its sample grid now.

    Internal: `context`.
    """

    context: TrainingContext = field(repr=False)
    step: int
    epoch: float
    before: int = 0
    drawing: bool = True

    @property
    def recipe(self) -> dict[str, Any]:
        """The composition in the form of a resolved recipe: slots, and a table of options for each
        component.

        The settings of the run are left out, and a component of a file is given by its name alone.
        """
        chosen = self.context.hooks.chosen
        recipe: dict[str, Any] = {}
        for name, slot in SINGLE.items():
            for each in chosen:
                # of one kind there may be two: the norm of one player, and that of the other
                if each.kind == slot.kind and slot.roles <= each.roles:
                    recipe.setdefault(name, spelled(each))
        for kind in SEVERAL:
            names = [spelled(each) for each in chosen if each.kind == kind]
            if names:
                recipe[kind] = names
        for each in chosen:
            recipe[each.name] = option_values(each)
        return recipe

    @property
    def gan(self) -> GAN:
        """Both players. Run a network inside `with gancore.fork_state(network, gan.device):`."""
        return self.context.gan

    @property
    def data(self) -> Data | None:
        """The data of the run.

        None where it is not at hand, as in a run that was opened to draw samples.
        """
        return self.context.data

    @property
    def plan(self) -> Plan:
        """Shapes, label sets and latent of the run."""
        return self.context.plan

    def due(self, every: int) -> bool:
        """Return whether what happens every so many steps is to happen now.

        With `every=0`, whenever the run draws its sample grid. A multiple of `every` that was
        passed since the row before counts, because rows have steps of their own.
        """
        if every == 0:
            return self.drawing
        return self.step // every > self.before // every

    def latents(self, n: int) -> Tensor:
        """Draw n latents, float32 `[n, Z]`, the same at every step of the run."""
        return draw_latent(
            self.context.hooks, self.context.plan, n, self.context.streams, "measure"
        )

    def make(self, z: Tensor, labels: Tensor) -> Sample:
        """Return samples of latents `[n, Z]` and labels `[n, L]` by the network that samples come
        from: the generator, or what `sampling_generator` returned.
        """
        return make_samples(self.context, z, labels)

    def judge(self, images: Tensor, labels: Tensor) -> CriticOutput:
        """Return the critic's output for images `[n, *shape]` with labels `[n, L]`; no
        `critic_view` is applied.
        """
        return judge(self.context, images, labels)

    def samples(self, n: int, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw n samples `[n, *shape]` and labels `[n, L]`, of the same latents at every step.

        Labels have the frequencies of the data unless `labels [n, L]` are given. There may be fewer
        rows, where a component selects (`select_samples`).
        """
        return draw_samples(self.context, n, "measure", labels=labels)

    def reals(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n real samples `[n, *shape]` and labels `[n, L]`, the same at every step.

        Zeros where the data is not at hand.
        """
        return self.context.plan.reals(n)


def spelled(chosen: Component) -> str:
    """Return how a recipe names a component: `NAME`, or `ALIAS=NAME`."""
    own = chosen.component_name or chosen.name
    return chosen.name if chosen.name == own else f"{chosen.name}={own}"

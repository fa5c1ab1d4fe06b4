"""R1 and R2: the critic's squared gradients at reals and at fakes."""

from math import prod

import attrs
import torch

from gan_plugin_gradient_penalty.gradient_penalty import OF_EACH_SAMPLE, in_float32
from gancore import (
    CompositionError,
    component,
    hookimpl,
    input_gradients,
    option,
    warns_with,
)

SOURCE = "Mescheder, Geiger and Nowozin, ICML 2018, arXiv:1801.04406"

RULES = [
    OF_EACH_SAMPLE,
    warns_with(
        "critic.gradient-norm-penalty",
        "one penalty then trains the gradients towards 0, the other towards a norm of its own",
        cite="Kurach et al., ICML 2019, arXiv:1807.04720",
        fix="leave one of them out",
    ),
    warns_with(
        "critic.cross-sample",
        "a score then depends on the other samples, "
        "so the gradient of one image is that of many scores",
        cite="Gulrajani et al. 2017, section 4",
    ),
]


def squared_gradients(batch, side):
    """Return the sum over each view of the squares of ∂D/∂x at a side's images, averaged, 0-d.

    x is the image before the view, with the side's own random draws, in float32 at least.
    """
    images = in_float32(side.images)
    labels = side.view_labels

    def score(images):
        return batch.critic(side.apply_view(images), labels).score

    with torch.autocast(images.device.type, enabled=False):
        gradients = input_gradients(score, images)
    # rows of the view: where a view packs images, the gradients of a pack are summed
    return gradients.square().sum() / len(labels)


@attrs.define(eq=False, kw_only=True)
class ZeroCentred:
    """Penalise the critic's squared gradients at one side. A base of components, none itself."""

    gamma: float | None = option(
        10.0, ge=0, help="factor γ; none takes StyleGAN2-ADA's rule of images, 0.0002·H·W/batch"
    )
    every: int = option(
        1, ge=1, help="steps from one penalty to the next (lazy), which is multiplied by it"
    )

    def penalty(self, batch, side, log):
        """Return the term of a side, and log its mean squared gradient."""
        squares = squared_gradients(batch, side)
        log("squared-gradient", squares)
        return {"penalty": self.every * self.factor(batch.plan) / 2 * squares}

    def factor(self, plan):
        """Return γ, by the rule for images where the option is none: 0.0002·H·W/N.

        Raises CompositionError where the data are no images.
        """
        if self.gamma is not None:
            return self.gamma
        if not plan.images:
            raise CompositionError(
                "the rule 0.0002·H·W/N holds for images",
                where="gamma = none",
                fix="a number: for points about the square of the distance of modes, "
                "and 10 times that",
            )
        return 0.0002 * prod(plan.shape[1:]) / plan.batch


@component(
    source=f"{SOURCE}, equation 9; γ of images: Karras et al., NeurIPS 2020, arXiv:2006.06676",
    provides=["lipschitz", "critic.gradient-penalty", "critic.zero-centred"],
    rules=RULES,
    known_as={"gradient-penalty-at-reals": ""},
)
class R1(ZeroCentred):
    """Penalise the critic's squared gradients at reals: γ/2 · mean ‖∂D(T(x))/∂x‖².

    The derivative is by the real x `[N, *shape]` before its view T, so the augmentation lies inside
    of the function; the norm is over all of C·H·W. For a linear critic w·x the term is γ/2·‖w‖².
    Several programs leave out the ½ of the paper. Computed in float32, also under autocast. Updates
    without reals have no penalty. Logs `squared-gradient`, the mean without γ/2.

    γ is in units of the data squared: points whose modes are half as far apart need a quarter.
    """

    @hookimpl
    def critic_terms(self, batch, step, log):
        if batch.real is None or step % self.every:
            return None
        return self.penalty(batch, batch.real, log)


@component(
    source=f"{SOURCE}, equation 10; with R1: Huang et al., NeurIPS 2024, arXiv:2501.05441",
    provides=["lipschitz", "critic.gradient-penalty", "critic.zero-centred"],
    rules=RULES,
    known_as={"gradient-penalty-at-fakes": ""},
)
class R2(ZeroCentred):
    """Penalise the critic's squared gradients at fakes: γ/2 · mean ‖∂D(T(x))/∂x‖².

    As R1, at the fakes of the critic's update; nothing reaches the generator.
    """

    @hookimpl
    def critic_terms(self, batch, step, log):
        if step % self.every:
            return None
        return self.penalty(batch, batch.fake, log)

"""Gradient penalty: train the critic to have input gradients of norm 1 between reals and fakes."""

import torch

from gancore import (
    CompositionError,
    component,
    conflicts,
    draw_rows,
    hookimpl,
    input_gradients,
    option,
    warns_with,
)

SOURCE = "Gulrajani et al., NeurIPS 2017, arXiv:1704.00028"


@component(
    source=SOURCE,
    provides=["lipschitz", "critic.gradient-penalty"],
    rules=[
        conflicts(
            "critic.batch-statistics",
            "the penalty is defined for each sample, "
            "but with batch statistics a score depends on every sample",
            cite="Gulrajani et al. 2017, section 4",
            fix="--critic-norm layer or none",
        ),
        warns_with(
            "critic.cross-sample",
            "a score then depends on the other samples, "
            "so the penalty no longer bounds the gradient by its own sample",
            cite="Gulrajani et al. 2017, section 4",
        ),
        warns_with(
            "weights.clipped",
            "both bound the gradient, and the penalty was proposed to replace clipping",
            cite="Gulrajani et al. 2017, section 3",
            fix="leave weight-clipping out",
        ),
    ],
    known_as={"gp": ""},
)
class GradientPenalty:
    """Penalise the critic's input gradients for norms other than 1 between reals and fakes.

    x̂ = ε·x + (1-ε)·G(z) with one ε ~ U[0, 1] a sample, on the views `[N, C, H, W]` (points `[N,
    d]` alike), and the term is penalty = weight·mean over samples of (‖∂D(x̂)/∂x̂‖₂ - target)², the
    norm over all of C·H·W. x̂ has the label of its real, so with a conditional critic fakes should
    have the labels of their reals. Computed in float32, also under autocast. Updates without reals
    have no penalty. Logs `gradient-norm`, the mean of the norms.

    The norm `rows-of-first-image` is a fault kept for comparison, found in garridoq/gan-guide: only
    the first sample's gradient counts, with one norm for each image row, over C and W. Each norm is
    trained towards the target, and so that of an image of H rows towards √H times the target.
    Raises CompositionError for it where the data are no images.
    """

    weight: float = option(10.0, ge=0, help="factor λ of the penalty, at least 0")
    target: float = option(
        1.0, ge=0, help="target of the norm, in score per unit of the image range [-1, 1]"
    )
    one_sided: bool = option(False, help="true penalises only norms above the target")
    every: int = option(
        1,
        ge=1,
        help="steps from one penalty to the next (lazy), which is multiplied by this number",
    )
    norm: str = option(
        "image",
        choices=("image", "rows-of-first-image"),
        help="the part of the gradients under one norm; rows-of-first-image is a fault",
    )

    @hookimpl
    def critic_terms(self, batch, step, rng, log):
        if batch.real is None or step % self.every:
            return None
        real = in_float32(batch.real.view)
        fake = in_float32(batch.fake.view)
        share = draw_rows(torch.rand, (len(real), *[1] * (real.dim() - 1)), rng)  # [N, 1, …]
        between = share * real + (1 - share) * fake
        labels = batch.real.view_labels
        with torch.autocast(real.device.type, enabled=False):
            gradients = input_gradients(lambda views: batch.critic(views, labels).score, between)
            norms = self.norms(gradients)
        log("gradient-norm", norms.mean())
        excess = norms - self.target
        if self.one_sided:
            excess = excess.relu()
        return {"penalty": self.every * self.weight * excess.square().mean()}

    def norms(self, gradients):
        """Return the norms `[N]` of gradients `[N, …]`, or those of the first one's rows, `[H]`."""
        # vector_norm has the subgradient 0 at 0, where that of a square root is infinite
        if self.norm == "image":
            return torch.linalg.vector_norm(gradients.flatten(1), dim=1)
        if gradients.dim() != 4:
            raise CompositionError(
                "only images have rows whose norms could be taken",
                where="gradient-penalty.norm",
                fix="--gradient-penalty.norm image",
            )
        return torch.linalg.vector_norm(gradients[0], dim=(0, 2))  # of [C, H, W]


def in_float32(view):
    """Detach a view, and convert a smaller dtype to float32."""
    return view.detach().to(torch.promote_types(view.dtype, torch.float32))

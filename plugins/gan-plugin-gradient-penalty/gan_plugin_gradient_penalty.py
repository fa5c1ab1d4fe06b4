"""Gradient penalty: ask the critic for a slope of 1 between reals and fakes."""

import torch

from gancore import CompositionError, component, conflicts, draw_rows, hookimpl, input_gradients, option, warns_with

SOURCE = "Gulrajani et al., NeurIPS 2017, arXiv:1704.00028"


@component(
    source=SOURCE,
    provides=["lipschitz", "critic.gradient-penalty"],
    rules=[
        conflicts(
            "critic.batch-statistics",
            "the penalty is one number for each sample, but with batch statistics a score depends on every sample",
            cite="Gulrajani et al. 2017, section 4",
            fix="--critic-norm layer or none",
        ),
        warns_with(
            "critic.cross-sample",
            "a score then depends on the other samples, so the penalty no longer bounds one sample's own slope",
            cite="Gulrajani et al. 2017, section 4",
        ),
        warns_with(
            "weights.clipped",
            "both hold the slope down, and the penalty was proposed to replace clipping",
            cite="Gulrajani et al. 2017, section 3",
            fix="leave weight-clipping out",
        ),
    ],
    known_as={"gp": ""},
)
class GradientPenalty:
    """Pull the norm of the critic's gradient towards 1 between reals and fakes.

    x̂ = ε·x + (1-ε)·G(z) with one ε ~ U[0, 1] a sample, on the views `[N, C, H, W]` (points `[N, d]` alike), and the
    term is penalty = weight·mean over samples of (‖∂D(x̂)/∂x̂‖₂ - target)², the norm over all of C·H·W. The labels of
    the reals go with x̂, so a conditional critic wants fakes that carry the labels of their reals. Computed in float32
    also under autocast. An update without reals has no penalty. Logs `gradient-norm`, the mean of the norms.

    The norm `rows-of-first-image` is a fault kept for comparison, that of garridoq/gan-guide: of the first sample's
    gradient alone, one norm an image row, over C and W, each pulled to the target, so an image of H rows to √H times
    the target. Raises CompositionError for it where the data are points.
    """

    weight: float = option(10.0, ge=0, help="factor λ of the penalty, at least 0")
    target: float = option(1.0, ge=0, help="norm that is asked for, in score per unit of the image range [-1, 1]")
    one_sided: bool = option(False, help="true penalises only norms above the target")
    every: int = option(1, ge=1, help="steps from one penalty to the next, which then counts that many times")
    norm: str = option(
        "image", choices=("image", "rows-of-first-image"), help="what one norm is taken of; rows-of-… is a fault"
    )

    @hookimpl
    def critic_terms(self, batch, step, rng, log):
        if batch.real is None or step % self.every:
            return None
        views = batch.real.view, batch.fake.view
        real, fake = (view.detach().to(torch.promote_types(view.dtype, torch.float32)) for view in views)
        share = draw_rows(torch.rand, (len(real), *[1] * (real.dim() - 1)), rng)  # [N, 1, …]
        between, labels = share * real + (1 - share) * fake, batch.real.view_labels
        with torch.autocast(real.device.type, enabled=False):
            norms = self.norms(input_gradients(lambda views: batch.critic(views, labels).score, between))
        log("gradient-norm", norms.mean())
        excess = norms - self.target
        if self.one_sided:
            excess = excess.relu()
        return {"penalty": self.every * self.weight * excess.square().mean()}

    def norms(self, gradients):
        """Norms `[N]` of gradients `[N, …]`, or those of the rows of the first, `[H]`.

        Where a gradient is 0 its norm is 0 and so is the (sub)gradient: finite, unlike that of a bare square root.
        """
        if self.norm == "image":
            return torch.linalg.vector_norm(gradients.flatten(1), dim=1)
        if gradients.dim() != 4:
            raise CompositionError(
                "points have no rows whose norms could be taken",
                where="gradient-penalty.norm",
                fix="--gradient-penalty.norm image",
            )
        return torch.linalg.vector_norm(gradients[0], dim=(0, 2))  # of [C, H, W]

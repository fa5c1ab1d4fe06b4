"""Gradient penalties: train the critic to have input gradients of a given norm."""

import torch

from gancore import (
    CompositionError,
    component,
    conflicts,
    draw_rows,
    gather,
    hookimpl,
    input_gradients,
    option,
    preset,
    warns_with,
)

SOURCE = "Gulrajani et al., NeurIPS 2017, arXiv:1704.00028"

# of penalties that have a value for each sample
OF_EACH_SAMPLE = conflicts(
    "critic.batch-statistics",
    "the penalty is defined for each sample, "
    "but with batch statistics a score depends on every sample",
    cite="Gulrajani et al. 2017, section 4",
    fix="--critic-norm layer or none",
)


@component(
    source=SOURCE,
    provides=["lipschitz", "critic.gradient-penalty", "critic.gradient-norm-penalty"],
    rules=[
        OF_EACH_SAMPLE,
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
        warns_with(
            "critic.gradient-norm-penalty",
            "two penalties then train the same norms, each towards a target of its own",
            cite="Kurach et al., ICML 2019, arXiv:1807.04720",
            fix="leave one of them out",
        ),
    ],
    known_as={"gp": ""},
)
class GradientPenalty:
    """Penalise the critic's input gradients for norms other than 1 between reals and fakes.

    The term is penalty = weight·mean over samples of |‖∂D(x̂)/∂x̂‖₂ - target|^power, the norm over
    all of C·H·W, at points x̂ `[N, C, H, W]` (points `[N, d]` alike) made of views:

    - `at` between: x̂ = ε·x + (1-ε)·G(z) with one ε ~ U[0, 1] a sample;
    - `at` around-reals: x̂ = x + noise·std(x)·u with u ~ U[0, 1) for each element, and std that of
      all elements of the batch of all processes (DRAGAN).

    x̂ has the label of its real, so with a conditional critic fakes should have the labels of their
    reals. With `over` max the largest term of the batch of all processes takes the place of the
    mean. Computed in float32, also under autocast. Updates without reals have no penalty. Logs
    `gradient-norm`, the mean of the norms.

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
    at: str = option(
        "between",
        choices=("between", "around-reals"),
        help="the points of the penalty: between reals and fakes, or reals with noise",
    )
    noise: float = option(
        0.5, ge=0, help="largest noise around reals, in standard deviations of the batch"
    )
    power: float = option(2.0, gt=0, help="power of the distance from the target")
    over: str = option(
        "mean", choices=("mean", "max"), help="mean of the samples, or the largest of them"
    )

    @hookimpl
    def critic_terms(self, batch, step, rng, log):
        if batch.real is None or step % self.every:
            return None
        points = self.points(batch, rng)
        labels = batch.real.view_labels
        with torch.autocast(points.device.type, enabled=False):
            gradients = input_gradients(lambda views: batch.critic(views, labels).score, points)
            norms = self.norms(gradients)
        log("gradient-norm", norms.mean())
        excess = norms - self.target
        if self.one_sided:
            excess = excess.relu()
        # the even power needs no absolute value, whose derivative at 0 is not defined
        costs = excess.square() if self.power == 2 else excess.abs().pow(self.power)
        cost = costs.mean() if self.over == "mean" else gather(costs).max()
        return {"penalty": self.every * self.weight * cost}

    def points(self, batch, rng):
        """Return the points `[N, …]` at which the gradient is penalised, at least float32."""
        real = in_float32(batch.real.view)
        if self.at == "between":
            fake = in_float32(batch.fake.view)
            share = draw_rows(torch.rand, (len(real), *[1] * (real.dim() - 1)), rng)  # [N, 1, …]
            return share * real + (1 - share) * fake
        deviation = gather(real).std(correction=0)
        return real + self.noise * deviation * draw_rows(torch.rand, real.shape, rng)

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


@preset(
    source="Thanh-Tung, Tran and Venkatesh, ICLR 2019, arXiv:1902.03984, section 5",
    defaults={"zero-gp": {"target": 0.0}},
    known_as={"0-gp": "", "zero-centred-gradient-penalty": ""},
)
class ZeroGP(GradientPenalty):
    """Penalise the square of the critic's gradients between reals and fakes: the target is 0."""


@preset(
    source="Petzka, Fischer and Lukovnikov, ICLR 2018, arXiv:1709.08894, equation 8",
    defaults={"wgan-lp": {"one-sided": True}},
    known_as={"lipschitz-penalty": "", "lp": ""},
)
class WGANLP(GradientPenalty):
    """Penalise the critic's gradients between reals and fakes only where their norm is above 1."""


@preset(
    source="Kodali et al. 2017, arXiv:1705.07215, algorithm 1",
    defaults={"dragan": {"at": "around-reals"}},
)
class DRAGAN(GradientPenalty):
    """Penalise the critic's gradients around reals for norms other than 1.

    The noise is ½·std·U[0, 1) of an element, as in the paper; the author's program also multiplies
    it by a number of each sample.
    """


@preset(
    source="Zhou et al., Lipschitz generative adversarial nets, ICML 2019, arXiv:1902.05687, "
    "section 4",
    defaults={"max-gp": {"target": 0.0, "over": "max"}},
    known_as={"lgan": ""},
)
class MaxGP(GradientPenalty):
    """Penalise the largest squared gradient of the batch between reals and fakes."""


@preset(
    source="Wu et al., ECCV 2018, arXiv:1712.01026, equation 12",
    defaults={"wgan-div": {"target": 0.0, "weight": 2.0, "power": 6.0}},
    known_as={"wgan-divergence": ""},
)
class WGANDiv(GradientPenalty):
    """Penalise the sixth power of the critic's gradients between reals and fakes, times 2."""

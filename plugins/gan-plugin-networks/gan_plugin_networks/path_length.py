"""Path length regularisation: let steps of the style change images by lengths that are alike."""

import torch
from torch import Tensor

from gancore import (
    CompositionError,
    average,
    component,
    draw_rows,
    hookimpl,
    option,
    requires,
    state,
)


@component(
    source="Karras et al., CVPR 2020, arXiv:1912.04958, section 3.2, equation 4, and appendix B",
    rules=[
        requires(
            "generator.styles",
            "it differentiates images by the styles that the generator returns",
            fix="--gen stylegan2-lite, or leave path-length out",
        )
    ],
)
class PathLength:
    """Penalise how far ‖Jᵀy‖ is from its running mean a: weight·every·mean (‖Jᵀy‖ - a)².

    J is the derivative of images `[N, C, H, W]` by the styles `[N, S, W]` that the generator
    returns as the extra `styles`, and y is normal noise of the images' shape divided by √(H·W), so
    ‖Jᵀy‖² is a sum over W and a mean over S. a is averaged over all updates with a penalty, by
    `decay`, and no gradient flows through it. The penalty takes a pass of its own over latents of
    its own, 1/`share` of the batch, in float32. Updates in between have no term. Logs `length`,
    the mean of ‖Jᵀy‖.
    """

    weight: float = option(2.0, ge=0, help="factor of the penalty")
    every: int = option(
        4, ge=1, help="steps from one penalty to the next, which is multiplied by this number"
    )
    decay: float = option(0.01, gt=0, le=1, help="share of the newest mean length in a")
    share: int = option(2, ge=1, help="every how many latents of a batch one is used")
    mean: Tensor | None = state()

    @hookimpl
    def generator_terms(self, batch, step, rng, log):
        if step % self.every:
            return None
        lengths = self.lengths(batch, rng)
        now = average(lengths.detach().mean())
        last = torch.zeros_like(now) if self.mean is None else self.mean.to(now)
        self.mean = torch.lerp(last, now, self.decay)
        log("length", now)
        penalty = (lengths - self.mean).square().mean()
        return {"penalty": self.weight * self.every * penalty}

    def lengths(self, batch, rng):
        """Return ‖Jᵀy‖ `[N/share]` of new latents, differentiable."""
        z = batch.draw_latents()
        noise = draw_rows(torch.randn, (len(z), *batch.plan.shape), rng)[:: self.share]
        noise = noise / (noise[0, 0].numel() ** 0.5)
        with torch.autocast(z.device.type, enabled=False):
            made = batch.generator(z[:: self.share], batch.fake.labels[:: self.share])
            along = (made.images * noise).sum()
            styles = made.extras["styles"]
            (gradient,) = torch.autograd.grad(along, styles, create_graph=True, allow_unused=True)
            if gradient is None:
                raise CompositionError(
                    "the styles that the generator returns are a copy of those that it used",
                    where="path-length",
                    fix="leave path-length out, or what wraps the generator (--gen-norm none)",
                )
            return (gradient.square().sum(2).mean(1) + 1e-12).sqrt()

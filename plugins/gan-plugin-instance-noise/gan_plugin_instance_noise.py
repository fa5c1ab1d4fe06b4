"""Instance noise: blur reals and fakes alike, so that no critic can tell them apart perfectly."""

import torch

from gancore import component, draw_rows, hookimpl, option


@component(source="Sønderby et al., ICLR 2017, arXiv:1610.04490", provides=["view.noise"])
class InstanceNoise:
    """Add annealed Gaussian noise to everything the critic sees.

    The view becomes x + s·n with n ~ N(0, 1) drawn anew for every element and every view, reals and fakes, in both
    players' updates, and s = sigma·max(0, 1 - step/anneal). Images keep shape `[N, C, H, W]` and dtype; they are not
    clamped, for that would bias the mean. Samples and metrics stay clean.
    """

    sigma: float = option(0.1, ge=0, help="standard deviation at step 0, in units of the image range [-1, 1]")
    anneal: int = option(0, ge=0, help="steps over which sigma falls linearly to 0; 0 keeps it constant")

    def sigma_at(self, step):
        """Standard deviation at `step` (>= 0), in units of the image range."""
        return self.sigma * max(0.0, 1 - step / self.anneal) if self.anneal else self.sigma

    @hookimpl
    def critic_view(self, images, step, rng):
        sigma = self.sigma_at(step)
        if sigma == 0:
            return images
        noise = draw_rows(torch.randn, images.shape, rng).to(images)
        return images + sigma * noise

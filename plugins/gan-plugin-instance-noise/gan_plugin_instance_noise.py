"""Instance noise: Gaussian noise on reals and fakes, so that their distributions overlap."""

import torch

from gancore import cached, component, draw_rows, hookimpl, option

REALS = 256  # whose standard deviation is taken for that of all


@component(source="Sønderby et al., ICLR 2017, arXiv:1610.04490", provides=["view.noise"])
class InstanceNoise:
    """Add annealed Gaussian noise to the critic's input, reals and fakes alike.

    The view is x + s·n with n ~ N(0, 1) drawn anew for each element and view, of reals and fakes,
    in both players' updates, and s = sigma·max(0, 1 - step/anneal). Images keep shape
    `[N, C, H, W]` and dtype. They are not clamped, since that would bias the mean. Samples and
    metrics have no noise. Logs `relative` = s over the standard deviation of the reals.
    """

    sigma: float = option(
        0.1,
        ge=0,
        help="standard deviation of the noise at step 0, in units of the image range [-1, 1]",
    )
    anneal: int | None = option(
        0,
        ge=0,
        run_length=True,
        help="steps in which sigma decreases linearly to 0; 0 keeps it constant, "
        "none: the number of steps of the run",
    )
    deviation: float = cached(0.0)  # of the reals, the same throughout the run

    def sigma_at(self, step):
        """Return the standard deviation at `step` (>= 0), in units of the image range."""
        if not self.anneal:
            return self.sigma
        return self.sigma * max(0.0, 1 - step / self.anneal)

    @hookimpl
    def critic_view(self, images, step, rng):
        sigma = self.sigma_at(step)
        if sigma == 0:
            return images
        noise = draw_rows(torch.randn, images.shape, rng).to(images)
        return images + sigma * noise

    @hookimpl
    def measure(self, progress):
        if not self.deviation:
            self.deviation = float(progress.reals(REALS)[0].std())
        # the data may be constant, or not at hand
        if not self.deviation > 0:
            return None
        return {"relative": self.sigma_at(progress.step) / self.deviation}

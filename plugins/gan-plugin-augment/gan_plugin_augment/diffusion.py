"""Diffusion-GAN: noise of a random time, which the critic is given."""

import math

import torch
from torch import Tensor, nn

from gan_plugin_augment.controller import Controlled, follows_signs
from gancore import LabelSet, Tail, component, draw_rows, hookimpl, name_of, option

WAVES = 8  # cosines that describe a time


class TimeGain(nn.Module):
    """Multiply features `[N, F]` by 1 + W·e(t), with cosines e of the time and W initially 0."""

    def __init__(self, features, column, times):
        super().__init__()
        self.column = column
        self.times = times
        self.gain = nn.Parameter(torch.zeros(features, WAVES))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        share = labels[:, self.column, None].to(features) / self.times  # 0 to 1
        waves = torch.arange(WAVES, device=share.device).to(share)
        return features * (1 + (math.pi * share * waves).cos() @ self.gain.to(share).T)


@component(
    source="Wang et al., ICLR 2023, arXiv:2206.02262, section 3; "
    "numbers: github.com/Zhendong-Wang/Diffusion-GAN",
    provides=["view.noise"],
    rules=[follows_signs("diffusion-noise")],
    known_as={"diffusion-gan": "", "diffusion": ""},
)
class DiffusionNoise(Controlled):
    """Diffuse what the critic is given to a random time t, and give the critic t.

    The view is √a_t·x + √(1 - a_t)·sigma·n with n ~ N(0, 1), of reals and fakes, where
    a_t = Π_{s≤t} (1 - β_s), and β rises linearly from `beta_first` to `beta_last` over `times`
    times. t is uniform in 0 … T, one for each sample, a_0 = 1, and T = least + p·(times - least)
    grows with the strength p: with `adapt sign` p ← clip(p + sign(r - target)·N·every/(1000·speed),
    0, limit) after `every` critic updates, r the mean sign of the scores of reals since, which
    needs a loss whose score 0 means undecided; with `adapt ramp` it rises with the steps. Instance
    noise is the case of one t, without the critic knowing.

    The time is a column of the view's labels, after those of the data. A tail of the critic
    multiplies its features `[N, F]` by 1 + W·e(t), e eight cosines of t, W initially 0; the source
    has a mapping network. p and r are state. Works with samples of any shape. Logs `longest`, T.
    """

    times: int = option(500, ge=1, help="number of times, the most that T can be")
    least: int = option(5, ge=0, help="T at strength 0")
    sigma: float = option(
        0.05, ge=0, help="deviation of the noise at the last time, in units of the range [-1, 1]"
    )
    beta_first: float = option(1e-4, ge=0, lt=1, help="variance added at the first time")
    beta_last: float = option(2e-2, ge=0, lt=1, help="variance added at the last time")
    limit: float = option(1.0, ge=0, le=1, help="largest strength; the end of the ramp")

    def kept(self, device):
        """Return a_t, `[times + 1]`, the share of the image's variance that is left at time t."""
        beta = torch.linspace(self.beta_first, self.beta_last, self.times, dtype=torch.float64)
        return torch.cat([torch.ones(1), (1 - beta).cumprod(0)]).to(device, torch.float32)

    def longest(self, step, device):
        """Return T, a scalar."""
        least = min(self.least, self.times)
        return (least + self.strength(step, device) * (self.times - least)).round()

    @hookimpl
    def view_labels(self):
        return LabelSet(name_of(self), tuple(map(str, range(self.times + 1))))

    @hookimpl
    def critic_view(self, images, labels, step, rng):
        longest = self.longest(step, images.device)
        uniform = draw_rows(torch.rand, (len(images), 1), rng).to(images.device)
        noise = draw_rows(torch.randn, images.shape, rng).to(images)
        times = (uniform * (longest + 1)).floor().clamp(max=longest).long()
        kept = self.kept(images.device)[times].view(-1, *[1] * (images.dim() - 1))
        view = kept.sqrt().to(images) * images + (1 - kept).sqrt().to(images) * self.sigma * noise
        return view, torch.cat([labels, times], 1)

    @hookimpl(trylast=True)
    def extend_critic(self, features, plan):
        return Tail(TimeGain(features, plan.column(name_of(self)), self.times), 0, labels=True)

    @hookimpl
    def critic_terms(self, batch, step, log):
        log("longest", self.longest(step, batch.fake.view.device))

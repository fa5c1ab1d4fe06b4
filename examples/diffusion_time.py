"""Noise of a random time, which the critic is given: `--reg ./examples/diffusion_time.py`."""

from functools import partial

import torch
from torch import nn

from gancore import LabelSet, Tail, component, draw_rows, hookimpl, option


@component(source="Wang et al., Diffusion-GAN, ICLR 2023, arXiv:2206.02262, section 3")
class DiffusionTime:
    """Diffuse what the critic sees to a random time t, and give the critic t.

    A view is sqrt(a_t) · x + sqrt(1 - a_t) · noise with a_t = (1 - beta)^t and t uniform in
    0 … steps - 1, one t for each sample. The time is a column of the labels, after those of the
    data; a tail of the critic appends an embedding of it to the features `[N, F]`.
    """

    steps: int = option(16, ge=1, help="number of times")
    beta: float = option(0.02, ge=0, lt=1, help="variance added at each time")
    width: int = option(8, ge=1, help="features of the embedding of t")

    @hookimpl
    def view_labels(self):
        return LabelSet("t", tuple(map(str, range(self.steps))))

    @hookimpl
    def critic_view(self, images, labels, rng):
        # draw_rows: in several processes the numbers that one would draw for these rows
        times = draw_rows(partial(torch.randint, self.steps), (len(images), 1), rng)
        noise = draw_rows(torch.randn, images.shape, rng)
        kept = (1 - self.beta) ** times.view(-1, *[1] * (images.dim() - 1))
        view = kept.sqrt() * images + (1 - kept).sqrt() * noise
        return view, torch.cat([labels, times], 1)

    @hookimpl
    def extend_critic(self, plan):
        return Tail(TimeTail(plan.column("t"), self.steps, self.width), self.width, labels=True)


class TimeTail(nn.Module):
    """Appends an embedding of the time to features `[N, F]`."""

    def __init__(self, column, steps, width):
        super().__init__()
        self.column = column
        self.embedding = nn.Embedding(steps, width)

    def forward(self, features, labels):
        return torch.cat([features, self.embedding(labels[:, self.column])], 1)

"""Sampling from an exponential moving average (EMA) of the generator's weights."""

from copy import deepcopy

import torch

from gancore import component, hookimpl, option, state


@component(
    source=(
        "Karras et al., ICLR 2018, arXiv:1710.10196, appendix A.1; "
        "Yazıcı et al., ICLR 2019, arXiv:1806.04498; "
        "half-life and its ramp: Karras et al., NeurIPS 2020, arXiv:2006.06676, published program"
    ),
    known_as={"polyak": "", "weight-averaging": "", "exponential-moving-average": ""},
)
class EMA:
    """Sample from an exponential moving average of the generator's weights.

    After each generator update θ̄ ← d·θ̄ + (1 - d)·θ for each parameter of the generator, where
    d = decay, or with `ramp` min(decay, (1 + n)/(10 + n)) at the n-th averaged update, so that the
    first weights soon lose their influence. The first update, and all updates of the first `start`
    steps, only copy: θ̄ = θ. Buffers, such as the running statistics of batch norm, are not
    averaged: the sampling network has the generator's current ones. Before the first update the
    generator itself is sampled. Training does not change. Memory is one more set of weights.

    With a `half_life` h, in images, d = 0.5^(N/h) for batches of N, whatever `decay` is: the share
    of a weight is halved every h images. `ramp` is then StyleGAN's: in place of h stands
    min(h, ramp_share·n·N), a share of the images that were seen since averaging began.
    """

    decay: float = option(
        0.999, ge=0, lt=1, help="decay d of the average in each generator update, 0 to 1"
    )
    start: int = option(
        0, ge=0, help="steps before averaging begins; before, the average is the current weights"
    )
    ramp: bool = option(
        True,
        help="true lowers the decay at first: to (1 + n)/(10 + n) at the n-th averaged update, "
        "or by ramp-share",
    )
    half_life: float = option(
        0.0, ge=0, help="images in which the share of a weight is halved; 0 takes decay instead"
    )
    ramp_share: float = option(
        0.05, gt=0, help="largest half-life under ramp, as a share of the images seen so far"
    )
    weights: dict[str, torch.Tensor] = state(factory=dict)  # θ̄ by the parameter's name
    updates: int = state(0)  # n

    @hookimpl
    def after_generator_update(self, gan, batch, step):
        current = {
            name: weight.detach() for name, weight in gan.generator.network.named_parameters()
        }
        if step < self.start or not self.weights:
            self.weights = {name: weight.clone() for name, weight in current.items()}
            return
        self.updates += 1
        keep = self.keep(batch.plan.batch)
        for name, weight in current.items():
            self.weights[name] = self.weights[name].to(weight.device).lerp_(weight, 1 - keep)

    def keep(self, images):
        """Return the decay d of the n-th averaged update, in [0, 1), for so many images in each."""
        if self.half_life:
            half_life = self.half_life
            if self.ramp:
                half_life = min(half_life, self.ramp_share * self.updates * images)
            return 0.5 ** (images / half_life)
        if not self.ramp:
            return self.decay
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    @hookimpl(tryfirst=True)  # before components that wrap the network with these weights
    def sampling_generator(self, net):
        if not self.weights:
            return None
        average = deepcopy(net)
        with torch.no_grad():
            for name, weight in average.named_parameters():
                weight.copy_(self.weights[name])
        return average

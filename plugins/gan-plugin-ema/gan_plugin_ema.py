"""Sampling from an exponential moving average of the generator's weights."""

from copy import deepcopy

import torch

from gancore import component, hookimpl, option, state


@component(
    source="Karras et al., ICLR 2018, arXiv:1710.10196, appendix A.1; Yazıcı et al., ICLR 2019, arXiv:1806.04498",
    known_as={"polyak": "", "weight-averaging": "", "exponential-moving-average": ""},
)
class EMA:
    """Draw samples and metrics from an average of the generator's weights; training does not see it.

    After each generator update θ̄ ← d·θ̄ + (1 - d)·θ for every parameter of the generator, where d = decay, or with
    `ramp` min(decay, (1 + n)/(10 + n)) at the n-th averaged update, so that the noise of the start is soon forgotten.
    The first update, and all of the first `start` steps, only copy: θ̄ = θ. Buffers, such as the running statistics of
    batch norm, are never averaged: a sampling network has those of the generator at that moment. Before the first
    update the generator itself is sampled. Memory is that of one more set of weights.
    """

    decay: float = option(0.999, ge=0, lt=1, help="share of the old average kept in each generator update, 0 to 1")
    start: int = option(0, ge=0, help="steps before averaging begins; until then the average is the current weights")
    ramp: bool = option(True, help="true lowers the decay to (1 + n)/(10 + n) at the n-th averaged update")
    weights: dict[str, torch.Tensor] = state(factory=dict)  # θ̄ by the parameter's name
    updates: int = state(0)  # n

    @hookimpl
    def after_generator_update(self, gan, step):
        current = {name: weight.detach() for name, weight in gan.generator.network.named_parameters()}
        if step < self.start or not self.weights:
            self.weights = {name: weight.clone() for name, weight in current.items()}
            return
        self.updates += 1
        keep = self.keep()
        for name, weight in current.items():
            self.weights[name] = self.weights[name].to(weight.device).lerp_(weight, 1 - keep)

    def keep(self):
        """Return d, the share of the old average that the n-th averaged update keeps, in [0, 1)."""
        return min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.ramp else self.decay

    @hookimpl(tryfirst=True)  # a network with other weights, which other components wrap
    def sampling_generator(self, net):
        if not self.weights:
            return None
        average = deepcopy(net)
        with torch.no_grad():
            for name, weight in average.named_parameters():
                weight.copy_(self.weights[name])
        return average

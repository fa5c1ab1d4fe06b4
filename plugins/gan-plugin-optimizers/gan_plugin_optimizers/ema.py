"""Sampling from an exponential moving average (EMA) of the generator's weights."""

from copy import deepcopy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from gancore import component, hookimpl, option, state


@component(
    source=(
        "Karras et al., ICLR 2018, arXiv:1710.10196, appendix A.1; "
        "Yazıcı et al., ICLR 2019, arXiv:1806.04498; "
        "half-life with a ramp: Karras et al., NeurIPS 2020, arXiv:2006.06676, its program"
    ),
    known_as={"polyak": "", "weight-averaging": "", "exponential-moving-average": ""},
)
class EMA:
    """Sample from an exponential moving average of the generator's weights.

    After each generator update θ̄ ← d·θ̄ + (1 - d)·θ for each parameter of the generator, where
    d = decay, or with `ramp` min(decay, (1 + n)/(10 + n)) at the n-th averaged update, so that the
    first weights soon lose their influence. With `half_life` h, d = ½^(1/h): after h updates a
    weight counts half; the ramp is then min(h, ramp_share·n). The first update, and all updates of
    the first `start` steps, only copy: θ̄ = θ. Running statistics of batch norms are averaged as the
    weights are, since those of the current weights do not fit averaged ones; `standing-stats`
    computes exact ones. Other buffers are the generator's current ones. Before the first update the
    generator itself is sampled. Training does not change. Memory is one more set of weights.
    """

    decay: float = option(
        0.999, ge=0, lt=1, help="decay d of the average in each generator update, 0 to 1"
    )
    start: int = option(
        0, ge=0, help="steps before averaging begins; before, the average is the current weights"
    )
    ramp: bool = option(
        True, help="true lowers the decay to (1 + n)/(10 + n) at the n-th averaged update"
    )
    half_life: float | None = option(
        None,
        gt=0,
        help="half-life in updates, i.e. images/batch, in place of decay",
    )
    ramp_share: float = option(
        0.05, gt=0, le=1, help="half-life of the ramp, as a share of the averaged updates"
    )
    weights: dict[str, torch.Tensor] = state(factory=dict)  # θ̄ and statistics, by their names
    updates: int = state(0)  # n

    @hookimpl
    def after_generator_update(self, gan, step):
        current = averaged_tensors(gan.generator.network)
        if step < self.start or not self.weights:
            self.weights = {name: weight.clone() for name, weight in current.items()}
            return
        self.updates += 1
        keep = self.keep()
        for name, weight in current.items():
            self.weights[name] = self.weights[name].to(weight.device).lerp_(weight, 1 - keep)

    def keep(self):
        """Return the decay d of the n-th averaged update, in [0, 1)."""
        if self.half_life is not None:
            ramp = self.ramp_share * self.updates
            return 0.5 ** (1 / min(self.half_life, ramp if self.ramp else self.half_life))
        if not self.ramp:
            return self.decay
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    @hookimpl(tryfirst=True)  # before components that wrap the network with these weights
    def sampling_generator(self, net):
        if not self.weights:
            return None
        average = deepcopy(net)
        with torch.no_grad():
            for name, tensor in averaged_tensors(average).items():
                tensor.copy_(self.weights[name])
        return average


def averaged_tensors(net):
    """Return the parameters of a network, and the running statistics of its batch norms, by name.

    They share memory with the network, and have no gradient.
    """
    tensors = {name: weight.detach() for name, weight in net.named_parameters()}
    for prefix, module in net.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            for name in ("running_mean", "running_var"):
                tensors[f"{prefix}.{name}".lstrip(".")] = getattr(module, name)
    return tensors

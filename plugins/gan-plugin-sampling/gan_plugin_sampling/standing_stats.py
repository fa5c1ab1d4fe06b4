"""Standing statistics: batch norm of the sampled generator by statistics computed anew."""

from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from gancore import cached, component, evaluating, fork_state, hookimpl, option, warns_without


class WithStatistics(nn.Module):
    """Call a generator with other statistics of its batch norms: latents and labels → samples."""

    def __init__(self, net, statistics):
        super().__init__()
        self.net = net
        self.statistics = statistics  # by the names of the buffers of `net`

    def forward(self, z, labels):
        return functional_call(self.net, self.statistics, (z, labels))


@component(
    source="Brock et al., ICLR 2019, arXiv:1809.11096, appendix B",
    rules=[
        warns_without(
            "generator.batch-statistics",
            "a generator without batch norm has no statistics to compute anew",
        )
    ],
    known_as={"standing-statistics": ""},
)
class StandingStats:
    """Compute the statistics of the sampled generator's batch norms anew, over several batches.

    Before samples are drawn, `batches` forward passes are made in which the batch norms normalise
    by their own batch; mean and (unbiased) variance of each layer, averaged over these passes, take
    the place of its running statistics. The passes have 2 to `largest` samples, a number drawn once
    for all; latents are those of the prior, and of each label set every class is as likely. All
    draws are the same every time, so samples of the same weights are. With `ema` this gives the
    averaged weights statistics of their own, where those of the generator would not fit.

    The network itself is not changed, and neither is training. Other wrappers, such as truncated
    latents, act on these passes too. Every drawing costs `batches` more passes. The source
    computes them over 100 batches.
    """

    batches: int = option(16, ge=1, help="forward passes over which statistics are averaged")
    largest: int | None = option(
        None, ge=2, help="samples in the largest pass; none takes the batch of the run"
    )
    plan: object = cached()

    @hookimpl
    def adapt_generator(self, plan):
        self.plan = plan  # for latents and labels; the network stays as it is

    @hookimpl(trylast=True)  # so that the passes are made as samples are, with all wrappers
    def sampling_generator(self, net):
        norms = {name: layer for name, layer in net.named_modules() if has_statistics(layer)}
        return WithStatistics(net, self.statistics(net, norms)) if norms else None

    def statistics(self, net, norms):
        """Return the averaged statistics by the names of the network's buffers."""
        device = next(net.parameters()).device
        rng = torch.Generator().manual_seed(0)
        found = {}
        with fork_state(net, device), averaging(net, norms.values()):
            torch.manual_seed(0)  # for layers that draw in evaluation mode too
            for z, labels in self.inputs(rng):
                net(z.to(device), labels.to(device))
            for name, layer in norms.items():
                found[f"{name}.running_mean"] = layer.running_mean
                found[f"{name}.running_var"] = layer.running_var
        return found

    def inputs(self, rng):
        """Return latents `[n, Z]` and labels `[n, L]` of each pass."""
        largest = max(2, self.largest or self.plan.batch)
        sizes = torch.randint(2, largest + 1, (self.batches,), generator=rng).tolist()
        labels = torch.empty(sum(sizes), len(self.plan.label_sets), dtype=torch.int64)
        for column, each in enumerate(self.plan.label_sets):
            labels[:, column] = torch.randint(len(each), (sum(sizes),), generator=rng)
        latents = self.plan.latents(sum(sizes))
        return list(zip(latents.split(sizes), labels.split(sizes), strict=True))


def has_statistics(layer):
    """Return whether a layer is a batch norm with running statistics."""
    return isinstance(layer, _BatchNorm) and layer.running_mean is not None


@contextmanager
def averaging(net, norms):
    """Let the norms average their batches' statistics inside the block; the rest only evaluates."""
    momenta = {norm: norm.momentum for norm in norms}
    with evaluating(net):
        for norm in momenta:
            norm.train()
            norm.momentum = None  # torch's word for the plain average of all batches
            norm.reset_running_stats()
        try:
            yield
        finally:
            for norm, momentum in momenta.items():
                norm.momentum = momentum

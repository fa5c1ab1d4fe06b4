"""Standing statistics: batch norm of the sampling network measured anew."""

import torch
from torch import nn
from torch.func import functional_call

from gancore import Plan, cached, component, fork_state, hookimpl, option, warns_without


class Standing(nn.Module):
    """Call a network with other buffers, those of its norms, than its own."""

    def __init__(self, net, statistics):
        super().__init__()
        self.net = net
        # no buffers of this module, which a network would list as its own
        self.statistics = statistics

    def forward(self, z, labels):
        return functional_call(self.net, self.statistics, (z, labels))


@component(
    source="Brock et al., ICLR 2019, arXiv:1809.11096, section 4.2 and appendix F",
    rules=[
        warns_without(
            "generator.batch-statistics",
            "only norms with running statistics are measured anew",
            fix="leave standing-stats out",
        ),
    ],
    known_as={"standing-statistics": ""},
)
class StandingStats:
    """Measure the running statistics of the sampling network's norms anew, over `batches` batches.

    Mean and variance of every layer with running statistics become the averages over batches of
    2 to `size` latents and labels, the same at every time: samples so depend neither on the batch
    that they are drawn in nor on how the statistics lagged behind the weights, which with averaged
    weights (`ema`) belong to other ones. Labels have all classes alike. Training does not change.
    Costs `batches` passes whenever samples are drawn. Layers that draw numbers are in evaluation
    mode.
    """

    batches: int = option(16, ge=1, help="batches that the statistics are averaged over")
    size: int = option(64, ge=2, help="samples in the largest of these batches")

    plan: Plan | None = cached()

    @hookimpl
    def adapt_generator(self, plan):
        self.plan = plan

    @hookimpl
    def sampling_generator(self, net):
        norms = {}
        for name, module in net.named_modules():
            if getattr(module, "running_mean", None) is not None:
                norms[f"{name}." if name else ""] = module
        return Standing(net, self.statistics_of(net, norms)) if norms else None

    def statistics_of(self, net, norms):
        """Return mean and variance of each norm by the name of its buffer."""
        modes = {module: module.training for module in net.modules()}
        momenta = {module: module.momentum for module in norms.values()}
        device = next(net.parameters()).device
        net.eval()
        try:
            with torch.no_grad(), fork_state(net, device):
                for number, (z, labels) in enumerate(self.inputs(), 1):
                    for module in norms.values():
                        module.train()
                        module.momentum = 1 / number  # the running value is then the plain mean
                    net(z.to(device), labels.to(device))
                return {
                    f"{prefix}{name}": getattr(module, name).clone()
                    for prefix, module in norms.items()
                    for name in ("running_mean", "running_var")
                }
        finally:
            for module, mode in modes.items():
                module.training = mode
            for module, momentum in momenta.items():
                module.momentum = momentum

    def inputs(self):
        """List latents and labels of batches of growing size, from 2 on."""
        sizes = torch.linspace(2, self.size, self.batches).long().tolist()
        total = sum(sizes)
        counts = [len(each.classes) for each in self.plan.label_sets]
        rng = torch.Generator().manual_seed(0)
        columns = [torch.randint(count, (total, 1), generator=rng) for count in counts]
        labels = torch.cat([torch.empty(total, 0, dtype=torch.int64), *columns], 1)
        return zip(self.plan.latents(total).split(sizes), labels.split(sizes), strict=True)

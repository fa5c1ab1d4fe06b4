"""Minibatch standard deviation: one feature of the critic that says how much a group varies."""

import torch
from torch import Tensor, nn

from gancore import Tail, component, gather, hookimpl, option, peers


class Deviation(nn.Module):
    """Append the standard deviation of each sample's group to features, `[N, F] → [N, F + 1]`."""

    def __init__(self, group: int, eps: float):
        super().__init__()
        self.group = group
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        whole = gather(features)  # of all processes, so that groups are those of one process
        wide = whole.to(torch.promote_types(whole.dtype, torch.float32))
        deviations = torch.cat([self.deviation(each) for each in wide.split(self.group)])
        own = peers().local_rows(deviations)
        return torch.cat([features, own.to(features.dtype)[:, None]], 1)

    def deviation(self, group: Tensor) -> Tensor:
        """Return the mean over features of a group's deviations, once for each of its rows."""
        variance = group.var(0, correction=0)
        return (variance + self.eps).sqrt().mean().expand(len(group))


@component(
    source="Karras et al., ICLR 2018, arXiv:1710.10196, section 3",
    provides=["critic.cross-sample"],
    known_as={"mbstd": "", "stddev": "", "minibatch-std": ""},
)
class MinibatchStddev:
    """Append to the critic's features how much the samples of a group vary: one number a group.

    Each `group` successive samples of a batch, reals or fakes alone, are a group (a last one may
    be smaller). For features f `[N, F]` the number is the mean over the F features of √(var + eps),
    var over the group without Bessel's correction, and every sample of the group is given it:
    `[N, F] → [N, F + 1]`. For identical samples it is √eps. Groups span the processes that share a
    run, so two compute what one does; gradients flow through it.

    The source computes it at the last map of its critic and appends a constant map before the last
    convolution; here it acts on the critic's features and is followed by the score, which suits any
    critic. A score depends on the other samples of its group, as with minibatch discrimination.
    """

    group: int = option(4, ge=2, help="samples in a group")
    eps: float = option(1e-8, gt=0, help="added to the variance")

    # after a tail that appends the label, as minibatch discrimination is
    @hookimpl(trylast=True)
    def extend_critic(self):
        return Tail(Deviation(self.group, self.eps), added=1)

"""Heads of the critic that classify its features, and losses of their outputs."""

from torch import Tensor, nn


class Linear(nn.Module):
    """Compute outputs `[N, K]` from the critic's features `[N, F]` by one linear layer."""

    def __init__(self, features, outputs):
        super().__init__()
        self.linear = nn.Linear(features, outputs)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features)


def share_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is that of their label, a scalar."""
    return (logits.argmax(1) == labels).float().mean()

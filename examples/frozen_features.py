"""A critic on features that are not trained: `--critic ./examples/frozen_features.py`."""

from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load
from torch import nn

from gancore import (
    CheckpointError,
    CompositionError,
    Frozen,
    cached,
    component,
    hookimpl,
    option,
    state,
)

FEATURES = 32  # channels of the last map


def feature_network(channels):
    """Return the network whose weights the file holds: `[N, C, H, W]` → `[N, 32, H/4, W/4]`."""
    first = nn.Conv2d(channels, 16, 4, 2, 1)
    second = nn.Conv2d(16, FEATURES, 4, 2, 1)
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))


@component(source="Sauer et al., Projected GANs converge faster, NeurIPS 2021, section 3")
class FrozenFeatures:
    """Train a small head on the maps of a network that stays as it is.

    The network's weights are read from a safetensors file and are neither trained nor saved: a
    checkpoint holds the SHA-256 of the file, and a run is resumed only with the same. Gradients
    pass through the network to the generator. Raises CompositionError where the file is not there
    or holds other weights.
    """

    path: str = option("", help="safetensors file with the weights of the feature network")

    digest: str = state("")
    compared: bool = cached(False)  # in this process

    @hookimpl
    def make_critic(self, plan):
        content = self.read()
        net = feature_network(plan.critic_shape[0])
        try:
            net.load_state_dict(load(content))
        except RuntimeError as error:
            raise CompositionError(
                f"{self.path} holds other weights than the feature network: {error}",
                where="--frozen-features.path",
            ) from error
        return FeatureCritic(Frozen(net))

    @hookimpl
    def before_step(self):
        if self.compared:
            return
        found = sha256(self.read()).hexdigest()
        if self.digest and found != self.digest:
            raise CheckpointError(
                f"{self.path} holds other weights than those the run began with",
                where="--frozen-features.path",
                fix="put the first file back",
            )
        self.digest = found
        self.compared = True

    def read(self):
        """Return the content of the file. Raises CompositionError if it cannot be read."""
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise CompositionError(
                f"{self.path} cannot be read: {error.strerror}", where="--frozen-features.path"
            ) from error


class FeatureCritic(nn.Module):
    """A trained convolution over frozen maps: samples `[N, C, H, W]` → features `[N, F]`."""

    def __init__(self, frozen):
        super().__init__()
        self.frozen = frozen
        self.mix = nn.Conv2d(FEATURES, 16, 1)

    def forward(self, view, labels):
        return torch.relu(self.mix(self.frozen(view))).flatten(1)

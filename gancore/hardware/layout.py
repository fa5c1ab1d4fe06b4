"""Uses the channels-last memory format where it is faster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import evolve
from torch import Tensor

from gancore.errors import UsageError
from gancore.plugins.slots import ROLES, Role
from gancore.train.networks import GAN
from gancore.train.plan import Plan
from gancore.train.precision import Runtime
from gancore.train.sampling import evaluating

CHANNELS_LAST_FROM = 32  # samples per batch from which channels last was measured to be faster


def use_channels_last(
    gan: GAN, plan: Plan, runtime: Runtime, setting: str, roles: Sequence[Role] = ROLES
) -> Runtime:
    """Convert convolutions to channels last if the runtime asks for it; return the runtime in use.

    Networks without convolutions stay as they are. So do networks that fail in this format, such as
    those that call `view` on a feature map, if `setting` is `auto`. Raises UsageError for these if
    `setting` is `true`.
    """
    weights: list[Tensor] = []
    for role in roles:
        weights += gan.player(role).parameters
    if not runtime.channels_last or all(weight.dim() != 4 for weight in weights):
        return evolve(runtime, channels_last=False)
    _convert(gan, torch.channels_last, roles)
    try:
        _run_once(gan, plan, roles)
    except RuntimeError as error:
        if setting == "true":
            raise UsageError(
                f"a network does not work with channels last: {error}",
                where="--channels-last true",
                fix="--channels-last auto",
            ) from None
        _convert(gan, torch.contiguous_format, roles)
        return evolve(runtime, channels_last=False)
    return runtime


def _convert(gan: GAN, layout: torch.memory_format, roles: Sequence[Role]) -> None:
    for role in roles:
        gan.player(role).network.to(memory_format=layout)
        gan.player(role).extras.to(memory_format=layout)


def _run_once(gan: GAN, plan: Plan, roles: Sequence[Role]) -> None:
    """Run each network on two samples of zeros, in evaluation mode so that no statistics change."""
    view = torch.zeros(2, *plan.critic_shape, device=gan.device)
    if view.dim() == 4:
        view = view.contiguous(memory_format=torch.channels_last)
    inputs = {"generator": torch.zeros(2, plan.latent, device=gan.device), "critic": view}
    sets = {"generator": plan.label_sets, "critic": plan.for_critic().label_sets}
    for role in roles:
        network = gan.player(role).network
        labels = torch.zeros(2, len(sets[role]), dtype=torch.int64, device=gan.device)
        with evaluating(network):
            network(inputs[role], labels)

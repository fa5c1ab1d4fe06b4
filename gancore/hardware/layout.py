"""Use the channels-last memory format where it is faster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import evolve

from gancore.errors import UsageError
from gancore.plugins.slots import ROLES, Role
from gancore.train.networks import GAN
from gancore.train.plan import Plan
from gancore.train.precision import Runtime
from gancore.train.sampling import evaluating

WORTHWHILE = 32  # samples of a batch from which a layout with channels last was measured to pay


def use_channels_last(gan: GAN, plan: Plan, runtime: Runtime, wish: str, roles: Sequence[Role] = ROLES) -> Runtime:
    """Lay the players' convolutions out as the runtime wants; return it as it can be had.

    Networks without convolutions stay as they are. So do, where the wish is `auto`, those that read a map's numbers in
    the order of memory, as `view` does. Raises UsageError for them where it is `true`.
    """
    weights = [weight for role in roles for weight in gan.player(role).parameters]
    if not runtime.channels_last or all(weight.dim() != 4 for weight in weights):
        return evolve(runtime, channels_last=False)
    _lay(gan, torch.channels_last, roles)
    try:
        _try(gan, plan, roles)
    except RuntimeError as error:
        if wish == "true":
            what = f"a network does not bear channels last: {error}"
            raise UsageError(what, where="--channels-last true", fix="--channels-last auto") from None
        _lay(gan, torch.contiguous_format, roles)
        return evolve(runtime, channels_last=False)
    return runtime


def _lay(gan: GAN, layout: torch.memory_format, roles: Sequence[Role]) -> None:
    for role in roles:
        gan.player(role).network.to(memory_format=layout)
        gan.player(role).extras.to(memory_format=layout)


def _try(gan: GAN, plan: Plan, roles: Sequence[Role]) -> None:
    """Run each network on two black samples, in evaluation mode so that nothing is learnt."""
    labels = torch.zeros(2, len(plan.label_sets), dtype=torch.int64, device=gan.device)
    view = torch.zeros(2, *plan.critic_shape, device=gan.device)
    view = view.contiguous(memory_format=torch.channels_last) if view.dim() == 4 else view
    inputs = {"generator": torch.zeros(2, plan.latent, device=gan.device), "critic": view}
    for role in roles:
        network = gan.player(role).network
        with evaluating(network):
            network(inputs[role], labels)

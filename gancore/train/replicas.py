"""Check that all processes hold the same networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gancore.distributed.group import ProcessGroup
from gancore.errors import PeerError
from gancore.plugins.slots import ROLES, Role
from gancore.train.networks import GAN, Player


def expect_same(gan: GAN, group: ProcessGroup, step: int) -> None:
    """Raise PeerError where weights or buffers differ between the processes, naming the layer that
    they belong to.

    Gradients are averaged, so that weights differ only where a component changed them by what one
    process sees. A buffer differs where a layer computes over the batch (a running mean) with the
    rows of its own process alone.
    """
    for role in ROLES:
        player = gan.player(role)
        if lonely := _uncoupled(player):
            raise _of_one_process(role, *lonely, "it keeps no running statistics", step)
        tensors = player.state_dict()
        if not tensors:
            continue
        # sums are exchanged in place of the tensors: 8 bytes each
        sums = torch.stack(list(map(_sum_of_bytes, tensors.values()))).cpu()
        every = group.exchange.all_gather(sums)  # [R, T]
        unlike = (every != every[0]).any(0).tolist()
        wrong = [name for name, differs in zip(tensors, unlike, strict=True) if differs]
        weights = {name for name, _ in player.named_parameters()}
        if wrong and weights.isdisjoint(wrong):
            name, _, buffer = wrong[0].rpartition(".")
            raise _of_one_process(role, name, _module(player, name), f"its {buffer} differs", step)
        if wrong:
            raise PeerError(
                f"the processes no longer have the same weights at step {step}: "
                f"{wrong[0]} of the {role} differs, as do {len(wrong) - 1} more",
                fix=(
                    "leave out what decides by its own rows of the batch, "
                    "or let it ask gancore.average(…)"
                ),
            )


def _sum_of_bytes(tensor: Tensor) -> Tensor:
    """Sum the bytes of a tensor of any shape and type.

    0-d tensors cannot be viewed as bytes as they are.
    """
    return tensor.detach().contiguous().flatten().view(torch.uint8).sum(dtype=torch.int64)


def _uncoupled(player: Player) -> tuple[str, nn.Module] | None:
    """Find a layer of torch's own that computes over the batch and leaves no buffer by which that
    could be seen.
    """
    nets = [("", player.network), ("extras", player.extras)]
    for prefix, net in nets:
        for name, module in net.named_modules(prefix=prefix):
            # a class of a plugin may ask the other processes
            own = type(module).__module__.startswith("torch.")
            if own and isinstance(module, _BatchNorm) and module.running_mean is None:
                return name, module
    return None


def _module(player: Player, name: str) -> nn.Module:
    if name == "extras" or name.startswith("extras."):
        return player.extras.get_submodule(name[len("extras.") :])
    return player.network.get_submodule(name)


def _of_one_process(role: Role, name: str, module: nn.Module, why: str, step: int) -> PeerError:
    place = f"layer {name}" if name else "network"
    return PeerError(
        f"the {role}'s {place} ({type(module).__name__}) computes over the rows of one process, "
        f"not over the whole batch: {why} at step {step}",
        fix="build the norm by plan.norm(…), with --norm batch; let a layer of your own "
        "ask gancore.gather(…) or gancore.average(…); or train without --nproc",
    )

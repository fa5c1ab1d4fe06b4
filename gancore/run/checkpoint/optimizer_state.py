"""Read, compare and restore the state of a player's optimizer, as tensors by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gancore.run.checkpoint.compare import Tensors, refuse_stored, shape_and_type

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from gancore.train.networks import Player


def optimizer_tensors(player: Player) -> Tensors:
    """Return an optimizer's tensors as `parameter/key`, e.g. `blocks.0.weight/exp_avg`.

    Numbers become 0-d float64.
    """
    names = _names_of_weights(player)
    found: Tensors = {}
    for weight, values in player.optimizer.state.items():
        name = names[id(weight)]
        for key, tensor in _as_tensors(values).items():
            found[f"{name}/{key}"] = tensor
    return found


def _names_of_weights(player: Player) -> dict[int, str]:
    """Return the names of a player's weights by their ids.

    torch's own optimizer state goes by the position of a weight, which another version of a network
    may change.
    """
    return {id(weight): name for name, weight in player.named_parameters()}


def _as_tensors(values: Mapping[str, Any]) -> Tensors:
    found: Tensors = {}
    for key, value in values.items():
        if isinstance(value, Tensor):
            found[key] = value
        elif value is not None:
            # not as JSON, which has neither nan nor infinity here
            found[key] = torch.tensor(value, dtype=torch.float64)
    return found


def expect_optimizer(
    label: str, player: Player, tensors: Tensors, groups: list[dict[str, Any]]
) -> None:
    """Raise CheckpointError where an optimizer's stored tensors or settings do not fit this player.

    The tensors are compared with those that a copy of the optimizer keeps after one step on zeros.
    For an optimizer that cannot be copied or stepped in this way, a tensor may be anything that is
    no larger than its weight.
    """
    weights = dict(player.named_parameters())
    here = player.optimizer.param_groups
    trouble = []
    if len(groups) != len(here):
        trouble.append(f"{len(groups)} groups of weights, not {len(here)}")
    stored: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        weight, _, key = name.rpartition("/")
        if weight in weights:
            stored.setdefault(weight, {})[key] = tensor
        else:
            trouble.append(f"unexpected {name}")
    wanted = kept_by(player.optimizer) if stored else {}
    for name, values in stored.items():
        kept = wanted.get(id(weights[name]))
        trouble += _differences(name, weights[name], values, kept, complete=_is_from_torch(player))
    for now, then in zip(here, groups, strict=False):
        # a setting that only one version of the optimizer has is no trouble
        for key in sorted(now.keys() & then.keys()):
            if _kind(now[key]) not in (_kind(then[key]), "none"):
                trouble.append(f"{key} is {shortly(then[key])}, not like {shortly(now[key])}")
    refuse_stored(f"optimizer of the {label}", trouble)


def _weights_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the weights of all groups, in order."""
    weights: list[Tensor] = []
    for group in optimizer.param_groups:
        weights += group["params"]
    return weights


def kept_by(optimizer: Optimizer) -> dict[int, Tensors]:
    """Return the tensors that an optimizer keeps after one step, by the id of the weight.

    A copy of the optimizer makes the step, on zeros. Return nothing where it cannot be copied or
    stepped.
    """
    weights = _weights_of(optimizer)
    try:
        stand_ins: dict[int, Any] = {}  # by the id of the weight
        for weight in weights:
            stand_in = nn.Parameter(torch.zeros_like(weight), weight.requires_grad)
            stand_in.grad = torch.zeros_like(stand_in)
            stand_ins[id(weight)] = stand_in
        # deepcopy adds to its memo, and puts what the memo has for an object in place of a copy:
        # so the copy of the optimizer holds the stand-ins
        made = copy.deepcopy(optimizer, dict(stand_ins))
        made.step()
        kept: dict[int, Tensors] = {}
        for key, stand_in in stand_ins.items():
            kept[key] = _as_tensors(made.state.get(stand_in, {}))
        return kept
    except Exception:  # a plugin's own optimizer may want a closure, sparse gradients, …
        return {}


def _is_from_torch(player: Player) -> bool:
    """Return whether an optimizer is torch's own.

    Those keep all their tensors from the first step on.
    """
    return type(player.optimizer).__module__.startswith("torch.optim")


def _differences(
    name: str, weight: Tensor, found: Tensors, wanted: Tensors | None, *, complete: bool
) -> list[str]:
    """List how the tensors stored for one weight differ from those wanted.

    `complete` allows no other keys.
    """
    most = max(1, weight.numel())
    large = [key for key, tensor in found.items() if tensor.numel() > most]
    trouble = [f"{name}/{key} is larger than its weight" for key in large]
    if wanted is None:
        return trouble
    trouble += [f"missing {name}/{key}" for key in wanted if key not in found]
    if complete:
        trouble += [f"unexpected {name}/{key}" for key in found if key not in wanted]
    for key, tensor in wanted.items():
        if key not in found or key in large:
            continue
        stored = shape_and_type(found[key])
        expected = shape_and_type(tensor)
        if stored != expected:
            trouble.append(f"{name}/{key} is {stored}, not {expected}")
    return trouble


def _kind(value: Any) -> str:
    """Return the kind of a setting's value.

    A setting that is None by default may become anything.
    """
    if isinstance(value, list | tuple):
        return f"list of {', '.join(map(_kind, value))}"
    if value is None:
        return "none"
    return "number" if type(value) in (int, float) else type(value).__name__


def load_optimizer(player: Player, tensors: Tensors, groups: list[dict[str, Any]]) -> None:
    """Restore an optimizer's tensors and the settings of its groups."""
    fresh = player.optimizer.state_dict()
    stored: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        weight_name, _, key = name.rpartition("/")
        stored.setdefault(weight_name, {})[key] = tensor
    names = _names_of_weights(player)
    numbers = []
    for group in fresh["param_groups"]:
        numbers += group["params"]
    state = {}
    for number, weight in zip(numbers, _weights_of(player.optimizer), strict=True):
        if mine := stored.get(names[id(weight)]):
            state[number] = {key: _in_layout_of(weight, tensor) for key, tensor in mine.items()}
    merged = []
    for now, then in zip(fresh["param_groups"], groups, strict=True):
        # settings that were not stored, of a newer version of the optimizer, stay as they are
        merged.append({**now, **_tuples(then)})
    player.optimizer.load_state_dict({"state": state, "param_groups": merged})


def _in_layout_of(weight: Tensor, tensor: Tensor) -> Tensor:
    """Copy a tensor into the memory layout of its weight.

    Fused optimizers read both in storage order.
    """
    if tensor.shape != weight.shape:
        return tensor.clone()
    return torch.empty_like(weight, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def settings_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group of weights, without the weights."""
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def _tuples(group: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists back into the tuples that they were before JSON, such as a pair of `betas`."""
    settings = dict(group)
    for key, value in group.items():
        if isinstance(value, list):
            settings[key] = tuple(value)
    return settings

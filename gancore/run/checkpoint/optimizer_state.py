"""The state of a player's optimiser, as tensors by name: read out, compared with what it would keep, put back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gancore.run.checkpoint.compare import Tensors, form_of, refuse_stored

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from gancore.train.networks import Player


def optimizer_tensors(player: Player) -> Tensors:
    """Name an optimiser's tensors `parameter/key`, e.g. `blocks.0.weight/exp_avg`. Numbers become 0-d float64."""
    names = {id(weight): name for name, weight in player.named_parameters()}
    return {
        f"{names[id(weight)]}/{key}": value
        for weight, values in player.optimizer.state.items()
        for key, value in _as_tensors(values).items()
    }


def _as_tensors(values: Mapping[str, Any]) -> Tensors:
    return {
        key: value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for key, value in values.items()
        if value is not None
    }


def expect_optimizer(label: str, player: Player, tensors: Tensors, groups: list[dict[str, Any]]) -> None:
    """Raise CheckpointError where an optimiser's stored tensors or settings are not of this player's kind.

    The tensors are compared with those that a copy of the optimiser keeps after a step on stand-ins of the weights.
    An optimiser that cannot be copied or stepped so may keep whatever is no larger than its weight.
    """
    weights = dict(player.named_parameters())
    here = player.optimizer.param_groups
    trouble = [] if len(groups) == len(here) else [f"{len(groups)} groups of weights, not {len(here)}"]
    stored: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        weight, _, key = name.rpartition("/")
        if weight in weights:
            stored.setdefault(weight, {})[key] = tensor
        else:
            trouble.append(f"unexpected {name}")
    wanted = kept_by(player.optimizer) if stored else {}
    for name, values in stored.items():
        trouble += _differences(name, weights[name], values, wanted.get(id(weights[name])), _is_torchs(player))
    for now, then in zip(here, groups, strict=False):
        unlike = [key for key in now.keys() & then.keys() if _kind(now[key]) not in (_kind(then[key]), "none")]
        trouble += [f"{key} is {shortly(then[key])}, not like {shortly(now[key])}" for key in sorted(unlike)]
    refuse_stored(f"optimiser of the {label}", trouble)


def kept_by(optimizer: Optimizer) -> dict[int, Tensors]:
    """Return what an optimiser keeps of each weight after one step, by the weight's id; the optimiser stays as it is.

    The step is one of a copy, on zeros. Nothing is returned for an optimiser that this cannot be done with.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    try:
        with torch.no_grad():
            stand_ins = [nn.Parameter(torch.zeros_like(weight), weight.requires_grad) for weight in weights]
        for each in stand_ins:
            each.grad = torch.zeros_like(each)
        memo: dict[int, Any] = {id(weight): each for weight, each in zip(weights, stand_ins, strict=True)}
        made = copy.deepcopy(optimizer, memo)
        made.step()
        return {
            id(weight): _as_tensors(made.state.get(each, {})) for weight, each in zip(weights, stand_ins, strict=True)
        }
    except Exception:  # an optimiser of a stranger: one that wants a closure, sparse gradients, …
        return {}


def _is_torchs(player: Player) -> bool:
    """Whether an optimiser is one of torch's, which keep all their tensors from the first step on."""
    return type(player.optimizer).__module__.startswith("torch.optim")


def _differences(name: str, weight: Tensor, found: Tensors, wanted: Tensors | None, complete: bool) -> list[str]:
    """List what is stored for one weight against what is wanted; `complete` allows no other keys."""
    large = [key for key, tensor in found.items() if tensor.numel() > max(1, weight.numel())]
    trouble = [f"{name}/{key} is larger than its weight" for key in large]
    if wanted is None:
        return trouble
    trouble += [f"missing {name}/{key}" for key in wanted if key not in found]
    trouble += [f"unexpected {name}/{key}" for key in found if complete and key not in wanted]
    trouble += [
        f"{name}/{key} is {form_of(found[key])}, not {form_of(tensor)}"
        for key, tensor in wanted.items()
        if key in found and key not in large and form_of(found[key]) != form_of(tensor)
    ]
    return trouble


def _kind(value: Any) -> str:
    """Say which kind of setting a value is; what is none by default may become anything."""
    if isinstance(value, list | tuple):
        return f"list of {', '.join(map(_kind, value))}"
    return "none" if value is None else "number" if type(value) in (int, float) else type(value).__name__


def load_optimizer(player: Player, tensors: Tensors, groups: list[dict[str, Any]]) -> None:
    """Put an optimiser's tensors and the settings of its groups back."""
    fresh = player.optimizer.state_dict()
    stored: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        weight_name, _, key = name.rpartition("/")
        stored.setdefault(weight_name, {})[key] = tensor
    names = {id(weight): name for name, weight in player.named_parameters()}
    weights = [weight for group in player.optimizer.param_groups for weight in group["params"]]
    numbers = [number for group in fresh["param_groups"] for number in group["params"]]
    state = {}
    for number, weight in zip(numbers, weights, strict=True):
        if mine := stored.get(names[id(weight)]):
            state[number] = {key: _laid_like(weight, tensor) for key, tensor in mine.items()}
    merged = [{**now, **_tuples(then)} for now, then in zip(fresh["param_groups"], groups, strict=True)]
    player.optimizer.load_state_dict({"state": state, "param_groups": merged})


def _laid_like(weight: Tensor, tensor: Tensor) -> Tensor:
    """Copy a tensor, in the memory layout of the weight it belongs to: fused optimisers walk both side by side."""
    if tensor.shape != weight.shape:
        return tensor.clone()
    return torch.empty_like(weight, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def settings_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group of weights, without the weights."""
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def _tuples(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in group.items()}

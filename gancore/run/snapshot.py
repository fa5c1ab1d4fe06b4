"""Everything that moves in a training, as tensors by name and JSON values, and back."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from gancore.component import card_of
from gancore.errors import CheckpointError, PluginError
from gancore.plan import ROLES

if TYPE_CHECKING:
    from gancore.hooks import Chosen, Hooks
    from gancore.loop import Training
    from gancore.networks import Player

Tensors = dict[str, Tensor]

KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")  # of a tensor in a file
STORED = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
}  # fmt: skip


@frozen
class Snapshot:
    """`files` maps a file's stem (generator, critic, optim, components) to its tensors; `state` is the rest."""

    files: Mapping[str, Tensors]
    state: Mapping[str, Any] = field(factory=dict)


def capture(training: Training) -> Snapshot:
    """Copy out everything that moves. Raises PluginError for component state that cannot be stored."""
    gan = training.game.gan
    optim: Tensors = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for role in ROLES:
        optim |= {f"{role}/{name}": tensor for name, tensor in optimizer_tensors(gan.player(role)).items()}
        groups[role] = [_settings(group) for group in gan.player(role).optimizer.param_groups]
    tensors, components = component_state(training.game.hooks)
    files = {
        "generator": gan.generator.state_dict(),
        "critic": gan.critic.state_dict(),
        "optim": optim,
        "components": tensors,
    }
    copies = {name: {key: _copy(tensor) for key, tensor in part.items()} for name, part in files.items()}
    scales = {role: scaler.state_dict() for role, scaler in training.game.runtime.scalers.items()}
    state = {
        "step": training.step,
        "batches": training.batches,
        "optimizers": groups,
        "components": components,
        **({"scales": scales} if scales else {}),
    }
    return Snapshot(copies, state)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # as files hold them, whatever the layout


def restore(training: Training, snapshot: Snapshot) -> None:
    """Put everything back. Raises CheckpointError, before anything is changed, where names or shapes differ."""
    gan, files = training.game.gan, snapshot.files
    for role in ROLES:
        compare(role, gan.player(role).state_dict(), files[role])
        expect_optimizer(role, gan.player(role), own(role, files["optim"]), snapshot.state["optimizers"][role])
    load_components(training.game.hooks, files["components"], snapshot.state["components"])
    for role in ROLES:
        gan.player(role).load_state_dict(files[role])
        load_optimizer(gan.player(role), own(role, files["optim"]), snapshot.state["optimizers"][role])
    for name, scaler in training.game.runtime.scalers.items():
        if scale := snapshot.state.get("scales", {}).get(name):
            scaler.load_state_dict(scale)
    training.step, training.batches = snapshot.state["step"], snapshot.state["batches"]


def restore_generator(training: Training, snapshot: Snapshot) -> None:
    """Put the generator's network back, and the components that are there: enough to draw samples.

    Raises CheckpointError where it does not fit.
    """
    generator = training.game.gan.generator
    weights = {name: each for name, each in snapshot.files["generator"].items() if not name.startswith("extras.")}
    compare("generator", generator.network.state_dict(), weights)
    load_components(training.game.hooks, snapshot.files["components"], snapshot.state["components"])
    generator.load_state_dict(weights)
    training.step, training.batches = snapshot.state["step"], snapshot.state["batches"]


def own(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors named `prefix/KEY`, by KEY."""
    return {key.removeprefix(f"{prefix}/"): each for key, each in tensors.items() if key.startswith(f"{prefix}/")}


def compare(label: str, wanted: Tensors, found: Tensors) -> None:
    """Raise CheckpointError where names, shapes or types of stored weights differ from those of the network."""
    trouble = [f"missing {name}" for name in wanted if name not in found]
    trouble += [f"unexpected {name}" for name in found if name not in wanted]
    trouble += [
        f"{name} is {_form(found[name])}, not {_form(wanted[name])}"
        for name in wanted
        if name in found and _form(wanted[name]) != _form(found[name])
    ]
    _refuse_stored(label, trouble)


def _refuse_stored(label: str, trouble: list[str]) -> None:
    if trouble:
        more = f" and {len(trouble) - 5} more" if len(trouble) > 5 else ""
        raise CheckpointError(
            f"the stored {label} does not fit this composition: {'; '.join(trouble[:5])}{more}",
            mend="resume with the recipe the run was started with",
        )


def _form(tensor: Tensor) -> tuple[list[int], torch.dtype]:
    return list(tensor.shape), tensor.dtype


def optimizer_tensors(player: Player) -> Tensors:
    """Name an optimiser's tensors `parameter/key`, e.g. `blocks.0.weight/exp_avg`. Numbers become 0-d float64."""
    names = {id(weight): name for name, weight in player.named_parameters()}
    return {
        f"{names[id(weight)]}/{key}": value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for weight, values in player.optimizer.state.items()
        for key, value in values.items()
        if value is not None
    }


def expect_optimizer(label: str, player: Player, tensors: Tensors, groups: list[dict[str, Any]]) -> None:
    """Raise CheckpointError where an optimiser's stored tensors or settings are not of this player's kind."""
    sizes = {name: max(1, weight.numel()) for name, weight in player.named_parameters()}
    here = player.optimizer.param_groups
    trouble = [] if len(groups) == len(here) else [f"{len(groups)} groups of weights, not {len(here)}"]
    for name, tensor in tensors.items():
        weight = name.rpartition("/")[0]
        if weight not in sizes:
            trouble.append(f"unexpected {name}")
        elif tensor.numel() > sizes[weight]:
            trouble.append(f"{name} is larger than its weight")
    for now, then in zip(here, groups, strict=False):
        unlike = [key for key in now.keys() & then.keys() if _kind(now[key]) not in (_kind(then[key]), "none")]
        trouble += [f"{key} is {shortly(then[key])}, not like {shortly(now[key])}" for key in sorted(unlike)]
    _refuse_stored(f"optimiser of the {label}", trouble)


def _kind(value: Any) -> str:
    """Say which kind of setting a value is; what is none by default may become anything."""
    if isinstance(value, list | tuple):
        return f"list of {', '.join(map(_kind, value))}"
    return "none" if value is None else "number" if type(value) in (int, float) else type(value).__name__


def load_optimizer(player: Player, tensors: Tensors, groups: list[dict[str, Any]]) -> None:
    """Put an optimiser's tensors and the settings of its groups back."""
    fresh = player.optimizer.state_dict()
    names = {id(weight): name for name, weight in player.named_parameters()}
    weights = [weight for group in player.optimizer.param_groups for weight in group["params"]]
    numbers = [number for group in fresh["param_groups"] for number in group["params"]]
    state = {}
    for number, weight in zip(numbers, weights, strict=True):
        if mine := own(names[id(weight)], tensors):
            state[number] = {key: _laid_like(weight, tensor) for key, tensor in mine.items()}
    merged = [{**now, **_tuples(then)} for now, then in zip(fresh["param_groups"], groups, strict=True)]
    player.optimizer.load_state_dict({"state": state, "param_groups": merged})


def _laid_like(weight: Tensor, tensor: Tensor) -> Tensor:
    """Copy a tensor, in the memory layout of the weight it belongs to: fused optimisers walk both side by side."""
    if tensor.shape != weight.shape:
        return tensor.clone()
    return torch.empty_like(weight, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def _tuples(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in group.items()}


def component_state(hooks: Hooks) -> tuple[Tensors, dict[str, Any]]:
    """Ask every component for its `state()`. Raises PluginError naming what cannot be stored."""
    tensors: Tensors = {}
    components: dict[str, Any] = {}
    for each in hooks.chosen:
        if not hasattr(each.component, "state"):
            continue
        state = state_of(each)
        tensors |= {f"{each.name}/{key}": value for key, value in state.items() if isinstance(value, Tensor)}
        components[each.name] = {
            "component": each.component_name,
            "distribution": each.distribution,
            "version": each.version,
            "state_version": card_of(each.component).state_version,
            "state": {key: value for key, value in state.items() if not isinstance(value, Tensor)},
        }
    return tensors, components


def state_of(each: Chosen) -> dict[str, Any]:
    """Ask one component for its state. Raises PluginError where it fails or gives what cannot be stored."""
    try:
        state = each.component.state()
    except Exception as error:
        raise _unfit(each, f"state() failed: {type(error).__name__}: {error}") from error
    if not isinstance(state, dict):
        raise _unfit(each, f"state() gave {shortly(state)}, no dict")
    for key, value in state.items():
        if not isinstance(value, Tensor):
            _refuse(each, {key: value}, "state")
        elif not isinstance(key, str) or len(key) > 200 or not KEY.fullmatch(key):
            raise _unfit(each, f"state holds a tensor under {key!r}: letters, digits and _ . - / make a name")
        elif value.dtype not in STORED or value.layout is not torch.strided or value.device.type == "meta":
            raise _unfit(each, f"state.{key} is a tensor of {value.dtype}, {value.layout}, on {value.device}")
    return state


def _refuse(each: Chosen, value: Any, path: str) -> None:
    """Raise PluginError unless a value survives JSON unchanged."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _unfit(each, f"{path} holds the key {key!r}, no text")
            _refuse(each, item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _refuse(each, item, f"{path}[{place}]")
    elif not (
        value is None
        or isinstance(value, str | bool)
        or (isinstance(value, int) and abs(value) < 2**63)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        raise _unfit(each, f"{path} is {shortly(value)}")


def _unfit(each: Chosen, why: str) -> PluginError:
    mend = "state() may return tensors, and JSON values of finite numbers, text, lists and text-keyed tables"
    return PluginError(f"{each.name} cannot be saved: {why}", where=_origin(each), mend=mend)


def _origin(each: Chosen) -> str:
    return f"{each.distribution} {each.version}" if each.distribution else each.chosen_by


def load_components(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> None:
    """Give every component its state back, once a copy of each has taken it.

    Raises CheckpointError where one is missing, of a version that nobody can read, or not taken; then none is changed.
    """
    states = {
        each.name: _stored(each, tensors, components) for each in hooks.chosen if hasattr(each.component, "load_state")
    }
    for each in hooks.chosen:
        if each.name in states:
            _take(evolve(each, component=copy.deepcopy(each.component)), states[each.name])
    for each in hooks.chosen:
        if each.name in states:
            each.component.load_state(_copied(states[each.name]))


def _stored(each: Chosen, tensors: Tensors, components: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's stored state in its present form."""
    if each.name not in components:
        raise CheckpointError(f"the checkpoint holds no state of {each.name}", mend="resume with the run's own recipe")
    stored, version = components[each.name], card_of(each.component).state_version
    state = {**stored["state"], **own(each.name, tensors)}
    if stored["state_version"] == version:
        return state
    migrate = getattr(each.component, "migrate", None)
    if migrate is None:
        raise CheckpointError(
            f"{each.name} stored its state in form {stored['state_version']}, but now reads form {version}",
            where=f"{stored['distribution']} {stored['version']} then, {each.distribution} {each.version} now",
            mend=f"install {stored['distribution']} {stored['version']}",
        )
    try:
        migrated: dict[str, Any] = migrate(_copied(state), stored["state_version"])
    except Exception as error:
        raise _untaken(each, f"migrate() failed: {type(error).__name__}: {error}") from error
    return migrated


def _take(each: Chosen, state: dict[str, Any]) -> None:
    """Let a component take a state and ask for it again. Raises CheckpointError where that is not what it was given."""
    try:
        each.component.load_state(_copied(state))
    except Exception as error:
        raise _untaken(each, f"load_state() failed: {type(error).__name__}: {error}") from error
    found = state_of(each)
    trouble = [f"lost {key}" for key, value in state.items() if key not in found and not _empty(value)]
    trouble += [f"added {key}" for key, value in found.items() if key not in state and not _empty(value)]
    trouble += [f"changed {key}" for key in state if key in found and not _equal(state[key], found[key])]
    if trouble:
        raise _untaken(each, f"load_state() has {', '.join(trouble[:5])}")


def _untaken(each: Chosen, why: str) -> CheckpointError:
    mend = "resume with the recipe and the plugins that the run was trained with"
    return CheckpointError(f"{each.name} does not take its stored state: {why}", where=_origin(each), mend=mend)


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value) for key, value in state.items()}


def _empty(value: Any) -> bool:
    return value.numel() == 0 if isinstance(value, Tensor) else not value and not isinstance(value, int | float)


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and bool(one == other)
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.equal(one.nan_to_num(), other.cpu().nan_to_num())

"""One process against two that share each batch: they compute the same, or a sentence says what
differs, and what to use instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gancore.distributed.group import SINGLE_PROCESS, ProcessGroup
from gancore.errors import GanError
from gancore.guard.hooks import origin
from gancore.plugins.calling import Component, Hooks, Implementation
from gancore.plugins.slots import ROLES
from gancore.testing.comparing import Snapshot, capture
from gancore.testing.faults import Fault
from gancore.testing.lockstep import in_processes
from gancore.testing.trainings import chosen_of, some_data, train
from gancore.train.data import Data
from gancore.train.precision import Runtime
from gancore.train.rng import Share

PAIRED_STEPS = 2

# how far two processes may be from one, in units of the largest number compared with: sums over
# rows are added in another order
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}

ROWS = frozenset({"critic_reals", "critic_view", "critic_targets", "sample_weights"})
TERMS_OF_ROWS = frozenset({"critic_terms", "generator_terms", "adapt_terms"})
GIVEN_ROWS = ("images", "targets", "weights")  # of a hook in ROWS

# hooks whose results, or whose networks, may depend on the rows that a process has
DEPENDS_ON_ROWS = ROWS | TERMS_OF_ROWS | {
    "make_generator", "make_critic", "make_norm", "make_upsample", "make_score", "extend_critic",
    "extend_player", "adapt_generator", "adapt_critic", "critic_fakes", "draw_labels",
    "skip_update", "after_critic_update", "after_generator_update", "after_step", "before_step",
    "adapt_gradients",
}  # fmt: skip

USE_DRAW_ROWS = "gancore.draw_rows(torch.randn, shape, rng) draws for the rows of a process"
USE_GATHER = (
    "gancore.gather(rows) returns the rows of all processes, gancore.average(values) their mean"
)


def check_two_processes(
    make: Callable[[], Sequence[Any]], *, data: Data | None = None, steps: int = PAIRED_STEPS
) -> None:
    """Check that two processes that share each batch compute what one process does.

    `make` returns new components at each call. A few steps are made in float64, or in float32 where
    the components compute in it, by one process and by two. Compared are, call by call, what the
    hooks return: rows of the batch, terms, and what every process must return alike; then weights
    and state. Layers of torch itself that draw, in training only, do so otherwise in each process
    by design: they are in evaluation mode here.
    """
    compare_processes(make, data, steps)


def compare_processes(
    make: Callable[[], Sequence[Any]], data: Data | None = None, steps: int = PAIRED_STEPS
) -> None:
    """Raise Fault where two processes compute something else than one."""
    for dtype, tolerance in TOLERANCE.items():
        with default_dtype(dtype):
            try:
                one = _trained(make, data, steps, SINGLE_PROCESS)
            except (RuntimeError, GanError):
                # a component that computes in float32 on purpose does not take float64
                if dtype is torch.float64:
                    continue
                raise
            try:
                two = in_processes(2, partial(_trained, make, data, steps))
            except GanError as error:
                raise Fault(
                    f"two processes fail where one does not: {error.what}",
                    where=error.where,
                    fix=error.fix or USE_GATHER,
                ) from error
        _compare(one, two, tolerance)
        return


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make tensors of another type in the block where none is stated."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@frozen(eq=False)
class _Call:
    """One call of a hook: what it was given, what it returned, and whether it drew from `rng`."""

    chosen: Component
    hook: str
    rows: Any
    answer: Any
    drew: bool


@frozen(eq=False)
class _Record:
    """What one process did: its calls, its state in the end, and what its networks are made of."""

    calls: list[_Call]
    state: Snapshot
    batch_norm: str
    drawing: str


class _RecordingHooks(Hooks):
    """Hooks that keep what each call returned."""

    def __init__(self, chosen: Sequence[Component]) -> None:
        super().__init__(chosen)
        self.calls: list[_Call] = []
        for hook, found in self._implementations.items():
            self._implementations[hook] = tuple(self._recording(hook, each) for each in found)

    def _recording(self, hook: str, each: Implementation) -> Implementation:
        def call(*arguments: Any) -> Any:
            named = dict(zip(each.wants, arguments, strict=True))
            rows = [_kept(given) for name, given in named.items() if name in GIVEN_ROWS]
            shares = [given for given in arguments if isinstance(given, Share)]
            before = [given.get_state() for given in shares]
            answer = each.function(*arguments)
            moved = not all(
                torch.equal(given.get_state(), state)
                for given, state in zip(shares, before, strict=True)
            )
            self.calls.append(_Call(each.chosen, hook, tuple(rows), _kept(answer), moved))
            return answer

        return Implementation(each.chosen, call, each.wants)


def _kept(answer: Any) -> Any:
    """Copy the tensors of a result, which later calls may write into."""
    if isinstance(answer, Tensor):
        return answer.detach().clone()
    if isinstance(answer, tuple):
        return tuple(map(_kept, answer))
    if isinstance(answer, Mapping):
        return {name: _kept(each) for name, each in answer.items()}
    return answer if isinstance(answer, bool | int | float) else None


@define(eq=False)
class _Drawing:
    """Finds the layer that draws from torch's global generator in its forward pass."""

    names: Mapping[nn.Module, str]
    before: list[Tensor] = field(factory=list)
    found: str = ""

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """Keep the state of the generator before a layer's pass."""
        self.before.append(torch.get_rng_state())

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Compare it with that after the pass; the innermost layer comes first."""
        if not torch.equal(self.before.pop(), torch.get_rng_state()) and not self.found:
            self.found = self.names[module]


class _InDefaultType:
    """Data whose samples have torch's default type."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def __len__(self) -> int:
        return len(self.data)

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return samples in the default type, and labels."""
        samples, labels = self.data.take(indices, rng)
        return samples.to(torch.get_default_dtype()), labels


def data_in_default_type(components: Sequence[Any], data: Data | None) -> Any:
    """Return data for `train` in torch's default type: those given, or the kit's.

    None where a component opens data of its own.
    """
    if data is None and Hooks([chosen_of(each) for each in components]).any("make_data"):
        return None
    return _InDefaultType(some_data() if data is None else data)


def _trained(
    make: Callable[[], Sequence[Any]], data: Data | None, steps: int, group: ProcessGroup
) -> _Record:
    """Train as one process of a group, and return what it did."""
    components = make()
    training = train(
        *components,
        data=data_in_default_type(components, data),
        hooks=_RecordingHooks,
        runtime=Runtime(torch.device("cpu"), group=group),
    )
    # a component may have opened the data, or wrapped them
    source: Any = _InDefaultType(training.context.data)
    training.source = source
    layers = _named_layers(training.context.gan)
    watch = _Drawing(layers)
    for layer in layers:
        if _is_plain(layer):
            layer.eval()
        layer.register_forward_pre_hook(watch.enter)
        layer.register_forward_hook(watch.leave)
    for _ in range(steps):
        training.train_step()
    hooks = training.context.hooks
    assert isinstance(hooks, _RecordingHooks)
    return _Record(hooks.calls, capture(training), _plain_batch_norm(layers), watch.found)


def _is_plain(layer: nn.Module) -> bool:
    """Return whether a layer is torch's own, without weights, buffers and parts.

    In evaluation mode such a layer differs only where it draws in training.
    """
    own = type(layer).__module__.startswith("torch.")
    return own and not layer.state_dict() and not list(layer.children())


def _named_layers(gan: Any) -> dict[nn.Module, str]:
    names: dict[nn.Module, str] = {}
    for role in ROLES:
        player = gan.player(role)
        for prefix, net in (("", player.network), ("extras", player.extras)):
            for name, layer in net.named_modules(prefix=prefix):
                place = f"layer {name}" if name else "network"
                names[layer] = f"the {role}'s {place} ({type(layer).__name__})"
    return names


def _plain_batch_norm(layers: Mapping[nn.Module, str]) -> str:
    """Name a layer of torch that computes over the rows of its own process; '' without one."""
    for layer, name in layers.items():
        if isinstance(layer, _BatchNorm) and type(layer).__module__.startswith("torch."):
            return name
    return ""


# ── comparing ────────────────────────────────────────────────────────────────────────────────────


def _compare(one: _Record, two: Sequence[_Record], tolerance: float) -> None:
    for index, call in enumerate(one.calls):
        shares = []
        for process in two:
            if index >= len(process.calls) or process.calls[index].hook != call.hook:
                raise Fault(
                    f"two processes call other hooks than one, from {_label(call)} on",
                    where=origin(call.chosen),
                    fix="decide by what all processes have: gancore.average(values)",
                )
            shares.append(process.calls[index])
        if call.hook in ROWS:
            given = _joined([share.rows for share in shares])
            if not _near(call.rows, given, tolerance):
                raise _blame_networks(one, f"what {_label(call)} is given")
        apart = _apart(call, [share.answer for share in shares], tolerance)
        if apart:
            raise _blame(one, call, shares, apart)
    for process in two:
        _compare_states(one, process, tolerance)


def _apart(call: _Call, answers: Sequence[Any], tolerance: float) -> str:
    """Say in which way the results of two processes differ from that of one; '' if they do not."""
    if call.hook in TERMS_OF_ROWS and isinstance(call.answer, Mapping):
        for name, term in call.answer.items():
            if not all(isinstance(each, Mapping) and name in each for each in answers):
                return f"{name} is missing in a process"
            mean = torch.stack([each[name] for each in answers]).mean(0)
            if not _near(term, mean, tolerance):
                return f"{name} is {float(term):.6g} in one process, and {float(mean):.6g} in two"
        return ""
    if call.hook in ROWS:
        return "" if _near(call.answer, _joined(answers), tolerance) else "its rows differ"
    same = all(_near(call.answer, each, tolerance) for each in answers)
    return "" if same else "its results differ"


def _joined(answers: Sequence[Any]) -> Any:
    """Concatenate the rows of the processes: of tensors, or of each part of tuples."""
    if all(isinstance(each, Tensor) for each in answers):
        return torch.cat(list(answers))
    if all(isinstance(each, tuple) for each in answers):
        return tuple(_joined(parts) for parts in zip(*answers, strict=True))
    return answers[0]


def tolerance_of(values: Tensor, tolerance: float) -> float:
    """Return the relative difference that is allowed: a component may compute in float32."""
    return max(tolerance, 100 * torch.finfo(values.dtype).eps)


def _near(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape:
            return False
        if not one.is_floating_point():
            return torch.equal(one, other)
        size = float(one.abs().max()) if one.numel() else 0.0
        allowed = tolerance_of(one, tolerance) * max(size, 1e-3)
        return bool(((one - other).abs() <= allowed).all())
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(partial(_near, tolerance=tolerance), one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        named = one.keys() == other.keys()
        return named and all(_near(one[name], other[name], tolerance) for name in one)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance * max(abs(one), 1e-3)
    return bool(one == other)


def _blame(one: _Record, call: _Call, shares: Sequence[_Call], apart: str) -> Fault:
    """Return the fault for the first call that differs, with the likeliest cause."""
    label = _label(call)
    # a layer changes the scores of every term, so it comes before the terms that it changed
    if call.hook in TERMS_OF_ROWS and (one.batch_norm or one.drawing):
        return _blame_networks(one, f"{label}: {apart}")
    if any(share.drew for share in shares):
        return Fault(
            f"{label} draws other numbers in two processes than in one: {apart}",
            where=origin(call.chosen),
            fix=USE_DRAW_ROWS,
        )
    return Fault(
        f"{label} computes over the rows of its own process: {apart}",
        where=origin(call.chosen),
        fix=f"a mean, std or maximum over the batch needs all rows: {USE_GATHER}",
    )


def _blame_networks(one: _Record, where: str) -> Fault:
    """Return the fault for a network that computes otherwise with the rows of one process."""
    if one.batch_norm or not one.drawing:
        name = one.batch_norm or "a network"
        return Fault(
            f"{name} computes over the rows of one process, not over the whole batch",
            where=where,
            fix="build the norm by plan.norm(…); let a layer of your own ask "
            "gancore.gather(rows) or gancore.average(values)",
        )
    return Fault(
        f"{one.drawing} draws from torch's global generator in its forward pass, "
        "so two processes get other numbers than one",
        where=where,
        fix=f"draw in a hook and pass the numbers on: {USE_DRAW_ROWS}, "
        "and draw_latent draws for the whole batch",
    )


def _label(call: _Call) -> str:
    return f"{call.chosen.name}.{call.hook}"


def _compare_states(one: _Record, process: _Record, tolerance: float) -> None:
    for part, tensors in one.state.files.items():
        others = process.state.files[part]
        # a small weight is compared on the scale of its network
        size = max(
            (float(each.abs().max()) for each in tensors.values() if each.numel()), default=0
        )
        for name, tensor in tensors.items():
            other = others.get(name)
            exact = not tensor.is_floating_point()
            if other is None or other.shape != tensor.shape or exact:
                near = other is not None and torch.equal(tensor, other)
            else:
                allowed = tolerance_of(tensor, tolerance) * max(size, 1e-3)
                near = bool(((tensor - other).abs() <= allowed).all())
            if not near:
                raise _blame_state(one, part, name)


def _blame_state(one: _Record, part: str, name: str) -> Fault:
    if one.batch_norm:
        return _blame_networks(one, f"{part}: {name}")
    hooks = Counter(call.hook for call in one.calls if call.chosen.name == name.partition("/")[0])
    likely = f", which {', '.join(sorted(hooks))} may change" if part == "components" else ""
    return Fault(
        f"after {PAIRED_STEPS} steps of two processes {part}: {name} is not what it is after "
        f"those of one{likely}",
        fix=f"what is kept or decided by the rows of a batch needs those of all: {USE_GATHER}",
    )

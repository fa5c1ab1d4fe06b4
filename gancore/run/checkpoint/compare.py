"""Compare stored tensors with the tensors they are to replace: names, shapes and types."""

from __future__ import annotations

from torch import Tensor, dtype

from gancore.errors import CheckpointError
from gancore.run.listing import shortened

Tensors = dict[str, Tensor]


def own(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors named `prefix/KEY`, by KEY."""
    start = f"{prefix}/"
    found: Tensors = {}
    for name, tensor in tensors.items():
        if name.startswith(start):
            found[name.removeprefix(start)] = tensor
    return found


def compare(label: str, wanted: Tensors, found: Tensors) -> None:
    """Raise CheckpointError where names, shapes or types of tensors differ from those wanted."""
    trouble = [f"missing {name}" for name in wanted if name not in found]
    trouble += [f"unexpected {name}" for name in found if name not in wanted]
    for name, tensor in wanted.items():
        if name not in found:
            continue
        expected = shape_and_type(tensor)
        stored = shape_and_type(found[name])
        if stored != expected:
            trouble.append(f"{name} is {stored}, not {expected}")
    refuse_stored(label, trouble)


def refuse_stored(label: str, trouble: list[str]) -> None:
    """Raise CheckpointError that lists `trouble`, unless there is none."""
    if trouble:
        raise CheckpointError(
            f"the stored {label} does not fit this composition: {shortened(trouble)}",
            fix="resume with the recipe the run was started with",
        )


def shape_and_type(tensor: Tensor) -> tuple[list[int], dtype]:
    """Return the shape and the type of a tensor."""
    return list(tensor.shape), tensor.dtype

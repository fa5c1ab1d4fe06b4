"""Whether stored tensors fit what they are for: names, shapes and types, told by name."""

from __future__ import annotations

from torch import Tensor, dtype

from gancore.errors import CheckpointError

Tensors = dict[str, Tensor]

SHOWN = 5  # differences that are named


def own(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors named `prefix/KEY`, by KEY."""
    return {key.removeprefix(f"{prefix}/"): each for key, each in tensors.items() if key.startswith(f"{prefix}/")}


def compare(label: str, wanted: Tensors, found: Tensors) -> None:
    """Raise CheckpointError where names, shapes or types of stored weights differ from those of the network."""
    trouble = [f"missing {name}" for name in wanted if name not in found]
    trouble += [f"unexpected {name}" for name in found if name not in wanted]
    trouble += [
        f"{name} is {form_of(found[name])}, not {form_of(wanted[name])}"
        for name in wanted
        if name in found and form_of(wanted[name]) != form_of(found[name])
    ]
    refuse_stored(label, trouble)


def refuse_stored(label: str, trouble: list[str]) -> None:
    """Raise CheckpointError where there is any trouble with what was stored."""
    if trouble:
        more = f" and {len(trouble) - SHOWN} more" if len(trouble) > SHOWN else ""
        raise CheckpointError(
            f"the stored {label} does not fit this composition: {'; '.join(trouble[:SHOWN])}{more}",
            fix="resume with the recipe the run was started with",
        )


def form_of(tensor: Tensor) -> tuple[list[int], dtype]:
    """Return the shape and the type of a tensor."""
    return list(tensor.shape), tensor.dtype

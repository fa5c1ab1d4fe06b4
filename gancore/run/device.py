"""Which device a run computes on."""

from __future__ import annotations

import torch

from gancore.errors import UsageError
from gancore.runtime import Runtime


def choose_runtime(device: str, precision: str) -> Runtime:
    """Resolve `auto` and check that the device is there. Raises UsageError where it is not."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(
            f"no device is called {device!r}", where="--device", mend="auto, cpu, cuda or cuda:0"
        ) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"device {device!r} is of no use here", where="--device", mend="auto, cpu, cuda or mps")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not there", where="--device", mend="--device auto")
    count = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        raise UsageError(
            f"device {device!r} is not there: torch sees {count} CUDA devices", where="--device", mend="--device auto"
        )
    return Runtime(chosen, precision)

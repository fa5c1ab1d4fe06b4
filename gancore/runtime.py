"""Where and how precisely a step computes: settings that wrap the step and never branch in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from attrs import frozen


@frozen
class Runtime:
    """Device and precision of a run."""

    device: torch.device
    precision: str = "fp32"

    def forward(self) -> AbstractContextManager[Any]:
        """Return the context for everything that is differentiated: bf16 autocast, or nothing."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

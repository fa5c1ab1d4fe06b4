"""Where and how precisely a step computes: settings that wrap the step and never branch in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from attrs import frozen
from torch import Tensor


@frozen
class Runtime:
    """Device and precision of a run, and whether images and convolutions lie with their channels last in memory."""

    device: torch.device
    precision: str = "fp32"
    channels_last: bool = False

    def forward(self) -> AbstractContextManager[Any]:
        """Return the context for everything that is differentiated: bf16 autocast, or nothing."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def place(self, samples: Tensor) -> Tensor:
        """Bring samples `[N, …]` to the device, images in the layout of the networks."""
        layout = torch.channels_last if self.channels_last and samples.dim() == 4 else torch.preserve_format
        if self.device.type == "cuda":
            return samples.pin_memory().to(self.device, non_blocking=True, memory_format=layout)
        return samples.to(self.device, memory_format=layout)

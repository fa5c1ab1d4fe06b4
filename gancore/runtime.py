"""Where, how precisely and with whom a step computes: settings that wrap the step and never branch in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from attrs import frozen
from torch import Tensor

from gancore.world import ALONE, World


@frozen
class Runtime:
    """Device and precision of a run, whether images and convolutions lie with their channels last, the processes."""

    device: torch.device
    precision: str = "fp32"
    channels_last: bool = False
    world: World = ALONE

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Wrap everything that is differentiated: with the other processes, and in bf16 where that is asked."""
        bf16 = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with self.world.together(), bf16:
            yield

    def place(self, samples: Tensor) -> Tensor:
        """Bring samples `[N, …]` to the device, images in the layout of the networks."""
        layout = torch.channels_last if self.channels_last and samples.dim() == 4 else torch.preserve_format
        if self.device.type == "cuda":
            return samples.pin_memory().to(self.device, non_blocking=True, memory_format=layout)
        return samples.to(self.device, memory_format=layout)

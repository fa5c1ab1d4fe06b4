"""Where, how precisely and with whom a step computes: settings that wrap the step and never branch in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

import torch
from attrs import field, frozen
from torch import Tensor

from gancore.distributed.group import SINGLE_PROCESS, ProcessGroup

if TYPE_CHECKING:
    from gancore.train.networks import Player

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@frozen(eq=False)
class Runtime:
    """Device and precision of a run, whether images and convolutions lie with their channels last, the processes.

    `scalers` by player keep small gradients from vanishing where they are computed in fp16.
    """

    device: torch.device
    precision: str = "fp32"
    channels_last: bool = False
    group: ProcessGroup = SINGLE_PROCESS
    scalers: Mapping[str, torch.amp.GradScaler] = field(factory=dict, repr=False)

    def forward(self) -> AbstractContextManager[object]:
        """Return the context for all that is differentiated: the other processes, half precision where asked."""
        if self.group.size == 1 and self.precision not in HALF:
            return nullcontext()
        contexts = ExitStack()
        contexts.enter_context(self.group.together())
        if self.precision in HALF:
            contexts.enter_context(torch.autocast(self.device.type, HALF[self.precision]))
        return contexts

    def place(self, samples: Tensor) -> Tensor:
        """Bring samples `[N, …]` to the device, images in the layout of the networks."""
        layout = torch.channels_last if self.channels_last and samples.dim() == 4 else torch.preserve_format
        if self.device.type == "cuda" and samples.device.type == "cpu":
            samples = samples.pin_memory()
        return samples.to(self.device, non_blocking=True, memory_format=layout)

    def backward(self, total: Tensor, player: Player) -> None:
        """Leave the gradient of `total` in the player's own weights, and in no others."""
        scaler = self.scalers.get(player.role)
        torch.autograd.backward(total if scaler is None else scaler.scale(total), inputs=player.parameters)

    def unscale_and_grad_norm(self, player: Player, gradients: Sequence[Tensor]) -> Tensor:
        """Bring gradients back to scale and return the norm of all; 0 where one overflowed, so that no step follows."""
        if scaler := self.scalers.get(player.role):
            scaler.unscale_(player.optimizer)
        found = torch.nn.utils.get_total_norm(gradients)
        return found if scaler is None else torch.where(found.isfinite(), found, 0.0)

    def optimizer_step(self, player: Player) -> None:
        """Let the player's optimiser take its step; not where its gradient overflowed in fp16."""
        if scaler := self.scalers.get(player.role):
            scaler.step(player.optimizer)
        else:
            player.optimizer.step()

    def zero_grad(self, player: Player) -> None:
        """End an update, whether or not a step was taken."""
        if scaler := self.scalers.get(player.role):
            scaler.update()
        player.optimizer.zero_grad(set_to_none=True)

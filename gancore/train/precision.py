"""Where, how precisely and with whom a step computes: settings that wrap the step and never branch
in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

import torch
from attrs import field, frozen
from torch import Tensor

from gancore.distributed.group import SINGLE_PROCESS, ProcessGroup

if TYPE_CHECKING:
    from gancore.train.networks import Player

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
UNSCALED = torch.amp.GradScaler("cpu", enabled=False)  # whose step is the optimizer's own
UNTIMED = nullcontext()


def untimed(part: str) -> AbstractContextManager[object]:
    """Return a context that does nothing, for the parts of a step when they are not timed."""
    return UNTIMED


@frozen(eq=False)
class Runtime:
    """Device and precision of a run, whether images and convolutions lie with their channels last,
    the processes.

    `scalers` by player keep small gradients from vanishing where they are computed in fp16. `timed`
    gives the context in which a part of a step is computed: an update, its backward pass, the
    gathering of reals.
    """

    device: torch.device
    precision: str = "fp32"
    channels_last: bool = False
    group: ProcessGroup = SINGLE_PROCESS
    scalers: Mapping[str, torch.amp.GradScaler] = field(factory=dict, repr=False)
    timed: Callable[[str], AbstractContextManager[object]] = field(default=untimed, repr=False)

    def scaler(self, role: str) -> torch.amp.GradScaler:
        """Return a player's gradient scaler; one that scales nothing where there is none."""
        return self.scalers.get(role, UNSCALED)

    def forward(self) -> AbstractContextManager[object]:
        """Return the context for all that is differentiated: the other processes, half precision
        where asked.
        """
        if self.group.size == 1 and self.precision not in HALF:
            return nullcontext()
        contexts = ExitStack()
        contexts.enter_context(self.group.together())
        if self.precision in HALF:
            contexts.enter_context(torch.autocast(self.device.type, HALF[self.precision]))
        return contexts

    def place(self, samples: Tensor) -> Tensor:
        """Bring samples `[N, …]` to the device, images in the layout of the networks."""
        is_last = self.channels_last and samples.dim() == 4
        layout = torch.channels_last if is_last else torch.preserve_format
        # the copy is asynchronous from pinned memory alone
        if self.device.type == "cuda" and samples.device.type == "cpu":
            samples = samples.pin_memory()
        return samples.to(self.device, non_blocking=True, memory_format=layout)

    def backward(self, total: Tensor, player: Player) -> None:
        """Compute the gradient of `total` in the player's own weights, and in no others."""
        # by `inputs`, so that the other player gets no gradients that would have to be cleared
        with self.timed("backward"):
            torch.autograd.backward(self.scaler(player.role).scale(total), inputs=player.parameters)

    def unscale_and_grad_norm(self, player: Player, gradients: list[Tensor]) -> Tensor:
        """Unscale gradients in place and return the norm of all.

        0 where one overflowed in fp16, as no step follows.
        """
        scaler = self.scaler(player.role)
        scaler.unscale_(player.optimizer)
        # what torch.nn.utils.get_total_norm computes of tensors on one device, in half its time
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))  # noqa: SLF001
        return torch.where(norm.isfinite(), norm, 0.0) if scaler.is_enabled() else norm

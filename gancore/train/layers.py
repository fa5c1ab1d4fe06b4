"""Layers in a row that are given more than the layer before them: labels, and a style."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from gancore.errors import CompositionError, PluginError


class ConditionalLayer(nn.Module):
    """Base class of a layer that is called as `layer(maps [N, C, …], labels [N, L], style [N, W])`.

    `gancore.Layers` calls it so. `style` is None where the network passes none. A subclass defines
    `forward(maps, labels, style)`, and gives `super().__init__(style)` the width W that it needs, 0
    for none.

    A call without labels raises PluginError, a call without the style it needs CompositionError.

    - `style_width`: the width W of the style that the layer needs; 0 for none.
    """

    def __init__(self, style: int = 0) -> None:
        super().__init__()
        self.style_width = style

    def __call__(
        self, maps: Tensor, labels: Tensor | None = None, style: Tensor | None = None
    ) -> Any:
        """Call `forward`, once it is certain that it gets what it needs."""
        name = type(self).__name__
        if labels is None:
            raise PluginError(
                f"{name} needs labels, but the network calls it with maps alone",
                where=f"layer {name}",
                fix="build the block with gancore.Layers in place of nn.Sequential, "
                "and call it with labels",
            )
        width = 0 if style is None else style.shape[1]
        if self.style_width not in (0, width):
            raise CompositionError(
                f"{name} needs a style [N, {self.style_width}], but the network passes "
                + (f"[N, {width}]" if width else "none"),
                where=f"layer {name}",
                fix="call plan.norm(channels, role, style=W) with the width of the style "
                "that the network passes to its gancore.Layers",
            )
        return super().__call__(maps, labels, style)


def is_conditional(network: nn.Module) -> bool:
    """Return whether a network has a `ConditionalLayer`."""
    return any(isinstance(module, ConditionalLayer) for module in network.modules())


class Layers(nn.Sequential):
    """Call layers in a row: labels and style go to each `ConditionalLayer` and nested `Layers`.

    All other layers are called with maps alone, as in `nn.Sequential`, and weights have the same
    names. Labels may be left out where there is no `ConditionalLayer`.
    """

    def forward(
        self, maps: Tensor, labels: Tensor | None = None, style: Tensor | None = None
    ) -> Tensor:
        """Compute the last layer's output of maps `[N, …]`, labels `[N, L]` and style `[N, W]`."""
        for layer in self:
            if isinstance(layer, (ConditionalLayer, Layers)):
                maps = layer(maps, labels, style)
            elif type(layer) is not nn.Identity:  # a norm left out: in small networks a call counts
                maps = layer(maps)
        return maps

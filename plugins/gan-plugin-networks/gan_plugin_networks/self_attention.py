"""Self-attention: let each pixel of a map of either network read all others."""

import torch
from torch import Tensor, nn

from gan_plugin_networks.blocks import in_float32
from gancore import CompositionError, Layers, component, evaluating, hookimpl, option, requires


class Attention(nn.Module):
    """Add attention over pixels to maps: x + γ·W_o(V·softmax(Qᵀ·K)ᵀ), `[N, C, h, w]` kept."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        inner = max(1, channels // reduction)
        values = max(1, channels // 2)
        self.query, self.key, self.value, self.out = (
            nn.Conv2d(before, after, 1, bias=False)
            for before, after in (
                (channels, inner),
                (channels, inner),
                (channels, values),
                (values, channels),
            )
        )
        # before the first update the network is as it was without attention
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        query, key, value = (
            project(maps).flatten(2) for project in (self.query, self.key, self.value)
        )
        # written out: torch's fused attention has no double backward, which penalties need
        weights = in_float32(query.mT @ key).softmax(2).to(maps.dtype)  # [N, hw, hw], rows sum to 1
        read = (value @ weights.mT).unflatten(2, maps.shape[2:])
        return maps + self.gain * self.out(read)


def map_shapes(net: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, tuple[int, ...]]:
    """Return the output shapes `(C, h, w)` of the layers in rows, by name, in calling order.

    One forward pass in evaluation mode notes them. Only entries of `nn.Sequential` and
    `gancore.Layers` count: after these a layer can be inserted.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    handles = []
    for name, module in net.named_modules():
        if type(module) not in (nn.Sequential, Layers):
            continue
        for child_name, child in module.named_children():
            path = f"{name}.{child_name}" if name else child_name

            def note(layer, given, made, path=path):
                if isinstance(made, Tensor) and made.dim() == 4:
                    shapes[path] = tuple(made.shape[1:])

            handles.append(child.register_forward_hook(note))
    with evaluating(net):
        net(*inputs)
    for handle in handles:
        handle.remove()
    return shapes


def insert_after(net: nn.Module, path: str, layer: nn.Module) -> None:
    """Replace the layer at `path` by a row of it and `layer`."""
    parent, _, child = path.rpartition(".")
    row = net.get_submodule(parent)
    # Layers, so that labels and a style still reach the layer before
    setattr(row, child, Layers(row.get_submodule(child), layer))


def place_of(shapes: dict[str, tuple[int, ...]], size: int, image_channels: int) -> str:
    """Return where attention belongs: after the last layer of the outermost row at this size.

    In a row of residual blocks that is a whole block. Returns "" where no map has that size.
    """
    # maps with as few channels as the image are the image, before or after its last activation
    hidden = {path: shape for path, shape in shapes.items() if shape[0] > image_channels}
    fitting = [path for path, shape in hidden.items() if max(shape[1:]) == size]
    if not fitting:
        return ""
    depth = min(path.count(".") for path in fitting)
    return [path for path in fitting if path.count(".") == depth][-1]


@component(
    source="Zhang et al., ICML 2019, arXiv:1805.08318, section 3",
    rules=[
        requires(
            "data.images",
            "its attention is over the pixels of maps",
            fix="leave self-attention out",
        )
    ],
    known_as={"sagan": "`--recipe sagan` adds what belongs to it.", "attention": ""},
)
class SelfAttention:
    """Insert self-attention into both players, after the map whose larger side is `size`.

    With Q, K `[C/8, hw]` and V `[C/2, hw]` from maps `[N, C, h, w]` by 1×1 convolutions, the layer
    returns x + γ·W_o·(V·Aᵀ), A = softmax(Qᵀ·K) with rows of sum 1, and γ = 0 at first, so nothing
    changes until γ is trained. It stands after the last layer, or residual block, of that size.
    The scores A take 4·(hw)² bytes a sample: 256 KiB at 16 pixels, 4 MiB at 32.

    K and V keep all pixels; the authors' program averages K and V over 2×2. Layers are initialised
    as by torch, with numbers of their own. Raises CompositionError where no map has that size.
    """

    size: int = option(16, ge=2, help="larger side of the map after which attention is inserted")
    where: str = option(
        "both", choices=("both", "generator", "critic"), help="players that get the layer"
    )
    reduction: int = option(8, ge=1, help="channels of the map for each channel of Q and K")

    def insert(self, net: nn.Module, given: Tensor, role: str, plan) -> None:
        """Insert the layer into the network of a player, in place."""
        labels = torch.zeros(len(given), len(plan.label_sets), dtype=torch.int64)
        shapes = map_shapes(net, (given, labels))
        path = place_of(shapes, self.size, plan.shape[0])
        if not path:
            hidden = [shape for shape in shapes.values() if shape[0] > plan.shape[0]]
            sides = sorted({max(shape[1:]) for shape in hidden})
            raise CompositionError(
                f"no layer of the {role} after which one can be inserted has a map of "
                f"{self.size} pixels; there are {', '.join(map(str, sides)) or 'none'}",
                where="self-attention.size",
                fix="--self-attention.size with one of them, or --self-attention.where",
            )
        insert_after(net, path, Attention(shapes[path][0], self.reduction))

    # before wrappers that give a network other inputs than the plan's
    @hookimpl(tryfirst=True)
    def adapt_generator(self, net, plan):
        if self.where != "critic":
            self.insert(net, torch.zeros(2, plan.inputs), "generator", plan)

    @hookimpl(tryfirst=True)
    def adapt_critic(self, net, plan):
        if self.where != "generator":
            self.insert(net.body, torch.zeros(2, *plan.critic_shape), "critic", plan)

"""Minibatch discrimination: features of the critic that compare each sample with its batch."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gan_plugin_minibatch_discrimination.similarity import similarity
from gancore import (
    CompositionError,
    Head,
    Tail,
    component,
    evaluating,
    gather,
    hookimpl,
    option,
    warns_with,
)

DENSE = 256  # width of the dense layers before and after

# of the spatial form
CELL = 4  # side of a cell in pixels
PLANES = 3  # features of a cell
SPATIAL_DIM = 16  # features compared by a kernel

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh)


class MinibatchLayer(nn.Module):
    """Append each sample's similarity to its batch, `[N, A] → [N, A + kernels]`."""

    def __init__(self, features, kernels, dim, options):
        super().__init__()
        self.kernels = kernels
        self.options = options
        self.weight = nn.Parameter(torch.empty(features, kernels * dim))  # T, [A, B·C]
        nn.init.xavier_uniform_(self.weight)
        self.found = None  # o averaged over the kernels, `[N]`, of the latest forward pass

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.closeness(features)], 1)

    def closeness(self, features: Tensor) -> Tensor:
        """Compute o `[N, B]`, in float32 also under autocast."""
        rows = features @ self.weight  # M
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        rows = rows.unflatten(1, (self.kernels, -1))
        batch = gather(rows)  # of all processes
        own = rows.transpose(0, 1)
        # the same tensor in one process: `similarity` then computes both gradients at once
        whole = own if batch is rows else batch.transpose(0, 1)
        close = similarity(own, whole).sum(2).T  # [B, n, N] → [n, B]
        itself = 0 if self.options.include_self else 1  # exp(-0), a sample's similarity to itself
        close = close - itself
        if self.options.normalize:
            close = close / max(1, len(batch) - itself)
        self.found = close.detach().mean(1)
        return close


class SpatialMinibatch(nn.Module):
    """Add to maps `[N, C, h, w]` maps of each cell's similarity to the same cell in the batch."""

    def __init__(self, shape, options):
        super().__init__()
        channels, *sides = shape
        self.cells = [side // CELL for side in sides]
        places = self.cells[0] * self.cells[1]
        self.down = nn.Conv2d(channels, PLANES, CELL, CELL)
        self.layer = MinibatchLayer(PLANES * places, options.spatial * places, SPATIAL_DIM, options)
        self.up = nn.ConvTranspose2d(options.spatial, channels, CELL, CELL)
        for each in (self.down, self.up):
            nn.init.xavier_uniform_(each.weight)
            nn.init.zeros_(each.bias)

    def forward(self, maps: Tensor) -> Tensor:
        close = self.layer.closeness(self.down(maps).flatten(1))
        close = close.unflatten(1, (-1, *self.cells))  # [N, B, t, t]
        added = self.up(close.to(maps))
        rows, columns = (side % CELL for side in maps.shape[2:])  # pixels that fill no cell
        return maps + pad(added, (0, columns, 0, rows))


class Closeness(nn.Module):
    """Return, as the head `closeness`, a layer's mean o of this forward pass, `[N]`, detached."""

    def __init__(self, *layers):
        super().__init__()
        # a plain list: the layer's parameters belong to the module that runs it
        self.layers = list(layers)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.layers[0].found


def insert_spatial(body: nn.Module, options, plan) -> MinibatchLayer:
    """Insert the spatial form after the first activation of a critic's body, and return its layer.

    Raises CompositionError where there is no activation, or its output is smaller than a cell.
    """
    modules = body.named_modules()
    activations = [name for name, each in modules if name and isinstance(each, ACTIVATIONS)]
    name = activations[0] if activations else ""
    shapes = output_shapes(body, name, plan) if name else []
    if len(shapes) != 1 or len(shapes[0]) != 3 or min(shapes[0][1:]) < CELL:
        outputs = f"outputs of shape {shapes}" if shapes else "no output"
        raise CompositionError(
            f"the critic's first activation has {outputs}, "
            f"but maps of at least {CELL}×{CELL} are needed",
            where="minibatch-discrimination.spatial",
            fix="--minibatch-discrimination.spatial 0, which compares the critic's features",
        )
    parent, _, child = name.rpartition(".")
    inserted = SpatialMinibatch(shapes[0], options)
    first = body.get_submodule(name)
    setattr(body.get_submodule(parent), child, nn.Sequential(first, inserted))
    return inserted.layer


def output_shapes(body: nn.Module, name: str, plan) -> list[tuple[int, ...]]:
    """List the output shapes, without batch, of a submodule in one forward pass of `body`."""
    shapes: list[tuple[int, ...]] = []

    def note_shape(module, given, made):
        shapes.append(tuple(made.shape[1:]))

    handle = body.get_submodule(name).register_forward_hook(note_shape)
    labels = torch.zeros(2, len(plan.label_sets), dtype=torch.int64)
    with evaluating(body):  # zeros, as the core counts features
        body(torch.zeros(2, *plan.critic_shape), labels)
    handle.remove()
    return shapes


@component(
    source=(
        "Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2; "
        "spatial: github.com/Edouard99/GAN"
    ),
    provides=["critic.cross-sample"],
    rules=[
        warns_with(
            "data.images",
            "its spatial form adds 48·B·t⁴ weights, where t is an eighth of the image's side: "
            "393,216 for 64 pixels and B = 2, but 201,326,592 for 256 pixels and B = 4",
            when=lambda chosen: chosen.spatial > 0,
            fix="--minibatch-discrimination.spatial 0 compares features",
        )
    ],
    known_as={"mbd": "", "minibatch": ""},
)
class MinibatchDiscrimination:
    """Append to the critic's features each sample's similarity to the rest of its batch.

    M = f·T `[N, B, C]`, c_b(i, j) = exp(-‖M_ib - M_jb‖₁), o_ib = Σ_j c_b(i, j) over j ≠ i, and the
    tail returns `[f, o]`, `[N, F] → [N, F + B]`, with B kernels of dimension C. Reals and fakes are
    separate batches, so a collapsed generator has large o. With `normalize`, o is divided by the
    number of summands (N - 1, or N with `include_self`): it lies in [0, 1] and does not depend on
    the batch size. The source sums, itself included. With a dense layer of 256 before, the tail
    returns 256 + B features, with one after or both 256, even where F was larger. T is initialised
    from Glorot's uniform distribution. A forward pass stores 4·B·N² bytes, 1.6 MB at N = 64.

    `spatial` B > 0 compares cells of a map instead, after the first activation of the critic's
    body: its maps `[N, C, h, w]` pass a convolution (4×4, stride 4) to `[N, 3, t, t]`, t = h/4,
    then T `[3t², B·t², 16]` to o `[N, B, t, t]`, and a transposed convolution (4×4, stride 4) to
    `[N, C, h, w]`, which is added to the maps. The source computes B maps and appends them; adding
    suits any critic, as its next layer keeps its channels. Nothing is appended to the features
    then, and kernels, dim and dense have no effect. Rows and columns that fill no cell of 4 are not
    compared; the reference batch of a norm is part of the batch. Raises CompositionError for a
    critic whose first activation has no maps of 4×4 or more.

    Logs closeness-real and closeness-fake in each critic update, the means of o over samples and
    kernels: where fakes are much more similar to each other than reals, the generator has
    collapsed.
    """

    kernels: int = option(100, ge=1, help="features appended, B")
    dim: int = option(5, ge=1, help="dimension of each kernel, C")
    include_self: bool = option(False, help="true adds a sample's similarity to itself, which is 1")
    normalize: bool = option(True, help="true averages over the samples instead of summing")
    dense: str = option(
        "none",
        choices=("none", "before", "after", "both"),
        help="places of dense layers of 256 features, with leaky ReLUs of slope 0.2",
    )
    spatial: int = option(
        0,
        ge=0,
        help="kernels B for each cell of the critic's first map, instead of features; 0 is off",
    )

    # after a tail that appends the label, so that samples of one class are compared
    @hookimpl(trylast=True)
    def extend_critic(self, features):
        if self.spatial:
            return Head("closeness", Closeness())
        layers = []
        width = features
        if self.dense in ("before", "both"):
            layers += [nn.Linear(width, DENSE), nn.LeakyReLU(0.2)]
            width = DENSE
        layer = MinibatchLayer(width, self.kernels, self.dim, self)
        layers.append(layer)
        width += self.kernels
        if self.dense in ("after", "both"):
            layers += [nn.Linear(width, DENSE), nn.LeakyReLU(0.2)]
            width = DENSE
        tail = Tail(nn.Sequential(*layers), added=width - features)
        return tail, Head("closeness", Closeness(layer))

    # before a wrapper that gives the body another input shape than plan.critic_shape
    @hookimpl(tryfirst=True)
    def adapt_critic(self, net, plan):
        if self.spatial:
            heads = [part for part in net.parts.values() if isinstance(part, Closeness)]
            empty = [head for head in heads if not head.layers]
            empty[0].layers.append(insert_spatial(net.body, self, plan))

    @hookimpl
    def critic_terms(self, batch, log):
        for name, side in (("closeness-real", batch.real), ("closeness-fake", batch.fake)):
            if side is not None:
                log(name, side.heads["closeness"].mean())

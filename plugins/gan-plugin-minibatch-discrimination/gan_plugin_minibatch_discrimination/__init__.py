"""Minibatch discrimination: let the critic see how alike the samples of a batch are."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gan_plugin_minibatch_discrimination.similarity import similarity
from gancore import CompositionError, Head, Tail, component, gather, hookimpl, option, warns_with

DENSE = 256  # width of the dense layers before and after
CELL, PLANES, SPATIAL_DIM = 4, 3, 16  # of the spatial form: pixels a cell, numbers a cell, numbers compared by a kernel
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh)


class MinibatchLayer(nn.Module):
    """Features `[N, A] → [N, A + kernels]`: each sample's closeness to the others is appended, one number a kernel."""

    def __init__(self, features, kernels, dim, options):
        super().__init__()
        self.kernels, self.options = kernels, options
        self.weight = nn.Parameter(torch.empty(features, kernels * dim))  # T, [A, B·C]
        nn.init.xavier_uniform_(self.weight)
        self.found = None  # o averaged over the kernels, `[N]`, of the latest pass

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.closeness(features)], 1)

    def closeness(self, features: Tensor) -> Tensor:
        """Return o `[N, B]`, in float32 also under autocast."""
        rows = features @ self.weight  # M
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32)).unflatten(1, (self.kernels, -1))
        batch = gather(rows)
        own, whole = rows.transpose(0, 1), batch.transpose(0, 1)
        close = similarity(own, own if batch is rows else whole).sum(2).T  # [B, n, N] → [n, B]
        itself = 0 if self.options.include_self else 1  # exp(-0), a sample's closeness to itself
        close = (close - itself) / (max(1, len(batch) - itself) if self.options.normalize else 1)
        self.found = close.detach().mean(1)
        return close


class SpatialMinibatch(nn.Module):
    """Maps `[N, C, h, w]` plus maps of the same shape, made of how close each sample's cells lie to the others'."""

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
        close = self.layer.closeness(self.down(maps).flatten(1)).unflatten(1, (-1, *self.cells))  # [N, B, t, t]
        told = self.up(close.to(maps))
        rows, columns = (side % CELL for side in maps.shape[2:])  # that fill no cell
        return maps + pad(told, (0, columns, 0, rows))


class Closeness(nn.Module):
    """The head `closeness`: what a layer found in this very pass, `[N]`, without graph."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = list(layers)  # a plain list, as the layer's weights belong to the part that runs it

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.layers[0].found


def insert_spatial(body: nn.Module, options, plan) -> MinibatchLayer:
    """Put the spatial form behind the first activation of a critic's body, in place, and return its layer.

    Raises CompositionError where there is no activation, or none whose maps hold a cell.
    """
    name = next((name for name, each in body.named_modules() if name and isinstance(each, ACTIVATIONS)), None)
    shapes: list[tuple[int, ...]] = []
    if name:
        first = body.get_submodule(name)
        handle = first.register_forward_hook(lambda module, given, made: shapes.append(tuple(made.shape[1:])))
        with torch.no_grad():  # black samples, in evaluation mode, as the core counts features
            body.eval()(torch.zeros(2, *plan.critic_shape), torch.zeros(2, len(plan.label_sets), dtype=torch.int64))
        body.train()
        handle.remove()
    if len(shapes) != 1 or len(shapes[0]) != 3 or min(shapes[0][1:]) < CELL:
        raise CompositionError(
            f"the critic's first activation gives {shapes or 'nothing'}, but maps of at least {CELL}×{CELL} are wanted",
            where="minibatch-discrimination.spatial",
            fix="--minibatch-discrimination.spatial 0, which compares the critic's features",
        )
    parent, _, child = name.rpartition(".")
    inserted = SpatialMinibatch(shapes[0], options)
    setattr(body.get_submodule(parent), child, nn.Sequential(first, inserted))
    return inserted.layer


@component(
    source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2; spatial: github.com/Edouard99/GAN",
    provides=["critic.cross-sample"],
    rules=[
        warns_with(
            "data.images",
            "its spatial form has 48·B·t⁴ weights more, where t is an eighth of the image's side: 393,216 for 64 "
            "pixels and B = 2, but 201,326,592 for 256 pixels and B = 4",
            when=lambda chosen: chosen.spatial > 0,
            fix="--minibatch-discrimination.spatial 0 compares features",
        )
    ],
    known_as={"mbd": "", "minibatch": ""},
)
class MinibatchDiscrimination:
    """Append to each sample's features how close it lies to the rest of its batch.

    M = f·T `[N, B, C]`, c_b(i, j) = exp(-‖M_ib - M_jb‖₁), o_ib = Σ_j c_b(i, j) over j ≠ i, and the tail returns
    `[f, o]`, `[N, F] → [N, F + B]`, with B kernels of C dims. Reals and fakes are separate batches, so a collapsed
    generator shows as large o. Divided by the count of summands (N - 1, or N with itself) o lies in [0, 1] and does
    not depend on the batch size; the source sums, itself included. With a dense layer of 256 before, the tail returns
    256 + B features, with one after or both 256, even where F was larger. T is Glorot-uniform. A pass keeps
    4·B·N² bytes, 1.6 MB at N = 64.

    `spatial` B > 0 compares places instead, behind the first activation of the critic's body: its maps `[N, C, h, w]`
    go through a convolution (4×4, stride 4) to `[N, 3, t, t]`, t = h/4, then through T `[3t², B·t², 16]` to o
    `[N, B, t, t]`, and a transposed convolution (4×4, stride 4) makes `[N, C, h, w]` of o, which is added to the maps.
    The source makes B maps and appends them; adding serves any critic, as its next layer keeps its channels. Nothing
    is appended to the features then, and kernels, dim and dense do not count. Rows and columns that fill no cell of 4
    are not compared; a reference batch that a norm runs beside the samples counts among the others. Raises
    CompositionError for a critic whose first activation gives no maps of 4×4 or more.

    Logs closeness-real and closeness-fake in each critic update, the means of o over samples and kernels: fakes that
    are much closer to each other than reals have collapsed.
    """

    kernels: int = option(100, ge=1, help="features appended, B")
    dim: int = option(5, ge=1, help="numbers compared by each kernel, C")
    include_self: bool = option(False, help="true counts a sample's closeness to itself, which is 1")
    normalize: bool = option(True, help="true averages over the samples instead of summing")
    dense: str = option(
        "none", choices=("none", "before", "after", "both"), help="where dense layers of 256 features stand, slope 0.2"
    )
    spatial: int = option(
        0, ge=0, help="kernels B for each place of the critic's first map, instead of features; 0 compares features"
    )

    @hookimpl(trylast=True)  # behind a tail that appends the label, so that samples of a class are compared
    def extend_critic(self, features):
        if self.spatial:
            return Head("closeness", Closeness())
        layers, width = [], features
        if self.dense in ("before", "both"):
            layers += [nn.Linear(width, DENSE), nn.LeakyReLU(0.2)]
            width = DENSE
        layer = MinibatchLayer(width, self.kernels, self.dim, self)
        layers.append(layer)
        width += self.kernels
        if self.dense in ("after", "both"):
            layers += [nn.Linear(width, DENSE), nn.LeakyReLU(0.2)]
            width = DENSE
        return Tail(nn.Sequential(*layers), added=width - features), Head("closeness", Closeness(layer))

    @hookimpl(tryfirst=True)  # before a wrapper makes the body take another shape than plan.critic_shape
    def adapt_critic(self, net, plan):
        if self.spatial:
            heads = [part for part in net.parts.values() if isinstance(part, Closeness) and not part.layers]
            heads[0].layers.append(insert_spatial(net.body, self, plan))

    @hookimpl
    def critic_terms(self, batch, log):
        for name, side in (("closeness-real", batch.real), ("closeness-fake", batch.fake)):
            if side is not None:
                log(name, side.heads["closeness"].mean())

"""BigGAN for small images: a residual generator whose blocks each have a part of the latent."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from gan_plugin_networks.blocks import CONVOLUTIONS, channels_of, halvings, require_maps
from gan_plugin_networks.resnet import up_block
from gancore import CompositionError, Layers, component, hookimpl, option


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]` in (-1, 1): a chunk of z for the seed and each block.

    The style of a block's norms is its chunk of z and the embedding of the class.
    """

    def __init__(self, plan, options, classes: int, column: int):
        super().__init__()
        sizes = halvings(plan.shape[1:], 4)
        channels = channels_of(sizes, options.width, options.limit)
        self.column = column
        self.embedding = nn.Embedding(classes, options.embedding) if classes else None
        embedded = options.embedding if classes else 0
        # one chunk for the seed, one for each block; the first chunks are wider by the remainder
        count = len(sizes)
        self.widths = [plan.inputs // count + (k < plan.inputs % count) for k in range(count)]
        self.seed = (channels[0], *sizes[0])
        self.project = nn.Linear(self.widths[0], prod(self.seed))
        self.blocks = nn.ModuleList(
            up_block(before, after, size, plan, width + embedded)
            for (before, after), size, width in zip(
                pairwise(channels), sizes[1:], self.widths[1:], strict=True
            )
        )
        last = CONVOLUTIONS[plan.axes](channels[-1], plan.shape[0], 3, padding=1)
        norm = plan.norm(channels[-1], "generator", plan.inputs + embedded)
        self.last = Layers(norm, nn.ReLU(), last, nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        condition = z[:, :0]
        if self.embedding is not None:
            condition = self.embedding(labels[:, self.column])
        chunks = z.split(self.widths, 1)
        maps = self.project(chunks[0]).unflatten(1, self.seed)
        for block, chunk in zip(self.blocks, chunks[1:], strict=True):
            maps = block(maps, labels, torch.cat([chunk, condition], 1))
        return self.last(maps, labels, torch.cat([z, condition], 1))


@component(
    source="Brock, Donahue and Simonyan, ICLR 2019, arXiv:1809.11096, appendix B",
    defaults={
        "critic": "resnet-critic",
        "upsample": "nearest-conv",
        "gen-norm": "self-modulation",
        "self-modulation": {"hidden": 0},
        "critic-norm": "none",
        "init": "glorot",
    },
    known_as={"biggan": ""},
)
class BigGANLite:
    """Generate images by the residual blocks of `resnet`, each with a part of the latent.

    z `[N, Z]` is split into one chunk for the seed and one for each block. The style of a block's
    norms is its chunk and one class embedding that all blocks share; `self-modulation` with a
    linear map, the default, makes gain and shift of it. Without labels the chunk alone is the
    style. Images are `[N, C, H, W]` in (-1, 1).

    Departures: the last norm has all of z as its style, weights start from Glorot's distribution
    instead of orthogonal ones, and attention (`--reg self-attention`), a projecting critic,
    orthogonal regularisation and truncation are components of their own. Raises CompositionError
    for points, for a latent with fewer columns than chunks, and for a label set that does not
    exist.
    """

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(128, ge=1, help="most channels of any map")
    embedding: int = option(32, ge=1, help="width of the class embedding")
    labels: str = option("", help="label set that gives the class; empty takes the first")

    @hookimpl
    def make_generator(self, plan):
        require_maps("biggan-lite", plan, "--gen mlp")
        chunks = len(halvings(plan.shape[1:], 4))
        if plan.inputs < chunks:
            raise CompositionError(
                f"a latent of {plan.inputs} columns cannot be split into {chunks} chunks",
                where="biggan-lite",
                fix="a wider latent, e.g. --normal.dim 64",
            )
        try:
            column = plan.column(self.labels) if plan.label_sets or self.labels else 0
        except KeyError as error:
            raise CompositionError(error.args[0], where="biggan-lite.labels") from None
        classes = len(plan.label_sets[column]) if plan.label_sets else 0
        return Generator(plan, self, classes, column)

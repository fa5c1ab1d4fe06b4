"""Real samples: what a data component returns, and the order in which a run reads it."""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Protocol

import torch
from attrs import define, field, frozen
from torch import Tensor
from torch.nn import functional

from gancore.errors import CompositionError, DataError, UsageError
from gancore.recipe.data_path import path_as_data
from gancore.recipe.settings import LARGEST_SIDE
from gancore.recipe.toml import layer_of
from gancore.train.plan import LabelSet
from gancore.train.rng import Streams

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition


# by the number of axes beside the channels
DATA_TAGS = {0: "data.points", 1: "data.signals", 2: "data.images", 3: "data.volumes"}
# Images in flat colours: how many there are at most, and which share of neighbours is alike.
MOST_COLOURS = 32
LEAST_ALIKE = 0.5
LOOKED_AT = 64  # images
# Pixels of an image that two processor cores, and a GPU, train at some steps a second.
AREA_ON_CPU = 64 * 64
AREA_ON_GPU = 128 * 128


@frozen
class DataSpec:
    """What the user asked of the data.

    - `size`: the wanted (height, width) in pixels, from `--size`; None for the data's own.
    - `folder`: the folder that relative paths are relative to; the current one in a run.
    - `area`: pixels of an image that the device of the run trains in reasonable time, for a reader
      that makes larger images smaller where `size` is None; 64·64 on a CPU.
    """

    size: tuple[int, int] | None = None
    folder: Path = Path()
    area: int = AREA_ON_CPU


class Data(Protocol):
    """Real samples of one shape: any object with these members, which `make_data` returns.

    `gancore.StoredData` is one, for samples that fit into memory.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: `(C, H, W)` of an image, `(C, T)` of a signal, `(C, D, H, W)` of
        a volume, `(d,)` of a point.
        """
        ...

    @property
    def label_sets(self) -> tuple[LabelSet, ...]:
        """The label sets, one for each column of the labels; `()` for data without labels."""
        ...

    def __len__(self) -> int:
        """Count the samples of one epoch, at least 1."""
        ...

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the samples and labels of `indices [n]`, int64 in 0 … len - 1.

        Samples are float32 `[n, *shape]`, images in [-1, 1]; labels are int64 `[n, L]`. `rng` is a
        new CPU generator for every batch; data that is drawn rather than stored uses it and ignores
        the indices.
        """
        ...

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw the labels of n samples, int64 `[n, L]`, with the frequencies of the data."""
        ...

    def fingerprint(self) -> str:
        """Return a digest that changes when the samples or labels do; a resumed run compares it."""
        ...


@define(eq=False)
class StoredData:
    """Samples held in memory: a `Data` of tensors.

    Raises ValueError where the shape of `labels` does not fit samples and label sets.

    - `samples`: images `[M, C, H, W]`, signals `[M, C, T]`, volumes `[M, C, D, H, W]` or points
      `[M, d]`. Those of uint8 are taken as 2·x/255 - 1, those of float32 as they are.
    - `labels`: the labels, int64 `[M, L]`, one column for each of `label_sets`; `[M, 0]` by
      default.
    - `label_sets`: the label sets of the columns.
    """

    samples: Tensor
    labels: Tensor = field()
    label_sets: tuple[LabelSet, ...] = ()

    @labels.default
    def _no_labels(self) -> Tensor:
        return torch.empty(len(self.samples), 0, dtype=torch.int64)

    def __attrs_post_init__(self) -> None:
        if self.labels.shape != (len(self.samples), len(self.label_sets)):
            raise ValueError(
                f"labels are {list(self.labels.shape)}, "
                f"but {[len(self.samples), len(self.label_sets)]} fit"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: `(C, H, W)` or `(d,)`."""
        return tuple(self.samples.shape[1:])

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.samples)

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the samples, float32 `[n, *shape]`, and labels, int64 `[n, L]`, of `indices [n]`.

        `rng` is not used.
        """
        indices = indices.to(self.samples.device)
        # two to three times as fast as samples[indices], of bytes
        samples = self.samples.index_select(0, indices)
        if samples.dtype == torch.uint8:
            samples = samples.float().div_(127.5).sub_(1.0)
        return samples, self.labels.index_select(0, indices)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Return the labels, int64 `[n, L]`, of n samples drawn uniformly with repetition."""
        return self.labels[torch.randint(len(self), (n,), generator=rng)]

    def fingerprint(self) -> str:
        """Return the BLAKE2b digest of shape, samples and labels, 32 hexadecimal digits."""
        digest = blake2b(repr((self.shape, self.label_sets)).encode(), digest_size=16)
        values = [each.values for each in self.label_sets if each.values is not None]
        for tensor in (self.samples, self.labels, *values):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


@frozen(eq=False)
class Subset:
    """Some samples of other data: a `Data` of those at `indices`, in that order.

    A subset of a subset reads through both, and its fingerprint tells both choices. Raises
    ValueError where the shape of `labels` does not fit indices and label sets.

    - `data`: the data whose samples these are; what it states beside the members of a `Data`, such
      as the modes of a distribution, is read there.
    - `indices`: the samples that there are, int64 `[m]`, in 0 … len(data) - 1.
    - `labels`: their labels, int64 `[m, L]`, which `draw_labels` draws from. By default None:
      labels are drawn with the frequencies of the whole data, and need not be read beforehand.
    """

    data: Data
    indices: Tensor = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        fitting = [len(self.indices), len(self.label_sets)]
        if self.labels is not None and list(self.labels.shape) != fitting:
            raise ValueError(f"labels are {list(self.labels.shape)}, but {fitting} fit")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, that of the data."""
        return self.data.shape

    @property
    def label_sets(self) -> tuple[LabelSet, ...]:
        """The label sets of the data, classes without a sample here included."""
        return self.data.label_sets

    def __len__(self) -> int:
        """Count the samples of the subset."""
        return len(self.indices)

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the samples and labels of `indices [n]`, in 0 … m - 1, as the data takes them."""
        return self.data.take(self.indices[indices], rng)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw the labels of n samples, int64 `[n, L]`, with the frequencies of the subset.

        Those of the whole data where `labels` is None.
        """
        if self.labels is None:
            return self.data.draw_labels(n, rng)
        return self.labels[torch.randint(len(self), (n,), generator=rng)]

    def fingerprint(self) -> str:
        """Return the BLAKE2b digest of the data's fingerprint and the indices, 32 hexadecimal
        digits.
        """
        digest = blake2b(self.data.fingerprint().encode(), digest_size=16)
        digest.update(self.indices.numpy().tobytes())
        return digest.hexdigest()


def open_data(source: Composition | str | Path, *, size: tuple[int, int] | None = None) -> Data:
    """Open the data of a composition, as its components adapt them, or those of a name or path.

    A name or path is read as `gan run --data` reads it, with no component beside it; `size` is then
    the wanted (height, width) of images, None for their own. Raises DataError for data that cannot
    be used, UsageError for a name, path or size that does not exist or fit.
    """
    composition = data_alone(str(source), size) if isinstance(source, str | Path) else source
    return adapt_data(composition, make_data(composition))


def make_data(composition: Composition, area: int = AREA_ON_CPU) -> Data:
    """Return the data as its own component reads it; `area` is that of `DataSpec`.

    Raises CompositionError where no data is chosen, UsageError for a size of what is no image.
    """
    spec = DataSpec(composition.settings.image_size, area=area)
    data: Data | None = composition.hooks.first("make_data", spec=spec)
    if data is None:
        raise CompositionError(
            "no data is chosen", fix="--data NAME|PATH    (`gan plugins data` lists them)"
        )
    if spec.size and len(data.shape) != 3:
        raise UsageError(
            f"a size is given, but the data are no images: a sample has shape {data.shape}",
            where="--size",
            fix="leave --size out",
        )
    return data


def adapt_data(composition: Composition, data: Data) -> Data:
    """Return data as the other components adapt them. Raises DataError, UsageError."""
    spec = DataSpec(composition.settings.image_size)
    adapted: Data = composition.hooks.fold("adapt_data", {"data": data}, spec=spec)["data"]
    if len(adapted.shape) - 1 not in DATA_TAGS:
        raise DataError(
            f"a sample has shape {adapted.shape}, with {len(adapted.shape)} axes",
            where="data",
            fix="(d,) for points, (C, T) for signals, (C, H, W) for images, "
            "(C, D, H, W) for volumes",
        )
    if len(adapted) == 0:
        raise DataError("the data is empty")
    if len(adapted.shape) == 3 and max(adapted.shape[1:]) > LARGEST_SIDE:
        sides = "×".join(map(str, adapted.shape[1:]))
        what = f"the images have {sides} pixels, more than {LARGEST_SIDE} a side"
        raise UsageError(what, where="the data's own size", fix="--size 64 makes them smaller")
    return adapted


def data_alone(source: str, size: tuple[int, int] | None) -> Composition:
    """Compose the data component of a name or path, and nothing else."""
    from gancore.recipe.compose import resolve

    layer = path_as_data(layer_of("data", {"data": source}))
    settings = {} if size is None else {"size": f"{size[0]}x{size[1]}"}
    return resolve([layer, layer_of("data", {"run": settings})], exact=True)


def data_tags(data: Data) -> set[str]:
    """Return the tags that rules about the data refer to."""
    tags = {DATA_TAGS[len(data.shape) - 1]}
    if data.label_sets:
        tags.add("data.labels")
    return tags


def fitting_tags(data: Data) -> set[str]:
    """Return the tags for which a recipe may make choices: those of `data_tags`, and flat colours.

    Images in flat colours, as drawn pixel by pixel, have at most 32 colours in the median, and at
    least half of the pixels have the colour of their right neighbour. Images that were resized or
    photographed have hundreds of colours. Grey images never count.
    """
    tags = data_tags(data)
    if len(data.shape) == 3 and data.shape[0] >= 3 and len(data) > 0:
        colours, alike = colour_statistics(data)
        if colours <= MOST_COLOURS and alike >= LEAST_ALIKE:
            tags.add("data.flat-colours")
    return tags


def colour_statistics(data: Data) -> tuple[float, float]:
    """Return the medians, over 64 images, of the number of colours, and of the share of pixels that
    have the colour of their right neighbour.
    """
    rows = torch.linspace(0, len(data) - 1, min(LOOKED_AT, len(data)), dtype=torch.float64)
    images, _ = data.take(rows.round().long(), torch.Generator())
    levels = ((images.double() + 1) * 127.5).round()  # of each channel, 0 to 255
    # one number for each colour: its levels are the digits
    places = 256.0 ** torch.arange(data.shape[0], dtype=torch.float64)
    colours = (levels * places.view(-1, 1, 1)).sum(1)
    alike = (colours[:, :, 1:] == colours[:, :, :-1]).double().flatten(1).mean(1)
    counts = [len(torch.unique(each)) for each in colours]
    return median(counts), median(alike.tolist())


def resize_images(images: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Return uint8 images `[M, C, H, W]` at `size` (height, width), bilinear with antialiasing.

    None keeps their own.

    In float64 and rounded, so that all machines agree on the bytes; 256 images at a time.
    """
    if size is None or size == tuple(images.shape[2:]):
        return images.contiguous()
    resized = torch.empty(*images.shape[:2], *size, dtype=torch.uint8)
    for source, target in zip(torch.split(images, 256), torch.split(resized, 256), strict=True):
        made = functional.interpolate(source.double(), size=size, mode="bilinear", antialias=True)
        target.copy_(made.round_())
    return resized


def machine_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its container's.

    0 where unknown.
    """
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # AttributeError on Windows
        return 0
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text()
        return min(total, int(limit))
    except (OSError, ValueError):  # no control groups, or `max`
        return total


def expect_memory(needed: int, what: str, *, where: str = "", fix: str = "") -> None:
    """Raise DataError where `what` needs more bytes than the machine has: the system would end the
    process unasked.
    """
    there = machine_memory()
    if there and needed > there:
        size = f"{needed / 2**30:,.0f} GiB of memory"
        text = f"{what} take {size}, but this machine has {there / 2**30:,.0f}"
        raise DataError(text, where=where, fix=fix)


# an epoch's batches share one: shuffling a million images takes longer than many a step
@lru_cache(maxsize=2)
def _permutation(images: int, streams: Streams, epoch: int, part: int) -> Tensor:
    return torch.randperm(images, generator=streams.generator("data-order", epoch, part))


@frozen
class DataOrder:
    """Which samples make up the k-th batch of a run: a permutation per epoch, the incomplete last
    batch dropped.

    A pure function of (seed, k). A set smaller than the batch fills it by repetition.
    """

    images: int
    batch: int
    streams: Streams

    @property
    def batches_per_epoch(self) -> int:
        """Count the whole batches of one epoch, at least 1."""
        return max(1, self.images // self.batch)

    def indices(self, k: int) -> Tensor:
        """Return the indices `[batch]` of batch k >= 0."""
        epoch, place = divmod(k, self.batches_per_epoch)
        start = place * self.batch
        # one permutation, unless the data is smaller than a batch: then as many as fill it
        parts = -(-self.batch // self.images)
        orders = [_permutation(self.images, self.streams, epoch, part) for part in range(parts)]
        if parts == 1:
            return orders[0][start : start + self.batch].clone()
        return torch.cat(orders)[: self.batch]

"""Stacked digits: three random digits as the channels of an image, a thousand classes."""

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from gan_plugin_idx.mnist import DIGITS, folder_of, read_known
from gancore import Data, DataSpec, LabelSet, StoredData, component, expect_memory, hookimpl, option

CHANNELS = ("red", "green", "blue")
STACKED = DIGITS._replace(name="stacked-digits")  # whose option an error names


@dataclass(frozen=True)
class Stacks:
    """Stacks of three of the stored digits, gathered when they are taken.

    - `digits`: digits with labels `[M, 1]`, images `[M, 1, H, W]`.
    - `rows`: the digits of each stack, int64 `[count, 3]`.
    """

    digits: StoredData
    rows: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one stack, `(3, H, W)`."""
        return (len(CHANNELS), *self.digits.shape[1:])

    @property
    def label_sets(self) -> tuple[LabelSet, ...]:
        """One label set for each channel: `red`, `green` and `blue`."""
        classes = self.digits.label_sets[0].classes
        return tuple(LabelSet(channel, classes) for channel in CHANNELS)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return stacks, float32 `[n, 3, H, W]` in [-1, 1], and their digits, int64 `[n, 3]`."""
        rows = self.rows[indices.to(self.rows.device)]
        images, labels = self.digits.take(rows.flatten(), rng)
        return images.view(len(rows), *self.shape), labels.view(len(rows), len(CHANNELS))

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw the digits of n stacks, int64 `[n, 3]`."""
        rows = self.rows[torch.randint(len(self), (n,), generator=rng)]
        return self.digits.labels[rows, 0]

    def fingerprint(self) -> str:
        """Return a digest of the digits and of which of them are stacked."""
        digest = blake2b(self.digits.fingerprint().encode(), digest_size=16)
        digest.update(self.rows.numpy().tobytes())
        return digest.hexdigest()


@component(
    source="Metz et al., ICLR 2017, arXiv:1611.02163, section 3.3; 128,000 stacks of train and "
    "test: Lin et al., PacGAN, NeurIPS 2018, arXiv:1712.04086, section 4.2",
    known_as={"stacked-mnist": ""},
)
class StackedDigits:
    """Stack three random digits of MNIST as the channels of an image: 1000 modes.

    The digits of a stack are drawn independently, with repetition, once. Images are
    `[N, 3, 28, 28]` in [-1, 1], or resized to the requested size; the label sets `red`, `green` and
    `blue` name the digits. The modes have nearly equal shares, since MNIST's classes have:
    Σ p ln(1000·p) of the true distribution is about 0.004. The metric `triples` counts the modes.
    Files are those of `mnist`, in its layout. Raises DataError for missing and corrupt files.
    """

    path: str = option(
        "", help="folder of the idx files; empty: mnist in the user's data folder of gancore"
    )
    split: str = option(
        "all",
        choices=("train", "test", "all"),
        help="digits to stack; all: train and test, or the available one",
    )
    download: bool = option(False, help="download missing files into that folder with torchvision")
    count: int = option(128_000, ge=1, help="number of stacks, drawn once")
    seed: int = option(0, ge=0, help="seed of the stacks; not the seed of the run")

    @hookimpl
    def make_data(self, spec: DataSpec) -> Data:
        folder = folder_of(DIGITS, self.path, spec.folder)
        fix = "a smaller --stacked-digits.count"
        needed = self.count * len(CHANNELS) * 8
        expect_memory(needed, f"{self.count:,} stacks", where="stacked-digits.count", fix=fix)
        digits = read_known(STACKED, folder, self.split, self.download, spec.size)
        rng = torch.Generator().manual_seed(self.seed)
        return Stacks(digits, torch.randint(len(digits), (self.count, 3), generator=rng))

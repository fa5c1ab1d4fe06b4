"""Data augmentation of the reals alone."""

from hashlib import blake2b

import torch
from attrs import frozen
from torch import Tensor

from gan_plugin_augment.transforms import IMAGES, draw_parameters, transform
from gancore import Data, LabelSet, component, hookimpl, option, warns_with


def leaks(how: "Augment") -> bool:
    """Return whether any transformation but the flip is on."""
    return any((how.shift, how.rotate, how.hue, how.brightness, how.saturation, how.contrast))


@frozen(eq=False)
class Augmented:
    """Wrap a data set: transform its samples anew whenever they are taken, and keep the labels."""

    data: Data
    how: "Augment"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def label_sets(self) -> tuple[LabelSet, ...]:
        return self.data.label_sets

    def __len__(self) -> int:
        return len(self.data)

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        images, labels = self.data.take(indices, rng)
        limits = [self.how.shift, self.how.shift]
        drawn = draw_parameters(len(images), rng)
        return transform(images, self.how, limits, drawn).clamp(-1, 1), labels

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        return self.data.draw_labels(n, rng)

    def fingerprint(self) -> str:
        content = f"{self.how!r} {self.data.fingerprint()}"
        return blake2b(content.encode(), digest_size=16).hexdigest()


@component(
    source="Lazarou, github.com/ConorLazarou/PokeGAN (flip, shift, hue); leaks: Karras et al., "
    "NeurIPS 2020, arXiv:2006.06676, and Zhao et al., NeurIPS 2020, arXiv:2006.10738",
    rules=[
        IMAGES,
        warns_with(
            "data.images",
            "the generator learns to draw transformations that only the reals undergo: shifted, "
            "rotated and recoloured samples",
            cite="Zhao et al. 2020, section 3; Karras et al. 2020, section 2",
            fix="--reg augment-views, which transforms reals and fakes alike; or flip alone",
            when=leaks,
        ),
    ],
    known_as={"augmentation": "", "flip": ""},
)
class Augment:
    """Flip the reals at random, and optionally shift, rotate and recolour them.

    Parameters are drawn anew for each sample whenever it is taken. With u ~ U[-1, 1) for each
    sample and option: hue rotates RGB by hue·u about the grey axis; brightness·u is added;
    distances from a pixel's grey are scaled by 1 + saturation·u and those from the sample's mean by
    1 + contrast·u; then come the flip with probability `flip`, a counterclockwise rotation by
    rotate·u degrees about the centre, bilinear, and a shift by whole pixels, uniform on -shift to
    shift each way. (A random crop after padding is the same as a shift.) Hue and saturation change
    no image of one channel.

    Images keep shape `[n, C, H, W]`. Values outside [-1, 1] are clamped: a generator that ends in a
    tanh could not produce them. Labels do not change, and metrics use the augmented reals. A flip
    is safe where a mirrored image is as likely as the image: set it to 0 for letters and digits.
    All other transformations leak into the samples, and cause a warning. PokeGAN: shift 5 of 96
    pixels, fill white, hue 0.5 (there in HSV).
    """

    flip: float = option(0.5, ge=0, le=1, help="probability of a horizontal flip")
    shift: int = option(0, ge=0, help="largest shift in each direction, in pixels")
    rotate: float = option(0.0, ge=0, le=180, help="largest rotation either way, in degrees")
    hue: float = option(
        0.0, ge=0, le=0.5, help="largest rotation of the hue either way, in turns; 0.5 is any hue"
    )
    brightness: float = option(
        0.0, ge=0, le=2, help="largest change either way, in units of the range [-1, 1]"
    )
    saturation: float = option(
        0.0, ge=0, le=1, help="largest change of the factor 1 either way; 1 is from 0 to 2"
    )
    contrast: float = option(
        0.0, ge=0, le=1, help="largest change of the factor 1 either way; 1 is from 0 to 2"
    )
    fill: float = option(1.0, ge=-1, le=1, help="value of uncovered pixels, in [-1, 1]; 1 is white")

    @hookimpl
    def adapt_data(self, data):
        return Augmented(data, self) if self.flip or leaks(self) else None

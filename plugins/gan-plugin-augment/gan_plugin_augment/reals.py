"""Augmentation of the reals alone, as a stage of the data."""

from hashlib import blake2b

import torch
from attrs import frozen
from torch import Tensor

from gan_plugin_augment.transforms import IMAGES, draw, transform
from gancore import Data, LabelSet, component, hookimpl, option, warns_with


def leaks(how: "Augment") -> bool:
    """Whether anything but the flip is on."""
    return any((how.shift, how.rotate, how.hue, how.brightness, how.saturation, how.contrast))


@frozen(eq=False)
class Augmented:
    """Other data whose samples are transformed anew whenever they are taken; labels stay as they are."""

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
        most = [self.how.shift, self.how.shift]
        return transform(images, self.how, most, draw(len(images), rng)).clamp(-1, 1), labels

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        return self.data.draw_labels(n, rng)

    def fingerprint(self) -> str:
        return blake2b(f"{self.how!r} {self.data.fingerprint()}".encode(), digest_size=16).hexdigest()


@component(
    source="Lazarou, github.com/ConorLazarou/PokeGAN (flip, shift, hue); that it leaks: Karras et al., NeurIPS 2020, "
    "arXiv:2006.06676, and Zhao et al., NeurIPS 2020, arXiv:2006.10738",
    rules=[
        IMAGES,
        warns_with(
            "data.images",
            "the generator learns to draw what only the reals are put through: shifts, turns and odd colours come "
            "back in its samples",
            cite="Zhao et al. 2020, section 3; Karras et al. 2020, section 2",
            fix="--reg augment-views transforms reals and fakes alike; of the reals alone, flip at most",
            when=leaks,
        ),
    ],
    known_as={"augmentation": "", "flip": ""},
)
class Augment:
    """Flip the reals at random, and if asked shift, turn and recolour them, whenever they are taken.

    Every sample of every batch is drawn anew. With u ~ U[-1, 1) for each sample and option: hue turns RGB by hue·u
    about the grey axis; brightness·u is added; distances from a pixel's grey are scaled by 1 + saturation·u and those
    from the sample's mean by 1 + contrast·u; then come the flip with probability `flip`, a counterclockwise turn by
    rotate·u degrees about the middle, bilinear, and a shift by whole pixels, equally likely from -shift to shift each
    way. (A random crop after padding is the same as a shift.) Hue and saturation change no image of one channel.

    Images keep shape `[n, C, H, W]`. Colours that leave [-1, 1] are clamped there: reals are images, and fakes that
    end in a tanh could never follow them out. Labels stay, and metrics see reals so augmented. A flip is safe where a
    mirrored image is as likely as the image: set it to 0 for letters and digits. All else leaks into the samples, and
    is noted. PokeGAN: shift 5 of 96 pixels, white, hue 0.5 (there in HSV).
    """

    flip: float = option(0.5, ge=0, le=1, help="probability of mirroring left and right")
    shift: int = option(0, ge=0, help="largest shift in each direction, in pixels")
    rotate: float = option(0.0, ge=0, le=180, help="largest turn either way, in degrees")
    hue: float = option(0.0, ge=0, le=0.5, help="largest turn of the hue either way, in full turns; 0.5 is any hue")
    brightness: float = option(0.0, ge=0, le=2, help="largest change either way, in units of the range [-1, 1]")
    saturation: float = option(0.0, ge=0, le=1, help="largest change of the factor 1, at most 1; 1 is from 0 to 2")
    contrast: float = option(0.0, ge=0, le=1, help="largest change of the factor 1, at most 1; 1 is from 0 to 2")
    fill: float = option(1.0, ge=-1, le=1, help="value in [-1, 1] of what is uncovered; 1 is white")

    @hookimpl
    def adapt_data(self, data):
        return Augmented(data, self) if self.flip or leaks(self) else None

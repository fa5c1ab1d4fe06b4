"""ADA: augmentation of reals and fakes whose probability adapts to the critic."""

import math
from functools import partial

import torch
from torch import Tensor

from gan_plugin_augment.controller import Controlled, follows_signs
from gan_plugin_augment.transforms import (
    IMAGES,
    adjust_contrast,
    brighten,
    flip,
    rotate_hue,
    saturate,
    shift,
    to_integers,
    to_symmetric,
    warp,
)
from gan_plugin_augment.views import GLYPHS, share_of_sides
from gancore import component, draw_rows, hookimpl, option, warns_with

NUMBERS = 24  # uniform and as many normal numbers of a sample


class Drawn:
    """The random numbers of a batch, handed out one `[N]` after the other."""

    def __init__(self, images: Tensor, p: Tensor, rng: torch.Generator) -> None:
        self.p = p
        # in half precision a place would be off by pixels
        wide = torch.promote_types(images.dtype, torch.float32)
        draw = partial(draw_rows, shape=(len(images), NUMBERS), rng=rng)
        self.uniforms = iter(draw(torch.rand).to(images.device, wide).T)
        self.normals = iter(draw(torch.randn).to(images.device, wide).T)

    def uniform(self) -> Tensor:
        """Return numbers of U[0, 1)."""
        return next(self.uniforms)

    def chosen(self, p: Tensor | None = None) -> Tensor:
        """Return which samples are transformed, with probability p, as booleans."""
        return self.uniform() < (self.p if p is None else p)

    def power(self, deviation: float) -> Tensor:
        """Return 2^N(0, deviation²) for the chosen, and 1 for the others."""
        return torch.where(self.chosen(), torch.exp2(deviation * self.normal()), 1.0)

    def normal(self) -> Tensor:
        """Return numbers of N(0, 1)."""
        return next(self.normals)

    def angle(self, p: Tensor | None = None) -> Tensor:
        """Return angles from U[-π, π) for the chosen, and 0 for the others."""
        return torch.where(self.chosen(p), to_symmetric(self.uniform(), math.pi), 0.0)


def blit(images: Tensor, drawn: Drawn, mirror: bool, fill: float) -> Tensor:
    """Shift by whole pixels, up to an eighth of the side, and mirror half of the chosen."""
    mirrored = drawn.chosen() & (drawn.uniform() < 0.5)
    if mirror:
        images = flip(images, mirrored)
    chosen = drawn.chosen()
    limits = share_of_sides(images.shape[2:], 0.125)
    down, right = (to_integers(drawn.uniform(), -limit, limit) for limit in limits)
    return shift(images, torch.where(chosen, down, 0), torch.where(chosen, right, 0), fill)


def move(images: Tensor, drawn: Drawn, fill: float) -> Tensor:
    """Scale, rotate, stretch, rotate again and shift by fractions of pixels, in one reading."""
    half = 1 - (1 - drawn.p).sqrt()  # so that one of the two rotations is there with probability p
    scale = drawn.power(0.2)
    first, stretch, last = drawn.angle(half), drawn.power(0.2), drawn.angle(half)
    diagonal = torch.diag_embed(torch.stack([scale / stretch, scale * stretch], 1))
    matrix = rotation(first) @ diagonal @ rotation(last)
    height, width = images.shape[2:]
    by = 0.125 * torch.stack([height * drawn.normal(), width * drawn.normal()], 1)
    return warp(images, matrix, fill, torch.where(drawn.chosen()[:, None], by, 0.0))


def rotation(angle: Tensor) -> Tensor:
    """Return the rotations `[N, 2, 2]` by angles `[N]`, in radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)


def recolour(images: Tensor, drawn: Drawn) -> Tensor:
    """Change brightness, contrast and saturation, invert the grey of half, and rotate the hue."""

    def choose(chosen: Tensor, changed: Tensor) -> Tensor:
        # not by a factor of 1, which would round
        return torch.where(chosen[:, None, None, None], changed, images)

    images = choose(drawn.chosen(), brighten(images, 0.2 * drawn.normal()))
    images = choose(drawn.chosen(), adjust_contrast(images, torch.exp2(0.5 * drawn.normal())))
    inverted = drawn.chosen() & (drawn.uniform() < 0.5)
    images = choose(inverted, images - 2 * images.mean(1, keepdim=True))
    turned = rotate_hue(images, to_symmetric(drawn.uniform(), 0.5))
    images = choose(drawn.chosen(), turned)
    return choose(drawn.chosen(), saturate(images, torch.exp2(drawn.normal())))


@component(
    source="Karras et al., NeurIPS 2020, arXiv:2006.06676, section 3 and appendix B; "
    "ramp: Huang et al., NeurIPS 2024, arXiv:2501.05441",
    provides=["critic.view-augmented"],
    rules=[
        IMAGES,
        follows_signs("ada"),
        warns_with("glyphs", GLYPHS, when=lambda chosen: chosen.flip, fix="--ada.flip false"),
        warns_with(
            "critic.rotations",
            "the critic cannot predict the rotation of an image that the view has rotated",
            cite="Chen et al., CVPR 2019, arXiv:1811.12212",
            when=lambda chosen: "geometry" in chosen.pipe,
            fix="--ada.pipe blit,colour",
        ),
        warns_with(
            "critic.consistency",
            "transformed samples are then counted twice",
            cite="Zhao et al. 2021, section 1",
            fix="one of the two",
        ),
    ],
    known_as={"adaptive-augmentation": "", "stylegan2-ada": ""},
)
class ADA(Controlled):
    """Transform reals and fakes before the critic, with a probability p that adapts to it.

    Each transformation of the pipe is applied to a sample with probability p, with parameters drawn
    anew for each sample and view; gradients pass. `blit`: shifts by whole pixels, up to an eighth
    of the side. `geometry`: isotropic scale 2^N(0, 0.2²), rotations by any angle, anisotropic scale
    2^N(0, 0.2²) and shifts of N(0, 0.125²) sides, bilinear. `colour`: brightness N(0, 0.2²),
    contrast 2^N(0, 0.5²), inverted grey, any hue, saturation 2^N(0, 1). Below about 0.8 nothing
    leaks into the samples: an untransformed image remains the likeliest.

    With `adapt sign` p ← clip(p + sign(r - target)·N·every/(1000·speed), 0, limit) after `every`
    critic updates, with r the mean sign of the scores of reals since: near 1, the critic knows them
    by heart. It needs a loss whose score 0 means undecided. With `adapt ramp` p rises with the
    steps from 0 to `limit` as half a cosine. p and r are state, so a resume is exact. With p = 0
    the view has the bits of the images.

    Not as in the source: no mirroring unless `flip`, and no quarter turns, as letters and digits
    become others; pixels outside are `fill`, not reflected; no low-pass filter when resampling.
    Logs `p` and `sign`, the mean sign of this update's scores of reals.
    """

    pipe: tuple[str, ...] = option(
        ("blit", "geometry", "colour"),
        choices=("blit", "geometry", "colour"),
        help="groups of transformations, separated by commas",
    )
    flip: bool = option(False, help="true also mirrors, in the group blit")
    fill: float = option(
        0.0, ge=-1, le=1, help="value of uncovered pixels, in [-1, 1]; 0 is mid-grey"
    )

    @hookimpl
    def critic_view(self, images, step, rng):
        drawn = Drawn(images, self.strength(step, images.device), rng)
        if "colour" in self.pipe:
            images = recolour(images, drawn)
        if "blit" in self.pipe:
            images = blit(images, drawn, self.flip, self.fill)
        if "geometry" in self.pipe:
            images = move(images, drawn, self.fill)
        return images

    @hookimpl
    def critic_terms(self, batch, step, log):
        if batch.real is not None:
            log("p", self.strength(step, batch.real.view.device))
            log("sign", batch.real.score.detach().sign().mean())

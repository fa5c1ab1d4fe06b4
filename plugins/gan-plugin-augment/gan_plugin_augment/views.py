"""Data augmentation of the critic's input, reals and fakes alike."""

from gan_plugin_augment.transforms import (
    IMAGES,
    cut_out,
    draw_parameters,
    to_integers,
    transform,
)
from gancore import component, hookimpl, option, warns_with

GLYPHS = "a mirrored letter or digit may be another one, and its fakes then cost nothing"
NO_FLIP = "leave out the flip"


def share_of_sides(sides: tuple[int, ...], share: float) -> list[int]:
    """Return that share of each side in whole pixels, halves rounded up."""
    return [int(side * share + 0.5) for side in sides]


@component(
    source="Zhao et al., NeurIPS 2020, arXiv:2006.10738 (DiffAugment); flip, rotate and hue: "
    "Karras et al., NeurIPS 2020, arXiv:2006.06676, appendix B",
    provides=["critic.view-augmented"],
    rules=[
        IMAGES,
        warns_with(
            "critic.rotations",
            "the critic cannot predict the rotation of an image that the view has rotated",
            cite="Chen et al., CVPR 2019, arXiv:1811.12212",
            fix="--augment-views.rotate 0",
            when=lambda chosen: chosen.rotate > 0,
        ),
        warns_with("glyphs", GLYPHS, when=lambda chosen: chosen.flip > 0, fix=NO_FLIP),
    ],
)
class AugmentViews:
    """Shift and recolour the critic's input, reals and fakes alike, in both players' updates.

    The view is T(x), with the parameters of T drawn anew for each sample and view from one
    distribution for reals and fakes; T is differentiable (twice, for gradient penalties). With
    u ~ U[-1, 1) for each sample and option: hue rotates RGB by hue·u about the grey axis;
    brightness·u is added; distances from a pixel's grey are scaled by 1 + saturation·u and those
    from the sample's mean by 1 + contrast·u; then come the flip, a counterclockwise rotation by
    rotate·u degrees about the centre, bilinear, a shift by whole pixels, uniform on -m to m with m
    the share `translation` of the side, and a covered box of `cutout` of each side, which may lie
    partly outside. Hue and saturation change no image of one channel. With every option at 0 the
    view is the input itself.

    Images keep shape `[N, C, H, W]` and dtype. Values may leave [-1, 1] and are not clamped: both
    sides follow one distribution, and a clamp would cut gradients and bias noise that was added
    before. Samples and metrics are not augmented.

    The optimum stays p = q while the distribution of T(x) determines that of x. It does not for
    flip 0.5, rotate 180 and hue 0.5, where mirrored, rotated or recoloured fakes cost nothing
    (Karras et al. 2020, section 2.2). The colours and the translation of 1/8 are the source's
    defaults; its cutout of 0.5 is off.
    """

    flip: float = option(0.0, ge=0, le=1, help="probability of a horizontal flip")
    translation: float = option(
        0.125, ge=0, le=1, help="largest shift in each direction, a share of the side, 0 to 1"
    )
    rotate: float = option(0.0, ge=0, le=180, help="largest rotation either way, in degrees")
    hue: float = option(
        0.0, ge=0, le=0.5, help="largest rotation of the hue either way, in turns; 0.5 is any hue"
    )
    brightness: float = option(
        0.5, ge=0, le=2, help="largest change either way, in units of the range [-1, 1]"
    )
    saturation: float = option(
        1.0, ge=0, le=1, help="largest change of the factor 1 either way; 1 is from 0 to 2"
    )
    contrast: float = option(
        0.5, ge=0, le=1, help="largest change of the factor 1 either way; 1 is from 0 to 2"
    )
    cutout: float = option(
        0.0, ge=0, le=1, help="side of the covered box, a share of the image's side, 0 to 1"
    )
    fill: float = option(
        0.0, ge=-1, le=1, help="value of uncovered or covered pixels, in [-1, 1]; 0 is mid-grey"
    )

    @hookimpl
    def critic_view(self, images, rng):
        drawn = draw_parameters(len(images), rng)
        sides = images.shape[2:]
        images = transform(images, self, share_of_sides(sides, self.translation), drawn)
        return cover(images, share_of_sides(sides, self.cutout), drawn, self.fill)


@component(
    source="Zhao et al., NeurIPS 2020, arXiv:2006.10738, section 3.2; github.com/mit-han-lab/"
    "data-efficient-gans",
    provides=["critic.view-augmented"],
    rules=[IMAGES],
    known_as={"diff-augment": ""},
)
class DiffAugment:
    """Recolour, shift and partly cover the critic's input, reals and fakes alike: for few images.

    The view is T(x) in both players' updates, with T drawn anew for each sample and view;
    gradients pass through T. `color` adds brightness from U[-0.5, 0.5), scales distances from a
    pixel's grey by U[0, 2) and those from the sample's mean by U[0.5, 1.5); `translation` shifts by
    whole pixels, uniform on -m to m with m an eighth of the side; `cutout` covers a box of half of
    each side with its centre uniform on the pixels, so that the box may lie partly outside.
    Uncovered and covered pixels are 0, mid-grey. With an empty policy the view is the input itself.

    There are no flips: a mirrored letter is another one. These are the options of `augment-views`
    with the source's numbers, bit for bit; choose that for others. Images keep shape and dtype and
    are not clamped; samples and metrics are not augmented.
    """

    policy: tuple[str, ...] = option(
        ("color", "translation", "cutout"),
        choices=("color", "translation", "cutout"),
        help="transformations, separated by commas; none is the identity",
    )

    # what `transform` reads
    @property
    def flip(self):
        return 0

    rotate = hue = flip

    @property
    def fill(self):
        return 0.0

    @property
    def brightness(self):
        return 0.5 * ("color" in self.policy)

    contrast = brightness

    @property
    def saturation(self):
        return 1.0 * ("color" in self.policy)

    @hookimpl
    def critic_view(self, images, rng):
        if not self.policy:
            return images
        drawn = draw_parameters(len(images), rng)
        sides = images.shape[2:]
        limits = share_of_sides(sides, 0.125 * ("translation" in self.policy))
        images = transform(images, self, limits, drawn)
        return cover(images, share_of_sides(sides, 0.5 * ("cutout" in self.policy)), drawn, 0.0)


def cover(images, box, drawn, fill):
    """Cover a box of `box` pixels (height, width) at a random place, or nothing if a side is 0."""
    if not all(box):
        return images
    height, width = images.shape[2:]
    top = first_pixel_of_box(drawn["top"], box[0], height)
    left = first_pixel_of_box(drawn["left"], box[1], width)
    return cut_out(images, top, left, box, fill)


def first_pixel_of_box(uniform, size, side):
    """Map U[0, 1) `[N]` to the first row (or column) of a box of `size` pixels in a side."""
    # the centre of the box is uniform on the pixels, or on their corners where size is even
    return to_integers(uniform, -(size // 2), side - size % 2 - size // 2)

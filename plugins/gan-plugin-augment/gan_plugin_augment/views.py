"""Data augmentation of the critic's input, reals and fakes alike."""

from gan_plugin_augment.transforms import (
    IMAGES,
    cut_out,
    draw_parameters,
    to_integers,
    transform,
)
from gancore import component, hookimpl, option


def share_of_sides(sides: tuple[int, ...], share: float) -> list[int]:
    """Return that share of each side in whole pixels, halves rounded up."""
    return [int(side * share + 0.5) for side in sides]


@component(
    source="Zhao et al., NeurIPS 2020, arXiv:2006.10738 (DiffAugment); flip, rotate and hue: "
    "Karras et al., NeurIPS 2020, arXiv:2006.06676, appendix B",
    provides=["critic.view-augmented"],
    rules=[IMAGES],
    known_as={
        "diffaugment": "",
        "diff-augment": "",
        "ada": "Its strength is fixed: it does not adapt to the critic.",
    },
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
        height, width = images.shape[2:]
        limits = share_of_sides((height, width), self.translation)
        images = transform(images, self, limits, drawn)
        box = share_of_sides((height, width), self.cutout)
        if all(box):
            top = first_pixel_of_box(drawn["top"], box[0], height)
            left = first_pixel_of_box(drawn["left"], box[1], width)
            images = cut_out(images, top, left, box, self.fill)
        return images


def first_pixel_of_box(uniform, size, side):
    """Map U[0, 1) `[N]` to the first row (or column) of a box of `size` pixels in a side."""
    # the centre of the box is uniform on the pixels, or on their corners where size is even
    return to_integers(uniform, -(size // 2), side - size % 2 - size // 2)

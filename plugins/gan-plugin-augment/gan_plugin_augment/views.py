"""Augmentation of everything the critic sees."""

from gan_plugin_augment.transforms import IMAGES, cut_out, draw, transform, whole
from gancore import component, hookimpl, option


def part(sides: tuple[int, ...], share: float) -> list[int]:
    """Return that share of each side, in whole pixels, halves rounded up."""
    return [int(side * share + 0.5) for side in sides]


@component(
    source="Zhao et al., NeurIPS 2020, arXiv:2006.10738 (DiffAugment); flip, rotate and hue: Karras et al., NeurIPS "
    "2020, arXiv:2006.06676, appendix B",
    provides=["critic.view-augmented"],
    rules=[IMAGES],
    known_as={"diffaugment": "", "diff-augment": "", "ada": "Its strength is fixed: it does not adapt to the critic."},
)
class AugmentViews:
    """Shift and recolour reals and fakes alike before the critic sees them, in both players' updates.

    The view is T(x), with the parameters of T drawn anew for each sample and view from one law for reals and fakes;
    gradients pass through it (twice, for penalties on the slope). With u ~ U[-1, 1) for each sample and option: hue
    turns RGB by hue·u about the grey axis; brightness·u is added; distances from a pixel's grey are scaled by
    1 + saturation·u and those from the sample's mean by 1 + contrast·u; then come the flip, a counterclockwise turn by
    rotate·u degrees about the middle, bilinear, a shift by whole pixels, equally likely from -m to m with m the share
    `translation` of the side, and a box of `cutout` of each side covered, which may lie partly outside. Hue and
    saturation change no image of one channel. With everything at 0 the view is the very tensor.

    Images keep shape `[N, C, H, W]` and type. Colours may leave [-1, 1] and are not clamped: both sides follow one law,
    and a clamp would cut gradients and bias what noise was added before. Samples and metrics stay clean.

    The optimum stays p = q while the law of T(x) tells the law of x. It does not for flip 0.5, rotate 180 and hue 0.5,
    which make mirrored, turned or recoloured fakes as good as any (Karras et al. 2020, section 2.2). The colours and
    the translation of 1/8 are the source's defaults; its cutout of 0.5 is off.
    """

    flip: float = option(0.0, ge=0, le=1, help="probability of mirroring left and right")
    translation: float = option(0.125, ge=0, le=1, help="largest shift in each direction, a share of the side, 0 to 1")
    rotate: float = option(0.0, ge=0, le=180, help="largest turn either way, in degrees")
    hue: float = option(0.0, ge=0, le=0.5, help="largest turn of the hue either way, in full turns; 0.5 is any hue")
    brightness: float = option(0.5, ge=0, le=2, help="largest change either way, in units of the range [-1, 1]")
    saturation: float = option(1.0, ge=0, le=1, help="largest change of the factor 1, at most 1; 1 is from 0 to 2")
    contrast: float = option(0.5, ge=0, le=1, help="largest change of the factor 1, at most 1; 1 is from 0 to 2")
    cutout: float = option(0.0, ge=0, le=1, help="side of the covered box, a share of the image's side, 0 to 1")
    fill: float = option(0.0, ge=-1, le=1, help="value in [-1, 1] of what is uncovered or covered; 0 is mid-grey")

    @hookimpl
    def critic_view(self, images, rng):
        drawn, sides = draw(len(images), rng), tuple(images.shape[2:])
        images = transform(images, self, part(sides, self.translation), drawn)
        box = part(sides, self.cutout)
        if all(box):  # its middle may be any pixel, or any corner of one where the box is even
            top, left = (
                whole(drawn[edge], -(size // 2), side - size % 2 - size // 2)
                for edge, size, side in zip(("top", "left"), box, sides, strict=True)
            )
            images = cut_out(images, top, left, box, self.fill)
        return images

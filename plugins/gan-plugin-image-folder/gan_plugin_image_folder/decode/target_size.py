"""The size that images get where none is asked for, and what to say of sets that are small or of many shapes."""

from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import median

from gan_plugin_image_folder.decode.image_file import Picture

KEPT_SIDE = 96  # pixels of the larger side up to which images keep the size that they share
AREA = 64 * 64  # pixels of larger images and of sets of many sizes: what two processor cores train in reasonable time
STEP = 4  # pixels that a chosen side is a multiple of
SHORTEST = 16  # pixels of a chosen side at least, so that a long strip still has a height
SQUARE = 1.25  # ratio of the sides below which a chosen size is square
WIDE = 1.5  # ratio of the widest to the narrowest shape above which cropping shows too little
FEW = 1000  # images below which a critic soon knows each of them

Size = tuple[int, int]  # height, width


def size_of(pictures: Sequence[Picture]) -> Size:
    """Return the height and width for images of which nobody said a size.

    The common size where there is one of at most 96 pixels a side. Else the median shape at the median area, at most
    64·64 pixels: 64×64 for nearly square images, 48×84 for photographs of 302×538.
    """
    sizes = {picture.size for picture in pictures}
    if len(sizes) == 1 and max(pictures[0].size) <= KEPT_SIDE:
        return pictures[0].size
    area = min(AREA, median(height * width for height, width in (each.size for each in pictures)))
    aspect = median(width / height for height, width in (each.size for each in pictures))
    if 1 / SQUARE < aspect < SQUARE:
        aspect = 1.0
    height = sqrt(area / aspect)
    return rounded(height), rounded(height * aspect)


def rounded(side: float) -> int:
    """Return the nearest side that networks halve without a remainder at first."""
    return max(SHORTEST, STEP * round(side / STEP))


def of_many_shapes(pictures: Sequence[Picture]) -> bool:
    """Whether cropping all images to one shape would cut off a lot."""
    aspects = [width / height for height, width in (each.size for each in pictures)]
    return bool(aspects) and max(aspects) > WIDE * min(aspects)


def remarks_of(pictures: Sequence[Picture], size: Size, asked: bool, fit: str) -> Iterator[str]:
    """Yield in a few words each what `gan data check` would suggest for a run: size, fit, augmentation."""
    sizes = {picture.size for picture in pictures}
    height, width = size
    if not asked and sizes != {size}:
        yield f"--size HxW chooses another size than {height}x{width}"
    if fit == "crop" and of_many_shapes(pictures):
        yield "--image-folder.fit pad cuts nothing off shapes that differ so much"
    if 1 < len(pictures) < FEW:
        yield f"{len(pictures)} images are few: --reg augment-views keeps the critic from knowing each of them"

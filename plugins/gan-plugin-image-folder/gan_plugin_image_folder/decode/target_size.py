"""Choose the size of all images where the user gives none."""

from collections.abc import Sequence
from math import prod, sqrt
from statistics import median

from gan_plugin_image_folder.decode.decoded import AREA
from gan_plugin_image_folder.decode.image_file import ImageInfo

KEPT = 1.5  # times the side of a square of that area, up to which images keep a size they share
STEP = 4  # a chosen side is a multiple of it
SHORTEST = 16  # pixels of a chosen side at least, so that a long strip still has a height
SQUARE = 1.25  # aspect ratio below which a chosen size is square
WIDE = 1.5  # ratio of the widest to the narrowest aspect ratio above which cropping loses much

Size = tuple[int, int]  # height, width


def choose_size(infos: Sequence[ImageInfo], largest: int = AREA) -> Size:
    """Return the height and width of images for which the user gives none.

    The common size where there is one, of sides of at most 1.5·√largest pixels: 96. Else the median
    aspect ratio at the median area, at most `largest` pixels: 64×64 for nearly square images, 48×84
    for photographs of 302×538.
    """
    sizes = {info.size for info in infos}
    if len(sizes) == 1 and max(infos[0].size) <= KEPT * sqrt(largest):
        return infos[0].size
    area = min(largest, median(prod(info.size) for info in infos))
    aspect = median(map(aspect_of, infos))
    if 1 / SQUARE < aspect < SQUARE:
        aspect = 1.0
    height = sqrt(area / aspect)
    return round_side(height), round_side(height * aspect)


def aspect_of(info: ImageInfo) -> float:
    """Return width divided by height."""
    height, width = info.size
    return width / height


def round_side(side: float) -> int:
    """Return the nearest multiple of 4, which networks can halve twice without a remainder."""
    return max(SHORTEST, STEP * round(side / STEP))


def aspects_vary(infos: Sequence[ImageInfo]) -> bool:
    """Return whether cropping all images to one shape would cut off a lot."""
    aspects = list(map(aspect_of, infos))
    return bool(aspects) and max(aspects) > WIDE * min(aspects)

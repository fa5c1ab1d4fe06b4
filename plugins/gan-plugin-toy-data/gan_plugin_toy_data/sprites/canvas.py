"""A canvas for pixel art: shapes lit from above, outlined, and filled with three tones of a ramp.

Lengths are in units of a 32×32 frame: x from the centre line (0) to the right edge (16), y from the
top (0) down to the ground line (30) that all creatures stand on. Only right halves are drawn; left
halves are their mirror images.
"""

import math
from functools import reduce
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Length = Array | float
FRAME = 32

# A palette has sixteen entries: six that all families share, then the ten of a family.
WHITE = 0
BLUSH = 1
TONGUE = 2
OUTLINE = 6
EYE = 7
# A ramp is shade, base and light.
HORN = (3, 4, 5)
BELLY = (8, 9, 9)
SKIN = (10, 11, 12)
ACCENT = (13, 14, 15)


class Shape(NamedTuple):
    """The pixels of a shape, and the light from above on each of them: about -1 to 1."""

    mask: Array
    light: Array


class Canvas:
    """The right halves of several creatures, as palette indices [count, grid, half a grid]."""

    def __init__(self, count: int, grid: int) -> None:
        self.pixel = FRAME / grid
        self.x = (np.arange((grid + 1) // 2) + (grid + 1) % 2 / 2) * self.pixel
        self.y = (np.arange(grid)[:, None] + 0.5) * self.pixel
        self.ink = np.full((count, grid, len(self.x)), WHITE, np.uint8)

    def ellipse(
        self, x: Length, y: Length, width: Length, height: Length, tilt: float = 0
    ) -> Shape:
        """Return an ellipse with half-axes width and height, rotated clockwise by tilt degrees.

        It is never thinner than a pixel.
        """
        width = np.maximum(width, self.pixel / 2)
        height = np.maximum(height, self.pixel / 2)
        cos = math.cos(math.radians(tilt))
        sin = math.sin(math.radians(tilt))
        right = self.x - x
        down = self.y - y
        bulge = (
            1
            - ((right * cos + down * sin) / width) ** 2
            - ((down * cos - right * sin) / height) ** 2
        )
        reach = np.sqrt((width * sin) ** 2 + (height * cos) ** 2)
        return Shape(bulge >= 0, 0.62 * np.sqrt(np.maximum(bulge, 0)) - 0.78 * down / reach)

    def polygon(self, *corners: tuple[Length, Length]) -> Shape:
        """Return a convex polygon; its corners are given clockwise."""
        edges = zip(corners, corners[1:] + corners[:1], strict=True)
        # a point is inside if it lies to the right of every edge
        mask = np.True_
        for (x, y), (u, v) in edges:
            mask = mask & ((u - x) * (self.y - y) >= (v - y) * (self.x - x))
        heights = [y for _, y in corners]
        top = reduce(np.minimum, heights)
        bottom = reduce(np.maximum, heights)
        return Shape(mask, 0.9 - 1.6 * (self.y - top) / (bottom - top))

    def solid(self, ramp: tuple[int, int, int], *shapes: Shape, when: Array | bool = True) -> None:
        """Outline the union of shapes, then fill them in turn with the three tones of a ramp."""
        union = reduce(np.logical_or, [shape.mask & when for shape in shapes])
        near = np.pad(np.broadcast_to(union, self.ink.shape), ((0, 0), (1, 1), (1, 1)))
        self.flat(
            OUTLINE, near[:, 1:-1, :-2] | near[:, 1:-1, 2:] | near[:, :-2, 1:-1] | near[:, 2:, 1:-1]
        )
        for shape in shapes:
            self.fill(ramp, shape, when)

    def fill(self, ramp: tuple[int, int, int], shape: Shape, when: Array | bool = True) -> None:
        tones = np.array(ramp, np.uint8)[(shape.light > -0.22).astype(int) + (shape.light > 0.72)]
        np.copyto(self.ink, tones, where=shape.mask & when)

    def flat(self, colour: int, mask: Array) -> None:
        np.copyto(self.ink, np.uint8(colour), where=mask)

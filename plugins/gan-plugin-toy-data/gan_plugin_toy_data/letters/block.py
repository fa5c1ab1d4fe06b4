"""One block: paper, a frame, scrolls and a letter, drawn at twice the size, then halved."""

import math

import numpy as np
from PIL import Image, ImageDraw

from gan_plugin_toy_data.letters.fonts import Glyphs

Array = np.ndarray
ROLLS = 16  # random numbers of one block
QUARTERS = ((1, 1), (-1, 1), (1, -1), (-1, -1))


def symmetric(roll: float, largest: float) -> float:
    """Map a number in [0, 1) to [-largest, largest)."""
    return (2 * roll - 1) * largest


def draw_frame(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, tone: int, roll: float
) -> None:
    """Draw a line near the edge, and inside it a second line, a row of beads, or nothing."""
    width, height = size
    thick = max(1, round(unit / 50))
    for margin in (0.03, 0.075)[: 1 + (roll < 0.4)]:
        far = margin * unit
        pen.rectangle((far, far, width - 1 - far, height - 1 - far), outline=tone, width=thick)
    if roll > 0.7:
        for along in np.arange(0.08, 0.93, 0.07):
            for x, y in ((along, 0.07), (along, 0.93), (0.07, along), (0.93, along)):
                dot(pen, x * width, y * height, 0.014 * unit, tone)


def dot(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, tone: int) -> None:
    """Draw a filled circle."""
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tone)


def draw_scrolls(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, tone: int, rolls: Array
) -> None:
    """Draw a tendril with leaves in each quarter, all mirror images of one.

    It is the spiral r = R·(1 - t)^p with t from 0 to 1.
    """
    turns = 1.2 + 1.2 * rolls[0]
    phase = 2 * math.pi * rolls[1]
    reach = (0.15 + 0.06 * rolls[2]) * unit
    along = np.linspace(0, 1, 36)
    angles = phase + (1 if rolls[3] < 0.5 else -1) * 2 * math.pi * turns * along
    radii = reach * (1 - along) ** (0.7 + 0.6 * rolls[4])
    spiral = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)  # [36, 2]
    leaves = [(k, spiral[k] * 1.22, (0.016 + 0.022 * rolls[5]) * unit) for k in range(0, 22, 4)]
    centre_of_block = np.array(size) / 2
    thick = max(1, round(unit / 64))
    for mirror in QUARTERS:
        inset = 0.27 * unit - 0.04 * unit * (rolls[6] - 0.5)
        centre = centre_of_block + np.array(mirror) * (centre_of_block - inset)
        pen.line([tuple(point) for point in centre + spiral * mirror], fill=tone, width=thick)
        dot(pen, *(centre + spiral[-1] * mirror), 0.025 * unit, tone)
        for k, leaf, radius in leaves:
            stem = [tuple(centre + spiral[k] * mirror), tuple(centre + leaf * mirror)]
            pen.line(stem, fill=tone, width=thick)
            dot(pen, *(centre + leaf * mirror), radius, tone)


def place(masks: list[Image.Image], side: int) -> Image.Image:
    """Paste the masks of one letter, or of two side by side, into a square."""
    square = Image.new("L", (side, side))
    for number, mask in enumerate(masks):
        x = side * (0.5 if len(masks) == 1 else 0.31 + 0.38 * number)
        square.paste(255, (round(x - mask.width / 2), round((side - mask.height) / 2)), mask)
    return square


def transform(
    mask: Image.Image, size: tuple[int, int], unit: float, jitter: float, rolls: Array
) -> Image.Image:
    """Rotate by up to 9°, scale by up to 14 % and shift by up to 6 % of the side, times jitter."""
    angle = math.radians(symmetric(rolls[0], 9 * jitter))
    scale = 1 + symmetric(rolls[1], 0.14 * jitter)
    cos = math.cos(angle) / scale
    sin = math.sin(angle) / scale
    x = size[0] / 2 + symmetric(rolls[2], 0.06 * jitter * unit)
    y = size[1] / 2 + symmetric(rolls[3], 0.06 * jitter * unit)
    centre = mask.width / 2
    # Pillow's affine matrix maps output coordinates to input coordinates, so this is the inverse.
    inverse = (cos, sin, centre - cos * x - sin * y, -sin, cos, centre + sin * x - cos * y)
    return mask.transform(size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)


def draw_block(
    text: tuple[str, ...],
    glyphs: Glyphs,
    size: tuple[int, int],
    ornament: bool,
    jitter: float,
    rolls: Array,
) -> Array:
    """Draw one block of one or two letters, uint8 `[H, W]`.

    `rolls [ROLLS]` in [0, 1) determine all random variation.
    """
    twice = size[1] * 2, size[0] * 2
    unit = min(twice)
    paper = 255 - round(30 * jitter * rolls[0])
    ink = round(60 * jitter * rolls[1])
    font = int(rolls[2] * len(glyphs.fonts))
    swell = int(1 + 2.99 * jitter * rolls[3])
    letters = [glyphs.draw(font, each, swell) for each in text]
    block = Image.new("L", twice, paper)
    if ornament:
        tone = (paper + 2 * ink) // 3 + 20
        pen = ImageDraw.Draw(block)
        draw_scrolls(pen, twice, unit, tone, rolls[9:])
        draw_frame(pen, twice, unit, tone, rolls[4])
        halos = place([halo for _, halo in letters], unit)
        block.paste(paper, mask=transform(halos, twice, unit, jitter, rolls[5:9]))
    masks = place([letter for letter, _ in letters], unit)
    block.paste(ink, mask=transform(masks, twice, unit, jitter, rolls[5:9]))
    return np.asarray(block.reduce(2))

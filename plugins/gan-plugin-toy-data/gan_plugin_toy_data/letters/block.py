"""One block: paper, a frame and scrolls, and the letter in front of them; drawn twice as large, then halved."""

import math

import numpy as np
from PIL import Image, ImageDraw

from gan_plugin_toy_data.letters.fonts import Glyphs

Array = np.ndarray
ROLLS = 16  # random numbers of one block
QUARTERS = ((1, 1), (-1, 1), (1, -1), (-1, -1))


def spread(roll: float, largest: float) -> float:
    """Return a number in [-largest, largest) for a roll in [0, 1)."""
    return (2 * roll - 1) * largest


def draw_frame(pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, tone: int, roll: float) -> None:
    """Draw a rule near the edge, and within it a second one, a row of beads, or nothing."""
    (width, height), thick = size, max(1, round(unit / 50))
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


def draw_scrolls(pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, tone: int, rolls: Array) -> None:
    """Draw a tendril with leaves in each quarter, all mirror images of one: a spiral r = R·(1 - t)^p, t from 0 to 1."""
    turns, phase, reach = 1.2 + 1.2 * rolls[0], 2 * math.pi * rolls[1], (0.15 + 0.06 * rolls[2]) * unit
    along = np.linspace(0, 1, 36)
    angles = phase + (1 if rolls[3] < 0.5 else -1) * 2 * math.pi * turns * along
    radii = reach * (1 - along) ** (0.7 + 0.6 * rolls[4])
    spiral = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)  # [36, 2], from the middle of a quarter
    leaves = [(k, spiral[k] * 1.22, (0.016 + 0.022 * rolls[5]) * unit) for k in range(0, 22, 4)]
    middle, thick = np.array(size) / 2, max(1, round(unit / 64))
    for mirror in QUARTERS:
        centre = middle + np.array(mirror) * (middle - 0.27 * unit + 0.04 * unit * (rolls[6] - 0.5))
        pen.line([tuple(point) for point in centre + spiral * mirror], fill=tone, width=thick)
        dot(pen, *(centre + spiral[-1] * mirror), 0.025 * unit, tone)
        for k, leaf, radius in leaves:
            pen.line([tuple(centre + spiral[k] * mirror), tuple(centre + leaf * mirror)], fill=tone, width=thick)
            dot(pen, *(centre + leaf * mirror), radius, tone)


def place(masks: list[Image.Image], side: int) -> Image.Image:
    """Lay the masks of one letter, or of two beside each other, into a square."""
    square = Image.new("L", (side, side))
    for number, mask in enumerate(masks):
        x = side * (0.5 if len(masks) == 1 else 0.31 + 0.38 * number)
        square.paste(255, (round(x - mask.width / 2), round((side - mask.height) / 2)), mask)
    return square


def moved(mask: Image.Image, size: tuple[int, int], unit: float, jitter: float, rolls: Array) -> Image.Image:
    """Turn by up to 9°, scale by up to 14 % and shift by up to 6 % of the block's side, all times jitter."""
    angle, scale = math.radians(spread(rolls[0], 9 * jitter)), 1 + spread(rolls[1], 0.14 * jitter)
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = (length / 2 + spread(roll, 0.06 * jitter * unit) for length, roll in zip(size, rolls[2:], strict=True))
    middle = mask.width / 2
    turn = (cos, sin, middle - cos * x - sin * y, -sin, cos, middle + sin * x - cos * y)  # from output to input
    return mask.transform(size, Image.Transform.AFFINE, turn, Image.Resampling.BILINEAR)


def draw_block(
    text: tuple[str, ...], glyphs: Glyphs, size: tuple[int, int], ornament: bool, jitter: float, rolls: Array
) -> Array:
    """Draw one block, uint8 `[H, W]`, of one letter or two; `rolls [ROLLS]` in [0, 1) decide all that varies."""
    twice = size[1] * 2, size[0] * 2
    unit = min(twice)
    paper, ink = 255 - round(30 * jitter * rolls[0]), round(60 * jitter * rolls[1])
    letters = [glyphs.draw(int(rolls[2] * len(glyphs.fonts)), each, int(1 + 2.99 * jitter * rolls[3])) for each in text]
    block = Image.new("L", twice, paper)
    if ornament:
        tone, pen = (paper + 2 * ink) // 3 + 20, ImageDraw.Draw(block)
        draw_scrolls(pen, twice, unit, tone, rolls[9:])
        draw_frame(pen, twice, unit, tone, rolls[4])
        block.paste(paper, mask=moved(place([halo for _, halo in letters], unit), twice, unit, jitter, rolls[5:9]))
    block.paste(ink, mask=moved(place([letter for letter, _ in letters], unit), twice, unit, jitter, rolls[5:9]))
    return np.asarray(block.reduce(2))

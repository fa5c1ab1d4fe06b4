"""The picture of a study: pairs joined by lines, and the interval of each mean difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from gancore.tools.study.design import Design
from gancore.tools.study.report import difference_in_words, interval_in_words
from gancore.tools.study.results import Arm, Comparison, on_scale

WIDTH = 300  # pixels of a panel, one for each comparison
HEIGHT = 320
TOP = 48  # above the axes, for the title
BOTTOM = 30
PAIR = (72, 172)  # where the dots of both arms are in a panel
INTERVAL = 238  # and where the interval is
LONGEST = 17  # letters of a name below the dots
COLUMNS_OF_PAIRS = 3
FAILED_COLOUR = (200, 30, 30)
LINE = (150, 150, 150)
DOT = (30, 80, 160)
INK = "black"


def study_picture(
    design: Design, arms: Mapping[str, Arm], comparisons: Sequence[Comparison]
) -> Image.Image:
    """Return one panel for each comparison, all with the same axes.

    The scores of a seed are two dots joined by a line, red where a run failed. To their right lie
    the mean difference and its 95 % interval, around a line at no difference.
    """
    columns = min(COLUMNS_OF_PAIRS, len(comparisons))
    rows = math.ceil(len(comparisons) / columns)
    sheet = Image.new("RGB", (columns * WIDTH, rows * HEIGHT), "white")
    scores = []
    for arm in arms.values():
        scores += on_scale(design.scale, arm)
    axis = (min(scores), max(scores))
    reach = max(map(_reach, comparisons))
    for place, comparison in enumerate(comparisons):
        corner = (place % columns * WIDTH, place // columns * HEIGHT)
        panel = _Panel(ImageDraw.Draw(sheet), corner, axis, reach)
        panel.draw(design, arms, comparison)
    return sheet


def _reach(comparison: Comparison) -> float:
    """Return the largest distance from 0 that a panel must show."""
    shown = [*comparison.differences]
    if comparison.interval is not None:
        shown += [comparison.interval.low, comparison.interval.high]
    return max(map(abs, shown)) or 1.0


class _Panel:
    """Draws one comparison at a corner of the sheet."""

    def __init__(
        self,
        pen: ImageDraw.ImageDraw,
        corner: tuple[int, int],
        axis: tuple[float, float],
        reach: float,
    ) -> None:
        self.pen = pen
        self.left, self.top = corner
        self.axis = axis
        self.reach = reach

    def draw(self, design: Design, arms: Mapping[str, Arm], comparison: Comparison) -> None:
        """Draw title, pairs and interval."""
        self._text(8, 6, f"{comparison.arm} against {comparison.against}", 13)
        self._text(8, 24, interval_in_words(design.scale, comparison.interval), 12)
        for value in self.axis:
            # the figure itself, on an axis of logarithms too
            label = math.exp(value) if design.scale == "log" else value
            self._text(4, self._height(value) - 7, f"{label:.3g}", 11)
        self._pairs(design.scale, arms[comparison.against], arms[comparison.arm])
        for x, name in zip(PAIR, (comparison.against, comparison.arm), strict=True):
            self._text(x - 3 * len(name[:LONGEST]), HEIGHT - BOTTOM + 10, name[:LONGEST], 10)
        self._interval(design.scale, comparison)

    def _pairs(self, scale: str, against: Arm, arm: Arm) -> None:
        seeds = sorted(arm.scores)
        pairs = zip(on_scale(scale, against), on_scale(scale, arm), strict=True)
        for seed, pair in zip(seeds, pairs, strict=True):
            points = []
            for x, value in zip(PAIR, pair, strict=True):
                points.append((self.left + x, self.top + self._height(value)))
            self.pen.line(points, fill=LINE)
            for (x, y), each in zip(points, (against, arm), strict=True):
                colour = FAILED_COLOUR if seed in each.failures else DOT
                self.pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)

    def _interval(self, scale: str, comparison: Comparison) -> None:
        x = self.left + INTERVAL
        self.pen.line([(x - 24, self._zero()), (x + 24, self._zero())], fill=LINE)
        for difference in comparison.differences:
            y = self._difference(difference)
            self.pen.ellipse((x - 14, y - 2, x - 10, y + 2), fill=LINE)
        if comparison.interval is not None:
            ends = [self._difference(comparison.interval.low)]
            ends.append(self._difference(comparison.interval.high))
            self.pen.line([(x, ends[0]), (x, ends[1])], fill=INK, width=2)
            y = self._difference(comparison.interval.mean)
            self.pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=INK)
        for value in (-self.reach, self.reach):
            y = self._difference(value) - self.top
            self._text(INTERVAL + 26, y - 7, difference_in_words(scale, value), 11)

    def _text(self, x: float, y: float, text: str, size: int) -> None:
        # Pillow's own font has no other letters than those of ASCII
        plain = text.replace("×", "x").replace("–", "-").encode("ascii", "replace").decode()
        self.pen.text((self.left + x, self.top + y), plain, fill=INK, font_size=size)

    def _height(self, score: float) -> float:
        """Return the y of a score within its panel."""
        low, high = self.axis
        share = (score - low) / (high - low) if high > low else 0.5
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    def _zero(self) -> float:
        return self._difference(0.0)

    def _difference(self, value: float) -> float:
        """Return the y on the sheet of a difference."""
        share = 0.5 + value / self.reach / 2
        return self.top + HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

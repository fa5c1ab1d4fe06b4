"""Initials drawn by code: a letter from a font, and behind it the frame and scrolls of a woodcut block."""

import numpy as np
import torch

from gan_plugin_toy_data.letters.block import ROLLS, Array, draw_block
from gan_plugin_toy_data.letters.fonts import Glyphs, find_fonts, parse_alphabet
from gancore import DataSpec, LabelSet, StoredData, component, expect_memory, hookimpl, option


def uniforms(seed: int, stream: int, rows: int, columns: int) -> Array:
    """Numbers in [0, 1) whose row i does not depend on how many rows there are."""
    return np.random.Generator(np.random.PCG64([seed, stream])).random((rows, columns))


def deal(count: int, classes: int, seed: int, stream: int) -> Array:
    """Class numbers [count], so dealt that every `classes` in a row hold each class once."""
    return uniforms(seed, stream, -(-count // classes), classes).argsort(1).ravel()[:count]


@component(source="drawn by this plugin; after the woodcut initials of B. Leguay, GAN_IconClass, 2021")
class Letters:
    """Draw decorated initials: a letter on light paper, before the frame and scrolls of a woodcut.

    Images are grey, uint8 `[count, 1, 64, 64]` or of the size asked for; dark ink is near -1, paper near 1. Each letter
    is fitted into a box of 3/5 of the block, then turned by up to 9°, scaled by up to 14 % and shifted by up to 6 % of
    the side; ink, paper and the thickness of strokes vary too: all of this times `jitter`. The label set is `letter`,
    or `first` and `second` where there are two; every 26 images in a row hold each of 26 letters once. The font that
    Pillow carries is the same everywhere. The same options draw the same bytes with the same Pillow. Raises DataError
    for a file that is no font or lacks a letter.
    """

    count: int = option(3000, ge=1, help="how many initials the set holds")
    letters: int = option(1, ge=1, le=2, help="letters in each image")
    alphabet: str = option("A-Z", help="the letters: A-Z, A-Za-z, AEIOU, …")
    fonts: str = option(
        "", help="a .ttf or .otf file, a folder of them, or system for all of the system's; empty: Pillow's"
    )
    ornament: bool = option(True, help="draw frame and scrolls behind the initial")
    jitter: float = option(1.0, ge=0, le=1, help="share of the largest shift, turn, scale and change of ink; 0: none")
    seed: int = option(0, ge=0, help="which set of initials; the same seed draws the same pixels")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        size, alphabet = spec.size or (64, 64), parse_alphabet(self.alphabet)
        needed = self.count * (size[0] * size[1] + 8 * ROLLS)
        expect_memory(needed, f"{self.count:,} initials", where="letters.count", fix="a smaller --letters.count")
        side = 2 * min(size)  # drawn twice as large
        fonts = find_fonts(self.fonts, spec.folder, max(64, 2 * side), alphabet)
        glyphs = Glyphs(fonts, side * (60 if self.letters == 1 else 34) // 100, side * 60 // 100)
        chosen = np.stack([deal(self.count, len(alphabet), self.seed, stream) for stream in range(self.letters)], 1)
        pixels = np.empty((self.count, 1, *size), np.uint8)
        for image, numbers, rolls in zip(pixels, chosen, uniforms(self.seed, 2, self.count, ROLLS), strict=True):
            text = tuple(alphabet[number] for number in numbers)
            image[0] = draw_block(text, glyphs, size, self.ornament, self.jitter, rolls)
        names = ("letter",) if self.letters == 1 else ("first", "second")
        sets = tuple(LabelSet(name, alphabet) for name in names)
        return StoredData(torch.from_numpy(pixels), torch.from_numpy(chosen.astype(np.int64)), sets)

"""Decorated initials drawn by code: a letter from a font in front of a woodcut block."""

import numpy as np
import torch

from gan_plugin_toy_data.letters.block import ROLLS, Array, draw_block
from gan_plugin_toy_data.letters.fonts import Glyphs, find_fonts, parse_alphabet
from gancore import DataSpec, LabelSet, StoredData, component, expect_memory, hookimpl, option


def uniforms(seed: int, stream: int, rows: int, columns: int) -> Array:
    """Return numbers in [0, 1) whose row i does not depend on the number of rows."""
    return np.random.Generator(np.random.PCG64([seed, stream])).random((rows, columns))


def deal_classes(count: int, classes: int, seed: int, stream: int) -> Array:
    """Return class indices [count]: every `classes` in a row are a permutation."""
    return uniforms(seed, stream, -(-count // classes), classes).argsort(1).ravel()[:count]


@component(
    source="drawn by this plugin; after the woodcut initials of B. Leguay, GAN_IconClass, 2021",
    provides=["glyphs"],
)
class Letters:
    """Draw decorated initials: a letter on light paper, in front of the ornament of a woodcut.

    Images are greyscale, uint8 `[count, 1, 64, 64]` or of the requested size; dark ink is near -1,
    paper near 1. Each letter is fitted into a box of 3/5 of the block, then rotated by up to 9°,
    scaled by up to 14 % and shifted by up to 6 % of the side; ink, paper and stroke width vary,
    too. `jitter` is a factor of all of these. The label set is `letter`, or `first` and `second`
    for two letters; every 26 consecutive images contain each of 26 letters once. The font of Pillow
    is the same on all systems, and the same options draw the same bytes with the same Pillow.
    Raises DataError for a file that is no font or lacks a letter.
    """

    count: int = option(3000, ge=1, help="number of initials")
    letters: int = option(1, ge=1, le=2, help="letters in each image")
    alphabet: str = option("A-Z", help="letters to draw: A-Z, A-Za-z, AEIOU, …")
    fonts: str = option(
        "",
        help="a .ttf or .otf file, a folder of them, or system; empty: the font of Pillow",
    )
    ornament: bool = option(True, help="draw a frame and scrolls behind the initial")
    jitter: float = option(1.0, ge=0, le=1, help="factor of all random variation; 0: none")
    seed: int = option(0, ge=0, help="seed of the set; the same seed draws the same pixels")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        size = spec.size or (64, 64)
        alphabet = parse_alphabet(self.alphabet)
        needed = self.count * (size[0] * size[1] + 8 * ROLLS)
        fix = "a smaller --letters.count"
        expect_memory(needed, f"{self.count:,} initials", where="letters.count", fix=fix)
        side = 2 * min(size)  # blocks are drawn at twice their size, then halved
        fonts = find_fonts(self.fonts, spec.folder, max(64, 2 * side), alphabet)
        glyphs = Glyphs(fonts, side * (60 if self.letters == 1 else 34) // 100, side * 60 // 100)
        streams = range(self.letters)
        chosen = [deal_classes(self.count, len(alphabet), self.seed, stream) for stream in streams]
        chosen = np.stack(chosen, 1)  # [count, letters]
        pixels = np.empty((self.count, 1, *size), np.uint8)
        all_rolls = uniforms(self.seed, 2, self.count, ROLLS)
        for image, numbers, rolls in zip(pixels, chosen, all_rolls, strict=True):
            text = tuple(alphabet[number] for number in numbers)
            image[0] = draw_block(text, glyphs, size, self.ornament, self.jitter, rolls)
        names = ("letter",) if self.letters == 1 else ("first", "second")
        sets = tuple(LabelSet(name, alphabet) for name in names)
        return StoredData(torch.from_numpy(pixels), torch.from_numpy(chosen.astype(np.int64)), sets)

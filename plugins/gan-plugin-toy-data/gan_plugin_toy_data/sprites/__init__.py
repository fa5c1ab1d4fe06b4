"""Pixel-art creatures drawn from a seed: traits, then shapes on a canvas, then palette indices, then pixels."""

import math
from types import SimpleNamespace as Traits

import numpy as np
import torch

from gan_plugin_toy_data.sprites.bodies import ARTISTS, CHOICES
from gan_plugin_toy_data.sprites.canvas import FRAME, WHITE, Array, Canvas
from gancore import LabelSet, StoredData, component, expect_memory, hookimpl, option, progress_bar

SHARED = "ffffff ff8095 f2616d af7b4d fad47d fff1b0"
FAMILIES = {
    "fire": "38151a 1f100f e69e98 ffd5c6 a61125 ed3f2f ff9681 b24709 ff9d26 ffd279",
    "electric": "382b15 1f1c0f e6d68c fff8c4 b07c12 f7da31 fff68c 6f3715 9e6c2c b69765",
    "grass": "15381d 111f0f b2e6aa e9ffd3 28843e 57bd48 a0d986 599a28 bedb4b fafc95",
    "water": "151d38 0f161f a4c3e6 cef0ff 2744a4 4b96eb 93d2ff 3683a4 5ee1eb a0fffa",
    "psychic": "381532 1f0f18 e6b3d0 ffdae5 aa4799 f274bc ffadd0 75519a c67fdb f6bbfc",
    "shadow": "201538 150f1f c9b5e6 eddbff 3f2e68 684a94 8d75aa 7d378f c15ccc e79beb",
}
TYPES, BODIES = tuple(FAMILIES), tuple(ARTISTS)

BLOCK = 2048  # creatures drawn at a time


def palettes(types: Array, tint: Array) -> Array:
    """Sixteen colours [count, 16, 3]: those of the family, moved by tint [count, 2] in hue (radians) and brightness."""
    families = np.array([list(bytes.fromhex(SHARED + family)) for family in FAMILIES.values()], float)
    colours = families.reshape(-1, 16, 3)[types]
    # Crossing a colour with the grey axis turns its hue, exactly enough for angles this small.
    colours += tint[:, :1, None] * (np.roll(colours, 1, 2) - np.roll(colours, -1, 2)) / math.sqrt(3)
    colours[:, WHITE + 1 :] *= 1 + tint[:, 1:, None]
    return np.rint(np.clip(colours, 0, 255)).astype(np.uint8)


def uniforms(seed: int, stream: int, rows: int, columns: int) -> Array:
    """Numbers in [0, 1) whose row i does not depend on how many rows there are."""
    return np.random.Generator(np.random.PCG64([seed, stream])).random((rows, columns))


def draw_labels(count: int, seed: int) -> tuple[Array, Array]:
    """Types and bodies [count], dealt so that each 36 creatures hold every pair once."""
    pairs = len(TYPES) * len(BODIES)
    deal = uniforms(seed, 0, -(-count // pairs), pairs).argsort(1).ravel()[:count]
    return deal % len(TYPES), deal // len(TYPES)


def draw_traits(rolls: Array) -> Traits:
    """Traits [count, 1, 1], each picked from its choices by a column of rolls in [0, 1)."""
    picks = zip(CHOICES.items(), rolls.T, strict=True)
    return Traits(**{key: np.array(kinds)[(roll * len(kinds)).astype(int), None, None] for (key, kinds), roll in picks})


def draw_indices(bodies: Array, rolls: Array, grid: int) -> Array:
    """Palette indices [count, grid, grid] of creatures with these bodies and trait rolls."""
    halves = np.zeros((len(bodies), grid, (grid + 1) // 2), np.uint8)
    for number, artist in enumerate(ARTISTS.values()):
        mine = bodies == number
        art = Canvas(int(mine.sum()), grid)
        artist(art, draw_traits(rolls[mine]))
        halves[mine] = art.ink
    return np.concatenate([halves[:, :, grid % 2 :][:, :, ::-1], halves], 2)


def draw_creatures(count: int, height: int, width: int, seed: int) -> tuple[Array, Array, Array]:
    """Pixels [count, 3, height, width] in uint8, types [count] and bodies [count].

    Sizes from 64 on enlarge whole pixels by the largest factor that leaves at least 32; what is left is white.
    """
    types, bodies = draw_labels(count, seed)
    rolls = uniforms(seed, 1, count, len(CHOICES) + 2)
    pixels = np.empty((count, 3, height, width), np.uint8)
    starts = range(0, count, BLOCK)
    for start in progress_bar(starts, count, "drawing creatures", BLOCK) if count > BLOCK else starts:
        part = slice(start, start + BLOCK)
        pixels[part] = draw_block(types[part], bodies[part], rolls[part], height, width)
    return pixels, types, bodies


def draw_block(types: Array, bodies: Array, rolls: Array, height: int, width: int) -> Array:
    """Pixels [n, 3, height, width] in uint8 of n creatures with these types, bodies and rolls [n, traits + 2]."""
    scale = max(1, min(height, width) // FRAME)
    indices = draw_indices(bodies, rolls[:, :-2], min(height, width) // scale)
    colours = palettes(types, (rolls[:, -2:] - 0.5) * (0.2, 0.12))[np.arange(len(types))[:, None, None], indices]
    pixels = colours.transpose(0, 3, 1, 2).repeat(scale, 2).repeat(scale, 3)
    margins = [(spare // 2, spare - spare // 2) for spare in np.subtract((height, width), pixels.shape[2:])]
    return np.pad(pixels, [(0, 0), (0, 0), *margins], constant_values=255)


@component(source="drawn by this plugin from a seed; no outside data")
class Sprites:
    """Draw pixel-art creatures: the embedded default data set, labelled by type and body.

    Each image holds one creature on white, mirrored left to right and standing on a common ground line, in at most
    sixteen colours. Its type is the family its colours come from (fire, electric, grass, water, psychic, shadow), its
    body is its shape (blob, biped, bird, beast, crab, fish); every 36 in a row hold each pair of the two once. Ears,
    eyes, mouth, marks, limbs, build and tint vary. Multiples of 32x32 are enlarged pixel by pixel, other squares drawn
    anew; where the sides differ, white is added.
    """

    count: int = option(2048, ge=1, help="how many creatures the set holds")
    seed: int = option(0, ge=0, help="which set of creatures; the same seed draws the same pixels")

    @hookimpl
    def make_data(self, spec):
        """Images at the size asked for, or 32x32, with a type and a body each."""
        height, width = spec.size or (FRAME, FRAME)
        needed = self.count * (3 * height * width + 8 * len(CHOICES))
        fix = "--sprites.count with a smaller number, or a smaller --size"
        expect_memory(needed, f"{self.count:,} creatures", where="sprites.count", fix=fix)
        pixels, types, bodies = draw_creatures(self.count, height, width, self.seed)
        label_sets = (LabelSet("type", TYPES), LabelSet("body", BODIES))
        both = torch.from_numpy(np.stack([types, bodies], 1).astype(np.int64))
        return StoredData(torch.from_numpy(pixels), labels=both, label_sets=label_sets)

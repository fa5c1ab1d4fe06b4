"""Pixel-art creatures drawn from a seed: traits, shapes, palette indices, pixels."""

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
TYPES = tuple(FAMILIES)
BODIES = tuple(ARTISTS)

BLOCK = 2048  # creatures drawn at a time


def palettes(types: Array, tint: Array) -> Array:
    """Return sixteen colours [count, 16, 3] per creature.

    They are those of its family, with hue (in radians) and brightness changed by tint [count, 2].
    """
    palette = [list(bytes.fromhex(SHARED + family)) for family in FAMILIES.values()]
    families = np.array(palette, float)
    colours = families.reshape(-1, 16, 3)[types]
    # The cross product with the grey axis rotates the hue, to first order in the angle.
    colours += tint[:, :1, None] * (np.roll(colours, 1, 2) - np.roll(colours, -1, 2)) / math.sqrt(3)
    colours[:, WHITE + 1 :] *= 1 + tint[:, 1:, None]
    return np.rint(np.clip(colours, 0, 255)).astype(np.uint8)


def uniforms(seed: int, stream: int, rows: int, columns: int) -> Array:
    """Return numbers in [0, 1) whose row i does not depend on the number of rows."""
    return np.random.Generator(np.random.PCG64([seed, stream])).random((rows, columns))


def draw_labels(count: int, seed: int) -> tuple[Array, Array]:
    """Return types and bodies [count]; every 36 creatures in a row contain each pair once."""
    pairs = len(TYPES) * len(BODIES)
    deal = uniforms(seed, 0, -(-count // pairs), pairs).argsort(1).ravel()[:count]
    return deal % len(TYPES), deal // len(TYPES)


def draw_traits(rolls: Array) -> Traits:
    """Return traits [count, 1, 1], each selected by a column of rolls in [0, 1)."""
    picks = zip(CHOICES.items(), rolls.T, strict=True)
    chosen = {}
    for (key, kinds), roll in picks:
        chosen[key] = np.array(kinds)[(roll * len(kinds)).astype(int), None, None]
    return Traits(**chosen)


def draw_indices(bodies: Array, rolls: Array, grid: int) -> Array:
    """Return palette indices [count, grid, grid] of creatures with these bodies and rolls."""
    halves = np.zeros((len(bodies), grid, (grid + 1) // 2), np.uint8)
    for number, artist in enumerate(ARTISTS.values()):
        mine = bodies == number
        art = Canvas(int(mine.sum()), grid)
        artist(art, draw_traits(rolls[mine]))
        halves[mine] = art.ink
    return np.concatenate([halves[:, :, grid % 2 :][:, :, ::-1], halves], 2)


def draw_creatures(count: int, height: int, width: int, seed: int) -> tuple[Array, Array, Array]:
    """Return pixels [count, 3, height, width] in uint8, types [count] and bodies [count].

    From 64 pixels on, creatures are enlarged by the largest integer factor that leaves at least 32;
    the margin is white.
    """
    types, bodies = draw_labels(count, seed)
    rolls = uniforms(seed, 1, count, len(CHOICES) + 2)
    pixels = np.empty((count, 3, height, width), np.uint8)
    starts = range(0, count, BLOCK)
    if count > BLOCK:
        starts = progress_bar(starts, count, "drawing creatures", BLOCK)
    for start in starts:
        part = slice(start, start + BLOCK)
        pixels[part] = draw_block(types[part], bodies[part], rolls[part], height, width)
    return pixels, types, bodies


def draw_block(types: Array, bodies: Array, rolls: Array, height: int, width: int) -> Array:
    """Return pixels [n, 3, height, width] in uint8 of n creatures; rolls are [n, traits + 2]."""
    scale = max(1, min(height, width) // FRAME)
    indices = draw_indices(bodies, rolls[:, :-2], min(height, width) // scale)
    tint = (rolls[:, -2:] - 0.5) * (0.2, 0.12)
    creatures = np.arange(len(types))[:, None, None]
    colours = palettes(types, tint)[creatures, indices]
    pixels = colours.transpose(0, 3, 1, 2).repeat(scale, 2).repeat(scale, 3)
    spare = np.subtract((height, width), pixels.shape[2:])
    margins = [(each // 2, each - each // 2) for each in spare]
    return np.pad(pixels, [(0, 0), (0, 0), *margins], constant_values=255)


@component(source="drawn by this plugin from a seed; no outside data")
class Sprites:
    """Draw pixel-art creatures, labelled by type and body: the embedded default data set.

    Each image shows one creature on white, mirror-symmetric and standing on a common ground line,
    in at most sixteen colours. The label set `type` is the family of its colours (fire, electric,
    grass, water, psychic, shadow), `body` is its shape (blob, biped, bird, beast, crab, fish);
    every 36 in a row contain each pair once. Ears, eyes, mouth, marks, limbs, build and tint vary.
    Multiples of 32×32 are enlarged by whole pixels, other squares are drawn anew; if height and
    width differ, white is added. There is no source outside of this plugin.
    """

    count: int = option(2048, ge=1, help="number of creatures")
    seed: int = option(0, ge=0, help="seed of the set; the same seed draws the same pixels")

    @hookimpl
    def make_data(self, spec):
        """Draw images of the requested size, or 32×32, with a type and a body each."""
        height, width = spec.size or (FRAME, FRAME)
        needed = self.count * (3 * height * width + 8 * len(CHOICES))
        fix = "--sprites.count with a smaller number, or a smaller --size"
        expect_memory(needed, f"{self.count:,} creatures", where="sprites.count", fix=fix)
        pixels, types, bodies = draw_creatures(self.count, height, width, self.seed)
        label_sets = (LabelSet("type", TYPES), LabelSet("body", BODIES))
        both = torch.from_numpy(np.stack([types, bodies], 1).astype(np.int64))
        return StoredData(torch.from_numpy(pixels), labels=both, label_sets=label_sets)

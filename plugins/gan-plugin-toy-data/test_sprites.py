"""Facts about the creatures: what is the same, what differs, and what fits into the frame."""

import colorsys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import every_row

from gan_plugin_toy_data.sprites import BODIES, TYPES, Sprites, draw_creatures
from gancore import DataError, DataSpec
from gancore.testing import check_component

PAIRS = len(TYPES) * len(BODIES)
sides = st.integers(1, 100)


@pytest.fixture(scope="module")
def creatures():
    return draw_creatures(10 * PAIRS, 32, 32, 0)


def silhouettes(pixels):
    return (pixels != 255).any(1)


def hue(image):
    """The mean hue of an image as a point of the unit circle, vivid pixels counting most."""
    hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(3, -1).T / 255]
    mean = sum(s * v * np.exp(2j * np.pi * h) for h, s, v in hsv)
    return mean / abs(mean)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**64))
def test_same_seed_draws_the_same_bytes(seed):
    first, second = draw_creatures(3, 32, 32, seed), draw_creatures(3, 32, 32, seed)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_another_seed_draws_other_creatures(creatures):
    pixels, types, bodies = draw_creatures(len(creatures[0]), 32, 32, 1)
    assert (pixels != creatures[0]).any((1, 2, 3)).all()
    assert (types != creatures[1]).any() and (bodies != creatures[2]).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3 * PAIRS))
def test_creature_i_does_not_depend_on_count(creatures, count):
    for part, whole in zip(draw_creatures(count, 32, 32, 0), creatures, strict=True):
        assert np.array_equal(part, whole[:count])


def test_no_creature_is_drawn_twice():
    pixels = draw_creatures(2048, 32, 32, 0)[0]
    assert len({image.tobytes() for image in pixels}) == 2048


@every_row("side", [7, 16, 28, 32, 33, 48, 64])
def test_each_creature_is_mirrored_left_to_right(side):
    pixels = draw_creatures(PAIRS, side, side, 3)[0]
    assert np.array_equal(pixels, pixels[..., ::-1])


@every_row("size", [(28, 28), (32, 32), (48, 32), (50, 61)])
def test_no_creature_uses_more_than_16_colours(size):
    pixels = draw_creatures(3 * PAIRS, *size, 0)[0]
    assert max(len(np.unique(image.reshape(3, -1), axis=1).T) for image in pixels) <= 16


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_type_and_body_occurs(seed):
    _, types, bodies = draw_creatures(2 * PAIRS, 8, 8, seed)
    for start in (0, PAIRS):
        pairs = set(zip(types[start : start + PAIRS], bodies[start : start + PAIRS], strict=True))
        assert len(pairs) == PAIRS


@settings(max_examples=40, deadline=None)
@given(sides, sides)
def test_non_square_sizes_come_out_exact(height, width):
    side = min(height, width)
    pixels, square = (draw_creatures(4, *size, 0)[0] for size in ((height, width), (side, side)))
    assert pixels.shape == (4, 3, height, width)
    for image, creature in zip(silhouettes(pixels), silhouettes(square), strict=True):
        above, before = np.argwhere(image).min(0) - np.argwhere(creature).min(0)
        assert abs(2 * above - (height - side)) <= 1 and abs(2 * before - (width - side)) <= 1
        assert (
            np.array_equal(image[above:, before:][:side, :side], creature)
            and image.sum() == creature.sum()
        )


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_multiples_of_32_are_enlarged_pixel_by_pixel(scale):
    small, large = (draw_creatures(PAIRS, 32 * k, 32 * k, 0)[0] for k in (1, scale))
    assert np.array_equal(small.repeat(scale, 2).repeat(scale, 3), large)


def test_creatures_fill_the_frame_but_leave_its_edge_white(creatures):
    drawn = silhouettes(creatures[0])
    assert not drawn[:, [0, -1]].any() and not drawn[:, :, [0, -1]].any()
    assert (drawn.any(1).sum(1) >= 22).all() and (drawn.any(2).sum(1) >= 20).all()


def test_everybody_stands_on_the_ground_line(creatures):
    lowest = 31 - silhouettes(creatures[0]).any(2)[:, ::-1].argmax(1)
    assert set(lowest) == {30}


def test_types_differ_in_hue_more_than_they_vary(creatures):
    pixels, types, _ = creatures
    hues = np.array([hue(image) for image in pixels])
    centres = np.array([hues[types == number].mean() for number in range(len(TYPES))])
    spread = max(abs(np.angle(hues / centres[types])))
    gaps = abs(np.angle(centres[:, None] / centres))[~np.eye(len(TYPES), dtype=bool)]
    assert gaps.min() > 2 * spread, (np.degrees(gaps.min()), np.degrees(spread))


def test_bodies_are_told_apart_by_their_silhouettes(creatures):
    pixels, _, bodies = creatures
    drawn = silhouettes(pixels).astype(float)
    means = np.array([drawn[bodies == number].mean(0) for number in range(len(BODIES))])
    nearest = ((drawn[:, None] - means) ** 2).sum((2, 3)).argmin(1)
    assert np.array_equal(nearest, bodies)


@pytest.mark.parametrize(("size", "shape"), [(None, (32, 32)), ((28, 40), (28, 40))])
def test_the_data_carries_both_label_sets(size, shape):
    data = Sprites(count=5, seed=2).make_data(SimpleNamespace(size=size))
    pixels, types, bodies = draw_creatures(5, *shape, 2)
    assert data.samples.dtype == torch.uint8
    assert np.array_equal(data.samples, pixels)
    assert data.labels.dtype == torch.int64
    assert np.array_equal(data.labels.T, [types, bodies])
    assert [(labels.name, labels.classes) for labels in data.label_sets] == [
        ("type", TYPES),
        ("body", BODIES),
    ]


def test_sprites_conform():
    check_component(Sprites, count=40)


def test_more_creatures_than_memory_holds_are_refused_before_any_is_drawn():
    with pytest.raises(DataError, match="1,000,000,000 creatures take [0-9,]+ GiB of memory"):
        Sprites(count=10**9).make_data(DataSpec())

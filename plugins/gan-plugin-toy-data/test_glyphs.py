"""Facts about stacked glyphs: their symbols, their shifts, their thousand classes."""

import torch

from gan_plugin_toy_data.glyphs import GLYPHS, StackedGlyphs, bitmaps, draw_glyphs
from gancore import DataSpec
from gancore.testing import check_component


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def moved(glyphs, x, y):
    return torch.roll(glyphs, (x, y), (1, 2))


def test_conforms():
    check_component(StackedGlyphs, count=40)


def test_every_symbol_lies_within_a_margin_of_one_pixel():
    inner = bitmaps()[:, 1:7, 1:7]
    assert inner.sum() == bitmaps().sum()
    assert len(bitmaps()) == len(GLYPHS) == 10


def test_two_symbols_differ_in_five_pixels_however_they_are_shifted():
    glyphs = bitmaps().int()
    others = [moved(glyphs, x, y) for x in range(-2, 3) for y in range(-2, 3)]
    apart = torch.stack([(glyphs[:, None] - each).abs().sum((2, 3)) for each in others])
    apart[:, range(10), range(10)] = 64  # a symbol is not compared with itself
    assert apart.min() >= 5


def test_without_noise_a_channel_is_its_symbol_shifted_by_one_pixel_at_most():
    images, classes = draw_glyphs(50, 0.0, rng())
    channels, chosen = images.flatten(0, 1) // 255, bitmaps()[classes.flatten()]
    shifted = [moved(chosen, x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    equal = torch.stack([(channels == each).all((1, 2)) for each in shifted])
    assert equal.any(0).all()
    assert equal.any(1).all()  # and all nine shifts occur


def test_noise_has_the_stated_deviation_inside_the_range():
    clean, noisy = (draw_glyphs(2000, sigma, rng())[0].float() / 127.5 - 1 for sigma in (0, 0.1))
    # noise that leads out of the range is cut off: half of it, at either end
    inward = (noisy - clean) * -clean.sign()
    assert abs(inward.square().mean().sqrt() - 0.1 / 2**0.5) < 0.002


def test_the_thousand_triples_are_equally_likely():
    _, classes = draw_glyphs(50_000, 0.0, rng())
    counts = (classes * torch.tensor([100, 10, 1])).sum(1).bincount(minlength=1000).double()
    assert counts.min() > 0
    # chi-squared with 999 degrees of freedom
    assert (counts - 50).square().sum() / 50 < 999 + 4 * (2 * 999) ** 0.5


def test_stacks_follow_from_their_seed_and_have_a_label_set_for_each_channel():
    one, again, other = (
        StackedGlyphs(count=20, seed=seed).make_data(DataSpec()) for seed in (1, 1, 2)
    )
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert [each.name for each in one.label_sets] == ["red", "green", "blue"]
    assert one.shape == (3, 8, 8)
    assert StackedGlyphs(count=5).make_data(DataSpec(size=(16, 16))).shape == (3, 16, 16)

"""Facts about MS-SSIM of pairs, and the diversity that follows from it."""

import pytest
import torch

from gan_plugin_metrics.ssim import (
    mean_similarity,
    ms_ssim,
    random_pairs,
    scales_for,
    window,
)

torch.set_num_threads(1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, side=32, seed=0):
    return torch.rand(n, 3, side, side, generator=rng(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("side", "scales"), [(10, 0), (11, 1), (28, 2), (32, 2), (64, 3), (128, 4), (176, 5), (512, 5)]
)
def test_the_smallest_scale_still_holds_a_window(side, scales):
    assert scales_for(side, side * 2) == scales


def test_the_window_is_normal_symmetric_and_sums_to_one():
    w = window()
    assert w.sum() == pytest.approx(1)
    assert torch.equal(w, w.flip(0))
    assert (w[5] / w[6]).log().item() == pytest.approx(1 / (2 * 1.5**2))


@pytest.mark.parametrize("scales", [1, 2])
def test_an_image_is_entirely_similar_to_itself_and_little_to_noise(scales):
    x = images()
    assert torch.allclose(ms_ssim(x, x, scales), torch.ones(6, dtype=torch.float64))
    assert ms_ssim(x, images(seed=1), scales).max() < 0.2
    assert torch.allclose(ms_ssim(x, images(seed=1), scales), ms_ssim(images(seed=1), x, scales))


def test_two_greys_have_the_similarity_of_their_luminance():
    a, b = (torch.full((1, 1, 22, 22), value, dtype=torch.float64) for value in (0.2, 0.6))
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ms_ssim(a, b, 1).item() == pytest.approx(luminance)
    # of two scales only the last has luminance, with its share .2856/(.0448 + .2856) of the weights
    assert ms_ssim(a, b, 2).item() == pytest.approx(luminance ** (0.2856 / 0.3304))


def test_a_negative_contrast_counts_as_nothing_and_never_as_a_complex_number():
    x = images(2)
    assert ms_ssim(x, 1 - x, 2).tolist() == [0, 0]


def test_pairs_are_of_different_items_and_of_one_class_where_labels_are_given():
    i, j = random_pairs(5, 400, rng(), None)
    assert (i != j).all()
    labels = torch.tensor([2, 0, 1, 0, 2, 2, 0, 5])  # one item of class 1 and of 5, none of 3 and 4
    i, j = random_pairs(8, 2000, rng(), labels)
    assert (i != j).all()
    assert torch.equal(labels[i], labels[j])
    assert set(i.tolist()) == {0, 1, 3, 4, 5, 6}
    assert {pair for pair in zip(i.tolist(), j.tolist(), strict=True) if labels[pair[0]] == 2} == {
        (a, b) for a in (0, 4, 5) for b in (0, 4, 5) if a != b
    }


def test_a_collapsed_set_is_entirely_similar_and_small_images_have_no_figure():
    one = images(1) * 2 - 1
    assert mean_similarity(one.expand(9, -1, -1, -1), rng(), pairs=20) == pytest.approx(1)
    assert mean_similarity(images(9) * 2 - 1, rng(), pairs=20) < 0.2
    assert mean_similarity(images(9, side=8), rng()) is None
    assert mean_similarity(images(1), rng()) is None

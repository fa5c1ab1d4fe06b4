"""Facts about the features that are published, and about the classifier that is kept."""

import platformdirs
import pytest
import torch

from gan_plugin_metrics import classifier, filters
from gan_plugin_metrics.extractors import extract_all, names, open_extractor
from gan_plugin_metrics.features import identity, random_weights
from gan_plugin_metrics.filters import moduli, randconv_covariance, scattering
from gancore import CompositionError, DataError, LabelSet, StoredData, UsageError
from gancore.testing import some_data

torch.set_num_threads(1)
WIDTHS = {
    "classifier": 256, "palette": 64, "pixels8": 192, "randconv": 448, "randconv-covariance": 456,
    "randconv-grid": 560, "scattering": 279,
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep classifiers of tests out of the user's cache folder."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)


def images(n=6, channels=3, side=16, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, side, side, generator=rng) * 2 - 1


def labelled(n=60, classes=2):
    """Dark and bright images, which are easy to tell apart."""
    labels = torch.arange(n) % classes
    made = images(n) * 0.2 + (labels[:, None, None, None] - 0.5)
    return StoredData(made, labels[:, None], (LabelSet("grey", tuple("abcdef"[:classes])),))


def test_every_published_extractor_has_the_stated_width_and_an_identity():
    # another distribution publishes Inception, which needs a file of weights
    assert set(names()) == {*WIDTHS, "inception-v3-tf"}
    data = labelled()
    found = {name: open_extractor(name, data) for name in WIDTHS}
    for name, each in found.items():
        features = extract_all(each, images())
        assert features.shape == (6, WIDTHS[name]), name
        assert features.dtype == torch.float64, name
        assert len(each.sha256) == 64, name
    assert len({each.id for each in found.values()}) == len(WIDTHS)


def test_random_extractors_are_identified_by_their_weights_and_differ_by_seed():
    data = some_data()
    assert open_extractor("randconv", data).sha256 == identity(3)
    for name in ("randconv", "randconv-grid", "randconv-covariance"):
        one, other = (open_extractor(name, data, seed=seed) for seed in (0, 1))
        assert one.sha256 != other.sha256
        assert one.id == f"{name}:0"
        assert not torch.equal(one.extract(images()), other.extract(images()))


def test_points_are_their_own_features_whatever_is_asked_for():
    points = open_extractor("scattering", some_data((2,), ()))
    assert points.id == "points"
    assert torch.equal(points.extract(torch.ones(3, 2)), torch.ones(3, 2, dtype=torch.float64))


def test_unknown_features_and_reserved_names_are_refused_with_what_there_is():
    with pytest.raises(UsageError, match="no features are called 'x'") as raised:
        open_extractor("x", some_data())
    assert "pixels8" in raised.value.fix
    with pytest.raises(UsageError, match="FID, KID and IS") as raised:
        open_extractor("FID", some_data())
    assert "gan-plugin-inception" in raised.value.fix


@pytest.mark.parametrize("features", ["randconv_grid", "randconv_covariance", "scattering"])
def test_features_of_images_alone_refuse_signals(features):
    with pytest.raises(CompositionError, match="features of images"):
        getattr(filters, features)(torch.zeros(2, 1, 16))


# ── what the filters compute ──────────────────────────────────────────────────────────────────────


def test_wavelets_have_no_response_to_a_constant_and_one_to_a_wave_of_their_frequency():
    assert moduli(torch.full((1, 1, 16, 16), 0.7)).max() < 1e-5
    # period 16/6 of the horizontal frequency 3π/4, that of the first octave at angle 0
    wave = torch.cos(2 * torch.pi * 6 / 16 * torch.arange(16.0)).expand(1, 1, 16, 16)
    energy = moduli(wave).square().mean((0, 1, 4, 5))
    assert energy.argmax() == 0
    assert energy[0, 0] > 5 * energy[0, 2]  # the same octave, across


def test_mean_moduli_do_not_change_when_an_image_is_shifted_around():
    x = images(2, 1)
    shifted = x.roll((3, 5), (2, 3))
    assert torch.allclose(moduli(x).mean((4, 5)), moduli(shifted).mean((4, 5)), atol=1e-5)


def test_scattering_tells_an_image_from_one_with_exchanged_quarters():
    x = images(1)
    quarters = x.roll(8, 2)
    assert (scattering(x) - scattering(quarters)).abs().max() > 0.01


def test_covariances_of_channels_are_those_of_their_maps():
    x = images(1)
    kernels = random_weights(3)[0]
    maps = torch.nn.functional.conv2d(x, kernels, stride=2, padding=1)
    maps = torch.nn.functional.leaky_relu(maps, 0.2)[0, :16].double().flatten(1)
    expected = torch.cov(maps, correction=0)
    found = randconv_covariance(x)[0, 16 : 16 + 136]
    rows, columns = torch.triu_indices(16, 16)
    assert torch.allclose(found, expected[rows, columns], atol=1e-6)


# ── the classifier ────────────────────────────────────────────────────────────────────────────────


def test_a_classifier_is_trained_once_and_read_again_bit_for_bit(monkeypatch):
    data = labelled()
    first = classifier.classifier_of(data)
    assert first.accuracy == 1
    monkeypatch.setattr(classifier, "train", None)  # would raise if it were called
    again = classifier.classifier_of(data)
    assert again.sha256 == first.sha256
    assert again.accuracy == first.accuracy
    assert torch.equal(again.probabilities(images()), first.probabilities(images()))
    assert torch.equal(again.shares, torch.tensor([0.5, 0.5]))


def test_a_damaged_file_is_trained_again(tmp_path):
    data = labelled()
    first = classifier.classifier_of(data)
    (kept,) = (tmp_path / "cache" / "gancore" / "classifiers").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert classifier.classifier_of(data).sha256 == first.sha256


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "file" / name)
    assert classifier.classifier_of(labelled()).accuracy == 1


def test_data_without_classes_or_with_few_images_are_refused():
    for data in (some_data(classes=()), labelled(classes=1)):
        with pytest.raises(UsageError, match="labels of two classes or more"):
            classifier.classifier_of(data)
    with pytest.raises(DataError, match="needs 5 distinct images"):
        classifier.classifier_of(labelled(4))

"""Tests of what can be seen without the weights: refusals, the range of bytes, names of figures."""

import sys
from types import SimpleNamespace

import pytest
import torch

import gan_plugin_inception as inception
from gancore import DataError, UsageError

IMAGES = SimpleNamespace(shape=(3, 32, 32))


def test_without_a_file_the_file_is_named():
    with pytest.raises(UsageError, match="no part of this package") as refused:
        inception.open_inception(IMAGES)
    assert inception.FILE in refused.value.fix


def test_another_file_is_refused_by_its_digest(tmp_path):
    other = tmp_path / inception.FILE
    other.write_bytes(b"not the weights")
    with pytest.raises(DataError, match=r"SHA-256 begins with \w{8}, not 6726825d"):
        inception.open_inception(IMAGES, weights=other)
    with pytest.raises(UsageError, match="cannot be read"):
        inception.open_inception(IMAGES, weights=tmp_path / "nothing")


def test_data_that_are_no_images_are_refused():
    with pytest.raises(DataError, match="images of 1 or 3 channels"):
        inception.open_inception(SimpleNamespace(shape=(2,)))


def test_the_missing_network_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UsageError, match="torch-fidelity") as refused:
        inception.load_network("FILE")
    assert refused.value.fix == "pip install 'gan-plugin-inception[network]'"


def test_the_range_of_images_is_that_of_bytes_and_grey_has_three_channels():
    grey = torch.tensor([-1.0, 0.0, 1.0, 1.5]).view(1, 1, 2, 2)
    found = inception.as_bytes(grey)
    assert found.dtype == torch.uint8
    assert found[0].flatten(1).tolist() == [[0, 128, 255, 255]] * 3
    assert inception.as_bytes(torch.zeros(2, 3, 4, 4)).shape == (2, 3, 4, 4)


def test_features_are_those_of_the_network_in_double_precision(monkeypatch, tmp_path):
    # a network in the place of Inception, which takes bytes and gives a tuple as torch-fidelity's
    class Network:
        def __call__(self, images):
            return (images.float().mean((2, 3)),)

    monkeypatch.setattr(inception, "checked", lambda weights: "6726825d" + "0" * 56)
    monkeypatch.setattr(inception, "load_network", lambda weights: Network())
    extractor = inception.open_inception(IMAGES, weights=tmp_path)
    assert extractor.known_as == {"fd": "FID", "kd": "KID"}
    assert not extractor.standardise
    found = extractor.extract(torch.ones(2, 3, 8, 8))
    assert found.dtype == torch.float64
    assert found.tolist() == [[255.0] * 3] * 2

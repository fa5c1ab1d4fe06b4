import torch

from gan_plugin_norms.none import NoNorm
from gancore.testing import check_component


def test_no_norm_conforms():
    check_component(NoNorm)


def test_the_very_tensor_comes_back():
    maps = torch.randn(2, 3, 4, 5)
    assert NoNorm().make_norm()(maps) is maps


def test_there_is_nothing_to_train():
    assert not list(NoNorm().make_norm().parameters())

import torch
from torch import nn

from gan_plugin_initializers.orthogonal import Orthogonal
from gancore.testing import check_component

torch.set_num_threads(1)


def test_orthogonal_conforms():
    check_component(Orthogonal)


def test_each_weight_is_an_orthogonal_matrix_times_the_gain():
    net = nn.Sequential(
        nn.Linear(6, 6), nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 3, 4), nn.Linear(3, 7)
    )
    assert Orthogonal(gain=2.0).initialize(net, torch.Generator().manual_seed(0))
    for layer in net:
        rows = layer.weight.flatten(1)
        if len(rows) > rows.shape[1]:
            rows = rows.T
        torch.testing.assert_close(rows @ rows.T, 4 * torch.eye(len(rows)), rtol=0, atol=1e-5)
        assert not layer.bias.any()

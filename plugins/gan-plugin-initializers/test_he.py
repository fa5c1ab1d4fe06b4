import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn.functional import leaky_relu

from gan_plugin_initializers.he import He, fan_in
from gancore.testing import check_component, train

LAYERS = [
    (nn.Linear(256, 256), 256),
    (nn.Conv2d(64, 64, 4), 64 * 16),
    (nn.Conv2d(64, 256, 4, groups=4), 16 * 16),
    (nn.ConvTranspose2d(64, 64, 4, stride=2), 64 * 4),
    (nn.ConvTranspose2d(64, 64, 4, stride=1), 64 * 16),
]


def initialized(net, **options):
    """The network after initialisation with a fixed seed."""
    assert He(**options).initialize(net, torch.Generator().manual_seed(0))
    return net


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_he_conforms():
    check_component(He)


@every_row(("layer", "products"), LAYERS)
def test_fan_in_counts_the_products_of_one_output(layer, products):
    assert fan_in(layer) == products


@every_row(("layer", "products"), LAYERS)
def test_weights_have_the_stated_deviation_within_three_standard_errors(layer, products):
    weight, std = initialized(layer, slope=0.2).weight, (2 / (1.04 * products)) ** 0.5
    n = weight.numel()
    assert abs(weight.mean()) < 3 * std / n**0.5
    assert abs(weight.std() - std) < 3 * std / (2 * n) ** 0.5


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_activations_keep_their_size_through_leaky_layers(slope):
    # a layer of width w multiplies the mean square by 1 ± √(5/w), as E[a⁴]/E[a²]² is at most 6:
    # four layers of width 2048 by 1 ± 0.1, and three such errors are 0.3
    layers = initialized(nn.ModuleList(nn.Linear(2048, 2048) for _ in range(4)), slope=slope)
    x = random(16, 2048)
    for layer in layers:
        x = leaky_relu(layer(x), slope)
    assert x.square().mean().item() == pytest.approx(1, abs=0.3)


def test_a_transposed_convolution_of_stride_two_keeps_the_mean_square():
    layer = initialized(nn.ConvTranspose2d(64, 256, 4, 2, 1, bias=False), slope=1.0)
    interior = layer(random(4, 64, 16, 16))[..., 1:-1, 1:-1]
    # each parity class of pixels has 256 outputs of 256 weights of variance 1/256: its mean square
    # is 1 ± √(2/65536)
    assert interior.square().mean().item() == pytest.approx(1, abs=0.03)


def test_norms_start_as_the_identity():
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    assert initialized(norm).weight.tolist() == [1, 1, 1]
    assert norm.bias.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(2, 3, 4), nn.ConvTranspose2d(2, 3, 4), nn.Linear(2, 3)]
)
def test_biases_are_zero(layer):
    nn.init.ones_(layer.bias)
    assert initialized(layer).bias.tolist() == [0, 0, 0]


def test_parameters_of_other_modules_are_left_alone():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Bilinear(2, 2, 2), nn.PReLU())
    before = [weight.clone() for weight in net.parameters()]
    assert all(map(torch.equal, before, initialized(net).parameters()))


def test_initialize_reaches_both_players():
    gan = train(He()).context.gan
    for player in (gan.generator, gan.critic):
        biases = [weight for name, weight in player.named_parameters() if name.endswith("bias")]
        assert biases
        assert all(bias.abs().max() == 0 for bias in biases)

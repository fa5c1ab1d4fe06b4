import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_initializers.uniform import Glorot, KerasUniform, TorchDefault
from gancore.testing import check_component, train

CLASSES = [TorchDefault, Glorot, KerasUniform]
LAYERS = {
    "linear": lambda: nn.Linear(256, 64),
    "conv": lambda: nn.Conv2d(64, 32, 4),
    "transposed": lambda: nn.ConvTranspose2d(64, 32, 4, 2, 1),
}
BOUNDS = [
    (TorchDefault, "linear", 256**-0.5),
    (TorchDefault, "conv", (64 * 16) ** -0.5),
    (TorchDefault, "transposed", (32 * 16) ** -0.5),
    (Glorot, "linear", (6 / (256 + 64)) ** 0.5),
    (Glorot, "conv", (6 / ((64 + 32) * 16)) ** 0.5),
    (Glorot, "transposed", (6 / ((64 + 32) * 16)) ** 0.5),
    (KerasUniform, "linear", 0.05),
    (KerasUniform, "conv", 0.05),
    (KerasUniform, "transposed", 0.05),
]


def initialized(cls, net, seed=0, **options):
    """The network after initialisation with a fixed seed."""
    assert cls(**options).initialize(net, torch.Generator().manual_seed(seed)) is True
    return net


@pytest.mark.parametrize("cls", CLASSES)
def test_initializers_conform(cls):
    check_component(cls)


@every_row(("cls", "layer", "bound"), BOUNDS)
def test_weights_lie_within_the_stated_bound(cls, layer, bound):
    assert initialized(cls, LAYERS[layer]()).weight.abs().max() <= bound * (
        1 + 2**-23
    )  # the bound in float32


@every_row(("cls", "layer", "bound"), BOUNDS)
def test_weights_come_near_the_stated_bound(cls, layer, bound):
    weight = initialized(cls, LAYERS[layer]()).weight
    # P(all of n weights below (1 - x)·bound) = (1 - x)ⁿ, which is below e⁻²⁰ at x = 20/n
    assert weight.abs().max() > bound * (1 - 20 / weight.numel())


@every_row(("cls", "layer", "bound"), BOUNDS)
def test_weights_have_the_variance_of_a_uniform_law_within_four_standard_errors(cls, layer, bound):
    weight = initialized(cls, LAYERS[layer]()).weight
    # bound²/3 = v; the mean square of n numbers has the variance (bound⁴/5 - bound⁴/9)/n = 0.8·v²/n
    assert abs(weight.square().mean() / (bound**2 / 3) - 1) < 4 * (0.8 / weight.numel()) ** 0.5


@every_row(("cls", "layer", "bound"), BOUNDS)
def test_weights_have_mean_zero_within_four_standard_errors(cls, layer, bound):
    weight = initialized(cls, LAYERS[layer]()).weight
    assert abs(weight.mean()) < 4 * bound / (3 * weight.numel()) ** 0.5


@pytest.mark.parametrize("layer", LAYERS)
def test_torch_default_has_the_bounds_of_the_layer_that_torch_makes(layer):
    torch.manual_seed(0)
    own, ours = LAYERS[layer](), initialized(TorchDefault, LAYERS[layer]())
    # both maxima of n >= 16384 weights lie within 20/n of the bound, but for a chance of e⁻²⁰
    assert ours.weight.abs().max().item() == pytest.approx(
        own.weight.abs().max().item(), rel=20 / 16384
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_torch_default_draws_biases_with_the_bound_of_the_weights(layer):
    made = initialized(TorchDefault, nn.Sequential(LAYERS[layer]()))[0]
    bound = made.weight[0].numel() ** -0.5
    # of n >= 32 biases all lie below half the bound with a chance of 2⁻³²
    assert bound / 2 < made.bias.abs().max() <= bound


@every_row("cls", [Glorot, KerasUniform])
@every_row("layer", LAYERS)
def test_biases_are_zero(cls, layer):
    made = LAYERS[layer]()
    nn.init.ones_(made.bias)
    assert initialized(cls, made).bias.abs().max() == 0


def test_glorot_counts_both_fans():
    wide, tall = initialized(Glorot, nn.Linear(8, 512)), initialized(Glorot, nn.Linear(512, 8))
    bound = (6 / 520) ** 0.5
    for layer in (wide, tall):
        assert bound * (1 - 20 / 4096) < layer.weight.abs().max() <= bound


def test_the_bound_of_keras_uniform_is_its_option():
    layer = initialized(KerasUniform, nn.Linear(64, 64), bound=0.5)
    assert 0.5 * (1 - 20 / 4096) < layer.weight.abs().max() <= 0.5


@every_row("cls", CLASSES)
@every_row("norm", [nn.BatchNorm2d(4), nn.GroupNorm(1, 4)])
def test_norms_start_as_the_identity(cls, norm):
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    assert initialized(cls, norm).weight.tolist() == [1] * 4
    assert norm.bias.tolist() == [0] * 4


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_of_other_modules_are_left_alone(cls):
    net = nn.Sequential(nn.Embedding(5, 3), nn.Bilinear(2, 2, 2), nn.PReLU())
    before = [weight.clone() for weight in net.parameters()]
    assert all(map(torch.equal, before, initialized(cls, net).parameters()))


@pytest.mark.parametrize("cls", CLASSES)
def test_numbers_come_from_the_generator_given(cls):
    state = torch.get_rng_state()
    initialized(cls, net := nn.Linear(3, 4, bias=False))
    torch.set_rng_state(state)
    one = net.weight.clone()
    torch.manual_seed(12345)
    assert torch.equal(one, initialized(cls, net).weight)


@pytest.mark.parametrize("cls", CLASSES)
def test_initialize_reaches_both_players(cls):
    one, other = train(cls()).context.gan, train().context.gan
    for role in ("generator", "critic"):
        ours, plain = (gan.player(role).state_dict() for gan in (one, other))
        assert all(
            not torch.equal(ours[name], plain[name]) for name in ours if name.endswith("weight")
        )

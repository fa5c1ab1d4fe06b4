"""Facts about the residual networks, and about BigGAN's, which has the same blocks."""

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn import functional

from gan_plugin_networks.biggan import BigGANLite
from gan_plugin_networks.resnet import ResNet, ResNetCritic
from gancore import CompositionError, component, compose, hookimpl
from gancore.testing import StandIn, StandInLoss, check_component, some_data, train
from gancore.train.loop import Training

SMALL = {"width": 4, "limit": 8}
NO_LABELS = torch.empty(2, 0, dtype=torch.int64)


@component(source="a test")
class Nearest:
    """Repeat pixels, then convolve, and add a norm that shows where it stands."""

    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        layer = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        return nn.Sequential(nn.Upsample(scale_factor=2), layer)

    @hookimpl
    def make_norm(self, channels):
        return nn.GroupNorm(1, channels)


def play(*components, shape=(3, 16, 16), latent=3, classes=()):
    """Both players of components, with the plainest stand-ins for what is left open."""
    stand_ins = [StandIn(dim=latent), StandInLoss()]
    data = some_data(shape, classes, 4)
    return train(*components, Nearest(), data=data, batch=2, stand_ins=stand_ins).context.gan


@pytest.mark.parametrize("cls", [ResNet, ResNetCritic, BigGANLite])
def test_residual_networks_conform(cls):
    check_component(cls, **SMALL)


@every_row("size", [(8, 8), (28, 28), (48, 32), (17, 30), (32, 32), (5, 9), (40,), (8, 9, 8)])
def test_every_size_of_every_number_of_axes_is_exact(size):
    made = []
    nets = [ResNet(**SMALL), ResNetCritic(**SMALL)]
    if len(size) == 2:
        gan = play(*nets, shape=(3, *size))
    else:  # the test's upsampler is that of images
        stand_ins = [StandIn(dim=3), StandInLoss()]
        data = some_data((3, *size), (), 4)
        gan = train(*nets, data=data, batch=2, stand_ins=stand_ins).context.gan
    made = gan.generator.network(torch.randn(2, 3), NO_LABELS)
    assert made.shape == (2, 3, *size)
    assert made.abs().max() <= 1
    assert gan.critic.network(made, NO_LABELS).score.shape == (2,)


def test_a_block_that_doubles_is_its_formula():
    block = play(ResNet(**SMALL)).generator.network.blocks[0].double()
    maps = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    first, _, upsample, _, second, _, convolution = block[0]
    branch = convolution(second(upsample(first(maps).relu())).relu())
    plain = functional.interpolate(maps, scale_factor=2)
    assert torch.allclose(block(maps), branch + block[1][0](plain))


def test_a_block_that_halves_is_its_formula():
    blocks = play(ResNetCritic(**SMALL)).critic.network.body.blocks.double()
    maps = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    convolution, norm, _, second = blocks[0][0]
    inner = norm(convolution(maps)).relu()
    full = functional.conv2d(inner, second.weight, second.bias, padding=1)
    shortcut = blocks[0][1][1](maps)
    assert torch.allclose(blocks[0](maps), functional.avg_pool2d(full + shortcut, 2))


def test_the_features_are_sums_over_pixels():
    critic = play(ResNetCritic(**SMALL)).critic.network
    images = torch.randn(2, 3, 16, 16)
    maps = critic.body.blocks(images, NO_LABELS)
    assert torch.allclose(critic(images, NO_LABELS).features, maps.sum((2, 3)))


def test_the_papers_networks_have_its_blocks():
    gan = play(ResNet(width=256, limit=256), ResNetCritic(width=128, limit=128), shape=(3, 32, 32))
    assert gan.generator.network.seed == (256, 4, 4)
    widths = [
        each.out_channels
        for each in gan.critic.network.modules()
        if isinstance(each, nn.Conv2d) and each.kernel_size == (3, 3)
    ]
    assert widths == [128] * 8  # four blocks of two


def test_points_are_refused_with_what_fits():
    for each in (ResNet(), ResNetCritic(), BigGANLite()):
        with pytest.raises(CompositionError, match="has convolutions, but the data are points"):
            play(each, shape=(2,))


# ── BigGAN ────────────────────────────────────────────────────────────────────────────────────────


def biggan(**slots):
    options = {"biggan-lite.width": 4, "biggan-lite.limit": 8, "resnet-critic.width": 4}
    options |= {"biggan-lite.embedding": 3, "sprites.count": 16}
    chosen = compose(
        gen="biggan-lite", options=options, settings={"batch": 4, "size": "16", "device": "cpu"}
    )
    return Training.of(chosen).context


def test_each_block_depends_on_its_chunk_of_the_latent_and_on_the_class():
    context = biggan()
    net, plan = context.gan.generator.network, context.plan
    assert sum(net.widths) == plan.inputs
    z, labels = torch.randn(3, plan.latent), torch.zeros(3, len(plan.label_sets)).long()
    plain = net(z, labels)
    for chunk in z.split(net.widths, 1):
        chunk += 1  # in place: a part of z
        assert not torch.allclose(net(z, labels), plain)
        chunk -= 1
    assert not torch.allclose(net(z, labels + 1), plain)


def test_without_labels_the_chunk_alone_is_the_style():
    gan = play(BigGANLite(**SMALL))
    assert gan.generator.network.embedding is None
    assert gan.generator.network(torch.randn(2, 3), NO_LABELS).shape == (2, 3, 16, 16)


def test_a_latent_too_narrow_for_its_chunks_is_refused():
    with pytest.raises(CompositionError, match="2 columns cannot be split into 3 chunks"):
        play(BigGANLite(**SMALL), latent=2)


def test_a_label_set_that_does_not_exist_is_refused():
    with pytest.raises(CompositionError, match="no label set is called 'colour'"):
        play(BigGANLite(labels="colour"), classes=(3,))

"""Facts about self-attention."""

import pytest
import torch
from support.tables import every_row

from gan_plugin_networks.resnet import ResNet, ResNetCritic
from gan_plugin_networks.self_attention import Attention, SelfAttention
from gancore import CompositionError, compose
from gancore.testing import check_component, train
from gancore.train.loop import Training

SETTINGS = {"batch": 4, "size": "16", "device": "cpu"}


def attention(gain=0.7):
    torch.manual_seed(0)
    layer = Attention(16, 8).double()
    with torch.no_grad():
        layer.gain.fill_(gain)
    return layer


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_gain_of_zero_is_the_identity_bit_for_bit():
    maps = random(2, 16, 4, 4)
    assert torch.equal(attention(0.0)(maps), maps)


def test_attention_is_its_formula():
    layer, maps = attention(), random(2, 16, 3, 4)
    flat = maps.flatten(2)
    query, key, value = (
        each.weight.flatten(1) @ flat for each in (layer.query, layer.key, layer.value)
    )
    weights = torch.einsum("nci,ncj->nij", query, key).softmax(2)
    read = torch.einsum("nij,ncj->nci", weights, value)
    wanted = flat + 0.7 * layer.out.weight.flatten(1) @ read
    assert torch.allclose(layer(maps), wanted.view_as(maps))


def test_permuted_pixels_give_permuted_maps():
    layer, maps = attention(), random(2, 16, 4, 4)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    permuted = layer(maps.flatten(2)[..., order].view_as(maps)).flatten(2)
    assert torch.allclose(permuted, layer(maps).flatten(2)[..., order])


def test_there_is_a_double_backward():
    layer = attention()
    assert torch.autograd.gradgradcheck(layer, (random(1, 16, 2, 2).requires_grad_(),))


def trained(**more):
    small = {"sprites.count": 16}
    for name in ("dcgan", "dcgan-critic", "resnet", "resnet-critic", "fastgan", "r3gan"):
        small[f"{name}.width"] = 4
    chosen = {more.get("gen", "dcgan"), more.get("critic", "dcgan-critic")}
    options = {key: value for key, value in small.items() if key.partition(".")[0] in chosen}
    chosen = compose(
        reg=["self-attention"],
        options={**options, "sprites.count": 16, "self-attention.size": 8},
        settings=SETTINGS,
        **more,
    )
    return Training.of(chosen).context.gan


@every_row("gen", ["dcgan", "resnet", "fastgan", "r3gan", "biggan-lite", "colorpicker"])
@every_row("cond", [[], ["concat-label"]])
def test_it_finds_its_place_in_each_network_and_changes_nothing_at_first(gen, cond):
    gan = trained(gen=gen, cond=cond, critic="resnet-critic" if gen == "resnet" else "dcgan-critic")
    for player in (gan.generator, gan.critic):
        found = [each for each in player.network.modules() if isinstance(each, Attention)]
        assert len(found) == 1


def test_in_a_residual_network_it_comes_after_the_whole_block():
    gan = trained(gen="resnet", critic="resnet-critic")
    first = gan.generator.network.blocks[0]  # the block that makes the map of 8 pixels
    assert isinstance(first[1], Attention)
    plain = [type(each).__name__ for each in first]
    assert plain == ["Residual", "Attention"]


def test_a_size_that_no_map_has_is_refused_with_those_that_there_are():
    with pytest.raises(CompositionError, match=r"has a map of 7 pixels; there are .*8"):
        train(SelfAttention(size=7))


def test_self_attention_conforms():
    small = {"width": 4, "limit": 8}
    beside = [ResNet(**small), ResNetCritic(**small)]
    check_component(SelfAttention, size=8, beside=beside)

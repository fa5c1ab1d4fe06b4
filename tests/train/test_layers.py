"""Layers that are given labels and style: who passes them, and what is refused."""

import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_colorpicker import ColorPicker
from gan_plugin_networks.dcgan import DCGAN, DCGANCritic
from gan_plugin_networks.mlp import MLP, MLPCritic
from gan_plugin_progressive import Progressive, ProgressiveCritic
from gan_plugin_virtual_batch_norm import VirtualBatch
from gancore import (
    CompositionError,
    ConditionalLayer,
    Layers,
    PluginError,
    component,
    hookimpl,
)
from gancore.plugins.calling import Component
from gancore.testing import some_batch, some_data, train

LABELS = torch.tensor([[0], [2]])


class Shift(ConditionalLayer):
    """Add the label, and the mean of the style if there is one."""

    def forward(self, maps, labels, style):
        return maps + labels + (0 if style is None else style.mean(1, keepdim=True))


def test_layers_without_a_conditional_one_are_a_sequential():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))
    torch.manual_seed(0)
    layers = Layers(nn.Linear(3, 4), nn.ReLU(), Layers(nn.Linear(4, 2)))
    x = torch.randn(2, 3)
    assert layers.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(layers(x, LABELS), plain(x))
    assert torch.equal(layers(x), plain(x))


def test_labels_and_style_reach_layers_at_any_depth():
    layers = Layers(nn.Identity(), Layers(Shift(), nn.Sequential(nn.Identity())), Shift())
    style = torch.tensor([[1.0, 3.0], [0.0, 0.0]])  # of means 2 and 0, added twice
    assert layers(torch.zeros(2, 1), LABELS, style).tolist() == [[4.0], [4.0]]
    assert layers(torch.zeros(2, 1), LABELS).tolist() == [[0.0], [4.0]]


def test_a_part_of_layers_is_layers_too():
    part = Layers(Shift(), nn.Identity(), Shift())[1:]
    assert part(torch.zeros(2, 1), LABELS).tolist() == [[0.0], [2.0]]


def test_a_conditional_layer_in_a_plain_sequential_is_refused_with_what_to_use():
    with pytest.raises(PluginError, match="Shift needs labels") as caught:
        nn.Sequential(nn.Identity(), Shift())(torch.zeros(2, 1))
    assert "gancore.Layers" in caught.value.fix


@every_row(("style", "found"), [(None, "passes none"), (torch.zeros(2, 2), r"passes \[N, 2\]")])
def test_a_layer_that_needs_a_style_is_refused_where_the_network_passes_another(style, found):
    with pytest.raises(CompositionError, match=rf"needs a style \[N, 3\], but the network {found}"):
        Layers(Shift(3))(torch.zeros(2, 1), LABELS, style)


# ── the networks of the plugins ───────────────────────────────────────────────────────────────────


class Watched(ConditionalLayer):
    """Note the labels and the style of each call."""

    def __init__(self, style, calls):
        super().__init__(style)
        self.calls = calls

    def forward(self, maps, labels, style):
        assert len(maps) == len(labels)
        self.calls.append((labels.tolist(), style))
        return maps


@component(source="a test")
class WatchedNorm:
    """Make norms that note their calls."""

    @hookimpl
    def make_norm(self, style):
        return Watched(style, CALLS)


CALLS = []
POINTS = some_data((2,), (3,))
PLAYERS = [
    ("generator", (DCGAN(width=4),), None),
    ("critic", (DCGANCritic(width=4),), None),
    ("generator", (MLP(hidden=(4, 4)),), POINTS),
    ("critic", (MLPCritic(hidden=(4, 4)),), POINTS),
    ("generator", (ColorPicker(width=4, project=1),), None),
    ("generator", (Progressive(width=4), ProgressiveCritic(width=4)), None),
    ("critic", (ProgressiveCritic(width=4),), None),
    # the kit's own
    ("generator", (), None),
    ("critic", (), None),
]


@every_row(("role", "networks", "data"), PLAYERS)
def test_every_network_passes_labels_to_its_norms_and_a_generator_its_latent(role, networks, data):
    training = train(*networks, WatchedNorm(), data=data)
    gan = training.context.gan
    shape = training.context.plan.shape
    labels = torch.arange(4)[:, None] % 3
    z = torch.randn(4, 3)
    CALLS.clear()
    with torch.no_grad():
        if role == "generator":
            gan.generator.network(z, labels)
        else:
            gan.critic.network(torch.zeros(4, *shape), labels)
    assert CALLS
    for given, style in CALLS:
        assert given == labels.tolist()
        assert style is None if role == "critic" else torch.equal(style, z)


def test_labels_and_latents_of_a_reference_batch_reach_the_norms_with_their_rows():
    norm = Component("watched", "norm", WatchedNorm())
    training = train(DCGAN(width=4), norm, VirtualBatch(reference=5))
    CALLS.clear()
    batch = some_batch(training)
    assert batch.fake.images.shape[0] == 8
    assert {(len(labels), len(style)) for labels, style in CALLS} == {(13, 13)}


@component(source="a test")
class Plain:
    """A third party's critic, whose norm is in a plain Sequential."""

    @hookimpl
    def make_critic(self, plan):
        class Body(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Flatten(), plan.norm(768, "critic"))

            def forward(self, images, labels):
                return self.layers(images)

        return Body()


def test_a_network_that_builds_its_block_plainly_trains_with_plain_norms_and_names_the_remedy():
    train(Plain()).train_step()
    with pytest.raises(PluginError, match="Watched needs labels") as caught:
        train(Plain(), WatchedNorm())
    assert "gancore.Layers" in caught.value.fix

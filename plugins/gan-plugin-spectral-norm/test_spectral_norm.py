"""Spectral norm, equalised learning rates and orthogonal rows."""

import pytest
import torch
from support.rules import check_rules_table
from support.tables import every_row
from torch import nn

from gan_plugin_spectral_norm.equalised_lr import EqualisedLR
from gan_plugin_spectral_norm.layers import as_matrix
from gan_plugin_spectral_norm.orthogonal import Orthogonal
from gan_plugin_spectral_norm.spectral_norm import SpectralNorm
from gancore import component, hookimpl
from gancore.testing import (
    StandInLayers,
    check_component,
    check_composes_with,
    some_batch,
    train,
)

torch.set_num_threads(1)


@every_row(
    ("cls", "options"),
    [(SpectralNorm, {"generator": True}), (EqualisedLR, {}), (Orthogonal, {"players": "both"})],
)
def test_a_component_conforms(cls, options):
    check_component(cls, **options)


def test_spectral_norm_composes_with_layers_that_draw():
    check_composes_with(SpectralNorm, [StandInLayers])


def weights(net):
    return [
        (layer, as_matrix(layer))
        for layer in net.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]


def test_the_largest_singular_value_of_each_layer_is_one_after_fifty_passes():
    @component(source="a test")
    class Slow:
        @hookimpl
        def learning_rate(self, rate):
            return 0.0 * rate

    training = train(SpectralNorm(generator=True), Slow())
    for _ in range(50):
        training.train_step()
    for player in (training.context.gan.generator, training.context.gan.critic):
        found = weights(player.network)
        assert found
        for layer, matrix in found:
            largest = torch.linalg.matrix_norm(matrix, 2).item()
            assert largest == pytest.approx(1, abs=1e-3), layer


def test_a_transposed_convolution_is_a_matrix_of_its_outputs():
    net = nn.Sequential(nn.ConvTranspose2d(3, 5, 4), nn.Linear(4, 2), nn.LayerNorm(3))
    SpectralNorm().normalize(net)
    assert as_matrix(net[0]).shape == (5, 3 * 16)
    for _ in range(50):
        net[0](torch.zeros(1, 3, 2, 2))
    assert torch.linalg.matrix_norm(as_matrix(net[0]), 2).item() == pytest.approx(1, abs=1e-3)
    assert "parametrizations" not in dict(net[2].named_modules())


def vectors(training):
    state = training.context.gan.critic.state_dict()
    return {name: each.clone() for name, each in state.items() if name.endswith(("_u", "_v"))}


def test_only_passes_of_the_loss_move_the_vectors_of_the_power_iteration():
    @component(source="a test")
    class Curious:
        """Penalise and look, with passes of its own."""

        @hookimpl
        def critic_terms(self, batch):
            score = batch.critic(batch.real.view, batch.real.view_labels).score
            return {"zero": 0 * score.sum()}

    plain = train(SpectralNorm())
    watched = train(SpectralNorm(), Curious())
    before = vectors(plain)
    for training in (plain, watched):
        training.train_step()
    after = vectors(plain)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(each, after[name]) for name, each in vectors(watched).items())


def test_the_generator_is_left_alone_by_default():
    assert not any(
        "original" in name for name in train(SpectralNorm()).context.gan.generator.state_dict()
    )


def test_equalised_weights_have_unit_variance_stored_and_he_s_variance_in_use():
    net = nn.Sequential(nn.Linear(200, 300), nn.Conv2d(20, 40, 5))
    torch.manual_seed(0)
    EqualisedLR().equalise(net)
    for layer in net:
        fan_in = layer.weight[0].numel()
        stored = layer.parametrizations.weight.original
        assert stored.std().item() == pytest.approx(1, rel=0.02)
        torch.testing.assert_close(layer.weight, stored * (2 / fan_in) ** 0.5)
        assert not layer.bias.any()


def orthogonal_cost(matrix, **options):
    net = nn.Linear(*matrix.T.shape)
    with torch.no_grad():
        net.weight.copy_(matrix)
    training = train(Orthogonal(weight=1.0, players="critic", **options))
    training.context.gan.critic.network.body = net
    training.context.gan.critic.network.score = nn.Identity()
    return (
        Orthogonal(weight=1.0, players="critic", **options)
        .term(training.context.gan.critic)["rows"]
        .item()
    )


def test_orthogonal_rows_of_any_length_cost_nothing():
    rows = torch.tensor([[3.0, 4.0, 0.0], [-4.0, 3.0, 0.0]])
    assert orthogonal_cost(rows) == 0
    # ‖5² - 1‖² for each row
    assert orthogonal_cost(rows, diagonal=True) == 2 * 24**2


def test_parallel_rows_cost_the_squares_of_their_products():
    assert orthogonal_cost(torch.tensor([[1.0, 2.0], [1.0, 2.0]])) == 2 * 5**2


def test_orthogonal_rows_of_the_generator_alone_by_default():
    training = train(Orthogonal())
    assert any(
        "orthogonal" in name
        for name in some_batch(training, "generator").terms("generator_terms", {})
    )
    assert not any("orthogonal" in name for name in some_batch(training).terms("critic_terms", {}))


def test_rules_of_weights():
    plain = {"critic-norm": "none"}
    check_rules_table(
        [
            ({"reg": ["spectral-norm"], **plain}, None),
            (
                {"reg": ["spectral-norm"], "critic-norm": "batch"},
                "note: 'spectral-norm' and 'batch'",
            ),
            (
                {"reg": ["spectral-norm", "weight-clipping"], **plain},
                "refused: 'spectral-norm' and",
            ),
            ({"reg": ["equalised-lr", "weight-clipping"], **plain}, "refused: 'equalised-lr' and"),
            ({"reg": ["spectral-norm", "equalised-lr"], **plain}, "refused: 'spectral-norm' and"),
            ({"reg": ["equalised-lr"]}, None),
            ({"reg": ["orthogonal-rows"]}, None),
            ({"reg": ["orthogonal-rows", "spectral-norm"], **plain}, None),
            (
                {
                    "reg": ["orthogonal-rows", "spectral-norm"],
                    "orthogonal-rows.players": "both",
                    **plain,
                },
                "note: 'orthogonal-rows' and 'spectral-norm'",
            ),
        ]
    )

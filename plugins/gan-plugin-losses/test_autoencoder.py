"""Facts about critics that reconstruct their input."""

import pytest
import torch
from support.tables import every_row

from gan_plugin_losses.autoencoder import BEGAN, DECODED, EBGAN, pulling_away
from gancore import CriticOutput
from gancore.testing import (
    StandInLayers,
    check_component,
    check_composes_with,
    some_batch,
    some_data,
    terms,
    train,
)

torch.set_num_threads(1)

POINTS = some_data((2,), ())


def batch_with_errors(loss, real, fake, role="critic"):
    """A batch of points `[8, 2]` whose reconstructions are off by so much in both coordinates."""
    batch = some_batch(train(loss, data=POINTS), role)
    for side, error in ((batch.real, real), (batch.fake, fake)):
        decoded = side.view + torch.tensor(error)
        side.set_output(CriticOutput(torch.zeros(8), torch.ones(8, 2), {DECODED: decoded}))
    return batch


def values(loss, hook, batch):
    return {name: term.item() for name, term in terms(loss, hook, batch).items()}


@every_row("cls", [EBGAN, BEGAN])
def test_they_conform(cls):
    check_component(cls, width=4)


@pytest.mark.slow
def test_they_compose_with_layers_that_have_buffers():
    for cls in (EBGAN, BEGAN):
        check_composes_with(cls, [StandInLayers], width=4)


def test_the_energy_is_the_norm_of_the_error_and_fakes_beyond_the_margin_are_left_alone():
    loss = EBGAN(margin=5.0, pulling=0.0)
    root = 2**0.5
    found = values(loss, "critic_terms", batch_with_errors(loss, 1.0, -3.0))
    assert found == pytest.approx({"real": root, "fake": 5 - 3 * root})
    assert values(loss, "critic_terms", batch_with_errors(loss, 1.0, 9.0))["fake"] == 0
    found = values(loss, "generator_terms", batch_with_errors(loss, 1.0, 2.0, "generator"))
    assert found == pytest.approx({"fake": 2 * root})


def test_features_that_all_point_one_way_are_pulled_apart_with_the_weight_of_the_term():
    loss = EBGAN(pulling=0.25)
    found = values(loss, "generator_terms", batch_with_errors(loss, 1.0, 2.0, "generator"))
    assert found["pulling"] == pytest.approx(0.25)


@every_row(
    "features, wanted",
    [
        (torch.eye(4), 0.0),
        (torch.ones(3, 5), 1.0),
        (torch.tensor([[1.0, 0.0], [-7.0, 0.0]]), 1.0),
        (torch.tensor([[1.0, 0.0], [1.0, 1.0]]), 0.5),
    ],
)
def test_pulling_away_is_the_mean_squared_cosine(features, wanted):
    assert pulling_away(features).item() == pytest.approx(wanted, abs=1e-6)


def test_the_gradient_of_pulling_away_is_that_of_finite_differences():
    torch.manual_seed(0)

    def sixty_four_bits(features):
        unit = torch.nn.functional.normalize(features)
        squares = (unit @ unit.T).square()
        return (squares.sum() - squares.diagonal().sum()) / 12

    features = torch.randn(4, 3)
    torch.testing.assert_close(pulling_away(features), sixty_four_bits(features))
    assert torch.autograd.gradcheck(sixty_four_bits, (features.double().requires_grad_(),))


def test_the_balance_starts_at_zero_and_follows_the_errors():
    loss = BEGAN(gamma=0.5, rate=0.1)
    first = values(loss, "critic_terms", batch_with_errors(loss, 4.0, 1.0))
    assert first == pytest.approx({"real": 4.0, "fake": 0.0})
    assert loss.k.item() == pytest.approx(0.1 * (0.5 * 4 - 1))
    second = values(loss, "critic_terms", batch_with_errors(loss, 4.0, 1.0))
    assert second == pytest.approx({"real": 4.0, "fake": -0.1})


def test_the_balance_stays_between_zero_and_one():
    loss = BEGAN(rate=100.0)
    values(loss, "critic_terms", batch_with_errors(loss, 4.0, 1.0))
    assert loss.k.item() == 1
    values(loss, "critic_terms", batch_with_errors(loss, 0.0, 1.0))
    assert loss.k.item() == 0


def test_where_the_errors_have_the_wanted_ratio_the_balance_rests_and_convergence_is_the_error():
    loss = BEGAN(gamma=0.5)
    batch, figures = batch_with_errors(loss, 2.0, 1.0), {}
    batch.terms("critic_terms", figures)
    assert loss.k.item() == 0
    assert figures["began/convergence"].item() == pytest.approx(2.0)

"""EBGAN and BEGAN, whose critics reconstruct their input."""

import pytest
import torch
from support.rules import check_rules_table
from support.tables import every_row

from gan_plugin_losses.autoencoder import BEGAN, EBGAN, pulling_away
from gancore.testing import check_component, scores_batch, some_batch, some_data, terms, train

torch.set_num_threads(1)


@every_row(
    ("cls", "options", "data"),
    [
        (EBGAN, {}, None),
        (BEGAN, {}, some_data((2,), ())),
    ],
)
def test_a_component_conforms(cls, options, data):
    check_component(cls, data=data, **options)


def energies(real, fake):
    return scores_batch(-torch.tensor(real), -torch.tensor(fake))


def test_the_critic_of_ebgan_lets_fakes_be_beyond_the_margin():
    found = terms(EBGAN(margin=1.0), "critic_terms", energies([0.5, 1.5], [0.25, 3.0]))
    assert {name: term.item() for name, term in found.items()} == {"real": 1, "fake": 0.375}


def test_pulling_away_is_one_for_equal_and_zero_for_orthogonal_features():
    assert pulling_away(torch.ones(4, 3)).item() == pytest.approx(1)
    assert pulling_away(3 * torch.eye(4)).item() == 0


def test_began_follows_its_equations():
    began = BEGAN(gamma=0.5, rate=0.1)
    for _ in range(2):
        found = terms(began, "critic_terms", energies([2.0, 4.0], [0.5, 0.5]))
    # k is 0 in the first update, then 0.1·(0.5·3 - 0.5)
    assert found["fake"].item() == pytest.approx(-0.1 * 0.5)
    assert began.k.item() == pytest.approx(0.2)
    for _ in range(20):
        terms(began, "critic_terms", energies([2.0, 4.0], [0.5, 0.5]))
    assert began.k.item() == 1


@every_row(("cls", "power"), [(EBGAN, 2), (BEGAN, 1)])
def test_the_score_is_minus_the_mean_error_of_reconstruction(cls, power):
    batch = some_batch(train(cls()))
    error = (batch.real.view - batch.real.heads["reconstruction"]).abs().pow(power)
    torch.testing.assert_close(batch.real.score, -error.flatten(1).mean(1))


def test_rules():
    check_rules_table(
        [
            ({"loss": "ebgan"}, None),
            ({"loss": "began", "reg": ["sigmoid-score"]}, "refused: 'began' and 'sigmoid-score'"),
        ]
    )

"""Top-k, LeCam, EBGAN and BEGAN."""

import pytest
import torch
from support.rules import check_rules_table
from support.tables import every_row

from gan_plugin_losses.autoencoder import BEGAN, EBGAN, pulling_away
from gan_plugin_losses.lecam import LeCam
from gan_plugin_losses.top_k import TopK
from gancore.testing import check_component, scores_batch, some_batch, some_data, terms, train

torch.set_num_threads(1)


@every_row(
    ("cls", "options", "data"),
    [
        (TopK, {"decay": 0.5, "every": 1}, None),
        (LeCam, {"start": 1}, None),
        (EBGAN, {}, None),
        (BEGAN, {}, some_data((2,), ())),
    ],
)
def test_a_component_conforms(cls, options, data):
    check_component(cls, data=data, **options)


def weights(scores, step=0, **options):
    batch = scores_batch(torch.zeros(len(scores)), torch.tensor(scores), role="generator")
    batch.update_id = type(batch.update_id)(step, "generator")
    found = TopK(**options).sample_weights(torch.ones(len(scores)), batch)
    return None if found is None else found.tolist()


def test_the_best_samples_have_all_the_weight():
    scores = [0.5, 3.0, -1.0, 2.0]
    assert weights(scores) is None  # at step 0 all are kept
    assert weights(scores, step=10**6) == [0, 2, 0, 2]
    three = weights(scores, step=500, decay=0.5625)  # the share √0.5625
    assert three == pytest.approx([4 / 3, 4 / 3, 0, 4 / 3])
    assert weights([1.0] * 4, step=10**6) == [1] * 4


def lecam_term(real, fake, **options):
    batch = scores_batch(torch.tensor(real), torch.tensor(fake))
    return terms(LeCam(start=0, **options), "critic_terms", batch)["distance"].item()


def test_lecam_is_its_closed_form_at_the_first_update():
    # means 2 and -1: max(0, 1 + 1)², max(0, 3 + 1)² and max(0, 2 + 3)², max(0, 2 - 1)²
    real, fake = [1.0, 3.0], [-3.0, 1.0]
    assert lecam_term(real, fake, weight=0.5) == pytest.approx(0.5 * ((4 + 16) / 2 + (25 + 1) / 2))
    # reals below fakes cost nothing in the program, and as much in the paper
    assert lecam_term([-2.0, -2.0], [2.0, 2.0]) == 0
    assert lecam_term([-2.0, -2.0], [2.0, 2.0], form="paper", weight=1.0) == 32


def test_lecam_begins_after_its_start_with_running_means():
    lecam = LeCam(start=1, decay=0.75)
    found = []
    for level in (0.0, 4.0):
        batch = scores_batch(torch.full((2,), level), torch.full((2,), -level))
        found.append(lecam.critic_terms(batch))
    assert found[0] is None
    assert lecam.means.tolist() == [1, -1]


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
            ({"reg": ["top-k"], "loss": "bce"}, None),
            ({"reg": ["top-k"], "loss": "wgan-gp"}, "refused: 'top-k' cannot be used here"),
            ({"reg": ["lecam"], "loss": "bce"}, None),
            ({"reg": ["lecam"], "loss": "relativistic"}, "refused: 'lecam' cannot be used here"),
            ({"loss": "ebgan"}, None),
            ({"loss": "began", "reg": ["sigmoid-score"]}, "refused: 'began' and 'sigmoid-score'"),
        ]
    )

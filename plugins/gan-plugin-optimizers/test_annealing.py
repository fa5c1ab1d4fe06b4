"""Facts about schedules of terms and of beta2."""

import pytest
import torch
from support.tables import every_row

from gan_plugin_optimizers.adam import Adam
from gan_plugin_optimizers.annealing import AnnealBeta2, AnnealTerm, between
from gancore import CompositionError
from gancore.testing import check_component, train

torch.set_num_threads(1)


def test_annealing_conforms():
    # beside the stand-in loss, whose term `fake` both players have
    check_component(AnnealTerm, term="stand-in-loss/fake", start=1, end=5, last=0.5)
    check_component(AnnealBeta2, beside=[Adam()], start=1, end=5)


@every_row("shape, quarter", [("linear", 4 - 0.75), ("cosine", 1 + 3 * (1 + 0.5**0.5) / 2)])
def test_the_value_at_the_ends_in_the_middle_and_at_a_quarter(shape, quarter):
    found = [between(4.0, 1.0, share, shape) for share in (0.0, 0.25, 0.5, 1.0)]
    assert found == pytest.approx([4.0, quarter, 2.5, 1.0])


def test_only_the_named_terms_are_multiplied():
    terms = {"r1/penalty": torch.tensor(2.0), "r1x/penalty": torch.tensor(3.0)}
    for name in ("r1", "r1/penalty"):
        found = AnnealTerm(term=name, first=0.5).adapt_terms(terms, step=0)
        assert {name: term.item() for name, term in found.items()} == {
            "r1/penalty": 1.0,
            "r1x/penalty": 3.0,
        }


def test_a_factor_of_one_changes_no_bit():
    one, other = train(AnnealTerm(term="stand-in-loss", last=1.0, end=2)), train()
    for _ in range(3):
        one.train_step()
        other.train_step()
    weights = other.context.gan.critic.parameters
    assert all(map(torch.equal, one.context.gan.critic.parameters, weights))


def test_a_term_that_never_comes_is_an_error_that_lists_those_there_are():
    anneal = AnnealTerm(term="r1/penalti")
    for _ in range(100):
        anneal.adapt_terms({"bce/real": torch.ones(())}, step=0)
        anneal.after_step()
    with pytest.raises(CompositionError, match="no term is called 'r1/penalti'") as caught:
        anneal.adapt_terms({"bce/real": torch.ones(())}, step=0)
    assert "bce/real" in caught.value.fix


def test_beta2_moves_from_that_of_the_optimizer_to_the_last():
    training = train(AnnealBeta2(last=0.5, end=2, shape="linear"), Adam(beta1=0.1, beta2=0.9))
    betas = []
    for _ in range(4):
        training.train_step()
        gan = training.context.gan
        betas += [each.optimizer.param_groups[0]["betas"] for each in (gan.generator, gan.critic)]
    assert [beta1 for beta1, _ in betas] == [0.1] * 8
    wanted = [0.9, 0.9, 0.7, 0.7, 0.5, 0.5, 0.5, 0.5]
    assert [beta2 for _, beta2 in betas] == pytest.approx(wanted)


def test_an_optimizer_without_betas_is_refused():
    with pytest.raises(CompositionError, match="no beta2 that could be annealed"):
        train(AnnealBeta2())

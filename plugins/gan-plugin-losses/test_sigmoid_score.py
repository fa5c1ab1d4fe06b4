"""Facts about a sigmoid on the critic's score."""

import pytest
import torch
from torch import nn

from gan_plugin_losses.sigmoid_score import SigmoidScore
from gancore import Head, component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, some_batch, train

torch.set_num_threads(1)


@component(source="a test", provides=["loss.wasserstein"])
class Wasserstein:
    @hookimpl
    def critic_terms(self, batch):
        return {"critic": batch.fake.score.mean() - batch.real.score.mean()}

    @hookimpl
    def generator_terms(self, batch):
        return {"generator": -batch.fake.score.mean()}


class Zero(nn.Module):
    """The score head 0·f + score."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, features, labels=None):
        return (
            0 * features[:, :1] + self.score if labels is None else 0 * features[:, 0] + self.score
        )


@component(source="a test")
class Constant:
    """A score of 2, to which a head adds 3, and a head of another name."""

    @hookimpl
    def make_score(self):
        return Zero(2.0)

    @hookimpl
    def extend_critic(self):
        return [Head("score", Zero(3.0)), Head("other", Zero(7.0))]


def batches(*components, scale=1.0):
    """The same update with and without the sigmoid, the critic's score layer made so many times
    steeper.
    """
    found = []
    for more in ((SigmoidScore(),), ()):
        training = train(*components, *more)
        with torch.no_grad():
            training.context.gan.critic.network.score.weight.mul_(scale)
        found.append(some_batch(training))
    return found


def test_sigmoid_score_conforms():
    check_component(SigmoidScore)


def test_the_score_is_the_sigmoid_of_the_score():
    with_it, without = batches()
    for side in ("real", "fake"):
        assert torch.equal(getattr(with_it, side).score, getattr(without, side).score.sigmoid())


def test_features_and_weights_are_as_without_it():
    with_it, without = batches()
    assert torch.equal(with_it.real.features, without.real.features)
    weights = without.gan.critic.state_dict()
    assert list(with_it.gan.critic.state_dict()) == list(weights)
    assert all(
        torch.equal(each, weights[name]) for name, each in with_it.gan.critic.state_dict().items()
    )


def test_heads_that_add_to_the_score_lie_inside_and_other_heads_outside():
    batch = some_batch(train(SigmoidScore(), Constant()))
    out = batch.real.out
    assert torch.equal(out.score, torch.full((8,), 5.0).sigmoid())
    assert torch.equal(out.heads["other"], torch.full((8,), 7.0))


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_the_wasserstein_critics_loss_stays_within_one(scale):
    with_it, _ = batches(Wasserstein(), scale=scale)
    ((_, loss),) = with_it.terms("critic_terms", {}).items()
    assert abs(loss.item()) <= 1


def test_without_the_fault_the_wasserstein_critics_loss_knows_no_such_bound():
    _, without = batches(Wasserstein(), scale=1e3)
    assert abs(next(iter(without.terms("critic_terms", {}).values())).item()) > 1


def test_every_gradient_is_multiplied_by_p_times_one_less_p():
    with_it, without = batches(scale=10.0)
    input_gradients = []
    for batch in (with_it, without):
        view = batch.real.images.clone().requires_grad_()
        input_gradients.append(
            torch.autograd.grad(batch.critic(view, batch.real.labels).score.sum(), view)[0].flatten(
                1
            )
        )
    p = with_it.real.score
    torch.testing.assert_close(input_gradients[0], (p * (1 - p))[:, None] * input_gradients[1])
    assert (input_gradients[0].norm(dim=1) <= input_gradients[1].norm(dim=1) / 4 + 1e-6).all()


def test_the_gradient_vanishes_at_large_scores():
    score = torch.tensor([-10.0, 0.0, 10.0], requires_grad=True)
    (slope,) = torch.autograd.grad(score.sigmoid().sum(), score)
    assert slope.tolist() == pytest.approx([4.5e-5, 0.25, 4.5e-5], rel=0.01)


def test_it_is_noted_beside_losses_and_penalties_that_want_raw_scores():
    rules = {(rule.tag, rule.present, rule.hard) for rule in info_of(SigmoidScore).rules}
    tags = ("loss.wasserstein", "loss.absolute-scores", "critic.gradient-penalty")
    assert rules == {(tag, True, False) for tag in tags}
    assert info_of(SigmoidScore).provides == {"critic.bounded-score"}

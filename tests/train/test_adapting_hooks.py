"""Hooks that change what the core made: terms, gradients, optimisers, labels of a view, scores."""

import pytest
import torch
from torch import nn

from gancore import (
    Frozen,
    Head,
    LabelSet,
    PluginError,
    StoredData,
    Values,
    cached,
    component,
    hookimpl,
    option,
)
from gancore.run.checkpoint.state import describe_label_set, stored_label_set
from gancore.testing import StandInLoss, some_batch, some_data, train
from gancore.train.views import expect_labels

SOURCE = "a test"
ROLES = ("generator", "critic")


def trained_weights(*components, steps=3, **options):
    training = train(*components, **options)
    for _ in range(steps):
        training.train_step()
    gan = training.context.gan
    return [weight.detach() for role in ROLES for weight in gan.player(role).parameters]


def assert_same_weights(one, other):
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


@component(source=SOURCE)
class PlainDescent:
    """Gradient descent without momentum."""

    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.SGD([weight for _, weight in params], lr=0.01)


# ── terms ────────────────────────────────────────────────────────────────────────────────────────


@component(source=SOURCE)
class TwiceTheTerms:
    """Double every term of both players."""

    @hookimpl
    def adapt_terms(self, terms):
        return {name: 2 * term for name, term in terms.items()}


@component(source=SOURCE, provides=["loss.targets"])
class TwiceTheLoss(StandInLoss):
    """The stand-in's loss, doubled."""

    @hookimpl
    def critic_terms(self, batch):
        return {name: 2 * term for name, term in super().critic_terms(batch).items()}

    @hookimpl
    def generator_terms(self, batch):
        return {name: 2 * term for name, term in super().generator_terms(batch).items()}


def test_adapt_terms_gives_terms_that_are_minimised_and_logged_in_place_of_the_old_ones():
    adapted = train(TwiceTheTerms(), PlainDescent(), StandInLoss()).train_step()
    plain = train(PlainDescent(), StandInLoss()).train_step()
    first = "critic/stand-in-loss/real"
    torch.testing.assert_close(adapted[first], 2 * plain[first])
    assert_same_weights(
        trained_weights(TwiceTheTerms(), PlainDescent(), StandInLoss()),
        trained_weights(PlainDescent(), TwiceTheLoss()),
    )


def test_a_term_without_a_gradient_is_refused_after_it_was_adapted():
    @component(source=SOURCE)
    class Cut:
        """Detach every term."""

        @hookimpl
        def adapt_terms(self, terms):
            return {name: term.detach() for name, term in terms.items()}

    with pytest.raises(PluginError, match="carries no gradient"):
        train(Cut()).train_step()


# ── gradients and optimisers ─────────────────────────────────────────────────────────────────────


@component(source=SOURCE)
class Clip:
    """Clip the norm of each player's gradient to 1e-3, and keep the norms that came of it."""

    norms: list = cached(factory=list)

    @hookimpl
    def adapt_gradients(self, gan, role):
        weights = gan.player(role).parameters
        torch.nn.utils.clip_grad_norm_(weights, 1e-3)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        self.norms.append(torch.nn.utils.get_total_norm(gradients).item())


def test_adapt_gradients_changes_them_before_the_step():
    clip = Clip()
    training = train(clip, PlainDescent(), StandInLoss())
    before = [weight.detach().clone() for weight in training.context.gan.critic.parameters]
    training.train_step()
    assert clip.norms == pytest.approx([1e-3, 1e-3], rel=1e-3)  # once for each player
    moved = [
        weight - old
        for weight, old in zip(training.context.gan.critic.parameters, before, strict=True)
    ]
    # plain descent moves by the rate times the gradient
    assert torch.nn.utils.get_total_norm(moved).item() == pytest.approx(1e-5, rel=1e-2)


def test_adapt_gradients_is_called_for_skipped_updates_too():
    @component(source=SOURCE)
    class Never:
        """Skip every update."""

        @hookimpl
        def skip_update(self):
            return True

    clip = Clip()
    train(clip, Never()).train_step()
    assert len(clip.norms) == 2


def test_adapt_optimizer_returns_the_one_that_steps():
    @component(source=SOURCE)
    class TenTimesTheRate:
        """Raise the learning rate of the optimiser that was chosen."""

        @hookimpl
        def adapt_optimizer(self, optimizer, params, role):
            assert [weight for _, weight in params] == optimizer.param_groups[0]["params"]
            for group in optimizer.param_groups:
                group["lr"] *= 10
            return optimizer

    @component(source=SOURCE)
    class Fast:
        """Gradient descent at ten times the rate."""

        @hookimpl
        def make_optimizer(self, params):
            return torch.optim.SGD([weight for _, weight in params], lr=0.1)

    assert_same_weights(
        trained_weights(TenTimesTheRate(), PlainDescent(), StandInLoss()),
        trained_weights(Fast(), StandInLoss()),
    )


# ── labels of a view, and values of labels ───────────────────────────────────────────────────────


class ReadsTime(nn.Module):
    """A head that reads the last column of the labels."""

    def forward(self, features, labels):
        return labels[:, -1].float() + 0 * features[:, 0]


@component(source=SOURCE)
class Time:
    """Append the time 7 to the labels of every view."""

    announced: int = option(1, help="label sets that it announces")

    @hookimpl
    def view_labels(self):
        return [LabelSet(f"t{k}", tuple("01234567")) for k in range(self.announced)]

    @hookimpl
    def critic_view(self, images, labels):
        return images, torch.cat([labels, labels.new_full((len(labels), 1), 7)], 1)

    @hookimpl
    def extend_critic(self, plan):
        assert plan.label_set("t0") == LabelSet("t0", tuple("01234567"))
        return Head("time", ReadsTime())

    @hookimpl
    def make_generator(self, plan):
        assert all(each.name != "t0" for each in plan.label_sets)

    @hookimpl
    def critic_terms(self, batch):
        return {"t": batch.fake.heads["time"].mean() + 0 * batch.fake.score.mean()}


@pytest.mark.parametrize("classes", [(3,), ()])
def test_view_labels_announces_columns_that_the_critic_is_built_for(classes):
    training = train(Time(), data=some_data(classes=classes))
    expect_labels(training.context)
    batch = some_batch(training)
    assert batch.fake.labels.shape == (8, len(classes))
    assert batch.fake.view_labels.shape == (8, len(classes) + 1)
    assert batch.fake.heads["time"].tolist() == [7.0] * 8
    assert training.context.plan.for_critic().column("t0") == len(classes)
    training.train_step()


def test_a_view_that_appends_other_columns_than_announced_is_refused():
    training = train(Time(announced=2))
    with pytest.raises(PluginError, match=r"labels \[8, 2\] where \[8, 3\] are wanted"):
        expect_labels(training.context)


def test_the_values_of_a_label_set_are_looked_up_by_class():
    values = torch.tensor([[0.5, 1.0], [2.0, 3.0]])
    table = Values(LabelSet("angle", ("a", "b"), values))
    assert table(torch.tensor([1, 0, 1])).tolist() == [[2.0, 3.0], [0.5, 1.0], [2.0, 3.0]]
    assert table.state_dict().keys() == {"table"}
    with pytest.raises(ValueError, match="no values"):
        Values(LabelSet("type", ("a", "b")))
    with pytest.raises(ValueError, match=r"float32 \[2, D\] is wanted"):
        LabelSet("angle", ("a", "b"), torch.zeros(3, 1))


def test_a_checkpoint_describes_the_values_by_their_width():
    labels = LabelSet("angle", ("a", "b"), torch.ones(2, 5))
    described = describe_label_set(labels)
    assert described == {"name": "angle", "classes": ["a", "b"], "width": 5}
    stored = stored_label_set(described)
    assert stored.values.shape == (2, 5)
    plain = LabelSet("type", ("a", "b"))
    assert stored_label_set(describe_label_set(plain)) == plain


def test_other_values_are_other_data():
    samples = torch.zeros(4, 2)
    labels = torch.zeros(4, 1, dtype=torch.int64)
    one, other = (
        StoredData(samples, labels, (LabelSet("angle", ("a",), torch.full((1, 1), value)),))
        for value in (0.0, 1.0)
    )
    assert one.fingerprint() != other.fingerprint()


# ── several scores, frozen and further networks ──────────────────────────────────────────────────


class Constant(nn.Module):
    def __init__(self, *values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, features, labels):
        return self.values.expand(len(features), -1)


@component(source=SOURCE)
class TwoMoreScores:
    """Two constant scores beside the critic's own, 3 and 5."""

    @hookimpl
    def extend_critic(self):
        return Head("score/constant", Constant(3.0, 5.0))


@component(source=SOURCE)
class TopHalf:
    """Give the first half of the fakes the weight 2, the rest 0."""

    @hookimpl
    def sample_weights(self, weights):
        assert weights.dim() == 1
        return torch.cat([weights[:4] * 2, weights[4:] * 0])


def test_a_critic_may_give_several_scores_a_sample_and_a_loss_averages_over_them():
    training = train(TwoMoreScores(), TopHalf(), StandInLoss())
    fake = some_batch(training, "generator").fake
    assert fake.score.shape == fake.targets.shape == (8, 3)
    assert fake.heads["score/constant"].shape == (8, 2)
    errors = (fake.score - 1).square()
    torch.testing.assert_close(fake.mean(errors), errors[:4].mean())
    figures = training.train_step()
    expected = ((1 - 3.0) ** 2 + (1 - 5.0) ** 2) / 3
    own = (some_batch(train(StandInLoss())).real.score - 1).square().mean() / 3
    torch.testing.assert_close(figures["critic/stand-in-loss/real"], expected + own)


def test_a_score_head_may_have_several_outputs():
    @component(source=SOURCE)
    class Patches:
        """Four scores a sample."""

        @hookimpl
        def make_score(self, features):
            return nn.Linear(features, 4)

    training = train(Patches(), Time(), StandInLoss())
    assert some_batch(training).real.score.shape == (8, 4)
    training.train_step()


def test_a_frozen_network_is_used_but_neither_trained_nor_stored():
    inner = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    frozen = Frozen(inner)
    outer = nn.Sequential(frozen, nn.Linear(3, 1)).train()
    assert [name for name, _ in outer.named_parameters()] == ["1.weight", "1.bias"]
    assert outer.state_dict().keys() == {"1.weight", "1.bias"}
    assert not inner.training
    inputs = torch.ones(2, 3, requires_grad=True)
    torch.testing.assert_close(frozen(inputs), inner[0](inputs))
    outer(inputs).sum().backward()
    assert inputs.grad.abs().sum() > 0
    assert inner[0].weight.grad is None
    outer.double()
    assert inner[0].weight.dtype == torch.float64


@component(source=SOURCE)
class SecondCritic:
    """A second network of the critic's player, with dropout and running statistics."""

    @hookimpl
    def extend_player(self, role, plan):
        if role == "generator":
            return None
        return {"second": nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(768))}


def test_a_batch_runs_a_further_network_with_numbers_of_its_own():
    training = train(SecondCritic())
    second = training.context.gan.critic.extras["second"]
    before = {name: tensor.clone() for name, tensor in second.state_dict().items()}
    one = some_batch(training)
    other = some_batch(training)
    numbers = torch.get_rng_state()
    first, again = (one.network(second, one.fake.images) for _ in range(2))
    repeated = other.network(second, one.fake.images)
    assert torch.equal(first, repeated)
    assert not torch.equal(first, again)  # the second call of an update draws other numbers
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(torch.equal(before[name], each) for name, each in second.state_dict().items())
    one.network(second, one.fake.images, update_buffers=True)
    assert second.state_dict()["2.num_batches_tracked"] == 1

"""Facts about the critic's accuracy and output and about the flow of gradients."""

import pytest
import torch
from torch import nn

from gan_plugin_metrics.critic import CriticAccuracy, CriticOutput, GradientFlow, rank_accuracy
from gancore import Update, component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, copy_state, scores_batch, some_batch, train

torch.set_num_threads(1)

ALL = [CriticAccuracy, CriticOutput, GradientFlow]


@component(source="a test")
class FakesAlone:
    """Show the critic no reals."""

    @hookimpl
    def adapt_schedule(self, updates):
        return [Update("critic", reals=False), Update("generator", reals=False)]


@component(source="a test")
class OnlyThe:
    """Update one player alone, from a certain step on."""

    role: str
    start: int = 0

    @hookimpl
    def adapt_schedule(self, updates, step):
        return [Update(self.role)] if step >= self.start else updates


@component(source="a test")
class Skip:
    """Leave both players as they are."""

    @hookimpl
    def skip_update(self):
        return True


@component(source="a test")
class Moody:
    """Give the critic layers whose result depends on who is asked before, and how often."""

    @hookimpl
    def adapt_critic(self, net):
        net.body.layers.insert(1, nn.Dropout(0.5))
        net.body.layers.insert(1, nn.BatchNorm2d(6))


def logged(metric, batch, hook="critic_terms"):
    figures = {}
    assert getattr(metric, hook)(batch, figures.__setitem__) is None
    return {name: value.item() for name, value in figures.items()}


def accuracy(real, fake, **options):
    return logged(CriticAccuracy(**options), scores_batch(torch.tensor(real), torch.tensor(fake)))


def assert_trained_alike(one, other):
    for _ in range(4):
        one.train_step(), other.train_step()
    for role in ("generator", "critic"):
        found, wanted = (each.context.gan.player(role).state_dict() for each in (one, other))
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert torch.equal(found[name], wanted[name]), name


@pytest.mark.parametrize("cls", ALL)
def test_component_conforms(cls):
    check_component(cls)


@pytest.mark.parametrize("cls", ALL)
def test_looking_changes_no_bit_of_training(cls):
    assert_trained_alike(train(cls(), Moody()), train(Moody()))


@pytest.mark.parametrize("cls", [CriticAccuracy, CriticOutput])
def test_a_loss_without_absolute_scores_is_noted_not_refused(cls):
    (rule,) = info_of(cls).rules
    assert (rule.tag, rule.present, rule.hard) == ("loss.absolute-scores", False, False)


# ── critic-accuracy ───────────────────────────────────────────────────────────────────────────────


def test_accuracy_is_the_share_on_the_right_side_of_the_threshold():
    found = accuracy([3.0, 1.0, -1.0, 2.0], [-1.0, -2.0, 1.0, 0.5])
    assert (found["real"], found["fake"]) == (0.75, 0.5)


def test_a_critic_of_one_score_is_right_half_the_time_since_ties_count_half():
    assert accuracy([0.0, 0.0], [0.0, 0.0]) == {"real": 0.5, "fake": 0.5, "rank": 0.5}


def test_threshold_one_half_on_logits_understates_the_accuracy_on_reals():
    # a logit of 0.2 is a probability of 0.55
    real, fake = (
        [0.2, 0.4, 0.9, -1.0],
        [-0.1, 0.1, 0.3, 0.7],
    )
    zero, half = accuracy(real, fake), accuracy(real, fake, threshold=0.5)
    assert (zero["real"], half["real"]) == (0.75, 0.25)
    assert (zero["fake"], half["fake"]) == (0.25, 0.75)  # and flatters it on fakes
    assert zero["rank"] == half["rank"]


def test_rank_is_the_share_of_pairs_in_which_the_real_scores_higher():
    assert accuracy([3.0, 1.0], [2.0, 0.0])["rank"] == 0.75


def test_rank_agrees_with_counting_all_pairs():
    rng = torch.Generator().manual_seed(0)
    real, fake = (
        torch.randint(0, 9, (50,), generator=rng) + 1.0,
        torch.randint(0, 9, (31,), generator=rng) * 1.0,
    )
    pairs = (real[:, None] > fake).float() + (real[:, None] == fake).float() / 2
    torch.testing.assert_close(rank_accuracy(real, fake), pairs.mean())


def test_rank_alone_ignores_a_number_added_to_every_score():
    real, fake = [3.0, -1.0, 2.0], [0.0, -2.0, 1.0]
    found, moved = accuracy(real, fake), accuracy([s + 8 for s in real], [s + 8 for s in fake])
    assert found["rank"] == moved["rank"]
    assert (found["fake"], moved["fake"]) == (0.5, 0.0)


def test_figures_carry_the_names_of_player_and_component():
    row = train(CriticAccuracy(), CriticOutput()).train_step()
    for figure in ("real", "fake", "rank"):
        assert f"critic/critic-accuracy/{figure}" in row
    assert {
        "critic/critic-output/real",
        "critic/critic-output/fake",
        "generator/critic-output/fake",
    } < row.keys()


@pytest.mark.parametrize("cls", [CriticAccuracy, CriticOutput])
def test_an_update_without_reals_logs_fakes_alone(cls):
    row = train(cls(), FakesAlone()).train_step()
    name = "critic-accuracy" if cls is CriticAccuracy else "critic-output"
    assert [key for key in row if key.startswith(f"critic/{name}/")] == [f"critic/{name}/fake"]


# ── critic-output ─────────────────────────────────────────────────────────────────────────────────


def test_output_is_the_mean_logistic_of_the_scores():
    # probabilities 0.9 and 0.75
    nine, three = (
        torch.tensor(9.0).log().item(),
        torch.tensor(3.0).log().item(),
    )
    found = logged(
        CriticOutput(), scores_batch(torch.tensor([nine, -nine]), torch.tensor([three, nine]))
    )
    assert found == pytest.approx({"real": 0.5, "fake": 0.825})


def test_output_is_one_half_where_every_score_is_zero():
    assert logged(CriticOutput(), scores_batch(torch.zeros(4), torch.zeros(4))) == {
        "real": 0.5,
        "fake": 0.5,
    }


def test_generators_update_logs_the_output_on_its_own_fakes():
    batch = scores_batch(torch.zeros(2), torch.tensor([0.0, 0.0]), role="generator")
    assert logged(CriticOutput(), batch, "generator_terms") == {"fake": 0.5}


@pytest.mark.parametrize("cls", [CriticAccuracy, CriticOutput])
def test_figures_carry_no_graph(cls):
    figures = {}
    cls().critic_terms(some_batch(train()), figures.__setitem__)
    assert not any(value.requires_grad for value in figures.values())


# ── gradient-flow ─────────────────────────────────────────────────────────────────────────────────


def flow_of(*components, steps=1):
    flow = GradientFlow()
    training = train(flow, *components)
    for _ in range(steps):
        training.train_step()
    return flow.measure(), training.context.gan


@component(source="a test")
class PlainDescent:
    """Move each weight by -0.05 times its gradient."""

    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.SGD([weight for _, weight in params], lr=0.05)


def test_flow_is_the_mean_and_maximum_of_the_gradient_of_each_weight():
    flow = GradientFlow()
    training = train(flow, PlainDescent())
    plain = train(PlainDescent())
    before = {
        name: weight.detach().clone()
        for name, weight in plain.context.gan.critic.named_parameters()
    }
    training.train_step(), plain.train_step()
    found = flow.measure()
    for name, weight in plain.context.gan.critic.named_parameters():
        gradient = (before[name] - weight.detach()).abs() / 0.05
        if weight.dim() > 1:
            assert found[f"critic/{name}/mean"] == pytest.approx(gradient.mean().item(), abs=1e-5)
            assert found[f"critic/{name}/max"] == pytest.approx(gradient.max().item(), abs=1e-5)


def test_flow_has_two_figures_a_weight_none_a_bias_and_one_a_player():
    found, gan = flow_of()
    weights = [
        f"{role}/{name}/{what}"
        for role in ("generator", "critic")
        for name, weight in gan.player(role).named_parameters()
        for what in ("mean", "max")
        if weight.dim() > 1
    ]
    assert set(found) == {*weights, "generator-max", "critic-max"}
    assert not any("bias" in name for name in found)


def test_worst_of_a_player_is_its_largest_maximum():
    found, _ = flow_of()
    for role in ("generator", "critic"):
        assert found[f"{role}-max"] == max(
            value
            for name, value in found.items()
            if name.startswith(f"{role}/") and name.endswith("/max")
        )


@pytest.mark.parametrize(("updated", "other"), [("critic", "generator"), ("generator", "critic")])
def test_a_player_that_was_not_updated_has_no_figure(updated, other):
    found, _ = flow_of(OnlyThe(role=updated))
    assert f"{updated}-max" in found
    assert not any(name.startswith(other) for name in found)


def test_figures_are_those_since_the_row_before():
    flow = GradientFlow()
    training = train(flow, OnlyThe(role="critic", start=1))
    training.train_step()
    assert "generator-max" in flow.measure()
    training.train_step()
    assert "generator-max" not in flow.measure()


def test_a_weight_that_no_gradient_reaches_has_zero():
    flow = GradientFlow()
    training = train(flow)
    flow.before_step(training.context.gan)
    assert flow.skip_update("critic") is None  # gradients are still None
    assert set(flow.measure().values()) == {0.0}


def test_gradients_of_a_skipped_update_are_seen():
    found, _ = flow_of(Skip())
    assert min(found["generator-max"], found["critic-max"]) > 0


def test_figures_of_an_open_row_survive_a_resume():
    flow, again = GradientFlow(), GradientFlow()
    train(flow).train_step()
    copy_state(flow, again)
    assert again.measure() == flow.measure() != {}

import pytest
import torch
from support.tables import every_row

from gan_plugin_losses.wasserstein import WGAN, WGANGP, Wasserstein
from gancore import component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, critic_batch, scores_batch, some_batch, terms, train

CLASSES = (Wasserstein, WGAN, WGANGP)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def estimate(critic, reals, fakes):
    """The logged figure `wasserstein` for a given critic `[N, d] → [N]`."""
    figures = {}
    weight = torch.ones((), requires_grad=True)
    batch = critic_batch(lambda x: weight * critic(x), reals, fakes, Wasserstein())
    batch.terms("critic_terms", figures)
    return figures["wasserstein/wasserstein"].item()


@component(source="a test")
class FirstHalf:
    @hookimpl
    def sample_weights(self, weights):
        return torch.arange(len(weights)).lt(len(weights) // 2) * 2.0


@pytest.mark.parametrize("cls", CLASSES)
def test_wasserstein_conforms(cls):
    check_component(cls)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_critic_minimises_the_mean_of_fakes_less_the_mean_of_reals(cls):
    batch = scores_batch(torch.tensor([1.0, 4.0]), torch.tensor([-2.0, 5.0]))
    assert sum(terms(cls(), "critic_terms", batch).values()) == 1.5 - 2.5


@pytest.mark.parametrize("cls", CLASSES)
def test_the_generator_raises_the_score_of_each_fake_alike(cls):
    fake = random(4).requires_grad_()
    batch = scores_batch(random(4), fake, role="generator")
    sum(terms(cls(), "generator_terms", batch).values()).backward()
    assert fake.grad.tolist() == [-0.25] * 4


def test_the_critic_term_ignores_a_constant_added_to_every_score():
    real, fake = random(8), random(8, seed=1)
    before = sum(terms(Wasserstein(), "critic_terms", scores_batch(real, fake)).values())
    after = sum(terms(Wasserstein(), "critic_terms", scores_batch(real + 3, fake + 3)).values())
    assert abs(before - after) < 1e-6  # float32 sums of 8 numbers near 3 move their last digits


def test_the_estimate_of_two_point_masses_is_their_distance():
    apart = torch.tensor([3.0, 4.0])  # distance 5
    reals, fakes = torch.ones(6, 2) + apart, torch.ones(6, 2)
    assert estimate(lambda x: x @ (apart / 5), reals, fakes) == pytest.approx(5, abs=1e-5)


@every_row("critic", [torch.abs, torch.sin, torch.tanh, torch.relu, torch.neg])
def test_a_critic_of_slope_at_most_one_never_estimates_more_than_the_distance(critic):
    reals, fakes = 2 * random(32, 1), 1 + random(32, 1, seed=1)
    distance = (
        (reals.sort(0).values - fakes.sort(0).values).abs().mean()
    )  # W1 of two samples on a line
    assert estimate(lambda x: critic(x[:, 0]), reals, fakes) <= distance + 1e-6


def test_the_estimate_is_attained_by_the_critic_that_follows_a_shift():
    fakes = random(32, 1)
    assert estimate(lambda x: x[:, 0], fakes + 2, fakes) == pytest.approx(2, abs=1e-5)


def test_an_update_without_reals_lowers_the_fakes_alone():
    batch = scores_batch(random(2), torch.tensor([-2.0, 5.0]))
    batch.sides.pop("real")
    assert terms(Wasserstein(), "critic_terms", batch) == {"fake": 1.5}


def test_the_generator_heeds_the_weights_of_its_samples():
    batch = some_batch(train(Wasserstein(), FirstHalf()), "generator")
    (term,) = batch.terms("generator_terms", {}).values()
    assert torch.allclose(term, -batch.fake.score[:4].mean())  # weights 2, 2, 2, 2, 0, 0, 0, 0


@pytest.mark.parametrize("cls", CLASSES)
def test_scores_have_no_targets_that_could_be_shaped(cls):
    assert "loss.targets" not in info_of(cls).provides


@pytest.mark.parametrize("cls", CLASSES)
def test_a_critic_without_a_bound_on_its_slope_is_noted(cls):
    assert [(rule.tag, rule.present, rule.hard) for rule in info_of(cls).rules] == [
        ("lipschitz", False, False)
    ]


@pytest.mark.parametrize(
    ("cls", "bound"), [(WGAN, "weight-clipping"), (WGANGP, "gradient-penalty")]
)
def test_the_presets_choose_their_bound_and_five_critic_updates(cls, bound):
    defaults = info_of(cls).defaults
    assert defaults["reg"] == [bound]
    assert defaults["schedule"] == "n-critic"
    assert defaults["n-critic"] == {"critic": 5, "reuse-fakes": False}

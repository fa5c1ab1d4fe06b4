"""Facts about unrolled critics and accumulated gradients."""

import pytest
import torch
from support.descent import Descent
from support.tables import every_row
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_plugin_updates.accumulate import Accumulate
from gan_plugin_updates.logan import Logan, latent_steps
from gan_plugin_updates.unrolled import OBJECTIVES, Unrolled
from gancore import CompositionError, component, compose, hookimpl
from gancore.testing import (
    StandInLayers,
    StandInLoss,
    check_component,
    check_composes_with,
    some_batch,
    some_data,
    terms,
    train,
)

torch.set_num_threads(1)


@component(source="a test")
class SpectralNorm:
    """Divide the weights of the critic's body by their largest singular values."""

    @hookimpl
    def adapt_critic(self, net):
        for module in net.body.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
        return net


@every_row(
    "cls, options", [(Unrolled, {"k": 2}), (Unrolled, {"k": 0}), (Accumulate, {}), (Logan, {})]
)
def test_they_conform(cls, options):
    # an accumulated generator moves in the second step at the earliest
    check_component(cls, **options)


@pytest.mark.slow
def test_they_compose_with_layers_that_have_buffers_and_draw():
    check_composes_with(Unrolled, [StandInLayers], k=1)
    check_composes_with(Accumulate, [StandInLayers])


# ── unrolled ──────────────────────────────────────────────────────────────────────────────────────


def linear_batch(unrolled, role="generator"):
    """A batch of one-dimensional points, whose critic is s = w·x."""
    training = train(unrolled, StandInLoss(), data=some_data((1,), ()))
    critic = training.context.gan.critic.network
    critic.body = nn.Identity()
    critic.body.forward = lambda view, labels: view
    critic.score = nn.Linear(1, 1, bias=False)
    return some_batch(training, role), critic.score.weight


def test_one_unrolled_step_has_its_closed_form_and_is_differentiated_through():
    unrolled = Unrolled(k=1, lr=0.3)
    batch, weight = linear_batch(unrolled)
    terms(unrolled, "generator_terms", batch)
    fake, real = batch.fake.images, batch.real.images
    # d softplus(u)/du = sigmoid(u)
    slope = (torch.sigmoid(weight * fake) * fake).mean()
    slope = slope - (torch.sigmoid(-weight * real) * real).mean()
    for side, images in ((batch.fake, fake), (batch.real, real)):
        torch.testing.assert_close(side.score, ((weight - 0.3 * slope) * images).squeeze())
    wanted = torch.autograd.grad(((weight - 0.3 * slope) * fake).sum(), [fake], retain_graph=True)
    found = torch.autograd.grad(batch.fake.score.sum(), [fake])
    torch.testing.assert_close(found, wanted)


def test_without_the_second_order_term_the_critic_ahead_is_a_constant():
    unrolled = Unrolled(k=2, lr=0.3, through=False)
    batch, _ = linear_batch(unrolled)
    terms(unrolled, "generator_terms", batch)
    fake = batch.fake.images
    (found,) = torch.autograd.grad(batch.fake.score.sum(), [fake], retain_graph=True)
    # s = w_k·x, so the gradient is w_k for each sample
    ahead = batch.fake.score / fake.squeeze()
    torch.testing.assert_close(found.squeeze(), ahead.detach())


@every_row("objective", list(OBJECTIVES))
def test_unrolled_gradients_are_those_of_finite_differences(objective):
    real = torch.linspace(-1, 1, 4, dtype=torch.float64).unsqueeze(1)
    net = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).double()

    def ahead(fake):
        weights = dict(net.named_parameters())
        for _ in range(2):
            scores = [torch.func.functional_call(net, weights, each) for each in (real, fake)]
            loss = OBJECTIVES[objective](*scores)
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {
                name: weight - 0.2 * slope
                for (name, weight), slope in zip(weights.items(), slopes, strict=True)
            }
        return torch.func.functional_call(net, weights, fake).sum()

    fake = torch.linspace(-0.5, 2, 4, dtype=torch.float64).unsqueeze(1).requires_grad_()
    torch.autograd.gradcheck(ahead, (fake,))


def test_no_step_changes_no_bit():
    one, other = train(Unrolled(k=0), StandInLayers()), train(StandInLayers())
    for _ in range(3):
        one.train_step()
        other.train_step()
    for role in ("generator", "critic"):
        state = other.context.gan.player(role).state_dict()
        for name, tensor in one.context.gan.player(role).state_dict().items():
            assert torch.equal(tensor, state[name])


def test_unrolling_moves_neither_weights_nor_statistics_nor_power_iterations():
    training = train(Unrolled(k=3), StandInLayers(), SpectralNorm())
    training.train_step()
    batch = some_batch(training, "generator")
    critic = training.context.gan.critic
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    batch.terms("generator_terms", {})
    after = critic.state_dict()
    assert any("_u" in name for name in before)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_every_loss_is_given_the_scores_of_the_critic_ahead():
    training = train(Unrolled(k=1), StandInLoss())
    batch = some_batch(training, "generator")
    plain = batch.critic(batch.fake.view, batch.fake.view_labels).score
    figures = batch.terms("generator_terms", {})
    assert not torch.allclose(batch.fake.score, plain)
    wanted = (batch.fake.score - 1).square().mean()
    torch.testing.assert_close(figures["stand-in-loss/fake"], wanted)


def test_the_objectives_at_scores_of_zero():
    zeros = torch.zeros(4)
    found = {name: objective(zeros, zeros).item() for name, objective in OBJECTIVES.items()}
    log = torch.log(torch.tensor(2.0)).item()
    assert found == {"bce": pytest.approx(2 * log), "hinge": 2.0, "wasserstein": 0.0}


# ── logan ─────────────────────────────────────────────────────────────────────────────────────────


def test_latents_move_along_the_gradient_by_its_damped_inverse():
    gradients = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    found = latent_steps(gradients, 0.9, 0.1)
    torch.testing.assert_close(found, torch.tensor([[2.7, 3.6], [0.0, 0.0]]) / 25.1)


class Linear(nn.Module):
    """Samples that are the latents times 2, for a critic that sums them."""

    def forward(self, z, labels):
        return 2 * z


def moved(role="generator", **options):
    """The latents `[N, 3]` before and after, for s(G(z)) = w·2z, and that w."""
    logan = Logan(**options)
    training = train(logan, data=some_data((3,), ()))
    training.context.gan.generator.network = Linear()
    critic = training.context.gan.critic.network
    critic.body = nn.Identity()
    critic.body.forward = lambda view, labels: view
    critic.score = nn.Linear(3, 1, bias=False)
    batch = some_batch(training, role)
    before = batch.fake.z
    terms(logan, f"{role}_terms", batch)
    return before, batch.fake, critic.score.weight


def test_moved_latents_have_their_closed_form_in_the_updates_of_both_players():
    for role in ("critic", "generator"):
        before, fake, weight = moved(role, share=1.0)
        step = 0.9 * 2 * weight / ((2 * weight).square().sum() + 0.1)
        torch.testing.assert_close(fake.z, (before + step).detach())
        torch.testing.assert_close(fake.images, 2 * (before + step))


def test_gradients_pass_through_the_step_unless_they_are_stopped():
    for through in (True, False):
        _, fake, weight = moved("critic", share=1.0, through=through)
        assert fake.images.requires_grad == through
    _, fake, weight = moved("critic", share=1.0)
    found = torch.autograd.grad(fake.images.sum(), weight)
    step = 0.9 * 2 * weight / ((2 * weight).square().sum() + 0.1)
    wanted = torch.autograd.grad(2 * len(fake.z) * step.sum(), weight)
    torch.testing.assert_close(found, wanted)


def test_columns_beyond_the_share_stay_and_none_leaves_the_bound():
    before, fake, _ = moved(share=0.34)
    assert torch.equal(fake.z[:, 1:], before[:, 1:])
    assert fake.z[:, 0].ne(before[:, 0]).all()
    assert moved(bound=0.25)[1].z.abs().max() <= 0.25


def test_a_rate_of_zero_changes_no_bit():
    one, other = train(Logan(rate=0.0), StandInLayers()), train(StandInLayers())
    for _ in range(3):
        one.train_step()
        other.train_step()
    pairs = [each.context.gan.generator.parameters for each in (one, other)]
    assert all(map(torch.equal, *pairs))


# ── accumulate ────────────────────────────────────────────────────────────────────────────────────


@component(source="a test", provides=["loss.test"])
class Squares:
    """Scores of reals as near 1 as can be; the generator learns nothing."""

    @hookimpl
    def critic_terms(self, batch):
        return {"real": (batch.real.score - 1).square().mean()}

    @hookimpl
    def generator_terms(self, batch):
        return {"still": 0 * batch.fake.score.mean()}


def test_accumulated_gradients_are_those_of_a_larger_batch():
    training = train(Accumulate(every=4), Descent(), Squares(), data=some_data(classes=()), batch=4)
    critic = training.context.gan.critic
    before = [weight.detach().clone() for weight in critic.parameters]
    shown = []
    for _ in range(4):
        assert all(map(torch.equal, critic.parameters, before))
        shown.append(training.reals(training.batches)()[0])
        training.train_step()
    moved = [weight.detach() - old for weight, old in zip(critic.parameters, before, strict=True)]
    with torch.no_grad():
        for weight, old in zip(critic.parameters, before, strict=True):
            weight.copy_(old)
    images = torch.cat(shown)
    labels = torch.empty(len(images), 0, dtype=torch.int64)
    loss = (critic.network(images, labels).score - 1).square().mean()
    for step, gradient in zip(moved, torch.autograd.grad(loss, critic.parameters), strict=True):
        torch.testing.assert_close(step, -0.5 * gradient, rtol=1e-4, atol=1e-6)


def test_a_group_of_one_changes_no_bit():
    one, other = train(Accumulate(every=1)), train()
    for _ in range(3):
        one.train_step()
        other.train_step()
    assert all(
        map(torch.equal, one.context.gan.critic.parameters, other.context.gan.critic.parameters)
    )


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────

BY_NEIGHBOURS = "depends on the other samples too"
OTHER_LOSS = "along another loss than its own"


@every_row(
    "choices, options, noted",
    [
        ({"reg": "unrolled"}, {}, ""),
        ({"reg": "unrolled", "loss": "wasserstein"}, {}, OTHER_LOSS),
        ({"reg": "unrolled"}, {"unrolled.objective": "wasserstein"}, OTHER_LOSS),
        (
            {"reg": "unrolled", "loss": "wasserstein"},
            {"unrolled.objective": "wasserstein"},
            "",
        ),
        ({"reg": "accumulate", "norm": "none"}, {}, ""),
        ({"reg": "logan", "norm": "none"}, {}, ""),
        ({"reg": "logan", "critic_norm": "batch"}, {}, BY_NEIGHBOURS),
        ({"reg": ["logan", "minibatch-discrimination"]}, {}, BY_NEIGHBOURS),
        ({"reg": "accumulate", "gen_norm": "batch"}, {}, "those of the small batches"),
        ({"reg": "accumulate", "critic_norm": "batch"}, {}, "those of the small batches"),
    ],
)
def test_what_is_noted_before_a_run(choices, options, noted):
    ours = ("'unrolled'", "'accumulate'", "'logan'")
    notes = compose(options=options, **choices).notes
    notes = [note for note in notes if any(name in note for name in ours)]
    assert any(noted in note for note in notes) if noted else not notes


def test_accumulation_is_refused_beside_extrapolation():
    for choices in (
        {"reg": ["extra-adam", "accumulate"]},
        {"reg": ["extragradient", "accumulate"]},
    ):
        with pytest.raises(CompositionError, match="most halves end without a step"):
            compose(**choices)

"""Facts about the auto-encoding GAN."""

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn.functional import one_hot, softplus

from gan_plugin_autoencoding import Autoencoding, Encoder, LatentCritic, draw_latents
from gancore import CriticOutput, Head, StoredData, Update, component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, some_batch, some_data, terms, train
from gancore.train.batch import UpdateId, make_batch
from gancore.train.fakes import draw_fakes, exchange_fakes
from gancore.train.step import update_critic, update_generator

torch.set_num_threads(1)

OFF = {"image": 0, "latent": 0, "image_critic": 0, "latent_critic": 0}
EVERY = ["image", "latent", "image_critic", "latent_critic"]
SMALL = {"width": 4}


def sp(x):
    return softplus(torch.as_tensor(x)).mean()


# ── company ───────────────────────────────────────────────────────────────────────────────────────


class Labelled(nn.Module):
    def __init__(self, net, classes):
        super().__init__()
        self.net, self.classes = net, classes

    def forward(self, z, labels):
        return self.net(torch.cat([z, one_hot(labels[:, 0], self.classes).to(z)], 1), labels)


class Names(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.linear = nn.Linear(features, 3)

    def forward(self, features, labels):
        return self.linear(features)


@component(source="a test")
class Classes:
    """A generator that is given labels, fakes with labels of their own, and a critic that names the
    class.
    """

    @hookimpl
    def draw_labels(self, n, plan, rng):
        return torch.randint(3, (n, len(plan.label_sets)), generator=rng)

    @hookimpl
    def generator_inputs(self):
        return 3

    @hookimpl
    def adapt_generator(self, net):
        return Labelled(net, 3)

    @hookimpl
    def extend_critic(self, features):
        return Head("class", Names(features))

    @hookimpl
    def critic_terms(self, batch):
        return {
            "class": nn.functional.cross_entropy(batch.real.heads["class"], batch.real.labels[:, 0])
        }


@component(source="a test")
class Pairs:
    """Show the critic two images at a time."""

    @hookimpl
    def critic_shape(self, shape):
        return 2 * shape[0], *shape[1:]

    @hookimpl
    def critic_view(self, images):
        return images.unflatten(0, (-1, 2)).flatten(1, 2)


@component(source="a test")
class Halved:
    """A view of half the contrast, and targets of reals below one."""

    @hookimpl
    def critic_view(self, images):
        return images / 2

    @hookimpl
    def critic_targets(self, targets):
        return 0.75 * targets


@component(source="a test")
class Backwards:
    """Show the critic the fakes in another order than their latents."""

    @hookimpl
    def critic_fakes(self, images, labels):
        return images.flip(0), labels.flip(0)


@component(source="a test")
class WithoutReals:
    @hookimpl
    def schedule(self):
        return [Update("critic"), Update("critic", reals=False), Update("generator", reals=False)]


# the encoder's batch norm is torch's own, with which a run of several processes is refused
ONE_PROCESS = {"without": ["processes"]}


@pytest.mark.parametrize("options", [{}, {"image_critic": 0}, {"latent_critic": 0}, OFF])
def test_autoencoding_conforms(options):
    check_component(Autoencoding, **SMALL, **options, **ONE_PROCESS)


@pytest.mark.parametrize("beside", [Classes, Pairs, Halved, Backwards, WithoutReals])
def test_autoencoding_conforms_in_company(beside):
    check_component(Autoencoding, beside=[beside()], **SMALL, **ONE_PROCESS)


def test_data_without_labels_will_do():
    check_component(Autoencoding, data=some_data(classes=()), **SMALL, **ONE_PROCESS)


def test_points_are_refused():
    assert any(
        rule.tag == "data.images" and rule.hard and not rule.present
        for rule in info_of(Autoencoding).rules
    )


def test_a_loss_without_a_zero_is_noted_while_the_image_critic_has_a_word():
    (rule,) = (each for each in info_of(Autoencoding).rules if each.tag == "loss.absolute-scores")
    assert (rule.present, rule.hard) == (False, False)
    assert rule.when(Autoencoding())
    assert not rule.when(Autoencoding(image_critic=0))


# ── the networks ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 28, 19), (3, 4, 4)])
def test_encoder_gives_one_latent_an_image(shape):
    assert Encoder(shape, 5, 4)(torch.randn(2, *shape)).shape == (2, 5)


def test_encoder_of_96_pixels_ends_at_6_and_8_times_its_width():
    assert Encoder((3, 96, 96), 16, 4).project.in_features == 8 * 4 * 6 * 6


def test_latent_critic_gives_one_score_a_latent_whatever_its_neighbours():
    critic, z = LatentCritic(5), torch.randn(4, 5)
    assert critic(z).shape == (4,)
    torch.testing.assert_close(critic(z)[:1], critic(z[:1]))


def test_extras_carry_their_names_in_the_checkpoint():
    gan = train(Autoencoding(**SMALL)).context.gan
    assert {
        "extras.encoder.project.weight",
        "extras.encoder.maps.0.weight",
    } <= gan.generator.state_dict().keys()
    assert {"extras.latent-critic.score.weight"} <= gan.critic.state_dict().keys()
    assert gan.generator.extras.keys() == {"encoder"}
    assert gan.critic.extras.keys() == {"latent-critic"}


def test_the_encoder_joins_the_generators_optimiser_and_the_latent_critic_the_critics():
    gan = train(Autoencoding(**SMALL)).context.gan
    for player in (gan.generator, gan.critic):
        optimised = {
            id(weight) for group in player.optimizer.param_groups for weight in group["params"]
        }
        assert all(id(weight) in optimised for weight in player.extras.parameters())


# ── closed forms ──────────────────────────────────────────────────────────────────────────────────

A, B, D, L, X = (
    0.8,
    0.5,
    1.5,
    -0.7,
    0.6,
)  # E, G, D and L are one factor each, and every real has the value X


class Scaled(nn.Module):
    """One number times what `of` makes of the input; labels are ignored."""

    def __init__(self, factor, of):
        super().__init__()
        self.factor, self.of = nn.Parameter(torch.tensor(factor)), of

    def forward(self, given, labels=None):
        return self.factor * self.of(given)


class Judge(Scaled):
    def forward(self, given, labels):
        return CriticOutput(super().forward(given), given.flatten(1), {})


def simple_batch(role, *beside, **options):
    """A batch of stand-ins: E(x) = A·mean x in each column, G(z) = B·z₀ in each pixel, D(x) =
    D·mean x, L(z) = L·z₀.
    """
    it = Autoencoding(**SMALL, **options)
    training = train(it, *beside, data=some_data((1, 8, 8), ()), batch=8)
    gan = training.context.gan
    gan.generator.network = Scaled(B, lambda z: z[:, :1, None, None].expand(-1, 1, 8, 8))
    gan.critic.network = Judge(D, lambda view: view.mean((1, 2, 3)))
    gan.generator.extras["encoder"] = Scaled(
        A, lambda images: images.mean((1, 2, 3))[:, None].expand(-1, 3)
    )
    gan.critic.extras["latent-critic"] = Scaled(L, lambda z: z[:, 0])
    batch = some_batch(training, role)
    batch.real.set_samples(torch.full((8, 1, 8, 8), X))
    return it, batch


def found_terms(role, *beside, **options):
    """The component's terms, the figures logged, and the latents of the fakes."""
    _, batch = simple_batch(role, *beside, **options)
    found = batch.terms(f"{role}_terms", figures := {})
    mine = {
        name.removeprefix("autoencoding/"): term
        for name, term in found.items()
        if "autoencoding/" in name
    }
    return mine, figures, batch.fake.z


def test_generator_terms_are_the_stated_formulas():
    found, figures, z = found_terms("generator")
    image_error, latent_error = abs(X - A * B * X), (z - A * B * z[:, :1]).square().mean()
    wanted = {
        "image": 1.0 * image_error,
        "latent": 0.5 * latent_error,
        "image-critic": 0.005 * sp(-D * A * B * X) / 2,
        "latent-critic": 0.1 * (sp(-L * A * X) + sp(-L * A * B * z[:, 0])) / 2,
    }
    assert {name: term.item() for name, term in found.items()} == pytest.approx(
        {name: float(term) for name, term in wanted.items()}
    )
    assert figures["autoencoding/image-error"].item() == pytest.approx(image_error)
    assert figures["autoencoding/latent-error"].item() == pytest.approx(latent_error.item())


def test_critic_terms_are_the_stated_formulas():
    found, _, z = found_terms("critic")
    latents = (2 * sp(-L * z[:, 0]) + sp(L * A * X) + sp(L * A * B * z[:, 0])) / 4
    images = (sp(-D * X) + sp(D * A * B * X)) / 2
    assert found["latent-critic"].item() == pytest.approx(latents.item())
    assert found["image-critic"].item() == pytest.approx(images.item())
    assert len(found) == 2


def test_undecided_critics_cost_ln_2():
    it, batch = simple_batch("critic")
    with torch.no_grad():
        batch.gan.critic.network.factor.zero_()
        batch.gan.critic.extras["latent-critic"].factor.zero_()
    found = terms(it, "critic_terms", batch)
    assert [term.item() for term in found.values()] == pytest.approx([0.693147, 0.693147])


@every_row("option", EVERY)
def test_each_weight_is_a_factor_of_one_term_of_the_generator(option):
    name = option.replace("_", "-")
    one, three = (found_terms("generator", **{option: weight})[0] for weight in (1, 3))
    torch.testing.assert_close(three.pop(name), 3 * one.pop(name))
    torch.testing.assert_close(three, one)


def test_weights_are_no_factors_of_the_critics_terms():
    one, three = (
        found_terms("critic", image_critic=weight, latent_critic=weight)[0] for weight in (1, 3)
    )
    torch.testing.assert_close(three, one)


def test_a_perfect_pair_has_no_error():
    it, batch = simple_batch("generator")
    with torch.no_grad():
        batch.gan.generator.extras["encoder"].factor.fill_(1 / B)
    batch.fake.z = batch.fake.z[:, :1].expand(-1, 3)  # so that one number tells the whole latent
    found = terms(it, "generator_terms", batch)
    assert [found[name].item() for name in ("image", "latent")] == pytest.approx([0, 0], abs=1e-6)


def test_rebuilt_images_are_shown_in_the_view_of_the_reals_whose_targets_stay_shaped():
    found, _, _ = found_terms("critic", Halved())
    real = 0.75 * sp(-D * X / 2) + 0.25 * sp(D * X / 2)
    assert found["image-critic"].item() == pytest.approx(
        ((real + sp(D * A * B * X / 2)) / 2).item()
    )
    found, _, _ = found_terms("generator", Halved())
    assert found["image-critic"].item() == pytest.approx(
        (0.005 * sp(-D * A * B * X / 2) / 2).item()
    )


def source_objective(batch, gan):
    """The generators' and the critics' losses of aegan.py."""
    x, z, encoder, critic = (
        batch.real.images,
        batch.fake.z,
        gan.generator.extras["encoder"],
        gan.critic.network,
    )
    latent_critic = gan.critic.extras["latent-critic"]
    fakes, codes = gan.generator.network(z), encoder(x)
    images, latents = gan.generator.network(codes), encoder(fakes)
    score = [critic(each, None).score for each in (x, fakes, images)]
    word = [latent_critic(each) for each in (z, codes, latents)]
    generators = (
        (images - x).abs().mean()
        + 0.5 * (latents - z).square().mean()
        + 0.005 * (sp(-score[1]) + sp(-score[2])) / 2
        + 0.1 * (sp(-word[1]) + sp(-word[2])) / 2
    )
    critics = [
        (2 * sp(-real) + sp(fake) + sp(rebuilt)) / 4 for real, fake, rebuilt in (score, word)
    ]
    return generators, critics


def test_400_times_the_weights_beside_cross_entropy_are_400_times_the_sources_objective():
    it, batch = simple_batch("generator", image=400, latent=200, image_critic=2, latent_critic=40)
    total = sum(terms(it, "generator_terms", batch).values()) + sp(-batch.fake.score)
    wanted, _ = source_objective(batch, batch.gan)
    torch.testing.assert_close(total, 400 * wanted)
    players = [batch.gan.generator.network.factor, batch.gan.generator.extras["encoder"].factor]
    input_gradients = (
        torch.autograd.grad(total, players),
        torch.autograd.grad(400 * wanted, players),
    )
    torch.testing.assert_close(*input_gradients)


def test_beside_averaged_cross_entropy_the_image_critic_minimises_twice_the_sources_loss():
    it, batch = simple_batch("critic")
    found = terms(it, "critic_terms", batch)
    _, (images, latents) = source_objective(batch, batch.gan)
    beside = (sp(-batch.real.score) + sp(batch.fake.score)) / 2
    torch.testing.assert_close(found["image-critic"] + beside, 2 * images)
    torch.testing.assert_close(found["latent-critic"], latents)


# ── gradients reach the right player ──────────────────────────────────────────────────────────────


def weights_of(gan):
    parts = {
        "G": gan.generator.network,
        "E": gan.generator.extras,
        "D": gan.critic.network,
        "L": gan.critic.extras,
    }
    return {
        part: [weight.detach().clone() for weight in net.parameters()]
        for part, net in parts.items()
    }


@pytest.mark.parametrize(
    ("update", "role", "moved"),
    [(update_generator, "generator", "EG"), (update_critic, "critic", "DL")],
)
def test_an_update_moves_its_own_player_alone(update, role, moved):
    training = train(Autoencoding(**SMALL))
    gan = training.context.gan
    before = weights_of(gan)
    update(training.context, UpdateId(0, role), training.reals(0))
    after = weights_of(gan)
    changed = [part for part in before if not all(map(torch.equal, before[part], after[part]))]
    assert sorted(changed) == list(moved)
    assert all(
        weight.grad is None
        for player in (gan.generator, gan.critic)
        for weight in player.parameters
    )


def test_no_critic_term_has_a_graph_to_the_generator_or_the_encoder():
    training = train(Autoencoding(**SMALL))
    total = sum(
        terms(
            training.context.hooks.chosen[0].component, "critic_terms", some_batch(training)
        ).values()
    )
    input_gradients = torch.autograd.grad(
        total, training.context.gan.generator.parameters, allow_unused=True
    )
    assert all(slope is None for slope in input_gradients)


@every_row("option", EVERY)
def test_each_term_of_the_generator_reaches_generator_and_encoder(option):
    it, batch = simple_batch("generator", **{**OFF, option: 1})
    (term,) = terms(it, "generator_terms", batch).values()
    factors = [batch.gan.generator.extras["encoder"].factor, batch.gan.generator.network.factor]
    assert all(slope != 0 for slope in torch.autograd.grad(term, factors))


# ── labels, latents, off ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", ["generator", "critic"])
def test_images_are_rebuilt_with_the_labels_of_their_reals(role):
    it = Autoencoding(**SMALL)
    training = train(it, Classes(), data=some_data(classes=(3,)))
    batch, seen = some_batch(training, role), []
    assert not torch.equal(batch.fake.labels, batch.real.labels)
    training.context.gan.generator.network.register_forward_pre_hook(
        lambda _, given: seen.append(given)
    )
    terms(it, f"{role}_terms", batch)
    ((codes, labels),) = seen
    assert torch.equal(labels, batch.real.labels)
    assert codes.shape == batch.fake.z.shape


def test_the_critics_terms_do_not_pair_latents_with_fakes():
    one, other = (some_batch(train(Autoencoding(**SMALL))) for _ in range(2))
    other.fake.set_samples(other.fake.images.flip(0), other.fake.labels.flip(0))
    found = [terms(Autoencoding(**SMALL), "critic_terms", batch) for batch in (one, other)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("role", ["generator", "critic"])
def test_an_update_without_reals_is_left_alone(role):
    it, batch = simple_batch(role)
    batch.sides.pop("real")
    assert terms(it, f"{role}_terms", batch) == {}


@every_row("option", EVERY)
def test_a_weight_of_zero_takes_its_terms_away(option):
    name = option.replace("_", "-")
    for role, every in (("generator", set(EVERY)), ("critic", {"image_critic", "latent_critic"})):
        found, _, _ = found_terms(role, **{option: 0})
        assert found.keys() == {each.replace("_", "-") for each in every} - {name}


def test_without_weights_no_bit_of_training_changes():
    one, other = train(Autoencoding(**OFF)), train()
    for training in (one, other):
        for _ in range(4):
            training.train_step()
    for role in ("generator", "critic"):
        found, wanted = (
            one.context.gan.player(role).state_dict(),
            other.context.gan.player(role).state_dict(),
        )
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_networks_of_the_players_begin_as_without_it():
    one, other = train(Autoencoding(**SMALL)).context.gan, train().context.gan
    for role in ("generator", "critic"):
        found, wanted = (
            one.player(role).network.state_dict(),
            other.player(role).network.state_dict(),
        )
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def replaced_batch(training, step=0):
    """A critic's batch whose fakes are others than those just made, as a run makes it."""
    update_id, reals = UpdateId(step, "critic"), training.reals(0)
    made = draw_fakes(training.context, update_id, reals)
    return make_batch(
        training.context, update_id, reals, exchange_fakes(training.context, update_id, made)
    )


def test_replaced_fakes_leave_the_latent_critic_fresh_latents_of_the_prior():
    training = train(Autoencoding(**SMALL), Backwards())
    one, same, other = (replaced_batch(training, step) for step in (0, 0, 1))
    assert one.fake.z is None
    assert draw_latents(one).shape == (8, 3)
    assert torch.equal(draw_latents(one), draw_latents(same))
    assert not torch.equal(draw_latents(one), draw_latents(other))
    z = torch.cat(
        [draw_latents(replaced_batch(training, step)) for step in range(50)]
    )  # n = 1200 normal numbers
    assert abs(z.mean()) < 4 / 1200**0.5
    assert abs(z.square().mean() - 1) < 4 * (2 / 1200) ** 0.5


@component(source="a test")
class Adam:
    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.Adam(params, lr=0.01)


def test_after_training_images_are_rebuilt_better_than_by_any_one_image():
    levels = torch.arange(
        0, 256, 8, dtype=torch.uint8
    )  # 32 shades of grey, all of which 4 batches show
    data = StoredData(
        levels[:, None, None, None].expand(-1, 3, 16, 16), torch.empty(32, 0, dtype=torch.int64)
    )
    training = train(Autoencoding(**{**OFF, **SMALL, "image": 400}), Adam(), data=data)
    errors = [training.train_step()["generator/autoencoding/image-error"].item() for _ in range(60)]
    shades = levels / 127.5 - 1
    best = (
        (shades - shades.median()).abs().mean().item()
    )  # 0.5: what rebuilding all as the median costs
    assert sum(errors[-8:]) / 8 < best


def test_terms_are_float32_even_under_autocast():
    training = train(Autoencoding(**SMALL))
    for role in ("generator", "critic"):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = terms(Autoencoding(**SMALL), f"{role}_terms", some_batch(training, role))
        assert all(term.dtype is torch.float32 for term in found.values())

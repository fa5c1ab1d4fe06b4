"""One update of one player: what moves, what does not, what is never computed."""

import pytest
import torch
from support.example_components import Diary, Noise, Packing, Relativistic
from support.tables import every_row
from torch import nn

from gancore import CompositionError, PluginError, Update, component, hookimpl
from gancore.testing import StandIn, some_batch, train
from gancore.train.batch import UpdateId
from gancore.train.fakes import draw_fakes
from gancore.train.step import update_both, update_critic, update_generator, update_in_turn


def weights(player):
    return [weight.clone() for weight in player.parameters]


def same(one, other):
    return all(map(torch.equal, one, other))


def reals(training):
    return training.reals(0)


def test_critic_update_moves_the_critic_alone():
    training = train()
    gan = training.context.gan
    before = weights(gan.critic), weights(gan.generator)
    update_critic(training.context, UpdateId(0, "critic"), reals(training))
    assert not same(before[0], weights(gan.critic))
    assert same(before[1], weights(gan.generator))


def test_generator_update_moves_the_generator_alone():
    training = train()
    gan = training.context.gan
    before = weights(gan.critic), weights(gan.generator)
    update_generator(training.context, UpdateId(0, "generator"), reals(training))
    assert same(before[0], weights(gan.critic))
    assert not same(before[1], weights(gan.generator))


def test_a_step_on_the_processor_notes_no_call_stack_to_seed_devices_that_are_not_used(monkeypatch):
    training, noted = train(), []
    monkeypatch.setattr("traceback.format_stack", lambda *_: noted.append(1) or [])
    training.train_step()
    assert not noted


@pytest.mark.parametrize("role", ["critic", "generator"])
def test_an_update_leaves_no_gradient_behind(role):
    training = train()
    update = update_critic if role == "critic" else update_generator
    update(training.context, UpdateId(0, role), reals(training))
    assert all(
        weight.grad is None
        for player in (training.context.gan.critic, training.context.gan.generator)
        for weight in player.parameters
    )


def test_generator_update_computes_no_critic_weight_gradient():
    seen = []

    @component(source="a test")
    class Watches:
        """Look at the critic's gradients while the generator steps."""

        @hookimpl
        def skip_update(self, role):
            return None

        @hookimpl
        def learning_rate(self, rate, role):
            if role == "generator":
                seen.extend(weight.grad for weight in training.context.gan.critic.parameters)

    training = train(Watches())
    update_generator(training.context, UpdateId(0, "generator"), reals(training))
    assert seen == [None] * len(seen)
    assert seen


def test_fakes_of_a_critic_update_carry_no_graph():
    kept = []

    @component(source="a test", provides=["loss.test"])
    class Watches:
        """Keep the fakes."""

        @hookimpl
        def critic_terms(self, batch):
            kept.append(batch.fake.images)
            return {"score": batch.fake.score.mean()}

    training = train(Watches())
    update_critic(training.context, UpdateId(0, "critic"), reals(training))
    assert not kept[0].requires_grad


def test_a_generator_update_that_ignores_the_reals_never_gathers_them():
    training = train()

    def gather():
        raise AssertionError("the reals were gathered")

    update_generator(training.context, UpdateId(0, "generator"), gather)


def test_real_scores_in_the_generators_update_carry_no_graph():
    batch = some_batch(train(Relativistic()), "generator")
    assert not batch.real.score.requires_grad
    assert batch.fake.score.requires_grad


def test_a_side_is_judged_once_however_often_it_is_asked():
    training = train()
    calls = []
    training.context.gan.critic.network.register_forward_hook(lambda *_: calls.append(1))
    batch = some_batch(training)
    assert batch.real.score is batch.real.score
    assert batch.real.features is not None
    assert len(calls) == 1


def test_see_passes_other_images_through_the_very_draw_of_the_view():
    batch = some_batch(train(Noise()))
    assert torch.equal(batch.real.apply_view(batch.real.images), batch.real.view)


def test_a_penalty_may_differentiate_what_lies_before_the_view():
    batch = some_batch(train(Packing(m=2)))
    images = batch.real.images.clone().requires_grad_()
    score = batch.critic(batch.real.apply_view(images), batch.real.labels[::2]).score
    (gradient,) = torch.autograd.grad(score.sum(), images)
    assert gradient.shape == images.shape
    assert gradient.abs().sum() > 0


def test_an_update_without_reals_shows_fakes_alone():
    training = train()
    figures = update_critic(training.context, UpdateId(0, "critic"), None)
    assert "critic/score_fake" in figures
    assert "critic/score_real" not in figures


def test_both_take_their_gradients_at_the_old_weights():
    @component(source="a test", provides=["loss.test"])
    class Bilinear:
        """min over x, max over y of x·y, with plain gradient descent."""

        @hookimpl
        def critic_terms(self, batch):
            return {"xy": -_product(batch.gan)}

        @hookimpl
        def generator_terms(self, batch):
            return {"xy": _product(batch.gan)}

        @hookimpl
        def make_optimizer(self, params):
            return torch.optim.SGD(params, lr=0.5)

    training = train(Bilinear())
    x, y = _corner(training.context.gan.generator), _corner(training.context.gan.critic)
    with torch.no_grad():
        x.fill_(1.0)
        y.fill_(1.0)
    update_both(training.context, UpdateId(0, "critic"), reals(training))
    assert (x.flatten()[0].item(), y.flatten()[0].item()) == (
        0.5,
        1.5,
    )  # x²+y² grew by the factor 1 + h²


def test_in_turn_makes_the_fakes_once_and_moves_the_generator_through_the_moved_critic():
    training, seen = train(), []
    network = training.context.gan.generator.network
    network.register_forward_hook(lambda module, given, made: seen.append(made))
    before = [weight.clone() for weight in training.context.gan.critic.parameters]
    fakes = draw_fakes(training.context, UpdateId(0, "critic"), reals(training))
    seen.clear()
    figures = update_in_turn(training.context, UpdateId(0, "critic"), reals(training))
    assert len(seen) == 1
    assert torch.equal(seen[0], fakes.images)
    scores = training.context.gan.critic.network(fakes.images, fakes.labels).score
    assert torch.allclose(figures["generator/score_fake"], scores.mean())
    assert not torch.allclose(figures["critic/score_fake"], scores.mean())
    assert any(
        not torch.equal(*pair)
        for pair in zip(before, training.context.gan.critic.parameters, strict=True)
    )


def _corner(player):
    return player.parameters[0]


def _product(gan):
    return _corner(gan.generator).flatten()[0] * _corner(gan.critic).flatten()[0]


def test_both_may_be_scheduled():
    @component(source="a test")
    class Simultaneous:
        """Move both at once."""

        @hookimpl
        def schedule(self):
            return [Update("both")]

    diary = Diary()
    figures = train(Simultaneous(), diary).train_step()
    assert {"critic/total", "generator/total"} <= figures.keys()
    assert [what for what, _ in diary.happened] == ["before", "critic", "generator", "after"]


def test_without_terms_an_update_is_refused():
    with pytest.raises(CompositionError, match="no component gives the critic a term"):
        train(stand_ins=[StandIn()]).train_step()


@every_row(
    ("term", "what"),
    [
        (3.0, r"odd\.critic_terms: it is 3\.0"),
        (torch.zeros(4, requires_grad=True), r"odd\.critic_terms: it is a tensor of shape \[4\]"),
        (None, r"odd\.critic_terms: it is None"),
        (torch.zeros(()), r"the critic's term odd/it carries no gradient"),
    ],
    ids=["float", "vector", "None", "constant"],
)
def test_a_term_that_is_no_scalar_with_a_gradient_is_refused_by_name(term, what):
    @component(source="a test", provides=["loss.test"])
    class Odd:
        """Return something that is no term."""

        @hookimpl
        def critic_terms(self, batch):
            return {"it": term}

    with pytest.raises(PluginError, match=what):
        train(Odd()).train_step()


def test_a_schedule_of_words_is_refused():
    @component(source="a test")
    class Words:
        """Say what to do in words."""

        @hookimpl
        def schedule(self):
            return ["critic"]

    with pytest.raises(PluginError) as caught:
        train(Words()).train_step()
    assert caught.value.fix == "return a list of gancore.Update"


def test_figures_hold_terms_totals_scores_and_gradient_norms():
    figures = train().train_step()
    assert {
        f"{role}/{name}"
        for role in ("critic", "generator")
        for name in ("total", "grad_norm", "score_fake")
    } <= figures.keys()
    assert {
        "critic/stand-in-loss/real",
        "critic/stand-in-loss/fake",
        "critic/score_real",
    } <= figures.keys()


def test_the_graph_of_an_update_is_freed_without_the_collector():
    import gc
    import weakref

    kept = []

    @component(source="a test")
    class Watches:
        """Keep a weak reference to the scores."""

        @hookimpl
        def after_critic_update(self, batch):
            kept.append(weakref.ref(batch.fake.score))

    training = train(Watches())
    gc.disable()
    try:
        training.train_step()
        assert kept[0]() is None
    finally:
        gc.enable()


def test_two_trainings_of_one_seed_are_equal_and_of_two_seeds_are_not():
    one, two, other = train(), train(), train(seed=1)
    for training in (one, two, other):
        training.train_step()
    assert same(weights(one.context.gan.critic), weights(two.context.gan.critic))
    assert not same(weights(one.context.gan.critic), weights(other.context.gan.critic))


def test_points_train_as_images_do():
    from gancore.testing import some_data

    assert train(data=some_data((2,), ())).train_step()["critic/total"].isfinite()


class Extras(nn.Module):
    """Return insides beside the samples."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, labels):
        from gancore import Sample

        return Sample(self.net(z, labels), {"z": z})


def test_a_generator_may_return_its_insides():
    @component(source="a test")
    class Reveals:
        """Let the generator show its latents."""

        @hookimpl
        def adapt_generator(self, net):
            return Extras(net)

    batch = some_batch(train(Reveals()))
    assert torch.equal(batch.fake.extras["z"], batch.fake.z)

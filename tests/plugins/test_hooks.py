"""Hooks are called in the order given, and their answers join as each hook states."""

import pytest
import torch
from support.example_components import (
    Average,
    Bias,
    Codes,
    Diary,
    Doubled,
    Encoder,
    Noise,
    Packing,
    Relativistic,
    Scale,
    Shift,
    Smoothing,
    TopHalf,
)
from torch import nn

from gancore import (
    CompositionError,
    Head,
    LabelSet,
    PluginError,
    Tail,
    Update,
    cached,
    component,
    hookimpl,
)
from gancore.plugins.calling import Component, Hooks
from gancore.testing import StandIn, StandInLoss, some_batch, some_data, train
from gancore.train.sampling import draw_samples

IMAGES = torch.zeros(2, 1, 2, 2)


def hooks(*components):
    return Hooks([Component(f"c{place}", "reg", each) for place, each in enumerate(components)])


def view(bound):
    return bound.fold(
        "critic_view", {"images": IMAGES}, rng=None, shared_rng=None, step=0, labels=None
    )["images"]


# ── order and joining ─────────────────────────────────────────────────────────────────────────────


def test_critic_view_folds_in_the_order_given():
    assert view(hooks(Shift(by=1.0), Scale(by=2.0))).unique().item() == 2.0
    assert view(hooks(Scale(by=2.0), Shift(by=1.0))).unique().item() == 1.0


def test_all_collects_in_the_order_given():
    found = hooks(Codes(), StandIn(dim=5)).all("latent_width", plan=None)
    assert found == [("c0", 2), ("c1", 5)]


def test_first_takes_the_first_answer_that_is_not_none():
    assert hooks(Shift(), StandIn(dim=5), Codes()).first("latent_width", plan=None) == 5


def test_a_fold_that_answers_none_changes_nothing():
    bound = hooks(Smoothing())
    targets = torch.zeros(3)
    assert (
        bound.fold("critic_targets", {"targets": targets}, real=False, step=0)["targets"] is targets
    )


def test_components_chosen_for_one_player_are_asked_for_that_player_alone():
    one, other = StandIn(), StandIn()
    bound = Hooks(
        [
            Component("g", "norm", one, frozenset({"generator"})),
            Component("c", "norm", other, frozenset({"critic"})),
        ]
    )
    assert [each.chosen.name for each in bound.implementations("make_norm", "critic")] == ["c"]


def test_an_error_in_a_hook_names_component_hook_and_step():
    @component(source="a test")
    class Broken:
        """Fail."""

        @hookimpl
        def critic_view(self, images):
            raise ZeroDivisionError("oh")

    with pytest.raises(
        PluginError, match=r"c0 failed in critic_view, step 0: ZeroDivisionError: oh"
    ):
        view(hooks(Broken()))


# ── data, latent, labels ──────────────────────────────────────────────────────────────────────────


def test_adapt_data_wraps_the_data():
    assert len(train(Doubled()).context.data) == 80


def test_latent_width_and_draw_latent_give_each_component_its_own_columns():
    plan = train(Codes()).context.plan
    assert plan.latent == 5
    assert plan.latent_slices == {"codes": slice(0, 2), "stand-in": slice(2, 5)}
    assert plan.latents(50)[:, :2].abs().unique().tolist() == [1.0]


def test_draw_labels_may_copy_those_of_the_reals():
    @component(source="a test")
    class Paired:
        """Give each fake the label of its real."""

        @hookimpl
        def draw_labels(self, real_labels):
            return real_labels

    batch = some_batch(train(Paired()))
    assert torch.equal(batch.fake.labels, batch.real.labels)


def test_generator_inputs_and_adapt_generator_let_a_component_append_to_the_latent():
    @component(source="a test")
    class Appends:
        """Append two columns of zeros to the latent."""

        @hookimpl
        def generator_inputs(self):
            return 2

        @hookimpl
        def adapt_generator(self, net):
            return _Append(net)

    training = train(Appends())
    assert training.context.plan.inputs == training.context.plan.latent + 2
    training.train_step()


class _Append(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, labels):
        return self.net(nn.functional.pad(z, (0, 2)), labels)


def test_critic_shape_and_view_let_the_critic_see_packs():
    training = train(Packing(m=2))
    assert training.context.plan.critic_shape == (6, 16, 16)
    batch = some_batch(training)
    assert batch.real.view.shape == (4, 6, 16, 16)
    assert batch.real.score.shape == (4,)
    training.train_step()


# ── networks ──────────────────────────────────────────────────────────────────────────────────────


def test_make_generator_make_critic_make_upsample_make_norm_and_make_score_are_asked_once_for_each_part():
    made = []

    @component(source="a test")
    class Watches:
        """Say what is made, and make nothing."""

        @hookimpl
        def make_generator(self):
            made.append("generator")

        @hookimpl
        def make_critic(self):
            made.append("critic")

        @hookimpl
        def make_upsample(self, channels_in, channels_out):
            made.append((channels_in, channels_out))

        @hookimpl
        def make_norm(self, channels, role):
            made.append((role, channels))

        @hookimpl
        def make_score(self, features):
            made.append(features)

        @hookimpl
        def make_optimizer(self, role):
            made.append(f"optimizer of {role}")

    train(Watches())
    assert made == [
        "generator",
        (4, 3),
        ("generator", 4),
        "critic",
        ("critic", 6),
        384,
        "optimizer of generator",
        "optimizer of critic",
    ]


def test_make_optimizer_receives_every_weight_by_name():
    training = train()
    named = {name for name, _ in training.context.gan.critic.named_parameters()}
    assert named == {"body.layers.0.weight", "body.layers.0.bias", "score.weight", "score.bias"}


def test_extend_critic_appends_features_and_adds_to_the_score():
    batch = some_batch(train(Bias()))
    assert batch.real.features.shape == (8, 385)
    assert batch.real.features[:, -1].unique().tolist() == [3.0]
    score = batch.gan.critic.network.score(batch.real.features).squeeze(1)
    assert torch.allclose(batch.real.score, score + 1)


def test_extend_critic_shows_a_head_the_features_of_the_tails_before_it():
    seen = []

    class Watching(nn.Module):
        def forward(self, features, labels):
            seen.append(features.shape[1])
            return features.sum(1)

    @component(source="a test")
    class HeadBetweenTails:
        """Add a tail, a head, and another tail."""

        @hookimpl
        def extend_critic(self, features):
            one, two = nn.ConstantPad1d((0, 1), 1.0), nn.ConstantPad1d((0, 2), 1.0)
            return [Tail(one, 1), Head("watch", Watching()), Tail(two, 2)]

    batch = some_batch(train(HeadBetweenTails()))
    assert batch.real.features.shape[1] == 384 + 3
    assert seen == [385]


def test_extend_player_refuses_two_networks_of_one_name():
    with pytest.raises(CompositionError, match="'encoder'"):
        train(Component("a", "reg", Encoder()), Component("b", "reg", Encoder()))


def test_extend_player_joins_the_players_weights_optimiser_and_checkpoint():
    training = train(Encoder())
    before = training.context.gan.generator.state_dict()["extras.encoder.weight"].clone()
    training.train_step()
    after = training.context.gan.generator.state_dict()["extras.encoder.weight"]
    assert not torch.equal(before, after)


def test_adapt_critic_may_replace_the_body():
    @component(source="a test")
    class Blind:
        """Let the critic see nothing."""

        @hookimpl
        def adapt_critic(self, net):
            net.body = _Blind(net.body)
            return net

    batch = some_batch(train(Blind()))
    assert len(batch.real.score.unique()) == 1


class _Blind(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images, labels):
        return self.body(torch.zeros_like(images), labels)


def test_initialize_is_asked_for_each_part_with_its_own_numbers():
    drawn = []

    @component(source="a test")
    class Watches:
        """Write down the first number of each part's stream."""

        @hookimpl
        def initialize(self, rng):
            drawn.append(torch.rand((), generator=rng).item())

    train(Watches())
    assert len(set(drawn)) >= 3


def test_adding_a_tail_does_not_move_the_weights_of_the_body():
    plain, extended = (train(*more).context.gan.critic.network.body for more in ((), (Bias(),)))
    assert all(
        torch.equal(*pair) for pair in zip(plain.parameters(), extended.parameters(), strict=True)
    )


# ── updates ───────────────────────────────────────────────────────────────────────────────────────


def test_schedule_names_the_updates_and_their_order():
    @component(source="a test")
    class Odd:
        """Two critic updates, the second without reals."""

        @hookimpl
        def schedule(self):
            return [Update("critic"), Update("critic", reals=False), Update("generator")]

    diary = Diary()
    training = train(Odd(), diary)
    training.train_step()
    assert diary.happened == [
        ("before", 0),
        ("critic", 0),
        ("critic", 0),
        ("generator", 0),
        ("after", 0),
    ]
    assert training.batches == 1


def test_before_step_and_after_step_frame_the_updates():
    diary = Diary()
    train(diary).train_step()
    assert diary.happened[0] == ("before", 0)
    assert diary.happened[-1] == ("after", 0)


def test_after_critic_update_and_after_generator_update_see_no_gradient_mode():
    modes = []

    @component(source="a test")
    class Watches:
        """Write down whether gradients are recorded."""

        @hookimpl
        def after_critic_update(self):
            modes.append(torch.is_grad_enabled())

        @hookimpl
        def after_generator_update(self):
            modes.append(torch.is_grad_enabled())

    train(Watches()).train_step()
    assert modes == [False, False]


def test_skip_update_keeps_the_weights_but_gives_the_figures():
    training = train(Diary(skip="critic"))
    before = {
        name: value.clone() for name, value in training.context.gan.critic.state_dict().items()
    }
    figures = training.train_step()
    after = training.context.gan.critic.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "critic/total" in figures


def test_learning_rate_folds_over_the_optimisers_own():
    training = train(Diary())
    for _ in range(3):
        training.train_step()
    assert training.context.gan.critic.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 / 3)


def test_critic_reals_replaces_images_and_labels_in_the_critics_update_alone():
    seen = {}

    @component(source="a test")
    class Swapped:
        """Show the critic the fakes of the update as reals."""

        @hookimpl
        def critic_reals(self, images, labels, fakes, fake_labels):
            seen["calls"] = seen.get("calls", 0) + 1
            return fakes, fake_labels

        @hookimpl
        def critic_terms(self, batch):
            seen["critic"] = torch.equal(batch.real.images, batch.fake.images)
            seen["labels"] = torch.equal(batch.real.labels, batch.fake.labels)

        @hookimpl
        def generator_terms(self, batch):
            seen["generator"] = torch.equal(batch.real.images, batch.fake.images)

    figures = train(Swapped()).train_step()
    assert seen == {"calls": 1, "critic": True, "labels": True, "generator": False}
    assert torch.equal(figures["critic/score_real"], figures["critic/score_fake"])


def test_critic_fakes_replaces_images_and_labels_in_the_critics_update_alone():
    @component(source="a test")
    class Zeros:
        """Show the critic black fakes of class 0."""

        @hookimpl
        def critic_fakes(self, images, labels):
            return torch.zeros_like(images), torch.zeros_like(labels)

    seen = {}

    @component(source="a test")
    class Watches:
        """Write down what each player's terms are given."""

        @hookimpl
        def critic_terms(self, batch):
            seen["critic"] = batch.fake.images.abs().sum().item()

        @hookimpl
        def generator_terms(self, batch):
            seen["generator"] = batch.fake.images.abs().sum().item()

    train(Zeros(), Watches()).train_step()
    assert seen["critic"] == 0
    assert seen["generator"] > 0


def test_critic_view_draws_independently_for_the_two_sides():
    batch = some_batch(train(Noise()))
    real, fake = (side.view - side.images for side in (batch.real, batch.fake))
    correlation = torch.corrcoef(torch.stack([real.flatten(), fake.flatten()]))[0, 1].item()
    assert abs(correlation) < 4 / real.numel() ** 0.5  # four standard errors of independent noise


def test_critic_view_may_share_one_draw():
    batch = some_batch(train(Noise(shared=True)))
    assert torch.allclose(
        batch.real.view - batch.real.images, batch.fake.view - batch.fake.images, atol=1e-6
    )


def test_a_component_does_not_move_the_numbers_of_another():
    alone, together = (
        some_batch(train(*each)) for each in ((Noise(),), (Shift(by=0.0), Noise(), Smoothing()))
    )
    assert torch.equal(alone.real.view, together.real.view)


def test_critic_targets_never_reach_the_generators_update():
    assert some_batch(train(Smoothing()), "generator").real.targets.unique().tolist() == [1.0]
    batch = some_batch(train(Smoothing()))
    assert batch.real.targets.unique().tolist() == pytest.approx([0.9])
    assert batch.fake.targets.unique().tolist() == [0.0]


def test_sample_weights_weigh_the_fakes_of_the_generators_update():
    batch = some_batch(train(TopHalf()), "generator")
    best = batch.fake.score.sort(descending=True).values[:4]
    assert batch.fake.mean(batch.fake.score).item() == pytest.approx(best.mean().item())


def test_sample_weights_are_not_asked_for_in_the_critics_updates_nor_of_reals():
    batch = some_batch(train(TopHalf()), "critic")
    assert batch.fake.weights is None
    assert batch.fake.mean(batch.fake.score).item() == batch.fake.score.mean().item()
    assert some_batch(train(TopHalf()), "generator").real.weights is None


def test_critic_terms_and_generator_terms_are_summed():
    figures = train(Relativistic()).train_step()
    for role in ("critic", "generator"):
        terms = [
            value
            for name, value in figures.items()
            if name.startswith(role) and name.count("/") == 2
        ]
        assert len(terms) >= 1
        assert sum(terms).item() == pytest.approx(figures[f"{role}/total"].item(), rel=1e-5)


# ── samples and records ───────────────────────────────────────────────────────────────────────────


def test_sampling_generator_is_what_samples_come_from():
    average = Average()
    training = train(average)
    for _ in range(3):
        training.train_step()
    drawn, _ = draw_samples(training.context, 4, "x")
    average.mean = training.context.gan.generator.state_dict()
    assert not torch.equal(drawn, draw_samples(training.context, 4, "x")[0])


def test_select_samples_chooses_among_them():
    images, labels = draw_samples(train(Diary()).context, 8, "x")
    assert len(images) == len(labels) == 4


def test_recognizes_measure_record_draw_and_stop_are_hooks():
    assert {"recognizes", "make_data", "measure", "record", "draw", "stop"} <= set(
        hooks()._implementations
    )


def test_make_data_answers_with_samples_and_labels():
    assert some_data(classes=(3, 2)).label_sets == (
        LabelSet("set0", ("class0", "class1", "class2")),
        LabelSet("set1", ("class0", "class1")),
    )


def test_adapt_schedule_changes_the_updates_of_an_iteration():
    @component(source="a test")
    class Extra:
        """Show the critic fakes alone once more."""

        @hookimpl
        def adapt_schedule(self, updates, step):
            return [*updates, Update("critic", reals=False)] if step == 1 else None

    training = train(Extra())
    shown = [sum(key.startswith("critic/") for key in training.train_step()) for _ in range(3)]
    assert training.batches == 3  # the extra update met no reals
    assert shown[0] == shown[1] == shown[2]


def test_the_figures_of_an_update_without_reals_do_not_stand_for_those_of_an_ordinary_one():
    @component(source="a test")
    class Extra:
        """Show the critic fakes alone once more, first of all or last."""

        @hookimpl
        def adapt_schedule(self, updates):
            return [*updates, Update("critic", reals=False)]

    plain, more = train(), train(Extra())
    assert more.train_step()["critic/total"] == plain.train_step()["critic/total"]


def test_fakes_that_were_exchanged_have_no_latents():
    @component(source="a test")
    class Older:
        """Show the critic black fakes."""

        @hookimpl
        def critic_fakes(self, images, labels):
            return torch.zeros_like(images), labels

        @hookimpl
        def critic_terms(self, batch):
            assert batch.fake.z is None

        @hookimpl
        def generator_terms(self, batch):
            assert batch.fake.z is not None

    train(Older()).train_step()


def test_schedule_may_show_the_batch_that_was_shown_last_once_more():
    @component(source="a test")
    class Twice:
        """Two critic updates on one batch, and the reals of each as the critic saw them."""

        seen: list = cached(factory=list)

        @hookimpl
        def schedule(self):
            return [Update("critic"), Update("critic", fresh=False), Update("generator")]

        @hookimpl
        def critic_terms(self, batch):
            self.seen.append(batch.real.images)

    twice = Twice()
    training = train(twice)
    training.train_step()
    training.train_step()
    assert training.batches == 2
    assert torch.equal(twice.seen[0], twice.seen[1])
    assert not torch.equal(twice.seen[1], twice.seen[2])


def test_terms_of_the_loss_come_after_those_that_ask_to_be_first_and_before_all_others():
    class Named:
        @hookimpl
        def critic_terms(self, batch):
            return None

    class Early:
        @hookimpl(tryfirst=True)
        def critic_terms(self, batch):
            return None

    bound = Hooks(
        [
            Component("plain", "reg", component(source="a test")(Named)()),
            Component("loss", "loss", StandInLoss()),
            Component("early", "reg", component(source="a test")(Early)()),
        ]
    )
    order = [each.chosen.name for each in bound.implementations("critic_terms")]
    assert order == ["early", "loss", "plain"]

"""Facts about conditioning on labels."""

import pytest
import torch

from gan_plugin_acgan import ACGAN
from gan_plugin_conditioning.inputs import ConcatLabel, EmbedLabel, LabelMaps
from gan_plugin_minibatch_discrimination import MinibatchDiscrimination
from gancore import CompositionError, component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, some_batch, some_data, train

torch.set_num_threads(1)

K = 3  # classes of the data
ALL = [ConcatLabel, EmbedLabel, LabelMaps]


def labels_of(k, n=8):
    return torch.full((n, 1), k)


def seen_by(module, call):
    """The arguments with which `module` is called within `call()`."""
    seen = []
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(given))
    call()
    handle.remove()
    return seen[0]


def assert_same_weights(one, other):
    found, wanted = one.state_dict(), other.state_dict()
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.equal(found[name], wanted[name]), name


@pytest.mark.parametrize("cls", ALL)
def test_component_conforms(cls):
    check_component(cls, data=some_data())


@pytest.mark.parametrize("cls", ALL)
def test_component_conforms_with_the_second_label_set(cls):
    check_component(cls, data=some_data(classes=(3, 2)), labels="set1")


@pytest.mark.parametrize("cls", [ConcatLabel, EmbedLabel])
def test_component_conforms_with_points(cls):
    check_component(cls, data=some_data((2,)))


@pytest.mark.parametrize("to", ["generator", "critic"])
def test_concat_label_of_one_player_conforms(to):
    check_component(ConcatLabel, data=some_data(), to=to)


@pytest.mark.parametrize("cls", ALL)
def test_data_without_labels_are_refused(cls):
    assert any(
        rule.tag == "data.labels" and rule.hard and not rule.present for rule in info_of(cls).rules
    )


def test_label_maps_refuse_points():
    assert any(
        rule.tag == "data.points" and rule.hard and rule.present
        for rule in info_of(LabelMaps).rules
    )


@pytest.mark.parametrize("cls", ALL)
def test_a_label_set_that_is_not_there_is_named(cls):
    with pytest.raises(
        CompositionError, match="no label set is called 'colour'; the data has set0"
    ):
        train(cls(labels="colour"), data=some_data())


# ── concat-label ──────────────────────────────────────────────────────────────────────────────────


def test_generator_receives_the_latent_and_the_one_hot_label():
    training = train(ConcatLabel())
    net, z = training.context.gan.generator.network, torch.randn(2, 3)
    given, _ = seen_by(net.net, lambda: net(z, torch.tensor([[2], [0]])))
    assert torch.equal(given, torch.cat([z, torch.tensor([[0.0, 0, 1], [1, 0, 0]])], 1))
    assert training.context.plan.inputs == training.context.plan.latent + K


def test_another_label_makes_another_sample():
    batch = some_batch(train(ConcatLabel()))
    assert not torch.equal(*(batch.generator(batch.fake.z, labels_of(k)).images for k in (0, 1)))


def test_zero_weights_of_the_label_give_the_unconditional_generator():
    one, other = (
        train(ConcatLabel()).context.gan.generator.network,
        train().context.gan.generator.network,
    )
    weights = {name.removeprefix("net."): weight for name, weight in one.state_dict().items()}
    weights["project.weight"][:, 3:] = 0
    other.load_state_dict({**weights, "project.weight": weights["project.weight"][:, :3]})
    z = torch.randn(8, 3)
    torch.testing.assert_close(one(z, labels_of(1)), other(z, labels_of(1)))


def test_label_is_appended_after_the_critics_first_dense_layer():
    training = train(ConcatLabel(before=5, after=4))
    batch = some_batch(training)
    (tail,) = training.context.gan.critic.network.parts.values()
    (given,) = seen_by(tail.after, lambda: batch.critic(batch.real.view, labels_of(2)))
    assert given.shape == (8, 5 + K)
    assert torch.equal(given[:, 5:], torch.tensor([0.0, 0, 1]).expand(8, -1))


def test_another_label_gives_another_score():
    batch = some_batch(train(ConcatLabel()))
    assert not torch.equal(*(batch.critic(batch.real.view, labels_of(k)).score for k in (0, 1)))


def test_zero_weights_of_the_label_make_the_score_forget_it():
    training = train(ConcatLabel(before=5))
    (tail,) = training.context.gan.critic.network.parts.values()
    with torch.no_grad():
        tail.after[0].weight[:, 5:] = 0
    batch = some_batch(training)
    assert torch.equal(*(batch.critic(batch.real.view, labels_of(k)).score for k in (0, 1)))


def test_the_score_has_one_path_and_it_goes_through_the_labelled_layer():
    training = train(ConcatLabel(before=5))
    (tail,) = training.context.gan.critic.network.parts.values()
    with torch.no_grad():
        tail.after[0].weight[:, :5] = 0  # from here on only the label is left
    batch = some_batch(training)
    score = batch.critic(batch.real.view, labels_of(1)).score
    assert torch.equal(score, score[:1].expand(8))


@pytest.mark.parametrize(("after", "features"), [(4, 4), (0, 5 + K)])
def test_what_follows_in_the_critic_gets_the_labelled_features(after, features):
    critic = train(ConcatLabel(before=5, after=after)).context.gan.critic.network
    assert critic.score.in_features == features


def test_minibatch_discrimination_sees_the_label():
    torch.manual_seed(0)
    training = train(MinibatchDiscrimination(kernels=2, dim=1), ConcatLabel(before=5, after=0))
    batch = some_batch(training)
    plain = batch.critic(batch.real.view, labels_of(1))
    other = labels_of(1)
    other[0] = 2
    swapped = batch.critic(batch.real.view, other)
    assert not torch.equal(
        plain.heads["closeness"][1:], swapped.heads["closeness"][1:]
    )  # of the seven others
    assert not torch.equal(plain.score[1:], swapped.score[1:])


def test_a_class_head_stands_before_the_label_whatever_the_order_of_choice():
    for chosen in ((ConcatLabel(), ACGAN()), (ACGAN(), ConcatLabel())):
        batch = some_batch(train(*chosen))
        heads = [batch.critic(batch.real.view, labels_of(k)).heads["class-set0"] for k in (0, 1)]
        assert torch.equal(*heads)


def test_label_of_the_generator_alone_leaves_the_critic_as_it_is():
    assert_same_weights(
        train(ConcatLabel(to="generator")).context.gan.critic, train().context.gan.critic
    )


def test_label_of_the_critic_alone_leaves_the_generator_as_it_is():
    assert_same_weights(
        train(ConcatLabel(to="critic")).context.gan.generator, train().context.gan.generator
    )


@pytest.mark.parametrize("to", ["both", "critic"])
def test_fakes_of_a_conditional_critic_carry_the_labels_of_their_reals(to):
    batch = some_batch(train(ConcatLabel(to=to)))
    assert torch.equal(batch.fake.labels, batch.real.labels)


def test_labels_are_left_to_the_data_when_only_the_generator_has_them():
    assert ConcatLabel(to="generator").draw_labels(labels_of(1)) is None


# ── embed-label ───────────────────────────────────────────────────────────────────────────────────


def test_a_table_of_ones_is_the_identity():
    one, other = (
        train(EmbedLabel()).context.gan.generator.network,
        train().context.gan.generator.network,
    )
    z = torch.randn(8, 3)
    assert torch.equal(one(z, labels_of(2)), other(z, labels_of(2)))


def test_latent_is_multiplied_by_the_row_of_its_class():
    net, z = train(EmbedLabel()).context.gan.generator.network, torch.randn(2, 3)
    with torch.no_grad():
        net.table.copy_(torch.arange(9.0).view(K, 3))
    given, _ = seen_by(net.net, lambda: net(z, torch.tensor([[2], [1]])))
    assert torch.equal(given, z * torch.tensor([[6.0, 7, 8], [3, 4, 5]]))


def test_a_latent_of_zero_hides_the_label():
    net = train(EmbedLabel()).context.gan.generator.network
    with torch.no_grad():
        net.table.copy_(torch.randn(K, 3))
    assert torch.equal(*(net(torch.zeros(8, 3), labels_of(k)) for k in (0, 1)))


def test_table_is_trained():
    training = train(EmbedLabel())
    training.train_step()
    assert not torch.equal(training.context.gan.generator.network.table, torch.ones(K, 3))


def test_only_the_rows_of_labels_in_the_batch_get_a_gradient():
    net = train(EmbedLabel()).context.gan.generator.network
    net(torch.randn(8, 3), labels_of(1)).sum().backward()
    assert net.table.grad.abs().amax(1).ne(0).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "components", [(EmbedLabel(), ConcatLabel()), (ConcatLabel(), EmbedLabel())]
)
def test_appended_columns_are_not_multiplied_in_whatever_order(components):
    net, z = train(*components).context.gan.generator.network, torch.randn(8, 3)
    embedded = net if hasattr(net, "table") else net.net
    with torch.no_grad():
        embedded.table.fill_(2.0)
    given, _ = seen_by(net.net.net, lambda: net(z, labels_of(1)))
    assert torch.equal(given, torch.cat([2 * z, torch.tensor([0.0, 1, 0]).expand(8, -1)], 1))


# ── label-maps ────────────────────────────────────────────────────────────────────────────────────


def body_input(labels, *components):
    """What the body inside the maps is given for a batch of black images."""
    critic = train(LabelMaps(), *components).context.gan.critic.network
    return seen_by(critic.body.body, lambda: critic(torch.zeros(len(labels), 3, 16, 16), labels))[0]


def test_body_receives_one_channel_more_for_each_class():
    assert train(LabelMaps()).context.plan.critic_shape == (3 + K, 16, 16)
    assert body_input(labels_of(0)).shape == (8, 3 + K, 16, 16)


def test_exactly_the_map_of_the_label_is_one():
    labels = torch.tensor([[2], [0], [1]])
    maps = body_input(labels)[:, 3:]
    for row, label in zip(maps, labels[:, 0], strict=True):
        assert torch.equal(row[label], torch.ones(16, 16))
        assert row.sum() == 16 * 16  # so the other maps, which are nowhere negative, are 0
        assert row.min() == 0


def test_images_come_first_and_unchanged():
    critic, images = train(LabelMaps()).context.gan.critic.network, torch.randn(8, 3, 16, 16)
    given, _ = seen_by(critic.body.body, lambda: critic(images, labels_of(1)))
    assert torch.equal(given[:, :3], images)


def test_maps_are_not_touched_by_views():
    @component(source="a test")
    class Doubled:
        @hookimpl
        def critic_view(self, images):
            return 2 * images

    training = train(LabelMaps(), Doubled())
    batch = some_batch(training)
    given, _ = seen_by(training.context.gan.critic.network.body.body, lambda: batch.real.score)
    assert torch.equal(given[:, :3], 2 * batch.real.images)
    assert given[:, 3:].max() == 1


def test_a_map_changes_the_score():
    batch = some_batch(train(LabelMaps()))
    assert not torch.equal(*(batch.critic(batch.real.view, labels_of(k)).score for k in (0, 1)))


def test_gradient_of_the_score_has_the_image_channels_alone():
    batch = some_batch(train(LabelMaps()))
    view = batch.real.view.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(batch.critic(view, batch.real.labels).score.sum(), view)
    assert gradient.shape == (8, 3, 16, 16)


def test_fakes_carry_the_labels_of_their_reals():
    batch = some_batch(train(LabelMaps()))
    assert torch.equal(batch.fake.labels, batch.real.labels)


def test_labels_are_left_to_the_data_without_reals():
    assert LabelMaps().draw_labels(None) is None


def test_generator_is_left_as_it_is():
    assert_same_weights(train(LabelMaps()).context.gan.generator, train().context.gan.generator)

from copy import deepcopy

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn.functional import avg_pool2d

from gan_plugin_progressive import Growing, Progressive, ProgressiveCritic
from gancore import CompositionError, component, hookimpl
from gancore.plugins.calling import Component
from gancore.recipe.rules import check_rules
from gancore.run.checkpoint.state import capture, restore
from gancore.testing import (
    StandIn,
    StandInLoss,
    check_component,
    some_batch,
    some_data,
    through_files,
    train,
)
from gancore.train.sampling import draw_samples

SIZES = [(16, 16), (28, 28), (48, 32), (50, 30), (9, 21)]
MIXED = [0, 0.5, 1, 1.25, 2]  # level + α for images of 16 pixels, whose levels are 4, 8 and 16


def play(size=(16, 16), beside=(), **options):
    pair = [Progressive(width=2, **options), ProgressiveCritic(width=2)]
    return train(*pair, *beside, data=some_data((3, *size), (), 8), batch=4)


def players(size=(16, 16), growth=None, **more):
    """Both networks, grown so far (by default the whole way)."""
    gan = play(size, **more).context.gan
    for player in (gan.generator, gan.critic):
        for net in growing(player.network):
            net.grow(net.top if growth is None else growth)
    return gan.generator.network, gan.critic.network


def growing(net):
    return [each for each in net.modules() if isinstance(each, Growing)]


def growths(gan):
    return [
        float(net.growth)
        for player in (gan.generator, gan.critic)
        for net in growing(player.network)
    ]


def nobody(n):
    return torch.empty(n, 0, dtype=torch.int64)


def make(net, n=3):
    return net(torch.linspace(-1, 1, 3 * n).reshape(n, 3), nobody(n))


def features(critic, images):
    return critic(images, nobody(len(images))).features


def blocks(images, side):
    """Averages of squares of `side` pixels, each repeated over its square."""
    small = avg_pool2d(images, side, ceil_mode=True)
    whole = small.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return whole[..., : images.shape[2], : images.shape[3]]


# ── the schedule ──────────────────────────────────────────────────────────────────────────────────


@every_row(
    ("step", "growth"),
    [
        (0, 0),
        (9, 0),
        (10, 0),
        (11, 0.25),
        (13, 0.75),
        (14, 1),
        (23, 1),
        (24, 1),
        (26, 1.5),
        (28, 2),
        (39, 2),
        (999, 2),
    ],
)
def test_each_level_is_trained_then_the_next_fades_in_up_to_the_top(step, growth):
    assert Progressive(steps_per_level=10, fade=4).growth_at(step, 2) == growth


def test_without_fade_levels_are_switched_at_once():
    progressive = Progressive(steps_per_level=3, fade=0)
    assert [progressive.growth_at(step, 2) for step in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_growth_never_falls_and_rises_by_at_most_one_over_fade():
    progressive = Progressive(steps_per_level=7, fade=5)
    found = torch.tensor(
        [progressive.growth_at(step, 3) for step in range(60)], dtype=torch.float64
    )
    assert found.diff().min() >= 0
    assert found.diff().max() <= 1 / 5 + 1e-12  # rounding of numbers below 4 is 2⁻⁵¹


def test_an_image_of_one_level_does_not_grow():
    assert Progressive(steps_per_level=1, fade=1).growth_at(50, 0) == 0


# ── the generator ─────────────────────────────────────────────────────────────────────────────────


@every_row("size", SIZES)
def test_samples_are_of_full_size_at_every_stage(size):
    net, _ = players(size)
    for growth in (0, 0.5 * bool(net.top), net.top):
        net.grow(growth)
        made = make(net)
        assert made.shape == (3, 3, *size)
        assert made.abs().max() <= 1


def test_at_the_top_the_generator_is_the_plain_stack():
    net, _ = players()
    maps = net.project(torch.linspace(-1, 1, 9).reshape(3, 3)).unflatten(1, net.seed)
    assert torch.equal(make(net), net.painters[-1](nn.Sequential(*net.blocks)(maps)))


@pytest.mark.parametrize("level", [0, 1])
def test_while_a_level_fades_in_samples_are_a_mixture_of_old_and_new(level):
    net, _ = players()
    old, mixed, new = (net.grow(level + alpha) or make(net) for alpha in (0, 0.25, 1))
    torch.testing.assert_close(mixed, 0.75 * old + 0.25 * new)
    assert not torch.allclose(old, new)


@every_row("size", SIZES)
def test_samples_of_a_level_are_constant_on_squares(size):
    net, _ = players(size)
    for level in range(net.top + 1):
        net.grow(level)
        made, side = make(net), 2 ** (net.top - level)
        torch.testing.assert_close(made, blocks(made, side))


def test_at_level_zero_there_are_no_more_colours_than_pixels_of_the_seed():
    net, _ = players(growth=0)
    for image in make(net):
        assert len(image.flatten(1).T.unique(dim=0)) <= 4 * 4


def test_one_sample_alone_can_be_drawn_and_judged_at_every_stage():
    net, critic = players()
    for growth in MIXED:
        net.grow(growth)
        critic.body.grow(growth)
        assert features(critic.eval(), make(net.eval(), 1)).shape == (1, 8 * 4 * 4)


# ── the critic ────────────────────────────────────────────────────────────────────────────────────


@every_row("size", SIZES)
def test_the_critic_has_the_same_number_of_features_at_every_stage(size):
    _, critic = players(size)
    for growth in (0, 0.5 * bool(critic.body.top), critic.body.top):
        critic.body.grow(growth)
        height, width = critic.body.sizes[0]
        assert critic.body(torch.zeros(2, 3, *size), nobody(2)).shape[2:] == (height, width)


def test_at_the_top_the_critic_is_the_plain_stack():
    _, critic = players()
    images, body = torch.randn(2, 3, 16, 16), critic.body
    wanted = nn.Sequential(body.readers[-1], *reversed(body.blocks))(images)
    assert torch.equal(features(critic, images), wanted.flatten(1))


@every_row("size", SIZES)
def test_the_critic_does_not_see_detail_finer_than_its_level(size):
    _, critic = players(size)
    images = torch.randn(2, 3, *size)
    for level in range(critic.body.top + 1):
        critic.body.grow(level)
        shown = (
            features(critic, images),
            features(critic, blocks(images, 2 ** (critic.body.top - level))),
        )
        torch.testing.assert_close(*shown)


def test_while_a_level_fades_in_its_detail_is_seen_but_none_finer():
    _, critic = players(growth=0.5)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(features(critic, images), features(critic, blocks(images, 2)))
    assert not torch.allclose(features(critic, images), features(critic, blocks(images, 4)))


@pytest.mark.parametrize("level", [0, 1])
def test_while_a_level_fades_in_the_critic_mixes_what_both_levels_read(level):
    _, critic = players(growth=level + 0.25)
    images, body = torch.randn(2, 3, 16, 16), critic.body
    old, new = (body.readers[k](avg_pool2d(images, 2 ** (2 - k))) for k in (level, level + 1))
    maps = 0.75 * old + 0.25 * body.blocks[level + 1](new)
    wanted = nn.Sequential(*reversed(body.blocks[: level + 1]))(maps)
    torch.testing.assert_close(features(critic, images), wanted.flatten(1))


def test_critics_of_levels_and_of_their_fades_join_without_a_jump():
    _, critic = players()
    images = torch.randn(2, 3, 16, 16)
    for level, beside in (
        (0, 1e-9),
        (1, 1 - 1e-9),
        (1, 1 + 1e-9),
        (2, 2 - 1e-9),
    ):  # mixed in float32, 1e-9 is nothing
        shown = [critic.body.grow(growth) or features(critic, images) for growth in (level, beside)]
        torch.testing.assert_close(*shown)


def test_a_critic_without_the_growing_generator_judges_whole_images():
    gan = train(ProgressiveCritic(width=2), data=some_data((3, 28, 28)), batch=4).context.gan
    assert growths(gan) == [2]


# ── training ──────────────────────────────────────────────────────────────────────────────────────


def test_progressive_conforms_and_resumes_exactly_in_the_middle_of_a_fade():
    # 3 steps of 6 are saved: step 2 has growth 0.25, step 3 goes on with 0.5
    check_component(
        Progressive, width=2, steps_per_level=1, fade=4, beside=[ProgressiveCritic(width=2)]
    )


def test_progressive_critic_conforms():
    check_component(
        ProgressiveCritic, width=2, beside=[Progressive(width=2, steps_per_level=1, fade=2)]
    )


def test_both_players_grow_by_the_steps_done_and_the_figure_says_how_far():
    training = play(steps_per_level=1, fade=2)
    for wanted in (0, 0, 0.5, 1, 1, 1.5, 2, 2):
        assert training.train_step()["generator/progressive/growth"] == wanted
        assert growths(training.context.gan) == [wanted, wanted]


def unused(net, level):
    """Names of the weights that do not run at a level: higher layers, and painters and readers of
    other images.
    """
    found = []
    for name, _ in net.named_parameters():
        part, number, *_ = name.removeprefix("body.").split(".")
        if (part == "blocks" and int(number) > level) or (
            part in ("painters", "readers") and int(number) != level
        ):
            found.append(name)
    return found


@pytest.mark.parametrize("level", [0, 1, 2])
def test_layers_that_do_not_run_get_no_gradient_and_the_others_do(level):
    training = play(steps_per_level=1, fade=0)
    for _ in range(level + 1):
        training.train_step()
    batch = some_batch(training, "generator")
    batch.fake.score.sum().backward()
    for player in (training.context.gan.generator, training.context.gan.critic):
        without = [name for name, weight in player.named_parameters() if weight.grad is None]
        assert without == unused(player.network, level)


def test_training_leaves_layers_of_levels_to_come_as_they_are_and_moves_the_others():
    training = play(steps_per_level=5)
    for player in (training.context.gan.generator, training.context.gan.critic):
        before = {name: weight.detach().clone() for name, weight in player.named_parameters()}
        for _ in range(2):
            training.train_step()
        same = [
            name for name, weight in player.named_parameters() if torch.equal(weight, before[name])
        ]
        assert same == unused(player.network, 0)
        trained = {id(weight) for weight in player.optimizer.state}
        assert [
            name for name, weight in player.named_parameters() if id(weight) not in trained
        ] == same


def test_a_checkpoint_is_sampled_as_it_was_trained_though_no_step_is_made():
    training, fresh = (play(steps_per_level=1, fade=4) for _ in range(2))
    for _ in range(4):
        training.train_step()
    restore(fresh, through_files(capture(training)))
    assert growths(fresh.context.gan) == [0.5, 0.5]
    assert torch.equal(
        draw_samples(fresh.context, 4, "test")[0], draw_samples(training.context, 4, "test")[0]
    )


def test_torchs_own_state_dict_carries_the_growth():
    one, other = players(growth=1.5)[0], players(growth=0)[0]
    other.load_state_dict(one.state_dict())
    assert float(other.growth) == 1.5


def test_a_copy_of_the_generator_keeps_its_growth():
    net, _ = players(growth=1.5)
    average = deepcopy(net)
    assert torch.equal(make(average), make(net))
    net.grow(0)
    assert float(average.growth) == 1.5


class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, given, labels):
        return self.net(given, labels)


@component(source="a test")
class Wraps:
    @hookimpl
    def adapt_generator(self, net):
        return Wrapped(net)

    @hookimpl
    def adapt_critic(self, net):
        net.body = Wrapped(net.body)


def test_players_grow_inside_the_wrappers_of_other_components():
    training = play(beside=[Wraps()], steps_per_level=1, fade=2)
    for _ in range(3):
        training.train_step()
    assert growths(training.context.gan) == [0.5, 0.5]


@component(source="a test")
class Packs:
    @hookimpl
    def critic_shape(self, shape):
        return 2 * shape[0], *shape[1:]

    @hookimpl
    def critic_view(self, images):
        return images.repeat(1, 2, 1, 1)


def test_the_critic_reads_as_many_channels_as_it_is_shown():
    training = play(beside=[Packs()], steps_per_level=1, fade=2)
    for _ in range(3):
        training.train_step()
    assert training.context.gan.critic.network.body.readers[0][0].in_channels == 6


@every_row("growth", MIXED)
def test_forward_reads_no_number_from_the_device(growth):
    net, critic = (player.to("meta") for player in players(growth=growth))
    made = net(torch.zeros(2, 3, device="meta"), nobody(2).to("meta"))
    assert made.shape == (2, 3, 16, 16)
    assert critic(made, nobody(2).to("meta")).score.shape == (2,)


@component(source="a test")
class FullNorm:
    @hookimpl
    def make_norm(self):
        return Full()


class Full(nn.Module):
    def forward(self, maps):
        return maps.float()


def test_both_players_mix_levels_in_half_precision_where_a_norm_computes_in_full():
    net, critic = players(growth=0.5, beside=[FullNorm()])
    with torch.autocast("cpu", torch.bfloat16):
        assert features(critic, make(net)).isfinite().all()


def test_a_gradient_penalty_can_be_taken_through_the_critic_while_a_level_fades_in():
    _, critic = players(growth=0.5)
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(images, nobody(2)).score.sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert critic.body.readers[1][0].weight.grad.abs().max() > 0


def test_channels_double_with_each_smaller_level_up_to_the_limit():
    gan = train(
        Progressive(width=3, limit=10),
        ProgressiveCritic(width=3, limit=10),
        data=some_data((3, 32, 32)),
    ).context
    painters, readers = gan.gan.generator.network.painters, gan.gan.critic.network.body.readers
    assert [each[0].in_channels for each in painters] == [10, 10, 6, 3]
    assert [each[0].out_channels for each in readers] == [10, 10, 6, 3]


@component(source="a test")
class BatchNorms:
    @hookimpl
    def make_norm(self, channels, role):
        return nn.BatchNorm2d(channels)


def test_norms_of_levels_to_come_keep_their_statistics():
    training = play(beside=[BatchNorms()], steps_per_level=5)
    training.train_step()
    for net in growing(training.context.gan.generator.network) + growing(
        training.context.gan.critic.network
    ):
        counts = [
            [int(x.num_batches_tracked) for x in b.modules() if isinstance(x, nn.BatchNorm2d)]
            for b in net.blocks
        ]
        assert min(counts[0]) > 0
        assert set(sum(counts[1:], [])) == {0}


# ── company ───────────────────────────────────────────────────────────────────────────────────────


def rules_of(*components, tags=("data.images",)):
    chosen = [Component(type(each).__name__, "gen", each) for each in components]
    return check_rules(chosen, tags, False, lambda tag: True)


def test_both_together_are_fine():
    assert rules_of(Progressive(), ProgressiveCritic()) == ()


def test_progressive_refuses_a_critic_that_does_not_grow_and_names_the_one_that_does():
    with pytest.raises(CompositionError, match="coarse pixels") as caught:
        rules_of(Progressive(), StandIn())
    assert caught.value.fix == "--critic progressive-critic"


def test_progressive_critic_says_that_nothing_makes_it_grow():
    (note,) = rules_of(ProgressiveCritic(), StandInLoss())
    assert "--gen progressive" in note


@pytest.mark.parametrize("pair", [(Progressive(), ProgressiveCritic()), (ProgressiveCritic(),)])
def test_points_are_refused(pair):
    with pytest.raises(CompositionError, match="it doubles height and width"):
        rules_of(*pair, tags=("data.points",))

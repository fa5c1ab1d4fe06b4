import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_networks.blocks import Bias
from gan_plugin_networks.dcgan import DCGAN, DCGANCritic
from gancore import CompositionError, component, hookimpl
from gancore.testing import StandIn, StandInLoss, check_component, some_data, train

SIZES = [(28, 28), (48, 32), (32, 48), (64, 64), (100, 100), (30, 50), (256, 256)]


@component(source="a test")
class BatchNorms:
    @hookimpl
    def make_norm(self, channels):
        return nn.BatchNorm2d(channels)


@component(source="a test")
class Fourfold:
    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        return nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False)


@component(source="a test")
class Fivefold:
    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        return nn.ConvTranspose2d(channels_in, channels_out, 5, 2, 2, output_padding=1, bias=False)


def play(*components, shape=(3, 32, 32), latent=3, upsampler=Fourfold):
    """Both players; what is not among the components is the plainest stand-in."""
    stand_ins = [StandIn(dim=latent), StandInLoss()]
    return train(
        *components, upsampler(), data=some_data(shape, (), 4), batch=2, stand_ins=stand_ins
    ).context.gan


def make(net, n=2, latent=3):
    return net(torch.randn(n, latent), torch.empty(n, 0, dtype=torch.int64))


def judge(critic, *shape):
    return critic(torch.rand(shape) * 2 - 1, torch.empty(shape[0], 0, dtype=torch.int64))


def scores_of(critic, images):
    return critic(images, torch.empty(len(images), 0, dtype=torch.int64)).score


def count(net):
    return sum(weight.numel() for weight in net.parameters())


def kinds(net, *wanted):
    return [type(each) for each in net.modules() if isinstance(each, wanted)]


def stages(critic, shape):
    """The shape of each map of the critic's body, as its activations give it."""
    found = []
    for each in critic.body.modules():
        if isinstance(each, nn.LeakyReLU | nn.ReLU):
            each.register_forward_hook(
                lambda layer, given, made: found.append(tuple(made.shape[1:]))
            )
    judge(critic, 2, *shape)
    return found


@pytest.mark.parametrize("cls", [DCGAN, DCGANCritic])
def test_dcgan_conforms(cls):
    check_component(cls, width=4)


@pytest.mark.parametrize(
    ("width", "latent", "weights"), [(64, 100, 3_576_704), (128, 16, 11_282_176)]
)
def test_the_generator_has_the_published_number_of_weights(width, latent, weights):
    net = DCGAN(width=width, bias=False)
    gan = play(net, BatchNorms(), shape=(3, 64, 64), latent=latent)
    assert count(gan.generator.network) == weights


def test_the_critic_has_the_published_number_of_weights_with_batch_norm():
    critic = DCGANCritic(bias=False)
    assert count(play(critic, BatchNorms(), shape=(3, 64, 64)).critic.network) == 2_765_568


def test_the_critic_has_the_published_number_of_weights_without_norm():
    assert count(play(DCGANCritic(), shape=(3, 64, 64)).critic.network) == 2_764_736


@component(source="a test")
class NoNorms:
    @hookimpl
    def make_norm(self):
        return nn.Identity()


def shift_all(net):
    """Set every bias and shift to 1, as training moves them away from 0."""
    for name, weight in net.named_parameters():
        if name.endswith("bias"):
            nn.init.ones_(weight)


@pytest.mark.parametrize("side", [8, 32])
def test_a_critic_without_norm_is_not_homogeneous(side):
    """Else t·x has t times the score of x, and a generator is taught to draw fainter images."""
    critic = play(DCGANCritic(width=4), NoNorms(), shape=(3, side, side)).critic.network
    shift_all(critic)
    images = torch.rand(4, 3, side, side)
    twice = scores_of(critic, 2 * images) - scores_of(critic, torch.zeros_like(images))
    once = scores_of(critic, images) - scores_of(critic, torch.zeros_like(images))
    assert scores_of(critic, torch.zeros_like(images)).abs().min() > 0
    assert not torch.allclose(twice, 2 * once)


def test_a_generator_without_norm_is_not_homogeneous():
    net = play(DCGAN(width=4), NoNorms()).generator.network
    shift_all(net)
    nothing = net(torch.zeros(1, 3), torch.empty(1, 0, dtype=torch.int64))
    assert nothing.abs().min() > 0


def biased(net):
    """The kinds of layers that have a bias, in order."""
    return [type(each) for each in net.modules() if getattr(each, "bias", None) is not None]


def test_only_layers_that_no_norm_follows_have_a_bias():
    gan = play(DCGAN(width=4), DCGANCritic(width=4), BatchNorms())
    norms = [nn.BatchNorm2d] * 3
    assert biased(gan.generator.network) == [*norms, Bias]
    assert biased(gan.critic.network) == [nn.Conv2d, *norms[1:]]


def test_without_the_option_norms_alone_have_a_bias_as_in_the_example_of_pytorch():
    gan = play(DCGAN(width=4, bias=False), DCGANCritic(width=4, bias=False), BatchNorms())
    for net in (gan.generator.network, gan.critic.network):
        assert set(biased(net)) == {nn.BatchNorm2d}


def test_a_critic_with_batch_norm_sees_contrast_by_the_bias_of_its_first_layer():
    """Without it a batch of fainter images has the same scores, so samples may stay faint."""
    images = torch.rand(16, 3, 32, 32) * 2 - 1
    for bias in (False, True):
        critic = play(DCGANCritic(width=4, bias=bias), BatchNorms()).critic.network
        shift_all(critic)
        faint = scores_of(critic, images / 2)
        assert torch.allclose(faint, scores_of(critic, images), atol=1e-2) != bias


@every_row("size", SIZES)
def test_make_generator_gives_every_size_exactly(size):
    assert make(play(DCGAN(width=2), shape=(3, *size)).generator.network).shape == (2, 3, *size)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_generator_gives_as_many_channels_as_the_data_has(channels):
    assert (
        make(play(DCGAN(width=2), shape=(channels, 32, 32)).generator.network).shape[1] == channels
    )


@every_row(
    ("size", "least"),
    [((28, 28), (7, 7)), ((48, 32), (6, 4)), ((100, 100), (6, 6)), ((30, 50), (3, 6))],
)
def test_make_critic_halves_both_sides_rounding_down(size, least):
    critic = play(DCGANCritic(width=2), shape=(3, *size)).critic.network
    features = critic.body(torch.zeros(2, 3, *size), torch.empty(2, 0, dtype=torch.int64))
    assert features.shape[2:] == least


@every_row("kernel", range(3, 10))
def test_every_kernel_halves_alike(kernel):
    critic = play(DCGANCritic(width=2, kernel=kernel), shape=(3, 64, 64)).critic.network
    assert judge(critic, 2, 3, 64, 64).features.shape == (2, 16 * 4 * 4)


def test_make_score_gives_one_number_a_sample_without_bias():
    critic = play(DCGANCritic(width=2)).critic.network
    assert judge(critic, 5, 3, 32, 32).score.shape == (5,)
    assert critic.score.bias is None


def test_images_lie_between_minus_one_and_one():
    net = play(DCGAN(width=4)).generator.network
    assert net(1e4 * torch.randn(4, 3), torch.empty(4, 0, dtype=torch.int64)).abs().max() <= 1


def test_one_sample_alone_can_be_drawn_in_evaluation_mode():
    net = play(DCGAN(width=4), BatchNorms()).generator.network.eval()
    assert make(net, 1).shape == (1, 3, 32, 32)


def test_one_sample_alone_can_be_judged_in_evaluation_mode():
    critic = play(DCGANCritic(width=4), BatchNorms()).critic.network.eval()
    assert judge(critic, 1, 3, 32, 32).score.shape == (1,)


def test_every_hidden_map_of_the_generator_has_a_norm_and_the_image_has_none():
    net = play(DCGAN(width=4), BatchNorms(), shape=(3, 64, 64)).generator.network
    assert [norm.num_features for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)] == [
        32,
        16,
        8,
        4,
    ]


def test_the_first_layer_of_the_critic_has_no_norm():
    net = play(DCGANCritic(width=4), BatchNorms(), shape=(3, 64, 64)).critic.network
    assert [norm.num_features for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)] == [
        8,
        16,
        32,
    ]


def test_no_map_has_more_channels_than_the_limit():
    gan = play(DCGAN(width=4, limit=10), DCGANCritic(width=4, limit=10), shape=(3, 64, 64))
    convs = [each for each in gan.critic.network.modules() if isinstance(each, nn.Conv2d)]
    ups = [each for each in gan.generator.network.modules() if isinstance(each, nn.ConvTranspose2d)]
    assert [each.out_channels for each in convs] == [4, 8, 10, 10]
    assert [each.in_channels for each in ups] == [10, 10, 8, 4]


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("leaky", nn.LeakyReLU)])
def test_the_activation_is_the_one_chosen(activation, kind):
    net = play(DCGAN(width=4, activation=activation)).generator.network
    assert sum(isinstance(module, kind) for module in net.modules()) == 3


def test_the_slope_is_that_of_every_activation_of_the_critic():
    net = play(DCGANCritic(width=4, slope=0.3)).critic.network
    assert {
        module.negative_slope for module in net.modules() if isinstance(module, nn.LeakyReLU)
    } == {0.3}


# ── other shapes of the two players ───────────────────────────────────────────────────────────────

GUIDE = {"widths": (256, 256, 128, 64), "final": "conv", "norm_after_activation": True}


def test_dcgan_of_stated_widths_conforms():
    check_component(DCGAN, widths=(8, 4, 4), final="conv", norm_after_activation=True)


def test_dcgan_critic_of_stated_widths_conforms():
    more = {
        "downsample": "max-pool",
        "activation": "relu",
        "norm_first": True,
        "norm_after_activation": True,
    }
    check_component(DCGANCritic, widths=(4, 8), kernel=5, **more)


def test_the_guides_generator_has_its_published_number_of_weights():
    net = play(
        DCGAN(**GUIDE, final_kernel=5), BatchNorms(), latent=100, upsampler=Fivefold
    ).generator.network
    assert count(net) == 3_082_307


def test_the_guides_critic_has_its_published_number_of_weights_but_for_the_bias_of_its_score():
    critic = DCGANCritic(widths=(64, 128, 256), kernel=5, norm_first=True)
    assert count(play(critic, BatchNorms()).critic.network) == 1_033_793 - 1


def test_widths_are_the_channels_of_the_hidden_maps_of_both_players():
    gan = play(DCGAN(widths=(7, 6, 5)), DCGANCritic(widths=(2, 5, 3)), BatchNorms())
    ups = [each for each in gan.generator.network.modules() if isinstance(each, nn.ConvTranspose2d)]
    convs = [each for each in gan.critic.network.modules() if isinstance(each, nn.Conv2d)]
    assert [(each.in_channels, each.out_channels) for each in ups] == [(7, 6), (6, 5), (5, 3)]
    assert [(each.in_channels, each.out_channels) for each in convs] == [(3, 2), (2, 5), (5, 3)]


@pytest.mark.parametrize("final", ["upsample", "conv"])
def test_widths_equal_to_those_of_width_change_no_bit(final):
    stated = (16, 8, 4) if final == "upsample" else (32, 16, 8, 4)
    nets = [
        play(DCGAN(final=final, **more)).generator.network
        for more in ({"width": 4}, {"widths": stated})
    ]
    assert all(map(torch.equal, *(net.parameters() for net in nets)))


def test_widths_of_the_critic_equal_to_those_of_width_change_no_bit():
    nets = [
        play(DCGANCritic(**more)).critic.network for more in ({"width": 4}, {"widths": (4, 8, 16)})
    ]
    assert all(map(torch.equal, *(net.parameters() for net in nets)))


@every_row(
    ("size", "maps", "seed"),
    [((32, 32), 3, (4, 4)), ((32, 32), 4, (2, 2)), ((28, 28), 2, (7, 7)), ((30, 50), 3, (4, 7))],
)
def test_the_number_of_widths_is_the_number_of_doublings(size, maps, seed):
    net = play(DCGAN(widths=(4,) * maps), shape=(3, *size)).generator.network
    assert net.seed == (4, *seed)
    assert make(net).shape == (2, 3, *size)


@every_row("size", SIZES)
@every_row("kernel", [1, 3, 5])
def test_a_last_convolution_gives_every_size_exactly(size, kernel):
    net = play(
        DCGAN(width=2, final="conv", final_kernel=kernel), shape=(3, *size)
    ).generator.network
    made = make(net)
    assert made.shape == (2, 3, *size)
    assert made.abs().max() <= 1


def test_a_last_convolution_reads_a_hidden_map_of_full_size():
    net = play(DCGAN(widths=(7, 6, 5, 4), final="conv")).generator.network
    last = net.blocks[-2]
    assert (last.in_channels, last.out_channels, last.kernel_size, last.stride) == (
        4,
        3,
        (3, 3),
        (1, 1),
    )
    assert net.seed == (7, 4, 4)


@pytest.mark.parametrize(("final", "most"), [("upsample", 4), ("conv", 5)])
def test_widths_that_need_a_seed_under_two_pixels_are_refused(final, most):
    play(DCGAN(widths=(2,) * most, final=final))
    with pytest.raises(CompositionError, match=f"room for {most} in 32×32"):
        play(DCGAN(widths=(2,) * (most + 1), final=final))


@every_row("kernel", range(3, 10))
def test_more_halvings_than_pixels_are_refused(kernel):
    play(DCGANCritic(widths=(2,) * 4, kernel=kernel), shape=(3, 28, 16))
    with pytest.raises(CompositionError, match="room for 4 in 28×16"):
        play(DCGANCritic(widths=(2,) * 5, kernel=kernel), shape=(3, 28, 16))


@every_row("cls", [DCGAN, DCGANCritic])
@every_row("after", [False, True])
def test_norms_stand_before_or_behind_activations(cls, after):
    gan = play(
        cls(
            width=4,
            norm_after_activation=after,
            **({"norm_first": True} if cls is DCGANCritic else {}),
        ),
        BatchNorms(),
    )
    net = gan.generator.network if cls is DCGAN else gan.critic.network
    found = kinds(net, nn.BatchNorm2d, nn.ReLU, nn.LeakyReLU)
    assert [kind is nn.BatchNorm2d for kind in found] == [not after, after] * 3


def test_norm_first_gives_every_layer_of_the_critic_a_norm():
    net = play(
        DCGANCritic(width=4, norm_first=True), BatchNorms(), shape=(3, 64, 64)
    ).critic.network
    assert [norm.num_features for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)] == [
        4,
        8,
        16,
        32,
    ]


def test_the_critic_may_have_plain_rectifiers():
    assert (
        kinds(play(DCGANCritic(width=4, activation="relu")).critic.network, nn.ReLU, nn.LeakyReLU)
        == [nn.ReLU] * 3
    )


@every_row("size", [(32, 32), (28, 28), (30, 50), (25, 19)])
@every_row("kernel", [3, 4, 5, 7])
def test_max_pooling_and_striding_give_the_same_shapes_at_each_stage(size, kernel):
    shape = (3, *size)
    found = [
        stages(
            play(DCGANCritic(width=2, kernel=kernel, downsample=way), shape=shape).critic.network,
            shape,
        )
        for way in ("stride", "max-pool")
    ]
    assert found[0] == found[1]
    assert len(found[0]) >= 2


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_striding_keeps_the_first_of_the_answers_of_which_max_pooling_keeps_the_largest(kernel):
    strided, pooled = (
        play(DCGANCritic(widths=(5,), kernel=kernel, downsample=way)).critic.network.body
        for way in ("stride", "max-pool")
    )
    pooled.load_state_dict(strided.state_dict())
    images, nobody = torch.randn(2, 3, 32, 32), torch.empty(2, 0, dtype=torch.int64)
    every = pooled.layers[0](images)
    assert torch.allclose(strided.layers[0](images), every[..., ::2, ::2], atol=1e-6)
    assert (pooled(images, nobody) >= strided(images, nobody) - 1e-6).all()


@every_row("size", [(7, 7), (1, 1), (7, 100), (8, 4)])
def test_images_under_8_pixels_are_refused_by_each_player_with_what_fits(size):
    for player in (DCGAN(), DCGANCritic()):
        with pytest.raises(
            CompositionError, match=f"at least 8 pixels a side, but these have {size[0]}×{size[1]}"
        ):
            play(player, shape=(3, *size))


def test_images_of_7_pixels_train_where_the_widths_are_stated():
    gan = play(DCGAN(widths=(8,)), DCGANCritic(widths=(8, 8)), shape=(3, 7, 7))
    assert make(gan.generator.network).shape == (2, 3, 7, 7)
    assert judge(gan.critic.network, 2, 3, 7, 7).score.shape == (2,)

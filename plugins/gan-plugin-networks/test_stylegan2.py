"""Facts about StyleGAN2's networks and its path length."""

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn import functional

from gan_plugin_networks.path_length import PathLength
from gan_plugin_networks.stylegan2 import (
    EqualConv,
    EqualLinear,
    Modulated,
    StyleGAN2Lite,
    StyleGAN2LiteCritic,
    activate,
)
from gancore import CompositionError, Sample, component, compose, hookimpl
from gancore.testing import StandIn, StandInLoss, check_component, some_batch, some_data, train

SMALL = {"width": 4, "limit": 8}
TINY = {**SMALL, "style": 8}
STILL = {"noise": False, "mixing": 0.0}
NO_LABELS = torch.empty(2, 0, dtype=torch.int64)


def random(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def generator(size=(16, 16), **options):
    stand_ins = [StandIn(dim=3), StandInLoss()]
    data = some_data((3, *size), (), 4)
    one = train(StyleGAN2Lite(**{**TINY, **options}), data=data, batch=2, stand_ins=stand_ins)
    return one.context.gan.generator.network


def test_stylegan2_conforms():
    check_component(StyleGAN2Lite, **TINY, **STILL)


def test_stylegan2_with_noise_and_mixing_conforms():
    # each process draws noise and mixes styles for its own rows, by design
    check_component(StyleGAN2Lite, **TINY, without=["processes"])


def test_stylegan2_critic_conforms():
    check_component(StyleGAN2LiteCritic, **SMALL)


def test_path_length_conforms():
    check_component(PathLength, every=1, beside=[StyleGAN2Lite(**TINY, **STILL)])


@every_row("size", [(8, 8), (28, 28), (48, 32), (17, 30)])
def test_every_size_is_exact(size):
    made = generator(size)(torch.randn(2, 3), NO_LABELS)
    assert made.images.shape == (2, 3, *size)
    assert made.extras["styles"].shape[::2] == (2, 8)


@every_row("double", [False, True])
def test_a_modulated_convolution_has_for_each_sample_the_kernel_of_the_paper(double):
    torch.manual_seed(0)
    layer = Modulated(3, 5, 4, double=double).double()
    maps, w = random(2, 3, 6, 6), random(2, 4, seed=1)
    made = layer(maps, w)
    for n in range(2):
        kernel = layer.style(w)[n][None, :, None, None] * layer.weight * layer.gain
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        each = maps[n : n + 1]
        if double:
            each = functional.interpolate(each, scale_factor=2)
        assert torch.allclose(made[n : n + 1], functional.conv2d(each, kernel, padding=1))


def test_demodulated_maps_do_not_depend_on_the_size_of_the_style():
    torch.manual_seed(0)
    layer = Modulated(3, 5, 4).double()
    nn.init.zeros_(layer.style.bias)  # so that the scales are linear in w
    maps, w = random(2, 3, 6, 6), random(2, 4, seed=1)
    # eps is 1e-8 beside squares of about 0.1
    assert torch.allclose(layer(maps, 3 * w), layer(maps, w), rtol=1e-5)


def test_equalised_layers_preserve_the_variance_of_normal_inputs():
    torch.manual_seed(0)
    dense = EqualLinear(256, 4096)(torch.randn(4, 256))
    convolved = EqualConv(64, 256, 3)(torch.randn(2, 64, 8, 8))[..., 1:-1, 1:-1]
    # the relative error of a variance of n normal numbers is √(2/n), here under 2 %
    assert dense.var().item() == pytest.approx(1, rel=0.1)
    assert convolved.var().item() == pytest.approx(1, rel=0.1)


def test_the_activation_keeps_half_the_mean_square_of_each_sign_times_two():
    values = torch.tensor([-2.0, 3.0])
    assert torch.allclose(activate(values), 2**0.5 * torch.tensor([-0.4, 3.0]))


def test_a_multiple_of_a_latent_gives_the_same_image():
    net = generator(**STILL)
    z = torch.randn(2, 3)
    assert torch.allclose(net(5 * z, NO_LABELS).images, net(z, NO_LABELS).images, atol=1e-5)


def test_in_training_styles_are_mixed_and_in_evaluation_not():
    net = generator(size=(32, 32), mixing=1.0, noise=False)
    z = torch.randn(2, 3)
    plain = net.styles(z)
    styles = net(z, NO_LABELS).extras["styles"]
    assert torch.equal(styles[:, 0], plain)
    for n in range(2):  # from some size on, the style of the sample before
        same = [torch.allclose(each, plain[n]) for each in styles[n]]
        other = [torch.allclose(each, plain[n - 1]) for each in styles[n]]
        assert same == sorted(same, reverse=True)
        assert [not each for each in same] == other
    still = net.eval()(z, NO_LABELS).extras["styles"]
    assert torch.equal(still, plain[:, None].expand_as(still))


def test_in_evaluation_a_sample_depends_on_its_latent_alone():
    net = generator(mixing=1.0).eval()
    for each in net.modules():
        if hasattr(each, "strength"):
            nn.init.ones_(each.strength)
    z = torch.randn(2, 3)
    assert torch.equal(net(z, NO_LABELS).images, net(z, NO_LABELS).images)


# ── path length ───────────────────────────────────────────────────────────────────────────────────


class Linear(nn.Module):
    """Images `[N, 1, 2, 2]` that are a matrix times each of two equal styles `[N, 3]`, averaged."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.matrix = nn.Parameter(torch.randn(3, 4))

    def forward(self, z, labels):
        styles = z[:, None].expand(-1, 2, -1) * 1.0
        if torch.is_grad_enabled() and not styles.requires_grad:
            styles.requires_grad_()
        return Sample((styles.mean(1) @ self.matrix).view(-1, 1, 2, 2), {"styles": styles})


@component(source="a test", provides=["generator.styles"])
class Linearly:
    """A generator whose Jacobian is known."""

    @hookimpl
    def make_generator(self):
        return Linear()


def lengths_of(penalty, batch, step=0):
    """Return the terms of a step, for random numbers of a fixed seed, and what it logs."""
    figures = {}
    rng = torch.Generator().manual_seed(0)
    return penalty.generator_terms(batch, step, rng, figures.__setitem__), figures


def linear_batch(penalty):
    one = train(Linearly(), penalty, data=some_data((1, 2, 2), (), 8), batch=8)
    return some_batch(one, "generator")


def test_the_path_length_of_a_linear_generator_is_the_norm_of_its_transpose_times_the_noise():
    penalty = PathLength(share=1, decay=0.25, every=4, weight=3.0)
    batch = linear_batch(penalty)
    found = penalty.lengths(batch, torch.Generator().manual_seed(0))
    noise = torch.randn(8, 1, 2, 2, generator=torch.Generator().manual_seed(0)) / 2
    matrix = batch.gan.generator.network.matrix
    # each of the two styles has half the derivative; squares are averaged over both
    wanted = (noise.flatten(1) @ matrix.T / 2).norm(dim=1)
    assert torch.allclose(found, wanted, rtol=1e-4)


def test_the_penalty_is_that_of_lengths_from_their_running_mean():
    penalty = PathLength(share=1, decay=0.25, every=4, weight=3.0)
    batch = linear_batch(penalty)
    lengths = penalty.lengths(batch, torch.Generator().manual_seed(0)).detach()
    terms, figures = lengths_of(penalty, batch)
    mean = 0.25 * lengths.mean()  # it starts at 0
    assert terms["penalty"].item() == pytest.approx(12 * (lengths - mean).square().mean().item())
    assert figures["length"] == lengths.mean()
    assert penalty.mean == mean


def test_steps_in_between_have_no_term():
    penalty = PathLength(every=4)
    assert lengths_of(penalty, None, step=3) == (None, {})


def test_path_length_without_styles_is_refused():
    with pytest.raises(CompositionError, match="styles that the generator returns"):
        compose(reg=["path-length"], settings={"device": "cpu"})

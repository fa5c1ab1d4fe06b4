"""The cheap route to gradients of scores by their input gives what double backward gives, and does
less for it.
"""

from collections import Counter
from functools import partial

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import every_row
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from gancore import compose, input_gradients
from gancore.train.data import open_data
from gancore.train.loop import Training

torch.set_num_threads(1)
CLOSE = (
    1e-13  # of the largest number of a tensor, in float64; each is a sum of some thousand products
)


def plain(function, inputs):
    """The gradient as everyone writes it."""
    inputs = inputs.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(inputs).sum(), inputs, create_graph=True)
    return gradient


def penalty(gradients):
    return (torch.linalg.vector_norm(gradients.flatten(1), dim=1) - 1).square().mean()


def weight_gradients(how, critic, inputs):
    """The gradient by the inputs, then those by the weights of a function of it; 0 where torch
    gives None.
    """
    weights = [weight for weight in critic.parameters() if weight.requires_grad]
    gradient = how(critic, inputs)
    found = torch.autograd.grad(penalty(gradient), weights, allow_unused=True)
    return [
        gradient.detach(),
        *(
            torch.zeros_like(w) if each is None else each
            for w, each in zip(weights, found, strict=True)
        ),
    ]


def assert_alike(found, wanted, bound=CLOSE):
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= bound * other.abs().max().clamp_min(1)


class Residual(nn.Module):
    """A block that adds, and whose rectifier writes in place what the sum then reads."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.Conv2d(channels, channels, 1),
        )
        self.active = nn.ReLU(inplace=True)

    def forward(self, maps):
        maps = maps * 1.5
        active = self.active(maps)
        return maps + self.second(functional.relu_(self.first(active)))


class Made(nn.Module):
    """A convolution whose weight another layer makes of the sample, as in dynamic filters."""

    def __init__(self):
        super().__init__()
        self.make, self.conv = nn.Linear(3, 4 * 3 * 3 * 3), nn.Conv2d(4, 1, 3)

    def forward(self, images):
        weight = self.make(images.mean((0, 2, 3))).reshape(4, 3, 3, 3)
        return self.conv(
            functional.leaky_relu(
                torch.conv2d(images, weight, images.mean((0, 2, 3)).repeat(2)[:4])
            )
        )


class Correlated(nn.Module):
    """A convolution of the images with the images."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.weight * torch.conv2d(images, images, padding=1).square().mean()


class EveryWay(nn.Module):
    """Each spelling of the rectifiers, and a slope under 0."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=[2], padding=(1,))

    def forward(self, images):
        maps = torch.conv2d(
            input=images, weight=self.conv.weight, stride=2, padding=1, bias=self.conv.bias
        )
        parts = [
            torch.relu(maps), maps.relu(), (maps * 1).relu_(), torch.relu_(maps * 2), functional.relu(maps),
            functional.leaky_relu(maps, 0.3), functional.leaky_relu(maps, negative_slope=0.1),
            functional.leaky_relu_(maps * 3, 0.2), functional.leaky_relu(maps, -0.5), functional.leaky_relu(maps),
            functional.leaky_relu(maps * 2, 0.4, True), functional.leaky_relu(maps * 2, inplace=True),
            functional.conv2d(maps[0], self.conv.weight[:, :1].repeat(1, 8, 1, 1))[None].mean() * maps,
        ]  # fmt: skip
        return torch.stack(
            [k * part.square().mean((1, 2, 3)) for k, part in enumerate(parts, 1)]
        ).sum(0)


def chain(width=4):
    layers, leaky = [], partial(nn.LeakyReLU, 0.2)
    for before, after in ((3, width), (width, 2 * width), (2 * width, 3 * width)):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), leaky()]
    return nn.Sequential(*layers, nn.Conv2d(3 * width, 1, 2, bias=False), nn.Flatten(0))


def conv(*given, **options):
    return nn.Sequential(nn.Conv2d(*given, **options), nn.LeakyReLU(0.2))


def scored(*layers):
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(1))


CRITICS = {
    "chain": (chain, (16, 16)),
    "residual with biases and odd sides": (
        lambda: scored(conv(3, 4, 3, 2, 1), Residual(4), conv(4, 6, 4, (2, 3), (1, 2)), Residual(6)), (15, 17),
    ),
    "group norm and tanh": (
        lambda: scored(conv(3, 4, 4, 2, 1), nn.GroupNorm(1, 4), nn.Conv2d(4, 6, 3), nn.Tanh(), conv(6, 6, 3)), (14, 11),
    ),
    "batch norm": (lambda: scored(conv(3, 4, 4, 2, 1), nn.BatchNorm2d(4), conv(4, 6, 3), nn.BatchNorm2d(6)), (9, 12)),
    "dilation, groups and padding by name": (
        lambda: scored(conv(3, 6, 3, dilation=2), conv(6, 6, 3, groups=3), conv(6, 4, 3, padding="same"), nn.SiLU(),
                       conv(4, 4, 3, padding="valid"), conv(4, 4, 3, padding=1, padding_mode="reflect")), (13, 13),
    ),
    "max pool, transposed, other activations": (
        lambda: scored(conv(3, 4, 3, 1, 1), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 4, 3, 2), nn.PReLU(), nn.ELU(),
                       conv(4, 4, 3), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.ReLU6(), nn.Hardtanh()), (8, 10),
    ),
    "spectral norm": (lambda: scored(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3, 2)).eval(), nn.ReLU()),
                      (9, 9)),
    "frozen weights": (lambda: scored(conv(3, 4, 3).requires_grad_(False), conv(4, 4, 3)), (8, 8)),
    "a weight made of the sample": (Made, (8, 8)),
    "images that are a weight": (Correlated, (6, 6)),
    "every way to rectify": (EveryWay, (7, 8)),
}  # fmt: skip


def prepared(name):
    make, size = CRITICS[name]
    torch.manual_seed(0)
    critic, images = make().double(), torch.randn(3, 3, *size, dtype=torch.double)
    critic(images)  # counts the features of a lazy layer
    return critic, images


@every_row("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels last"])
@every_row("name", CRITICS)
def test_slopes_and_what_is_derived_from_them_equal_double_backward(name, layout):
    critic, images = prepared(name)
    critic, images = critic.to(memory_format=layout), images.to(memory_format=layout)
    assert_alike(*(weight_gradients(how, critic, images) for how in (input_gradients, plain)))


@every_row("name", ["chain", "group norm and tanh", "a weight made of the sample"])
def test_slopes_can_be_differentiated_a_third_time(name):
    critic, images = prepared(name)
    weights = list(critic.parameters())

    def third(how):
        asked = torch.autograd.grad(
            penalty(how(critic, images)), weights, create_graph=True, allow_unused=True
        )
        total = sum(
            each.square().sum() for each in asked if each is not None and each.requires_grad
        )
        found = torch.autograd.grad(total, weights, allow_unused=True)
        return [
            torch.zeros_like(w) if each is None else each
            for w, each in zip(weights, found, strict=True)
        ]

    assert_alike(third(input_gradients), third(plain))


def test_slopes_of_a_perceptron_on_points_equal_double_backward():
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)
    ).double()
    points = torch.randn(16, 2, dtype=torch.double)
    assert_alike(*(weight_gradients(how, critic, points) for how in (input_gradients, plain)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kernel=st.tuples(*[st.integers(1, 5)] * 2), stride=st.tuples(*[st.integers(1, 4)] * 2),
    padding=st.tuples(*[st.integers(0, 3)] * 2), more=st.tuples(*[st.integers(0, 7)] * 2), bias=st.booleans(),
)  # fmt: skip
def test_a_convolution_of_any_kernel_stride_padding_and_side_has_its_slopes(
    kernel, stride, padding, more, bias
):
    layer = nn.Conv2d(2, 3, kernel, stride, padding, bias=bias).double()
    images = torch.randn(
        2, 2, *(k + each for k, each in zip(kernel, more, strict=True)), dtype=torch.double
    )
    assert_alike(
        *(
            weight_gradients(how, nn.Sequential(layer, nn.LeakyReLU(), nn.Tanh()), images)
            for how in (input_gradients, plain)
        )
    )


@pytest.mark.usefixtures("float64")
def test_three_steps_of_training_end_at_the_weights_of_double_backward(monkeypatch):
    import gan_plugin_gradient_penalty.gradient_penalty

    def weights(how):
        monkeypatch.setattr(gan_plugin_gradient_penalty.gradient_penalty, "input_gradients", how)
        composition = compose(
            loss="wgan-gp", gen_optim="sgd", critic_optim="sgd", critic_norm="none",
            options={"dcgan.width": 4, "dcgan-critic.width": 4, "sprites.count": 40, "sgd.lr": 0.05},
            settings={"batch": 8},
        )  # fmt: skip
        data = open_data(composition)
        data = evolve(data, samples=data.samples.double().div(127.5).sub(1))
        training = Training.of(composition, data)
        for player in (training.context.gan.generator, training.context.gan.critic):
            player.network.double()
        start = training.context.gan.critic.network.score.weight.detach().clone()
        for _ in range(3):
            training.train_step()
        assert not torch.equal(start, training.context.gan.critic.network.score.weight)
        return [
            tensor
            for player in ("generator", "critic")
            for tensor in training.context.gan.player(player).parameters
        ]

    assert_alike(weights(input_gradients), weights(plain), bound=1e-12)


# ── what is computed ──────────────────────────────────────────────────────────────────────────────


class Counted(TorchDispatchMode):
    """Counts the convolutions that run, forward and backward."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        name = called.overloadpacket.__name__
        if name == "convolution":
            self.calls["transposed" if args[6] else "plain"] += 1
        elif name == "convolution_backward":
            self.calls.update({"backward": 1, "by input": args[-1][0], "by weight": args[-1][1]})
        return called(*args, **(kwargs or {}))


def convolutions(how, critic, images):
    with Counted() as counted:
        torch.autograd.backward(penalty(how(critic, images)), inputs=list(critic.parameters()))
    return dict(counted.calls)


def test_a_penalty_on_four_convolutions_runs_fifteen_where_double_backward_runs_twentyone():
    critic, images = prepared("chain")
    # forward 4, their slopes 4, and of the slopes 3 gradients by what came from above and 4 by
    # weights
    assert convolutions(input_gradients, critic, images) == {
        "plain": 4, "transposed": 4, "backward": 4, "by input": 3, "by weight": 4,
    }  # fmt: skip
    # four in the slopes; then zeros go down through the lower three
    assert convolutions(plain, critic, images) == {
        "plain": 12,
        "backward": 4 + 3,
        "by input": 6,
        "by weight": 3,
    }


def test_convolutions_below_a_norm_or_a_curve_are_walked_through_once_more_but_not_into_the_images():
    critic, images = prepared("group norm and tanh")
    # the third convolution lies above the tanh; the first one's gradient by the images is wanted by
    # nobody
    assert convolutions(input_gradients, critic, images) == {
        "plain": 3, "transposed": 3, "backward": 3 + 2, "by input": 3 + 1, "by weight": 3 + 2,
    }  # fmt: skip
    assert convolutions(plain, critic, images) == {
        "plain": 9,
        "backward": 6,
        "by input": 5,
        "by weight": 3,
    }


# ── precision, compilation, manners ───────────────────────────────────────────────────────────────


@every_row("name", CRITICS)
def test_slopes_under_autocast_are_finite_and_as_near_to_float32_as_double_backward(name):
    critic, images = prepared(name)
    critic, images = critic.float(), images.float()
    weights = [weight for weight in critic.parameters() if weight.requires_grad]
    whole = plain(critic, images)
    with torch.autocast("cpu", torch.bfloat16):
        gradient, other = input_gradients(critic, images), plain(critic, images)
        term = penalty(gradient)
    found = torch.autograd.grad(term, weights, allow_unused=True)
    assert all(
        each is None or (each.isfinite().all() and each.dtype == torch.float32) for each in found
    )
    assert gradient.dtype is torch.float32
    assert (gradient - whole).norm() <= 1.5 * (other - whole).norm() + 1e-3 * whole.norm()


def test_slopes_in_a_block_without_autocast_are_those_in_float32():
    critic, images = prepared("chain")
    critic, images = critic.float(), images.float()
    with torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", enabled=False):
        found = input_gradients(critic, images)
    assert torch.equal(found, input_gradients(critic, images))


def test_a_float64_convolution_stays_float64_under_autocast():
    critic, images = prepared("chain")
    with torch.autocast("cpu", torch.bfloat16):
        assert_alike([input_gradients(critic, images)], [plain(critic, images)])


def test_slopes_of_a_compiled_critic_are_those_of_the_critic():
    critic, images = prepared("chain")
    wanted = weight_gradients(plain, critic, images)
    critic.compile(backend="aot_eager")
    critic(images).sum().backward()  # compiled by now
    assert_alike(weight_gradients(input_gradients, critic, images), wanted)
    with pytest.raises(
        RuntimeError, match="double backward"
    ):  # of compiled code, so the fact above is one
        weight_gradients(plain, critic, images)


def test_the_inputs_are_left_as_they_are():
    critic, images = prepared("chain")
    input_gradients(critic, images)
    assert not images.requires_grad
    images.requires_grad_()
    penalty(input_gradients(critic, images)).backward()
    assert images.grad is None


def test_a_function_that_fails_leaves_convolutions_as_they_were():
    critic, images = prepared("chain")

    def fails(views):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        input_gradients(fails, images)
    with Counted() as counted:
        torch.autograd.grad(critic(images).sum(), critic[0].weight)
    assert counted.calls["transposed"] == 0

"""Samples: the same pictures for the same seed, by the network that every component had its part
in.
"""

import random
from copy import deepcopy

import pytest
import torch
from attrs import evolve
from support import noise_layer_component
from support.example_components import Average
from torch import nn

from gancore import PluginError, component, compose, evaluating, hookimpl, option
from gancore.run.loop import Run
from gancore.testing import train
from gancore.train.progress import Progress
from gancore.train.sampling import draw_samples, sampling_network

SMALL = {"sprites.count": 24, "dcgan.width": 4, "dcgan-critic.width": 4}


@pytest.fixture(scope="module")
def noisy_run(tmp_path_factory):
    """A short run whose generator draws noise in its forward pass."""
    folder = tmp_path_factory.mktemp("noisy")
    settings = {"batch": 8, "size": "16", "steps": 2, "device": "cpu", "save_every": 1}
    chosen = compose(reg=[noise_layer_component.__file__], settings=settings, options=SMALL)
    Run.start(chosen, folder / "run").fit()
    return folder / "run"


def load(folder):
    return Run.load(folder, device="cpu", files=lambda _: True)


def test_a_generator_that_draws_noise_makes_the_same_pictures_for_the_same_seed(noisy_run):
    torch.manual_seed(1)
    run = load(noisy_run)
    first = run.sample(24, seed=3)[0]
    torch.manual_seed(2)
    assert torch.equal(first, run.sample(24, seed=3)[0])
    assert torch.equal(first, load(noisy_run).sample(24, seed=3)[0])
    assert not torch.equal(first, run.sample(24, seed=4)[0])


def test_the_noise_of_a_sample_depends_neither_on_how_many_are_drawn_nor_on_the_batch(noisy_run):
    run = load(noisy_run)
    many = run.sample(40, seed=3)[0]
    assert torch.allclose(run.sample(12, seed=3)[0], many[:12], atol=1e-6)
    context = run.training.context
    run.training.context = evolve(context, plan=evolve(context.plan, batch=7))
    assert torch.allclose(run.sample(40, seed=3)[0], many, atol=1e-6)


def test_no_two_samples_of_a_drawing_wear_the_same_noise():
    context = train(noise_layer_component.NoiseLayers()).context
    z = torch.zeros(40, context.plan.latent)
    made = Progress(context, 0, 0.0).make(z, torch.zeros(40, 1, dtype=torch.int64)).images
    assert len({tuple(image.flatten().tolist()) for image in made}) == 40


def test_grids_figures_and_judgements_repeat_themselves_and_leave_the_global_numbers_alone():
    training = train(noise_layer_component.NoiseLayers())
    progress = Progress(training.context, 0, 0.0)
    z = progress.latents(5)
    labels = torch.zeros(5, 1, dtype=torch.int64)
    numbers, other = torch.get_rng_state(), random.getstate()

    def drawn():
        grid = draw_samples(training.context, 5, "grid", labels=labels)[0]
        return [grid, progress.samples(5)[0], progress.make(z, labels).images]

    first = drawn()
    torch.rand(3)
    again = drawn()
    assert all(map(torch.equal, first, again))
    assert random.getstate() == other
    torch.set_rng_state(numbers)
    progress.judge(*progress.reals(5))
    drawn()
    assert torch.equal(torch.get_rng_state(), numbers)


def test_drawing_samples_changes_no_bit_of_a_training_whose_generator_draws():
    trainings = [
        train(noise_layer_component.NoiseLayers()),
        train(noise_layer_component.NoiseLayers()),
    ]
    for _ in range(3):
        for training in trainings:
            training.train_step()
        draw_samples(trainings[0].context, 5, "grid")
    pairs = [training.context.gan.generator.parameters for training in trainings]
    assert all(map(torch.equal, *pairs))


# ── several components and one network ────────────────────────────────────────────────────────────


class Truncated(nn.Module):
    def __init__(self, net, bound):
        super().__init__()
        self.net, self.bound = net, bound

    def forward(self, z, labels):
        return self.net(z.clamp(-self.bound, self.bound), labels)


@component(source="Brock et al., ICLR 2019, arXiv:1809.11096, section 3.1")
class Truncation:
    """Sample from latents cut to [-bound, bound]; training does not see it."""

    bound: float = option(0.5, gt=0, help="largest |z| of a sample, in standard deviations")

    @hookimpl
    def sampling_generator(self, net):
        return Truncated(net, self.bound)


@component(source="a test")
class Forgetful:
    """Return a network of its own and drop the one it is given."""

    @hookimpl
    def sampling_generator(self, net):
        return nn.Flatten()


def test_a_network_has_its_modes_back_after_evaluation_even_where_it_raises():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Sequential(nn.ReLU()))
    net[2].eval()
    modes = [module.training for module in net.modules()]
    with evaluating(net):
        assert not any(module.training for module in net.modules())
        assert not net(torch.zeros(1, 2)).requires_grad
    assert [module.training for module in net.modules()] == modes
    with pytest.raises(ZeroDivisionError), evaluating(net):
        raise ZeroDivisionError
    assert [module.training for module in net.modules()] == modes


@pytest.mark.parametrize("truncation_first", [False, True])
def test_averaged_weights_and_truncated_latents_both_act_in_either_order(truncation_first):
    average, truncation = Average(), Truncation(bound=0.1)
    components = [truncation, average] if truncation_first else [average, truncation]
    training = train(*components)
    training.train_step()
    training.train_step()
    context = training.context
    plain = deepcopy(context.gan.generator.network).eval()
    plain.load_state_dict(average.mean)
    z, labels = torch.randn(4, 3), torch.zeros(4, 1, dtype=torch.int64)
    with torch.no_grad():
        wanted = plain(z.clamp(-0.1, 0.1), labels)
    assert torch.equal(Progress(context, 2, 0.0).make(z, labels).images, wanted)
    assert not torch.equal(context.gan.generator.network.eval()(z.clamp(-0.1, 0.1), labels), wanted)


def test_a_component_that_drops_the_network_of_another_is_refused_by_name():
    context = train(Truncation(), Forgetful()).context
    with pytest.raises(PluginError) as caught:
        draw_samples(context, 4, "x")
    assert "forgetful.sampling_generator drops the network that truncation returned" in str(
        caught.value
    )
    assert "tryfirst" in caught.value.fix


def test_a_component_that_is_asked_first_may_return_any_network():
    assert isinstance(sampling_network(train(Forgetful()).context), nn.Flatten)

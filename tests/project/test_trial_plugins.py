"""Three plugins as a stranger would write them: public names alone, and the kit passes them."""

import torch
from support.paths import ROOT
from torch import nn

import gancore
from gancore import component, compose, conflicts, hookimpl, option, state
from gancore.testing import check_component, train


@component(source="a trial: Karras et al., ICLR 2018, appendix A.1, against a moving target")
class SteadyScores:
    """Keep the mean score of reals near its moving average: weight · (mean s_r - m)²."""

    weight: float = option(0.1, ge=0, help="factor of the squared distance")
    average: float = option(0.9, ge=0, lt=1, help="share of the old average kept in each update")
    mean: torch.Tensor | None = state()

    @hookimpl
    def critic_terms(self, batch, log):
        if batch.real is None:
            return None
        score = gancore.average(batch.real.score.mean())
        target = score.detach() if self.mean is None else self.mean.to(score.device)
        self.mean = self.average * target + (1 - self.average) * score.detach()
        log("target", target)
        return {"steady": self.weight * (score - target).square()}


@component(
    source="a trial: a bounded version of Arjovsky and Bottou, ICLR 2017, arXiv:1701.04862",
    provides=["critic.view-augmented"],
    rules=[
        conflicts(
            "critic.gradient-penalty",
            "the penalty would be taken at points that no sample can be",
            fix="leave out the penalty",
        )
    ],
)
class UniformNoise:
    """Add noise uniform on [-width, width] to everything that the critic is given."""

    width: float = option(0.1, ge=0, help="half width, in units of the image range [-1, 1]")

    @hookimpl
    def critic_view(self, images, rng):
        noise = gancore.draw_rows(torch.rand, images.shape, rng)
        return images + self.width * (2 * noise - 1)


class ByClass(nn.Module):
    """Instance norm with a gain and a shift for each class, of the labels of the current call."""

    def __init__(self, channels, classes, column):
        super().__init__()
        self.column = column
        self.gain = nn.Embedding(classes, channels)
        self.shift = nn.Embedding(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.shift.weight)
        self.labels = None

    def forward(self, maps):
        over = tuple(range(2, maps.dim()))
        centred = maps - maps.mean(over, keepdim=True)
        normal = centred * (centred.square().mean(over, keepdim=True) + 1e-5).rsqrt()
        shape = (*maps.shape[:2], *[1] * len(over))
        index = self.labels[:, self.column]
        return self.gain(index).view(shape) * normal + self.shift(index).view(shape)


class WithLabels(nn.Module):
    """Give the labels of a call to each norm by class inside the generator."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, labels):
        for module in self.net.modules():
            if isinstance(module, ByClass):
                module.labels = labels
        return self.net(z, labels)


@component(source="a trial: Dumoulin, Shlens and Kudlur, ICLR 2017, arXiv:1610.07629")
class NormByClass:
    """Instance norm of the generator whose gain and shift are those of the class."""

    labels: str = option("", help="label set to condition on; empty: the first")

    @hookimpl
    def make_norm(self, channels, role, plan):
        if role != "generator":
            return None
        column = plan.column(self.labels)
        return ByClass(channels, len(plan.label_sets[column].classes), column)

    @hookimpl
    def adapt_generator(self, net):
        return WithLabels(net)


def test_the_kit_passes_a_term_that_keeps_state():
    check_component(SteadyScores)


def test_a_kept_mean_is_that_of_the_last_update_where_nothing_is_averaged():
    steady = SteadyScores(average=0.0)
    training = train(steady)
    training.train_step()
    kept = steady.mean
    figures = training.train_step()
    assert torch.equal(figures["critic/steady-scores/target"], kept)
    assert not torch.equal(steady.mean, kept)


def test_the_kit_passes_a_view_with_a_rule():
    check_component(UniformNoise)


def test_the_rule_of_a_trial_plugin_refuses_its_company(gan_here):
    path = f"{ROOT / 'tests' / 'project' / 'test_trial_plugins.py'}:UniformNoise"
    small = ("--size", "16", "--steps", "1", "--dry-run")
    said = gan_here("run", "--loss", "wgan-gp", "--reg", path, *small, check=2).stderr
    assert "the penalty would be taken at points that no sample can be" in said
    assert "fix: leave out the penalty" in said
    gan_here("run", "--loss", "bce", "--reg", path, *small)


def test_a_norm_by_class_draws_by_the_label():
    small = {"sprites.count": 32, "dcgan.width": 4, "dcgan-critic.width": 4}
    file = f"{ROOT / 'tests' / 'project' / 'test_trial_plugins.py'}:NormByClass"
    settings = {"size": "16", "batch": 8}
    training = gancore.Training.of(compose(gen_norm=file, options=small, settings=settings))
    for _ in range(2):
        training.train_step()
    z = torch.randn(2, training.context.plan.inputs)
    labels = torch.zeros(2, len(training.context.plan.label_sets), dtype=torch.int64)
    net = training.context.gan.generator.network
    assert not torch.equal(net(z, labels).detach(), net(z, labels + 1).detach())


def test_the_trial_plugins_use_public_names_alone():
    text = (ROOT / "tests" / "project" / "test_trial_plugins.py").read_text()
    imported = {
        line.removeprefix("from ").partition(" import ")[0]
        for line in text.splitlines()
        if line.startswith("from gancore")
    }
    assert imported == {"gancore", "gancore.testing"}

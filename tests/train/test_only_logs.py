"""A component that only logs changes no bit of a training, whatever it reads and whatever networks
it runs.
"""

import pytest
import torch
from torch import nn

from gancore import component, hookimpl, option
from gancore.testing import StandIn, StandInLoss, capture, some_batch, train
from gancore.train.plan import Update
from gancore.train.progress import Progress
from gancore.train.rng import fork_state
from gancore.train.sampling import draw_samples


@component(source="a test")
class Moving:
    """Give both players dropout and layers whose buffers move in training."""

    @hookimpl
    def make_norm(self, channels, plan):
        norm = nn.BatchNorm2d(channels) if plan.images else nn.BatchNorm1d(channels)
        return nn.Sequential(norm, nn.Dropout(0.3))

    @hookimpl
    def adapt_critic(self, net):
        nn.utils.parametrizations.spectral_norm(net.score)
        nn.utils.parametrizations.spectral_norm(net.body.layers[0])

    @hookimpl
    def adapt_generator(self, net):
        nn.utils.parametrizations.spectral_norm(net.project)


@component(source="a test")
class Penalty:
    """Add a term from a pass of its own, so that a weight's gradient has three parts whose order
    counts.
    """

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is None:
            return None
        between = (batch.real.view + batch.fake.view) / 2
        return {"it": batch.critic(between, batch.fake.labels).score.square().mean()}

    @hookimpl
    def generator_terms(self, batch):
        z = batch.fake.z.flip(0)
        return {"it": batch.generator(z, batch.fake.labels).images.square().mean()}


@component(source="a test")
class Curious:
    """Read both sides, run both networks and draw from torch's global generator wherever a hook
    can.
    """

    reversed: bool = option(False, help="true reads the fakes first")

    def look(self, batch):
        torch.rand(7)
        sides = [side for side in (batch.real, batch.fake) if side is not None]
        for side in reversed(sides) if self.reversed else sides:
            side.score.sum().item()
            batch.critic(side.apply_view(side.images), side.labels)
        batch.generator(torch.randn(len(batch.fake.labels), batch.plan.inputs), batch.fake.labels)

    @hookimpl
    def critic_terms(self, batch, log):
        self.look(batch)
        log("features", batch.fake.features.mean())

    @hookimpl
    def generator_terms(self, batch, log):
        self.look(batch)
        log("features", batch.fake.features.mean())

    @hookimpl
    def after_critic_update(self, batch):
        self.look(batch)

    @hookimpl
    def after_generator_update(self, batch):
        self.look(batch)

    @hookimpl
    def after_step(self, gan):
        z = torch.randn(4, 3)
        labels = torch.zeros(4, 1, dtype=torch.int64)
        with (
            fork_state(gan.generator.network, gan.device),
            fork_state(gan.critic.network, gan.device),
        ):
            gan.critic.network(gan.generator.network(z, labels), labels)

    @hookimpl
    def measure(self, progress):
        images, labels = progress.samples(5)
        return {"score": progress.judge(images, labels).score.mean()}


@component(source="a test", provides=["loss.test"])
class FakesAlone:
    """Score the fakes alone, so that nobody but the component that logs reads the reals."""

    @hookimpl
    def critic_terms(self, batch):
        return {"fake": batch.fake.score.square().mean()}

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": (batch.fake.score - 1).square().mean()}


@component(source="a test")
class Often:
    """Make every kind of update."""

    @hookimpl
    def schedule(self):
        kinds = [Update(role) for role in ("critic", "both", "in-turn", "generator")]
        return [*kinds, Update("critic", reals=False)]


def advanced(*components, steps=3):
    training = train(*components)
    for _ in range(steps):
        training.train_step()
        progress = Progress(training.context, training.step, training.epoch)
        training.context.hooks.all("measure", progress=progress, rng=lambda name: torch.Generator())
        draw_samples(training.context, 5, "grid")
    return capture(training)


def differing(one, other):
    """Names of the tensors of the two networks and their optimisers that are not the same bits."""
    return [
        f"{part}: {name}"
        for part, tensors in one.files.items()
        for name, tensor in tensors.items()
        if not torch.equal(tensor, other.files[part][name])
    ]


LOSSES = {"both-sides": StandInLoss, "fakes-alone": FakesAlone}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fakes_first", [False, True])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_component_that_only_logs_changes_no_bit(loss, fakes_first, place):
    others = [Moving(), Often(), Penalty(), LOSSES[loss]()]
    curious = Curious(reversed=fakes_first)
    with_it = [curious, *others] if place == "first" else [*others, curious]
    assert not differing(advanced(*others), advanced(*with_it))


def test_an_extra_pass_moves_buffers_only_where_it_says_so():
    batch = some_batch(train(Moving()))
    before = [buffer.clone() for buffer in batch.gan.critic.network.buffers()]
    batch.critic(batch.real.view, batch.real.labels)
    assert all(map(torch.equal, before, batch.gan.critic.network.buffers()))
    batch.critic(batch.real.view, batch.real.labels, update_buffers=True)
    assert not all(map(torch.equal, before, batch.gan.critic.network.buffers()))


def test_extra_passes_of_one_component_draw_numbers_of_their_own_and_repeat_them():
    def scores(batch):
        return [batch.critic(batch.real.view, batch.real.labels).score for _ in range(2)]

    first, again = (scores(some_batch(train(Moving()))) for _ in range(2))
    assert not torch.equal(*first)
    assert all(map(torch.equal, first, again))


def test_a_pass_that_leaves_no_trace_keeps_the_graph_of_the_pass_before():
    network = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), nn.BatchNorm1d(4)
    )
    made = network(torch.randn(5, 3))
    before = [buffer.clone() for buffer in network.buffers()]
    numbers = torch.get_rng_state()
    with fork_state(network, torch.device("cpu")):
        again = network(torch.randn(5, 3))
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(map(torch.equal, before, network.buffers()))
    (made.square().sum() + again.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_dropout_draws_other_numbers_for_each_update_and_each_side():
    masks = []

    @component(source="a test")
    class Masks:
        """Keep what dropout makes of ones."""

        @hookimpl
        def adapt_critic(self, net):
            dropout = nn.Dropout(0.5)
            net.body.register_forward_hook(lambda *_: masks.append(dropout(torch.ones(64))))
            net.body.add_module("dropout", dropout)

    training = train(Masks(), StandIn(), StandInLoss(), stand_ins=[])
    training.train_step()
    training.train_step()
    assert len(masks) == 6 == len({tuple(mask.tolist()) for mask in masks})

"""Small components for tests: one of each kind of answer, so that every hook is seen at work."""

import time
from pathlib import Path

import torch
from torch import nn

from gancore import Head, StoredData, Tail, cached, component, hookimpl, option, state

SOURCE = "a companion for tests"


@component(source=SOURCE)
class Shift:
    """Add `by` to everything the critic sees."""

    by: float = option(1.0, help="what is added")

    @hookimpl
    def critic_view(self, images):
        return images + self.by


@component(source=SOURCE)
class Scale:
    """Multiply everything the critic sees by `by`."""

    by: float = option(2.0, help="the factor")

    @hookimpl
    def critic_view(self, images):
        return images * self.by


@component(source=SOURCE)
class Noise:
    """Add noise to the view, independent or shared by both sides."""

    shared: bool = option(False, help="whether reals and fakes wear the same noise")

    @hookimpl
    def critic_view(self, images, rng, shared_rng):
        chosen = shared_rng if self.shared else rng
        return images + torch.randn(images.shape, generator=chosen, device=chosen.device)


@component(source=SOURCE)
class Packing:
    """Show the critic m samples at once, side by side in the channels."""

    m: int = option(2, ge=1, help="samples in a pack")

    @hookimpl
    def critic_shape(self, shape):
        return (self.m * shape[0], *shape[1:])

    @hookimpl
    def critic_view(self, images):
        return images.reshape(len(images) // self.m, -1, *images.shape[2:])


@component(source=SOURCE)
class Smoothing:
    """Lower the targets of reals."""

    @hookimpl
    def critic_targets(self, targets, real):
        return 0.9 * targets if real else None


@component(source=SOURCE)
class TopHalf:
    """Keep the better scored half of the fakes in the generator's update."""

    @hookimpl
    def sample_weights(self, weights, batch):
        kept = batch.fake.score.detach().argsort(descending=True)[: len(weights) // 2]
        return torch.zeros_like(weights).index_fill(0, kept, 2.0)


@component(source=SOURCE, provides=["loss.relative-scores"])
class Relativistic:
    """Read the reals' scores in both updates."""

    @hookimpl
    def critic_terms(self, batch):
        return {"gap": (batch.fake.score - batch.real.score).mean()}

    @hookimpl
    def generator_terms(self, batch):
        return {"gap": (batch.real.score - batch.fake.score).mean()}


@component(source=SOURCE)
class Encoder:
    """Give the generator's player one more network, which learns to find z again."""

    @hookimpl
    def extend_player(self, role, plan):
        return {"encoder": nn.Linear(plan.shape[0], plan.latent)} if role == "generator" else None

    @hookimpl
    def generator_terms(self, batch):
        encoder = batch.gan.player("generator").extras["encoder"]
        return {
            "found": (encoder(batch.fake.images.flatten(2).mean(2)) - batch.fake.z).square().mean()
        }


@component(source=SOURCE)
class Codes:
    """Own two columns of the latent, as codes of ±1."""

    @hookimpl
    def latent_width(self):
        return 2

    @hookimpl
    def draw_latent(self, n, rng):
        return torch.randint(0, 2, (n, 2), generator=rng) * 2.0 - 1


@component(source=SOURCE)
class Bias:
    """A tail of one constant feature, and a head `score` that adds one."""

    @hookimpl
    def extend_critic(self, features):
        return [Tail(nn.ConstantPad1d((0, 1), 3.0), 1), Head("score", _One())]


class _One(nn.Module):
    def forward(self, features, labels):
        return torch.ones(len(features))


@component(source=SOURCE)
class Doubled:
    """Show each sample of the data twice an epoch."""

    @hookimpl
    def adapt_data(self, data):
        twice = torch.arange(len(data)).repeat(2)
        return StoredData(data.samples[twice], data.labels[twice], data.label_sets)


@component(source=SOURCE)
class Average:
    """Sample from the mean of the generator's weights over the updates."""

    seen: int = state(0)
    mean: dict = state(factory=dict)

    @hookimpl
    def after_generator_update(self, gan):
        self.seen += 1
        for name, weight in gan.generator.state_dict().items():
            old = self.mean.get(name, torch.zeros_like(weight))
            self.mean[name] = old + (weight - old) / self.seen

    @hookimpl(tryfirst=True)
    def sampling_generator(self, net):
        from copy import deepcopy

        average = deepcopy(net)
        average.load_state_dict(self.mean)
        return average


@component(source=SOURCE)
class Diary:
    """Write down every hook that merely happens, and answer those that may end or skip something."""

    skip: str = option("", help="the player whose updates are skipped")
    until: int = option(0, help="the step after which the run ends; 0 never")
    happened: list = cached(factory=list)

    @hookimpl
    def before_step(self, step):
        self.happened.append(("before", step))

    @hookimpl
    def after_critic_update(self, step):
        self.happened.append(("critic", step))

    @hookimpl
    def after_generator_update(self, step):
        self.happened.append(("generator", step))

    @hookimpl
    def after_step(self, step):
        self.happened.append(("after", step))

    @hookimpl
    def skip_update(self, role):
        return role == self.skip

    @hookimpl
    def learning_rate(self, rate, step):
        return rate / (1 + step)

    @hookimpl
    def measure(self, progress):
        samples, _ = progress.samples(6)
        return {"spread": samples.std(), "step": progress.step}

    @hookimpl
    def record(self, row):
        self.happened.append(("row", row["step"]))
        return f"row {row['step']} was written"

    @hookimpl
    def draw(self, progress, folder):
        (folder / f"drawn-{progress.step}.txt").write_text("a picture")

    @hookimpl
    def stop(self, row):
        return "it was long enough" if self.until and row["step"] >= self.until else None

    @hookimpl
    def select_samples(self, images, z, labels):
        best = images.flatten(1).mean(1).argsort()[: len(images) // 2]
        return images[best], z[best], labels[best]


@component(source=SOURCE)
class Jump:
    """Multiply both players' learning rates from a step on, as a schedule gone wrong would."""

    at: int = option(150, ge=0, help="the step")
    factor: float = option(100.0, gt=0, help="the factor")

    @hookimpl
    def learning_rate(self, rate, step):
        return rate * self.factor if step >= self.at else rate


@component(source=SOURCE)
class Lone:
    """Leave the generator's updates out."""

    @hookimpl
    def adapt_schedule(self, updates):
        return [each for each in updates if each.role == "critic"]


@component(source=SOURCE)
class Unlucky:
    """Fail in one way at one step, where a random number says so."""

    how: str = option(
        "term",
        choices=("term", "gradient", "weight", "buffer", "error", "memory", "still"),
        help="how",
    )
    at: int = option(3, ge=0, help="the step")
    chance: float = option(1.0, gt=0, le=1, help="the probability of failing")
    struck: bool = cached(False)

    @hookimpl
    def critic_fakes(self, step, rng):
        self.struck = step == self.at and float(torch.rand((), generator=rng)) < self.chance
        if self.struck and self.how == "error":
            raise KeyError("out of luck")
        if self.struck and self.how == "memory":
            torch.empty(1 << 50)
        if self.struck and self.how == "still":
            Path("still").touch()
            time.sleep(3600)

    @hookimpl
    def critic_terms(self, batch):
        if self.struck and self.how in ("term", "gradient"):
            nothing = batch.fake.score.mean() * 0
            return {"luck": nothing * torch.nan if self.how == "term" else nothing.abs().sqrt()}
        return None

    @hookimpl
    def after_critic_update(self, gan):
        if self.struck and self.how in ("weight", "buffer"):
            tensors = dict(gan.critic.network.named_parameters())
            if self.how == "buffer":
                tensors = {
                    name: each
                    for name, each in gan.generator.network.named_buffers()
                    if "running" in name
                }
            next(iter(tensors.values())).fill_(torch.nan)

"""The kit calls every hook that a component has, and says so where it cannot."""

import pytest
import torch
from attrs import evolve
from support.bad_plugins import bad
from torch import nn

from gancore import Head, option
from gancore.plugins.component import SPECS
from gancore.testing import checks
from gancore.testing.stand_ins import StandIn, StandInLoss
from gancore.testing.subject import Subject
from gancore.testing.trainings import some_data
from gancore.train.plan import Update


class Score(nn.Linear):
    def __init__(self, features):
        super().__init__(features, 1)


class Zero(nn.Module):
    def forward(self, features, labels):
        return features[:, 0] * 0


PLAIN = StandIn()
LOSS = StandInLoss()

# a valid answer of every hook: what it is given, or what the stand-ins answer
ANSWERS = {
    "recognizes": lambda self, path: 0,
    "make_data": lambda self: some_data(),
    "describe_data": lambda self: {"files": 3},
    "chosen_size": lambda self: (8, 12),
    "adapt_data": lambda self, data: data,
    "latent_width": lambda self: 3,
    "draw_latent": lambda self, n, rng: torch.randn(n, 3, generator=rng),
    "draw_labels": lambda self, n, plan: torch.zeros(n, len(plan.label_sets), dtype=torch.int64),
    "view_labels": lambda self: [],
    "generator_inputs": lambda self: 0,
    "critic_shape": lambda self, shape: shape,
    "make_generator": lambda self, plan: PLAIN.make_generator(plan),
    "make_upsample": lambda self, channels_in, channels_out, plan: PLAIN.make_upsample(
        channels_in, channels_out, plan
    ),
    "make_norm": lambda self, channels: nn.Identity(),
    "make_critic": lambda self, plan: PLAIN.make_critic(plan),
    "make_score": lambda self, features: Score(features),
    "extend_critic": lambda self: Head("zero", Zero()),
    "extend_player": lambda self, role: {f"own-{role}": nn.Linear(1, 1)},
    "adapt_generator": lambda self, net: net,
    "adapt_critic": lambda self, net: net,
    "initialize": lambda self: None,
    "schedule": lambda self: [Update("critic"), Update("generator")],
    "adapt_schedule": lambda self, updates: updates,
    "make_optimizer": lambda self, params: PLAIN.make_optimizer(params),
    "adapt_optimizer": lambda self, optimizer: optimizer,
    "learning_rate": lambda self, rate: rate,
    "before_step": lambda self: None,
    "adapt_gradients": lambda self: None,
    "skip_update": lambda self: False,
    "after_critic_update": lambda self: None,
    "after_generator_update": lambda self: None,
    "after_step": lambda self: None,
    "critic_fakes": lambda self, images, labels: (images, labels),
    "critic_reals": lambda self, images, labels: (images, labels),
    "critic_view": lambda self, images: images,
    "critic_targets": lambda self, targets: targets,
    "sample_weights": lambda self, weights: weights,
    "critic_terms": lambda self, batch: LOSS.critic_terms(batch),
    "adapt_terms": lambda self, terms: terms,
    "generator_terms": lambda self, batch: LOSS.generator_terms(batch),
    "sampling_generator": lambda self, net: net,
    "select_samples": lambda self, images, z, labels: (images, z, labels),
    "measure": lambda self: {"one": 1.0},
    "record": lambda self, folder: None,
    "draw": lambda self: None,
    "stop": lambda self: None,
}


def test_the_kit_calls_every_hook_there_is():
    hooks = {name: ANSWERS[name] for name in SPECS}  # KeyError: give a new hook an answer here
    path = option("", help="what a reader is given")
    checks.check_component(bad(**hooks, fields={"path": (str, path)}))


def test_the_kit_says_that_a_view_changed_nothing_in_its_short_training():
    (said,) = checks.check_component(bad(critic_view=ANSWERS["critic_view"]))
    assert said.startswith("what critic_view does: it changed nothing in any call")
    assert checks.check_component(bad(critic_view=lambda self, images: 0.9 * images)) == []


def called(**members):
    subject = Subject(bad(**members))
    for name in ("training", "records", "calls"):
        checks.run_check(name, subject)
    return subject.called


@pytest.mark.parametrize("loss", [False, True], ids=["beside-a-loss", "as-the-loss"])
def test_targets_and_weights_are_asked_for_whatever_the_loss_reads(loss):
    hooks = {name: ANSWERS[name] for name in ("critic_targets", "sample_weights")}
    if loss:
        hooks["critic_terms"] = lambda self, batch: {"a": batch.fake.score.mean()}
        hooks["generator_terms"] = lambda self, batch: {"a": -batch.fake.score.mean()}
        hooks["about"] = {"provides": ["loss.own"]}
    assert {"critic_targets", "sample_weights"} <= called(**hooks)


def own_upsample(channels_in, channels_out):
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels_in, channels_out, 1))


def test_an_upsampler_beside_a_generator_of_its_own_is_called_too():
    def no_generator_asks(self, plan):
        return PLAIN.make_generator(evolve(plan, upsample=own_upsample))

    hooks = {"make_generator": no_generator_asks, "make_upsample": ANSWERS["make_upsample"]}
    assert "make_upsample" in called(**hooks)


def test_a_hook_that_is_never_called_is_named(monkeypatch):
    # a hook that no part of the core calls yet
    monkeypatch.setattr(checks.Subject, "hooks", {"draw", "critic_view"})
    with pytest.raises(AssertionError, match="bad.draw is never called, so it is not checked"):
        checks.check_component(bad(critic_view=ANSWERS["critic_view"]))

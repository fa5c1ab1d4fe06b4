"""Gradients by finite differences, what a component costs, and components beside each other."""

import pytest
import torch
from support.bad_plugins import bad
from torch import nn

from gancore import Tail, input_gradients, state
from gancore.testing import (
    Fault,
    StandInLoss,
    check_component,
    check_composes_with,
    check_gradients,
    cost_of,
    some_data,
)


def penalty(self, batch):
    gradient = input_gradients(
        lambda view: batch.critic(view, batch.fake.view_labels).score, batch.fake.view
    )
    return {"penalty": gradient.square().sum((1, 2, 3)).mean()}


def test_a_term_with_a_gradient_of_a_gradient_passes():
    assert check_gradients(lambda: [bad(critic_terms=penalty)()]) == []


def test_the_stand_in_loss_passes_for_samples_of_every_shape():
    for shape in ((2,), (2, 16), (3, 16, 16), (1, 8, 8, 8)):
        assert check_gradients(lambda: [StandInLoss()], data=some_data(shape)) == []


def test_a_component_with_state_is_skipped_with_a_reason():
    made = bad(critic_terms=penalty, fields={"mean": (object, state())})
    assert check_component(made) == ["the gradient of Bad's terms: they may change with its state"]


def test_a_gradient_stopped_on_purpose_is_left_out_by_name():
    def terms(self, batch):
        return {"a": (batch.fake.score * batch.fake.score.detach()).mean()}

    check_component(bad(critic_terms=terms), without=["gradients"])
    with pytest.raises(ValueError, match="no check 'gradient'; checks are help, options"):
        check_component(bad(critic_terms=terms), without=["gradient"])


class Tags(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))

    def forward(self, features):
        return torch.cat([features, features[:, :1] * self.weight.mean()], 1)


def test_the_bytes_that_a_component_keeps_are_those_of_its_weights_and_their_momentum():
    def extend(self, features):
        return Tail(Tags(features), added=1)

    cost = cost_of(bad(extend_critic=extend), steps=2)
    # its 1000 weights, one more column of the score, and a momentum of each, in float32
    assert cost.bytes_kept == 2 * 4 * (1000 + 1)
    assert cost.bytes_made > 4 * 1000


def test_a_component_that_makes_one_tensor_a_step_costs_its_bytes():
    def before_step(self):
        torch.zeros(5000)

    cost = cost_of(bad(before_step=before_step), steps=2)
    assert (cost.bytes_made, cost.bytes_kept) == (20_000, 0)
    assert str(cost).startswith("bad: ")
    assert "+19.5 KiB of tensors made a step, +0 B kept (median of 2 pairs of steps on cpu)" in str(
        cost
    )


def test_sound_components_compose_in_both_orders():
    other = bad(name="Other", critic_view=lambda self, images: 0.5 * images)
    check_composes_with(bad(critic_terms=penalty), [other])


def test_a_pair_that_fails_is_named_in_its_order():
    def doubled(self, images):
        assert images.shape[1] == 3, "images have other channels"
        return images

    packing = bad(
        name="Wide",
        critic_shape=lambda self, shape: (6, *shape[1:]),
        critic_view=lambda self, images: torch.cat([images, images], 1),
    )
    with pytest.raises(Fault, match="Wide before Bad: .* failed in critic_view of bad"):
        check_composes_with(bad(critic_view=doubled), [packing])

"""Facts about the minibatch standard deviation."""

import pytest
import torch
from support.tables import every_row

from gan_plugin_minibatch_discrimination.stddev import Deviation, MinibatchStddev
from gancore import compose
from gancore.testing import StandInLayers, check_component, check_composes_with


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_minibatch_stddev_conforms():
    check_component(MinibatchStddev)
    check_component(MinibatchStddev, group=3)


def test_it_composes_with_layers_of_the_batch():
    check_composes_with(MinibatchStddev, [StandInLayers])


@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_for_identical_samples_it_is_the_root_of_eps(eps):
    features = random(1, 5).expand(8, 5)
    made = Deviation(4, eps)(features)
    assert torch.equal(made[:, :5], features)
    assert torch.allclose(made[:, 5], torch.tensor(eps).double().sqrt())


@every_row(("count", "group"), [(8, 4), (8, 3), (6, 4), (3, 8), (1, 4)])
def test_each_group_has_the_mean_of_its_deviations(count, group):
    features = random(count, 5)
    made = Deviation(group, 1e-8)(features)[:, 5]
    for start in range(0, count, group):
        rows = features[start : start + group]
        wanted = (rows.var(0, correction=0) + 1e-8).sqrt().mean()
        assert torch.allclose(made[start : start + group], wanted)


def test_its_gradients_are_right_twice():
    features = random(4, 3).requires_grad_()
    assert torch.autograd.gradgradcheck(Deviation(2, 1e-8), (features,))


def test_beside_a_penalty_for_each_sample_it_is_noted():
    settings = {"device": "cpu"}
    for reg, noted in ((["minibatch-stddev"], True), ([], False)):
        notes = compose(loss="wgan-gp", reg=reg, settings=settings).notes
        assert any("depends on the other samples" in note for note in notes) == noted

"""Facts about minibatch discrimination."""

import pytest
import torch

from gan_plugin_minibatch_discrimination import MinibatchDiscrimination, MinibatchLayer
from gancore.testing import check_component, some_batch, train

torch.set_num_threads(1)

FEATURES = torch.randn(12, 7, generator=torch.Generator().manual_seed(0))


def layer(features=7, **options):
    torch.manual_seed(0)
    return MinibatchLayer(features, MinibatchDiscrimination(**options))


def test_minibatch_discrimination_conforms():
    check_component(MinibatchDiscrimination, kernels=4, dense="both")


@pytest.mark.parametrize(("dense", "width"), [("none", 7 + 100), ("before", 256 + 100), ("after", 256), ("both", 256)])
def test_width_added_is_the_width_that_comes_out(dense, width):
    tail = MinibatchDiscrimination(dense=dense).extend_critic(7)
    assert tail.module(FEATURES).shape == (12, width)
    assert tail.added == width - 7


def test_dense_layers_may_narrow_the_features():
    tail = MinibatchDiscrimination(dense="both").extend_critic(1000)
    assert tail.added == 256 - 1000


def test_features_pass_unchanged():
    assert torch.equal(layer()(FEATURES)[:, :7], FEATURES)


def test_closeness_equals_the_loop_over_pairs():
    it = layer(kernels=4, dim=3, normalize=False)
    rows = (FEATURES @ it.weight).reshape(12, 4, 3)
    wanted = torch.zeros(12, 4)
    for i in range(12):
        for j in range(12):
            if i != j:
                wanted[i] += (-(rows[i] - rows[j]).abs().sum(1)).exp()
    torch.testing.assert_close(it.closeness(FEATURES), wanted, atol=1e-5, rtol=1e-5)


def test_two_samples_have_the_same_closeness():
    it = layer(normalize=False)
    first, second = it.closeness(FEATURES[:2])
    torch.testing.assert_close(first, second)


def test_closeness_of_two_samples_is_the_exponential_of_their_distance():
    it = layer(kernels=1, dim=5, normalize=False)
    rows = FEATURES[:2] @ it.weight  # one kernel's rows, [2, C]
    torch.testing.assert_close(it.closeness(FEATURES[:2])[0, 0], (-(rows[0] - rows[1]).abs().sum()).exp())


def test_equal_samples_count_each_other_fully():
    assert torch.equal(layer(normalize=False).closeness(FEATURES[:1].expand(12, 7)), torch.full((12, 100), 11.0))


def test_equal_samples_count_themselves_on_request():
    it = layer(normalize=False, include_self=True)
    assert torch.equal(it.closeness(FEATURES[:1].expand(12, 7)), torch.full((12, 100), 12.0))


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("n", [2, 5, 12])
def test_normalized_closeness_of_equal_samples_is_one_in_any_batch(n, include_self):
    it = layer(include_self=include_self)
    assert torch.equal(it.closeness(FEATURES[:1].expand(n, 7)), torch.ones(n, 100))


def test_samples_far_apart_do_not_count():
    assert layer().closeness(1e4 * FEATURES).abs().max() == 0


def test_a_sample_alone_has_closeness_zero():
    assert not layer().closeness(FEATURES[:1]).any()


def test_closeness_lies_between_zero_and_the_number_of_others():
    found = layer(normalize=False).closeness(FEATURES)
    assert ((found >= 0) & (found <= 11)).all()


def test_minibatch_discrimination_commutes_with_permuting_the_batch():
    it, order = layer(), torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(it(FEATURES[order]), it(FEATURES)[order])


def test_one_samples_closeness_depends_on_the_others():
    features = FEATURES.clone().requires_grad_()
    layer().closeness(features)[0].sum().backward()
    assert features.grad[1:].abs().amax(1).min() > 0


def test_first_and_second_derivatives_agree_with_finite_differences():
    it, features = layer(kernels=2, dim=3).double(), FEATURES[:4].double().requires_grad_()
    assert torch.autograd.gradcheck(it, features)
    assert torch.autograd.gradgradcheck(it, features)


def test_weights_are_glorot_uniform():
    weight = layer(400, kernels=100, dim=5).weight
    bound = (6 / (400 + 500)) ** 0.5
    assert weight.abs().max() <= bound
    # of n uniform numbers: variance bound²/3, and its standard error is bound²·√(4/45)/√n
    assert abs(weight.var() - bound**2 / 3) < 4 * bound**2 * (4 / 45) ** 0.5 / weight.numel() ** 0.5


def test_closeness_is_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert layer().closeness(FEATURES).dtype is torch.float32


def test_collapsed_fakes_are_closer_than_reals():
    training = train(MinibatchDiscrimination(kernels=4))
    batch = some_batch(training)
    closeness = training.game.gan.critic.network.parts["minibatch-discrimination-0"][0].closeness
    body = training.game.gan.critic.network.body
    one = batch.fake.images[:1].expand_as(batch.fake.images)
    means = [closeness(body(images, batch.fake.labels).flatten(1)).mean() for images in (one, batch.real.images)]
    assert means[0] > means[1]

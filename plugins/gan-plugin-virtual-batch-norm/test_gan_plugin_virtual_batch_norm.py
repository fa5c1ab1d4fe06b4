"""Facts about virtual batch normalisation."""

import pytest
import torch
from attrs import evolve
from support.tables import every_row
from torch import nn

from gan_plugin_virtual_batch_norm import Referenced, VirtualBatch, VirtualBatchNorm
from gancore import CompositionError, component, hookimpl
from gancore.plugins.calling import Hooks
from gancore.testing import check_component, some_batch, some_data, train

torch.set_num_threads(1)

M, N, C = 6, 4, 3


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(m=M, weight=0.2, eps=1e-5, centre=True):
    """A layer whose γ and β are not the neutral ones."""
    it = VirtualBatchNorm(C, m, eps, weight, centre)
    with torch.no_grad():
        it.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        it.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    return it


def players(**options):
    """Both networks of a game with a small reference, and a batch of its fakes."""
    training = train(VirtualBatch(**{"reference": M, **options}))
    gan, batch = training.context.gan, some_batch(training)
    return gan.generator.network, gan.critic.network, batch


def test_virtual_batch_conforms():
    check_component(VirtualBatch, reference=8)


def test_virtual_batch_with_fixed_labels_conforms():
    check_component(VirtualBatch, reference=8, labels="fixed")


def test_virtual_batch_of_points_conforms():
    check_component(VirtualBatch, reference=8, data=some_data((2,), ()))


@every_row("shape", [(M + N, C, 5, 4), (M + N, C), (2, C, 5, 4), (1, C)])
def test_shape_is_kept_even_of_a_batch_smaller_than_the_reference(shape):
    assert layer()(maps(*shape)).shape == shape


def test_layer_equals_the_formula_with_mean_squares():
    x = maps(M + N, C, 5, 4).double()
    it, c = layer().double(), 0.2
    for i in range(M, M + N):
        for k in range(C):
            mean = c * x[i, k].mean() + (1 - c) * x[:M, k].mean()
            square = c * x[i, k].square().mean() + (1 - c) * x[:M, k].square().mean()
            wanted = it.weight[k] * (x[i, k] - mean) / (square - mean**2 + 1e-5).sqrt() + it.bias[k]
            torch.testing.assert_close(it(x)[i, k], wanted)


def test_without_centre_conforms():
    check_component(VirtualBatch, reference=8, centre=False)


@pytest.mark.parametrize("centre", [True, False])
def test_a_constant_added_to_all_is_taken_away_again_but_without_centre(centre):
    x, it = maps(M + N, C, 5, 4).double(), layer(centre=centre).double()
    assert torch.allclose(it(x + 7), it(x)) == centre


def test_without_centre_only_the_mean_is_left_out_of_the_formula():
    x, it, c = maps(M + N, C, 5, 4).double(), layer(centre=False).double(), 0.2
    for i in (0, M):
        for k in range(C):
            share = c if i == M else 0  # the reference uses its own statistics alone
            mean = share * x[i, k].mean() + (1 - share) * x[:M, k].mean()
            square = share * x[i, k].square().mean() + (1 - share) * x[:M, k].square().mean()
            wanted = it.weight[k] * x[i, k] / (square - mean**2 + 1e-5).sqrt() + it.bias[k]
            torch.testing.assert_close(it(x)[i, k], wanted)


def test_the_layer_is_built_as_the_options_say():
    it = VirtualBatch(weight=0.0, centre=False).make_norm(C)
    assert (it.share, it.centre) == (0.0, False)


def test_share_of_own_statistics_is_one_in_m_plus_one():
    assert VirtualBatch(reference=7).make_norm(C).share == 1 / 8


def test_gradient_of_one_output_with_respect_to_another_input_is_exactly_zero():
    x = maps(M + N, C, 5, 4).requires_grad_()
    layer()(x)[M].square().sum().backward()
    assert x.grad[M].abs().max() > 0
    assert not x.grad[M + 1 :].any()


def test_virtual_batch_norm_of_a_sample_does_not_depend_on_its_neighbours():
    one, other = maps(M + N, C, 5, 4), maps(M + N, C, 5, 4, seed=1)
    other[: M + 1] = one[: M + 1]
    assert torch.equal(layer()(one)[M], layer()(other)[M])


def test_reference_comes_out_with_mean_beta_and_variance_gamma_squared():
    it = layer()
    made = it(maps(M + N, C, 5, 4))[:M]
    torch.testing.assert_close(made.mean((0, 2, 3)), it.bias.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        made.var((0, 2, 3), correction=0), it.weight.detach() ** 2, atol=0, rtol=1e-4
    )


def test_share_zero_equals_batch_norm_in_evaluation_with_the_references_statistics():
    x, it = maps(M + N, C, 5, 4), layer(weight=0.0)
    variance, mean = torch.var_mean(x[:M], (0, 2, 3), correction=0)
    torch.testing.assert_close(
        it(x)[M:], nn.functional.batch_norm(x[M:], mean, variance, it.weight, it.bias)
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_sample_equal_to_the_only_reference_is_instance_normalised(share):
    x, it = maps(1, C, 5, 4), layer(m=1, weight=share)
    wanted = nn.functional.instance_norm(x, weight=it.weight, bias=it.bias)
    torch.testing.assert_close(it(x.expand(2, -1, -1, -1))[1:], wanted)


def test_a_large_mean_does_not_cancel_the_variance():
    # at mean 1000 a mean of squares is 1e6, whose float32 spacing is 0.06: of a variance of 1e-2
    # nothing would be left
    x = 1000 + 0.1 * maps(M + N, C, 16, 16)
    found, wanted = layer()(x), layer().double()(x.double())
    assert (
        found - wanted
    ).abs().max() < 1e-2  # x itself is spaced 6e-5, so (x - μ)/σ is known to about 1e-3


def test_statistics_are_float32_under_half_precision():
    x = maps(M + N, C, 5, 4).bfloat16()
    made = layer()(x)
    assert made.dtype is torch.bfloat16
    assert torch.equal(made, layer()(x.float()).bfloat16())


def test_weights_get_gradients_through_the_reference():
    x = maps(M + N, C, 5, 4).requires_grad_()
    layer()(x)[M:].square().sum().backward()
    assert x.grad[:M].abs().amax((1, 2, 3)).min() > 0


def test_generated_sample_does_not_depend_on_the_other_latents():
    generator, _, batch = players()
    z = batch.fake.z.clone()
    z[1:] = 0
    assert torch.equal(
        generator(z, batch.fake.labels)[0], generator(batch.fake.z, batch.fake.labels)[0]
    )


def test_score_does_not_depend_on_the_other_samples():
    _, critic, batch = players()
    images = batch.real.images.clone()
    images[1:] = 0
    scores = [critic(view, batch.real.labels).score[0] for view in (images, batch.real.images)]
    assert torch.equal(*scores)


def test_gradient_norms_in_a_batch_equal_those_of_single_samples():
    _, critic, batch = players()
    views = batch.real.images.clone().requires_grad_()
    (together,) = torch.autograd.grad(critic(views, batch.real.labels).score.sum(), views)
    for i in range(len(views)):
        (alone,) = torch.autograd.grad(
            critic(views[i : i + 1], batch.real.labels[i : i + 1]).score.sum(), views
        )
        torch.testing.assert_close(together[i], alone[i])


def test_references_are_part_of_the_weights():
    generator, critic, _ = players()
    assert generator.state_dict()["reference"].shape == (M, 3)
    assert critic.state_dict()["body.reference"].shape == (M, 3, 16, 16)


def test_loaded_weights_give_the_same_samples():
    generator, _, batch = players()
    training = train(VirtualBatch(reference=M), seed=5)
    other = training.context.gan.generator.network
    assert not torch.equal(other(batch.fake.z, batch.fake.labels), batch.fake.images)
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other(batch.fake.z, batch.fake.labels), batch.fake.images)


def test_critic_reference_is_real_samples_with_their_own_labels():
    images, labels = some_data().take(torch.arange(40), torch.Generator())
    body = players()[1].body
    for image, label in zip(body.reference, body.labels, strict=True):
        same = (images == image).flatten(1).all(1)
        assert torch.equal(labels[same], label[None])


class Labels(nn.Module):
    """Returns the labels it is given, as samples."""

    def forward(self, z, labels):
        self.seen = labels[:, 0].tolist()
        return z


def test_reference_wears_the_labels_of_the_batch_in_turn():
    net = Labels()
    Referenced(net, torch.zeros(5, 1))(torch.zeros(2, 1), torch.tensor([[7], [8]]))
    assert net.seen == [7, 8, 7, 8, 7, 7, 8]


def test_reference_wears_its_own_labels_when_they_are_fixed():
    net = Labels()
    Referenced(net, torch.zeros(3, 1), torch.tensor([[1], [2], [3]]))(
        torch.zeros(2, 1), torch.tensor([[7], [8]])
    )
    assert net.seen == [1, 2, 3, 7, 8]


def test_columns_appended_by_other_components_reach_the_reference():
    class Widened(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, z, labels):
            return self.net(torch.cat([z, labels.float()], 1), labels)

    @component(source="a test")
    class Appends:
        @hookimpl
        def generator_inputs(self):
            return 1

        @hookimpl
        def adapt_generator(self, net):
            return Widened(net)

    training = train(
        VirtualBatch(reference=M), Appends()
    )  # the norm comes first in the calling order
    training.train_step()
    assert isinstance(training.context.gan.generator.network, Referenced)


def test_a_norm_of_the_generator_alone_leaves_the_critic_as_it_is():
    def generator_only(chosen):
        return Hooks(
            [
                evolve(each, roles=frozenset({"generator"}))
                if each.name == "virtual-batch"
                else each
                for each in chosen
            ]
        )

    gan = train(VirtualBatch(reference=M), hooks=generator_only).context.gan
    assert isinstance(gan.generator.network, Referenced)
    assert not isinstance(gan.critic.network.body, Referenced)


def test_a_critic_that_sees_packs_is_refused():
    @component(source="a test")
    class Packs:
        @hookimpl
        def critic_shape(self, shape):
            return (2 * shape[0], *shape[1:])

    with pytest.raises(CompositionError, match="the critic.s input has shape"):
        train(VirtualBatch(reference=M), Packs())

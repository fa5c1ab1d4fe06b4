"""Facts about minibatch discrimination."""

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.utils._python_dispatch import TorchDispatchMode

from gan_plugin_minibatch_discrimination import (
    MinibatchDiscrimination,
    MinibatchLayer,
    SpatialMinibatch,
)
from gan_plugin_minibatch_discrimination.similarity import similarity
from gancore import CompositionError, component, hookimpl
from gancore.testing import check_component, some_batch, some_data, train

torch.set_num_threads(1)

FEATURES = torch.randn(12, 7, generator=torch.Generator().manual_seed(0))


def layer(features=7, **options):
    torch.manual_seed(0)
    chosen = MinibatchDiscrimination(**options)
    return MinibatchLayer(features, chosen.kernels, chosen.dim, chosen)


@pytest.mark.parametrize("options", [{"kernels": 4, "dense": "both"}, {"spatial": 2}])
def test_minibatch_discrimination_conforms(options):
    check_component(MinibatchDiscrimination, **options)


@every_row(
    ("dense", "width"), [("none", 7 + 100), ("before", 256 + 100), ("after", 256), ("both", 256)]
)
def test_width_added_is_the_width_that_comes_out(dense, width):
    tail, _ = MinibatchDiscrimination(dense=dense).extend_critic(7)
    assert tail.module(FEATURES).shape == (12, width)
    assert tail.added == width - 7


def test_dense_layers_may_narrow_the_features():
    tail, _ = MinibatchDiscrimination(dense="both").extend_critic(1000)
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
    torch.testing.assert_close(
        it.closeness(FEATURES[:2])[0, 0], (-(rows[0] - rows[1]).abs().sum()).exp()
    )


def test_equal_samples_count_each_other_fully():
    assert torch.equal(
        layer(normalize=False).closeness(FEATURES[:1].expand(12, 7)), torch.full((12, 100), 11.0)
    )


def test_equal_samples_count_themselves_on_request():
    it = layer(normalize=False, include_self=True)
    assert torch.equal(it.closeness(FEATURES[:1].expand(12, 7)), torch.full((12, 100), 12.0))


@every_row("include_self", [False, True])
@every_row("n", [2, 5, 12])
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


# ── similarity, of two sets of rows or of one with itself ─────────────────────────────────────────


def rows(n, seed):
    """Rows `[3 kernels, n, 4 numbers]`, of which many are equal, in float64."""
    found = torch.randn(3, n, 4, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    return torch.cat([found.round(), found], 1)[:, n // 2 : n // 2 + n].requires_grad_()


def textbook(x, y):
    return (-(x[:, :, None] - y[:, None]).abs().sum(3)).exp()


SETS = [lambda: (rows(6, 0),) * 2, lambda: (rows(4, 0), rows(6, 1))]


@pytest.mark.parametrize("sets", SETS, ids=["one set", "two sets"])
def test_similarity_and_its_derivatives_equal_those_of_all_differences(sets):
    x, y = sets()
    given = [x] if x is y else [x, y]
    mix = torch.Generator().manual_seed(2)
    found, wanted = [], []
    for function, answers in ((similarity, found), (textbook, wanted)):
        close = function(x, y)
        weights = torch.randn(close.shape, dtype=torch.double, generator=mix.manual_seed(2))
        first = torch.autograd.grad((weights * close).sum(), given, create_graph=True)
        second = torch.autograd.grad(
            sum((each**3).sum() for each in first), given, create_graph=True
        )
        third = torch.autograd.grad(sum(each.square().sum() for each in second), given)
        answers += [close, *first, *second, *third]
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).abs().max() <= 1e-14 * other.abs().max().clamp_min(1)


def test_similarity_to_itself_is_that_to_a_copy_in_value_and_gradient():
    one, x, y = rows(6, 0), rows(6, 0), rows(6, 0)
    found = torch.autograd.grad(similarity(one, one).square().sum(), one)[0]
    parts = torch.autograd.grad(similarity(x, y).square().sum(), [x, y])
    assert torch.equal(similarity(one, one), similarity(x, y))
    torch.testing.assert_close(found, sum(parts), atol=1e-14, rtol=0)


def test_rows_that_are_equal_do_not_pull_at_each_other():
    x = torch.ones(2, 5, 3, requires_grad=True)
    close = similarity(x, x)
    assert torch.equal(close, torch.ones(2, 5, 5))
    assert not torch.autograd.grad(close.sum(), x)[0].any()


def test_first_and_second_derivatives_of_similarity_agree_with_finite_differences():
    x, y = (torch.randn(2, n, 3, dtype=torch.double, requires_grad=True) for n in (3, 4))
    assert torch.autograd.gradcheck(similarity, (x, y))
    assert torch.autograd.gradgradcheck(similarity, (x, y))


def test_similarity_of_transposed_views_is_that_of_their_copies():
    x, y = rows(6, 0), rows(4, 1)
    views = [
        each.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
        for each in (x, y)
    ]
    for found, wanted in ((views, [x, y]), (views[:1] * 2, [x, x])):
        for each in (found, wanted):
            each[0].grad = None
            similarity(*each).square().sum().backward()
        assert torch.equal(found[0].grad, wanted[0].grad)


class Largest(TorchDispatchMode):
    """Remembers the most numbers of any tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        made = called(*args, **(kwargs or {}))
        self.numbers = max(
            self.numbers, *(each.numel() for each in (made, 0) if isinstance(each, torch.Tensor)), 0
        )
        return made


def test_a_pass_and_its_second_derivative_make_no_tensor_larger_than_all_pairs():
    x = torch.randn(3, 20, 7, requires_grad=True)
    with Largest() as largest:
        (pull,) = torch.autograd.grad(similarity(x, x).sum(2).square().sum(), x, create_graph=True)
        pull.square().sum().backward()
    assert largest.numbers == 3 * 20 * 20


def test_a_pass_keeps_no_more_than_its_rows_and_one_number_a_pair():
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    it, features = layer(kernels=4, dim=3), torch.randn(30, 7, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        close = it.closeness(features)
    assert close.requires_grad
    rows, pairs = 4 * 30 * 3, 4 * 30 * 30
    assert sum(kept.values()) == 4 * (features.numel() + it.weight.numel() + rows + pairs)


def test_collapsed_fakes_are_closer_than_reals():
    training = train(MinibatchDiscrimination(kernels=4))
    batch = some_batch(training)
    closeness = training.context.gan.critic.network.parts["minibatch-discrimination-0"][0].closeness
    body = training.context.gan.critic.network.body
    one = batch.fake.images[:1].expand_as(batch.fake.images)
    means = [
        closeness(body(images, batch.fake.labels).flatten(1)).mean()
        for images in (one, batch.real.images)
    ]
    assert means[0] > means[1]


# ── what is logged ────────────────────────────────────────────────────────────────────────────────


@every_row(
    "options", [{"dense": each} for each in ("none", "before", "after", "both")] + [{"spatial": 1}]
)
def test_mean_closeness_of_reals_and_fakes_is_logged_in_each_critic_update_without_graph(options):
    row = train(MinibatchDiscrimination(kernels=4, **options)).train_step()
    for side in ("real", "fake"):
        logged = row[f"critic/minibatch-discrimination/closeness-{side}"]
        assert 0 < logged <= 1
        assert not logged.requires_grad


def test_the_closeness_logged_is_the_mean_of_the_appended_features():
    training = train(MinibatchDiscrimination(kernels=4))
    batch, figures = some_batch(training), {}
    batch.terms("critic_terms", figures)
    for side in (batch.real, batch.fake):
        appended = side.features[:, -4:].mean()
        torch.testing.assert_close(
            figures[f"minibatch-discrimination/closeness-{'real' if side.real else 'fake'}"],
            appended,
        )


@pytest.mark.parametrize("options", [{"kernels": 4, "dense": "both"}, {"spatial": 2}])
def test_fakes_that_collapsed_have_the_closeness_one(options):
    training = train(MinibatchDiscrimination(**options))
    batch, figures = some_batch(training), {}
    batch.fake.set_samples(batch.fake.images[:1].expand_as(batch.fake.images))
    batch.terms("critic_terms", figures)
    assert figures["minibatch-discrimination/closeness-fake"] > 1 - 1e-5
    assert figures["minibatch-discrimination/closeness-real"] < 1 - 1e-5


def test_what_is_logged_has_no_weights_of_its_own():
    critic = train(MinibatchDiscrimination(dense="after")).context.gan.critic
    assert len(critic.state_dict()) == len(
        {tensor.data_ptr() for tensor in critic.state_dict().values()}
    )


# ── the spatial form ──────────────────────────────────────────────────────────────────────────────


def spatial(shape, kernels=2):
    torch.manual_seed(0)
    return SpatialMinibatch(shape, MinibatchDiscrimination(spatial=kernels))


@pytest.mark.parametrize(("side", "kernels", "weights"), [(64, 2, 393_216), (256, 4, 201_326_592)])
def test_spatial_weights_to_compare_are_as_many_as_in_the_source(side, kernels, weights):
    with torch.device("meta"):  # counts without memory
        layer = spatial(
            (64, side // 2, side // 2), kernels
        ).layer  # the critic's first map has half the image's side
    assert layer.weight.numel() == weights == 48 * kernels * (side // 8) ** 4


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (4, 7)])
def test_spatial_keeps_the_shape_of_the_maps(size):
    assert spatial((6, *size))(torch.randn(5, 6, *size)).shape == (5, 6, *size)


def test_spatial_adds_what_the_transposed_convolution_makes_of_the_closeness_of_cells():
    it, maps = spatial((6, 8, 8)), torch.randn(5, 6, 8, 8)
    cells = conv2d(maps, it.down.weight, it.down.bias, stride=4)
    close = it.layer.closeness(cells.flatten(1)).reshape(5, 2, 2, 2)
    told = conv_transpose2d(close, it.up.weight, it.up.bias, stride=4)
    torch.testing.assert_close(it(maps), maps + told)


def test_rows_and_columns_that_fill_no_cell_pass_unchanged():
    it, maps = spatial((6, 9, 10)), torch.randn(5, 6, 9, 10)
    told = it(maps) - maps
    assert not told[:, :, 8:].any()
    assert not told[..., 8:].any()
    assert told[:, :, :8, :8].any()


def test_spatial_commutes_with_permuting_the_batch():
    it, maps = spatial((6, 8, 8)), torch.randn(5, 6, 8, 8)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(it(maps[order]), it(maps)[order])


def test_spatial_lets_one_samples_maps_depend_on_the_others():
    maps = torch.randn(5, 6, 8, 8, requires_grad=True)
    spatial((6, 8, 8))(maps)[0].sum().backward()
    assert maps.grad[1:].abs().amax((1, 2, 3)).min() > 0


def test_spatial_stands_behind_the_first_activation_and_appends_no_feature():
    one, other = (
        train(*each).context.gan.critic.network
        for each in ([MinibatchDiscrimination(spatial=2)], [])
    )
    stage = one.body.layers[2]
    assert [type(each) for each in stage] == [nn.Tanh, SpatialMinibatch]
    assert one.score.in_features == other.score.in_features


def test_spatial_weights_are_trained():
    training = train(MinibatchDiscrimination(spatial=2))
    layer = training.context.gan.critic.network.body.layers[2][1].layer
    before = layer.weight.detach().clone()
    training.train_step()
    assert not torch.equal(layer.weight, before)


@component(source="a test")
class Doubled:
    """A wrapper after which the body takes other views than `plan.critic_shape`."""

    @hookimpl
    def critic_shape(self, shape):
        return 2 * shape[0], *shape[1:]

    @hookimpl
    def adapt_critic(self, net):
        net.body = _Doubled(net.body)


class _Doubled(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, view, labels):
        return self.body(torch.cat([view, view], 1), labels)


def test_spatial_goes_with_wrappers_that_append_to_the_view():
    train(Doubled(), MinibatchDiscrimination(spatial=2)).train_step()


def test_spatial_is_refused_where_the_critic_has_no_maps():
    with pytest.raises(CompositionError, match="maps of at least 4×4"):
        train(MinibatchDiscrimination(spatial=2), data=some_data((2,), ()))


def test_spatial_is_refused_where_the_critic_has_no_activation():
    @component(source="a test")
    class Plain:
        @hookimpl
        def make_critic(self, plan):
            return _Plain()

    class _Plain(nn.Module):
        def forward(self, view, labels):
            return view

    with pytest.raises(CompositionError, match="has no output"):
        train(Plain(), MinibatchDiscrimination(spatial=2))

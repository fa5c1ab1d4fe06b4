"""Samples of any number of axes: what a plan says of them, and what building is refused."""

import pytest
import torch
from support.plans import plan_of
from support.tables import every_row
from torch import nn

from gancore import (
    CompositionError,
    Crop,
    DataError,
    PluginError,
    component,
    compose,
    hookimpl,
    pyramid,
)
from gancore.guard.hooks import GuardedHooks
from gancore.testing import some_data, train
from gancore.train.data import data_tags, open_data

SHAPES = [(2,), (1, 16), (3, 16, 8), (1, 8, 16, 8)]


@every_row("axes", [0, 1, 2, 3])
def test_axes_are_those_beside_the_channels(axes):
    assert plan_of(axes).axes == axes
    assert plan_of(axes).images == (axes == 2)


@every_row("shape", SHAPES)
def test_a_tiny_training_serves_samples_of_every_shape(shape):
    training = train(data=some_data(shape))
    training.train_step()
    assert training.context.plan.shape == shape


@every_row(
    ("size", "smallest", "sizes"),
    [
        ((28, 28), 4, [(7, 7), (14, 14), (28, 28)]),
        ((100, 50), 4, [(13, 7), (25, 13), (50, 25), (100, 50)]),
        ((6, 6), 2, [(3, 3), (6, 6)]),
        ((17,), 4, [(5,), (9,), (17,)]),
        ((8, 16, 9), 4, [(4, 8, 5), (8, 16, 9)]),
        ((3, 64), 4, [(3, 64)]),
    ],
)
def test_a_pyramid_halves_all_sides_while_the_least_allows(size, smallest, sizes):
    assert pyramid(*size, smallest=smallest) == sizes


@every_row("size", [(3,), (3, 5), (3, 5, 2)])
def test_crop_cuts_the_end_of_each_axis(size):
    maps = torch.randn(2, 4, *(side + 1 for side in size))
    cut = Crop(size)(maps)
    for axis, side in enumerate(size, start=2):
        maps = maps.narrow(axis, 0, side)
    assert torch.equal(cut, maps)


@every_row(
    ("shape", "tag"),
    list(zip(SHAPES, ["data.points", "data.signals", "data.images", "data.volumes"], strict=True)),
)
def test_rules_know_the_data_by_their_axes(shape, tag):
    assert data_tags(some_data(shape, ())) == {tag}


def test_an_upsampler_of_points_is_refused_with_a_generator_that_needs_none():
    with pytest.raises(CompositionError, match=r"but a sample has shape \(3,\)") as caught:
        plan_of(0).upsample(4, 2)
    assert "without an upsampler" in caught.value.fix


@component(source="a test")
class FirstAxisAlone:
    """Double the first axis and forget the others."""

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        scale = (2.0, *[1.0] * (plan.axes - 1))
        convolution = getattr(nn, f"Conv{plan.axes}d")(channels_in, channels_out, 1)
        return nn.Sequential(nn.Upsample(scale_factor=scale), convolution)


@every_row("shape", [(3, 16, 16), (3, 8, 8, 8)])
def test_an_upsampler_that_forgets_an_axis_is_named_at_its_first_call(shape):
    with pytest.raises(PluginError, match=r"first-axis-alone\.make_upsample made .* is wanted"):
        train(FirstAxisAlone(), data=some_data(shape), hooks=GuardedHooks).train_step()


def test_data_of_more_axes_are_refused_with_the_shapes_that_fit(tmp_path):
    file = tmp_path / "deep.py"
    file.write_text(
        "import torch\n\nfrom gancore import StoredData, component, hookimpl\n\n\n"
        "@component(source='a test')\n"
        "class Deep:\n"
        '    """Data of four axes."""\n\n'
        "    @hookimpl\n"
        "    def make_data(self):\n"
        "        return StoredData(torch.zeros(4, 1, 2, 2, 2, 2))\n"
    )
    with pytest.raises(DataError, match="with 5 axes") as caught:
        open_data(compose(data=str(file)))
    assert "(C, T) for signals" in caught.value.fix

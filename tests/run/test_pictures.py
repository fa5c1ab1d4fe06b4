"""Pictures of samples of any shape."""

import torch
from support.tables import every_row

from gancore.run.pictures import WAVE, grid, middle_slices, picture_of, scatter, waveforms


def pixels(picture):
    data = picture.convert("RGB").tobytes()
    return list(zip(*[iter(data)] * 3, strict=True))


@every_row("count", [1, 2, 4, 5, 64])
def test_signals_lie_in_a_grid_with_a_plot_for_each(count):
    width, height = waveforms(torch.zeros(count, 1, 32)).size
    columns, rows = (width - 2) // (WAVE[0] + 2), (height - 2) // (WAVE[1] + 2)
    assert columns * rows >= count > columns * (rows - 1)


def test_a_signal_of_one_runs_along_the_upper_border_and_of_minus_one_along_the_lower():
    for value, row in ((1.0, 0), (-1.0, WAVE[1] - 1), (5.0, 0)):
        picture = waveforms(torch.full((1, 1, 32), value))
        colours = {picture.getpixel((2 + x, 2 + row)) for x in range(WAVE[0])}
        assert colours == {(200, 64, 47)}


def test_each_channel_has_its_own_colour():
    signal = torch.tensor([[0.5] * 8, [-0.5] * 8])
    assert {(200, 64, 47), (59, 111, 182)} <= set(pixels(waveforms(signal[None])))


def test_a_signal_of_one_sample_is_drawn():
    assert waveforms(torch.zeros(1, 1, 1)).size


def test_volumes_are_shown_by_the_slice_in_the_middle():
    volumes = torch.rand(4, 3, 6, 8, 9) * 2 - 1
    assert torch.equal(middle_slices(volumes), volumes[:, :, 3])
    assert pixels(picture_of(volumes)) == pixels(grid(volumes[:, :, 3]))


def test_images_are_a_grid_and_points_a_scatter_plot_over_the_reals():
    images = torch.rand(4, 3, 8, 8) * 2 - 1
    assert pixels(picture_of(images)) == pixels(grid(images))
    points = torch.randn(20, 2)
    assert pixels(picture_of(points, -points)) == pixels(scatter(points, -points))

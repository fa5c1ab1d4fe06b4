"""Facts about scatter plots."""

import pytest
import torch
from PIL import Image
from support.tables import every_row

from gan_plugin_plots.scatter import Scatter, bounds, place, plot
from gancore import Progress
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)

REALS = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.5]])


def points(d=2):
    return some_data((d,), ())


def draw(folder, training, **options):
    scatter = Scatter(count=20, **options)
    progress = Progress(training.context, training.step, training.epoch)
    scatter.draw(progress, folder)
    return folder / "scatter" / f"step-{training.step:09d}.png"


def red(picture):
    """Count the pixels in which red prevails: the outlines of fakes."""
    return sum(count for count, (r, g, b) in picture.getcolors(1 << 20) if r > 180 and b < 90)


def test_scatter_conforms():
    check_component(Scatter, data=points())


def test_axes_are_a_square_about_the_reals():
    low, high = bounds(REALS)
    assert torch.allclose(low, torch.tensor([-1.2, 0.25 - 1.2]))
    assert torch.allclose(high, torch.tensor([1.2, 0.25 + 1.2]))


def test_reals_in_one_place_have_axes_nonetheless():
    low, high = bounds(torch.zeros(5, 2))
    assert (low < high).all()


@every_row(("d", "shown"), [(1, 2), (2, 2), (3, 3), (7, 3)])
def test_two_or_three_coordinates_are_shown(d, shown):
    assert place(torch.ones(4, d)).shape == (4, shown)


def test_fakes_outside_the_axes_are_not_drawn():
    inside, outside = (
        plot(torch.tensor([[0.5, 0.5]]), REALS, 1),
        plot(torch.tensor([[5.0, 5.0]]), REALS, 1),
    )
    assert red(inside) > red(outside)


def test_far_fakes_move_no_axis():
    near, far = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.5, 0.5], [1e6, 0.0]])
    # below titles
    pictures = [plot(fakes, REALS, 1).crop((0, 80, 600, 600)) for fakes in (near, far)]
    assert pictures[0].tobytes() == pictures[1].tobytes()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_same_points_give_the_same_bytes(tmp_path, d):
    frames = [
        draw(tmp_path / name, train(data=points(d))).read_bytes() for name in ("one", "other")
    ]
    assert frames[0] == frames[1]


def test_film_has_one_frame_a_drawing(tmp_path):
    training = train(data=points())
    for count in (1, 2, 3):
        training.train_step()
        draw(tmp_path, training, seconds=0.5)
        with Image.open(tmp_path / "scatter.gif") as film:
            assert (film.n_frames, film.info["duration"]) == (count, 500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scatter", "scatter.gif"]


def test_a_moment_drawn_twice_is_one_frame(tmp_path):
    training = train(data=points())
    for _ in range(2):
        draw(tmp_path, training)
    assert len(list((tmp_path / "scatter").iterdir())) == 1


def test_no_seconds_make_no_film(tmp_path):
    assert draw(tmp_path, train(data=points()), seconds=0).exists()
    assert not (tmp_path / "scatter.gif").exists()


def test_drawing_changes_no_bit_of_training(tmp_path):
    one, other = train(data=points()), train(data=points())
    for _ in range(3):
        one.train_step()
        other.train_step()
        draw(tmp_path, one)
    weights = other.context.gan.generator.state_dict()
    assert all(
        torch.equal(each, weights[name])
        for name, each in one.context.gan.generator.state_dict().items()
    )

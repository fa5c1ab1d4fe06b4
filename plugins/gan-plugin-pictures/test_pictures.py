"""Facts about the pictures of a run."""

import pytest
import torch
from attrs import evolve
from PIL import Image
from support.tables import every_row

from gan_plugin_pictures.latents import (
    ClassSheet,
    Interpolation,
    Neighbourhood,
    evenly_spaced,
    linear,
    spherical,
)
from gan_plugin_pictures.milestones import Milestones, crowded
from gan_plugin_pictures.reals import NearestReals, Reals, nearest
from gancore import CompositionError, Progress, StoredData, component, hookimpl
from gancore.plugins.component import info_of, kebab
from gancore.testing import check_component, copy_state, some_data, train

torch.set_num_threads(1)

ALL = [Reals, ClassSheet, Interpolation, Neighbourhood, NearestReals, Milestones]
SHAPES = {  # rows and columns of each sheet with its defaults and 3 classes
    Reals: (8, 9), ClassSheet: (3, 8), Interpolation: (8, 8), Neighbourhood: (4, 4),
    NearestReals: (8, 4), Milestones: (1, 8),
}  # fmt: skip
H, W = 8, 6


def training_of(*components, classes=(3,)):
    return train(*components, data=some_data((3, H, W), classes))


def progress_of(training=None, step=5):
    return Progress((training or training_of()).context, step, 0.5)


def draw(picture, folder, progress):
    """Draw one picture and return its file."""
    picture.draw(progress, folder)
    return folder / kebab(type(picture).__name__) / f"step-{progress.step:09d}.png"


def cells(path, columns):
    """Cut a sheet into its images, as bytes `[R, K, 3, H, W]`."""
    wide = columns * (W + 2) + 2
    with Image.open(path) as enlarged:
        high = enlarged.height * wide // enlarged.width
        picture = enlarged.resize((wide, high), Image.Resampling.NEAREST)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(
        picture.height, wide, 3
    )
    return pixels[2:, 2:].unfold(0, H, H + 2).unfold(1, W, W + 2)


def bytes_of(images):
    return images.add(1).mul(127.5).round().to(torch.uint8)


def assert_close(found, wanted):
    """Compare bytes: a network may round the last bit otherwise in a batch of other size."""
    assert (found.int() - wanted.int()).abs().max() <= 1


@pytest.mark.parametrize("cls", ALL)
def test_component_conforms(cls):
    check_component(cls, data=some_data((3, H, W)))


@every_row("cls", ALL)
def test_the_same_progress_gives_the_same_bytes(cls, tmp_path):
    progress = progress_of()
    files = [draw(cls(), tmp_path / name, progress) for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


@every_row("cls", ALL)
def test_a_sheet_has_the_size_of_its_rows_and_columns_enlarged(cls, tmp_path):
    rows, columns = SHAPES[cls]
    width, height = columns * (W + 2) + 2, rows * (H + 2) + 2
    factor = 1024 // max(width, height)
    with Image.open(draw(cls(), tmp_path, progress_of())) as picture:
        assert picture.size == (width * factor, height * factor)


@pytest.mark.parametrize("cls", ALL)
def test_drawing_changes_no_bit_of_training(cls, tmp_path):
    picture = cls()
    one, other = training_of(picture), training_of()
    for step in range(3):
        one.train_step(), other.train_step()
        picture.draw(progress_of(one, step), tmp_path)
    for role in ("generator", "critic"):
        weights = other.context.gan.player(role).state_dict()
        assert all(
            torch.equal(each, weights[name])
            for name, each in one.context.gan.player(role).state_dict().items()
        )


@every_row("cls", ALL)
def test_points_are_refused(cls):
    assert any(
        rule.tag == "data.images" and rule.hard and not rule.present for rule in info_of(cls).rules
    )


@every_row("cls", [each for each in ALL if each is not ClassSheet])
def test_data_without_labels_can_be_drawn(cls, tmp_path):
    assert draw(cls(), tmp_path, progress_of(training_of(classes=()))).exists()


# ── reals ─────────────────────────────────────────────────────────────────────────────────────────


def test_samples_are_on_the_left_and_reals_of_the_same_labels_on_the_right(tmp_path):
    progress = progress_of()
    sheet = cells(draw(Reals(rows=2, columns=3), tmp_path, progress), 7)
    reals, labels = progress.reals(6)
    samples, _ = progress.samples(6, labels)
    assert torch.equal(sheet[:, :3].flatten(0, 1), bytes_of(samples))
    assert torch.equal(sheet[:, 4:].flatten(0, 1), bytes_of(reals))
    assert (sheet[:, 3] == 255).all()


def test_places_of_samples_that_were_not_selected_stay_white(tmp_path):
    @component(source="a test")
    class Half:
        @hookimpl
        def select_samples(self, images, z, labels):
            return images[::2], z[::2], labels[::2]

    sheet = cells(draw(Reals(rows=2, columns=2), tmp_path, progress_of(training_of(Half()))), 5)
    assert (sheet[1, :2] == 255).all()
    assert not (sheet[0, :2] == 255).all()


# ── class-sheet ───────────────────────────────────────────────────────────────────────────────────


@component(source="a test")
class Shade:
    """A generator that paints each channel in a number of its label or latent, alone: labels 0 and
    1, then z[0].
    """

    @hookimpl
    def adapt_generator(self, net):
        net.forward = lambda z, labels: torch.stack(
            [labels[:, 0] / 10, labels[:, -1] / 10, z[:, 0].tanh()], 1
        )[..., None, None].expand(-1, -1, H, W)


def test_a_row_of_the_class_sheet_is_one_class_and_a_column_one_latent(tmp_path):
    sheet = cells(draw(ClassSheet(columns=4), tmp_path, progress_of(training_of(Shade()))), 4)[
        ..., 0, 0
    ]
    assert torch.equal(sheet[:, :, 0], bytes_of(torch.arange(3) / 10)[:, None].expand(3, 4))
    assert (sheet[:, :, 2] == sheet[:1, :, 2]).all()
    assert len(sheet[0, :, 2].unique()) > 1


def test_the_class_sheet_of_another_label_set_leaves_the_first_as_it_is_down_a_column(tmp_path):
    progress = progress_of(training_of(Shade(), classes=(4, 3)))
    sheet = cells(draw(ClassSheet(columns=4, labels="set1"), tmp_path, progress), 4)[..., 0, 0]
    assert torch.equal(sheet[:, :, 1], bytes_of(torch.arange(3) / 10)[:, None].expand(3, 4))
    assert torch.equal(sheet[:, :, 0], bytes_of(progress.reals(4)[1][:, 0] / 10).expand(3, 4))


def test_of_many_classes_the_class_sheet_shows_some_evenly_spread(tmp_path):
    progress = progress_of(training_of(Shade(), classes=(10,)))
    sheet = cells(draw(ClassSheet(columns=2, most=3), tmp_path, progress), 2)[..., 0, 0]
    assert torch.equal(evenly_spaced(10_000, 3), torch.tensor([0, 4999, 9999]))
    assert torch.equal(sheet[:, :, 0], bytes_of(torch.tensor([0, 4, 9]) / 10)[:, None].expand(3, 2))
    assert torch.equal(evenly_spaced(7, 100), torch.arange(7))


def test_an_unknown_label_set_is_refused_before_training():
    with pytest.raises(CompositionError, match="'shape'; the data has set0"):
        training_of(ClassSheet(labels="shape"))


def test_data_without_labels_are_refused_by_the_class_sheet():
    assert any(
        rule.tag == "data.labels" and rule.hard and not rule.present
        for rule in info_of(ClassSheet).rules
    )


# ── interpolation ─────────────────────────────────────────────────────────────────────────────────

T = torch.linspace(0, 1, 9, dtype=torch.float64)


def some_ends():
    return torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("path", [linear, spherical])
def test_a_path_begins_and_ends_at_the_very_latents(path):
    a, b = some_ends()
    way = path(a, b, T)
    assert torch.equal(way[:, 0], a)
    assert torch.equal(way[:, -1], b)


def test_the_arc_keeps_the_norm_of_ends_of_equal_norm():
    a, b = torch.nn.functional.normalize(some_ends(), dim=2) * 3
    assert (spherical(a, b, T).norm(dim=2) - 3).abs().max() < 1e-12


def test_the_arc_turns_by_equal_angles():
    a, b = torch.nn.functional.normalize(some_ends(), dim=2)
    way = spherical(a, b, T)
    cosines = (way[:, 1:] * way[:, :-1]).sum(2)
    assert (cosines - cosines[:, :1]).abs().max() < 1e-12


def test_the_midpoint_of_a_line_between_perpendicular_latents_is_shorter_by_the_root_of_two():
    a, b = torch.eye(2, dtype=torch.float64)[:, None]
    assert linear(a, b, T)[0, 4].norm() == pytest.approx(0.5**0.5)


@every_row("factor", [2.0, 1.0, -1.0, 0.0])
def test_the_arc_between_latents_on_one_line_is_finite_and_keeps_its_ends(factor):
    a, _ = some_ends()
    way = spherical(a, factor * a, T)
    assert way.isfinite().all()
    assert torch.equal(way[:, -1], factor * a)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_the_ends_of_a_row_are_the_samples_of_its_latents(path, tmp_path):
    progress = progress_of()
    sheet = cells(draw(Interpolation(rows=3, columns=5, path=path), tmp_path, progress), 5)
    for end, z in ((0, progress.latents(6)[:3]), (-1, progress.latents(6)[3:])):
        assert_close(sheet[:, end], bytes_of(progress.make(z, progress.reals(3)[1]).images))


def test_labels_stay_the_same_along_a_row(tmp_path):
    sheet = cells(
        draw(Interpolation(rows=8, columns=4), tmp_path, progress_of(training_of(Shade()))), 4
    )[..., 0, 0]
    assert (sheet[:, :, 0] == sheet[:, :1, 0]).all()
    assert len(sheet[:, 0, 0].unique()) > 1


# ── neighbourhood ─────────────────────────────────────────────────────────────────────────────────


def test_the_first_neighbour_is_the_centre_and_the_others_are_half_a_latent_away(tmp_path):
    progress = progress_of()
    sheet = cells(draw(Neighbourhood(), tmp_path, progress), 4).flatten(0, 1)
    z = progress.latents(16)
    labels = progress.reals(1)[1].expand(16, -1)
    assert_close(sheet[:1], bytes_of(progress.make(z[:1], labels[:1]).images))
    assert_close(sheet[1:], bytes_of(progress.make(z[:1] + z[1:] / 2, labels[1:]).images))


def test_a_neighbourhood_of_scale_zero_repeats_the_centre(tmp_path):
    sheet = cells(draw(Neighbourhood(scale=0), tmp_path, progress_of()), 4).flatten(0, 1)
    assert_close(sheet, sheet[:1].expand_as(sheet))


# ── nearest-reals ─────────────────────────────────────────────────────────────────────────────────


def some_reals():
    return some_data((3, H, W), (), 40).take(torch.arange(40), torch.Generator())[0]


def test_the_nearest_of_a_real_is_the_real_itself():
    reals = some_reals()
    assert torch.equal(nearest(reals[:9], reals.split(7), 3)[:, 0], reals[:9])


def test_neighbours_are_those_of_the_whole_set_in_order_of_distance():
    reals = some_reals()
    samples = some_reals().flip(3)[:5]
    order = (samples[:, None] - reals).flatten(2).norm(dim=2).argsort(1)[:, :3]
    assert torch.equal(nearest(samples, reals.split(7), 3), reals[order])


def test_fewer_reals_than_neighbours_are_all_shown():
    reals = some_reals()[:2]
    assert nearest(reals, [reals], 5).shape == (2, 2, 3, H, W)


def test_of_equally_near_reals_the_earlier_is_taken():
    reals = torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1, 1)
    assert nearest(torch.zeros(1, 1, 1, 1), reals.split(1), 2).flatten().tolist() == [1, -1]


def test_a_row_is_a_sample_and_its_nearest_reals(tmp_path):
    progress = progress_of()
    sheet = cells(draw(NearestReals(images=3, neighbours=2), tmp_path, progress), 3)
    samples, _ = progress.samples(3)
    assert torch.equal(sheet[:, 0], bytes_of(samples))
    found = nearest(
        samples, [progress.context.data.take(torch.arange(40), torch.Generator())[0]], 2
    )
    assert torch.equal(sheet[:, 1:], bytes_of(found))


def test_the_search_is_spread_evenly_over_the_data():
    shades = (torch.arange(40, dtype=torch.uint8) * 5)[:, None, None, None].expand(-1, 3, H, W)
    progress = progress_of(train(data=StoredData(shades)))
    seen = bytes_of(torch.cat(list(NearestReals(search=10).reals(progress))))
    assert torch.equal(seen, shades[::4])


@pytest.mark.parametrize("cls", [Reals, NearestReals])
def test_without_data_no_reals_are_drawn(cls, tmp_path):
    training = training_of()
    training.context = evolve(training.context, data=None)
    assert not draw(cls(), tmp_path, progress_of(training)).exists()


# ── milestones ────────────────────────────────────────────────────────────────────────────────────


def advance(strip, training, folder, steps):
    """Train to each of some steps and draw there; return the last file."""
    for step in steps:
        while training.step < step:
            training.train_step()
        file = draw(strip, folder, progress_of(training, step))
    return file


def test_every_drawing_adds_a_row_of_the_same_latents(tmp_path):
    training, strip = training_of(), Milestones(columns=4)
    rows = []
    for step in (1, 2, 3):
        file = advance(strip, training, tmp_path, [step])
        progress = progress_of(training)
        rows.append(bytes_of(progress.make(progress.latents(4), progress.reals(4)[1]).images))
        assert torch.equal(cells(file, 4), torch.stack(rows))
    assert not torch.equal(rows[0], rows[2])


def test_a_step_drawn_twice_is_one_row_and_the_same_bytes(tmp_path):
    training, strip = training_of(), Milestones()
    first = advance(strip, training, tmp_path, [1, 2]).read_bytes()
    assert advance(strip, training, tmp_path, [2]).read_bytes() == first
    assert strip.steps == [1, 2]


def test_milestones_go_on_after_a_resume_as_without_it(tmp_path):
    whole, one, other = Milestones(limit=3), Milestones(limit=3), Milestones(limit=3)
    wanted = advance(whole, training_of(), tmp_path / "whole", [1, 2, 3, 4, 5])
    training = training_of()
    advance(one, training, tmp_path / "resumed", [1, 2])
    copy_state(one, other)
    found = advance(other, training, tmp_path / "resumed", [3, 4, 5])
    assert found.read_bytes() == wanted.read_bytes()


def test_an_empty_strip_can_be_restored():
    strip = Milestones()
    copy_state(Milestones(), strip)
    assert (strip.steps, strip.rows) == ([], None)


def test_chosen_steps_are_kept_from_the_first_drawing_that_reaches_them(tmp_path):
    strip = Milestones(at=(3, 4, 8))
    progress = progress_of()
    for step in (2, 4, 6, 10, 12):
        strip.draw(Progress(progress.context, step, 0.0), tmp_path)
    assert strip.steps == [4, 10]


def test_nothing_is_drawn_before_the_first_chosen_step(tmp_path):
    assert not draw(Milestones(at=(100,)), tmp_path, progress_of()).exists()


def test_rows_never_exceed_the_limit_and_stay_spread_from_the_first_to_the_last():
    strip, image = Milestones(limit=5), torch.zeros(1, 3, 2, 2)
    for step in range(1, 42):
        strip.keep(step, image + step / 64)
        assert len(strip.steps) == len(strip.rows) == min(step, 5)
        assert (strip.steps[0], strip.steps[-1]) == (1, step)
    gaps = [after - before for before, after in zip(strip.steps, strip.steps[1:], strict=False)]
    assert max(gaps) <= 3 * min(gaps[:-1])
    assert torch.equal(strip.rows[:, 0, 0, 0, 0], bytes_of(torch.tensor(strip.steps) / 64))


def test_the_row_between_the_closest_two_is_left_out():
    assert crowded([0, 40, 50, 60, 100]) == 2
    assert crowded([1, 2, 3, 4]) == 1

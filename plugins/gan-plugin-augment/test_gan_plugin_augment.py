"""Facts about augmentation."""

import math

import pytest
import torch
from support.tables import every_row
from torch.nn.functional import affine_grid, grid_sample

from gan_plugin_augment import transforms
from gan_plugin_augment.reals import Augment
from gan_plugin_augment.views import AugmentViews, share_of_sides
from gancore.plugins.component import info_of
from gancore.testing import check_component, some_batch, some_data, train

torch.set_num_threads(1)

N = 6
IMAGES = torch.rand(N, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
WIDE = IMAGES[:, :, :5]  # [N, 3, 5, 8]
COLOURS = {"hue": 0.3, "brightness": 0.4, "saturation": 0.5, "contrast": 0.6}
ALL = {"flip": 0.5, "rotate": 30.0, **COLOURS}
OFF = dict.fromkeys(
    ("flip", "translation", "rotate", "hue", "brightness", "saturation", "contrast", "cutout"), 0
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def same(value, n=N):
    return torch.full((n,), value)


def view(images, seed=0, **options):
    return AugmentViews(**{**OFF, **options}).critic_view(images, rng(seed))


def augmented(data=None, **options):
    return Augment(**options).adapt_data(data or some_data((3, 8, 8)))


@pytest.mark.parametrize("options", [{}, {**ALL, "shift": 3, "fill": -1.0}])
def test_augment_conforms(options):
    check_component(Augment, **options)


@pytest.mark.parametrize("options", [{}, {**ALL, "cutout": 0.5}])
def test_augment_views_conforms(options):
    check_component(AugmentViews, **options)


def test_images_of_one_channel_conform():
    check_component(Augment, data=some_data((1, 16, 16), ()), shift=2, **ALL)
    check_component(AugmentViews, data=some_data((1, 16, 16), ()), cutout=0.5, **ALL)


# ── colours ───────────────────────────────────────────────────────────────────────────────────────


def test_a_third_of_a_turn_of_the_hue_makes_red_green_and_green_blue():
    torch.testing.assert_close(
        transforms.rotate_hue(IMAGES, same(1 / 3)), IMAGES[:, [2, 0, 1]], rtol=0, atol=1e-6
    )


def test_a_full_turn_of_the_hue_is_the_identity():
    torch.testing.assert_close(transforms.rotate_hue(IMAGES, same(1.0)), IMAGES, rtol=0, atol=1e-6)


def test_turning_the_hue_is_the_rotation_about_the_grey_axis():
    turns = torch.linspace(-0.5, 0.5, N, dtype=torch.float64)
    cross = (
        torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    )  # v ↦ k×v with k = (1, 1, 1)/√3
    rotations = torch.linalg.matrix_exp(2 * math.pi * turns[:, None, None] * cross)
    expected = torch.einsum("nij,njhw->nihw", rotations, IMAGES.double())
    torch.testing.assert_close(transforms.rotate_hue(IMAGES.double(), turns), expected)


def test_greys_keep_their_colour_at_any_hue_and_saturation():
    grey = IMAGES[:, :1].expand(-1, 3, -1, -1)
    for change in (transforms.rotate_hue, transforms.saturate):
        torch.testing.assert_close(change(grey, torch.linspace(0, 2, N)), grey, rtol=0, atol=1e-6)


def test_hue_and_saturation_change_no_bit_of_an_image_of_one_channel():
    grey = IMAGES[:, :1]
    assert torch.equal(view(grey, hue=0.5, saturation=1.0), grey)


def test_brightness_adds_one_number_to_each_sample():
    by = torch.linspace(-1, 1, N)
    difference = transforms.brighten(IMAGES, by) - IMAGES
    torch.testing.assert_close(difference, by[:, None, None, None].expand_as(IMAGES))


def test_saturation_scales_the_distance_from_grey():
    grey = IMAGES.mean(1, keepdim=True)
    torch.testing.assert_close(transforms.saturate(IMAGES, same(0.0)), grey.expand_as(IMAGES))
    torch.testing.assert_close(transforms.saturate(IMAGES, same(2.0)), 2 * IMAGES - grey)


def test_contrast_scales_the_deviation_and_keeps_the_mean():
    changed = transforms.adjust_contrast(IMAGES, same(0.5)).flatten(1)
    torch.testing.assert_close(changed.std(1), IMAGES.flatten(1).std(1) / 2)
    torch.testing.assert_close(changed.mean(1), IMAGES.flatten(1).mean(1))


# ── places ────────────────────────────────────────────────────────────────────────────────────────


def test_two_flips_are_the_identity_and_one_reverses_the_columns():
    once = transforms.flip(WIDE, same(True))
    assert torch.equal(once, WIDE[..., [7, 6, 5, 4, 3, 2, 1, 0]])
    assert torch.equal(transforms.flip(once, same(True)), WIDE)


def test_only_the_chosen_samples_are_flipped():
    flipped = transforms.flip(IMAGES, torch.arange(N) == 2)
    assert ((flipped != IMAGES).flatten(1).any(1) == (torch.arange(N) == 2)).all()


@every_row(("down", "right"), [(2, 3), (-1, 0), (0, -4), (-4, 7), (5, 0), (0, -100)])
def test_a_shift_is_a_slice_with_fill_around_it(down, right):
    padded = torch.full((N, 3, 3 * 5, 3 * 8), 0.25)  # room for the image in any place
    padded[:, :, 5:10, 8:16] = WIDE
    top, left = 5 - down, max(8 - right, 0) if right > 0 else min(8 - right, 16)
    expected = padded[:, :, top : top + 5, left : left + 8]
    assert torch.equal(transforms.shift(WIDE, same(down), same(right), 0.25), expected)


def test_every_sample_has_a_shift_of_its_own():
    down = torch.arange(N) - 2
    together = transforms.shift(IMAGES, down, -down, 1.0)
    for k in range(N):
        assert torch.equal(
            together[k : k + 1],
            transforms.shift(IMAGES[k : k + 1], down[k : k + 1], -down[k : k + 1], 1.0),
        )


@every_row("quarters", [-2, -1, 1, 2, 3])
def test_quarter_turns_of_a_square_are_those_of_torch(quarters):
    for images in (IMAGES, IMAGES[:, :, :7, :7]):  # the middle lies between pixels, or on one
        turned = transforms.rotate(images, same(90.0 * quarters), 0.0)
        torch.testing.assert_close(turned, torch.rot90(images, quarters, (2, 3)), rtol=0, atol=2e-6)


def test_no_turn_changes_no_bit():
    assert torch.equal(transforms.rotate(WIDE, same(0.0), 1.0), WIDE)


def test_a_turn_is_what_grid_sample_makes_of_it():
    degrees, fill, (height, width) = torch.linspace(-170, 170, N), 0.5, WIDE.shape[2:]
    cos, sin = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    zero = torch.zeros(N)
    rows = [
        [cos, -sin * height / width, zero],
        [sin * width / height, cos, zero],
    ]  # sides of different length
    grid = affine_grid(
        torch.stack([torch.stack(row, 1) for row in rows], 1), list(WIDE.shape), align_corners=False
    )
    expected = grid_sample(WIDE - fill, grid, align_corners=False) + fill
    torch.testing.assert_close(transforms.rotate(WIDE, degrees, fill), expected, rtol=0, atol=1e-5)


def test_the_corners_a_turn_uncovers_are_filled():
    turned = transforms.rotate(torch.zeros_like(IMAGES), same(45.0), 1.0)
    assert (turned[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == 1).all()
    assert not turned[:, :, 3:5, 3:5].any()


def test_a_box_is_covered_as_far_as_it_lies_inside():
    cut = transforms.cut_out(
        torch.zeros(3, 2, 5, 8), torch.tensor([1, -1, 4]), torch.tensor([2, 6, -3]), [2, 3], 1.0
    )
    expected = torch.zeros(3, 2, 5, 8)
    expected[0, :, 1:3, 2:5] = expected[1, :, 0:1, 6:8] = 1  # of the third nothing is left inside
    assert torch.equal(cut, expected)


# ── the law of the parameters ─────────────────────────────────────────────────────────────────────


@every_row("most", [1, 5, 8, 1000])
def test_whole_numbers_stay_in_their_range_at_its_very_ends(most):
    ends = torch.tensor([0.0, 1 - 2**-24])  # the least and the greatest of U[0, 1) in float32
    assert transforms.to_integers(ends, -most, most).tolist() == [-most, most]


def test_whole_numbers_are_equally_likely():
    n, k = 7000, 7
    counts = (
        transforms.to_integers(transforms.draw_parameters(n, rng())["down"], -3, 3)
        .add(3)
        .bincount(minlength=k)
    )
    # χ² with k - 1 degrees: mean k - 1, standard deviation √(2(k - 1)); 4 of them
    assert (counts - n / k).square().sum() / (n / k) < k - 1 + 4 * (2 * (k - 1)) ** 0.5


def test_an_option_moves_the_numbers_of_no_other():
    together = view(IMAGES, brightness=0.5, flip=0.5, translation=0.25)
    in_turn = view(view(view(IMAGES, brightness=0.5), flip=0.5), translation=0.25)
    assert torch.equal(together, in_turn)


def test_samples_are_flipped_as_often_as_stated():
    n, share = 2000, 0.3
    images = torch.tensor([0.0, 1.0]).expand(n, 1, 1, 2)
    flipped = view(images, flip=share)[:, 0, 0, 0].mean()
    assert abs(flipped - share) < 4 * (share * (1 - share) / n) ** 0.5


@pytest.mark.parametrize("option", ["brightness", "translation"])
def test_reals_and_fakes_are_transformed_by_one_law(option):
    n = 2000
    data = some_data((1, 4, 4), (), count=n)
    batch = some_batch(train(AugmentViews(**{**OFF, option: 0.5}, fill=1.0), data=data, batch=n))
    marks = torch.zeros(n, 1, 4, 4)
    marks[
        :, :, 1, 1
    ] = -1  # the same images in either place: how bright a mark becomes, or where it goes
    seen = [side.apply_view(marks).flatten(1) for side in (batch.real, batch.fake)]
    found = [each.amin(1) if option == "brightness" else each.argmin(1) for each in seen]
    assert not torch.equal(*found)  # drawn for each side alone
    shares = [
        torch.searchsorted(each.sort()[0], torch.cat(found), right=True) / n for each in found
    ]
    # Kolmogorov-Smirnov: P(distance > c·√(2/n)) ≤ 2·exp(-2c²), 7e-4 at c = 2
    assert (shares[0] - shares[1]).abs().max() < 2 * (2 / n) ** 0.5


# ── views ─────────────────────────────────────────────────────────────────────────────────────────


def test_without_any_change_the_view_is_the_very_tensor_given():
    assert view(IMAGES) is IMAGES


def test_without_any_change_no_bit_of_training_changes():
    one, *others = train(), train(AugmentViews(**OFF)), train(Augment(flip=0))
    for training in (one, *others):
        training.train_step()
        training.train_step()
    weights = one.context.gan.critic.state_dict()
    for other in others:
        assert all(
            torch.equal(each, weights[name])
            for name, each in other.context.gan.critic.state_dict().items()
        )


@every_row("option", [*COLOURS, "flip", "rotate", "translation", "cutout"])
def test_every_option_changes_the_view_by_itself(option):
    assert not torch.equal(view(IMAGES, **{option: 0.5}), IMAGES)


def test_gradients_pass_once_and_twice():
    images = IMAGES[:2, :, :4, :4].double().requires_grad_()
    options = {**ALL, "translation": 0.25, "cutout": 0.5}
    assert torch.autograd.gradcheck(lambda x: view(x, **options), images)
    assert torch.autograd.gradgradcheck(lambda x: view(x, **options).square(), images)


def test_the_slope_at_the_images_can_be_penalised_through_the_view():
    batch = some_batch(train(AugmentViews(**ALL)))
    images = batch.real.images.clone().requires_grad_()
    score = batch.critic(batch.real.apply_view(images), batch.real.labels).score.square().sum()
    (slope,) = torch.autograd.grad(score, images, create_graph=True)
    slope.square().sum().backward()
    assert any(
        each.grad is not None and each.grad.any() for each in batch.gan.critic.network.parameters()
    )


def test_the_gradient_of_the_generator_passes_through_the_view():
    batch = some_batch(train(AugmentViews()), "generator")
    (slope,) = torch.autograd.grad(batch.fake.score.sum(), batch.fake.images)
    assert slope.flatten(1).any(1).all()


def test_a_view_is_not_clamped_and_reals_are():
    assert view(torch.ones_like(IMAGES), brightness=0.5).max() > 1
    samples, _ = augmented(brightness=2.0).take(torch.arange(40), rng())
    assert (samples.min(), samples.max()) == (-1, 1)


def test_images_keep_their_type():
    options = {**ALL, "translation": 0.25, "cutout": 0.5}
    assert view(IMAGES.bfloat16(), **options).dtype is torch.bfloat16


def test_the_share_of_a_side_is_rounded_to_pixels_as_by_the_source():
    assert share_of_sides((64, 28), 0.125) == [8, 4]  # 3.5 is rounded up


def test_half_of_each_side_is_cut_out_where_the_box_lies_inside():
    covered = (view(torch.ones(400, 1, 8, 8), cutout=0.5) == 0).flatten(1).sum(1)
    assert covered.max() == 16
    assert covered.min() == 4  # a quarter of the box at its farthest, around a corner


# ── reals ─────────────────────────────────────────────────────────────────────────────────────────


def test_labels_length_shape_and_label_sets_are_those_of_the_data():
    data = some_data((3, 8, 8), (3, 2))
    changed = augmented(data, shift=2)
    places = torch.tensor([7, 7, 0, 39])
    assert torch.equal(changed.take(places, rng())[1], data.labels[places])
    assert (len(changed), changed.shape, changed.label_sets) == (
        len(data),
        data.shape,
        data.label_sets,
    )
    assert torch.equal(changed.draw_labels(50, rng()), data.draw_labels(50, rng()))


def test_a_batch_follows_from_its_numbers_alone():
    data, places = augmented(shift=2, **ALL), torch.arange(40)
    first, again, other = (data.take(places, rng(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_image_taken_twice_is_drawn_twice():
    samples, _ = augmented(rotate=45.0).take(torch.zeros(2, dtype=torch.int64), rng())
    assert not torch.equal(*samples)


def test_by_default_each_real_is_itself_or_its_mirror_image():
    data, places = some_data((3, 8, 8)), torch.arange(40)
    plain, _ = data.take(places, rng())
    taken, _ = augmented(data).take(places, rng())
    kept, mirrored = ((taken == each).flatten(1).all(1) for each in (plain, plain.flip(3)))
    assert (kept ^ mirrored).all()
    assert kept.any()
    assert mirrored.any()


def test_stored_samples_are_not_written_into():
    data = some_data((3, 8, 8))
    before = data.samples.clone()
    augmented(data, shift=2, **ALL).take(torch.arange(40), rng())
    assert torch.equal(data.samples, before)


def test_what_a_shift_uncovers_is_fill_whatever_the_colours():
    samples, _ = augmented(flip=0, shift=100, **COLOURS, fill=0.5).take(torch.arange(40), rng())
    assert (samples == 0.5).flatten(1).all(1).any()  # some images were moved out of sight


def test_without_any_change_the_data_stay_as_they_are():
    assert augmented(flip=0) is None


@every_row(("option", "value"), [*ALL.items(), ("shift", 2), ("fill", 0.0)])
def test_fingerprint_changes_with_every_option_and_with_the_data(option, value):
    other = {option: 0.25 if option == "flip" else value}
    one = augmented()
    assert one.fingerprint() == augmented().fingerprint()
    assert one.fingerprint() != augmented(**other).fingerprint()
    assert one.fingerprint() != augmented(some_data((3, 8, 8), count=39)).fingerprint()


def test_what_leaks_is_noted_and_a_flip_is_not():
    (note,) = (rule for rule in info_of(Augment).rules if not rule.hard)
    assert note.present
    assert not note.when(Augment(flip=0.5))
    for option in (*COLOURS, "rotate", "shift"):
        assert note.when(Augment(**{option: 1 if option == "shift" else 0.1}))


@pytest.mark.parametrize("cls", [Augment, AugmentViews])
def test_points_are_refused(cls):
    assert any(
        rule.tag == "data.images" and rule.hard and not rule.present for rule in info_of(cls).rules
    )

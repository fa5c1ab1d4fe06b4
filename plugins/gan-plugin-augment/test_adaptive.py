"""Facts about augmentation for few images, consistency, pseudo-reals, diffusion and selection."""

import pytest
import torch

from gan_plugin_augment.ada import ADA
from gan_plugin_augment.apa import APA
from gan_plugin_augment.consistency import BCR, CR
from gan_plugin_augment.diffusion import DiffusionNoise
from gan_plugin_augment.selection import InstanceSelection, log_density
from gan_plugin_augment.views import AugmentViews, DiffAugment
from gancore import CompositionError, StoredData, Subset, compose
from gancore.testing import (
    check_component,
    check_composes_with,
    scores_batch,
    some_batch,
    some_data,
    terms,
    train,
)

torch.set_num_threads(1)

IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
QUICK = {"every": 1, "speed": 0.05}  # p changes in the few steps of a test

ALL = [
    (DiffAugment, {}),
    (ADA, {"start": 0.7, "flip": True, **QUICK}),
    (ADA, {"adapt": "ramp", "ramp": 2, "limit": 1.0}),
    (APA, {"start": 0.5, **QUICK}),
    (DiffusionNoise, QUICK),
    (InstanceSelection, {}),
    (CR, {}),
    (BCR, {"flip": 0.0}),
]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("cls", "options"), ALL, ids=str)
def test_component_conforms(cls, options):
    # the strength of a ramp is 0 at step 0, where the kit asks for a view that changes something
    check_component(cls, **options)


@pytest.mark.parametrize(
    ("cls", "options"), [(APA, {"start": 0.5}), (DiffusionNoise, {}), (InstanceSelection, {})]
)
def test_component_conforms_with_points(cls, options):
    check_component(cls, data=some_data((2,), classes=()), **options)


def test_strengths_compose_with_each_other():
    check_composes_with(APA, [lambda: ADA(start=0.5)], start=0.5)
    check_composes_with(DiffusionNoise, [DiffAugment])


# (what is composed, what is said; an empty text is no objection)
POINTS = "it transforms the pixels of images"
SIGNS = "follows the signs of the critic's scores"
GLYPHS = "a mirrored letter or digit"
RULES = [
    ({"data": "gaussian", "reg": ["diffaugment"]}, POINTS),
    ({"data": "gaussian", "reg": ["ada"]}, POINTS),
    ({"data": "gaussian", "reg": ["diffusion-noise", "apa"]}, ""),
    ({"data": "sprites", "reg": ["diffaugment"]}, ""),
    ({"data": "letters", "reg": ["diffaugment", "ada"]}, ""),
    ({"data": "letters", "reg": ["ada"], "options": {"ada.flip": True}}, GLYPHS),
    ({"data": "letters", "reg": ["augment-views"], "options": {"augment-views.flip": 0.5}}, GLYPHS),
    *[({"reg": [name], "loss": "wasserstein"}, SIGNS) for name in ("ada", "apa")],
    ({"reg": ["diffusion-noise"], "loss": "wasserstein"}, SIGNS),
    ({"reg": ["ada"], "loss": "wasserstein", "options": {"ada.adapt": "ramp"}}, ""),
    ({"reg": ["cr", "augment-views"]}, "two kinds of transformation"),
    ({"reg": ["cr"]}, ""),
    ({"data": "letters", "reg": ["cr"]}, "is to have the same score"),
    ({"data": "letters", "reg": ["cr"], "options": {"cr.flip": 0.0}}, ""),
    ({"reg": ["ada", "bcr"]}, "are then counted twice"),
    ({"reg": ["ada"], "cond": ["ssgan-rotation"]}, "cannot predict the rotation"),
    ({"reg": ["diffaugment"], "cond": ["ssgan-rotation"]}, ""),
    ({"reg": ["apa", "noisy-labels"]}, "both confuse the critic"),
]


def test_rules_say_what_does_not_go_together():
    offenders = []
    for row, wanted in RULES:
        chosen = {"data": "sprites", **row}
        tags = ["data.points"] if chosen["data"] == "gaussian" else ["data.images", "data.labels"]
        try:
            composition = compose(**chosen)
            said = " ".join([*composition.notes, *composition.check(tags)])
        except CompositionError as error:
            said = str(error)
        # other components may have notes of their own
        found = wanted in said if wanted else not any(each in said for _, each in RULES if each)
        if not found:
            offenders.append((row, said))
    assert not offenders


# ── DiffAugment ───────────────────────────────────────────────────────────────────────────────────


def test_an_empty_policy_is_the_identity():
    assert DiffAugment(policy=()).critic_view(IMAGES, rng()) is IMAGES


def test_diffaugment_is_augment_views_with_its_numbers():
    given = {"brightness": 0.5, "saturation": 1.0, "contrast": 0.5}
    off = dict.fromkeys(given, 0.0)
    offenders = []
    for policy, options in [
        (("color",), {**given, "translation": 0}),
        (("translation",), {**off, "translation": 0.125}),
        (("cutout",), {**off, "translation": 0, "cutout": 0.5}),
        (("color", "translation", "cutout"), {"cutout": 0.5}),
    ]:
        view = DiffAugment(policy=policy).critic_view(IMAGES, rng())
        if not torch.equal(view, AugmentViews(**options).critic_view(IMAGES, rng())):
            offenders.append(policy)
    assert not offenders


def test_cutout_covers_at_most_a_quarter_and_at_least_a_sixteenth():
    images = torch.ones(500, 1, 8, 8)
    covered = (DiffAugment(policy=("cutout",)).critic_view(images, rng()) == 0).flatten(1).sum(1)
    # a box of 4×4, whose centre may lie on the border: at least 2×2 of it are inside
    assert covered.max() == 16
    assert covered.min() == 4


# ── ADA ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_probability_of_zero_keeps_every_bit():
    assert torch.equal(ADA(flip=True).critic_view(IMAGES, 0, rng()), IMAGES)


@pytest.mark.parametrize("pipe", ["blit", "geometry", "colour"])
def test_each_group_acts_on_about_the_share_of_its_probability(pipe):
    images = IMAGES[:1].expand(2000, -1, -1, -1)
    view = ADA(pipe=(pipe,), start=0.1, limit=1.0).critic_view(images, 0, rng())
    changed = (view != images).flatten(1).any(1).float().mean()
    # blit: shift alone, 8/9 of which are no identity; geometry: 4 parts; colour: 5, one of half p
    parts = {"blit": [0.1 * 8 / 9], "geometry": [0.1] * 4, "colour": [0.1] * 4 + [0.05]}[pipe]
    unchanged = torch.tensor([1 - part for part in parts]).prod()
    deviation = (unchanged * (1 - unchanged) / 2000) ** 0.5
    assert abs(changed - (1 - unchanged)) < 4 * deviation


def strength_after(signs, **options):
    """p after critic updates in which reals have scores of these mean signs, 10 reals each."""
    apa = APA(**{"speed": 1.0, "every": 2, "limit": 1.0, **options})
    for sign in signs:
        scores = torch.full((10,), 3.0)
        scores[: round(5 * (1 - sign))] = -0.1
        apa.after_critic_update(scores_batch(scores, torch.zeros(10), apa), 0)
    return float(apa.strength(0, torch.device("cpu")))


@pytest.mark.parametrize(
    ("signs", "wanted"),
    [
        ([1, 1], 0.02),  # N·every / (1000·speed) = 10·2/1000
        ([1], 0.0),  # not yet
        ([1, 0.4], 0.02),  # the mean of both, 0.7, is above 0.6
        ([1, 1, 0, 0], 0.0),
        ([0, 0], 0.0),  # never below 0
    ],
)
def test_the_strength_follows_the_signs(signs, wanted):
    assert strength_after(signs) == pytest.approx(wanted)


def test_the_strength_ends_at_its_limit():
    assert strength_after([1, 1, 1, 1], limit=0.03) == pytest.approx(0.03)


def test_a_ramp_is_half_a_cosine():
    ada = ADA(adapt="ramp", limit=0.6, ramp=100)
    device = torch.device("cpu")
    found = [float(ada.strength(step, device)) for step in (0, 50, 100, 1000)]
    assert found == pytest.approx([0, 0.3, 0.6, 0.6])


# ── APA ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_reals_become_fakes_with_their_labels_or_stay(p):
    apa = APA(start=p, limit=1.0)
    batch = some_batch(train(apa))
    before = some_batch(train()).real.images
    other = batch.fake.images if p else before
    assert torch.equal(batch.real.images, other)
    assert torch.equal(batch.real.view, other)
    if p:
        assert torch.equal(batch.real.labels, batch.fake.labels)


def test_the_loss_reads_the_mixed_reals():
    figures = train(APA(start=1.0, limit=1.0)).train_step()
    assert torch.equal(figures["critic/score_real"], figures["critic/score_fake"])


# ── consistency of scores ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cls", [CR, BCR])
def test_an_identity_as_transformation_costs_nothing(cls):
    component = cls(flip=0.0, translation=0.0)
    batch = some_batch(train(component))
    assert all(term == 0 for term in terms(component, "critic_terms", batch).values())


def test_consistency_is_the_mean_square_of_the_difference_of_scores():
    component = CR(flip=1.0, translation=0.0, weight=2.0)
    batch = some_batch(train(component))
    view = batch.real.view
    mirrored = batch.critic(view.flip(3), batch.real.labels).score
    wanted = 2 * (batch.real.score - mirrored).square().mean()
    torch.testing.assert_close(terms(component, "critic_terms", batch)["real"], wanted)


# ── diffusion ─────────────────────────────────────────────────────────────────────────────────────


def test_the_share_of_the_image_that_is_left_falls_from_one():
    noise = DiffusionNoise(times=3, beta_first=0.1, beta_last=0.3)
    found = noise.kept(torch.device("cpu"))
    torch.testing.assert_close(found, torch.tensor([1, 0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7]))


def test_times_are_those_up_to_the_longest_and_noise_is_theirs():
    noise = DiffusionNoise(times=100, least=2, sigma=0.5)
    images = torch.ones(3000, 1, 4, 4)
    view, labels = noise.critic_view(images, torch.zeros(3000, 1, dtype=torch.int64), 0, rng())
    times = labels[:, 1]
    assert times.unique().tolist() == [0, 1, 2]
    assert torch.equal(view[times == 0], images[times == 0])
    kept = noise.kept(images.device)[2]
    last = view[times == 2]
    error = 0.5 * (1 - kept).sqrt() / last.numel() ** 0.5  # of the mean
    assert abs(last.mean() - kept.sqrt()) < 4 * error
    assert abs(last.std() / (0.5 * (1 - kept).sqrt()) - 1) < 4 / (2 * last.numel()) ** 0.5


def test_a_gain_of_zero_leaves_the_score_to_the_image():
    training = train(DiffusionNoise())
    batch = some_batch(training)
    labels = batch.real.view_labels.clone()
    labels[:, -1] = 400
    assert torch.equal(batch.critic(batch.real.view, labels).score, batch.real.score)
    (tail,) = training.context.gan.critic.network.parts.values()
    with torch.no_grad():
        tail.gain.fill_(1.0)
    assert not torch.equal(batch.critic(batch.real.view, labels).score, batch.real.score)


# ── instance selection ────────────────────────────────────────────────────────────────────────────


def test_the_density_of_one_axis_orders_by_the_distance_from_the_mean():
    rows = torch.tensor([[0.0, 5], [1, 5], [-3, 5], [2, 5]], dtype=torch.float64)  # mean 0
    assert log_density(rows, 8).sort(descending=True).indices.tolist() == [0, 1, 3, 2]


def test_densities_do_not_depend_on_the_units():
    rows = torch.randn(50, 3, generator=rng(), dtype=torch.float64)
    scaled = rows * torch.tensor([1.0, 7, 0.1], dtype=torch.float64)
    torch.testing.assert_close(log_density(rows, 3), log_density(scaled, 3))


def test_outliers_are_dropped_and_counted():
    points = torch.randn(20, 2, generator=rng())
    points[[3, 7]] = 50.0
    labels = torch.zeros(20, 1, dtype=torch.int64)
    labels[[3, 7]] = 1
    sets = some_data((2,), classes=(2,)).label_sets
    selection = InstanceSelection(keep=0.9)
    data = selection.adapt_data(StoredData(points, labels, sets))
    assert data.indices.tolist() == [each for each in range(20) if each not in (3, 7)]
    assert selection.measure() == {
        "kept": 18,
        "dropped": 2,
        "dropped/class0": 0.0,
        "dropped/class1": 1.0,
    }
    assert not data.draw_labels(50, rng()).any()


def test_keeping_all_is_the_data_itself_and_a_selection_has_another_fingerprint():
    data = some_data()
    assert InstanceSelection(keep=1.0).adapt_data(data) is None
    some, others = (InstanceSelection(keep=keep).adapt_data(data) for keep in (0.5, 0.6))
    assert isinstance(some, Subset)
    assert len({each.fingerprint() for each in (data, some, others)}) == 3


def test_equal_samples_are_as_dense_as_each_other():
    data = StoredData(torch.ones(10, 2))
    assert len(InstanceSelection(keep=0.25).adapt_data(data)) == 3

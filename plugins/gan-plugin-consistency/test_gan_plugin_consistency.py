"""Facts about terms that compare scores, features and samples."""

import pytest
import torch
from attrs import evolve
from torch import nn

from gan_plugin_augment.views import AugmentViews
from gan_plugin_conditioning.projection import Projection
from gan_plugin_consistency.feature_matching import FeatureMatching
from gan_plugin_consistency.latent import ZCR, ModeSeeking
from gan_plugin_consistency.lecam import LeCam
from gan_plugin_consistency.top_k import TopK
from gancore import CompositionError, component, compose, hookimpl
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

ALL = [
    (ZCR, {}),
    (ModeSeeking, {}),
    (LeCam, {"start": 0}),
    (LeCam, {"start": 0, "form": "paper"}),
    (TopK, {"decay": 0.5, "every": 1}),
    (FeatureMatching, {}),
    (FeatureMatching, {"norm": "l1", "replace": True}),
]


def with_output(side, **changes):
    side.set_output(evolve(side.out, **changes))


@pytest.mark.parametrize(("cls", "options"), ALL, ids=str)
def test_component_conforms(cls, options):
    check_component(cls, **options)


@pytest.mark.parametrize("cls", [ZCR, ModeSeeking, TopK, FeatureMatching])
def test_component_conforms_with_points(cls):
    check_component(cls, data=some_data((2,), classes=()))


def test_neighbours_of_latents_compose_with_views_and_labels():
    check_composes_with(ZCR, [AugmentViews, Projection])


# (what is composed, what is said; an empty text is no objection)
RULES = [
    ({"reg": ["lecam"], "loss": "wasserstein"}, "a score without a zero can drift"),
    ({"reg": ["lecam"], "loss": "bce"}, ""),
    ({"reg": ["top-k"], "loss": "wasserstein"}, ""),
]


def test_rules_say_what_does_not_go_together():
    offenders = []
    for chosen, wanted in RULES:
        try:
            said = " ".join(compose(data="sprites", **chosen).notes)
        except CompositionError as error:
            said = str(error)
        # other components may have notes of their own
        found = wanted in said if wanted else not any(each in said for _, each in RULES if each)
        if not found:
            offenders.append((chosen, said))
    assert not offenders


# ── consistency of latents ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", ["critic", "generator"])
def test_a_latent_that_does_not_move_costs_nothing(role):
    component = ZCR(radius=0.0)
    batch = some_batch(train(component), role)
    assert terms(component, f"{role}_terms", batch)["latent"] == 0


# ── mode seeking ──────────────────────────────────────────────────────────────────────────────────


class Scaled(nn.Module):
    """Return the latent times a number as points."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, z, labels):
        return self.factor * z


@pytest.mark.parametrize(("factor", "wanted"), [(2.0, 1 / 2.5), (0.0, 1 / 0.5)])
def test_a_generator_that_scales_its_latent_has_its_factor_as_distance(factor, wanted):
    @component(source="a test")
    class Scaling:
        @hookimpl(tryfirst=True)
        def make_generator(self):
            return Scaled(factor)

    data = some_data((3,), classes=())  # the stand-in's latent has 3 columns
    figures = train(ModeSeeking(eps=0.5), Scaling(), data=data).train_step()
    found = figures["generator/mode-seeking/distance"]
    torch.testing.assert_close(found, torch.tensor(wanted))


# ── LeCam ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("real", "fake", "form", "wanted"),
    [(3.0, 1.0, "code", 8.0), (1.0, 3.0, "code", 0.0), (1.0, 3.0, "paper", 8.0)],
)
def test_constant_scores_cost_twice_the_square_of_their_distance(real, fake, form, wanted):
    lecam = LeCam(weight=1.0, start=0, form=form)
    batch = scores_batch(torch.full((4,), real), torch.full((4,), fake), lecam)
    assert terms(lecam, "critic_terms", batch)["scores"] == wanted


def test_running_means_follow_the_scores_from_the_first_on():
    lecam = LeCam(decay=0.75)
    for real in (4.0, 8.0):
        batch = scores_batch(torch.full((4,), real), torch.zeros(4), lecam)
        assert not terms(lecam, "critic_terms", batch)  # before `start`
    assert lecam.means["real"] == 0.75 * 4 + 0.25 * 8


# ── top-k ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_best_scored_count_for_all():
    top = TopK(share=0.5, decay=0.5, every=1)
    scores = torch.tensor([1.0, 4, 3, 2, 2, 0])
    batch = scores_batch(torch.zeros(6), scores, top, role="generator")
    assert batch.fake.mean(scores) == scores.mean()  # at step 0 all count
    batch.update_id = evolve(batch.update_id, step=5)
    weights = top.sample_weights(torch.ones(6), batch)
    assert weights.tolist() == [0, 2, 2, 2, 0, 0]  # of equal scores the first


def test_k_begins_at_n_and_ends_at_its_share():
    top = TopK(share=0.5, decay=0.9, every=10)
    found = [top.count(100, step) for step in (0, 9, 10, 20, 10**6)]
    assert found == [100, 100, 90, 81, 50]


def test_all_that_count_change_no_bit():
    one, other = train(TopK(decay=1.0)), train()
    for training in (one, other):
        training.train_step()
    weights = other.context.gan.generator.state_dict()
    for name, tensor in one.context.gan.generator.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


# ── feature matching ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("norm", "wanted"), [("l2", 12.0), ("l1", 2.0)])
def test_features_apart_by_two_in_each_column_and_equal_ones(norm, wanted):
    matching = FeatureMatching(norm=norm)
    batch = some_batch(train(matching), "generator")
    with_output(batch.real, features=torch.ones(8, 3))
    for fakes, distance in ((torch.full((8, 3), 3.0), wanted), (torch.ones(8, 3), 0.0)):
        with_output(batch.fake, features=fakes)
        assert terms(matching, "generator_terms", batch)["features"] == distance


@pytest.mark.parametrize("replace", [True, False])
def test_the_losss_own_term_can_be_dropped(replace):
    figures = train(FeatureMatching(replace=replace)).train_step()
    matched = figures["generator/feature-matching/features"]
    assert torch.equal(figures["generator/total"], matched) == replace

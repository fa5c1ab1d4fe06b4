"""Closed forms of the hinge, least squares, relativistic and dual contrastive losses."""

from math import log

import pytest
import torch
from support.rules import check_rules_table
from support.tables import every_row

from gan_plugin_losses.dual_contrastive import DualContrastive
from gan_plugin_losses.hinge import Hinge
from gan_plugin_losses.lsgan import LSGAN
from gan_plugin_losses.relativistic import RaLSGAN, Relativistic, RpGANZeroGP
from gancore import CompositionError, component, compose, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, check_gradients, scores_batch, some_batch, terms, train

torch.set_num_threads(1)

LOSSES = [(Hinge, {}), (LSGAN, {}), (DualContrastive, {})]
FORMS = []
for form in ("paired", "average"):
    FORMS += [(Relativistic, {"form": form, "base": base}) for base in ("nonsat", "hinge", "lsgan")]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def total(cls, real, fake, role="critic", **options):
    batch = scores_batch(real, fake, role=role)
    return sum(terms(cls(**options), f"{role}_terms", batch).values())


@component(source="a test")
class FirstHalf:
    @hookimpl
    def sample_weights(self, weights):
        return torch.arange(len(weights)).lt(len(weights) // 2) * 2.0


@every_row(
    ("cls", "options"),
    [
        *LOSSES,
        (Relativistic, {}),
        (RpGANZeroGP, {}),
        (RaLSGAN, {"form": "average", "base": "lsgan"}),
    ],
)
def test_a_loss_conforms(cls, options):
    check_component(cls, **options)


@every_row(
    ("cls", "options", "of_critic", "of_generator"),
    [
        (Hinge, {}, 2, 0),
        (LSGAN, {}, 0.5, 0.5),
        (LSGAN, {"a": -1.0, "b": 1.0, "c": 0.0}, 1, 0),
        (Relativistic, {}, log(2), log(2)),
        (Relativistic, {"form": "average"}, log(2), log(2)),
        (Relativistic, {"base": "hinge"}, 1, 1),
        (Relativistic, {"form": "average", "base": "lsgan"}, 1, 1),
        (DualContrastive, {}, 2 * log(5), -2 * log(5)),
    ],
)
def test_terms_at_scores_of_zero(cls, options, of_critic, of_generator):
    zeros = torch.zeros(4)
    found = [total(cls, zeros, zeros, role, **options) for role in ("critic", "generator")]
    assert [each.item() for each in found] == pytest.approx([of_critic, of_generator])


def test_hinge_has_no_gradient_beyond_its_margins():
    real = torch.tensor([1.5, 0.5]).requires_grad_()
    fake = torch.tensor([-1.5, -0.5]).requires_grad_()
    total(Hinge, real, fake).backward()
    assert (real.grad.tolist(), fake.grad.tolist()) == ([0, -0.5], [0, 0.5])


def test_least_squares_are_zero_at_the_targets_and_follow_shaped_ones():
    assert total(LSGAN, torch.full((4,), 3.0), torch.full((4,), -2.0), a=-2.0, b=3.0) == 0

    @component(source="a test")
    class Smoothed:
        @hookimpl
        def critic_targets(self, targets):
            return 0.5 * targets

    loss = LSGAN(a=-1.0, b=3.0)
    batch = scores_batch(torch.full((4,), 1.0), torch.full((4,), -1.0), loss, Smoothed())
    # the target ½ lies half of the way from a to b, at 1
    found = batch.terms("critic_terms", {})
    assert sum(found.values()) == 0


@every_row(("cls", "options"), [*FORMS, (DualContrastive, {})])
def test_a_constant_added_to_all_scores_changes_nothing(cls, options):
    real, fake = random(6).double(), random(6, seed=1).double()
    for role in ("critic", "generator"):
        before = total(cls, real, fake, role, **options)
        after = total(cls, real + 3, fake + 3, role, **options)
        torch.testing.assert_close(before, after)


@every_row(("cls", "options"), FORMS)
def test_the_generator_minimises_the_same_with_the_sides_exchanged(cls, options):
    real, fake = random(6), random(6, seed=1)
    torch.testing.assert_close(
        total(cls, real, fake, **options), total(cls, fake, real, "generator", **options)
    )


def test_pairs_and_averages_follow_their_definitions():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.0])
    pairs = total(Relativistic, real, fake, base="hinge")
    assert pairs == 0  # differences 2 and 3
    squares = total(Relativistic, real, fake, form="average", base="lsgan")
    # reals against -0.5: 1.5, 3.5; fakes against 2: 3, 2
    assert squares == 0.5 * (0.25 + 6.25) / 2 + 0.5 * (4 + 1) / 2


def test_dual_contrastive_terms_are_cross_entropies():
    real, fake = random(4), random(4, seed=1)
    expected = 0
    for own, others in ((real, fake), (-fake, -real)):
        for score in own:
            logits = torch.cat([score[None], others])
            expected -= torch.log_softmax(logits, 0)[0] / 4
    torch.testing.assert_close(total(DualContrastive, real, fake), expected)


@every_row(("cls", "options"), FORMS[1:])  # the others are compared by the conformance kit
def test_gradients_agree_with_finite_differences(cls, options):
    assert check_gradients(lambda: [cls(**options)]) == []


@every_row(("cls", "options"), [(Hinge, {}), (LSGAN, {}), (Relativistic, {})])
def test_the_generator_heeds_the_weights_of_its_samples(cls, options):
    batch = some_batch(train(cls(**options), FirstHalf()), "generator")
    (found,) = batch.terms("generator_terms", {}).values()
    scores = batch.fake.score[:4].detach()
    plain = total(cls, batch.real.score[:4].detach(), scores, "generator", **options)
    torch.testing.assert_close(found.detach(), plain)


@every_row("cls", [Relativistic, DualContrastive])
def test_a_relative_loss_of_fakes_alone_is_refused(cls):
    batch = scores_batch(random(2), random(2))
    batch.sides.pop("real")
    with pytest.raises(CompositionError, match="nothing to be compared with"):
        terms(cls(), "critic_terms", batch)


def test_of_these_losses_only_least_squares_have_targets():
    losses = (Hinge, LSGAN, Relativistic, DualContrastive)
    assert [each for each in losses if "loss.targets" in info_of(each).provides] == [LSGAN]


def test_pairs_with_penalties_are_the_relativistic_loss_with_both_of_them():
    slots = {"reg": ["r1", "r2"], "critic_norm": "none"}
    options = {"r1.gamma": 1, "r2.gamma": 1, "adam.lr": 2e-4}
    preset = compose(recipe="base", loss="rpgan-zero-gp").recipe()
    spelled = compose(recipe="base", loss="relativistic", options=options, **slots).recipe()
    assert (preset.pop("loss"), spelled.pop("loss")) == ("rpgan-zero-gp", "relativistic")
    assert preset.pop("rpgan-zero-gp") == spelled.pop("relativistic")
    assert preset == spelled


def test_rules_of_losses():
    bounded = {"reg": ["spectral-norm"], "critic-norm": "none"}
    smoothed = {"reg": ["label-smoothing", "spectral-norm"], "critic-norm": "none"}
    penalties = {"reg": ["r1", "r2"], "critic-norm": "none"}
    check_rules_table(
        [
            ({"loss": "hinge"}, "note: nothing bounds the critic's gradient"),
            ({"loss": "hinge", **bounded}, None),
            ({"loss": "hinge", **smoothed}, "refused: a loss without targets has nothing to"),
            ({"loss": "lsgan", "reg": ["label-smoothing"]}, None),
            ({"loss": "lsgan", "reg": ["sigmoid-score"]}, "note: the loss compares raw scores"),
            ({"loss": "relativistic"}, "note: pairs of scores alone do not bound"),
            ({"loss": "relativistic", **penalties}, None),
            ({"loss": "relativistic", "relativistic.form": "average"}, None),
            ({"loss": "rpgan-zero-gp"}, None),
            (
                {"loss": "rpgan-zero-gp", "critic-norm": "batch"},
                "refused: the penalty is defined for each",
            ),
            ({"loss": "ralsgan"}, None),
            ({"loss": "ralsgan", "reg": ["noisy-labels"]}, "refused: a loss without targets has"),
            ({"loss": "dual-contrastive"}, None),
        ]
    )

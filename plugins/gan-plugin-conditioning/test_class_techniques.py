"""Facts about projection, classifiers, contrasts, codes and rotations."""

import math
from functools import partial

import pytest
import torch
from attrs import evolve
from torch.nn.functional import normalize

from gan_plugin_conditioning.adc import ADC
from gan_plugin_conditioning.contrastive import (
    ContraGAN,
    ReACGAN,
    contrast_2c,
    contrast_d2d,
)
from gan_plugin_conditioning.infogan import InfoGAN
from gan_plugin_conditioning.inputs import ConcatLabel
from gan_plugin_conditioning.multi_hinge import MultiHinge, crammer_singer
from gan_plugin_conditioning.projection import Projection
from gan_plugin_conditioning.rotation import SSGANRotation, rotate_quarters
from gan_plugin_conditioning.tac import TAC
from gancore import CompositionError, compose
from gancore.plugins.component import info_of
from gancore.testing import (
    check_component,
    check_composes_with,
    some_batch,
    some_data,
    terms,
    train,
)

torch.set_num_threads(1)

K = 3  # classes of the data
WITH_LABELS = [
    Projection,
    partial(Projection, form="per-class"),
    TAC,
    partial(TAC, fake=True),
    ADC,
    MultiHinge,
    partial(ContraGAN, width=8),
    partial(ReACGAN, width=8),
]


def made_of(form):
    """Return the class and the options of a class, or of a partial one."""
    return (form.func, form.keywords) if isinstance(form, partial) else (form, {})


def batch_of(component, role="critic", outputs=None, data=None):
    """A batch of a component, whose heads return `outputs` `{name: [N, …]}` where given."""
    batch = some_batch(train(component, data=data), role)
    for side in batch.sides.values():
        out = side.out
        side.set_output(evolve(out, heads={**out.heads, **(outputs or {})}))
    return batch


# ── conformance and rules ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", WITH_LABELS, ids=str)
def test_a_critic_of_classes_conforms(form):
    cls, options = made_of(form)
    check_component(cls, data=some_data(), **options)


@pytest.mark.parametrize(
    "form", [partial(InfoGAN, hidden=8), partial(InfoGAN, continuous=0), SSGANRotation], ids=str
)
def test_a_code_and_rotations_conform_without_labels(form):
    cls, options = made_of(form)
    check_component(cls, data=some_data(classes=()), **options)


def test_all_of_them_know_points_and_the_second_label_set():
    check_component(Projection, data=some_data((2,), classes=(2, 3)), labels="set1")
    check_component(InfoGAN, data=some_data((2,)), hidden=8)


def test_techniques_compose_with_each_other():
    check_composes_with(Projection, [ADC, ConcatLabel], condition="none")


TABLE = [
    ("projection", {"data": "sprites"}, None),
    ("projection", {"data": "gaussian"}, "no class to condition on"),
    ("tac", {"data": "gaussian"}, "no class to condition on"),
    ("ssgan-rotation", {"data": "sprites"}, None),
    ("ssgan-rotation", {"data": "gaussian"}, "only images can be rotated"),
]


def test_rules_refuse_what_has_no_meaning():
    offenders = []
    for name, others, wanted in TABLE:
        composition = compose(cond=[name], **others)
        tags = ["data.points"] if "gaussian" in others["data"] else ["data.images", "data.labels"]
        try:
            composition.check(tags)
            said = None
        except CompositionError as error:
            said = str(error)
        if (said is None) != (wanted is None) or (wanted and wanted not in said):
            offenders.append((name, others, said))
    assert not offenders


def test_two_uses_of_the_class_are_noted():
    both = compose(data="sprites", cond=["projection", "acgan"])
    assert any("the class twice" in note for note in both.notes)
    alone = compose(data="sprites", cond=["projection"])
    assert not any("the class twice" in note for note in alone.notes)


def test_a_pack_has_no_class():
    offenders = []
    for form in [*WITH_LABELS, InfoGAN]:
        cls, _ = made_of(form)
        if not any(rule.tag == "critic.packed" and rule.hard for rule in info_of(cls).rules):
            offenders.append(cls)
    assert not offenders


def test_a_single_class_is_refused():
    with pytest.raises(CompositionError, match="nothing to condition on"):
        train(Projection(), data=some_data(classes=(1,)))


def test_the_generator_is_given_the_label_unless_told_otherwise():
    wide, plain = (
        train(Projection(condition=how)).context.plan.inputs for how in ("concat", "none")
    )
    assert wide == plain + K


# ── projection ────────────────────────────────────────────────────────────────────────────────────


def test_projection_adds_the_product_of_features_and_the_row_of_the_class():
    training = train(Projection())
    critic = training.context.gan.critic.network
    table = critic.parts["projection-0"].table.weight
    batch = some_batch(training)
    out = batch.real.out
    own = critic.score(out.features).squeeze(1)
    product = (table[batch.real.labels[:, 0]] * out.features).sum(1)
    torch.testing.assert_close(out.score, own + product)
    with torch.no_grad():
        table.zero_()
    assert torch.equal(batch.critic(batch.real.view, batch.real.labels).score, own)


def test_one_score_a_class_is_picked_by_the_label():
    training = train(Projection(form="per-class"))
    linear = training.context.gan.critic.network.parts["projection-0"].linear
    batch = some_batch(training)
    scores = linear(batch.real.features)
    rows = torch.arange(len(scores))
    torch.testing.assert_close(batch.real.score, scores[rows, batch.real.labels[:, 0]])


# ── classifiers ───────────────────────────────────────────────────────────────────────────────────


def test_equal_logits_of_the_twins_cost_ln_k_and_cancel_for_the_generator():
    component = TAC()
    zeros = {"class-set0": torch.zeros(8, K), "tac-twin": torch.zeros(8, K)}
    found = terms(component, "critic_terms", batch_of(component, outputs=zeros))
    assert found.keys() == {"aux-real", "twin"}
    torch.testing.assert_close(torch.stack([*found.values()]), torch.full((2,), math.log(K)))
    found = terms(component, "generator_terms", batch_of(component, "generator", zeros))
    assert sum(found.values()) == 0


def test_equal_logits_of_2k_classes_cost_ln_2k_and_nothing_to_the_generator():
    component = ADC()
    zeros = {"adc": torch.zeros(8, 2 * K)}
    found = terms(component, "critic_terms", batch_of(component, outputs=zeros))
    torch.testing.assert_close(torch.stack([*found.values()]), torch.full((2,), math.log(2 * K)))
    found = terms(component, "generator_terms", batch_of(component, "generator", zeros))
    assert found["aux"] == 0


def test_the_generator_of_adc_minimises_the_difference_of_two_cross_entropies():
    component = ADC()
    logits = torch.randn(8, 2 * K, generator=torch.Generator().manual_seed(0))
    batch = batch_of(component, "generator", {"adc": logits})
    labels = batch.fake.labels[:, 0]
    entropy = torch.nn.functional.cross_entropy
    wanted = entropy(logits, labels) - entropy(logits, labels + K)
    found = terms(component, "generator_terms", batch)["aux"]
    torch.testing.assert_close(found, wanted)


def test_crammer_and_singers_loss_is_one_for_equal_scores_and_zero_behind_the_margin():
    classes = torch.tensor([0, 2])
    assert torch.equal(crammer_singer(torch.zeros(2, 3), classes), torch.ones(2))
    leading = torch.nn.functional.one_hot(classes, 3).float().requires_grad_()
    losses = crammer_singer(leading, classes)
    assert torch.equal(losses, torch.zeros(2))
    (gradient,) = torch.autograd.grad(losses.sum(), leading)
    assert not gradient.any()
    assert torch.equal(crammer_singer(-leading.detach(), classes), torch.full((2,), 2.0))


# ── contrasts ─────────────────────────────────────────────────────────────────────────────────────


def equal_vectors(n):
    return normalize(torch.ones(n, 2, 5), dim=2)


def test_contrast_of_equal_vectors_counts_rows():
    labels = torch.tensor([0, 0, 0, 1])
    same = torch.tensor([2.0, 2, 2, 0])  # others of the class
    found = contrast_2c(equal_vectors(4), labels, temperature=0.7)
    torch.testing.assert_close(found, (4 / (1 + same)).log())
    found = contrast_d2d(equal_vectors(4), labels, temperature=0.5, margin=0.98)
    # the attraction (1 - m) is cut to 0
    torch.testing.assert_close(found, (1 + (3 - same) * math.exp(0.98 / 0.5)).log())


@pytest.mark.parametrize(
    "contrast",
    [partial(contrast_2c, temperature=1), partial(contrast_d2d, temperature=1, margin=1)],
)
def test_a_batch_of_one_class_has_no_contrast_and_finite_gradients(contrast):
    vectors = torch.randn(4, 2, 5).requires_grad_()
    losses = contrast(normalize(vectors, dim=2), torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(losses, torch.zeros(4))
    (gradient,) = torch.autograd.grad(losses.sum(), vectors)
    torch.testing.assert_close(gradient, torch.zeros(4, 2, 5))


# ── codes ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_code_is_one_category_and_numbers_in_their_range():
    component = InfoGAN(categories=4, continuous=2)
    code = component.draw_latent(500, torch.Generator().manual_seed(0))
    assert code.shape == (500, 6)
    assert torch.equal(code[:, :4].sum(1), torch.ones(500))
    assert set(code[:, :4].unique().tolist()) == {0, 1}
    assert code[:, 4:].min() >= -1
    assert code[:, 4:].max() < 1


def test_a_code_read_by_chance_costs_ln_k_and_one_read_exactly_the_entropy_of_the_normal():
    component = InfoGAN(categories=4, continuous=2, continuous_weight=1.0)
    batch = batch_of(component)
    code = batch.fake.z[:, batch.plan.latent_slices["info-gan"]]
    read = torch.cat([torch.zeros(8, 4), code[:, 4:]], 1)
    out = batch.fake.out
    batch.fake.set_output(evolve(out, heads={"info-gan": read}))
    found = terms(component, "critic_terms", batch)
    assert found["category"] == pytest.approx(math.log(4))
    assert found["continuous"] == pytest.approx(math.log(2 * math.pi))


def test_a_traversal_changes_one_part_at_a_time():
    component = InfoGAN(categories=3, continuous=2)
    code = component.draw_latent(2, torch.Generator().manual_seed(0))
    paths = component.traversal(code)
    assert paths.shape == (2, 3 + 8 + 8, 5)
    assert torch.equal(paths[:, :3, :3], torch.eye(3).expand(2, -1, -1))
    assert torch.equal(paths[:, :3, 3:], code[:, None, 3:].expand(-1, 3, -1))
    assert torch.equal(paths[:, 3:11, 3], torch.linspace(-1, 1, 8).expand(2, -1))
    assert torch.equal(paths[:, 3:11, 4], code[:, 4:].expand(-1, 8))


# ── rotations ─────────────────────────────────────────────────────────────────────────────────────


def test_quarter_turns_are_those_of_rot90():
    images = torch.randn(4, 1, 3, 3)
    turned = rotate_quarters(images, torch.arange(4))
    for turns in range(4):
        assert torch.equal(turned[turns], images[turns].rot90(turns, (1, 2)))


def test_equal_logits_of_rotations_cost_ln_4():
    component = SSGANRotation()
    training = train(component)
    (head,) = training.context.gan.critic.network.parts.values()
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.zero_()
    found = terms(component, "critic_terms", some_batch(training))["rotation"]
    torch.testing.assert_close(found.detach(), torch.tensor(math.log(4)))
    found = terms(component, "generator_terms", some_batch(training, "generator"))["rotation"]
    torch.testing.assert_close(found.detach(), torch.tensor(0.2 * math.log(4)))


def test_images_that_are_not_square_are_refused():
    with pytest.raises(CompositionError, match="a quarter turn makes an image of 16×8"):
        train(SSGANRotation(), data=some_data((3, 16, 8)))

"""Facts about ACGAN."""

import math

import pytest
import torch
from attrs import evolve
from torch import nn

from gan_plugin_acgan import ACGAN
from gancore import CompositionError, LabelSet, StoredData
from gancore.testing import check_component, some_batch, some_data, terms, train

torch.set_num_threads(1)

OFF = {"condition": "none", "draw": "empirical"}


def batch_with_logits(logits, labels, side="real", role="critic", **options):
    """A batch of one side's given logits `[N, K]` and labels `[N]`, and the component that reads
    them.
    """
    acgan = ACGAN(**options)
    batch = some_batch(
        train(acgan, data=some_data(classes=(logits.shape[1],)), batch=len(logits)), role
    )
    given = getattr(batch, side)
    given.set_output(evolve(given.out, heads={"class-set0": logits}), labels[:, None])
    return acgan, batch


def assert_same_weights(one, other, parts):
    found, wanted = one.state_dict(), other.state_dict()
    for name in wanted:
        if name.startswith(parts):
            assert torch.equal(found[name], wanted[name]), name


def test_acgan_conforms():
    check_component(ACGAN, data=some_data(classes=(3,)))


def test_acgan_of_two_label_sets_conforms():
    check_component(ACGAN, data=some_data(classes=(3, 2)), labels=("set1", "set0"))


def test_equal_logits_cost_ln_k():
    acgan, batch = batch_with_logits(
        torch.full((4, 5), 3.0, requires_grad=True), torch.tensor([0, 1, 2, 4])
    )
    assert terms(acgan, "critic_terms", batch)["aux-real"].item() == pytest.approx(math.log(5))


def test_gradient_of_a_confidently_wrong_answer_is_one():
    logits = torch.tensor([[0.0, 20.0]], requires_grad=True)
    acgan, batch = batch_with_logits(logits, torch.tensor([0]))
    terms(acgan, "critic_terms", batch)["aux-real"].backward()
    # softmax - onehot = (e⁻²⁰ - 1, 1 - e⁻²⁰); probabilities fed to a log-likelihood would give
    # ∓2e-9
    torch.testing.assert_close(logits.grad, torch.tensor([[-1.0, 1.0]]))


def faulty_term(logits, label):
    acgan, batch = batch_with_logits(
        logits, torch.tensor(label), classifier_loss="softmax-into-nll"
    )
    return terms(acgan, "critic_terms", batch)["aux-real"]


def test_softmax_into_nll_conforms():
    check_component(ACGAN, data=some_data(classes=(3,)), classifier_loss="softmax-into-nll")


def test_softmax_into_nll_has_no_gradient_where_it_is_confidently_wrong():
    logits = torch.tensor([[0.0, 20.0]], requires_grad=True)
    faulty_term(logits, [0]).backward()
    p = 1 / (1 + math.exp(20))  # of the right class: 2e-9
    torch.testing.assert_close(
        logits.grad, torch.tensor([[-p * (1 - p), p * (1 - p)]]), atol=0, rtol=1e-4
    )


def test_softmax_into_nll_is_less_the_probability_of_the_right_class():
    logits = torch.tensor(
        [[0.0, 2.0, -1.0], [40.0, 0.0, 0.0], [0.0, 40.0, 0.0]], requires_grad=True
    )
    for row, label in enumerate([1, 0, 0]):
        loss = faulty_term(logits[row : row + 1], [label])
        assert -1 <= loss.item() <= 0
        assert loss.item() == pytest.approx(-logits[row].softmax(0)[label].item())


@pytest.mark.parametrize(
    ("side", "role", "term"),
    [("real", "critic", "aux-real"), ("fake", "critic", "aux-fake"), ("fake", "generator", "aux")],
)
def test_each_term_is_the_weighted_cross_entropy_of_its_side(side, role, term):
    logits, labels = torch.randn(6, 3, requires_grad=True), torch.tensor([0, 1, 2, 0, 1, 2])
    acgan, batch = batch_with_logits(logits, labels, side, role, weight=0.5, generator_weight=0.25)
    found = terms(acgan, f"{role}_terms", batch)[term]
    factor = 0.25 if role == "generator" else 0.5
    torch.testing.assert_close(found, factor * nn.functional.cross_entropy(logits, labels))


def test_head_is_trained_on_reals_alone_on_request():
    acgan = ACGAN(fake=False)
    assert set(terms(acgan, "critic_terms", some_batch(train(acgan)))) == {"aux-real"}


def test_terms_of_several_label_sets_carry_their_names():
    acgan = ACGAN(labels=("set0", "set1"))
    batch = some_batch(train(acgan, data=some_data(classes=(3, 2))))
    names = {"aux-real-set0", "aux-real-set1", "aux-fake-set0", "aux-fake-set1"}
    assert set(terms(acgan, "critic_terms", batch)) == names


def pokemon(count=40):
    """Bytes with two labels each: 18 types and 10 bodies."""
    plain = some_data(classes=(18, 10), count=count)
    sets = (
        LabelSet("type", plain.label_sets[0].classes),
        LabelSet("body", plain.label_sets[1].classes),
    )
    return StoredData(plain.samples, plain.labels, sets)


@pytest.mark.parametrize(
    ("role", "side", "name"), [("critic", "real", "aux-real"), ("generator", "fake", "aux")]
)
def test_type_and_body_at_once_are_each_judged_by_their_own_head_and_column(role, side, name):
    acgan = ACGAN(labels=("type", "body"))
    batch = some_batch(train(acgan, data=pokemon()), role)
    found, given = terms(acgan, f"{role}_terms", batch), getattr(batch, side)
    for column, (each, classes) in enumerate({"type": 18, "body": 10}.items()):
        logits = given.heads[f"class-{each}"]
        assert logits.shape == (8, classes)
        wanted = nn.functional.cross_entropy(logits, given.labels[:, column])
        torch.testing.assert_close(found[f"{name}-{each}"], wanted)


def test_the_generator_receives_type_and_body_at_once():
    training = train(ACGAN(labels=("type", "body")), data=pokemon())
    assert training.context.plan.inputs == training.context.plan.latent + 18 + 10
    seen = []
    training.context.gan.generator.network.net.register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    training.context.gan.generator.network(torch.zeros(1, 3), torch.tensor([[17, 2]]))
    assert seen[0][0].nonzero().flatten().tolist() == [3 + 17, 3 + 18 + 2]


def test_accuracy_is_the_share_named_rightly():
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], requires_grad=True)
    acgan, batch = batch_with_logits(logits, torch.tensor([0, 1, 1, 0]))
    figures = {}
    acgan.critic_terms(batch, figures.__setitem__)
    assert figures["accuracy-real"].item() == 0.75


def test_removing_the_head_leaves_every_other_initial_weight_bit_identical():
    one, other = train(ACGAN(**OFF)).context.gan, train().context.gan
    assert_same_weights(one.critic, other.critic, ("body", "score"))
    assert_same_weights(one.generator, other.generator, "")


def test_removing_the_head_leaves_the_scores_bit_identical():
    one, other = (some_batch(train(*components)) for components in ([ACGAN(**OFF)], []))
    assert torch.equal(one.real.score, other.real.score)
    assert torch.equal(one.fake.score, other.fake.score)


def test_a_head_of_weight_zero_changes_no_bit_of_training():
    one, other = train(ACGAN(weight=0, generator_weight=0, **OFF)), train()
    for training in (one, other):
        for _ in range(4):
            training.train_step()
    assert_same_weights(one.context.gan.critic, other.context.gan.critic, ("body", "score"))
    assert_same_weights(one.context.gan.generator, other.context.gan.generator, "")


def test_generator_makes_other_samples_for_other_labels():
    batch = some_batch(train(ACGAN()))
    made = [batch.generator(batch.fake.z, torch.full((8, 1), label)).images for label in (0, 1)]
    assert not torch.equal(*made)


def test_generator_receives_the_latent_and_one_column_a_class():
    training = train(ACGAN(labels=("set1",)), data=some_data(classes=(3, 2)))
    assert training.context.plan.inputs == training.context.plan.latent + 2
    seen = []
    training.context.gan.generator.network.net.register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    training.context.gan.generator.network(torch.zeros(2, 3), torch.tensor([[2, 0], [0, 1]]))
    assert torch.equal(seen[0][:, 3:], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


def test_conditioning_can_be_left_to_other_components():
    batch = some_batch(train(ACGAN(condition="none")))
    made = [batch.generator(batch.fake.z, torch.full((8, 1), label)).images for label in (0, 1)]
    assert torch.equal(*made)


def test_labels_of_fakes_are_drawn_uniformly():
    plan, n = train(ACGAN()).context.plan, 30_000
    counts = ACGAN().draw_labels(n, plan, torch.Generator().manual_seed(0))[:, 0].bincount()
    # each of the 3 counts is Binomial(n, 1/3)
    assert (counts - n / 3).abs().max() < 4 * (n * (1 / 3) * (2 / 3)) ** 0.5


def test_empirical_labels_are_left_to_the_data():
    plan = train(ACGAN()).context.plan
    assert ACGAN(draw="empirical").draw_labels(5, plan, torch.Generator()) is None


def test_gradient_of_the_generators_term_reaches_the_generator():
    training = train(ACGAN())
    acgan = training.context.hooks.chosen[0].component
    terms(acgan, "generator_terms", some_batch(training, "generator"))["aux"].backward()
    assert all(
        weight.grad.abs().max() > 0
        for weight in training.context.gan.generator.network.net.project.parameters()
    )


def test_a_single_class_is_refused():
    with pytest.raises(CompositionError, match="needs two classes or more"):
        train(ACGAN(), data=some_data(classes=(1,)))


def test_data_without_labels_is_refused():
    with pytest.raises(CompositionError, match="the data has none"):
        train(ACGAN(), data=some_data(classes=()))


def test_an_unknown_label_set_is_refused_with_those_there_are():
    with pytest.raises(CompositionError, match="'shape'; the data has set0, set1"):
        train(ACGAN(labels=("shape",)), data=some_data(classes=(3, 2)))

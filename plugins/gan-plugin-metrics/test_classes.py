"""Facts about the accuracy and entropy of class heads."""

import math

import pytest
import torch
from torch import nn

from gan_plugin_metrics.classes import ClassAccuracy, ClassEntropy, entropy
from gancore import CompositionError, Head, Progress, StoredData, component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, some_data, train
from gancore.train.plan import LabelSet

torch.set_num_threads(1)

BOTH = [ClassAccuracy, ClassEntropy]


class Linear(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features, labels):
        return self.linear(features)


@component(source="a test")
class Heads:
    """Give the critic an untrained linear class head for each label set."""

    @hookimpl
    def extend_critic(self, features, plan):
        return [Head(f"class-{each.name}", Linear(features, len(each))) for each in plan.label_sets]


class Table(nn.Module):
    """Logits that follow from the label alone: row y of a table `[K, K]`."""

    def __init__(self, table):
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, features, labels):
        return self.table[labels[:, 0]]


@component(source="a test")
class Given:
    """Give the critic a head with known logits for each label, and one that is no class head."""

    table: torch.Tensor

    @hookimpl
    def extend_critic(self):
        return [Head("depth", Table(self.table)), Head("class-set0", Table(self.table))]


@component(source="a test")
class Moody:
    """Give the critic layers that training mode would move, one of them in evaluation mode for
    good.
    """

    @hookimpl
    def adapt_critic(self, net):
        frozen = nn.BatchNorm2d(6)
        frozen.eval()
        for layer in (nn.Dropout(0.5), nn.BatchNorm2d(6), frozen):
            net.body.layers.insert(1, layer)


def now(training, **more):
    return Progress(training.context, training.step, training.epoch, **more)


def measured(metric, *components, data=None):
    return metric.measure(now(train(metric, *components, data=data)))


def with_logits(metric, rows):
    """What a metric gives for a head that answers label y with row y of the logits."""
    return measured(metric, Given(table=torch.tensor(rows)), data=some_data(classes=(len(rows),)))


@pytest.mark.parametrize("cls", BOTH)
def test_component_conforms(cls):
    check_component(cls, data=some_data(), beside=[Heads()])


@pytest.mark.parametrize("cls", BOTH)
def test_measuring_changes_no_bit_of_training(cls):
    metric = cls(images=20)
    one, other = train(metric, Heads(), Moody()), train(Heads(), Moody())
    for _ in range(3):
        one.train_step(), other.train_step()
        assert metric.measure(now(one))
    for role in ("generator", "critic"):
        found, wanted = (each.context.gan.player(role).state_dict() for each in (one, other))
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert torch.equal(found[name], wanted[name]), name


@pytest.mark.parametrize("cls", BOTH)
def test_every_modules_mode_is_put_back(cls):
    metric = cls(images=20)
    training = train(metric, Heads(), Moody())
    modes = [module.training for module in training.context.gan.critic.network.modules()]
    assert {True, False} == set(modes)
    metric.measure(now(training))
    assert [module.training for module in training.context.gan.critic.network.modules()] == modes


@pytest.mark.parametrize("cls", BOTH)
def test_figures_repeat_themselves(cls):
    training = train(cls(), Heads(), Moody())
    assert cls(images=20).measure(now(training)) == cls(images=20).measure(now(training))


@pytest.mark.parametrize("cls", BOTH)
def test_it_measures_when_the_run_draws_or_every_so_many_steps(cls):
    training = train(cls(), Heads())
    assert cls(images=8).measure(now(training, drawing=False)) is None
    for step, due in ((9, False), (10, True), (11, True)):
        progress = Progress(training.context, step, 0.0, before=8, drawing=False)
        assert (cls(images=8, every=10).measure(progress) is not None) == due


@pytest.mark.parametrize("cls", BOTH)
def test_a_critic_without_class_head_is_refused_before_training(cls):
    with pytest.raises(CompositionError, match="no component adds one") as refused:
        train(cls(), data=some_data())
    assert refused.value.where and refused.value.fix


@pytest.mark.parametrize("cls", BOTH)
def test_data_without_labels_are_refused(cls):
    (rule,) = info_of(cls).rules
    assert (rule.tag, rule.present, rule.hard) == ("data.labels", False, True)


@pytest.mark.parametrize("cls", BOTH)
def test_label_sets_after_the_first_carry_their_names(cls):
    found = measured(cls(), Heads(), data=some_data(classes=(3, 2)))
    figures = {"real", "fake"} if cls is ClassAccuracy else {"real", "fake", "mean-fake"}
    assert set(found) == figures | {f"{name}-set1" for name in figures}


@pytest.mark.parametrize("cls", BOTH)
def test_number_of_images_need_not_be_a_multiple_of_the_batch(cls):
    assert measured(cls(images=13), Heads())  # batches of 8


# ── class-accuracy ────────────────────────────────────────────────────────────────────────────────


def test_a_head_that_knows_every_class_has_accuracy_one():
    assert with_logits(ClassAccuracy(), [[5.0, 0, 0], [0, 5, 0], [0, 0, 5]]) == {
        "real": 1.0,
        "fake": 1.0,
    }


def test_a_head_that_is_always_wrong_has_accuracy_zero():
    assert with_logits(ClassAccuracy(), [[0.0, 5], [5, 0]]) == {"real": 0.0, "fake": 0.0}


def test_a_head_that_says_one_class_has_the_share_of_that_class():
    # K equally frequent classes: chance is 1/K
    labels = torch.arange(40)[:, None] % 4
    data = StoredData(some_data(classes=()).samples, labels, (LabelSet("set0", tuple("abcd")),))
    found = measured(ClassAccuracy(images=2000), Given(table=torch.eye(4)[[2, 2, 2, 2]]), data=data)
    for share in found.values():  # Binomial(2000, 1/4)/2000
        assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5


def test_accuracy_on_fakes_is_against_the_class_that_was_asked_for():
    metric = ClassAccuracy(images=24)
    training = train(metric, Heads(), data=some_data())
    images, labels = now(training).samples(24)
    with torch.no_grad():
        named = (
            training.context.gan.critic.network.eval()(images, labels).heads["class-set0"].argmax(1)
        )
    assert metric.measure(now(training))["fake"] == pytest.approx(
        (named == labels[:, 0]).float().mean().item()
    )


# ── class-entropy ─────────────────────────────────────────────────────────────────────────────────


def test_equal_logits_have_entropy_one():
    found = with_logits(ClassEntropy(), [[7.0] * 5] * 5)
    assert found == pytest.approx({"real": 1.0, "fake": 1.0, "mean-fake": 1.0}, abs=1e-6)


def test_certainty_about_one_class_has_entropy_zero():
    found = with_logits(ClassEntropy(), [[500.0, 0, 0]] * 3)
    assert found == pytest.approx({"real": 0.0, "fake": 0.0, "mean-fake": 0.0}, abs=1e-6)


def test_certainty_about_several_classes_shows_in_the_mean_alone():
    metric = ClassEntropy(images=3000)
    training = train(metric, Given(table=500 * torch.eye(3)), data=some_data())
    found = metric.measure(now(training))
    frequencies = now(training).samples(3000)[1][:, 0].bincount() / 3000
    assert found["fake"] == pytest.approx(0.0, abs=1e-6)
    assert found["mean-fake"] == pytest.approx(entropy(frequencies).item() / math.log(3), abs=1e-5)


def test_entropy_of_a_fair_coin_among_four_classes_is_one_half():
    found = with_logits(ClassEntropy(), [[0.0, 0, -500, -500]] * 4)
    assert found["real"] == pytest.approx(math.log(2) / math.log(4))


def test_divided_by_the_classes_the_largest_entropy_of_18_is_a_sixth():
    found = with_logits(ClassEntropy(divide_by="classes"), [[1.0] * 18] * 18)
    assert found["real"] == pytest.approx(math.log(18) / 18)  # 0.16


def test_swapped_tags_exchange_reals_and_fakes_and_nothing_else():
    plain, swapped = (
        measured(ClassEntropy(swap_tags=swap), Heads(), data=some_data()) for swap in (False, True)
    )
    assert plain["real"] != plain["fake"]
    assert swapped == {
        "real": plain["fake"],
        "fake": plain["real"],
        "mean-fake": plain["mean-fake"],
    }


def test_of_one_class_nothing_is_unsure():
    assert ClassEntropy().share(0.0, 1) == 0

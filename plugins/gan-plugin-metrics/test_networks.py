"""Facts about the metrics of networks: saturation, dead units, evaluation mode, weight change."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gan_plugin_metrics.held_out import HeldOut
from gan_plugin_metrics.networks import DeadUnits, Saturation, TrainEvalGap, WeightChange, watched
from gan_plugin_metrics.terms import TermGradients, gradient_of, last_updates
from gancore import DataError, Progress, Update, component, hookimpl, option
from gancore.testing import check_component, copy_state, some_data, train

torch.set_num_threads(1)

SMALL = {
    Saturation: {"images": 8},
    DeadUnits: {"images": 8},
    TrainEvalGap: {"images": 8},
    HeldOut: {"images": 8},
    WeightChange: {"every": 1},
    TermGradients: {"every": 1},
}


def progress_of(training):
    return Progress(training.context, step=training.step, epoch=1.0)


@component(source="a test")
class Moody:
    """Give both players layers whose result depends on their mode and on who came before."""

    momentum: float = option(0.1, help="of the running statistics")

    @hookimpl
    def adapt_critic(self, net):
        net.body.layers.insert(1, nn.Dropout(0.5))
        net.body.layers.insert(1, nn.ReLU())

    @hookimpl
    def adapt_generator(self, net):
        return Normed(net, self.momentum)


class Normed(nn.Module):
    """A generator whose samples pass a batch norm and a rectifier at the end."""

    def __init__(self, net, momentum):
        super().__init__()
        self.net = net
        self.norm = nn.BatchNorm2d(3, momentum=momentum)
        self.relu = nn.ReLU()

    def forward(self, z, labels):
        return self.relu(self.norm(self.net(z, labels))).tanh()


@pytest.mark.parametrize("cls", SMALL)
def test_component_conforms(cls):
    check_component(cls, **SMALL[cls])


@pytest.mark.parametrize("cls", [cls for cls in SMALL if cls is not HeldOut])
def test_looking_changes_no_bit_of_training(cls):
    metric = cls(**SMALL[cls])
    looked = train(metric, Moody())
    plain = train(Moody())
    for _ in range(4):
        looked.train_step(), plain.train_step()
        looked.context.hooks.all("measure", progress=progress_of(looked), rng=lambda name: None)
    for role in ("generator", "critic"):
        found, wanted = (each.context.gan.player(role).state_dict() for each in (looked, plain))
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


# ── saturation ────────────────────────────────────────────────────────────────────────────────────


def shown(samples, reals, axes=2):
    return SimpleNamespace(
        due=lambda every: True,
        plan=SimpleNamespace(axes=axes),
        samples=lambda n: (samples, None),
        reals=lambda n: (reals, None),
    )


def test_saturation_is_the_share_of_values_at_the_ends():
    samples = torch.tensor([1.0, -1.0, 0.995, 0.5]).reshape(1, 1, 2, 2)
    found = Saturation().measure(shown(samples, torch.zeros(1, 1, 2, 2)))
    assert {side: float(share) for side, share in found.items()} == {"fake": 0.75, "real": 0.0}


def test_points_have_no_ends():
    assert Saturation().measure(shown(torch.ones(4, 2), torch.ones(4, 2), axes=0)) is None


# ── dead units ────────────────────────────────────────────────────────────────────────────────────


def test_a_unit_is_dead_if_it_is_zero_for_every_input():
    layers = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.LeakyReLU())
    with torch.no_grad():
        layers[0].weight.zero_()
        layers[0].bias.copy_(torch.tensor([-1.0, -1.0, -1.0, 1.0]))
    found = {}
    with watched(layers, found):
        layers(torch.randn(8, 2))
    assert {name: each.tolist() for name, each in found.items()} == {
        "1": [False, False, False, True]
    }
    assert not layers[1]._forward_hooks


def test_dead_units_are_counted_by_layer_and_player():
    training = train(Moody())
    network = training.context.gan.generator.network
    with torch.no_grad():
        network.norm.weight.zero_()
        network.norm.bias.copy_(torch.tensor([-1.0, -1.0, 1.0]))
    found = DeadUnits(images=8).measure(progress_of(training))
    assert found["generator/relu"] == found["generator"] == pytest.approx(2 / 3)
    assert 0 <= found["critic"] <= 1


# ── train/eval gap ────────────────────────────────────────────────────────────────────────────────


def test_a_generator_without_modes_has_no_gap():
    training = train()
    training.train_step()
    found = TrainEvalGap(images=8).measure(progress_of(training))
    assert found["eval"] == found["train"]


def test_running_statistics_that_stand_still_make_a_gap():
    training = train(Moody(momentum=1e-9))
    training.train_step()
    with torch.no_grad():
        training.context.gan.generator.network.norm.running_mean.fill_(50.0)
    found = TrainEvalGap(images=8).measure(progress_of(training))
    assert found["eval"] != found["train"]
    assert found["ratio"] == found["eval"] / found["train"]


# ── weight change ─────────────────────────────────────────────────────────────────────────────────


def vector(training, role):
    return torch.cat(
        [each.detach().flatten() for each in training.context.gan.player(role).parameters]
    )


def test_the_change_is_that_of_one_step_over_the_norm_before():
    metric = WeightChange(every=2)
    training = train(metric)
    training.train_step()
    assert metric.measure() == {}
    before = {role: vector(training, role) for role in ("generator", "critic")}
    training.train_step()
    found = metric.measure()
    for role, old in before.items():
        change = (vector(training, role) - old).norm() / old.norm()
        assert found[role] == pytest.approx(float(change), rel=1e-4)
    assert metric.before == {}  # no copy is kept between


@component(source="a test")
class CriticAlone:
    """Leave the generator's updates out."""

    @hookimpl
    def adapt_schedule(self):
        return [Update("critic")]


def test_a_player_without_an_update_has_no_figure():
    metric = WeightChange(every=1)
    train(metric, CriticAlone()).train_step()
    assert set(metric.measure()) == {"critic"}


# ── held-out ──────────────────────────────────────────────────────────────────────────────────────


def test_held_out_reals_are_never_shown_to_the_players():
    data = some_data(count=40)
    metric = HeldOut(share=0.25)
    kept = metric.adapt_data(data)
    rng = torch.Generator()
    shown_images = kept.take(torch.arange(len(kept)), rng)[0]
    held = metric.held[0]
    assert (len(kept), len(held)) == (30, 10)
    both = torch.cat([shown_images, held]).flatten(1)
    everything = data.take(torch.arange(40), rng)[0].flatten(1)
    assert torch.equal(both.unique(dim=0), everything.unique(dim=0))
    assert kept.fingerprint() != data.fingerprint()


def test_the_gap_is_the_way_from_known_reals_to_fakes():
    scores = {"train": 4.0, "held-out": 1.0, "fake": -2.0}
    metric = HeldOut()
    metric.held = ("held-out", None)
    progress = SimpleNamespace(
        due=lambda every: True,
        plan=SimpleNamespace(label_sets=()),
        reals=lambda n: ("train", None),
        samples=lambda n: ("fake", None),
        judge=lambda side, labels: SimpleNamespace(score=torch.tensor([scores[side]])),
    )
    assert float(metric.measure(progress)["gap"]) == 0.5
    scores["fake"] = 5.0
    assert "gap" not in metric.measure(progress)


def test_data_too_few_to_divide_are_refused():
    with pytest.raises(DataError, match="held-out divides the data, which needs 10 samples"):
        HeldOut().adapt_data(some_data(count=9))


# ── term-gradients ────────────────────────────────────────────────────────────────────────────────


@component(source="a test")
class Opposed:
    """A term of twice the mean score of fakes, against the loss's."""

    @hookimpl
    def critic_terms(self, batch):
        return {"against": -2 * batch.fake.score.mean()}

    @hookimpl(trylast=True)
    def adapt_terms(self, terms):
        return {
            name: 3 * term if name.endswith("against") else term for name, term in terms.items()
        }


@component(source="a test")
class Plain:
    """Minimise mean scores."""

    @hookimpl
    def critic_terms(self, batch):
        return {"fake": batch.fake.score.mean(), "real": -batch.real.score.mean()}


def measured(*components, steps=1, **options):
    metric = TermGradients(**{"every": 1, **options})
    training = train(metric, *components)
    for _ in range(steps):
        training.train_step()
    return metric


def test_a_term_and_its_opposite_have_a_cosine_of_minus_one_and_the_ratio_of_their_weights():
    found = measured(Plain(), Opposed()).measure()
    (fake,) = [name for name in found if name.startswith("critic/") and name.endswith("plain/fake")]
    (against,) = [name for name in found if name.startswith("critic/") and name.endswith("against")]
    assert found[against] == pytest.approx(6 * found[fake], rel=1e-4)
    pair = f"cosine/{fake}+{against.removeprefix('critic/')}"
    assert found[pair] == pytest.approx(-1, abs=1e-5)


def test_a_single_term_has_the_norm_of_the_players_gradient():
    metric = TermGradients(every=1)
    row = train(metric).train_step()
    found = metric.measure()
    terms = [name for name in found if name.startswith("generator/")]
    assert len(terms) == 1
    assert found[terms[0]] == pytest.approx(float(row["generator/grad_norm"]), rel=1e-4)


def test_nothing_is_computed_between_the_steps_to_measure(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "gan_plugin_metrics.terms.gradient_of",
        lambda *given: calls.append(1) or gradient_of(*given),
    )
    metric = TermGradients(every=3)
    training = train(metric)
    counts = []
    for _ in range(6):
        training.train_step()
        counts.append(len(calls))
    assert counts[0] == counts[1] == 0
    assert counts[2] == counts[3] == counts[4] > 0
    assert counts[5] == 2 * counts[2]


def test_the_last_update_of_each_player_is_measured():
    updates = [Update("critic"), Update("critic"), Update("generator")]
    assert last_updates(updates) == {"critic": 1, "generator": 2}
    assert last_updates([Update("critic"), Update("both")]) == {"critic": 1, "generator": 1}


def test_the_last_matrix_alone_has_a_smaller_gradient():
    whole = measured(Plain()).measure()
    last = measured(Plain(), weights="last").measure()
    norms = [name for name in whole if not name.startswith("cosine")]
    assert norms == [name for name in last if not name.startswith("cosine")]
    assert all(0 < last[name] < whole[name] for name in norms)


def test_figures_of_an_open_row_survive_a_resume():
    metric, again = measured(Plain()), TermGradients()
    copy_state(metric, again)
    assert again.measure() == metric.measure() != {}

"""Facts about the norms whose gain and shift are those of a class, or functions of the latent."""

import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_norms.modulated import ByClass, ByStyle, ConditionalBatch, SelfModulation
from gancore import CompositionError, GanError, Run, component, compose, hookimpl
from gancore.testing import check_component, some_data, train
from gancore.tools.verify_resume import verify

SHAPES = [(8, 6), (8, 6, 5), (8, 6, 5, 3), (8, 6, 2, 3, 4)]
NO_LABELS = torch.empty(8, 0, dtype=torch.int64)
SETTINGS = {"batch": 8, "size": "16", "steps": 2, "device": "cpu"}


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_class(classes=3, column=0):
    return ByClass(6, classes, column, ConditionalBatch())


def by_style(hidden=64):
    torch.manual_seed(0)
    return ByStyle(6, 3, hidden, SelfModulation())


def labels_of(*numbers):
    return torch.tensor(numbers)[:, None]


def plain_norm(maps):
    return torch.nn.functional.batch_norm(maps, None, None, training=True)


@component(source="a test")
class BareCritic:
    """A critic without norms, since the norm needs a style."""

    @hookimpl
    def make_critic(self, plan):
        return Bare(plan.critic_shape[0])


class Bare(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Conv2d(channels, 4, 4, 4)

    def forward(self, images, labels):
        return self.layer(images).tanh()


def test_conditional_batch_conforms():
    check_component(ConditionalBatch)


@pytest.mark.parametrize("hidden", [0, 8])
def test_self_modulation_conforms(hidden):
    check_component(SelfModulation, hidden=hidden, beside=[BareCritic()])


@every_row("shape", SHAPES)
def test_with_equal_rows_it_is_batch_norm(shape):
    maps = random(*shape)
    assert torch.allclose(by_class()(maps, labels_of(*[0, 1] * 4)), plain_norm(maps), atol=1e-6)


def test_each_sample_has_the_gain_and_the_shift_of_its_class():
    norm, maps = by_class(), random(3, 6, 5)
    plain = norm(maps, labels_of(0, 1, 2))
    with torch.no_grad():
        norm.table[1, :6] = 2.0
        norm.table[2, 6:] = 5.0
    made = norm(maps, labels_of(0, 1, 2))
    assert torch.allclose(made, torch.stack([plain[0], 2 * plain[1], plain[2] + 5]), atol=1e-6)


def test_the_class_is_read_from_the_chosen_label_set():
    gan = train(ConditionalBatch(labels="set1"), data=some_data(classes=(3, 2))).context.gan
    norms = [each for each in gan.generator.network.modules() if isinstance(each, ByClass)]
    assert [(norm.column, len(norm.table)) for norm in norms] == [(1, 2)]


def test_a_label_set_that_does_not_exist_is_refused():
    with pytest.raises(CompositionError, match="no label set is called 'colour'"):
        train(ConditionalBatch(labels="colour"))


@every_row("make", [by_class, by_style])
def test_outside_training_no_sample_depends_on_another(make):
    norm, style = make(), random(8, 3)
    labels = labels_of(*[0, 1, 2, 0] * 2)
    norm(random(8, 6, 5), labels, style)
    norm.eval()
    maps = random(8, 6, 5, seed=1)
    alone = norm(maps[:2], labels[:2], style[:2])
    assert torch.allclose(norm(maps, labels, style)[:2], alone, atol=1e-6)


@every_row("shape", SHAPES)
@every_row("hidden", [0, 4])
def test_self_modulation_with_weights_of_zero_is_batch_norm(shape, hidden):
    norm = by_style(hidden)
    for weight in norm.modulate.parameters():
        nn.init.zeros_(weight)
    maps = random(*shape)
    assert torch.allclose(norm(maps, NO_LABELS, random(8, 3)), plain_norm(maps), atol=1e-6)


def test_gain_and_shift_are_functions_of_the_style():
    norm, maps, style = by_style(), random(8, 6, 5), random(8, 3)
    gain, shift = norm.modulate(style).chunk(2, 1)
    wanted = (1 + gain)[..., None] * plain_norm(maps) + shift[..., None]
    assert torch.allclose(norm(maps, NO_LABELS, style), wanted, atol=1e-6)


def test_running_statistics_are_those_of_batch_norm():
    norm, plain = by_class(), nn.BatchNorm1d(6)
    norm(random(8, 6, 5), labels_of(*[0] * 8))
    plain(random(8, 6, 5))
    assert torch.equal(norm.norm.running_mean, plain.running_mean)
    assert torch.equal(norm.norm.running_var, plain.running_var)


CHOSEN = [
    {"norm": "conditional-batch"},
    {"gen_norm": "self-modulation"},
    {"gen_norm": "self-modulation", "cond": ["concat-label"]},
    {"gen_norm": "pixel"},
]


@pytest.mark.slow
@every_row("slots", CHOSEN)
@every_row("precision", ["fp32", "bf16"])
def test_each_resumes_to_the_same_bits(slots, precision, tmp_path):
    options = {"sprites.count": 24, "dcgan.width": 4, "dcgan-critic.width": 4}
    settings = {**SETTINGS, "precision": precision}
    verdict = verify(compose(**slots, settings=settings, options=options), 2, tmp_path)
    assert verdict.differences == ()


@every_row(
    ("slots", "message"),
    [
        (
            {"norm": "conditional-batch", "data": "gaussian", "gen": "mlp"},
            "gain and shift are given by",
        ),
        (
            {"critic_norm": "conditional-batch", "loss": "wgan-gp"},
            "a score depends on every sample",
        ),
        ({"critic_norm": "self-modulation"}, "needs a style, but the critic passes none"),
    ],
)
def test_what_they_cannot_serve_is_refused_with_what_fits(slots, message, tmp_path):
    settings = {"batch": 8, "steps": 2, "device": "cpu"}
    with pytest.raises(GanError) as caught:
        Run.start(compose(**slots, settings=settings), tmp_path / "run")
    assert message in caught.value.what
    assert "norm" in caught.value.fix

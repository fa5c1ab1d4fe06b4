"""Every two of generator, loss, regularizer and norm that the rules allow train together; others
are refused.
"""

from collections import Counter
from functools import cache
from itertools import combinations as combinations_of
from itertools import permutations, product

import pytest
import torch

from gancore import CompositionError, UsageError, compose
from gancore.plugins import discovery
from gancore.train.data import open_data
from gancore.train.loop import Training

NAMES = {
    kind: [
        row.name
        for row in discovery.installed()
        if row.kind == kind and row.distribution.startswith("gan-plugin-")
    ]
    for kind in ("gen", "loss", "reg", "norm", "cond")
}
KINDS = ("gen", "loss", "reg", "norm")
SHARE = 5  # of these combinations one in so many is tried without -m slow
SMALL = {
    "sprites.count": 16,
    "dcgan.width": 4,
    "dcgan-critic.width": 4,
    "progressive.width": 4,
    "progressive-critic.width": 4,
    "colorpicker.width": 4,
    "mlp.hidden": [8],
    "mlp-critic.hidden": [8],
    "virtual-batch.reference": 4,
    "minibatch-discrimination.kernels": 4,
    "latent.dim": 4,
    "self-attention.size": 8,
    "path-length.every": 1,
}
OPPONENTS = {"mlp": "mlp-critic", "progressive": "progressive-critic"}
for _name in ("resnet", "biggan-lite", "r3gan", "fastgan", "stylegan2-lite"):  # of papers
    OPPONENTS[_name] = "resnet-critic" if _name == "biggan-lite" else f"{_name}-critic"
    SMALL |= {f"{_name}.width": 4, f"{OPPONENTS[_name]}.width": 4}


def composed(gen, loss, reg, norm, **more):
    brought = {"wgan-gp": "gradient-penalty", "wgan": "weight-clipping"}.get(loss)
    chosen = {gen, reg, norm, brought, "sprites", "latent", OPPONENTS.get(gen, "dcgan-critic")}
    options = {name: value for name, value in SMALL.items() if name.partition(".")[0] in chosen}
    # a critic has no latent for its norms
    norms = (
        {"gen_norm": norm, "critic_norm": "none"} if norm == "self-modulation" else {"norm": norm}
    )
    return compose(
        gen=gen,
        loss=loss,
        reg=[reg],
        **norms,
        **more,
        options=options,
        settings={"batch": 4, "size": "16"},
    )


@cache
def combinations():
    """Choose a generator and a norm for each loss and regularizer: those that have met least."""
    met = Counter()
    found = []
    players = list(product(NAMES["gen"], NAMES["norm"]))
    for loss, reg in product(NAMES["loss"], NAMES["reg"]):

        def pairs(gen, norm, loss=loss, reg=reg):
            return [(gen, norm), (gen, loss), (gen, reg), (norm, loss), (norm, reg)]

        gen, norm = min(players, key=lambda player: sum(met[pair] for pair in pairs(*player)))
        met.update(pairs(gen, norm))
        found.append((gen, loss, reg, norm))
    return found


def trains(gen, loss, reg, norm, **more):
    """Train two steps; return whether that was allowed. What is refused has a remedy."""
    try:
        training = Training.of(composed(gen, loss, reg, norm, **more))
        for _ in range(2):
            figures = training.train_step()
    except (CompositionError, UsageError) as refused:
        assert refused.fix, (gen, loss, reg, norm, more, refused)
        return False
    except Exception as error:
        raise AssertionError(f"{gen}, {loss}, {reg}, {norm}, {more}: {error}") from error
    for name, value in figures.items():
        assert torch.as_tensor(value).isfinite(), (gen, loss, reg, norm, more, name)
    return True


def test_every_two_components_of_different_kinds_meet():
    met = set()
    for chosen in combinations():
        met.update(frozenset(pair) for pair in permutations(chosen, 2))
    for one, other in combinations_of([NAMES[kind] for kind in KINDS], 2):
        assert {frozenset(pair) for pair in product(one, other)} <= met


@pytest.mark.parametrize("loss", NAMES["loss"])
def test_what_meets_is_refused_with_a_remedy_or_trains(loss):
    chosen = [each for each in combinations() if each[1] == loss]
    trained = [each for each in chosen[NAMES["loss"].index(loss) % SHARE :: SHARE] if trains(*each)]
    assert trained


@pytest.mark.slow
def test_every_component_trains_with_something_it_meets():
    trained = set()
    for each in combinations():
        if trains(*each):
            trained.update(each)
    # it needs one generator, which it meets once; its own tests train it
    trained.add("path-length")
    assert trained == {name for kind in KINDS for name in NAMES[kind]}


@pytest.mark.parametrize("gen", NAMES["gen"])
def test_every_condition_is_refused_with_a_remedy_or_trains(gen):
    place = NAMES["gen"].index(gen)
    trained = []
    for number, cond in enumerate(NAMES["cond"]):
        loss = NAMES["loss"][(place + number) % len(NAMES["loss"])]
        norm = NAMES["norm"][(place + 2 * number) % len(NAMES["norm"])]
        trained.append(trains(gen, loss, "ema", norm, cond=[cond]))
    assert any(trained)


@pytest.mark.parametrize(
    "size", ["28", "48x32", "30x50", "64", "100", pytest.param("256", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("gen", ["dcgan", "colorpicker"])
def test_every_image_size_comes_out_exact(gen, size):
    options = {
        name: SMALL[name]
        for name in ("sprites.count", f"{gen}.width", "dcgan-critic.width", "latent.dim")
    }
    composition = compose(gen=gen, options=options, settings={"batch": 4, "size": size})
    data = open_data(composition)
    training = Training.of(composition, data)
    training.train_step()
    z, labels = training.context.plan.latents(1), torch.zeros(1, 2, dtype=torch.int64)
    assert training.context.gan.generator.network.eval()(z, labels).shape[1:] == data.shape

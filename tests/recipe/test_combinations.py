"""Every generator × loss × regularizer × norm that the rules allow composes, and a third trains;
others are refused.
"""

from itertools import product

import pytest
import torch

from gancore import CompositionError, compose
from gancore.plugins import discovery
from gancore.train.data import open_data
from gancore.train.loop import Training

NAMES = {
    kind: [
        row.name
        for row in discovery.installed()
        if row.kind == kind and row.distribution.startswith("gan-plugin-")
    ]
    for kind in ("gen", "loss", "reg", "norm")
}
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
}
OPPONENTS = {"mlp": "mlp-critic", "progressive": "progressive-critic"}
SHAPES_TARGETS = {"label-smoothing", "noisy-labels"}  # which only a loss with targets has


def composed(gen, loss, reg, norm):
    brought = {"wgan-gp": "gradient-penalty", "wgan": "weight-clipping"}.get(loss)
    chosen = {gen, reg, norm, brought, "sprites", "latent", OPPONENTS.get(gen, "dcgan-critic")}
    options = {name: value for name, value in SMALL.items() if name.partition(".")[0] in chosen}
    return compose(
        gen=gen,
        loss=loss,
        reg=[reg],
        norm=norm,
        options=options,
        settings={"batch": 4, "size": "16"},
    )


def is_refused(loss, reg, norm):
    penalised = (
        loss == "wgan-gp" or reg == "gradient-penalty"
    )  # for each sample, under statistics of the batch
    return (penalised and norm == "batch") or (reg in SHAPES_TARGETS and loss != "bce")


@pytest.mark.parametrize("norm", NAMES["norm"])
@pytest.mark.parametrize("gen", NAMES["gen"])
def test_every_composition_composes_or_is_refused_with_a_remedy_and_every_pair_trains(gen, norm):
    data = None
    for loss, reg in product(NAMES["loss"], NAMES["reg"]):
        if is_refused(loss, reg, norm):
            with pytest.raises(CompositionError) as caught:
                composed(gen, loss, reg, norm)
            assert caught.value.fix
            assert (
                reg in SHAPES_TARGETS or "(Gulrajani et al. 2017, section 4)" in caught.value.what
            )
            continue
        composition = composed(gen, loss, reg, norm)
        places = [
            NAMES[kind].index(name)
            for kind, name in (("gen", gen), ("loss", loss), ("reg", reg), ("norm", norm))
        ]
        if sum(places) % 3:  # in the third that is left, every two components that fit meet
            continue
        data = data or open_data(composition)
        training = Training.of(composition, data)
        for _ in range(2):
            figures = training.train_step()
        assert all(torch.as_tensor(value).isfinite() for value in figures.values()), (
            gen,
            loss,
            reg,
            norm,
        )


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

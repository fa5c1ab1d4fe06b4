"""What is timed side by side is the same mathematics, and a ratio comes with an interval that holds."""

import pytest
import torch
from attrs import evolve

from benchmarks.contestants import Contestant, composition, gap, written
from benchmarks.draws import Draws
from benchmarks.tasks import TASKS
from gancore.rng import Streams
from gancore.run.device import choose_runtime
from gancore.run.run import open_data, prepare

STEPS = 3
WIDTH = {"toy-2d": 8, "pokemon-64": 8}  # the colour picker's doublings need a channel or more at full size
IN_FULL = [name for name in TASKS if not name.endswith("bf16")]


class Derived(Draws):
    """The numbers that a composed run derives."""

    def stream(self, *key):
        return Streams(0).generator(*key)


@pytest.fixture
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def tiny(name, batch=8):
    task = TASKS[name]
    shape = task.shape if not task.images or task.shape[-1] == 28 else (3, 16, 16)
    kernels = 3 if task.kernels else 0
    return evolve(
        task, width=WIDTH.get(name, 4), batch=batch, latent=5, shape=shape, kernels=kernels, reference=4,
        optimizer="sgd", lr=1e-3,
    )  # fmt: skip


def training(task):
    """The steps of a composed run, without the watch over its components' first answers, which wants float32."""
    chosen = composition(task)
    made = prepare(chosen, data := open_data(chosen), choose_runtime(chosen.settings))
    data.place = 0
    return Contestant("composed", made.advance, made.game.gan.generator.network, made.game.gan.critic.network)


@pytest.mark.parametrize("batch", [8, 32])  # with channels first and last
@pytest.mark.parametrize("name", IN_FULL)
def test_contestants_reach_the_same_weights(double, name, batch):
    task = tiny(name, batch)
    run = training(task)
    others = [written(task, kind, Derived(task), run) for kind in task.contestants if kind != "composed"]
    begun = written(task, "twin", start=run)
    for contestant in (run, *others):
        for _ in range(STEPS):
            contestant.step()
    assert gap(begun, run) > 1e-5  # all have moved far beyond rounding
    assert all(gap(other, run) <= 1e-10 for other in others)

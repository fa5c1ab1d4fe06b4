"""What is timed side by side is the same mathematics, and a ratio comes with an interval that
holds.
"""

import gc
import json
import subprocess
import sys
from collections import Counter

import pytest
import torch
from attrs import evolve
from support.paths import ROOT
from support.tables import every_row

from benchmarks import guard, peers, served, textbook, twins
from benchmarks.contestants import Contestant, composition, gap, written
from benchmarks.draws import Draws
from benchmarks.tasks import DCGAN_64, TASKS
from benchmarks.timing import append, claim, in_turn, median_of, ratio
from gancore.hardware.device import choose_runtime
from gancore.run.prepare import prepare
from gancore.train.data import open_data
from gancore.train.rng import Streams

STEPS = 3
WIDTH = {
    "toy-2d": 8,
    "pokemon-64": 8,
}  # the colour picker's doublings need a channel or more at full size
IN_FULL = [name for name in TASKS if not name.endswith("bf16")]


class Derived(Draws):
    """The numbers that a composed run derives."""

    def stream(self, *key):
        return Streams(0).generator(*key)


def tiny(name, batch=8):
    task = TASKS[name]
    shape = task.shape if not task.images or task.shape[-1] == 28 else (3, 16, 16)
    kernels = 3 if task.kernels else 0
    return evolve(
        task, width=WIDTH.get(name, 4), batch=batch, latent=5, shape=shape, kernels=kernels, reference=4,
        optimizer="sgd", lr=1e-3,
    )  # fmt: skip


def training(task):
    """The steps of a composed run, without the watch over its components' first answers, which
    wants float32.
    """
    chosen = composition(task)
    made = prepare(chosen, data := open_data(chosen), choose_runtime(chosen.settings))
    data.place = 0
    return Contestant(
        "composed",
        made.train_step,
        made.context.gan.generator.network,
        made.context.gan.critic.network,
    )


@pytest.mark.parametrize("batch", [8, 32])  # with channels first and last
@pytest.mark.parametrize("name", IN_FULL)
@pytest.mark.usefixtures("float64")
def test_contestants_reach_the_same_weights(name, batch):
    task = tiny(name, batch)
    run = training(task)
    others = [
        written(task, kind, Derived(task), run) for kind in task.contestants if kind != "composed"
    ]
    begun = written(task, "twin", start=run)
    for contestant in (run, *others):
        for _ in range(STEPS):
            contestant.step()
    assert gap(begun, run) > 1e-5  # all have moved far beyond rounding
    assert all(gap(other, run) <= 1e-10 for other in others)


def test_contestants_of_64_pixels_have_the_stated_weights():
    def counts(*nets):
        return tuple(sum(weight.numel() for weight in net.parameters()) for net in nets)

    run = training(DCGAN_64)
    assert counts(run.generator, run.critic) == (3_576_704, 2_765_568)
    assert (
        counts(*textbook.networks(DCGAN_64))
        == counts(*twins.networks(DCGAN_64))
        == (3_576_704, 2_765_568)
    )


def test_a_generator_update_leaves_no_gradient_in_the_twins_critic_and_all_of_them_in_the_textbooks():
    task = tiny("dcgan-28")
    found = {}
    for kind in ("twin", "textbook"):
        contestant = written(task, kind)
        contestant.step()
        found[kind] = [weight.grad is None for weight in contestant.critic.parameters()]
    assert all(found["twin"])
    assert not any(found["textbook"])


def test_samples_are_served_in_order_without_a_copy():
    data = served.InOrder(torch.arange(12.0)[:, None])
    rng = torch.Generator()
    batches = [data.take(torch.tensor([7, 7, 7, 7]), rng)[0] for _ in range(4)]
    assert [batch[0].item() for batch in batches] == [0, 4, 8, 0]
    assert batches[1].data_ptr() == data.samples[4:].data_ptr()


def test_peers_restated_train_both_players_and_log_a_norm_of_each():
    task = tiny("dcgan-28")
    run = training(task)
    peer, before = peers.restated(task, run), peers.restated(task, run)
    assert peers.scoring(task, run)[1][-1].__class__ is torch.nn.Conv2d  # raw scores: no sigmoid
    peer.step()
    for player in ("generator", "critic"):
        pairs = zip(
            getattr(peer, player).parameters(), getattr(before, player).parameters(), strict=True
        )
        assert all(not torch.equal(*pair) for pair in pairs)


# ── timing ────────────────────────────────────────────────────────────────────────────────────────


def test_the_interval_of_fifteen_values_lies_between_the_fourth_and_the_twelfth():
    found = median_of(range(1, 16))
    assert (found.median, found.low, found.high, found.n) == (8, 4, 12, 15)
    # 1 - 2·(1 + 15 + 105 + 455)/2¹⁵
    assert found.level == pytest.approx(1 - 1152 / 32768)


@every_row(("n", "level"), [(5, 1 - 2 / 32), (6, 1 - 2 / 64), (1, 0)])
def test_the_interval_of_few_values_is_their_range_with_the_level_it_has(n, level):
    found = median_of(range(n))
    assert (found.low, found.high) == (0, n - 1)
    assert found.level == pytest.approx(level)


def test_the_interval_of_a_median_holds_the_true_one_as_often_as_it_says():
    draws = torch.rand(2000, 15, generator=torch.Generator().manual_seed(0)).tolist()
    found = [median_of(values) for values in draws]
    held = sum(each.low <= 0.5 <= each.high for each in found) / len(found)
    # of 2000 a share p = 0.965 is held within 4·√(p(1-p)/2000) = 0.0165
    assert abs(held - found[0].level) < 0.0165


class Clock:
    """A clock that only contestants move."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def contestant(self, name, seconds):
        def step():
            self.now += seconds
            self.order.append(name)

        return step

    def __call__(self):
        return self.now


def test_contestants_take_turns_at_being_first_and_their_ratio_is_that_of_their_times():
    clock = Clock()
    steps = {name: clock.contestant(name, seconds) for name, seconds in (("a", 1.0), ("b", 3.0))}
    seconds = in_turn(steps, 6, block=2, warmup=1, clock=clock)
    assert clock.order[:2] == ["a", "b"]  # the warm-up
    rounds = ["".join(clock.order[start : start + 4]) for start in range(2, 26, 4)]
    assert Counter(rounds) == {"aabb": 3, "bbaa": 3}
    assert ratio(seconds["b"], seconds["a"]).median == 3
    assert seconds["a"] == [1.0] * 6


def test_the_collector_works_again_after_a_contestant_failed():
    def fail():
        assert not gc.isenabled()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_turn({"a": fail}, 1, warmup=0)
    assert gc.isenabled()


def test_a_claim_states_ratio_interval_count_threads_clock_and_machine():
    line = claim("some-task", "this ÷ that", median_of([1.0, 2.0, 4.0]), "processor time")
    assert line.startswith("some-task: this ÷ that 2 [1, 4], n = 3, ")
    assert "thread" in line
    assert "processor time, " in line
    assert "AMX " in line
    assert line.endswith(f"torch {torch.__version__}")


def test_figures_are_appended_one_object_a_line(tmp_path):
    path = tmp_path / "figures.jsonl"
    for number in (1, 2):
        append(path, {"ratio": number})
    append(None, {"ratio": 3})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"ratio": 1},
        {"ratio": 2},
    ]


def test_the_guard_speaks_only_outside_its_limits():
    above, below, least, most, why = guard.LIMITS[0]
    assert guard.judge(above, below, least, most, why, median_of([0.9, 0.91, 0.92])) == ""
    assert "at least 0.9 is wanted: a composed run is slower" in guard.judge(
        *guard.LIMITS[0], median_of([0.89] * 3)
    )
    assert guard.judge(*guard.LIMITS[1], median_of([1.25] * 3)) == ""
    assert "at most 1.25 is wanted" in guard.judge(*guard.LIMITS[1], median_of([1.26] * 3))


@pytest.mark.slow
def test_benchmarks_print_claims_and_append_them(tmp_path):
    words = [
        sys.executable,
        "-m",
        "benchmarks",
        "dcgan-28",
        "toy-2d",
        "dcgan-64-bf16",
        "--quick",
        "--rounds",
        "2",
    ]
    path = tmp_path / "figures.jsonl"
    done = subprocess.run(
        [*words, "--json", path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "dcgan-28: composed ÷ twin " in done.stdout
    assert "each idle component" in done.stdout
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {row["benchmark"] for row in rows} >= {"dcgan-28", "toy-2d"}
    assert all(row["n"] == 2 for row in rows)

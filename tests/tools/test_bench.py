"""What a composition costs: where each moment of a step is charged, and that looking changes
nothing.
"""

import itertools
import json

import pytest
import torch
from support.tables import every_row

from gancore import PluginError, compose
from gancore.tools.bench.measure import begin, bench, limits, spread
from gancore.tools.bench.memory import most_kept
from gancore.tools.bench.stopwatch import Stopwatch, TimedHooks, plain_step, timed_step

POINTS = {"data": "mixture", "gen": "mlp", "critic": "mlp-critic"}
NARROW = {
    "mlp.hidden": [8],
    "mlp-critic.hidden": [8],
    "dcgan.width": 2,
    "dcgan-critic.width": 2,
    "sprites.count": 32,
}
WORDS = ("--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", 4)


def composition_of(**more):
    slots = {**POINTS, **more}
    chosen = {f"--{name}" for name in slots.values() if isinstance(name, str)}
    options = {
        name: value for name, value in NARROW.items() if f"--{name.partition('.')[0]}" in chosen
    }
    return compose(**slots, options=options, settings={"batch": 4, "device": "cpu"})


def watched(composition, steps=1):
    """Make timed steps on a clock that counts how often it is read."""
    _, training, _ = begin(composition)
    watch = Stopwatch(now=itertools.count().__next__)
    hooks = TimedHooks(composition.chosen, watch)
    return training, watch, [timed_step(training, hooks, watch) for _ in range(steps)]


# ── the stopwatch ─────────────────────────────────────────────────────────────────────────────────


def test_every_moment_belongs_to_the_innermost_part_that_is_open():
    stamps = iter([0, 1, 3, 7, 15, 31])
    watch = Stopwatch(now=lambda: next(stamps))
    watch.start()  # 0
    watch.enter("outer")  # 1
    watch.enter("inner")  # 3
    watch.leave()  # 7
    watch.leave()  # 15
    spent = {part.work: seconds for part, seconds in watch.stop().items()}  # 31
    assert spent == {"rest": 1 + 16, "outer": 2 + 8, "inner": 4}


def test_a_part_that_fails_is_closed():
    watch = Stopwatch(now=itertools.count().__next__)
    watch.start()
    with pytest.raises(ValueError, match="so"), watch.part("outer"):
        raise ValueError("so")
    assert {part.work: seconds for part, seconds in watch.stop().items()} == {"rest": 2, "outer": 1}


@pytest.mark.parametrize("shared", [False, True])
def test_the_parts_of_a_step_sum_to_the_step(shared):
    options = {"n-critic.reuse-fakes": shared}
    composition = compose(**POINTS, options=options, settings={"batch": 4, "device": "cpu"})
    _, watch, steps = watched(composition, 3)
    assert (
        sum(steps[-1].values()) == 2 * sum(watch.calls.values()) - 1
    )  # every part is opened and closed once
    assert all(seconds > 0 for seconds in steps[-1].values())


def test_passes_that_a_term_asks_for_are_charged_to_the_networks():
    _, watch, _ = watched(composition_of(loss="wgan-gp"))
    calls = {
        (part.player, part.component or part.work): count
        for part, count in watch.calls.items()
        if count
    }
    assert calls["critic", "critic forward"] == 5 * 3  # reals, fakes, and between them
    assert calls["critic", "gradient-penalty"] == 5
    assert calls["critic", "data wait"] == 5
    assert calls["critic", "backward"] == calls["critic", "optimizer"] == 5
    assert calls["generator", "generator forward"] == calls["generator", "critic forward"] == 1
    assert calls["generator", "backward"] == calls["generator", "optimizer"] == 1


def test_in_an_update_of_both_players_each_is_charged_its_own():
    composition = compose(
        **POINTS, options={"n-critic.reuse-fakes": True}, settings={"batch": 4, "device": "cpu"}
    )
    _, watch, _ = watched(composition)
    calls = {(part.player, part.work): count for part, count in watch.calls.items()}
    assert calls["both", "generator forward"] == 1
    for player, passes in (("critic", 2), ("generator", 1)):
        assert calls[player, "critic forward"] == passes
        assert calls[player, "backward"] == calls[player, "optimizer"] == 1


def test_a_component_that_calls_another_is_not_charged_for_it():
    _, watch, _ = watched(composition_of(reg=["instance-noise"]))
    views = [(part, count) for part, count in watch.calls.items() if part.hook == "critic_view"]
    assert {part.component for part, _ in views} == {"instance-noise"}
    assert sum(count for _, count in views) == 3


def test_timing_changes_no_bit_and_leaves_nothing_behind():
    composition = composition_of(reg=["instance-noise"], loss="wgan-gp")
    timed, _, _ = watched(composition, 3)
    backward = torch.autograd.backward
    _, plain, _ = begin(composition)
    for _ in range(3):
        plain_step(plain)
    assert (timed.step, timed.batches) == (plain.step, plain.batches)
    for role in ("generator", "critic"):
        one, other = timed.context.gan.player(role), plain.context.gan.player(role)
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
        assert not one.network._forward_hooks
        assert not one.network._forward_pre_hooks
        assert not one.optimizer._optimizer_step_pre_hooks
        assert not one.optimizer._optimizer_step_post_hooks
    assert torch.autograd.backward is backward
    assert backward.__module__ == "torch.autograd"


def test_a_component_that_fails_on_the_stopwatch_is_named(monkeypatch):
    composition = composition_of(reg=["instance-noise"])
    _, training, _ = begin(composition)
    watch = Stopwatch()
    hooks = TimedHooks(composition.chosen, watch)
    monkeypatch.setattr("torch.randn", None)
    with pytest.raises(PluginError, match="normal failed in draw_latent"):
        timed_step(training, hooks, watch)
    assert torch.autograd.backward.__module__ == "torch.autograd"


# ── the report ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "composition",
    [
        pytest.param(lambda: composition_of(reg=["instance-noise"], metric=["modes"]), id="points"),
        pytest.param(
            lambda: composition_of(data="sprites", gen="dcgan", critic="dcgan-critic"), id="images"
        ),
    ],
)
def test_every_chosen_component_is_reported_and_the_shares_sum_to_one(composition):
    chosen = composition()
    report = bench(chosen, 2)
    assert {each.name for each in report.components} == {each.name for each in chosen.chosen}
    assert sum(part.share for part in report.parts) == pytest.approx(1)
    own = sum(each.share for each in report.components)
    assert own == pytest.approx(
        sum(part.share for part in report.parts if part.name.startswith("components"))
    )
    assert (report.step.n, report.timed.n) == (2, 2)
    assert set(chosen.slots.get("metric", ())) <= set(report.rows["full"])
    assert report.limits


def test_what_a_component_adds_is_seen_by_leaving_it_out_where_that_is_allowed(tmp_path):
    (tmp_path / "pair.py").write_text(PAIR)
    composition = compose(
        **POINTS, loss="wgan-gp", reg=[f"{tmp_path / 'pair.py'}:Base", f"{tmp_path / 'pair.py'}:Leaning"],
        settings={"batch": 4, "device": "cpu"},
    )  # fmt: skip
    found = {each.name: each for each in bench(composition, 2, without_each=True).left_out}
    assert found["gradient-penalty"].ratio.n == 2
    assert found["leaning"].ratio.n == 2
    assert found["base"].ratio is None
    assert "leans on it" in found["base"].reason
    assert found["doctor"].reason == "it acts at rows of the log alone"


PAIR = '''
from gancore import component, hookimpl, requires


@component(source="a test", provides=["base-of-a-test"])
class Base:
    """Stand."""

    @hookimpl
    def after_step(self, step): ...


@component(source="a test", rules=[requires("base-of-a-test", "it leans on it")])
class Leaning:
    """Lean."""

    @hookimpl
    def after_step(self, step): ...
'''


def test_memory_kept_for_backward_passes_counts_each_tensor_once():
    wide = compose(
        **POINTS, options={"mlp-critic.hidden": [64, 64]}, settings={"batch": 512, "device": "cpu"}
    )
    kept = most_kept(begin(wide)[1])
    one = 512 * 64 * 4  # bytes of a layer's output for one side
    assert 4 * one <= kept <= 16 * one


def test_quartiles_hold_half_of_the_figures():
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == type(spread([1.0]))(3.0, 2.0, 4.0, 5)
    assert spread([7.0]) == type(spread([1.0]))(7.0, 7.0, 7.0, 1)


def test_what_limits_a_step_names_the_largest_part_and_what_could_be_otherwise():
    composition = compose(
        data="sprites", options=NARROW_IMAGES, settings={"batch": 4, "device": "cpu"}
    )
    _, training, _ = begin(composition)
    report = bench(composition, 1)
    about = {**report.machine, "threads": 1, "cores": 2}
    largest = max(report.parts, key=lambda part: part.share)
    told = limits(training, about, spread([1.0]), report.parts, report.components, ())
    assert f"{largest.share:.0%} of a step" in told[0]
    assert any("1 of 2 cores" in text for text in told)
    assert any("channels first" in text for text in told)
    assert any("Python" in text for text in told)


NARROW_IMAGES = {
    name: value
    for name, value in NARROW.items()
    if name.partition(".")[0] not in ("mlp", "mlp-critic")
}


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def test_bench_writes_its_table_and_nothing_else(gan_here, tmp_path):
    page = gan_here("bench", *WORDS, "--rounds", 2, "--reg", "instance-noise").stdout
    assert list(tmp_path.iterdir()) == []
    assert "what limits it: " in page
    assert "n = 2 rounds" in page
    for name in ("mixture", "mlp", "bce", "instance-noise", "adam", "critic forward", "data wait"):
        assert name in page


def test_bench_of_a_recipe_as_json(gan_here, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'data = "mixture"\ngen = "mlp"\ncritic = "mlp-critic"\n[run]\nbatch = 4\n'
    )
    for words in (["mine.toml"], ["--recipe", "mine.toml"]):
        report = json.loads(gan_here("bench", *words, "--rounds", 1, "--json").stdout)
        assert {
            "machine",
            "step",
            "timed",
            "parts",
            "components",
            "rows",
            "memory",
            "limits",
        } <= report.keys()
        assert report["machine"]["batch"] == 4
        assert {"mlp", "mixture"} <= {each["name"] for each in report["components"]}
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@every_row(
    ("words", "expected"),
    [
        (["--rounds", "0"], "--rounds"),
        (["--rouds", "3"], "did you mean --rounds?"),
        (["--gen", "mpl"], "did you mean mlp?"),
        (["--small"], "is a variant of a recipe"),
        (["a", "--recipe", "b"], "given twice"),
        (["no-such-recipe"], "no recipe is called"),
        (["--steps", "3"], "--steps"),
    ],
)
def test_bench_refuses_what_it_cannot_understand(gan_here, words, expected):
    assert expected in gan_here("bench", *words, check=2).stderr

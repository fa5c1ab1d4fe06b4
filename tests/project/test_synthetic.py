"""The benchmark on mixtures: its arms compose, its table is that of what is stored."""

import json

import pytest
import torch
from support.paths import ROOT
from support.tables import every_row

from benchmarks import synthetic, synthetic_tables
from benchmarks.synthetic_arms import ALL, ARMS, DATA, LONGER, NULLS
from gancore import compose

STORED = synthetic.read()
PLAIN = next(iter(ARMS))


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)  # an arm names a file of examples/


@every_row("arm", list(ARMS))
def test_every_arm_composes_by_the_protocol_quick(arm):
    recipe = synthetic.composed("grid25", arm).recipe()
    assert recipe["mlp"]["hidden"] == recipe["mlp-critic"]["hidden"] == [128] * 3
    assert (recipe["run"]["steps"], recipe["run"]["batch"]) == (8000, 128)
    assert (recipe["init"], recipe["normal"]["dim"]) == ("glorot", 2)
    assert recipe["mixture"] == {"layout": "grid25", "finite": 0, "seed": 0}


def test_an_arm_that_is_trained_for_longer_says_so():
    steps = [synthetic.composed("grid25", arm).settings.steps for arm in LONGER]
    assert steps == [16_000, 32_000, 16_000, 16_000, 16_000]


def test_the_recipe_that_reaches_every_mode_trains_as_the_arm_does():
    arm = synthetic.composed("grid25", "relativistic, R1 and R2, EMA, rate falling").recipe()
    recipe = compose(recipe="r3gan-mlp").recipe()
    only_looks = ("metric", "sliced-wasserstein", "track", "scatter", "run")
    for each in (arm, recipe):
        assert (each["run"]["steps"], each["run"]["batch"]) == (16_000, 128)
        for name in only_looks:
            each.pop(name, None)
    assert recipe == arm


def test_the_page_shows_what_is_stored():
    page = synthetic_tables.PAGE.read_text()
    assert synthetic_tables.fill(page, STORED) == page, "python -m benchmarks.synthetic table"


def test_stored_runs_have_the_options_that_their_arms_have_now():
    """A changed default makes figures stale: measure again, and look at the bands below."""
    known = {name.partition(": ")[::2] for name in STORED["recipes"]}
    gone = [
        f"{data}: {arm}"
        for data, arm in sorted(known)
        if arm not in ALL
        or synthetic.stale(STORED["recipes"][f"{data}: {arm}"], synthetic.resolved(data, arm))
    ]
    assert not gone
    assert known == {(run["data"], run["arm"]) for run in STORED["runs"]}


def test_a_stored_run_says_with_what_it_was_made():
    keys = [(run["data"], run["arm"], run["seed"]) for run in STORED["runs"]]
    assert len(set(keys)) == len(keys)
    told = {"words", "figures", "critic_batches", "seconds", "date", "commit", "torch", "processor"}
    assert not [key for key, run in zip(keys, STORED["runs"], strict=True) if told - set(run)]
    assert {run["figures"]["images"] for run in STORED["runs"]} == {2500}


@every_row("data", DATA)
def test_the_rows_of_noise_are_those_of_the_code(data):
    for null in NULLS:
        found = synthetic.draw_null(data, null, 0)
        row = STORED["nulls"][f"{data}: {null}"]
        for name in ("count", "high-quality", "junk"):
            apart = abs(found[name] - row["mean"][name])
            assert apart <= 6 * row["sd"][name] + 1e-4, (null, name)


def test_the_plain_gan_by_the_protocol_quick_lies_in_its_bands():
    runs = [run for run in STORED["runs"] if (run["data"], run["arm"]) == ("grid25", PLAIN)]
    assert len(runs) >= 5
    mean = {
        name: sum(run["figures"][name] for run in runs) / len(runs)
        for name in ("high-quality", "junk")
    }
    # of an earlier trial with separate code: means .655 and .421, and a little over three
    # standard errors of five runs to either side
    assert 0.50 <= mean["high-quality"] <= 0.80
    assert 0.30 <= mean["junk"] <= 0.55


def test_a_run_is_scored_by_the_mean_of_its_last_evaluations():
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0}]
    assert synthetic.mean_figures(rows) == {"a": 2.0, "b": 2.0}


def test_new_options_make_nothing_stale_and_changed_ones_do():
    stored = {"adam": {"lr": 1e-3}, "reg": ["ema"]}
    assert not synthetic.stale(stored, {"adam": {"lr": 1e-3, "new": 1}, "reg": ["ema"]})
    assert synthetic.stale(stored, {"adam": {"lr": 1e-4}, "reg": ["ema"]})
    assert synthetic.stale(stored, {"adam": {"lr": 1e-3}})


def test_a_measurement_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "STORED", tmp_path / "stored.json")
    monkeypatch.setattr(synthetic, "DATA", ("grid25",))
    monkeypatch.setattr(synthetic, "REPEATS", 2)
    trained = []

    def train(data, arm, seed):
        trained.append((data, arm, seed))
        figures = {"count": 1.0, "high-quality": 0.5, "junk": 0.5, "images": 2500.0}
        return {"figures": figures, "curve": {}, "critic_batches": 1, "seconds": 1.0}

    monkeypatch.setattr(synthetic, "train", train)
    threads = torch.get_num_threads()
    try:
        synthetic.measure(["EMA .999"], 2, ("grid25",), 1)
        synthetic.measure(["EMA .999"], 2, ("grid25",), None)
    finally:
        torch.set_num_threads(threads)
    assert trained == [("grid25", "EMA .999", 0), ("grid25", "EMA .999", 1)]
    stored = json.loads((tmp_path / "stored.json").read_text())
    assert [run["seed"] for run in stored["runs"]] == [0, 1]
    rows = synthetic_tables.data_table(stored, "grid25")
    assert "| EMA .999 | 2 | 1.0 ± 0.0 | – | 0.500 ± 0.000 |" in rows[-1]


def test_an_arm_is_better_only_where_its_seeds_show_it():
    """Five pairs 0.4 apart show it, five about 0 do not, and two are not judged."""
    runs = []
    of_plain = [0.5, 0.6, 0.4, 0.55, 0.45]
    lower = {"EMA .999": [0.4, 0.41, 0.39, 0.4, 0.42], "saturating": [0.1, -0.1, 0.05, -0.05, 0.05]}
    for seed, junk in enumerate(of_plain):
        runs.append(a_run("plain, non-saturating", seed, junk))
        for arm, differences in lower.items():
            runs.append(a_run(arm, seed, junk - differences[seed]))
    runs += [a_run("dropout .2 in the critic", seed, 0.1) for seed in range(2)]
    first, other = synthetic_tables.verdict_table({"runs": runs})[2:]
    assert first.startswith("| grid25 | saturating | 5 | +0.010 |")
    assert first.endswith("undecided |")
    assert other.startswith("| grid25 | EMA .999 | 5 | +0.404 |")
    assert other.endswith("better |")


def a_run(arm, seed, junk):
    return {"data": "grid25", "arm": arm, "seed": seed, "figures": {"junk": junk}}

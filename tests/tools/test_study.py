"""A study fixes its design before its first run, keeps failed runs, and claims no more than its pairs
show.
"""

import json
import math

import pytest
from attrs import evolve
from PIL import Image
from support.paths import ROOT
from support.tables import every_row

from benchmarks.studies import tables
from gancore import GanError, UsageError
from gancore.cli.study import arm_flags
from gancore.recipe.compose import resolve
from gancore.recipe.toml import Layer, layer_of
from gancore.tools import study
from gancore.tools.study.design import pair_arms
from gancore.tools.study.report import sentence_of
from gancore.tools.study.results import Arm
from gancore.tools.sweep import Trial, plan_trials

DESIGN = study.Design("f/ratio", "less", "log", 5, 6, (("a", "baseline"),))
SETTINGS = {"baseline": "points, 3 steps", "a": "points, 3 steps", "b": "points, 2 steps"}
TINY = layer_of(
    "test",
    {"data": "mixture", "gen": "mlp", "critic": "mlp-critic", "run": {"steps": 3, "batch": 4}},
)
WORDS = (
    "--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--mlp.hidden", 4,
    "--mlp-critic.hidden", 4, "--steps", 2, "--batch", 4, "--log-every", 1, "--metric", "collapse",
    "--collapse.every", 1, "--collapse.images", 16, "--figure", "collapse/ratio",
)  # fmt: skip


def arms_of(**scores):
    """Arms with scores by seed, none of which failed."""
    return {name: Arm(dict(enumerate(values)), {}, {}, 2.0) for name, values in scores.items()}


def compared(design=DESIGN, **scores):
    design = evolve(design, seeds=len(scores["baseline"]))
    arms = arms_of(**scores)
    (found,) = study.compare_arms(design, arms)
    return found, sentence_of(design, found, arms, SETTINGS)


# ── design ────────────────────────────────────────────────────────────────────────────────────────


def test_the_baseline_comes_first_and_each_arm_is_compared_with_it_or_with_its_reference():
    table = {"arms": {"clip": {"reg": ["x"]}, "gp": {"against": "clip"}, "noise": {}}}
    arms, against = study.read_arms(table, [TINY], [])
    assert list(arms) == ["baseline", "clip", "gp", "noise"]
    assert pair_arms(list(arms), against) == (("gp", "clip"), ("noise", "baseline"))
    # a reference that names its own is compared too
    both = {**against, "clip": "baseline"}
    assert pair_arms(list(arms), both)[0] == ("clip", "baseline")


@every_row(
    ("table", "what"),
    [
        ({}, "a study tests one figure"),
        ({"figure": "f", "scale": "root"}, "study.scale is 'root'"),
        ({"figure": "f", "better": "up"}, "study.better is 'up'"),
        ({"figure": "f", "seeds": 0}, "study.seeds is 0"),
        ({"figure": "f"}, "only its baseline"),
        ({"figure": "f", "arms": {"a": {"against": "c"}}}, "cannot be compared with 'c'"),
        ({"figure": "f", "arms": {"a": {"against": "a"}}}, "cannot be compared with 'a'"),
        ({"figures": "f"}, "no key 'figures'"),
        ({"figure": 3}, "study.figure = 3"),
        ({"seeds": True}, "study.seeds = True"),
        ({"arms": {"a": 3}}, "arm a of the study cannot be read"),
        ({"secondary": [3]}, "secondary is no list of names"),
    ],
)
def test_a_study_that_fixes_too_little_or_nonsense_is_refused(table, what):
    def read():
        arms, against = study.read_arms(table, [], [])
        return study.make_design(table, list(arms), against)

    with pytest.raises(UsageError, match=what):
        read()


@every_row(
    ("figure", "scale"),
    [("frechet/ratio", "log"), ("mmd/z", "linear"), ("frechet/distance", "log")],
)
def test_ratios_and_distances_are_compared_by_logarithms(figure, scale):
    assert study.make_design({"figure": figure}, ["baseline", "a"], {}).scale == scale


def test_anything_that_was_fixed_makes_another_study(tmp_path):
    def fixed(design=DESIGN, lr=0.1):
        trial = Trial("a", 0, tmp_path, {"data": "points", "adam": {"lr": lr}})
        return study.contents_of(design, [trial])

    first = study.study_id(fixed())
    assert study.study_id(fixed()) == first
    (tmp_path / study.STUDY).write_text(json.dumps({"id": first, "design": fixed()}))
    study.refuse_another(tmp_path, fixed())
    others = {
        "figure is 'f/ratio' there and 'g' here": fixed(evolve(DESIGN, figure="g")),
        "last is 5 there and 3 here": fixed(evolve(DESIGN, last=3)),
        "seeds is 6 there and 7 here": fixed(evolve(DESIGN, seeds=7)),
        "scale is 'log' there": fixed(evolve(DESIGN, scale="linear")),
        "arm a differs": fixed(lr=0.2),
        "other arms are compared": fixed(evolve(DESIGN, comparisons=(("b", "a"),))),
    }
    for what, other in others.items():
        with pytest.raises(UsageError, match=what):
            study.refuse_another(tmp_path, other)


def test_flags_of_an_arm_are_those_of_a_run():
    words = ["--reg", "instance-noise", "--instance-noise.sigma", "0.2", "--steps", "4"]
    layer = arm_flags.main(args=words, standalone_mode=False)
    assert layer.names("reg") == ["instance-noise"]
    assert layer.options["run"]["steps"].value == "4"
    assert layer.options["instance-noise"]["sigma"].value == "0.2"


def test_an_ablation_leaves_out_each_component_that_is_no_default_in_turn():
    own = {"reg": ["label-smoothing", "ema"], "critic-norm": "layer", "latent": "uniform"}
    composition = resolve([TINY, layer_of("own", own)])
    arms = study.ablation_arms(composition)
    assert {"without-label-smoothing", "without-ema", "critic-norm-none", "latent-normal"} <= {
        *arms
    }
    # nothing that is measured or drawn, and not the data
    assert not [name for name in arms if name.startswith(("without-doctor", "data"))]
    for layer in arms.values():
        changed = resolve([TINY, layer_of("own", own), layer, Layer("seed")])
        assert changed.recipe() != composition.recipe()


def test_an_arm_of_shifted_seeds_is_the_baseline_with_other_numbers(tmp_path):
    arms = {"baseline": [TINY], "again": [TINY]}
    trials = plan_trials(arms, Layer(""), 2, tmp_path, lambda _: True, {"again": 2})
    seeds = [(each.arm, each.seed, each.recipe["run"]["seed"]) for each in trials]
    assert seeds == [("baseline", 0, 0), ("baseline", 1, 1), ("again", 0, 2), ("again", 1, 3)]


# ── scores ────────────────────────────────────────────────────────────────────────────────────────


def trial(folder, arm, seed, *values):
    """A trial whose run logged these values of the figure."""
    place = folder / arm / f"seed-{seed}"
    place.mkdir(parents=True)
    rows = [{"step": step, "seconds": step, "f/ratio": each} for step, each in enumerate(values, 1)]
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Trial(arm, seed, place, {})


def test_a_score_is_the_mean_of_the_last_evaluations(tmp_path):
    trials = [trial(tmp_path, "a", 0, 100, 1, 2, 3, 4, 5)]
    arms = study.score_arms(DESIGN, trials, {})
    assert arms["a"].scores == {0: 3}
    assert study.score_arms(evolve(DESIGN, last=2), trials, {})["a"].scores == {0: 4.5}


def test_failed_runs_stay_in_as_the_worst_value_of_the_study(tmp_path):
    trials = [
        trial(tmp_path, "a", 0, 1),
        trial(tmp_path, "a", 1, 7),
        trial(tmp_path, "b", 0, 2),  # fails after it logged a good figure
        trial(tmp_path, "b", 1),
        trial(tmp_path, "b", 2, 0),
    ]
    arms = study.score_arms(DESIGN, trials, {trials[2].folder: "the loss is nan"})
    assert arms["a"].scores == {0: 1, 1: 7}
    assert arms["b"].scores == {0: 7, 1: 7, 2: 7}
    assert arms["b"].failures == {
        0: "the loss is nan",
        1: "logged no f/ratio",
        2: "f/ratio is 0, which has no logarithm",
    }
    more = study.score_arms(evolve(DESIGN, better="more", scale="linear"), trials, {})
    assert more["b"].scores == {0: 2, 1: 0, 2: 0}
    # what a run logged before it failed may be the worst of all
    found = study.score_arms(DESIGN, trials, {trials[1].folder: "the loss is nan"})
    assert found["b"].scores[1] == 7


def test_a_study_without_any_score_names_the_figures_there_are(tmp_path):
    with pytest.raises(GanError, match="logged no g/ratio") as caught:
        study.score_arms(evolve(DESIGN, figure="g/ratio"), [trial(tmp_path, "a", 0, 1)], {})
    assert "f/ratio" in caught.value.fix


# ── sentences ─────────────────────────────────────────────────────────────────────────────────────


def test_pairs_that_all_differ_alike_are_told_with_their_interval():
    found, text = compared(baseline=[1, 2, 4, 8, 1, 2], a=[2, 4, 8, 16, 2, 4.1])
    assert found.separated
    assert found.p == found.p_holm == 2 / 64
    assert found.differences[0] == pytest.approx(math.log(2))
    assert text == (
        "On points, 3 steps (6 paired seeds), a against baseline changed f/ratio by ×2.01 [×1.99, "
        "×2.03] (p after Holm 0.031; less is better, so this is an impairment) at 1.00× the time. "
        "This says nothing about other data or settings."
    )


def test_pairs_that_differ_either_way_are_not_separated_which_is_not_no_effect():
    found, text = compared(baseline=[1, 1, 1, 1, 1, 1], a=[1.1, 0.9, 1.2, 0.8, 1.1, 0.95])
    assert not found.separated
    assert text.startswith("6 seeds did not separate a from baseline: f/ratio ×0.9")
    assert "a difference above a factor of 1.3" in text
    assert "seeds would decide one of the observed size" in text


def test_below_six_seeds_no_p_is_printed():
    found, text = compared(baseline=[1, 1, 1], a=[2, 2, 2.1])
    assert found.p is found.p_holm is None
    assert text == (
        "a against baseline: exploratory, n = 3; differences of f/ratio by seed: ×2, ×2, ×2.1; no "
        "test made."
    )


def test_no_sentence_claims_what_seeds_cannot_show():
    for scores in ([1, 2, 3], [1] * 6, [2] * 6, [1, 3, 1, 3, 1, 3], [1e-9] * 8):
        found, text = compared(baseline=[1.0] * len(scores), a=scores)
        assert "no effect" not in text
        if "improvement" in text or "impairment" in text:
            assert found.separated
            assert "[" in text


def test_failures_are_told_with_their_exact_interval():
    arms = arms_of(baseline=[1] * 8, a=[2] * 8)
    arms["a"] = evolve(arms["a"], failures={3: "nan"})
    design = evolve(DESIGN, seeds=8)
    (found,) = study.compare_arms(design, arms)
    text = sentence_of(design, found, arms, SETTINGS)
    assert "Of a, 1 of 8 runs failed (95 % interval 0% to 53%)" in text
    assert "| 1 [0%, 53%] |" in "".join(tables.table_of(design, arms, [found]))


def test_runs_of_another_length_are_told_with_both():
    design = evolve(DESIGN, comparisons=(("b", "baseline"),))
    arms = arms_of(baseline=[1] * 6, b=[2] * 6)
    (found,) = study.compare_arms(design, arms)
    text = sentence_of(design, found, arms, SETTINGS)
    assert "On points, 2 steps (baseline: points, 3 steps)" in text


def test_too_few_seeds_for_so_many_comparisons_are_told():
    many = evolve(DESIGN, comparisons=(("a", "b"),) * 6)
    assert "6 comparisons need at least 8 seeds" in study.out_of_reach(many)
    assert study.out_of_reach(evolve(many, seeds=8)) == ""
    assert study.out_of_reach(evolve(many, seeds=3)) == ""  # exploratory, which is told elsewhere


# ── plan and picture ──────────────────────────────────────────────────────────────────────────────


def test_a_plan_tells_what_seeds_find_in_the_unit_of_the_figure():
    lines = study.plan_lines(evolve(DESIGN, scale="linear", seeds=8), 2.0)
    # simulated, and close to the 1.16 standard deviations of a t-test of 8 pairs
    (planned,) = [line for line in lines if "(planned)" in line]
    assert [float(cell) for cell in planned.split("|")[2:4]] == pytest.approx([2.4, 2.4], abs=0.15)
    assert "| 5 | no p so small | no p so small | 10 |" in lines
    # e^(.5·.53), of 30 pairs
    assert "| 30 | a factor of 1.3 |" in "".join(study.plan_lines(evolve(DESIGN, seeds=8), 0.5))


def test_a_pilot_gives_the_deviation_of_its_pairs(tmp_path):
    figures = {arm: {str(s): {"f/ratio": v} for s, v in enumerate(values)} for arm, values in {
        "a": [1, 2, 3], "b": [2, 4, 6]}.items()}  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps({"figures": figures}))
    assert study.deviation_of_pilot(tmp_path, "f/ratio", "linear") == pytest.approx(1)
    assert study.deviation_of_pilot(tmp_path, "f/ratio", "log") == pytest.approx(0)
    with pytest.raises(UsageError, match="no two arms with g"):
        study.deviation_of_pilot(tmp_path, "g", "log")
    with pytest.raises(UsageError, match="no finished study or sweep"):
        study.deviation_of_pilot(tmp_path / "none", "f/ratio", "log")


@every_row("scores", [[1.0] * 6, [1e-300, 1e300, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6]])
def test_a_picture_has_a_panel_for_each_comparison(scores):
    design = evolve(DESIGN, comparisons=(("a", "baseline"),) * 4)
    arms = arms_of(baseline=[1] * 6, a=scores)
    picture = study.study_picture(design, arms, study.compare_arms(design, arms))
    assert picture.size == (3 * 300, 2 * 320)


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def test_the_study_command_writes_its_report_once_all_runs_have_ended(gan_here, tmp_path):
    words = ["study", *WORDS, "--seeds", 2, "--out", "s", "--arm", "fast=--adam.lr 0.01"]
    done = gan_here(*words)
    assert "| arm | n | failures | collapse/ratio | against |" in done.stdout
    assert "exploratory, n = 2" in done.stdout
    content = json.loads((tmp_path / "s" / "study.json").read_text())
    assert content["results"]["arms"].keys() == {"baseline", "fast"}
    assert content["design"]["arms"]["fast"]["adam"]["lr"] == 0.01
    Image.open(tmp_path / "s" / "study.png").verify()
    # the same command continues, here with nothing left to train; another study is refused
    assert gan_here(*words).stdout == done.stdout
    more = gan_here(*words, "--last", 2, check=2)
    assert "last is 5 there and 2 here" in more.stderr
    assert (tmp_path / "s" / "study.md").read_text() == done.stdout


@every_row(
    ("words", "what"),
    [
        (["--arm", "x"], "is no arm"),
        (["--arm", "x=--nonsense 3"], "has no option"),
        (["--arm", "x=--reg 'a"], "cannot be read"),
        (["--arm", "baseline=--reg ema"], "arm baseline is given twice"),
        ([], "has only its baseline"),
        (["--arm", "x=--reg ema", "--plan"], "how much paired differences vary"),
        (["--arm", "x=--run.seed 3"], "sets the seeds of its runs"),
    ],
)
def test_a_study_command_that_makes_no_sense_says_why(gan_here, words, what):
    assert what in gan_here("study", *WORDS, "--out", "s", *words, check=2).stderr


def test_a_plan_runs_nothing(gan_here, tmp_path):
    words = ["study", *WORDS, "--ablate", "--reg", "ema", "--plan", "--sd", 0.2, "--out", "s"]
    done = gan_here(*words)
    assert "in logarithms" in done.stdout
    assert not (tmp_path / "s").exists()


# ── the studies of the project ────────────────────────────────────────────────────────────────────


@every_row("path", sorted((ROOT / "benchmarks" / "studies").glob("*.toml")), ids=lambda p: p.name)
def test_a_study_of_the_tricks_composes_and_can_reach_5_percent(gan_here, path):
    done = gan_here("study", path, "--plan", "--sd", 0.2)
    assert "one of 6, after Holm" in done.stdout
    (planned,) = [line for line in done.stdout.splitlines() if "(planned)" in line]
    assert "no p so small" not in planned


def test_the_tables_of_the_tricks_are_those_of_the_stored_studies():
    text = tables.PAGE.read_text()
    results = tables.read_results()
    assert tables.fill(text, results) == text, "python -m benchmarks.studies table"
    assert {name for _, name, _ in tables.BLOCK.findall(text)} >= {*results}


def test_a_stored_study_gives_the_sentences_of_its_report():
    arms = arms_of(baseline=[1, 2, 4, 8, 1, 2], a=[2, 4, 8, 16, 2, 4.1])
    found = study.compare_arms(DESIGN, arms)
    whole = {
        "id": "x",
        "design": {**study.contents_of(DESIGN, []), "arms": {"a": {"path": "/mnt/me"}}},
        "settings": SETTINGS,
        "results": study.results_as_json(arms, found),
    }
    where = dict.fromkeys(("command", "date", "commit", "torch", "processor", "threads"), "here")
    stored = tables.stored_form(json.loads(json.dumps(whole)), where)
    assert "/mnt/me" not in json.dumps(stored)
    assert sentence_of(DESIGN, found[0], arms, SETTINGS) in tables.block_of(stored)

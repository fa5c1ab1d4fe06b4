"""Facts about the training doctor: each rule has a series that fires it and one that does not."""

import json
import math

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.tables import every_row

from gan_plugin_doctor import RULES, examine, unchecked
from gan_plugin_doctor.advice import NOTHING_LEFT, Recipe
from gan_plugin_doctor.command import diagnose
from gan_plugin_doctor.component import Doctor
from gan_plugin_doctor.dynamics import PERIODS, SHORTEST, detrended, period
from gan_plugin_doctor.series import Log, Series
from gancore.testing import check_component, train

torch.set_num_threads(1)


def noise(i):
    """A fixed rough figure in (-1, 1)."""
    return math.sin(12.9898 * i) * math.cos(78.233 * i * i)


def rows(n=200, every=1, sparse=None, **figures):
    """Rows at steps 10, 20, …; a figure is a number or a function of the row's number, `sparse`
    ones in every 10th.
    """
    keys = {"real": "critic/bce/real", "fake": "critic/bce/fake", "loss": "generator/bce/fake"}
    found = []
    for i in range(n):
        row = {"step": every * 10 * (i + 1), "epoch": 0.1 * i, "seconds": 1.0 * i}
        found.append(
            row | {keys.get(k, k): float(v(i) if callable(v) else v) for k, v in figures.items()}
        )
        if i % 10 == 9:
            found[-1] |= {
                k: float(v(i // 10) if callable(v) else v) for k, v in (sparse or {}).items()
            }
    return found


def context(n=200, sparse=None, more=None, **changes):
    """Rows of a healthy logistic game, with changes."""
    usual = {
        "real": lambda i: 0.3 + 0.15 * noise(i),
        "fake": lambda i: 0.3 + 0.15 * noise(i + 7),
        "loss": lambda i: 1.2 + 0.4 * noise(i + 3),
        "critic/score_real": lambda i: 1.0 + 0.5 * noise(i),
        "critic/score_fake": lambda i: -1.0 + 0.5 * noise(i + 7),
        "critic/grad_norm": lambda i: 3 + noise(i),
        "generator/grad_norm": lambda i: 5 + noise(i),
    }
    return rows(n, sparse=sparse, **{**usual, **(more or {}), **changes})


def wgan(n=200, sparse=None, **changes):
    """Rows of a healthy Wasserstein game with a gradient penalty, with changes."""
    usual = {
        "critic/wgan-gp/wasserstein": lambda i: 4 + noise(i),
        "critic/wgan-gp/real": lambda i: -5 - noise(i),
        "critic/wgan-gp/fake": lambda i: 1 + noise(i),
        "critic/score_real": lambda i: 5 + noise(i),
        "critic/score_fake": lambda i: 1 + noise(i),
        "critic/gradient-penalty/gradient-norm": lambda i: 0.97 + 0.05 * noise(i),
        "generator/wgan-gp/fake": lambda i: -1 - noise(i),
        "critic/grad_norm": lambda i: 20 + noise(i),
        "generator/grad_norm": lambda i: 5 + noise(i),
    }
    return rows(n, sparse=sparse, **{**usual, **changes})


def late(before, after, at=100):
    """A figure that changes at a row."""
    return lambda i: (before if i < at else after)(i)


def rough(mean, size):
    return lambda i: mean + size * noise(i)


def wave(shift):
    """A loss that repeats itself every 20 rows."""
    return lambda i: 1 + math.sin(math.tau * (i + shift) / 20) + 0.2 * noise(i)


FROZEN_SCORES = {"critic/score_real": rough(0.02, 0.01), "critic/score_fake": rough(0.3, 0.01)}
STILL = {"real": rough(0.35, 0.002), "fake": rough(0.45, 0.002), "loss": rough(0.5, 0.002)}
ACGAN = {"critic/acgan/accuracy-real": rough(0.9, 0.05)}
SICK = [
    ("critic-loss-to-zero", context(real=0.001, fake=lambda i: 0.002 + 0.001 * noise(i), loss=8)),
    ("generator-too-strong", context(**STILL, **FROZEN_SCORES)),
    (
        "critic-too-strong",
        context(real=0.01, fake=0.02, loss=lambda i: 1.5 + 0.02 * i + 0.3 * noise(i)),
    ),
    (
        "sudden-noise",
        context(
            real=late(rough(0.3, 0.01), rough(0.6, 0.3)),
            fake=late(rough(0.3, 0.01), rough(0.6, 0.3)),
            loss=late(rough(1.0, 0.05), rough(2, 1)),
        ),
    ),
    (
        "generator-rate-too-high",
        context(loss=lambda i: 1.5 + 0.4 * noise(i) + 9 * (i % 50 > 30 and i > 90)),
    ),
    ("critic-loss-unsteady", context(real=rough(2, 2), fake=rough(2, 2))),
    (
        "generator-gradient-explodes",
        context(more={"generator/grad_norm": lambda i: 5 if i < 180 else 4000 * (i % 2)}),
    ),
    (
        "generator-gradient-explodes",
        context(more={"gradient-flow/generator-max": lambda i: 1 if i < 150 else 300}),
    ),
    ("frozen-player", context(more={"critic/grad_norm": lambda i: 3 if i < 100 else 0})),
    ("frozen-player", context(more={"monitored/skipped": lambda i: min(0.99, i / 50)})),
    ("frozen-player", rows(200, **{"critic/grad_norm": 1, "critic/score_real": 1})),
    (
        "bounded-wasserstein-scores",
        wgan(
            **{
                "critic/score_real": lambda i: 1 - 0.4 / (i + 1),
                "critic/score_fake": lambda i: 0.4 / (i + 1),
            }
        ),
    ),
    ("wasserstein-estimate-negative", wgan(**{"critic/wgan-gp/wasserstein": rough(-1, 0.2)})),
    ("penalty-not-met", wgan(**{"critic/gradient-penalty/gradient-norm": lambda i: 1 + 0.02 * i})),
    ("penalty-not-met", wgan(**{"critic/gradient-penalty/gradient-norm": rough(0.4, 0.1)})),
    ("weights-at-bound", wgan(**{"weight-clipping/at-bound": lambda i: min(0.95, i / 100)})),
    ("class-ignored", context(more={**ACGAN, "critic/acgan/accuracy-fake": rough(0.12, 0.1)})),
    ("class-ignored", context(sparse={"class-accuracy/real": 0.9, "class-accuracy/fake": 0.1})),
    (
        "class-ignored",
        context(sparse={"recognition/classifier": 0.95, "recognition/accuracy": 0.11}),
    ),
    ("mode-collapse", context(sparse={"collapse/ratio": lambda k: 0.8 if k < 10 else 0.1})),
    ("mode-collapse", context(sparse={"collapse/ratio": 0.05})),
    (
        "mode-collapse",
        context(
            more={
                "critic/minibatch-discrimination/closeness-fake": rough(6, 1),
                "critic/minibatch-discrimination/closeness-real": rough(0.5, 0.2),
            }
        ),
    ),
    ("palette-dead", wgan(sparse={"colorpicker/palette-usage": lambda k: max(2, 16 - k)})),
    ("palette-dead", wgan(sparse={"colorpicker/palette-usage": 1})),
    ("late-divergence", context(sparse={"frechet/ratio": lambda k: 20 - k if k < 12 else 40})),
    ("late-divergence", context(sparse={"frechet/distance": lambda k: abs(k - 8) + 1})),
    ("oscillation", context(more={"critic/total": wave(2), "generator/total": wave(3)})),
    ("noise-stays-high", context(more={"instance-noise/relative": 0.9})),
    (
        "mode-dropping",
        context(sparse={"modes/count20": 3, "modes/total": 8, "modes/high-quality": 0.9}),
    ),
    (
        "mode-dropping",
        context(sparse={"nearest/share": 0.1, "nearest/floor-share": 0.7, "nearest/ratio": 1.2}),
    ),
    ("memorisation", context(sparse={"nearest/ratio": lambda k: 1 / (k + 1)})),
    (
        "critic-overfits",
        context(
            sparse={
                "held-out/gap": lambda k: 0.1 * k,
                "held-out/train": 5,
                "held-out/held-out": 0,
                "held-out/fake": -1,
            }
        ),
    ),
    (
        "saturated-output",
        context(sparse={"saturation/fake": lambda k: 0.04 * k, "saturation/real": 0.05}),
    ),
    (
        "dead-units",
        context(sparse={"dead-units/generator": 0.7, "dead-units/generator/blocks.1": 0.7}),
    ),
    (
        "dead-units",
        context(sparse={"dead-units/critic": 0.7, "dead-units/critic/body.layers.1": 0.7}),
    ),
    ("train-eval-gap", context(sparse={"train-eval-gap/ratio": lambda k: 1 + 0.1 * k})),
    ("train-eval-gap", context(sparse={"train-eval-gap/ratio": 0.5})),
    (
        "weights-unchanged",
        context(more={"weight-change/generator": 1e-3, "weight-change/critic": 0}),
    ),
]


# the length of the run alone: advice is then that for an unknown composition
OF_2000_STEPS = Recipe({"run": {"steps": 2000}})


@every_row(("rule", "log"), SICK, ids=lambda each: each if isinstance(each, str) else "")
def test_a_rule_names_its_fault(rule, log):
    findings = {each.rule: each for each in examine(Log(log), OF_2000_STEPS)}
    assert rule in findings
    found = findings[rule]
    assert log[0]["step"] <= found.since <= log[-1]["step"]
    assert any(letter.isdigit() for letter in found.seen)
    assert found.causes
    (own,) = [each for each in RULES if each.name == rule]
    assert own.find(Log(log)).attempt != NOTHING_LEFT
    assert found.source


def test_every_rule_has_a_series_that_sets_it_off():
    assert {each.name for each in RULES} == {rule for rule, _ in SICK}


METRICS = {
    "collapse/ratio": lambda k: min(0.9, 0.1 + 0.2 * k),
    "frechet/ratio": lambda k: 1.5 + 30 / (k + 1) + 0.3 * noise(k),
    "class-accuracy/real": 0.9,
    "class-accuracy/fake": lambda k: min(0.8, 0.1 + 0.05 * k),
    "colorpicker/palette-usage": lambda k: 9 + noise(k),
    "modes/high-quality": 0.9,
    "modes/count20": lambda k: min(8, 5 + k),
    "modes/total": 8,
    "nearest/ratio": lambda k: 0.8 + 4 / (k + 1),
    "nearest/share": lambda k: min(0.6, 0.05 * k),
    "nearest/floor-share": 0.7,
    "held-out/gap": lambda k: 0.2 + 0.2 * noise(k),
    "saturation/fake": lambda k: 0.4 + 0.1 * noise(k),
    "saturation/real": 0.4,
    "dead-units/generator": lambda k: 0.1 + 0.1 * noise(k),
    "train-eval-gap/ratio": lambda k: 1 + 0.2 * noise(k),
    "weight-change/generator": 1e-3,
    "weight-change/critic": 1e-3,
}
CLOSE = {
    "critic/minibatch-discrimination/closeness-fake": lambda i: 2 + 9 / (i + 1),
    "critic/minibatch-discrimination/closeness-real": 1.0,
}
WELL = {
    "a healthy game": context(
        sparse=METRICS, more={**CLOSE, **ACGAN, "critic/acgan/accuracy-fake": rough(0.6, 0.3)}
    ),
    "a healthy Wasserstein game": wgan(sparse={**METRICS, "weight-clipping/at-bound": 0.5}),
    "a young game": context(n=30, real=0.001, fake=0.001, loss=9, more={"generator/grad_norm": 0}),
    "a critic that wins at first and then loses": context(
        real=lambda i: 0.001 * (i + 1),
        fake=lambda i: 0.0005 * (i + 1),
        loss=lambda i: 5 * math.exp(-i / 50) + 1,
    ),
    "a generator whose losses are still, with good samples": context(
        **STILL, **FROZEN_SCORES, sparse=METRICS
    ),
    "one wild row": context(real=lambda i: 90 if i == 150 else 0.3 + 0.1 * noise(i)),
    "one wild gradient": context(more={"generator/grad_norm": lambda i: 1e5 if i == 190 else 5}),
    "a boosted schedule": [
        {
            key: value
            for key, value in row.items()
            if not (60 <= i < 160 and key.startswith("critic"))
        }
        for i, row in enumerate(context())
    ],
    "a critic that is slow at first": wgan(
        **{"critic/wgan-gp/wasserstein": lambda i: 0.03 * i - 2, "critic/score_fake": 3}
    ),
    "a palette of three colours": wgan(
        sparse={"colorpicker/palette-usage": lambda k: 3 - 0.02 * k}
    ),
    "noise that fades": context(
        more={"instance-noise/relative": lambda i: max(0, 1 - i / 120)}, n=200
    ),
    "a loss that falls": context(
        more={"critic/total": lambda i: 5 - i / 50 + noise(i), "generator/total": lambda i: i / 9}
    ),
    "a single wave": context(
        more={
            "critic/total": lambda i: math.sin(i / 25) + 0.1 * noise(i),
            "generator/total": lambda i: math.cos(i / 25) + 0.1 * noise(i),
        }
    ),
    "few modes of bad samples": context(
        sparse={"modes/count20": 1, "modes/total": 8, "modes/high-quality": 0.1}
    ),
    "samples far from all reals": context(
        sparse={"nearest/share": 0.05, "nearest/floor-share": 0.7, "nearest/ratio": 5}
    ),
    "weights of a run that decays to nothing": context(
        more={"weight-change/generator": lambda i: max(0, 1e-3 * (195 - i))}
    ),
    "small scores under clipping": wgan(**{"critic/score_real": 0.012, "critic/score_fake": 0.003}),
}


@pytest.mark.parametrize("log", WELL.values(), ids=WELL.keys())
def test_a_run_without_fault_never_gives_a_finding(log):
    growing = Log()
    for number, row in enumerate(log):
        growing.add(row)
        if number % 5 == 4:
            assert examine(growing, OF_2000_STEPS) == []


def test_findings_come_with_the_step_at_which_they_began():
    (found,) = [each for each in examine(Log(SICK[8][1])) if each.rule == "frozen-player"]
    assert found.since == 1010  # row 100


def test_rules_that_lack_figures_say_which():
    lacking = unchecked(Log(context()))
    assert lacking["late-divergence"].startswith(
        "no frechet/ratio or frechet/distance in the log; --metric frechet"
    )
    assert lacking["wasserstein-estimate-negative"] == "only for Wasserstein losses"
    assert unchecked(Log(wgan()))["critic-loss-to-zero"] == "not for Wasserstein losses"
    assert "critic-loss-to-zero" not in lacking
    few = unchecked(Log(context(n=10)))["critic-loss-to-zero"]
    assert few == "10 of 40 values of critic/*/real: from step 400 on"


def test_a_rule_about_the_end_of_a_run_says_that_it_needs_to_know_the_length():
    log = Log(context(more={"instance-noise/relative": 0.9}))
    assert unchecked(log)["noise-stays-high"].startswith("it needs the length of the run")
    longer = Recipe({"run": {"steps": 4000}})
    assert unchecked(log, longer)["noise-stays-high"] == "2000 of 3200 steps: from step 3200 on"
    assert "noise-stays-high" not in unchecked(log, OF_2000_STEPS)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=200))
def test_a_period_is_one_of_the_lags_or_none(values):
    found = period(detrended(values))
    assert found is None or SHORTEST <= found[0] <= len(values) // PERIODS


@given(st.integers(8, 32), st.floats(0, 6), st.floats(-1, 1))
def test_the_period_of_a_wave_is_found_along_any_line(lag, phase, slope):
    values = [math.sin(math.tau * i / lag + phase) + slope * i for i in range(128)]
    found, strength = period(detrended(values))
    # a line through a wave that is cut off bends it a little, and multiples of a period are periods
    assert min(found % lag, -found % lag) <= 2
    assert strength > 0.8


# ── series ────────────────────────────────────────────────────────────────────────────────────────


def test_statistics_of_a_series():
    series = Series([1, 2, 3, 4], [1.0, 3.0, 5.0, 7.0])
    assert series.moving(2) == Series([2, 3, 4], [2.0, 4.0, 6.0])
    assert series.blocks(2) == Series([2, 4], [2.0, 6.0])
    assert series.held(lambda value: value > 2, 3) == 2
    assert series.held(lambda value: value > 2, 4) is None
    assert series.join(Series([2, 4, 5], [1.0, 2.0, 3.0]), lambda a, b: a - b) == Series(
        [2, 4], [2.0, 5.0]
    )
    assert Series(values=[0.0, 0, 0, 0, 1e9]).moving(9).values == []


def test_a_limited_log_keeps_the_newest_values_whole_and_the_oldest_ever_sparser():
    log = Log(({"step": step, "critic/total": step} for step in range(1, 10_001)), limit=64)
    steps = log.series["critic/total"].steps
    assert 32 <= len(steps) < 64
    assert steps[-16:] == list(range(9_985, 10_001))
    assert steps[0] == 1
    gaps = [late - early for early, late in zip(steps, steps[1:], strict=False)]
    assert gaps == sorted(gaps, reverse=True)


# ── in a run ──────────────────────────────────────────────────────────────────────────────────────


def told(doctor, log):
    return [(row["step"], said) for row in log if (said := doctor.record(row))]


def test_a_finding_is_told_once():
    ((step, said),) = told(Doctor(), SICK[0][1])
    # the rule fires at step 400; rows are examined at which the run is a tenth longer than before
    assert 400 <= step <= 440
    assert said.startswith("critic-loss-to-zero since step 200: the critic's loss is 0.00")


@pytest.mark.parametrize(("quiet", "times"), [(500, 2), (5000, 1)])
def test_a_finding_is_told_again_only_after_it_was_gone_for_long(quiet, times):
    zero = lambda i: 0.001 if i < 60 or i > 140 else 0.3  # noqa: E731
    log = context(real=zero, fake=zero)
    said = [text for _, text in told(Doctor(quiet=quiet), log) if "critic-loss-to-zero" in text]
    assert len(said) == times


def test_only_a_fault_ends_the_run_and_only_when_asked():
    def reason(log, **options):
        doctor = Doctor(**options)
        told(doctor, log)
        return doctor.stop(log[-1])

    assert reason(SICK[0][1]) is None
    assert reason(SICK[0][1], on_fault="stop").startswith("critic-loss-to-zero: ")
    assert reason(dict(SICK)["critic-too-strong"][:5], on_fault="stop") is None
    assert reason(dict(SICK)["critic-loss-unsteady"], on_fault="stop") is None
    assert reason(WELL["a healthy game"], on_fault="stop") is None


@pytest.mark.parametrize("rule", ["critic-loss-to-zero", "late-divergence", "palette-dead"])
def test_a_doctor_that_was_stored_goes_on_as_if_it_had_not_been(rule):
    log = dict(SICK)[rule]
    whole, first, second = Doctor(), Doctor(), Doctor()
    expected = told(whole, log)
    said = told(first, log[:30])
    state = {
        k: v.clone() if isinstance(v, torch.Tensor) else json.loads(json.dumps(v))
        for k, v in first.state_dict().items()
    }
    second.load_state_dict(state)
    assert said + told(second, log[30:]) == expected
    assert second.log.series == whole.log.series
    assert second.seen == whole.seen
    assert not any(key in first.state_dict() for key in ("seconds", "epoch", "images_per_second"))


def test_the_doctor_takes_part_in_a_run():
    training = train(doctor := Doctor())
    figures = {name: float(value) for name, value in training.train_step().items()}
    assert training.context.hooks.all("record", row={"step": 1, **figures}) == []
    assert doctor.log.find("critic/grad_norm").steps == [1]


def test_conformance():
    check_component(Doctor)


# ── the command ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def run(tmp_path, monkeypatch):
    def logged(log, *options):
        monkeypatch.setattr("gancore.read_rows", lambda folder: log)
        answer = CliRunner().invoke(diagnose, [str(tmp_path), *options])
        assert answer.exit_code == 0, answer.output
        return answer.output

    return logged


def test_diagnose_lays_a_finding_out(run):
    text = run(SICK[0][1])
    assert text.startswith(
        "fault: critic-loss-to-zero, since step 200\n  seen:   the critic's loss is 0.00"
    )
    assert "  likely: " in text
    assert "  try:    --bce.mode non-saturating" in text
    assert "  source: kmualim/DCGAN" in text


def test_diagnose_without_findings_says_what_it_could_check(run):
    text = run(context())
    assert text.startswith("nothing found up to step 2000\nchecked: critic-loss-to-zero, ")
    assert (
        "cannot be checked here: mode-collapse (no collapse/ratio or critic/*/closeness-fake* in the log"
        in text
    )


@pytest.mark.parametrize("log", [context(n=1), context(n=9), rows(3)])
def test_nothing_found_is_never_said_where_nothing_was_checked(log, run):
    text = run(log)
    assert "nothing found" not in text
    assert text.startswith(f"nothing was checked up to step {log[-1]['step']}\nchecked: no rule\n")
    lines = text.splitlines()[2:]
    assert all(any(f": {each.name} (" in line for line in lines) for each in RULES)


def test_diagnose_speaks_json(run):
    answer = json.loads(run(dict(SICK[:25])["palette-dead"], "--json"))
    (finding,) = answer["findings"]
    assert finding["rule"] == "palette-dead"
    assert finding["statistic"] < finding["threshold"]
    assert answer["step"] == 2000
    assert {*answer["checked"], *answer["unchecked"]} == {each.name for each in RULES}


def test_a_metrics_share_of_reals_is_not_taken_for_a_loss():
    row = {
        "critic/critic-accuracy/real": 1.0,
        "critic/critic-accuracy/fake": 1.0,
        "critic/bce/real": 0.2,
        "critic/bce/fake": 0.3,
    }
    assert Log([{"step": 1, **row}]).critic_loss.values == [0.5]

"""The doctor over real runs: each rule has a run that sets it off, and a healthy twin that does
not.
"""

import json
import re
from types import SimpleNamespace

import pytest
from support.paths import EXAMPLE_COMPONENTS
from support.tables import every_row

from benchmarks import doctor as rates_of_rules
from benchmarks import doctor_recipes
from benchmarks.doctor_runs import BAD
from gan_plugin_doctor.advice import Recipe, worded
from gan_plugin_doctor.rules import RULES
from gancore import Progress, compose

IMAGES = "--size 16 --dcgan.width 8 --dcgan-critic.width 8 --batch 16 --steps 300 --log-every 2 --sprites.count 512"
COLOURS = "--size 16 --gen colorpicker --loss wgan-gp --batch 8 --log-every 2"
POINTS = (
    "--data mixture --gen mlp --critic mlp-critic --norm none --loss bce --steps 300 --log-every 2"
)
WATCHED = "--metric collapse --metric frechet --frechet.images 200 --sample-every 20"
JUMP = f"--reg {EXAMPLE_COMPONENTS}:Jump"


def rates(generator, critic):
    return f"--adam.lr {generator} --adam.critic-lr {critic}"


SICK = {
    "critic-loss-to-zero": f"{IMAGES} --loss bce --bce.mode saturating {rates(1e-5, 4e-3)}",
    "generator-too-strong": f"{IMAGES} --loss bce --dcgan.width 16 --dcgan-critic.width 2 {rates(2e-3, 1e-5)}",
    "critic-too-strong": f"{IMAGES} --loss bce --dcgan.width 1 --dcgan-critic.width 16 {rates(1e-5, 1e-3)}",
    "class-ignored": f"{IMAGES} --loss bce --cond acgan --acgan.condition none --acgan.generator-weight 0",
    "wasserstein-estimate-negative": f"{IMAGES} --loss wgan-gp --n-critic.critic 1 {rates(1e-2, 1e-6)}",
    "penalty-not-met": f"{IMAGES} --loss wgan-gp --n-critic.critic 2 --gradient-penalty.weight 1e-4 "
    "--adam.critic-lr 2e-3 --log-every 1",
    "weights-at-bound": f"{POINTS} --loss wgan --critic-optim sgd --sgd.lr 1e5 --gen-optim rmsprop "
    "--n-critic.critic 1 --steps 120",
    "bounded-wasserstein-scores": f"{POINTS} --loss wasserstein --reg sigmoid-score --steps 200",
    "mode-collapse": f"{POINTS} {WATCHED} {rates(2e-2, 1e-6)}",
    "critic-loss-unsteady": f"{POINTS} --adam.lr 1e-1 --log-every 1",
    "palette-dead": f"{COLOURS} --steps 130 --log-every 1 --n-critic.critic 1 {rates(1, 1e-4)}",
    "frozen-player": f"{POINTS} --reg {EXAMPLE_COMPONENTS}:Lone --log-every 1",
    "sudden-noise": f"{POINTS} {JUMP} --jump.at 260 --log-every 1",
    "generator-rate-too-high": f"{POINTS} {JUMP} --jump.at 260 --log-every 1",
    "generator-gradient-explodes": f"{POINTS} {JUMP} --jump.at 260 --log-every 1",
}  # fmt: skip

HEALTHY = {
    "images": f"{IMAGES} --loss bce",
    "labelled images": f"{IMAGES} --loss bce --cond acgan --cond embed-label",
    "images under a penalty": f"{IMAGES} --loss wgan-gp --n-critic.critic 2 --steps 150",
    "colours": f"{COLOURS} --batch 16 --steps 100 --log-every 1 --n-critic.critic 2",
    "points": f"{POINTS} {WATCHED}",
    "points, clipped": f"{POINTS} --loss wgan --n-critic.critic 1 --steps 120",
}

QUICK = ("weights-at-bound", "bounded-wasserstein-scores", "points, clipped")


def findings(gan_here, words):
    """Train over `base`, then diagnose: the names of the rules that hold at the end. A flag given
    twice counts as last given.
    """
    flags = {"recipe": "base"}
    for each in words.split("--")[1:]:
        name, _, value = each.strip().partition(" ")
        flags[name if name not in ("reg", "metric", "cond") else f"{name} {value}"] = value
    given = [
        word for name, value in flags.items() for word in (f"--{name.split()[0]}", value) if word
    ]
    gan_here("run", *given, "--without", "doctor", "--out", "r")
    return {
        each["rule"] for each in json.loads(gan_here("diagnose", "r", "--json").stdout)["findings"]
    }


def marked(names):
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


RULES_OF = {}  # the rules that one run sets off, by its first
for rule, words in SICK.items():
    first = next(each for each in SICK if SICK[each] == words)
    RULES_OF.setdefault(first, set()).add(rule)


@pytest.mark.parametrize("first", marked(RULES_OF))
def test_a_sick_run_is_named(first, gan_here):
    assert RULES_OF[first] <= findings(gan_here, SICK[first])


@pytest.mark.parametrize("name", marked(HEALTHY))
def test_a_healthy_run_is_left_in_peace(name, gan_here):
    assert not findings(gan_here, HEALTHY[name])


def test_every_rule_has_a_sick_run_here_or_a_series_beside_the_rules():
    recipes = {rule for run in doctor_recipes.RECIPES.values() for rule in BAD[run][0].split()}
    # seen only while it lasts
    assert {each.name for each in RULES} - set(SICK) - recipes == {"late-divergence"}


FOUND = json.loads(rates_of_rules.STORED.read_text())["runs"]


@every_row("name", doctor_recipes.RECIPES)
def test_a_recipe_with_a_fault_is_the_run_in_which_the_doctor_found_it(name, gan_here):
    run = doctor_recipes.RECIPES[name]
    rules, words = BAD[run]
    (stored,) = [each for each in FOUND if each["name"] == run]
    assert set(rules.split()) & set(stored["found"])
    asked = (["--recipe", name], rates_of_rules.as_arguments(words))
    recipe, expected = (
        json.loads(gan_here("run", *each, "--dry-run", "--json").stdout)["recipe"] for each in asked
    )
    for each in (recipe, expected):
        each["run"].pop("save-every", None)
    left_out = ("track", "doctor", "without")
    assert {key: value for key, value in recipe.items() if key not in left_out} == {
        key: value for key, value in expected.items() if key not in left_out
    }
    assert recipe["track"] == ["doctor"]


@every_row("name", doctor_recipes.RECIPES)
def test_the_recipes_with_a_fault_are_written_from_the_runs(name):
    text = (doctor_recipes.FOLDER / f"{name}.toml").read_text()
    assert text == doctor_recipes.text_of(doctor_recipes.RECIPES[name])


def test_the_doctor_speaks_while_the_run_trains(gan_here):
    words = "--data mixture --gen mlp --critic mlp-critic --norm none --loss wgan --critic-optim sgd --sgd.lr 1e5"
    done = gan_here(
        "run",
        *words.split(),
        "--gen-optim",
        "rmsprop",
        "--n-critic.critic",
        1,
        "--steps",
        120,
        "--log-every",
        10,
        "--out",
        "r",
    )
    assert "weights" in done.stderr
    assert "note: step" in done.stderr


def test_the_default_recipe_brings_the_doctor(gan_here):
    assert json.loads(gan_here("run", "--dry-run", "--json").stdout)["recipe"]["track"] == [
        "doctor"
    ]


# ── what was not checked ──────────────────────────────────────────────────────────────────────────


def test_a_run_of_four_steps_finds_nothing_and_says_what_was_not_checked(gan_here):
    tiny = "--size 16 --steps 4 --batch 4 --dcgan.width 4 --dcgan-critic.width 4 --log-every 1 --sample-every 1 --loss bce"
    done = gan_here("run", *tiny.split(), "--metric", "collapse", "--out", "r")
    assert "mode-collapse" not in done.stderr
    text = gan_here("diagnose", "r").stdout
    assert text.startswith("nothing was checked up to step 4\nchecked: no rule\n")
    few = "4 of 40 values of critic/*/real: from step 100 on, after the end of this run at step 4"
    assert f"not checked yet: critic-loss-to-zero ({few})" in text
    assert "not checked yet: mode-collapse (4 of 200 steps: from step 200 on" in text
    assert (
        "cannot be checked here: weights-at-bound (no weight-clipping/at-bound in the log; --loss wgan"
        in text
    )
    answer = json.loads(gan_here("diagnose", "r", "--json").stdout)
    assert answer["findings"] == []
    assert answer["checked"] == []
    assert answer["checked-from"]["critic-loss-to-zero"] == 100


# ── advice ────────────────────────────────────────────────────────────────────────────────────────

MAIN = {"gen": "colorpicker", "loss": "wgan-gp", "reg": ["instance-noise"]}
POINTS_BASE = {"data": "mixture", "gen": "mlp", "critic": "mlp-critic", "norm": "none"}
BASES = {
    "default": {},
    "main command": MAIN,
    "main command by its parts": {**MAIN, "loss": "wasserstein", "reg": ["gradient-penalty", "instance-noise"]},
    "a weak penalty": {**MAIN, "options": {"gradient-penalty.weight": 0.1}},
    "a strong penalty": {**MAIN, "options": {"gradient-penalty.weight": 100.0}},
    "clipped": {"loss": "wgan"},
    "points": POINTS_BASE,
    "points, penalised": {**POINTS_BASE, "loss": "wgan-gp", "optim": "rmsprop"},
    "two optimizers": {"gen_optim": "sgd", "critic_optim": "rmsprop", "options": {"rmsprop.critic-lr": 1e-4}},
    "classes": {"cond": ["acgan"], "options": {"acgan.condition": "none", "acgan.generator-weight": 0.5}},
    "labels that are noisy": {
        "reg": ["noisy-labels", "label-smoothing"],
        "options": {"label-smoothing.fake": 0.1, "bce.mode": "saturating", "adam.beta1": 0.9},
    },
    "everything that is advised": {
        "reg": ["instance-noise", "ema", "linear-decay", "minibatch-discrimination", "experience-replay"],
        "options": {"n-critic.critic": 5, "adam.beta1": 0.5},
    },
    "a sigmoid": {"loss": "wasserstein", "reg": ["sigmoid-score"]},
    "other names": {"reg": ["soft=instance-noise", "decay=cosine-decay"], "schedule": "simultaneous"},
}  # fmt: skip
FLAG = re.compile(r"--([\w-]+)(?:\.([\w-]+))? ([\w.+-]+)")


def with_flags(base, text):
    """Add the flags of an advice to the words of a composition."""
    words = {key: list(value) if isinstance(value, list) else value for key, value in base.items()}
    words["options"] = dict(base.get("options", {}))
    for name, option, value in FLAG.findall(text):
        if option:
            number = re.fullmatch(r"[\d.e+-]+", value)
            words["options"][f"{name}.{option}"] = json.loads(value) if number else value
        elif name in ("reg", "cond", "metric", "without"):
            words.setdefault(name, []).append(value)
        else:
            words[name.replace("-", "_")] = value
            gone = base.get(name.replace("-", "_"), {"loss": "bce"}.get(name, ""))
            words["options"] = {
                key: each
                for key, each in words["options"].items()
                if not key.startswith(f"{gone}.")
            }
    return words


def advised(recipe):
    """List every single advice for a composition, by rule."""
    from gan_plugin_doctor.wasserstein import PENALISE_LESS

    lists = [(rule.name, rule.attempt) for rule in RULES] + [("penalty-not-met", PENALISE_LESS)]
    return [
        (name, words)
        for name, attempt in lists
        for each in attempt
        if (words := each.words(recipe))
    ]


@pytest.mark.slow
@every_row("base", BASES.values(), ids=BASES.keys())
def test_no_advice_changes_nothing_or_is_refused(base):
    before = compose(**base).recipe()
    found = advised(Recipe(before))
    assert found
    for rule, words in found:
        if not words.startswith("--"):
            continue  # plain words
        asked = with_flags(base, words)
        after = compose(**asked).recipe()
        assert {**after, "without": []} != {**before, "without": []}, (
            f"{rule} advises {words}, which changes nothing"
        )


def test_advice_on_the_main_command_leaves_out_what_it_has():
    recipe = Recipe(compose(**MAIN).recipe())
    (rule,) = [each for each in RULES if each.name == "penalty-not-met"]
    assert (
        worded(rule.attempt, recipe)
        == "--critic-norm layer or --adam.critic-lr 0.0002 (now 0.0004)"
    )
    weak = Recipe(compose(**BASES["a weak penalty"]).recipe())
    assert worded(rule.attempt, weak).startswith("--gradient-penalty.weight 10 (now 0.1) or ")


def test_advice_in_a_run_knows_its_options(gan_here):
    words = f"{POINTS} --loss wgan-gp --n-critic.critic 1 --gradient-penalty.weight 0.001 --adam.lr 1e-3 --log-every 2"
    flags = {each.split(" ")[0]: each.split(" ")[1] for each in words[2:].split(" --")}
    said = gan_here(
        "run",
        *(word for name, value in flags.items() for word in (f"--{name}", value)),
        "--out",
        "r",
    )
    found = [line for line in said.stderr.splitlines() if "penalty-not-met" in line]
    assert found
    assert "--gradient-penalty.weight 10 (now 0.001)" in " ".join(said.stderr.split())


@every_row("base", BASES.values(), ids=BASES.keys())
def test_a_component_sees_the_recipe_that_the_run_stores(base):
    composition = compose(**base)
    progress = Progress(SimpleNamespace(hooks=composition.hooks), step=1, epoch=0.0)
    stored = {
        key: value
        for key, value in composition.recipe().items()
        if key not in ("format", "run", "without")
    }
    assert progress.recipe == {**{each.name: {} for each in composition.chosen}, **stored}


# ── how often it is right ─────────────────────────────────────────────────────────────────────────


def test_the_table_of_rates_is_that_of_stored_results():
    stored = json.loads(rates_of_rules.STORED.read_text())
    page = rates_of_rules.PAGE.read_text()
    shown = page.partition(rates_of_rules.BEGIN)[2].partition(rates_of_rules.END)[0]
    assert shown == rates_of_rules.table(stored)


def test_stored_results_are_those_of_the_present_thresholds():
    stored = json.loads(rates_of_rules.STORED.read_text())
    assert stored["thresholds"] == rates_of_rules.thresholds()


def test_the_main_command_gets_no_finding():
    stored = json.loads(rates_of_rules.STORED.read_text())
    (run,) = [each for each in stored["runs"] if each["name"] == rates_of_rules.MAIN]
    assert run["steps"] > 300
    assert run["found"] == {}

"""The recipes that are shipped: each trains in its small form, resumes, and says what it is."""

import json
from pathlib import Path

import pytest
from support.tables import every_row

from gancore import Run, UsageError, compose
from gancore.recipe import lookup
from gancore.recipe.compose import recipe_layers
from gancore.recipe.toml import Layer
from gancore.tools import sweep
from gancore.tools.claims import read_claims

FILES = lookup.recipe_files()
CHAINS = {name: lookup.recipe_chain(name) for name in FILES}
SWEEPS = [name for name, chain in CHAINS.items() if chain[-1].sweep]
RUNS = [name for name in FILES if name not in SWEEPS]

EXPERIMENTS = """
    journey-dcgan64 journey-dcgan64-unit1 journey-wgangp64 journey-wgangp-unit1 journey-acgan journey-acgan-colorpicker
    journey-acgan-unit2 journey-wacgan-colorpicker journey-colorpicker journey-wgangp-nearest journey-wgangp-transposed
    journey-smoothing journey-instance-noise journey-width-4 journey-width-8 journey-width-16 journey-width-32
    journey-width-64 journey-width-128 journey-lr-high journey-lr-low journey-z-normal journey-z-uniform
    journey-init-normal journey-init-default mnist-acgan gaussian2d-z1 gaussian2d-z100 gaussian2d-collapse gaussian3d
    initials-wgangp initials-wgangp-stable pokgan-dcgan64 pokgan-dcgan64-monitored pokgan-dcgan64-boosted pokgan-wgan64
    pokgan-dcgan256 pokgan-wgan256 mnist-keras-initial mnist-keras-dcgan mnist-keras-noise mnist-keras-flip
    guide-baseline guide-cgan guide-dcgan guide-cdcgan guide-kernel-3 guide-kernel-4 guide-kernel-5 guide-kernel-7
    guide-strong-generator guide-strong-discriminator guide-smoothing guide-smoothing-two-sided guide-replay
    guide-mbd-before guide-mbd-after guide-mbd-both guide-mbd-smoothing guide-vbn guide-vbn-random-labels guide-noisy5
    guide-noisy10 guide-noisy-smoothing guide-wgan-clip guide-wgangp guide-wgan-concat guide-compare-dcgan
    guide-compare-wgangp guide-wgangp-text journey-colorpicker-source mnist-keras-constant pokegan-aegan
    ring8-quick grid25-quick grid100-quick ring8-pacgan grid25-pacgan stacked-glyphs stacked-digits
""".split()  # noqa: SIM905 - a list of names is read more easily so

QUICK = {  # less to draw and to measure than the small form itself; only what a run chose is taken
    "sprites.count": 64, "letters.count": 64, "frechet.images": 20, "recognition.reals": 80, "recognition.images": 20,
    "recognition.epochs": 1, "collapse.images": 20, "class-accuracy.images": 20, "class-entropy.images": 20,
    "scatter.seconds": 0, "modes.images": 50, "wgan-warmup.many": 2,
    "stacked-glyphs.count": 64, "triples.images": 20, "triples.reals": 20, "triples.epochs": 1,
}  # fmt: skip


def small(name, steps):
    """Compose a recipe in its small form for a few steps."""
    variants = ["small"] if any("small" in each.variants for each in CHAINS[name]) else []
    chosen = {each.name for each in compose(recipe=name, variants=variants).chosen}
    options = {key: value for key, value in QUICK.items() if key.partition(".")[0] in chosen}
    settings = {
        "steps": steps,
        "epochs": 0,
        "batch": 8,
        "log_every": 1,
        "sample_every": 2,
        "sample_epochs": 0,
    }
    return compose(
        recipe=name, variants=variants, options=options, settings=settings | {"device": "cpu"}
    )


def weights(run):
    sums = sorted((run.folder / "checkpoints").glob("step-*/SHA256SUMS"))[-1].read_text()
    return [line for line in sums.splitlines() if line.endswith(".safetensors")]


def train_in_two_goes(name, folder):
    first = Run.start(small(name, 2), folder)

    def stop(row):
        first.stop_after_step = True

    first.fit(on_row=stop)
    assert first.training.step == 1
    return Run.resume(folder).fit()


def sampled(names):
    """Leave two of three neighbours, which are mostly alike but for one option, to the slow tests."""
    return [
        pytest.param(name, marks=pytest.mark.slow if number % 8 else ())
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize("name", sampled(RUNS))
def test_a_recipe_trains_two_steps_in_its_small_form_with_a_checkpoint_and_a_resume(name, tmp_path):
    assert train_in_two_goes(name, tmp_path / "r").training.step == 2
    assert (tmp_path / "r" / "samples" / "final.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS[::4])
def test_a_recipe_in_two_goes_ends_with_the_bits_of_one(name, tmp_path):
    whole = Run.start(small(name, 2), tmp_path / "whole").fit()
    assert weights(train_in_two_goes(name, tmp_path / "r")) == weights(whole)


@every_row(
    "name", [name for name in RUNS if any("compat" in each.variants for each in CHAINS[name])]
)
def test_a_recipe_composes_with_the_faults_of_its_source_each_of_them_told(name):
    plain, compat = compose(recipe=name), compose(recipe=name, variants=["compat"])
    assert plain.recipe() != compat.recipe()
    assert any(each.about.get("faults") for each in CHAINS[name])


def test_every_experiment_of_the_sources_is_a_recipe(gan_here):
    found = {each["name"]: each for each in json.loads(gan_here("recipes", "--json").stdout)}
    assert set(EXPERIMENTS) <= set(found)
    assert all(each["summary"] for each in found.values())


@every_row("name", [name for name in RUNS if name not in ("base", "default")])
def test_a_recipe_says_where_it_comes_from_and_what_was_reported(name):
    about = {key: value for each in CHAINS[name] for key, value in each.about.items()}
    assert {"source", "shows", "reported"} <= set(about)
    assert {"source", "shows", "reported", "data", "time", "faults"} >= set(about)


@every_row("name", SWEEPS)
def test_every_arm_of_a_sweep_composes_in_its_small_form_and_every_claim_names_arms(name):
    chain = CHAINS[name]
    arms = sweep.arms_of_recipe(chain[-1].sweep, recipe_layers(name, ["small"]), ["small"])
    trials = sweep.plan_trials(arms, Layer("test"), 1, Path("nowhere"), lambda _: False)
    assert len(trials) == len(arms) >= 2  # no two alike: planning refuses twins
    read_claims(chain[-1].sweep, list(arms))


def test_a_recipe_is_explained_with_the_flags_that_say_the_same(gan_here):
    page = gan_here("recipes", "guide-mbd-both").stdout
    assert "reported: better than one" in page
    assert "--minibatch-discrimination.dense both" in page
    assert "--small adds:" in page


def test_the_flags_of_a_recipe_compose_what_the_recipe_does(gan_here):
    (line,) = [
        each
        for each in gan_here("recipes", "gaussian2d-z100").stdout.splitlines()
        if "--data gaussian" in each
    ]
    assert line.startswith("gan run --recipe base --")
    by_flags = json.loads(gan_here(*line.split()[1:], "--dry-run", "--json").stdout)
    by_name = json.loads(
        gan_here("run", "--recipe", "gaussian2d-z100", "--dry-run", "--json").stdout
    )
    assert by_flags["recipe"] == by_name["recipe"]


@every_row(
    "name", ["guide-wgangp", "guide-baseline", "journey-z-uniform", "journey-acgan-colorpicker"]
)
def test_the_flags_of_a_recipe_speak_only_of_what_it_chose(name, gan_here):
    (line,) = [
        each
        for each in gan_here("recipes", name).stdout.splitlines()
        if each.startswith("gan run --recipe base --")
    ]
    chosen = {each.name for each in compose(recipe=name).chosen}
    assert {
        word[2:].partition(".")[0] for word in line.split() if word.startswith("--") and "." in word
    } <= chosen


def test_a_recipe_file_is_explained_and_extends_what_lies_beside_it(gan_here, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.toml").write_text('# The base\nloss = "wgan"\n')
    (tmp_path / "sub" / "child.toml").write_text('# The child\nextends = "base.toml"\n')
    assert "--loss wgan" in gan_here("recipes", "sub/child.toml").stdout
    (tmp_path / "sub" / "base.toml").write_text('extends = "./base.toml"\n')
    assert "extends itself" in gan_here("recipes", "sub/child.toml", check=2).stderr


def test_a_variant_without_a_recipe_is_refused(gan_here):
    assert "is a variant of a recipe" in gan_here("run", "--small", check=2).stderr


def test_no_recipe_has_a_sweeps_arms_by_mistake():
    with pytest.raises(UsageError, match="no .sweep.arms"):
        sweep.arms_of_recipe(CHAINS["default"][-1].sweep, [], ())

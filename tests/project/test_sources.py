"""The pages about the sources leave no recipe and no sweep out, and recipes have the numbers of
their sources.
"""

import json

import pytest
from support.paths import ROOT
from support.tables import every_row

from benchmarks import source_tables, sources
from gancore import compose
from gancore.recipe import lookup
from gancore.testing import some_data, train

SOURCES = ROOT / "docs" / "sources"
RESULTS = source_tables.read_results(SOURCES)
TEXT = "\n".join(page.read_text() for page in SOURCES.glob("*.md"))
DIAGNOSE = (ROOT / "docs" / "how-to" / "diagnose.md").read_text()
ARMS_OF_SWEEPS = (
    "journey-width-",
    "journey-z-",
    "journey-init-",
    "guide-kernel-",
    "guide-compare-",
)


@every_row("name", sorted(lookup.recipe_files()))
def test_a_recipe_has_its_place_on_the_pages_of_the_sources(name):
    family = next((prefix for prefix in ARMS_OF_SWEEPS if name.startswith(prefix)), None)
    if name.startswith("sick-"):
        # no source but the doctor itself, whose page has them
        assert f"`{name}`" in DIAGNOSE
        return
    assert name == "default" or name in TEXT or (family and f"{family}*" in TEXT)


# ── tables ────────────────────────────────────────────────────────────────────────────────────────


@every_row("page", sorted(SOURCES.glob("*.md")), ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_stored_results(page):
    text = page.read_text()
    assert source_tables.fill(text, RESULTS) == text, "python -m benchmarks.sources tables"


@every_row("page", sorted(SOURCES.glob("*.md")), ids=lambda page: page.name)
def test_no_verdict_and_no_table_of_arms_is_written_by_hand(page):
    others = source_tables.BLOCK.sub("", page.read_text())
    assert not [
        line
        for line in others.splitlines()
        if line.startswith(("| arm |", "- **agree", "- **disagree"))
    ]


@every_row("name", sorted(RESULTS))
def test_a_stored_result_says_with_what_it_was_measured(name):
    result = RESULTS[name]
    assert name in lookup.recipe_files()
    assert result["command"].split()[1] == {"recipe": "run", "sweep": "sweep"}[result["kind"]]
    assert {"date", "commit", "seeds"} <= set(result)
    if "figures" in result:
        assert {"steps", "torch", "processor", "threads", "processor_seconds"} <= set(result)


def test_every_sweep_has_its_table_on_a_page():
    sweeps = {name for name in lookup.recipe_files() if lookup.recipe_chain(name)[-1].sweep}
    shown = {
        name
        for page in SOURCES.glob("*.md")
        for _, name, _ in source_tables.BLOCK.findall(page.read_text())
    }
    assert shown == sweeps | {"recipes", "sweeps"}


SHORT = """
# Three steps
extends = "gaussian2d-z1"
[small.run]
steps = 3
"""
BOTH = """
# Two arms
[small]
[sweep]
seeds = 1
figures = ["collapse/ratio"]
[[sweep.claims]]
says = "a says"
figure = "collapse/across"
less = "a"
more = "b"
[sweep.arms.a]
extends = "{short}"
[sweep.arms.b]
extends = "{short}"
[sweep.arms.b.run]
batch = 8
"""


@pytest.mark.slow
def test_what_is_measured_is_what_a_table_needs(tmp_path):
    short, both = tmp_path / "short.toml", tmp_path / "both.toml"
    short.write_text(SHORT)
    both.write_text(BOTH.format(short=short))
    run = sources.measure_recipe(str(short), tmp_path)
    sweep = sources.measure_sweep(str(both), tmp_path) | {"processor_seconds": 1.0}
    assert run["steps"] == 3
    assert set(run["figures"]) == {
        f"collapse/{name}" for name in ("ratio", "minor", "major", "across")
    }
    assert sweep["steps"] == [3]
    assert set(sweep["figures"]["a"]["0"]) == {"seconds/step", "collapse/ratio", "collapse/across"}
    page = source_tables.sweep_block(json.loads(json.dumps(sweep)))
    assert "| arm | seeds | seconds/step | collapse/ratio |" in page
    assert "- **undecided**: a says" in page
    assert "seeds 0, 3 steps, 1 s of processor time" in page


# ── numbers of the sources ────────────────────────────────────────────────────────────────────────


def resolved(name, *variants):
    """Return the slots and options of a recipe in its full form."""
    return compose(recipe=name, variants=list(variants)).recipe()


def weights(name, *variants, size=(3, 32, 32), classes=(10,), options=None):
    """Count the trained weights of generator and critic of a recipe on images of this size."""
    composition = compose(recipe=name, variants=list(variants), options=options or {})
    gan = train(
        *composition.chosen, data=some_data(size, classes, count=16), stand_ins=[], batch=2
    ).context.gan
    return [
        sum(weight.numel() for weight in player.parameters)
        for player in (gan.generator, gan.critic)
    ]


@every_row("name", ["journey-dcgan64", "journey-wgangp64", "journey-acgan", "journey-z-uniform"])
def test_generators_of_the_journey_drop_half_of_their_hidden_numbers(name):
    found = resolved(name)
    assert "dropout" in found["reg"]
    assert (found["dropout"]["generator"], found["dropout"]["critic"]) == (0.5, 0.0)


@every_row("name", ["journey-dcgan64-unit1", "journey-wgangp-unit1", "journey-acgan-unit2"])
def test_tests_of_one_image_drop_nothing_but_on_demand(name):
    assert resolved(name)["dropout"] == {"generator": 0.0, "critic": 0.0}
    assert resolved(name, "compat")["dropout"]["generator"] == 0.5


@every_row("name", ["journey-dcgan64", "journey-acgan", "journey-acgan-unit2", "journey-lr-high"])
def test_the_journey_has_the_momentum_of_its_text_and_that_of_its_program_on_demand(name):
    assert resolved(name)["adam"]["beta1"] == 0.5
    assert resolved(name, "compat")["adam"]["beta1"] == 0.9


@pytest.mark.parametrize("name", ["journey-dcgan64-unit1", "journey-acgan-unit2"])
def test_tests_of_one_image_have_the_norms_of_their_source_and_noise_of_ours(name):
    ours = resolved(name)
    source = resolved(name, "compat")
    assert ours["critic-norm"] == source["critic-norm"] == "batch"
    assert set(ours["reg"]) - set(source["reg"]) == {"instance-noise"}


@every_row(
    "name",
    ["journey-colorpicker-source", "journey-acgan-colorpicker", "journey-wacgan-colorpicker"],
)
def test_colour_pickers_of_the_journey_have_the_net_of_their_source(name):
    found = resolved(name)
    net = {
        key: found["colorpicker"][key]
        for key in ("widths", "smallest", "project", "skip", "shuffle", "kernel")
    }
    widths = [512, 256, 128, 64, 64, 32]
    assert net == {
        "widths": widths, "smallest": 2, "project": 7, "skip": "concat", "shuffle": True, "kernel": 5,
    }  # fmt: skip
    assert found["init"] == "dcgan-normal"
    assert "dropout" not in found["reg"]


def test_the_colour_picker_of_the_source_has_the_weights_of_its_program():
    assert weights("journey-colorpicker-source", size=(3, 64, 64))[0] == 2_355_724


def test_the_guides_conditional_networks_have_the_weights_of_their_program():
    generator, critic = weights("guide-cdcgan", "compat")
    convolutions = 4_800 + 204_800 + 819_200
    dense = 1_048_832 + (256 + 10) * 128 + 128 + 128
    assert generator == 3_123_267  # as the program prints
    assert critic == convolutions + 2 * (64 + 128 + 256) + dense  # the last layer has no bias here


def test_minibatch_discrimination_of_the_guide_stands_behind_the_label():
    kernels = {"minibatch-discrimination.kernels": 100}  # the program's; its text has 128
    critic = weights("guide-mbd-before", "compat", options=kernels)[1]
    assert critic == 2_275_237 - 1  # as the program prints, without the bias of the last layer


@every_row("form", ["before", "after", "both"])
def test_minibatch_discrimination_of_the_guide_sums_the_sample_itself_on_demand(form):
    tables = [
        resolved(f"guide-mbd-{form}", *variants)["minibatch-discrimination"]
        for variants in ([], ["compat"])
    ]
    assert [(each["include-self"], each["normalize"]) for each in tables] == [
        (False, True),
        (True, False),
    ]
    assert [each["kernels"] for each in tables] == [128, 128]


@pytest.mark.parametrize("variants", [[], ["small"]])
def test_the_two_sides_of_the_guides_comparison_share_all_that_is_not_the_loss(variants):
    one, other = (resolved(f"guide-compare-{side}", *variants) for side in ("dcgan", "wgangp"))
    for table in ("dcgan", "dcgan-critic", "adam", "normal", "run", "transposed", "frechet"):
        assert one[table] == other[table], table
    assert {key for key in one if isinstance(one[key], str) and one[key] != other[key]} == {
        "loss", "schedule", "critic-norm",
    }  # fmt: skip


def test_the_guides_wgan_has_the_numbers_of_its_text_in_a_recipe_of_its_own():
    program, text = resolved("guide-wgangp"), resolved("guide-wgangp-text")
    adams = [
        (each["adam"]["lr"], each["adam"]["beta1"], each["adam"]["beta2"])
        for each in (program, text)
    ]
    assert adams == [(2e-4, 0.5, 0.9), (1e-4, 0.0, 0.9)]
    assert [each["wgan-warmup"]["first"] for each in (program, text)] == [25, 100]
    assert [each["wgan-warmup"]["many"] for each in (program, text)] == [100, 100]
    assert text["dcgan"]["widths"] == [256, 256, 128, 64]


def test_the_first_initials_have_a_relu_critic_on_demand():
    activations = [
        resolved("initials-wgangp", *each)["dcgan-critic"]["activation"]
        for each in ([], ["compat"])
    ]
    assert activations == ["leaky", "relu"]
    assert resolved("initials-wgangp-stable", "compat")["dcgan-critic"]["activation"] == "leaky"


def test_the_keras_net_has_the_constant_critic_of_its_text_in_a_recipe_of_its_own():
    found = resolved("mnist-keras-constant")
    assert found["dcgan-critic"]["widths"] == [128] * 4
    assert 0.3 <= found["dropout"]["critic"] <= 0.6


def test_minibatch_discrimination_at_64_pixels_has_the_weights_that_the_page_tells():
    tail = weights("pokgan-dcgan64", size=(3, 64, 64), classes=())[1]
    spatial = weights("pokgan-dcgan64", "compat", size=(3, 64, 64), classes=())[1]
    assert (tail, spatial) == (37_250_660, 11_439_747)
    assert 16_384 * 100 * 16 == 26_214_400  # T of the tail

"""Exact resume: whatever is composed, a run in two goes leaves the bits of a run in one."""

import json
import re
import struct
from functools import partial

import numpy as np
import pytest
from PIL import Image
from support.tables import every_row

from gancore import CompositionError, Run, compose
from gancore.plugins import discovery, loading
from gancore.plugins.component import state_fields
from gancore.run.checkpoint import writer
from gancore.testing import copy_state
from gancore.tools.verify_resume import differences, fit_until

FIRST_PARTY = [row for row in discovery.installed() if row.distribution.startswith("gan-plugin-")]

# ── the smallest composition of each component ────────────────────────────────────────────────────

BASES = (  # tried in this order; the first whose rules let the component in is taken
    {"data": "mixture", "gen": "mlp", "critic": "mlp-critic"},
    {"data": "sprites"},
)
# steps before the interruption and after it; rows and pictures lie on neither side of step 5 alone
HALF = 5
SETTINGS = {
    "steps": 2 * HALF, "batch": 6, "device": "cpu", "log_every": 2, "sample_every": 3, "save_every": 100, "epochs": 0
}  # fmt: skip
SMALL = {
    "sprites.count": 32, "letters.count": 32, "mixture.finite": 64, "gaussian.count": 64, "mlp.hidden": [8],
    "mlp-critic.hidden": [8], "dcgan.width": 2, "dcgan-critic.width": 2, "colorpicker.width": 2,
    "progressive.width": 2, "progressive-critic.width": 2, "virtual-batch.reference": 4,
    "minibatch-discrimination.kernels": 4, "normal.dim": 3, "uniform.dim": 3, "frechet.images": 16, "mmd.images": 16,
    "sliced-wasserstein.images": 16, "collapse.images": 16, "modes.images": 32, "nearest.images": 16,
    "class-accuracy.images": 16, "class-entropy.images": 16, "recognition.reals": 60, "recognition.images": 16,
    "recognition.epochs": 1, "scatter.count": 32, "milestones.columns": 3, "progressive.steps-per-level": 3,
    "stacked-digits.count": 40, "stacked-glyphs.count": 40,
    "progressive.fade": 3, "repeat.images": 4, "repeat.count": 30,
}  # fmt: skip
OWN = {  # options by which a component's memory reaches over the interruption, and the company it cannot do without
    "monitored": [{"monitored.threshold": 1.0}],
    "boosted": [
        {"boosted.generator-chance": 0.4, "boosted.critic-chance": 0.4, "boosted.length": 4}
    ],
    "wgan-warmup": [
        {"wgan-warmup.first": 2, "wgan-warmup.many": 3, "wgan-warmup.every": 6, "wgan-warmup.k": 2}
    ],
    "n-critic": [{"n-critic.critic": 2, "n-critic.pretrain": 3}],
    "experience-replay": [
        {"experience-replay.capacity": 20, "experience-replay.per-update": 3},
        {"experience-replay.mode": "extra-step", "experience-replay.extra-after": 4},
    ],
    "ema": [{"ema.start": 2}],
    "instance-noise": [{"instance-noise.anneal": 8}],
    "linear-decay": [{"linear-decay.end": 9}],
    "cosine-decay": [{"cosine-decay.start": 2, "cosine-decay.end": 9}],
    "label-smoothing": [{}],
    "minibatch-discrimination": [{}, {"minibatch-discrimination.spatial": 2, "data": "sprites"}],
    "stop-when": [
        {"stop-when.figure": "critic/total", "stop-when.above": -1e9, "stop-when.rows": 5}
    ],
    "doctor": [{}, {"data": "sprites"}],
    "milestones": [{"milestones.limit": 3}],
    # step 5 moves the generator alone, step 6 the critic, and both are told in the row of step 6
    "gradient-flow": [
        {
            "schedule": "boosted",
            "boosted.generator-chance": 0.9,
            "boosted.critic-chance": 0.1,
            "boosted.length": 1,
        }
    ],
    "sgd": [{"sgd.momentum": 0.9}],
    "dropout": [{"dropout.generator": 0.3}],
    "class-accuracy": [{"cond": ["acgan"]}],
    "class-entropy": [{"cond": ["acgan"]}],
    "augment": [{"augment.shift": 2, "augment.hue": 0.2}],
    "palette-strip": [{"gen": "colorpicker", "data": "sprites"}],
    "progressive-critic": [{"gen": "progressive", "data": "sprites"}],
    "self-modulation": [{"critic_norm": "none"}],
    "lookahead": [{"lookahead.k": 3}],
    "began": [{"began.gamma": 1.0, "began.rate": 0.05, "data": "sprites"}],
    "term-gradients": [{"term-gradients.every": 5}],
    "weight-change": [{"weight-change.every": 5}],
    "self-attention": [{"self-attention.size": 4, "data": "sprites", "gen": "dcgan"}],
    "path-length": [{"gen": "stylegan2-lite", "data": "sprites"}],
    "triples": [{"data": "stacked-glyphs"}],
}
LISTS = {"cond", "reg", "metric", "track"}


def write_idx(folder):
    """Write twenty pictures with labels as MNIST has them."""
    dice = np.random.default_rng(0)
    for split in ("train", "t10k"):
        images, labels = (
            dice.integers(0, 256, (20, 28, 28), np.uint8),
            (np.arange(20) % 10).astype(np.uint8),
        )
        for name, array in (
            (f"{split}-images-idx3-ubyte", images),
            (f"{split}-labels-idx1-ubyte", labels),
        ):
            head = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (folder / name).write_bytes(head + array.tobytes())


def write_cifar(folder):
    """Write batches of twenty records, which is what the reader is told to expect."""
    for number, name in enumerate(
        [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    ):
        records = np.random.default_rng(number).integers(0, 256, (20, 3073), np.uint8)
        records[:, 0] = np.arange(20) % 10
        (folder / name).write_bytes(records.tobytes())


def write_images(folder):
    """Write two classes of ten pictures."""
    dice = np.random.default_rng(0)
    for kind in ("fire", "water"):
        (folder / kind).mkdir()
        for number in range(10):
            Image.fromarray(dice.integers(0, 256, (16, 16, 3), np.uint8)).save(
                folder / kind / f"{number}.png"
            )


FILES = {
    "idx": write_idx, "mnist": write_idx, "fashion-mnist": write_idx, "cifar10": write_cifar,
    "image-folder": write_images, "stacked-digits": write_idx,
}  # fmt: skip


def start_around(row, own, folder):
    """Start the smallest run that a component may be part of, and return it with what composes it
    again.
    """
    options = {key: value for key, value in own.items() if "." in key}
    slots = {key: value for key, value in own.items() if "." not in key}
    if row.name in FILES:
        (folder / "data").mkdir(parents=True)
        FILES[row.name](folder / "data")
        options[f"{row.name}.path"] = str(folder / "data")
    refused = []
    for base in BASES:
        make = partial(
            compose_small,
            {**base, row.kind: [row.name] if row.kind in LISTS else row.name, **slots},
            options,
        )
        try:
            return Run.start(make(), folder / f"at-once-{len(refused)}" / "run"), make
        except CompositionError as error:
            refused.append(str(error))
    raise AssertionError(f"no composition takes {row.name}: {'; '.join(refused)}")


def compose_small(slots, options):
    """Compose with the small options of whatever is chosen."""
    images = slots["data"] not in ("mixture", "gaussian")
    names = {each.name for each in compose(options=options, **slots).chosen}
    small = {key: value for key, value in SMALL.items() if key.partition(".")[0] in names}
    settings = {**SETTINGS, "size": "16"} if images else SETTINGS
    return compose(options={**small, **options}, settings=settings, **slots)


CASES = [
    pytest.param(row, own, id=f"{row.name}-{number}" if number else row.name)
    for row in FIRST_PARTY
    for number, own in enumerate(OWN.get(row.name, [{}]))
]


def keeps_state(cls):
    return bool(state_fields(cls)) or hasattr(cls, "state_dict")


def with_stateless_ones_slow():
    """Mark as slow what has no state to lose."""
    cases = []
    for case in CASES:
        marks = () if keeps_state(loading.load(case.values[0])) else pytest.mark.slow
        cases.append(pytest.param(*case.values, id=case.id, marks=marks))
    return cases


def train_half(make, folder):
    assert fit_until(Run.start(make(), folder), HALF).training.step == HALF


def train_in_two_goes(make, folder):
    train_half(make, folder)
    return Run.resume(folder).fit()


@pytest.fixture
def short_batches(monkeypatch):
    """Batches of CIFAR-10 with twenty records."""
    monkeypatch.setattr("gan_plugin_cifar.RECORDS", 20)


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize(("row", "own"), with_stateless_ones_slow())
def test_every_component_goes_on_as_if_it_had_never_stopped(row, own, tmp_path):
    whole, make = start_around(row, own, tmp_path)
    assert row.name in {each.component_name for each in whole.fit().composition.chosen}
    parts = train_in_two_goes(make, tmp_path / "in-two-goes" / "run")
    assert HALF < parts.training.step == whole.training.step
    assert differences(whole.folder, parts.folder) == []
    assert sums(parts) == sums(whole)


REMEMBERING = [
    case
    for case in CASES  # but tensorboard, which then writes every row anew to the same end
    if keeps_state(loading.load(case.values[0])) and case.values[0].name != "tensorboard"
]


@pytest.mark.slow
@pytest.mark.parametrize(("row", "own"), REMEMBERING)
def test_a_component_that_forgets_would_be_found(row, own, tmp_path):
    whole, make = start_around(row, own, tmp_path)
    whole.fit()
    untrained = component_of(Run.start(make(), tmp_path / "untrained"), row)
    train_half(make, tmp_path / "in-two-goes" / "run")
    parts = Run.resume(tmp_path / "in-two-goes" / "run")
    copy_state(untrained, component_of(parts, row))
    assert differences(whole.folder, parts.fit().folder) != []


def component_of(run, row):
    return next(
        each.component for each in run.composition.chosen if each.component_name == row.name
    )


def sums(run):
    return (writer.steps(run.folder / "checkpoints")[-1] / "SHA256SUMS").read_bytes()


def test_the_options_of_this_page_speak_of_components_that_are_there():
    names = {row.name for row in FIRST_PARTY}
    assert {key.partition(".")[0] for key in SMALL} | set(OWN) | set(FILES) <= names


# ── gan verify-resume ─────────────────────────────────────────────────────────────────────────────

KEEPER = """
from gancore import cached, component, hookimpl


@component(source="a test")
class Keeper:
    \"\"\"Grow the generator's weights a little more in each step, and keep the count to itself.\"\"\"

    seen: int = cached(0)

    @hookimpl
    def after_step(self, gan):
        self.seen += 1
        for weight in gan.generator.parameters:
            weight.mul_(1 + 1e-4 * self.seen)
"""
POINTS = (
    "--data",
    "mixture",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--batch",
    "4",
    "--device",
    "cpu",
)


def test_a_run_is_proved_to_resume(gan_here, tmp_path):
    gan_here("run", *POINTS, "--reg", "ema", "--steps", 0, "--out", "r")
    answer = json.loads(gan_here("verify-resume", "r", "--steps", 3, "--json").stdout)
    assert answer["same"] and answer["differences"] == []
    assert (answer["rows"], answer["pictures"]) == (
        3,
        5,
    )  # at steps 0, 2, 4 and 6, and the final picture


def test_a_component_that_keeps_its_state_to_itself_is_found_with_how_much_it_moved(
    gan_here, tmp_path
):
    (tmp_path / "keeper.py").write_text(KEEPER)
    done = gan_here("verify-resume", *POINTS, "--reg", "./keeper.py", "--steps", 2, check=1)
    assert "not bit-identical: 2 + 2 steps differ from 4 without interruption" in done.stdout
    assert re.search(
        r"generator\.safetensors: 8 of 8 tensors differ, by at most 0\.\d+, and .*: \S+, \S+, \S+, …",
        done.stdout,
    )
    assert "metrics.jsonl: " in done.stdout and "samples/final.png differs" in done.stdout
    assert "keeper has cached() fields, which are not saved" in done.stderr


def test_a_recipe_is_verified_by_name_and_a_component_file_of_a_run_only_if_it_is_named(
    gan_here, tmp_path
):
    (tmp_path / "keeper.py").write_text(KEEPER)
    gan_here("run", *POINTS, "--reg", "./keeper.py", "--steps", 0, "--out", "r")
    assert "names a component file" in gan_here("verify-resume", "r", check=2).stderr
    assert "no recipe is called" in gan_here("verify-resume", "gaussian2d-z99", check=2).stderr
    assert "is a variant of a recipe" in gan_here("verify-resume", "r", "--small", check=2).stderr


def test_a_run_that_ends_by_itself_is_not_judged(gan_here):
    stop = (
        "--track",
        "stop-when",
        "--stop-when.figure",
        "critic/total",
        "--stop-when.above",
        "-9",
        "--stop-when.rows",
        1,
    )
    assert "ends by itself at step 2" in gan_here("verify-resume", *POINTS, *stop, check=1).stderr


# ── where there is nothing to do, or no run ───────────────────────────────────────────────────────

TINY_POINTS = [
    "--data",
    "mixture",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--mlp.hidden",
    "4",
    "--mlp-critic.hidden",
    "4",
]


@every_row(
    ("words", "length"),
    [
        ([], "the run is at step 4 of 4"),
        (["--steps", "2"], "the run is at step 4 of 2"),
        (["--epochs", "0", "--steps", "4"], "the run is at step 4 of 4"),
    ],
)
def test_a_resume_with_nothing_left_says_that_nothing_was_trained(
    gan_here, tmp_path, words, length
):
    gan_here("run", *TINY_POINTS, "--batch", 4, "--steps", 4, "--out", "r")
    before = (tmp_path / "r" / "recipe.toml").read_bytes()
    said = gan_here("run", "--resume", "r", *words).stderr
    assert f"nothing is left to train: {length}; to go on, e.g. --steps 8" in said
    assert f"nothing was trained: {length}" in said
    assert "done:" not in said
    assert (
        tmp_path / "r" / "recipe.toml"
    ).read_bytes() == before  # no length that the run has passed


def test_a_run_by_epochs_says_so_in_epochs(tmp_path):
    settings = {"epochs": 1, "batch": 32}
    small = {"mixture.finite": 64, "mlp.hidden": [4], "mlp-critic.hidden": [4]}
    run = Run.start(
        compose(data="mixture", gen="mlp", critic="mlp-critic", options=small, settings=settings),
        tmp_path / "r",
    ).fit()
    assert run.training.step == 2
    (note,) = Run.resume(tmp_path / "r").notes
    assert note == "nothing is left to train: the run is at epoch 1 of 1; to go on, e.g. --epochs 2"


@every_row(
    "part",
    [
        "checkpoints",
        "checkpoints/step-000000002",
        "checkpoints/step-000000100",
        "samples",
        "recipe.toml",
    ],
)
def test_a_path_inside_a_run_names_the_run(gan_here, part):
    gan_here("run", *TINY_POINTS, "--batch", 4, "--steps", 2, "--out", "r")
    for words in (["run", "--resume"], ["run", "--nproc", "2", "--resume"], ["sample"]):
        said = gan_here(*words, f"r/{part}", check=2).stderr
        assert f"r/{part} is a part of the run r, not a run" in said
        assert "name the run: r\n" in said

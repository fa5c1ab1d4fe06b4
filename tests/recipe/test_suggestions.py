"""What is suggested for a word that nothing is called: never a far-fetched one."""

import json

import pytest
from support.tables import every_row

from gancore import UsageError, compose
from gancore.cli import main
from gancore.errors import did_you_mean, nearest
from gancore.plugins import discovery

TINY = ("--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", "4")


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """What `gan` says how to fix of words that it refuses."""
    monkeypatch.chdir(tmp_path)

    def ask(*words):
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert ended.value.code == 2
        return capsys.readouterr().err.partition(" fix: ")[2].rstrip("\n")

    return ask


@every_row(
    ("word", "known", "near"),
    [
        ("gne", ["gen", "norm"], ["gen"]),
        ("rl", ["lr", "beta1"], ["lr"]),
        ("Adam", ["adam", "sgd"], ["adam"]),
        ("WGANGP", ["wgan", "wgan-gp"], ["wgan-gp"]),
        ("instance_nose", ["instance-noise", "normal"], ["instance-noise"]),
        ("--bat", ["--batch"], ["--batch"]),
        (
            "accuracy",
            ["class-accuracy", "critic-accuracy", "modes"],
            ["class-accuracy", "critic-accuracy"],
        ),
        ("gpu", ["reg", "gen"], []),
        ("ema", ["small", "gen"], []),
        ("fid", ["idx", "modes"], []),
        ("hinge", ["he", "bce"], []),
        ("mnist", ["init"], []),
        ("spectral_norm", ["keras-uniform", "normal"], []),
        ("x", ["xy"], []),
        ("word", [], []),
    ],
)
def test_a_near_word_is_a_slip_or_a_part_and_nothing_else(word, known, near):
    assert nearest(word, known) == near


def test_several_equally_near_words_are_all_named():
    assert (
        did_you_mean("accuracy", ["a-accuracy", "b-accuracy"])
        == "did you mean a-accuracy or b-accuracy?"
    )


@every_row(
    ("words", "fix"),
    [
        (["run", "mnist"], "did you mean --data mnist?"),
        (["run", "--gpu"], "did you mean --device cuda?"),
        (["run", "--ema"], "did you mean --reg ema?"),
        (["run", "--eam"], "did you mean --reg ema?"),
        (["run", "--wgan_gp"], "did you mean --loss wgan-gp?"),
        (["run", "--tensorboard"], "did you mean --track tensorboard?"),
        (["run", "--batch-norm"], "did you mean --norm batch?"),
        (["run", "--batch-size", "3"], "did you mean --batch?"),
        (["run", "--discriminator", "x"], "did you mean --critic?"),
        (["run", "--critic-width", "8"], "did you mean --critic.width?"),
        (["run", "--bogus"], "gan run --help"),
        (["run", "journey_acgan"], "did you mean --recipe journey-acgan?"),
        (["run", "sweep-norm"], "did you mean gan sweep sweep-norm?"),
        (["run", "steps=20"], "did you mean --steps 20?"),
        (["run", "."], "did you mean --data .?"),
        (["sample", "r", "--gpu"], "did you mean --device cuda?"),
        (["sample", "r", "--lables", "3"], "did you mean --labels?"),
        (["sample", "r", "--bogus"], "gan sample --help"),
        (["train"], "did you mean `gan run`?"),
        (["mnist"], "did you mean gan run --data mnist?"),
        (["plugins", "generator"], "did you mean gen?"),
        (["run", "--resume", "rNOPE"], "name a folder that `gan run` made"),
        (["run", "--device", "gpu", *TINY], "cuda, for an NVIDIA or AMD card"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_word_of_other_programs_is_answered_by_what_was_meant(refused, words, fix):
    assert refused(*words) == fix


@every_row(
    ("slot", "name", "meant"),
    [
        ("metric", "fid", "did you mean frechet? It uses random convolutions, not Inception-v3"),
        ("loss", "softmax", "one of bce, began, bigan, "),
        ("reg", "vicreg", "one of accumulate, "),
        ("norm", "batch-norm", "did you mean batch? "),
        ("latent", "gaussian", "did you mean normal?"),
        ("init", "xavier", "did you mean glorot? "),
        ("metric", "tensorbord", "did you mean --track tensorboard? "),
        ("reg", "fid", "did you mean --metric frechet? It uses random convolutions"),
        ("loss", "instance-noise", "--reg instance-noise"),
    ],
)
def test_a_component_that_is_not_there_is_answered_within_its_slot_or_by_the_flag_of_another(
    slot, name, meant
):
    with pytest.raises(UsageError) as caught:
        compose(**{slot: [name] if slot in ("metric", "reg") else name})
    assert f"{caught.value.fix} ".startswith(meant)


@pytest.mark.parametrize("word", ["export", "report"])
def test_a_command_that_nothing_is_near_is_answered_by_those_there_are(refused, word):
    fix = refused(word)
    assert fix.startswith("one of bench, checkpoint, ") and "sample" in fix


@every_row(
    ("slot", "fix"),
    [
        ("steps", 'settings={"steps": …}'),
        ("critic_nrom", "did you mean critic_norm?"),
        ("ema", "did you mean --reg ema?"),
        ("extends_it", "one of data, gen, "),
    ],
)
def test_a_keyword_of_compose_that_is_no_slot_is_answered_by_where_it_belongs(slot, fix):
    with pytest.raises(UsageError, match=f"no slot '{slot}'") as caught:
        compose(**{slot: "20"})
    assert caught.value.fix.startswith(fix)


def test_a_run_that_is_not_there_is_answered_by_a_near_name_or_the_newest_runs(refused, tmp_path):
    for name in ("first", "runs/dcgan-bce-1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recipe.toml").write_text("format = 1\n")
    assert refused("run", "--resume", "frist") == "did you mean first?"
    assert refused("run", "--resume", "dcgan-bce-1") == "did you mean runs/dcgan-bce-1?"
    listed = refused("run", "--resume", "rNOPE")
    assert (
        listed.startswith("runs here, the newest first: ")
        and "first" in listed
        and "runs/dcgan-bce-1" in listed
    )


def test_underscores_are_understood_in_options_names_tables_and_keys(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it.toml").write_text(
        'critic_norm = "layer"\n[run]\nsave_every = 7\n[mlp_critic]\nhidden = [5]\n'
    )
    words = ["--recipe", "it.toml", "--gen_norm", "virtual_batch", "--reg", "more=instance_noise"]
    words += [
        "--sample_every",
        "3",
        "--mlp_critic.activation",
        "relu",
        "--run.log_every",
        "5",
        *TINY,
    ]
    with pytest.raises(SystemExit) as ended:
        main(["run", *words, "--dry_run", "--json"])
    shown = capsys.readouterr()
    assert ended.value.code == 0, shown.err
    recipe = json.loads(shown.out)["recipe"]
    assert (recipe["critic-norm"], recipe["gen-norm"]) == ("layer", "virtual-batch")
    assert recipe["reg"] == ["more=instance-noise"]
    assert [recipe["run"][f"{each}-every"] for each in ("save", "sample", "log")] == [7, 3, 5]
    assert (recipe["mlp-critic"]["hidden"], recipe["mlp-critic"]["activation"]) == ([5], "relu")


@every_row(
    "words", [["plugins", "instance_noise"], ["recipes", "journey_acgan"], ["verify_resume", "-h"]]
)
def test_underscores_are_understood_by_every_command(words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0


def test_two_spellings_of_one_option_count_as_twice(refused):
    words = (
        "--reg",
        "instance-noise",
        "--instance_noise.sigma",
        "2",
        "--instance-noise.sigma",
        "2",
    )
    assert refused("run", *words) == "give it once"


@every_row("slot", ["reg", "metric", "track"])
def test_a_component_chosen_twice_at_once_is_refused_and_an_alias_is_not(slot):
    name = {"reg": "ema", "metric": "collapse", "track": "curves"}[slot]
    with pytest.raises(UsageError, match="twice") as caught:
        compose(**{slot: [name, name]})
    assert caught.value.fix == f"choose it once, or give one an alias: --{slot} other={name}"
    assert compose(**{slot: [name, f"other={name}"]}).slots[slot][-2:] == (name, f"other={name}")


def test_a_component_that_a_recipe_chose_may_be_chosen_again(tmp_path):
    (tmp_path / "it.toml").write_text('reg = ["ema"]\n')
    assert compose(recipe=tmp_path / "it.toml", reg=["ema"]).slots["reg"] == ("ema",)


def test_words_of_users_name_no_component_that_is_installed_in_the_same_slot():
    taken = {(row.kind, row.name) for row in discovery.installed()}
    words = {(row.kind, word) for row in discovery.installed() for word, _ in row.known_as}
    assert words and not words & taken

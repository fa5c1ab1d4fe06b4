"""The command line, in real processes: what it prints where, and how it ends."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from support.tables import every_row

SMALL = ("--size", "16", "--batch", "8", "--sprites.count", "48")
TINY = (*SMALL, "--dcgan.width", "4", "--dcgan-critic.width", "4")
BLOCKED = "import sys; sys.modules['torch'] = None; from gancore.cli import main; main({words!r})"


@every_row(
    "words",
    [
        ["plugins"],
        ["plugins", "--json"],
        ["--help"],
        ["run", "--help"],
        ["recipes"],
        ["recipes", "guide-wgangp"],
        ["sweep", "--help"],
        ["study", "--help"],
        ["bench", "--help"],
        ["gif", "--help"],
        ["diagnose", "--help"],
        ["data", "check", "--help"],
    ],
)
def test_listing_and_help_never_import_torch(words):
    code = BLOCKED.format(words=words)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_plugins_lists_every_component_as_json(gan):
    rows = json.loads(gan("plugins", "--json").stdout)
    assert all(
        row.keys() == {"name", "kind", "distribution", "version", "summary", "status"}
        for row in rows
    )
    names = {row["name"] for row in rows}
    assert {
        "colorpicker",
        "wgan-gp",
        "instance-noise",
        "virtual-batch",
        "acgan",
        "experience-replay",
    } <= names
    assert {row["status"] for row in rows if row["distribution"].startswith("gan-plugin-")} == {
        "ok"
    }
    assert all(row["summary"] for row in rows)


def test_plugins_lists_one_kind(gan_here):
    lines = gan_here("plugins", "upsample").stdout.splitlines()
    assert {line.split()[0] for line in lines[1:]} == {"upsample"}
    assert {"nearest-conv", "transposed"} <= {line.split()[1] for line in lines[1:]}


def test_plugins_describes_one_component(gan_here):
    page = gan_here("plugins", "instance-noise").stdout
    assert "--instance-noise.sigma 0.1" in page
    assert "arXiv:1610.04490" in page


def test_plugins_checks_by_importing(gan_here):
    rows = json.loads(gan_here("plugins", "latent", "--check", "--json").stdout)
    assert [row["status"] for row in rows] == ["ok", "ok"]


@every_row(
    ("words", "expected"),
    [
        pytest.param(["run", "--gen", "colorpiker"], "did you mean colorpicker?", id="C02-unknown-component"),
        pytest.param(["run", "--gne", "dcgan"], "did you mean --gen?", id="C01-unknown-flag"),
        pytest.param(["run", "--adam.rl", "1"], "did you mean lr?", id="C01-unknown-option"),
        pytest.param(["run", "--adam.lr", "fast"], "must be a number", id="C04-text-for-a-number"),
        pytest.param(["run", "--adam.lr", "-1"], "must be at least 0", id="C05-out-of-range"),
        pytest.param(["run", "--batch", "0"], "must be at least 1", id="C18-batch-0"),
        pytest.param(["run", "--bce.mode", "saturated"], "one of non-saturating, saturating", id="C09-no-choice"),
        pytest.param(["run", "--adam.lr", "1", "--adam.lr", "2"], "given twice", id="C14-option-twice"),
        (["run", "--resume", "nowhere"], "is no run"),
        (["run", "--data", "./nowhere"], "there is no file or folder"),
        pytest.param(["run", "--device", "cuda:99"], "is not available", id="C19-cuda-99"),
        (["run", "--device", "tpuu"], "no device is called"),
        pytest.param(["run", "--recipe", "nothing"], "no recipe is called", id="C12-no-recipe"),
        (["run", "--reg", "./nothing.py"], "there is no file"),
        (["run", "surprise"], "no argument 'surprise'"),
        (["run", "--loss", "wgan-gp", "--critic-norm", "batch"], "Gulrajani et al. 2017, section 4"),
        (["runn"], "did you mean run?"),
        (["plugins", "instance-nose"], "did you mean instance-noise?"),
        (["recipes", "defualt"], "did you mean default?"),
        (["sample", "nowhere"], "is no run"),
    ],
)  # fmt: skip
def test_a_users_mistake_exits_2_and_says_how_to_fix_it(gan_here, words, expected):
    done = gan_here(*words, check=2)
    assert done.stderr.startswith("error: ")
    assert expected in done.stderr
    assert done.stdout == ""


def test_debug_shows_the_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gancore", "--debug", "run", "--gen", "x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_misspelt_key_of_a_recipe_names_its_line(gan_here, tmp_path):
    (tmp_path / "it.toml").write_text('gen = "dcgan"\n\n[dcgan]\nwidht = 3\n')
    done = gan_here("run", "--recipe", "it.toml", check=2)
    assert "it.toml:4:1" in done.stderr
    assert "did you mean width?" in done.stderr


def test_dry_run_prints_every_choice_with_its_origin_and_writes_nothing(gan_here, tmp_path):
    page = gan_here("run", "--dry-run", "--loss", "wgan-gp", "--adam.lr", "0.0003", *SMALL).stdout
    assert "default of wgan-gp" in page
    assert "--adam.lr 0.0003" in page
    assert "weights: generator" in page
    assert list(tmp_path.iterdir()) == []


def test_dry_run_as_json_holds_the_recipe(gan_here):
    about = json.loads(gan_here("run", "--dry-run", "--json", *TINY).stdout)
    assert about["shape"] == [3, 16, 16]
    assert about["recipe"]["gen"] == "dcgan"
    assert about["weights"]["critic"] > 0


def test_help_shows_the_options_of_the_chosen_components(gan_here):
    assert "--colorpicker.colors 16" in gan_here("run", "--gen", "colorpicker", "--help").stdout


def test_a_run_prints_json_alone_on_stdout_and_all_else_on_stderr(gan, tmp_path):
    done = gan("run", "--steps", "2", "--out", "r", "--json", *TINY)
    result = json.loads(done.stdout)
    assert result["run"] == "r"
    assert result["last"]["step"] == 2
    assert "done: 2 steps" in done.stderr
    assert (tmp_path / "r" / "samples" / "final.png").exists()


def test_a_run_without_out_goes_into_the_first_free_folder(gan_here, tmp_path):
    for _ in range(2):
        gan_here("run", "--steps", "0", *TINY)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "dcgan-rpgan-zero-gp-1",
        "dcgan-rpgan-zero-gp-2",
    ]


def test_resume_lengthens_a_run(gan, tmp_path):
    gan("run", "--steps", "2", "--out", "r", *TINY)
    gan("run", "--resume", "r", "--steps", "4")
    assert (tmp_path / "r" / "checkpoints" / "latest").read_text() == "step-000000004\n"


def test_resume_with_another_batch_is_refused_C17(gan_here):
    gan_here("run", "--steps", "1", "--out", "r", *TINY)
    assert "batch cannot change" in gan_here("run", "--resume", "r", "--batch", "4", check=2).stderr


TRICK = """
from gancore import component, hookimpl
@component(source="a test")
class Trick:
    "Do nothing."
    @hookimpl
    def before_step(self): pass
"""


def test_a_run_with_a_component_file_is_resumed_when_the_file_is_named_again(gan_here, tmp_path):
    (tmp_path / "trick.py").write_text(TRICK)
    gan_here("run", "--reg", "./trick.py", "--steps", "1", "--out", "r", *TINY)
    gan_here("run", "--resume", "r", "--reg", "./trick.py", "--steps", "2")
    gan_here("sample", "r", "--plugin", "./trick.py", "-n", "2", "-o", "two.png")
    assert "trick.py" in gan_here("run", "--resume", "r", check=2).stderr


def test_resume_and_dry_run_do_not_go_together(gan_here):
    gan_here("run", "--steps", "1", "--out", "r", *TINY)
    assert (
        "--dry-run" in gan_here("run", "--resume", "r", "--steps", "9", "--dry-run", check=2).stderr
    )


def test_sample_draws_a_grid_a_folder_and_chosen_classes(gan_here, tmp_path):
    gan_here("run", "--steps", "1", "--out", "r", "--cond", "acgan", *TINY)
    gan_here("sample", "r", "-n", "9", "-o", "grid.png")
    gan_here("sample", "r", "-n", "3", "--labels", "type=fire,water body=blob", "-o", "some")
    assert (tmp_path / "grid.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == [
        "00000.png",
        "00001.png",
        "00002.png",
    ]
    assert "did you mean fire?" in gan_here("sample", "r", "--labels", "type=fir", check=2).stderr
    assert "did you mean body?" in gan_here("sample", "r", "--labels", "bodi=blob", check=2).stderr


def test_two_sets_of_samples_are_not_mixed_in_one_folder(gan_here, tmp_path):
    gan_here("run", "--steps", "1", "--out", "r", *TINY)
    gan_here("sample", "r", "-n", "3", "-o", "some")
    before = {path.name: path.read_bytes() for path in (tmp_path / "some").iterdir()}
    assert (
        "would be mixed"
        in gan_here("sample", "r", "-n", "2", "--seed", "1", "-o", "some", check=2).stderr
    )
    assert {path.name: path.read_bytes() for path in (tmp_path / "some").iterdir()} == before
    gan_here("sample", "r", "-n", "2", "--seed", "1", "-o", "some", "--overwrite")
    assert len(list((tmp_path / "some").iterdir())) == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "some.old-1").iterdir()} == before


def test_wrong_words_about_samples_and_pages_are_refused_without_torch(gan_here, tmp_path):
    gan_here("run", "--steps", "1", "--out", "r", "--cond", "acgan", *TINY)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("all of it")
    code = """
import sys
sys.modules["torch"] = None
from gancore.cli import main
for words, what in (
    (["r", "-o", "x.jpg"], "neither a .png nor a folder"),
    (["r", "-o", "taken"], "is not empty"),
    (["r", "-o", "taken/thesis.txt/x.png"], "cannot be made"),
    (["r", "-o", "x" * 300], "cannot be made"),
    (["r", "--labels", "fir"], "did you mean fire?"),
    (["r", "--labels", "bodi=blob"], "did you mean body?"),
    (["r", "--plugin", "./nothing.py"], "there is no file"),
    (["q"], "is no run"),
    (["q" * 300], "is no run"),
):
    try:
        main(["sample", *words])
    except SystemExit as ended:
        print(ended.code, what, file=sys.stderr)
        assert ended.code == 2, words
    else:
        raise AssertionError(words)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    for place in [place for place, line in enumerate(lines) if line.startswith("2 ")]:
        said = [line for line in lines[max(0, place - 3) : place] if not line.startswith("2 ")]
        assert lines[place].removeprefix("2 ") in "".join(said)


@every_row(
    "words", [["run", "--out"], ["run", "--resume"], ["checkpoint", "verify"], ["run", "--reg"]]
)
def test_a_name_that_is_too_long_is_refused_before_anything_is_done(gan_here, tmp_path, words):
    name = "x" * 300 + (".py" if words[-1] == "--reg" else "")
    done = gan_here(*words, name, check=2)
    assert "fix:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_shows_the_length_of_the_run_that_is_made_by_default(gan_here):
    page = " ".join(gan_here("run", "--help").stdout.split())
    assert "usually one generator update each. [4000]" in page


def test_a_dry_run_shows_whose_length_counts(gan_here):
    done = gan_here(
        "run", "--recipe", "journey-width-16", "--small", "--epochs", "2", "--dry-run", *TINY
    )
    lines = {
        line.split()[0]: " ".join(line.split()[1:])
        for line in done.stdout.splitlines()
        if line.startswith("run.")
    }
    assert lines["run.epochs"] == "2 --epochs 2"
    assert lines["run.steps"].endswith("not used: --epochs 2")


def test_samples_of_one_seed_are_equal_and_of_two_are_not(gan_here, tmp_path):
    gan_here("run", "--steps", "1", "--out", "r", *TINY)
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        gan_here("sample", "r", "-n", "4", "--seed", seed, "-o", name)
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a == b != c


def test_points_are_trained_and_sampled(gan_here, tmp_path):
    gan_here(
        "run",
        "--data",
        "mixture",
        "--gen",
        "mlp",
        "--critic",
        "mlp-critic",
        "--steps",
        "3",
        "--out",
        "r",
    )
    gan_here("sample", "r", "-n", "5", "-o", "points")
    assert len((tmp_path / "points" / "points.csv").read_text().splitlines()) == 5


def test_a_name_from_outside_cannot_steer_the_terminal(gan):
    done = gan("run", "--gen", "\x1b[31mred\x1b[0m", check=2)
    assert "\x1b" not in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path):
    command = ["sh", "-c", f"{sys.executable} -m gancore plugins | head -1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "Traceback" not in done.stderr


def test_a_folder_of_images_finds_its_reader(gan_here, tmp_path):
    from PIL import Image

    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (20, 16), (number * 40, 0, 99)).save(
                tmp_path / "pets" / kind / f"{number}.png"
            )
    about = json.loads(
        gan_here("run", "--data", "pets", "--size", "16", "--dry-run", "--json").stdout
    )
    assert about["recipe"]["data"] == "image-folder"
    assert about["samples"] == 12


def test_real_images_train_by_path(gan_here, real_data):
    gan_here(
        "run",
        "--data",
        real_data("pokemon64"),
        "--size",
        "32",
        "--steps",
        "2",
        "--batch",
        "8",
        "--out",
        "r",
    )


def test_mnist_files_train_by_path(gan_here, real_data):
    words = (
        "--cond",
        "acgan",
        "--loss",
        "bce",
        "--steps",
        "2",
        "--batch",
        "8",
        "--dcgan.width",
        "8",
        "--dcgan-critic.width",
        "8",
    )
    gan_here("run", "--data", real_data("mnist"), *words, "--out", "r")


def test_a_tilde_behind_an_equals_sign_means_the_home_folder(gan_here, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    pictures = tmp_path / "home" / "pictures"
    pictures.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(pictures / f"{number}.png")
    gan_here(
        "run",
        "--data=~/pictures",
        "--out=~/run",
        "--steps=1",
        "--batch=2",
        "--gen=mlp",
        "--critic=mlp-critic",
    )
    gan_here("sample", "~/run", "--out=~/drawn.png")
    gan_here("run", "--resume=~/run", "--steps=2")
    gan_here("run", "--data=image-folder", "--image-folder.path=~/pictures", "--dry-run")
    assert (tmp_path / "home" / "drawn.png").exists()
    assert not (tmp_path / "~").exists()

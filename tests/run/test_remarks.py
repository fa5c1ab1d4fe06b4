"""What a new run remarks on its data: classes that it ignores, sizes that it chose."""

import re

import pytest
from PIL import Image
from support.tables import every_row

TINY = ("--batch", "4", "--steps", "1", "--dcgan.width", "4", "--dcgan-critic.width", "4")
IGNORED = "note: the data have classes, class (cat, dog), which this run ignores; to use them: "


@pytest.fixture
def images(tmp_path):
    """Return a folder of two classes of images of 120×200 pixels, larger than are trained."""
    for number in range(4):
        folder = tmp_path / "images" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 120), (50 * number, 9, 9)).save(folder / f"{number}.png")
    return tmp_path / "images"


@every_row(
    ("words", "noted"),
    [
        ([], True),
        (["--track", "class-sheet"], True),  # draws, and trains nothing
        (["--cond", "projection"], False),
        (["--gen-norm", "conditional-batch"], False),
        (["--image-folder.labels", "none"], False),
    ],
)
def test_a_run_that_ignores_the_classes_of_own_images_names_flags_that_use_them(
    gan_here, images, words, noted
):
    said = gan_here(
        "run", "--data", images, "--size", "16", *TINY, "--overwrite", "--out", "r", *words
    )
    assert (IGNORED in said.stderr) == noted


def test_the_flags_that_are_named_train_with_the_classes(gan_here, images):
    words = ("run", "--data", images, "--size", "16", *TINY)
    said = gan_here(*words, "--out", "r").stderr
    flags = re.search(re.escape(IGNORED) + "(.*)", said)[1].split()
    assert IGNORED not in gan_here(*words, *flags, "--out", "with").stderr


def test_data_by_name_are_not_remarked_on(gan_here):
    assert "which this run ignores" not in gan_here("run", "--sprites.count", 8, *TINY).stderr


def test_chosen_size_is_in_the_recipe_and_is_used_again(gan_here, images, tmp_path, caplog):
    said = gan_here("run", "--data", images, *TINY, "--out", "r").stderr
    assert "4 samples of 3x48x84 from image-folder, 1 batch in a pass over the data" in said
    chosen = "images are 120×200; training at 48×84 pixels by crop"
    assert f"{chosen} (--size HxW for another)" in caplog.messages
    recipe = (tmp_path / "r" / "recipe.toml").read_text()
    assert 'size = "48x84"\n' in recipe
    caplog.clear()
    gan_here("run", "--resume", "r", "--steps", "2")
    assert chosen in caplog.messages
    gan_here("run", "--recipe", "r/recipe.toml", "--steps", "1", "--out", "rerun")
    assert (tmp_path / "rerun" / "recipe.toml").read_text() == recipe


def test_a_size_that_was_given_stays_as_it_was_written(gan_here, images, tmp_path):
    gan_here("run", "--data", images, "--size", "16", *TINY, "--out", "r")
    assert 'size = "16"\n' in (tmp_path / "r" / "recipe.toml").read_text()


def test_a_dry_run_says_who_chose_the_size(gan_here, images):
    lines = gan_here("run", "--data", images, *TINY, "--dry-run").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("run.size")]
    assert line.split(maxsplit=2)[1:] == ["48x84", "chosen by image-folder"]

"""What recipes choose for some data alone, once it is known which data they are."""

import json
import tomllib

import pytest
import tomli_w
import torch
from PIL import Image
from support.tables import every_row

from gancore import Run, StoredData, UsageError, compose, open_data
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.for_data import fit_to_data
from gancore.recipe.toml import read_recipe
from gancore.train.data import fitting_tags

POINTS = """
gen = "mlp"
data = "mixture"
loss = "bce"
[when."data.points"]
loss = "hinge"
mlp = {{ hidden = [7] }}
{more}
"""


@pytest.fixture
def of_recipe(tmp_path):
    """Return a composition of a recipe that chooses something for points, and more if given."""

    def make(more="", **slots):
        path = tmp_path / "it.toml"
        path.write_text(POINTS.format(more=more))
        return compose(recipe=path, **slots)

    return make


def hidden(composition):
    """Return the option that the recipe changes for points."""
    return composition.recipe()["mlp"]["hidden"]


# ── composing again ───────────────────────────────────────────────────────────────────────────────


def test_what_is_chosen_for_some_data_waits_for_their_tag(of_recipe):
    plain = of_recipe()
    assert plain.slots["loss"] == ("bce",) and hidden(plain) != [7]
    assert fit_to_data(plain, {"data.images"}) is plain
    fitted = fit_to_data(plain, {"data.points", "data.labels"})
    assert fitted.slots["loss"] == ("hinge",) and hidden(fitted) == [7]
    assert "when" not in fitted.recipe()


def test_a_note_says_what_differs(of_recipe):
    fitted = fit_to_data(of_recipe(), {"data.points"})
    assert (
        fitted.notes[-1]
        == "for points the recipe chooses loss hinge in place of bce; your own flags win"
    )


def test_choices_of_the_user_lie_above(of_recipe):
    fitted = fit_to_data(of_recipe(loss="lsgan"), {"data.points"})
    assert fitted.slots["loss"] == ("lsgan",) and hidden(fitted) == [7]


def test_where_the_user_chose_all_of_it_the_composition_stays(of_recipe):
    plain = of_recipe('[when."data.labels"]\nloss = "hinge"', loss="hinge")
    assert fit_to_data(plain, {"data.labels"}) is plain


def test_the_component_that_opened_the_data_is_kept(of_recipe):
    plain = of_recipe()
    fitted = fit_to_data(plain, {"data.points"})

    def opened(composition: Composition):
        return next(each.component for each in composition.chosen if each.kind == "data")

    assert opened(fitted) is opened(plain)


def test_what_does_not_go_with_the_users_choices_is_left_out_with_the_reason(of_recipe):
    plain = of_recipe('[when."data.labels"]\nreg = ["r1"]', critic_norm="batch")
    fitted = fit_to_data(plain, {"data.labels"})
    assert fitted.recipe() == plain.recipe()
    assert fitted.notes[-1].startswith("what the recipe chooses for data with labels is left out: ")
    assert "'r1' and 'batch' cannot be composed" in fitted.notes[-1]


def test_what_is_chosen_for_some_data_can_be_left_out_before_they_are_open(of_recipe):
    more = '[when."data.labels"]\nreg = ["dropout"]'
    plain = of_recipe(more, without=["dropout"])
    assert "dropout" not in fit_to_data(plain, {"data.labels"}).slots.get("reg", ())
    with pytest.raises(UsageError, match="not chosen"):
        of_recipe(without=["dropout"])


def test_a_resolved_recipe_is_that_of_its_data_for_good(of_recipe, tmp_path):
    fitted = fit_to_data(of_recipe(), {"data.points"})
    path = tmp_path / "resolved.toml"
    path.write_text(tomli_w.dumps(fitted.recipe()))
    again = resolve([read_recipe(path).layer], exact=True)
    assert again.recipe() == fitted.recipe()
    assert fit_to_data(again, {"data.points"}) is again


@every_row(
    ("text", "what"),
    [
        ('[when."data.point"]\nloss = "hinge"', "no data has the tag 'data.point'"),
        ('[when.points]\nloss = "hinge"', "no data has the tag 'points'"),
        ("[when]\n'data.points' = 3", "must be a table"),
        ("when = 3", "when is 3, but must be a table"),
        ('[when."data.points"]\nlos = "hinge"', "no key 'los'"),
    ],
)
def test_a_table_that_could_never_hold_is_refused_with_its_line(tmp_path, text, what):
    path = tmp_path / "it.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=what) as raised:
        read_recipe(path)
    assert raised.value.where and raised.value.fix


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────

TINY = ("--batch", 2, "--dcgan.width", 4, "--dcgan-critic.width", 4, "--sprites.count", 20)


def test_a_run_on_drawn_pixels_is_composed_for_them_and_resumes(gan_here, tmp_path):
    said = gan_here("run", "--size", 16, *TINY, "--steps", 2, "--out", "r").stderr
    assert "note: for images in flat colours the recipe chooses " in said
    resolved = tomllib.loads((tmp_path / "r" / "recipe.toml").read_text())
    assert resolved["loss"] == "rpgan-zero-gp" and resolved["critic-norm"] == "none"
    assert resolved["reg"] == ["ema", "r1", "r2"]
    said = gan_here("run", "--resume", "r", "--steps", 3).stderr
    assert "for images in flat colours" not in said
    assert Run.load(tmp_path / "r").composition.slots["loss"] == ("rpgan-zero-gp",)


def test_a_folder_of_drawn_pixels_is_opened_once_and_reported_on(gan_here, tmp_path):
    for number in range(6):
        drawn = Image.new("RGB", (9, 9), (40 * number, 90, 9))
        drawn.putpixel((number, 3), (0, 0, 0))
        (tmp_path / "own").mkdir(exist_ok=True)
        drawn.save(tmp_path / "own" / f"{number}.png")
    said = gan_here("run", "--data", "./own", *TINY[:-2], "--steps", 1, "--out", "r").stderr
    assert said.count("note: for images in flat colours the recipe chooses ") == 1
    resolved = tomllib.loads((tmp_path / "r" / "recipe.toml").read_text())
    assert resolved["loss"] == "rpgan-zero-gp" and resolved["run"]["size"] == "9x9"
    assert json.loads((tmp_path / "r" / "data-report.json").read_text())["used"] == 6


@every_row(
    "words",
    [("--loss", "bce"), ("--recipe", "base"), ("--loss", "wgan-gp", "--gen", "colorpicker")],
)
def test_a_run_whose_loss_is_chosen_stays_as_it_is(gan_here, words):
    few = ("--size", 16, "--batch", 2, "--sprites.count", 20)
    said = gan_here("run", "--dry-run", *few, *words)
    assert "flat colours" not in said.stderr + said.stdout and "rpgan-zero-gp" not in said.stdout


def test_a_strangers_recipe_fetches_nothing_for_some_data_alone(gan_here, tmp_path):
    (tmp_path / "it.toml").write_text(
        'extends = "default"\ndata = "sprites"\n[when."data.images"]\ncifar10 = { download = true }\n'
    )
    said = gan_here("run", "--recipe", "./it.toml", *TINY, check=2).stderr
    assert "fetch its files from the network" in said


# ── flat colours ──────────────────────────────────────────────────────────────────────────────────


def has_flat_colours(data):
    return "data.flat-colours" in fitting_tags(data)


def images(colours, channels=3, count=5):
    """Return images of 16×16 pixels that each have exactly so many colours, in stripes."""
    pixels = torch.arange(256) * colours // 256
    levels = torch.stack([(pixels * (7 + channel)) % 256 for channel in range(channels)])
    levels[0] = pixels  # a channel by itself tells all of them apart
    samples = levels.to(torch.uint8).view(1, channels, 16, 16).expand(count, -1, -1, -1)
    return StoredData(samples.contiguous())


def stripes(different):
    """Return images of two colours in which so many of the 16 neighbours of a row are different."""
    row = torch.tensor(
        [column % 2 for column in range(different)] + [different % 2] * (17 - different)
    )
    return StoredData((255 * row).to(torch.uint8).expand(4, 3, 9, 17).contiguous())


@every_row(
    ("data", "flat"),
    [
        (images(1), True),
        (images(32), True),
        (images(33), False),
        (images(256), False),
        (images(32, channels=4), True),
        (images(2, channels=1), False),
        (stripes(8), True),
        (stripes(9), False),
    ],
)
def test_flat_colours_are_32_at_most_and_those_of_half_of_the_neighbours(data, flat):
    assert has_flat_colours(data) == flat


def test_half_of_the_images_decide():
    few = images(3, count=6).samples
    many = images(200, count=5).samples
    assert has_flat_colours(StoredData(torch.cat([many, few])))


def test_points_and_no_samples_have_no_colours():
    assert not has_flat_colours(StoredData(torch.zeros(4, 2)))
    assert not has_flat_colours(StoredData(torch.zeros(0, 3, 8, 8)))


@every_row("size", ["8", "16", "24", "32", "64"])
def test_creatures_are_in_flat_colours_at_any_size(size):
    data = compose(data="sprites", options={"sprites.count": 80}, settings={"size": size})
    assert has_flat_colours(open_data(data))

"""Recipes are read strictly, and every complaint names the line."""

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from support.tables import every_row

from gancore import UsageError, compose
from gancore.recipe.compose import recipe_layers
from gancore.recipe.toml import layer_of, read_recipe


def read(tmp_path, text):
    path = tmp_path / "it.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_recipe(path).layer


def test_slots_options_and_settings_are_sorted(tmp_path):
    layer = read(tmp_path, 'gen = "dcgan"\nreg = ["a", "b"]\n[run]\nsteps = 3\n[a]\nx = 1\n')
    assert layer.slots["gen"].value == "dcgan"
    assert layer.slots["reg"].value == ["a", "b"]
    assert layer.options["a"]["x"].value == 1


def test_a_value_remembers_its_line(tmp_path):
    layer = read(tmp_path, 'gen = "dcgan"\n\n[a]\n\nx = 1\n')
    assert layer.options["a"]["x"].where.endswith("it.toml:5:1")
    assert layer.slots["gen"].where.endswith("it.toml:1:1")


def test_a_shorthand_fills_the_slots_of_both_players():
    layer = layer_of("x", {"optim": "adam"})
    assert {slot: given.value for slot, given in layer.slots.items()} == {
        "gen-optim": "adam",
        "critic-optim": "adam",
    }


@every_row(
    ("text", "what"),
    [
        pytest.param('gne = "dcgan"', "no key 'gne'", id="C01-unknown-key"),
        ("gen = 3", "must be one name"),
        ('gen = ["a"]', "must be one name"),
        ("reg = [1]", "a name or a list"),
        pytest.param("gen = ", "no TOML", id="C10-no-value"),
        pytest.param("format = 2", "format 2", id="C22-newer-format"),
        pytest.param("gen = 2026-01-01", "one name", id="C25-a-date"),
        pytest.param('gen = "a"\ngen = "b"', "no TOML", id="C11-key-twice"),
        pytest.param(b"\xff\xfe", "can't decode byte 0xff", id="C13-utf-16"),
        pytest.param("a = " + "[" * 5000, "no TOML", id="C25-nested"),
        pytest.param(
            "a = 0x" + "f" * 5000, "no TOML", id="C07-a-number-that-no-message-could-show"
        ),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path, text, what):
    with pytest.raises(UsageError, match=what):
        read(tmp_path, text)


def test_a_key_is_mended_by_its_neighbour_C01(tmp_path):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, 'critc-norm = "layer"')
    assert caught.value.fix == "did you mean critic-norm?"


def test_missing_and_too_large_files_are_refused_C12(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read(tmp_path, "#" * (1 << 21))


def test_an_empty_recipe_C12_and_a_byte_order_mark_are_fine_C13(tmp_path):
    assert read(tmp_path, "").slots == {}
    assert read(tmp_path, b"\xef\xbb\xbfgen = 'x'").slots["gen"].value == "x"


names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
values = (
    st.integers(-(2**62), 2**62)
    | st.booleans()
    | st.text(max_size=9)
    | st.lists(st.integers(0, 9), max_size=3)
)


@given(st.dictionaries(names, st.dictionaries(names, values, max_size=3), max_size=3))
def test_any_table_of_options_is_kept_as_it_was_written(tables):
    import tomllib

    layer = layer_of("x", tomllib.loads(tomli_w.dumps(tables)))
    kept = {
        table: {key: given.value for key, given in options.items()}
        for table, options in layer.options.items()
    }
    assert kept == tables


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_clean_refusal(tmp_path_factory, text):
    try:
        read(tmp_path_factory.mktemp("r"), text.encode("utf-8", "surrogatepass"))
    except UsageError as error:
        assert error.what


# ── recipes upon recipes ──────────────────────────────────────────────────────────────────────────


def write(path, text):
    path.write_text(text)
    return str(path)


def test_a_recipe_lies_above_what_it_extends_and_variants_above_both(tmp_path):
    parent = write(
        tmp_path / "p.toml", 'loss = "wgan"\n[run]\nsteps = 1\n[small.run]\nsteps = 2\nbatch = 4\n'
    )
    child = write(
        tmp_path / "c.toml", f'extends = "{parent}"\n[run]\nbatch = 8\n[small.run]\nsteps = 3\n'
    )
    steps = [
        layer.options["run"]["steps"].value
        for layer in recipe_layers(child, ["small"])
        if "steps" in layer.options["run"]
    ]
    assert steps == [1, 2, 3]
    assert compose(recipe=child, variants=["small"]).settings.steps == 3
    assert compose(recipe=child, variants=["small"]).settings.batch == 4
    assert compose(recipe=child).settings.batch == 8


def test_recipes_that_extend_each_other_are_refused(tmp_path):
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    write(first, f'extends = "{second}"\n')
    write(second, f'extends = "{first}"\n')
    with pytest.raises(UsageError, match="extends itself"):
        recipe_layers(str(first))


def test_a_variant_that_no_recipe_of_the_chain_has_is_refused(tmp_path):
    path = write(tmp_path / "a.toml", 'loss = "bce"\n')
    with pytest.raises(UsageError, match=r"has no \[compat\] table"):
        recipe_layers(path, ["compat"])


@every_row("text", ["extends = 3", "small = 3", 'about = "x"', "sweep = []"])
def test_tables_of_a_recipe_have_their_form(tmp_path, text):
    with pytest.raises(UsageError, match="must be a"):
        read(tmp_path, text)


def test_what_is_said_about_a_recipe_decides_nothing(tmp_path):
    plain, told = write(tmp_path / "a.toml", 'loss = "bce"\n'), tmp_path / "b.toml"
    write(told, '# A title\nloss = "bce"\n[about]\nsource = "somebody"\n')
    assert compose(recipe=plain).recipe() == compose(recipe=str(told)).recipe()
    assert read_recipe(told).summary == "A title"


def test_a_replaced_component_may_leave_its_table_behind_in_recipes_but_not_on_the_command_line(
    tmp_path,
):
    text = 'gen = "dcgan"\n[dcgan]\nwidth = 8\n[small]\ngen = "mlp"\ncritic = "mlp-critic"\ndata = "mixture"\n'
    path = write(tmp_path / "a.toml", text)
    assert compose(recipe=path, variants=["small"]).slots["gen"] == ("mlp",)
    with pytest.raises(UsageError, match="options are given for 'dcgan'"):
        compose(recipe=path, variants=["small"], options={"dcgan.width": 4})

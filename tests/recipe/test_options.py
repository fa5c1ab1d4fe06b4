"""Values are read strictly from files, and by type from the command line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import every_row

from gancore import UsageError, component, hookimpl, option
from gancore.plugins.component import options_of
from gancore.recipe.compose import plain
from gancore.recipe.options import Given, Text, convert, read_options, show


@component(source="a test")
class Everything:
    """One option of each type."""

    number: float = option(0.5, ge=0, le=1, help="a share")
    count: int = option(3, ge=1, help="how many")
    flag: bool = option(False, help="whether")
    word: str = option("a", choices=("a", "b"), help="which")
    perhaps: float | None = option(None, help="a number or none")
    sizes: tuple[int, ...] = option((1, 2), ge=1, help="some sizes")

    @hookimpl
    def schedule(self):
        return []


def read(**values):
    return read_options(
        "it", options_of(Everything), {name: Given(value, "here") for name, value in values.items()}
    )


@every_row(
    ("name", "text", "value"),
    [
        ("number", "0.25", 0.25),
        ("number", "1", 1.0),
        ("count", "7", 7),
        ("flag", "true", True),
        ("flag", "no", False),
        ("word", "b", "b"),
        ("perhaps", "none", None),
        ("perhaps", "2", 2.0),
        ("sizes", "4,8", (4, 8)),
    ],
)
def test_text_is_read_as_the_type_of_the_option(name, text, value):
    assert read(**{name: Text(text)}) == {name: value}


@every_row(
    ("name", "value"),
    [
        ("number", "0.2"),
        ("number", True),
        pytest.param("number", math.nan, id="C06-nan"),
        pytest.param("number", math.inf, id="C06-inf"),
        pytest.param("number", -0.0, id="C06-negative-zero"),
        pytest.param("number", Text("-1e-400"), id="C06-negative-zero-by-underflow"),
        pytest.param("number", Text("1e400"), id="C06-1e400"),
        ("count", 1.5),
        ("count", True),
        pytest.param("count", 2**63, id="C07-64-bits"),
        ("flag", 1),
        ("flag", "true"),
        ("word", 3),
        ("sizes", 4),
        ("sizes", [1, "2"]),
        ("count", Text("1.5")),
        ("number", Text("nan")),
        ("flag", Text("perhaps")),
        ("sizes", Text("1,x")),
    ],
)
def test_a_wrong_type_is_refused_with_what_was_wanted_C04(name, value):
    with pytest.raises(UsageError) as caught:
        read(**{name: value})
    assert f"it.{name} is" in caught.value.what
    assert "must be" in caught.value.what
    assert caught.value.where == "here"


@every_row(("name", "value"), [("number", 1.5), ("count", 0), ("word", "c"), ("sizes", [1, 0])])
def test_a_value_out_of_range_is_refused_with_the_range_C05(name, value):
    with pytest.raises(UsageError, match="but must be"):
        read(**{name: value})


def test_an_unknown_option_is_refused_with_the_nearest_C01():
    with pytest.raises(UsageError) as caught:
        read_options("it", options_of(Everything), {"cuont": Given(1, "here")})
    assert caught.value.fix == "did you mean count?"


def test_an_int_is_fine_where_a_number_is_wanted_C04():
    assert read(number=1) == {"number": 1.0}


unsigned = st.floats(allow_nan=False, allow_infinity=False).map(
    lambda value: value + 0.0
)  # -0.0 is refused
options = st.fixed_dictionaries(
    {
        "number": st.floats(0, 1).map(abs),
        "count": st.integers(1, 2**62),
        "flag": st.booleans(),
        "word": st.sampled_from("ab"),
        "perhaps": st.none() | unsigned,
        "sizes": st.lists(st.integers(1, 99), min_size=1).map(tuple),
    }
)


@given(options)
def test_what_is_written_as_toml_is_read_back_the_same(values):
    assert read(**plain(values)) == values


@given(st.text())
def test_any_text_is_read_or_refused_with_a_reason(text):
    for kind in (int, float, bool, float | None, tuple[int, ...]):
        try:
            convert(Text(text), kind)
        except ValueError as error:
            assert str(error)


def test_values_are_shown_as_a_person_would_type_them():
    assert [show(value) for value in (0.1, 1e-05, True, None, (1, 2), "x")] == [
        "0.1",
        "1e-05",
        "true",
        "none",
        "1,2",
        "x",
    ]

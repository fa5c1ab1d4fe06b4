"""Classes asked for on a command line: whatever sets and classes are called, each can be named."""

import pytest
from support.tables import every_row

from gancore import LabelSet, UsageError
from gancore.cli.labels import chosen_classes

SETS = (
    LabelSet(
        "type",
        ("fire", "water", "type", "body", "type=fire", "a, b", "a", "b", 'say "no"', "x body=bird"),
    ),
    LabelSet("body", ("bird", "fish", "golden retriever")),
    LabelSet("hair colour", ("red", "=", ",")),
)


@every_row(
    ("text", "wanted"),
    [
        ("fire", {0: ["fire"]}),
        ("fire,water", {0: ["fire", "water"]}),
        ("type=fire,water body=bird", {0: ["fire", "water"], 1: ["bird"]}),
        ("body=bird", {1: ["bird"]}),
        ("bird, fish", {1: ["bird", "fish"]}),  # only the second set has them
        ("golden retriever", {1: ["golden retriever"]}),
        ("body=golden retriever,fish type=a", {1: ["golden retriever", "fish"], 0: ["a"]}),
        ("hair colour=red type=water", {2: ["red"], 0: ["water"]}),
        ("type", {0: ["type"]}),  # a class with the name of a set
        ("type=type,body", {0: ["type", "body"]}),
        ("type=type=fire", {0: ["type=fire"]}),
        ('"type=fire"', {0: ["type=fire"]}),
        ("a, b", {0: ["a, b"]}),  # the longest that fits
        ('"a","b"', {0: ["a", "b"]}),
        ("type=a, b,b,a", {0: ["a, b", "b", "a"]}),
        ("hair colour==,,", {2: ["=", ","]}),
        ("hair colour=,", {2: [","]}),
        ("hair colour==,\",\",','", {2: ["=", ",", ","]}),
        ('type=say "no"', {0: ['say "no"']}),
        ('type="x body=bird" body=fish', {0: ["x body=bird"], 1: ["fish"]}),
        ("type=3,0", {0: ["body", "fire"]}),
        (" fire ", {0: ["fire"]}),
    ],
)
def test_every_class_can_be_named(text, wanted):
    found = chosen_classes(text, SETS)
    assert {
        number: [SETS[number].classes[each] for each in found[number]] for number in found
    } == wanted


@every_row(
    ("text", "what"),
    [
        ("type=fir", "did you mean fire?"),
        ("bodi=bird", "no label set is called 'bodi'"),
        ("type=fire bodi=bird", "no label set is called 'bodi'"),
        ("type=10", "type has no class '10'"),
        ("type=fire,", "type has no class ''"),
        ("", "type has no class ''"),
        ("type=fire type=water", "are given twice"),
        ("type=²", "has no class"),
    ],
)
def test_what_no_set_has_is_refused(text, what):
    with pytest.raises(UsageError) as error:
        chosen_classes(text, SETS)
    assert what in str(error.value)


def test_without_label_sets_no_class_can_be_asked_for():
    with pytest.raises(UsageError, match="the run has no labels"):
        chosen_classes("fire", ())

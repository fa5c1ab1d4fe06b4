"""The benchmark of conditions: its arms compose, its table is that of what is stored."""

import pytest

from benchmarks import conditions
from benchmarks.tournament import open_named
from gancore import Training, compose
from gancore.recipe.for_data import fit_to_data

STORED = conditions.read()


def test_an_arm_differs_from_the_default_by_its_conditions_alone():
    kept = ("gen", "loss", "reg", "ema", "n-critic", "critic-norm")
    for name, tags in (("letters", []), ("sprites", ["data.flat-colours"])):
        data = open_named(name, "")
        default = fit_to_data(compose(data="sprites"), tags).recipe()
        assert default["loss"] == conditions.LOSSES[name]
        for arm, names in conditions.ARMS.items():
            recipe = conditions.composed(arm, data, seed=2).recipe()
            assert recipe.pop("cond", []) == names
            assert {each: recipe[each] for each in kept} == {each: default[each] for each in kept}


@pytest.mark.slow
def test_a_run_is_scored_by_how_many_samples_show_their_label():
    data = open_named("letters", "")
    scores = conditions.LabelledScores(data)
    training = Training.of(conditions.composed("projection", data, seed=0), data)
    assert scores.of(training)["recognised"] < 0.3  # of noise, by chance a 26th
    assert scores.classifier.accuracy > 0.9


def test_the_page_shows_what_is_stored():
    page = conditions.PAGE.read_text()
    assert conditions.fill(page, STORED) == page, "python -m benchmarks.conditions table"


def test_a_stored_run_says_with_what_it_was_made():
    keys = [conditions.key_of(row) for row in STORED]
    assert len(set(keys)) == len(keys)
    told = {"cond", "stages", "reals", "date", "commit", "torch", "processor", "threads"}
    assert not [conditions.key_of(row) for row in STORED if told - set(row)]

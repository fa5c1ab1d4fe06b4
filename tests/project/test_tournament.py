"""The tournament for the default: its winner is the default, its tables are those of the runs."""

import torch
from support.tables import every_row

from benchmarks import tournament, tournament_tables
from benchmarks.tournament_arms import (
    ARMS,
    CHOSEN_BY,
    FINALISTS,
    FITTED,
    FLAT,
    FULL,
    JUDGES,
)
from gancore import StoredData, compose
from gancore.recipe.for_data import fit_to_data
from gancore.train.data import fitting_tags

STORED = tournament.read()
DATA = StoredData(torch.zeros(64, 3, 16, 16))


@every_row("arm", list(ARMS))
def test_every_arm_composes(arm):
    recipe = tournament.composed(arm, DATA, seed=3).recipe()
    assert (recipe["run"]["seed"], recipe["run"]["size"]) == (3, "16x16")
    flags = [word for word in ARMS[arm].split() if word.startswith("--") and word != "--reg"]
    assert len(set(flags)) == len(flags), "gan run refuses an option that is given twice"


@every_row(("arm", "tags"), [(FINALISTS[1], []), (FITTED, ["data.flat-colours"])])
def test_the_winner_is_what_a_run_composes_when_nothing_is_said(arm, tags):
    won = tournament.composed(arm, DATA, seed=0).recipe()
    default = fit_to_data(compose(), tags).recipe()
    assert won["run"]["batch"] == default["run"]["batch"]
    if tags:
        # a preset is its loss under another name
        assert (won.pop("loss"), default.pop("loss")) == ("relativistic", "rpgan-zero-gp")
        assert won.pop("relativistic") == default.pop("rpgan-zero-gp")
    for each in (won, default):
        for name in ("run", "track", "doctor", "without"):
            each.pop(name, None)
    assert won == default


def test_the_data_sets_in_flat_colours_are_those_that_a_run_finds_to_be():
    for name in CHOSEN_BY + JUDGES:
        data = tournament.open_named(name, "images")
        if data is not None:
            assert ("data.flat-colours" in fitting_tags(data)) == (name in FLAT), name


def test_the_first_finalist_is_what_recipes_lie_on():
    assert ARMS[FINALISTS[0]] == ""
    old = compose(recipe="base").recipe()
    assert (old["dcgan"]["width"], old["run"]["batch"], old["run"]["steps"]) == (32, 64, 800)
    assert "reg" not in old


def test_the_page_shows_what_is_stored():
    page = tournament_tables.PAGE.read_text()
    assert tournament_tables.fill(page, STORED) == page, "python -m benchmarks.tournament table"


def test_a_stored_run_says_with_what_it_was_made():
    keys = [tournament.key_of(row) for row in STORED]
    assert len(set(keys)) == len(keys)
    told = {"words", "stages", "batches", "date", "commit", "torch", "processor", "threads"}
    assert not [tournament.key_of(row) for row in STORED if told - set(row)]


def test_all_finalists_are_shown_by_the_same_seeds():
    """A run that is missing on one side alone would make the means of the table unequal."""
    rows = [
        row
        for arm, seeds in zip(FINALISTS, ([0, 1, 2], [0, 2, 3]), strict=True)
        for row in [{"data": "mnist", "arm": arm, "seed": seed, "seconds": FULL} for seed in seeds]
    ]
    rows.append({"data": "mnist", "arm": FINALISTS[1], "seed": 1, "seconds": FULL // 2})
    shared = tournament_tables.shared_rows(rows, "mnist")
    for arm in FINALISTS:
        full = [row for row in shared if row["arm"] == arm and row["seconds"] == FULL]
        assert [row["seed"] for row in full] == [0, 2]


def test_every_data_set_of_the_page_has_runs_of_all_finalists():
    for data in CHOSEN_BY + JUDGES:
        shown = tournament_tables.shared_rows(STORED, data)
        assert {row["arm"] for row in shown} >= set(tournament_tables.finalists_of(data)), data


def test_training_stops_at_the_time_that_is_given(monkeypatch):
    """The clock of the processor is counted while training alone."""
    clock = iter(range(1000))
    monkeypatch.setattr(tournament.time, "process_time", lambda: next(clock))
    scored = []

    class Scores:
        def of(self, training):
            scored.append(training.step)
            return {"ratio": 1.0}

    composition = tournament.composed("16: nearest", DATA, seed=0)
    found, samples = tournament.train(composition, DATA, 8, Scores())
    assert [stage["step"] for stage in found["stages"].values()] == scored
    assert scored == sorted(scored)
    assert 0 < scored[-1] <= 8
    assert samples.shape == (48, 3, 16, 16)

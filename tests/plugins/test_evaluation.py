"""`gan eval` on real runs and folders, and the table of features on its page."""

import json

import platformdirs
import pytest

from benchmarks import features as spaces
from gan_plugin_evaluation.record import read_records
from gan_plugin_evaluation.rows import COPIES, GAUSSIAN, NOISE
from gan_plugin_evaluation.yardstick import REALS
from gancore import Run, compose


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep floors and classifiers of tests out of the user's cache folder."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "short"
    options = {"dcgan.width": 4, "dcgan-critic.width": 4, "sprites.count": 96}
    settings = {"size": "16", "steps": 2, "batch": 8}
    choices = {"data": "sprites", "reg": ["hold-out"], "without": ["ema"]}
    composition = compose(**choices, options=options, settings=settings)
    Run.start(composition, folder).fit(progress=False)
    return folder


def test_the_command_prints_a_table_sentences_and_json(gan_here, run, tmp_path):
    words = ("eval", run, "-n", 9, "--features", "pixels8")
    told = gan_here(*words, "-o", tmp_path / "records.json").stdout
    for name in (
        REALS,
        NOISE,
        GAUSSIAN,
        COPIES,
        "short at step 2 (raw weights)",
        "split: held-out",
    ):
        assert name in told
    assert told.count("precision") and told.count("recall") and told.count("coverage")
    before = len(read_records(run / "evaluation.json"))
    answer = json.loads(gan_here(*words, "--json").stdout)
    assert answer[0]["figures"].keys() >= {"fd", "kd", "precision", "recall", "coverage", "copied"}
    assert len(read_records(run / "evaluation.json")) == before + len(answer[0]["figures"])


def test_the_command_scores_a_folder_of_images_of_a_run(gan_here, run, tmp_path):
    gan_here("sample", run, "-n", 30, "-o", tmp_path / "drawn")
    gan_here("sample", run, "-n", 40, "--seed", 1, "-o", tmp_path / "others")
    told = gan_here(
        "eval",
        tmp_path / "drawn",
        "--against",
        tmp_path / "others",
        "-n",
        20,
        "--features",
        "palette",
    )
    assert "20 samples against as many reals (split: train)" in told.stdout
    files = sorted((tmp_path / "drawn").glob("*.png"))
    same = gan_here(
        "eval", *files, "--against", tmp_path / "others", "-n", 20, "--features", "palette"
    )
    assert "30 files" in same.stdout


def test_the_command_refuses_before_it_computes(gan_here, run, tmp_path):
    assert "Inception-v3" in gan_here("eval", run, "--metrics", "fid", check=2).stderr
    (tmp_path / "kept.json").write_text("mine")
    done = gan_here("eval", run, "-o", tmp_path / "kept.json", check=1)
    assert "holds no records" in done.stderr
    assert (tmp_path / "kept.json").read_text() == "mine"
    assert "--against" in gan_here("eval", tmp_path, check=2).stderr


def test_the_table_of_features_is_what_was_stored():
    page = spaces.PAGE.read_text()
    assert f"{spaces.BEGIN}{spaces.tables(spaces.read(spaces.STORED))}{spaces.END}" in page


def test_every_cell_is_measured_once_and_tables_count_ordered_steps(tmp_path):
    floors = [[0.0] * 7, [1.0] * 7]
    better = [[5.0] * 3 + [0.0] * 4, [9.0] * 3 + [0.0] * 4]
    cell = {"floors": {"500": floors}, "series": {"blur": {"500": better}}}
    stored = {"torch": "", "cells": {"mnist randconv:0": cell, "mnist randconv:1": cell}}
    path = tmp_path / "stored.json"
    spaces.write(path, stored)
    assert spaces.read(path) == stored
    found = spaces.collected(stored, "500")
    assert ("randconv", 1, "mnist", "blur", "fd", 1.0, 1.0) in found
    assert ("randconv", 0, "mnist", "blur", "recall", 0.0, 0.0) in found
    assert "| randconv | 1.00 ±0.00 |" in spaces.tables(stored)

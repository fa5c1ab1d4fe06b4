"""The study of a hundred images: arms differ in one component, samples meet images that none saw."""

import pytest
import torch

from benchmarks import few_images
from benchmarks.features import REAL_DATA
from gancore import StoredData, Training, compose

STORED = few_images.read()
there = pytest.mark.skipif(
    not (REAL_DATA / "pokemon64").exists(), reason="the drawings of shared/data are not here"
)


def test_an_arm_differs_from_the_default_by_one_component():
    data = StoredData(torch.zeros(8, 3, 16, 16))
    default = compose(data="sprites", settings={"size": "16x16"}).recipe()
    for arm in few_images.ARMS:
        recipe = few_images.composed(arm, data, seed=3).recipe()
        added = [name for name in recipe["reg"] if name not in default["reg"]]
        assert added == ([] if arm == "none" else [arm])
        for name in ("gen", "loss", "adam", "ema", "n-critic", "dcgan", "dcgan-critic"):
            assert recipe[name] == default[name]


@there
def test_samples_are_scored_among_drawings_that_were_not_trained_on():
    pools = few_images.pools()
    assert len(pools.train) == few_images.IMAGES
    assert not set(pools.train.indices.tolist()) & set(pools.held.indices.tolist())
    scores = few_images.FewScores(pools)
    assert scores.of_reals()["fd-ratio"] == pytest.approx(1, abs=0.2)
    training = Training.of(few_images.composed("none", pools.train, 0), pools.train)
    assert scores.of(training)["fd-ratio"] > 5  # of a generator that was not trained


def test_the_page_shows_what_is_stored():
    page = few_images.PAGE.read_text()
    assert few_images.fill(page, STORED) == page, "python -m benchmarks.few_images table"


def test_a_stored_run_says_with_what_it_was_made():
    keys = [few_images.key_of(row) for row in STORED]
    assert len(set(keys)) == len(keys)
    told = {"words", "stages", "reals", "date", "commit", "torch", "processor", "threads"}
    assert not [few_images.key_of(row) for row in STORED if told - set(row)]

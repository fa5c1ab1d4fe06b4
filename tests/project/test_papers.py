"""Recipes of single papers: the benchmark scores their small forms, the page shows what is stored."""

from benchmarks import papers
from gancore import Training, compose

STORED = papers.read()


def test_a_run_is_scored_against_images_that_it_did_not_train_on():
    data = papers.judging("fastgan")
    assert len(data) == 2 * papers.JUDGED_BY  # the recipe has a hundred
    assert list(data.shape[1:]) == [16, 16]
    scores = papers.Scores(data)
    assert scores.n == 1000
    training = Training.of(papers.composed("fastgan"))
    assert len(training.context.data) == 100
    assert scores.of(training)["ratio"] > 5  # of a generator that was not trained


def test_a_recipe_is_trained_to_its_last_step():
    composition = compose(recipe="wgan-lp", variants=["small"], settings={"steps": 3})
    training, seconds = papers.train(composition)
    assert training.step == 3
    assert seconds > 0
    assert 0 <= papers.points_of(training)["count"] <= 25


def test_a_picture_shows_points_and_images(tmp_path):
    for recipe in ("wgan-lp", "fastgan"):
        path = tmp_path / f"{recipe}.png"
        papers.draw(Training.of(papers.composed(recipe)), path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_page_names_every_recipe_and_shows_what_is_stored():
    page = papers.PAGE.read_text()
    assert papers.fill(page, STORED) == page, "python -m benchmarks.papers table"
    for recipe in papers.IMAGES + papers.PLANE:
        assert f"gan run --recipe {recipe} --small" in page


def test_a_stored_run_says_with_what_it_was_made():
    keys = [papers.key_of(row) for row in STORED]
    assert len(set(keys)) == len(keys)
    told = {"steps", "seconds", "figures", "date", "commit", "torch", "processor", "threads"}
    assert not [papers.key_of(row) for row in STORED if told - set(row)]


def test_a_stored_run_has_the_steps_that_its_recipe_has_now():
    for row in STORED:
        assert row["steps"] == papers.composed(row["recipe"]).settings.steps, row["recipe"]

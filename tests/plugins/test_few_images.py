"""Metrics on data of one to three images: refused before the run's folder is made, or measured;
never a dead run.
"""

import pytest
from PIL import Image

from gancore import DataError, UsageError, compose
from gancore.run.loop import Run

WORDS = {"dcgan.width": 4, "dcgan-critic.width": 4}
LEAST = {"frechet": 4, "mmd": 4, "sliced-wasserstein": 4, "collapse": 2}
METRICS = [*LEAST, "nearest", "critic-accuracy", "critic-output", "gradient-flow"]


def folder_of(tmp_path, count):
    for number in range(count):
        Image.new("RGB", (8, 8), (80 * number, 9, 99)).save(tmp_path / f"{number}.png")
    return tmp_path


def composition(data, options=None, **slots):
    options = {"image-folder.path": str(data), **WORDS, **(options or {})}
    settings = {"steps": 2, "batch": 2, "sample-every": 1}
    return compose(
        data="image-folder",
        gen="dcgan",
        critic="dcgan-critic",
        options=options,
        settings=settings,
        **slots,
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_on_few_images_is_measured_or_refused_by_name_before_the_folder_is_made(
    tmp_path, metric, count
):
    (tmp_path / "images").mkdir()
    chosen = composition(folder_of(tmp_path / "images", count), metric=[metric])
    if count >= LEAST.get(metric, 1):
        Run.start(chosen, tmp_path / "r").fit()
        return
    with pytest.raises(DataError) as caught:
        Run.start(chosen, tmp_path / "r")
    assert metric in caught.value.what and f"the data hold {count}" in caught.value.what
    assert caught.value.where == f"metric {metric}" and f"--without {metric}" in caught.value.fix
    assert not (tmp_path / "r").exists()


def test_a_classifier_on_few_different_images_is_refused_before_the_folder_is_made(tmp_path):
    for kind in "ab":
        (tmp_path / "images" / kind).mkdir(parents=True)
        folder_of(tmp_path / "images" / kind, 2)
    chosen = composition(
        tmp_path / "images", {"repeat.images": 4}, metric=["recognition"], reg=["repeat"]
    )
    with pytest.raises(DataError, match="needs 5 distinct images, but the data give 2"):
        Run.start(chosen, tmp_path / "r")
    assert not (tmp_path / "r").exists()


REFUSER = """
from gancore import UsageError, component, hookimpl
@component(source="a test")
class Refuser:
    "Refuse."
    @hookimpl
    def before_step(self, step):
        if step == {step}:
            raise UsageError("it is refused", fix="leave it out")
"""


@pytest.mark.parametrize(("step", "stays"), [(0, False), (1, True)])
def test_a_start_that_is_refused_at_its_first_step_leaves_its_name_free(tmp_path, step, stays):
    (tmp_path / "refuser.py").write_text(REFUSER.format(step=step))
    chosen = composition(folder_of(tmp_path, 2), reg=[str(tmp_path / "refuser.py")])
    with pytest.raises(UsageError, match="it is refused"):
        Run.start(chosen, tmp_path / "r").fit()
    assert (tmp_path / "r").exists() == stays
    assert list(tmp_path.glob("*trash*")) == []

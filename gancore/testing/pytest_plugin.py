"""Fixtures for the tests of plugins; pytest finds them wherever gancore is installed.

    def test_trains_on_every_kind_of_data(gan_train, gan_data, gan_runtime):
        gan_train(MyTrick()).train_step()

Nothing here imports torch before a fixture is used, so that a project whose tests use none of them
does not wait for it. `-p no:gancore` leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition
    from gancore.train.batch import Batch
    from gancore.train.data import StoredData
    from gancore.train.loop import Training
    from gancore.train.precision import Runtime

POINTS = (2,)
SIGNALS = (2, 32)
IMAGES = (3, 16, 16)
VOLUMES = (1, 8, 8, 8)

LABELS = (3,)


@pytest.fixture(params=["cpu", "cuda", "bf16"])
def gan_runtime(request: pytest.FixtureRequest) -> Runtime:
    """Return where a training computes: on the CPU, on a GPU, and in bf16 on the better of both.

    The one on a GPU is skipped where there is none.
    """
    import torch

    from gancore.train.precision import Runtime

    has_gpu = torch.cuda.is_available()
    if request.param == "cuda" and not has_gpu:
        pytest.skip("no CUDA device")
    if request.param == "bf16":
        return Runtime(torch.device("cuda" if has_gpu else "cpu"), "bf16")
    return Runtime(torch.device(request.param))


@pytest.fixture(params=[IMAGES, POINTS, SIGNALS], ids=["images", "points", "signals"])
def gan_shape(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """Return the shape of a sample: an image `(C, H, W)`, a point `(d,)`, a signal `(C, T)`."""
    shape: tuple[int, ...] = request.param
    return shape


@pytest.fixture(params=[LABELS, ()], ids=["labels", "no-labels"])
def gan_classes(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """Return the number of classes of each label set: one set of three, and none."""
    classes: tuple[int, ...] = request.param
    return classes


@pytest.fixture
def gan_data(gan_shape: tuple[int, ...], gan_classes: tuple[int, ...]) -> StoredData:
    """Make data of every shape of `gan_shape`, with labels and without."""
    return _data(gan_shape, gan_classes)


@pytest.fixture
def gan_images() -> StoredData:
    """Make images `(3, 16, 16)` with one label set of three classes."""
    return _data(IMAGES, LABELS)


@pytest.fixture
def gan_points() -> StoredData:
    """Make points `(2,)` with one label set of three classes."""
    return _data(POINTS, LABELS)


@pytest.fixture
def gan_signals() -> StoredData:
    """Make signals `(2, 32)` in [-1, 1] with one label set of three classes."""
    return _data(SIGNALS, LABELS)


@pytest.fixture
def gan_volumes() -> StoredData:
    """Make volumes `(1, 8, 8, 8)` with one label set of three classes."""
    return _data(VOLUMES, LABELS)


def _data(shape: tuple[int, ...], classes: tuple[int, ...]) -> StoredData:
    from gancore.testing import some_data

    return some_data(shape, classes)


@pytest.fixture
def gan_train(request: pytest.FixtureRequest) -> Callable[..., Training]:
    """Return `gancore.testing.train`: `gan_train(MyTrick()).train_step()`.

    It trains on `gan_data`, and as `gan_runtime` says, where the test takes these fixtures.
    """
    from gancore.testing import train

    more = _taken(request, data="gan_data", runtime="gan_runtime")

    def make(*components: Any, **given: Any) -> Training:
        return train(*components, **{**more, **given})

    return make


@pytest.fixture
def gan_batch(gan_train: Callable[..., Training]) -> Callable[..., Batch]:
    """Return a function that makes a batch of such a training: `gan_batch(MyTrick())`.

    `role` is `"critic"` or `"generator"`, whose update the batch belongs to.
    """
    from gancore.testing import some_batch

    def make(*components: Any, role: str = "critic", **given: Any) -> Batch:
        return some_batch(gan_train(*components, **given), role)

    return make


@pytest.fixture
def gan_composition(request: pytest.FixtureRequest) -> Callable[..., Composition]:
    """Return `gancore.testing.tiny_composition`: `Training.of(gan_composition(MyTrick()))`.

    Its data are `gan_data` where the test takes that fixture.
    """
    from gancore.testing import tiny_composition

    more = _taken(request, data="gan_data")

    def make(*components: Any, **given: Any) -> Composition:
        return tiny_composition(*components, **{**more, **given})

    return make


def _taken(request: pytest.FixtureRequest, **fixtures: str) -> dict[str, Any]:
    """Return the values of those fixtures that the test takes too, by argument."""
    taken = {}
    for argument, name in fixtures.items():
        if name in request.fixturenames:
            taken[argument] = request.getfixturevalue(name)
    return taken

"""The fixtures of the pytest plugin, as a plugin's own tests use them."""

import subprocess
import sys
from importlib.metadata import entry_points

TESTS = """
from gancore import Training


def test_trains(gan_train, gan_data, gan_runtime):
    training = gan_train()
    training.train_step()
    assert training.context.data is gan_data
    assert training.context.runtime is gan_runtime


def test_batches(gan_batch, gan_images, gan_points, gan_signals, gan_volumes):
    for data in (gan_images, gan_points, gan_signals, gan_volumes):
        batch = gan_batch(data=data, role="generator")
        assert batch.fake.score.shape == (8,)
        assert batch.fake.images.shape == (8, *data.shape)


def test_composes(gan_composition, gan_data):
    training = Training.of(gan_composition())
    training.train_step()
    assert training.context.data is gan_data
"""


def test_the_fixtures_make_trainings_batches_and_compositions(tmp_path):
    (tmp_path / "test_own.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_own.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    # three shapes, with labels and without, on each device; cuda is skipped where there is none
    assert "25 passed" in done.stdout or "19 passed, 6 skipped" in done.stdout
    assert ("no CUDA device" in done.stdout) == ("skipped" in done.stdout)


def test_pytest_finds_the_fixtures_and_loads_no_torch_for_them():
    (found,) = entry_points(group="pytest11", name="gancore")
    assert found.value == "gancore.testing.pytest_plugin"
    code = f"import sys, {found.value}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What all tests share: where the small real data sets lie, and how to run the command line."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support.paths import REAL_DATA

from gancore.cli import main
from gancore.process import global_state


@pytest.fixture
def real_data():
    """Return a finder of real data sets that skips the test where one is absent."""

    def find(name: str) -> Path:
        path = REAL_DATA / name
        if not path.is_dir():
            pytest.skip(
                f"the real images {name} are not beside the checkout (../shared/data/{name})"
            )
        return path

    return find


@pytest.fixture
def float64():
    """Let torch make float64 unless it is told otherwise."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def finished(done, check):
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def gan(tmp_path):
    """Return a runner of `gan …` in a real process, in an empty folder."""

    def run(*words: object, check: int = 0):
        command = [sys.executable, "-m", "gancore", *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
        )
        return finished(done, check)

    return run


@pytest.fixture
def gan_here(tmp_path, monkeypatch, capsys):
    """Return a runner of `gan …` in this process, where torch is already imported; otherwise as
    `gan`.
    """

    def run(*words: object, check: int = 0):
        monkeypatch.chdir(tmp_path)
        handlers = {
            number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))
        for number, handler in handlers.items():
            signal.signal(number, handler)
        out = capsys.readouterr()
        return finished(
            SimpleNamespace(returncode=ended.value.code, stdout=out.out, stderr=out.err), check
        )

    return run


@pytest.fixture
def same_process():
    """Fail where a test leaves the settings of the process changed, and put them back."""
    before = global_state.settings()
    yield before
    assert global_state.put_back(before) == []

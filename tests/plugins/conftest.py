"""A shelf of plugins, and how `gan` ends that meets them."""

import pytest
from support.plugin_shelf import Shelf, looked_up

from gancore.cli import main
from gancore.plugins import inspection
from gancore.process import global_state


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    made = Shelf(tmp_path / "site")
    own = inspection.inspect_entry
    monkeypatch.setattr(
        inspection,
        "inspect_entry",
        lambda entry: (looked_up if entry.value.startswith("gan_plugin_") else own)(entry),
    )
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    monkeypatch.undo()
    made.forget()


@pytest.fixture
def refused(gan_here):
    """Return a runner of `gan …` that expects a failure and returns what stderr says."""
    return lambda *words, code=1: gan_here(*words, check=code).stderr


@pytest.fixture
def debugged(tmp_path, monkeypatch, capsys):
    """Return a runner of `gan --debug …` in this process that expects a failure and returns what
    stderr says.
    """

    def run(*words):
        monkeypatch.chdir(tmp_path)
        handlers = global_state.settings()
        with pytest.raises(SystemExit) as ended:
            main(["--debug", *words])
        global_state.put_back(handlers)
        assert ended.value.code == 1
        return capsys.readouterr().err

    return run

"""Open every hostile checkpoint while Python reports what it does: no code, no socket, no file
outside the run.

python -m support.audit_hostile_checkpoints RUN PLACE    RUN is a finished run, PLACE an empty
folder
"""

import importlib
import os
import shutil
import sys
from pathlib import Path

from gancore import GanError, Run
from gancore.run.checkpoint import reader, writer
from support.hostile_checkpoints import cases

FORBIDDEN = (
    "exec", "compile", "import", "code.", "marshal.", "pickle.", "os.system", "os.exec", "os.fork",
    "os.spawn", "os.posix_spawn", "subprocess.", "socket.", "webbrowser.", "urllib.", "ftplib.", "smtplib.",
)  # fmt: skip
CHANGES = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link", "os.symlink", "shutil.",
)  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Audit:
    """Note each forbidden event while a run is `open`."""

    def __init__(self):
        self.open, self.noted = None, []
        sys.addaudithook(self.hear)

    def hear(self, event, details):
        if self.open is None:
            return
        if event.startswith(FORBIDDEN):
            self.noted.append((event, str(details)[:200]))
        paths = [details[0]] if event == "open" and (details[2] or 0) & WRITING else []
        for path in details if event.startswith(CHANGES) else paths:
            if isinstance(path, str | os.PathLike) and not Path(
                os.path.abspath(path)
            ).is_relative_to(self.open):
                self.noted.append((event, str(path)))

    def of(self, run, action):
        """Return the kind of error that an action on a run ends with, or nothing."""
        self.open = run
        try:
            action(run)
        except GanError as error:
            return type(error).__name__
        finally:
            self.open = None
        return ""


def read(run):
    found = writer.steps(run / "checkpoints")
    reader.read(found[-1] if found else run / "checkpoints")


def load(run):
    Run.load(run, device="cpu")


def misbehave(run):
    (run.parent / "beside").write_text("")
    importlib.import_module("colorsys")


def main(finished, place):
    finished = Path(shutil.copytree(finished, place / "good"))
    for each in writer.steps(finished / "checkpoints")[:-1]:
        shutil.rmtree(each)
    runs = []
    for name, (spoil, _) in cases().items():
        runs.append(Path(shutil.copytree(finished, place / name)))
        spoil(writer.steps(runs[-1] / "checkpoints")[-1])
    audit = Audit()
    for action in (read, load, Run.resume):  # whatever is imported late is imported now
        assert audit.of(finished, action) == ""
        assert audit.of(runs[0], action) == "CheckpointError"
    assert audit.of(finished, misbehave) == ""
    assert {"open", "import", "exec"} <= {event for event, _ in audit.noted}
    audit.noted.clear()
    for number, run in enumerate(runs):
        actions = [read]
        actions += [load] if number % 8 == 0 else []  # building networks takes most of the time
        actions += [Run.resume] if number % 16 == 0 else []
        for action in actions:
            ended = audit.of(run, action)
            assert ended == "CheckpointError", (run.name, ended)
    assert audit.noted == [], audit.noted
    print(f"{len(runs)} opened")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

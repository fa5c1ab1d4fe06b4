"""Trains one trial of a sweep in a worker process."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gancore.errors import GanError, UsageError
from gancore.hardware.startup import prepare_process
from gancore.process.standard_streams import keep_streams
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.toml import layer_of
from gancore.run import directory
from gancore.run.loop import Run

# executors may use threads, but torch's settings and random numbers belong to the process
one_run_at_a_time = threading.Lock()


def start_worker(parent: int) -> None:
    """Prepare a worker process that trains for the process `parent`, and let it end with that.

    Ctrl-C ends it at once. Nothing is lost: a checkpoint is written whole or not at all, and the
    same sweep continues from it.
    """
    keep_streams()
    prepare_process()
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()


def train_trial(folder: str, recipe: Mapping[str, Any]) -> str:
    """Train the run in a folder to its end, or continue it; return why it failed, or ''.

    The sweep may have been planned on another machine. If something is missing on this one, the
    message names this machine.
    """
    with one_run_at_a_time:
        try:
            composition = _compose_here(folder, recipe)
            if (Path(folder) / directory.RECIPE).exists():
                Run.resume(folder, files=lambda _: True).fit(progress=False)
            else:
                Run.start(composition, folder).fit(progress=False)
        except GanError as error:
            return error.what
    return ""


def _compose_here(folder: str, recipe: Mapping[str, Any]) -> Composition:
    host = socket.gethostname()
    parent = Path(folder).parent
    if not parent.is_dir():
        what = f"{host} sees no folder {parent}: all machines must share it"
        raise UsageError(what, where=folder)
    try:
        return resolve([layer_of(folder, recipe)], exact=True)
    except GanError as error:
        what = f"{host} cannot compose the run: {error.what}"
        raise UsageError(what, where=error.where, fix=error.fix) from error

"""One run by several processes of this machine: start them, pass signals on, and say how they ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gancore.cli.console import complain
from gancore.cli.executors import share_cores
from gancore.cli.signals import Signals
from gancore.errors import GanError
from gancore.recipe.compose import Composition
from gancore.run import directory

if TYPE_CHECKING:
    from gancore.run.loop import Run

LAUNCHER = "GANCORE_LAUNCHER"  # the variable that tells each process which process started it
GRACE = 30.0  # seconds that the others have to end by themselves once one has failed
LOOK = 0.1  # seconds between two looks at the processes


def expect_run(composition: Composition, out: Path | None, overwrite: bool, nproc: int) -> None:
    """Refuse, before any process is started, what each of them would refuse. Raises UsageError."""
    from gancore.distributed.group import ProcessGroup
    from gancore.distributed.launch import expect_shares

    directory.expect_free(out, overwrite=overwrite)
    expect_shares(composition.settings.batch, ProcessGroup(0, nproc))


def launch(nproc: int, words: Sequence[str]) -> int:
    """Run `gan WORDS` in so many processes; return the exit code.

    The first signal is passed on once, after which they end saved; a later one ends them at once. They are in sessions
    of their own, so that a Ctrl-C, which reaches the whole group of this process, reaches each of them once.
    """
    share_cores(nproc)
    with socket.socket() as reserved, Signals(on_repeat=lambda _: None) as signals:
        # bound but not listening: nobody else is given the port before the first process listens there
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        ranks = [_start(rank, nproc, port, words) for rank in range(nproc)]
        failures = _wait(ranks, signals)
    return _exit_code(ranks, failures, signals)


def _start(rank: int, nproc: int, port: int, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one process, with the variables that torchrun sets."""
    about = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": nproc,
        "LOCAL_WORLD_SIZE": nproc,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        LAUNCHER: os.getpid(),
    }
    environment = {**os.environ, **{name: str(value) for name, value in about.items()}}
    command = [sys.executable, "-m", "gancore", *without_nproc(words)]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _wait(ranks: Sequence[subprocess.Popen[bytes]], signals: Signals) -> list[int]:
    """Wait until all processes have ended; return those that failed, in the order in which they were seen to."""
    failures: list[int] = []
    passed_on = False
    until = float("inf")
    while alive := [process for process in ranks if process.poll() is None]:
        for rank, process in enumerate(ranks):
            if process.returncode and rank not in failures:
                failures.append(rank)
                until = min(until, time.monotonic() + GRACE)
        if signals.caught and not passed_on:
            passed_on = True
            for process in alive:
                process.send_signal(signals.caught[0])
        if signals.repeated or time.monotonic() > until:
            for process in alive:
                process.kill()
        time.sleep(LOOK)
    return failures + [rank for rank, each in enumerate(ranks) if each.returncode and rank not in failures]


def _exit_code(ranks: Sequence[subprocess.Popen[bytes]], failures: Sequence[int], signals: Signals) -> int:
    """Return the code of the first failure, which the process has explained; explain an end by a signal here."""
    codes = [ranks[rank].returncode for rank in failures]
    if signals.caught:
        expected = 128 + signals.caught[0]
        return next((code for code in codes if code > 0 and code != expected), expected)
    if not codes:
        return 0
    if codes[0] > 0:
        return codes[0]
    what = f"process {failures[0]} of {len(ranks)} was ended by {signal.Signals(-codes[0]).name}"
    complain(GanError(what, fix="go on with --resume"))
    return 1


def without_nproc(words: Sequence[str]) -> list[str]:
    """Leave `--nproc N` out of the words of a command line."""
    kept, skip = [], False
    for word in words:
        if not skip and word != "--nproc" and not word.startswith("--nproc="):
            kept.append(word)
        skip = word == "--nproc"
    return kept


# ── in each of the processes ──────────────────────────────────────────────────────────────────────────────────


def launcher() -> int:
    """Return the process that started this one and others to share a run; 0 for a run of one process."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return os.getppid()
    return int(os.environ.get(LAUNCHER, "0"))


def end_with_launcher(run: Run) -> None:
    """End a run after its step, saved, soon after the process that started this one is gone."""
    started_by = launcher()

    def watch() -> None:
        while os.getppid() == started_by:
            time.sleep(LOOK)
        run.notes.append("the process that started this one is gone; the run ends after this step")
        run.stop_after_step = True

    if started_by:
        threading.Thread(target=watch, name="launcher watch", daemon=True).start()

"""`gan run --nproc N`: start N processes, forward signals to them, and report how they ended."""

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

LAUNCHER = "GANCORE_LAUNCHER"  # environment variable: the id of the process that started this one
END_TIMEOUT = 30.0  # seconds that the other processes have to end after one has failed
POLL = 0.1  # seconds between two looks at the processes


def expect_run(composition: Composition, out: Path | None, overwrite: bool, nproc: int) -> None:
    """Raise the UsageErrors that each process would raise, before any is started."""
    from gancore.distributed.group import ProcessGroup
    from gancore.distributed.launch import expect_shares

    directory.expect_free(out, overwrite=overwrite)
    expect_shares(composition.settings.batch, ProcessGroup(0, nproc))


def launch(nproc: int, words: Sequence[str]) -> int:
    """Run `gan WORDS` in `nproc` processes and return the exit code.

    The first signal is forwarded, and the processes save and end; a later one kills them. Each
    process has a session of its own: otherwise Ctrl-C, which the terminal sends to the whole
    process group, would reach it twice.
    """
    share_cores(nproc)
    with socket.socket() as reserved, Signals(on_repeat=lambda _: None) as signals:
        # bound but not listening: this keeps the port free until rank 0 listens on it
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        processes = [_start(rank, nproc, port, words) for rank in range(nproc)]
        failures = _wait(processes, signals)
    return _exit_code(processes, failures, signals)


def _start(rank: int, nproc: int, port: int, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one process with the environment variables that torchrun sets."""
    variables = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": nproc,
        "LOCAL_WORLD_SIZE": nproc,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        LAUNCHER: os.getpid(),
    }
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    command = [sys.executable, "-m", "gancore", *without_nproc(words)]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _wait(processes: Sequence[subprocess.Popen[bytes]], signals: Signals) -> list[int]:
    """Wait until all processes have ended; return the ranks that failed, in order of failure."""
    failures: list[int] = []
    forwarded = False
    kill_at = float("inf")
    while alive := [process for process in processes if process.poll() is None]:
        for rank, process in enumerate(processes):
            if process.returncode and rank not in failures:
                failures.append(rank)
                kill_at = min(kill_at, time.monotonic() + END_TIMEOUT)
        if signals.caught and not forwarded:
            forwarded = True
            for process in alive:
                process.send_signal(signals.caught[0])
        if signals.repeated or time.monotonic() > kill_at:
            for process in alive:
                process.kill()
        time.sleep(POLL)
    # those that failed after the last look
    for rank, process in enumerate(processes):
        if process.returncode and rank not in failures:
            failures.append(rank)
    return failures


def _exit_code(
    processes: Sequence[subprocess.Popen[bytes]], failures: Sequence[int], signals: Signals
) -> int:
    """Return the exit code of the first failure.

    A process that fails prints its own error. If a signal ended it, print the error here.
    """
    codes = [processes[rank].returncode for rank in failures]
    if signals.caught:
        expected = 128 + signals.caught[0]
        unexpected = [code for code in codes if code > 0 and code != expected]
        return unexpected[0] if unexpected else expected
    if not codes:
        return 0
    if codes[0] > 0:
        return codes[0]
    name = signal.Signals(-codes[0]).name
    what = f"process {failures[0]} of {len(processes)} was ended by {name}"
    complain(GanError(what, fix="continue with --resume"))
    return 1


def without_nproc(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without `--nproc N`."""
    kept = []
    skip = False
    for word in words:
        if not skip and word != "--nproc" and not word.startswith("--nproc="):
            kept.append(word)
        skip = word == "--nproc"
    return kept


# ── in each of the processes ──────────────────────────────────────────────────────────────────────


def launcher() -> int:
    """Return the id of the process that launched the processes of this run; 0 if there is none."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return os.getppid()
    return int(os.environ.get(LAUNCHER, "0"))


def end_with_launcher(run: Run) -> None:
    """End a run after its current step, saved, if the process that launched it disappears."""
    started_by = launcher()

    def watch() -> None:
        # the system gives a process whose parent has ended another parent
        while os.getppid() == started_by:
            time.sleep(POLL)
        run.notes.append("the launcher of this process is gone; the run ends after this step")
        run.stop_after_step = True

    if started_by:
        threading.Thread(target=watch, name="launcher watch", daemon=True).start()

"""One run by several processes of this machine: torchrun starts them, and we say how they ended."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from gancore.cli.console import complain
from gancore.cli.executors import share_cores
from gancore.composition import Composition
from gancore.errors import GanError
from gancore.run import directory
from gancore.run.peers import expect_shares
from gancore.world import World


def expect_run(composition: Composition, out: Path | None, overwrite: bool, nproc: int) -> None:
    """Refuse, before any process is started, what each of them would refuse. Raises UsageError."""
    directory.expect_free(out, overwrite=overwrite)
    expect_shares(composition.settings.batch, World(0, nproc))


def launch(nproc: int, words: Sequence[str]) -> int:
    """Run `gan WORDS` in so many processes; return the exit code."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # its report of a failure is a page
    share_cores(nproc)
    how = ["--standalone", "--nproc-per-node", str(nproc), "-m", "gancore"]
    try:
        torchrun.run(torchrun.parse_args([*how, *without_nproc(words)]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode  # it has said why
        name = signal.Signals(-failure.exitcode).name
        complain(GanError(f"process {rank} of {nproc} was ended by {name}", mend="go on with --resume"))
        return 1
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def without_nproc(words: Sequence[str]) -> list[str]:
    """Leave `--nproc N` out of the words of a command line."""
    kept, skip = [], False
    for word in words:
        if not skip and word != "--nproc" and not word.startswith("--nproc="):
            kept.append(word)
        skip = word == "--nproc"
    return kept

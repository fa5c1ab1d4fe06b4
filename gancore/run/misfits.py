"""Whether the checkpoints of a run hold what its networks, optimisers and components want. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from gancore.data import DataOrder
from gancore.errors import CheckpointError, UsageError
from gancore.loop import Training
from gancore.networks import build
from gancore.rng import Streams
from gancore.run import checkpoint, directory
from gancore.run.device import choose_runtime
from gancore.run.opened import stored_plan
from gancore.run.resume_checks import expect_recipe
from gancore.run.run import reopen
from gancore.run.snapshot import expect_fit
from gancore.step import Game


def misfits(run: Path, found: Sequence[Path], files: Callable[[str], bool]) -> dict[str, str]:
    """Say by name which of the sound checkpoints `found` of a run could not be gone on with, and why.

    The networks are built on the CPU from the run's recipe and the shape of its data, which need not be there.
    `files` says which component files may be run. Raises GanError where they cannot be built.
    """
    composition = reopen(run, (), files)
    settings = evolve(composition.settings, device="cpu")
    streams, runtime = Streams(settings.seed), choose_runtime(settings)
    plan = stored_plan(composition, streams, checkpoint.read(found[-1]).snapshot)
    gan = build(composition.hooks, plan, streams, runtime.device)
    training = Training(Game(gan, composition.hooks, plan, streams, runtime, None), DataOrder(1, 1, streams))
    told = {}
    for path in found:
        snapshot = checkpoint.read(path).snapshot
        try:
            expect_recipe(composition, snapshot.state, str(run / directory.RECIPE), changed_data=False)
            expect_fit(training, snapshot)
        except (CheckpointError, UsageError) as error:
            told[path.name] = f"{path.name}: {error.what}"
    return told

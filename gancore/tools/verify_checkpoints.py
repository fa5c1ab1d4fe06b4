"""Check that a run could be resumed from its checkpoints. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from gancore.errors import CheckpointError, UsageError
from gancore.hardware.device import choose_runtime
from gancore.run import directory
from gancore.run.checkpoint import reader
from gancore.run.checkpoint.state import expect_loadable
from gancore.run.load import stored_plan
from gancore.run.resume_checks import expect_recipe
from gancore.run.session import reopen
from gancore.train.build import build
from gancore.train.context import TrainingContext
from gancore.train.data import DataOrder
from gancore.train.loop import Training
from gancore.train.rng import Streams


def unusable_checkpoints(
    run: Path, found: Sequence[Path], files: Callable[[str], bool]
) -> dict[str, str]:
    """Return why a run could not be resumed from some of its intact checkpoints, by their names.

    The networks are built on the CPU from the run's recipe and the shape of its data, which need
    not be there. `files` returns whether a component file may be imported. Raises GanError where
    the networks cannot be built.
    """
    composition = reopen(run, (), files)
    # shapes are the same everywhere, so this works on a machine without the run's device
    settings = evolve(composition.settings, device="cpu")
    streams = Streams(settings.seed)
    runtime = choose_runtime(settings)
    plan = stored_plan(composition, streams, reader.read(found[-1]).snapshot)
    gan = build(composition.hooks, plan, streams, runtime.device)
    # no data and batches of one: nothing is trained
    context = TrainingContext(gan, composition.hooks, plan, streams, runtime, None)
    training = Training(context, DataOrder(1, 1, streams))
    reasons = {}
    for path in found:
        snapshot = reader.read(path).snapshot
        try:
            expect_recipe(
                composition, snapshot.state, str(run / directory.RECIPE), changed_data=False
            )
            expect_loadable(training, snapshot)
        except (CheckpointError, UsageError) as error:
            reasons[path.name] = f"{path.name}: {error.what}"
    return reasons

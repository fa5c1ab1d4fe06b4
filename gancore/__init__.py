"""gancore: compose a GAN from plugins. Public names; those that need torch are imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gancore.component import component, hookimpl, memory, name_of, needs, option, refuses, wary_of, wary_without
from gancore.errors import (
    CheckpointError,
    CompositionError,
    DataError,
    GanError,
    NumbersError,
    PeerError,
    PluginError,
    UsageError,
)
from gancore.plan import Head, LabelSet, Plan, Tail, Update, pyramid

if TYPE_CHECKING:
    from gancore.bar import progress_bar
    from gancore.batch import Batch, Judgement, Sample
    from gancore.composition import Composition, compose
    from gancore.data import Data, DataSpec, StoredData, expect_memory, resize_images
    from gancore.derivatives import slopes
    from gancore.networks import GAN, Critic, Crop
    from gancore.rng import draw_rows, fork_state
    from gancore.run.directory import RowReader, read_rows
    from gancore.run.progress import Progress
    from gancore.run.run import Run
    from gancore.run.samples import grid, save_picture
    from gancore.settings import Settings
    from gancore.world import average, gather, peers

_LATER = {
    "Batch": "batch", "Judgement": "batch", "Sample": "batch", "Composition": "composition",
    "compose": "composition", "Data": "data", "DataSpec": "data", "StoredData": "data", "resize_images": "data",
    "expect_memory": "data", "progress_bar": "bar",
    "GAN": "networks", "Critic": "networks", "Crop": "networks", "Run": "run.run", "read_rows": "run.directory",
    "RowReader": "run.directory",
    "grid": "run.samples", "save_picture": "run.samples", "Progress": "run.progress", "Settings": "settings",
    "average": "world", "gather": "world", "peers": "world", "draw_rows": "rng", "fork_state": "rng",
    "slopes": "derivatives",
}  # fmt: skip

__all__ = [
    "GAN", "Batch", "CheckpointError", "Composition", "CompositionError", "Critic", "Crop", "Data", "DataError",
    "DataSpec", "GanError", "Head", "Judgement", "LabelSet", "NumbersError", "PeerError", "Plan", "PluginError",
    "Progress", "RowReader", "Run", "Sample", "Settings", "StoredData", "Tail", "Update", "UsageError", "average",
    "component", "compose", "draw_rows", "expect_memory", "fork_state", "gather", "grid", "hookimpl", "memory",
    "name_of", "needs", "option", "peers", "progress_bar", "pyramid", "read_rows", "refuses", "resize_images",
    "save_picture", "slopes", "wary_of", "wary_without",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'gancore' has no attribute {name!r}")
    found = getattr(import_module(f"gancore.{_LATER[name]}"), name)
    globals()[name] = found
    return found

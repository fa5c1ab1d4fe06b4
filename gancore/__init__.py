"""Compose a GAN from plugins: the public names. Those that need torch are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from gancore.plugins.component import (
    cached,
    component,
    conflicts,
    hookimpl,
    name_of,
    option,
    preset,
    requires,
    state,
    warns_with,
    warns_without,
)
from gancore.train.plan import Head, LabelSet, Plan, Tail, Update, pyramid

if TYPE_CHECKING:
    from gancore.autograd import input_gradients
    from gancore.distributed.collectives import average, gather
    from gancore.distributed.group import ProcessGroup, peers
    from gancore.progressbar import progress_bar
    from gancore.recipe.compose import Composition, compose
    from gancore.recipe.settings import Settings
    from gancore.run.directory import RowReader, read_rows
    from gancore.run.loop import Run
    from gancore.run.pictures import grid, save_picture
    from gancore.train.batch import Batch, Sample, Side, UpdateId
    from gancore.train.data import (
        Data,
        DataSpec,
        StoredData,
        Subset,
        expect_memory,
        open_data,
        resize_images,
    )
    from gancore.train.layers import ConditionalLayer, Layers
    from gancore.train.loop import Training
    from gancore.train.networks import GAN, Critic, CriticOutput, Crop, Frozen, Player, Values
    from gancore.train.progress import Progress
    from gancore.train.rng import draw_rows, fork_state
    from gancore.train.sampling import evaluating

# Where the names that need torch are defined. They are imported on first use, so that
# `import gancore` takes milliseconds and `gan plugins` starts at once.
_MODULES = {
    "autograd": ["input_gradients"],
    "distributed.collectives": ["average", "gather"],
    "distributed.group": ["ProcessGroup", "peers"],
    "progressbar": ["progress_bar"],
    "recipe.compose": ["Composition", "compose"],
    "recipe.settings": ["Settings"],
    "run.directory": ["RowReader", "read_rows"],
    "run.pictures": ["grid", "save_picture"],
    "run.loop": ["Run"],
    "train.batch": ["Batch", "Sample", "Side", "UpdateId"],
    "train.loop": ["Training"],
    "train.data": [
        "Data",
        "DataSpec",
        "StoredData",
        "Subset",
        "expect_memory",
        "open_data",
        "resize_images",
    ],
    "train.layers": ["ConditionalLayer", "Layers"],
    "train.networks": ["GAN", "Critic", "CriticOutput", "Crop", "Frozen", "Player", "Values"],
    "train.progress": ["Progress"],
    "train.rng": ["draw_rows", "fork_state"],
    "train.sampling": ["evaluating"],
}
_HOMES: dict[str, str] = {}
for _module, _names in _MODULES.items():
    _HOMES |= dict.fromkeys(_names, _module)

__all__ = [
    "GAN",
    "Batch",
    "CheckpointError",
    "Composition",
    "CompositionError",
    "ConditionalLayer",
    "Critic",
    "CriticOutput",
    "Crop",
    "Data",
    "DataError",
    "DataSpec",
    "Frozen",
    "GanError",
    "Head",
    "LabelSet",
    "Layers",
    "NumbersError",
    "PeerError",
    "Plan",
    "Player",
    "PluginError",
    "ProcessGroup",
    "Progress",
    "RowReader",
    "Run",
    "Sample",
    "Settings",
    "Side",
    "StoredData",
    "Subset",
    "Tail",
    "Training",
    "Update",
    "UpdateId",
    "UsageError",
    "Values",
    "average",
    "cached",
    "component",
    "compose",
    "conflicts",
    "draw_rows",
    "evaluating",
    "expect_memory",
    "fork_state",
    "gather",
    "grid",
    "hookimpl",
    "input_gradients",
    "name_of",
    "open_data",
    "option",
    "peers",
    "preset",
    "progress_bar",
    "pyramid",
    "read_rows",
    "requires",
    "resize_images",
    "save_picture",
    "state",
    "warns_with",
    "warns_without",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gancore' has no attribute {name!r}")
    found = getattr(import_module(f"gancore.{_HOMES[name]}"), name)
    globals()[name] = found
    return found

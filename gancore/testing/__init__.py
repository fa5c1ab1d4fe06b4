"""The conformance kit: checks that every component must pass, and helpers for its own tests.

    from gancore.testing import check_component

    def test_conforms():
        check_component(MyTrick)

`train` builds a tiny training in memory from components, and fills every slot that they leave open
with a plain stand-in, so that the tests of a plugin need no other plugin. The chapters:

- `stand_ins`: the components that fill open slots;
- `trainings`: tiny trainings, compositions and batches;
- `comparing`: snapshots of trainings, compared bit by bit;
- `checks`: `check_component` and the checks that it consists of;
- `processes`: one process against two that share each batch;
- `gradients`: the gradient of terms against finite differences;
- `cost`: time and memory that a component adds to a step;
- `findings`: everything that is wrong with a component, in plain words;
- `pytest_plugin`: fixtures, which pytest finds wherever gancore is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gancore.testing.checks import (
        check_component,
        check_composes_with,
        check_exact_resume,
        check_help,
        check_options,
        check_records,
    )
    from gancore.testing.comparing import (
        Snapshot,
        assert_equal,
        capture,
        copy_state,
        restore,
        through_files,
    )
    from gancore.testing.cost import Cost, cost_of
    from gancore.testing.faults import Fault
    from gancore.testing.findings import Findings, find_faults
    from gancore.testing.gradients import check_gradients
    from gancore.testing.processes import check_two_processes
    from gancore.testing.stand_ins import StandIn, StandInLayers, StandInLoss
    from gancore.testing.trainings import (
        critic_batch,
        scores_batch,
        some_batch,
        some_data,
        terms,
        tiny_composition,
        train,
    )
    from gancore.testing.watching import WatchedHooks

# Imported on first use, because they need torch: pytest imports this package at every start, for
# its fixtures, also where no test uses them.
_MODULES = {
    "checks": [
        "check_component",
        "check_composes_with",
        "check_exact_resume",
        "check_help",
        "check_options",
        "check_records",
    ],
    "comparing": [
        "Snapshot",
        "assert_equal",
        "capture",
        "copy_state",
        "restore",
        "through_files",
    ],
    "cost": ["Cost", "cost_of"],
    "faults": ["Fault"],
    "findings": ["Findings", "find_faults"],
    "gradients": ["check_gradients"],
    "processes": ["check_two_processes"],
    "stand_ins": ["StandIn", "StandInLayers", "StandInLoss"],
    "trainings": [
        "critic_batch",
        "scores_batch",
        "some_batch",
        "some_data",
        "terms",
        "tiny_composition",
        "train",
    ],
    "watching": ["WatchedHooks"],
}
_HOMES: dict[str, str] = {}
for _module, _names in _MODULES.items():
    _HOMES |= dict.fromkeys(_names, _module)

__all__ = [
    "Cost",
    "Fault",
    "Findings",
    "Snapshot",
    "StandIn",
    "StandInLayers",
    "StandInLoss",
    "WatchedHooks",
    "assert_equal",
    "capture",
    "check_component",
    "check_composes_with",
    "check_exact_resume",
    "check_gradients",
    "check_help",
    "check_options",
    "check_records",
    "check_two_processes",
    "copy_state",
    "cost_of",
    "critic_batch",
    "find_faults",
    "restore",
    "scores_batch",
    "some_batch",
    "some_data",
    "terms",
    "through_files",
    "tiny_composition",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gancore.testing' has no attribute {name!r}")
    found = getattr(import_module(f"gancore.testing.{_HOMES[name]}"), name)
    globals()[name] = found
    return found

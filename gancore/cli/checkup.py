"""`gan plugins --check`: import each plugin in a child process, where it may exit, crash or hang.

One child process imports the plugins one after the other and prints a verdict on each. If it ends
early, the plugin that it was importing is at fault, and a new child continues with the next one.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from gancore.errors import GanError, UsageError
from gancore.plugins import discovery, loading
from gancore.plugins.component import options_of
from gancore.plugins.discovery import Row
from gancore.recipe.options import convert

LIMIT = 60.0  # seconds an import may take
COMPLETE = ""  # printed last, in the place of a plugin, by a child that ended in an orderly way

# a plugin that replaces one of these functions changes the figures of every run
KEY_FUNCTIONS = (
    "torch.tensor",
    "torch.zeros",
    "torch.randn",
    "torch.rand",
    "torch.manual_seed",
    "torch.no_grad",
    "torch.cat",
    "torch.stack",
    "torch.matmul",
    "torch.Tensor.backward",
    "torch.Tensor.to",
    "torch.Tensor.detach",
    "torch.Tensor.__add__",
    "torch.Tensor.__mul__",
    "torch.autograd.backward",
    "torch.autograd.grad",
    "torch.nn.Module.__call__",
    "torch.nn.Linear.forward",
    "torch.nn.Conv2d.forward",
    "torch.nn.functional.linear",
    "torch.nn.functional.conv2d",
    "torch.optim.Optimizer.zero_grad",
    "torch.optim.Optimizer.state_dict",
    "torch.Generator",
)


def checked(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with import failures in the status of those that looked fine so far."""
    verdicts: dict[str, str] = {}
    objects = [row.object for row in rows if row.status == "ok"]
    waiting = list(dict.fromkeys(objects))  # two names may be published for one class
    while waiting:
        found, end = _run_child(waiting)
        verdicts |= found
        # a child takes them in order, so those with a verdict are the first
        waiting = [each for each in waiting if each not in found]
        if end and waiting:
            at_fault = waiting.pop(0)
            verdicts[at_fault] = end
    return [attrs.evolve(row, status=verdicts.get(row.object, row.status)) for row in rows]


def _run_child(objects: Sequence[str]) -> tuple[dict[str, str], str]:
    """Import objects in a child; return its verdicts, and how it ended if it ended too early."""
    # -P leaves the current folder out, whose files could shadow modules; the child otherwise finds
    # what this process finds
    command = [sys.executable, "-P", "-m", "gancore.cli.checkup", str(LIMIT), *objects]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment, check=False
    )
    verdicts = dict(json.loads(line) for line in done.stdout.splitlines())
    if verdicts.pop(COMPLETE, None):
        return verdicts, ""
    if "Timeout (" in done.stderr:  # what faulthandler writes first
        return verdicts, f"its import did not end within {LIMIT:g} s"
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return verdicts, f"its import ends the process by {name}"
    return verdicts, f"its import ends the process with exit code {done.returncode}"


def check_objects(limit: str, *objects: str) -> None:
    """Import objects and print a verdict on each, in the child process.

    This stops after an object that changed the process for those after it: they need a new child.
    """
    from gancore.process import global_state

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output from C code must not mix with the verdicts
    originals = key_functions()
    before = global_state.settings()
    for each in objects:
        # in C, by a thread of its own: it also ends an import that never returns to Python
        faulthandler.dump_traceback_later(float(limit), exit=True)
        verdict = examine(each)
        faulthandler.cancel_dump_traceback_later()
        now = key_functions()
        replaced = [name for name in now if now[name] is not originals[name]]
        if replaced and verdict == "ok":
            verdict = f"its import replaces {', '.join(replaced)}"
        out.write(json.dumps([each, verdict]) + "\n")
        out.flush()
        if replaced or global_state.put_back(before):
            break
    out.write(json.dumps([COMPLETE, "ok"]) + "\n")
    out.flush()
    os._exit(0)  # sys.exit would wait for threads that plugins have started


def key_functions() -> Mapping[str, Any]:
    """Return the key functions by name."""
    found = {}
    for name in KEY_FUNCTIONS:
        value: Any = importlib.import_module("torch")
        for part in name.split(".")[1:]:
            value = getattr(value, part)
        found[name] = value
    return found


def examine(name: str) -> str:
    """Import one object and instantiate it with its defaults; return `ok` or what is wrong."""
    objects = [row.object for row in discovery.installed()]
    row = discovery.installed()[objects.index(name)]
    try:
        cls = loading.load(row)
        for option_name, option in options_of(cls).items():
            try:
                convert(option.default, option.type)
            except ValueError as error:
                default = f"the default of {option_name} is {option.default!r}"
                return f"{default}, but must be {error}"
        cls()
    except UsageError:  # it has options without a default
        return "ok"
    except GanError as error:
        return error.what
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return f"it cannot be instantiated: {type(error).__name__}: {error}"
    return "ok"


if __name__ == "__main__":
    check_objects(*sys.argv[1:])

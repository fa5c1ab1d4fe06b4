"""`gan plugins --check`: import each plugin in a child process, where it may even exit, crash or hang.

One child imports them one after the other and tells each verdict on a line; what ends it is the fault of the plugin it
had begun, and another child takes up those after it.
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
FAREWELL = ""  # told last, by a child that ends of itself

# functions that everything stands on; a plugin that puts others in their place changes every figure
KEY_FUNCTIONS = (
    "torch.tensor", "torch.zeros", "torch.randn", "torch.rand", "torch.manual_seed", "torch.no_grad", "torch.cat",
    "torch.stack", "torch.matmul", "torch.Tensor.backward", "torch.Tensor.to", "torch.Tensor.detach",
    "torch.Tensor.__add__", "torch.Tensor.__mul__", "torch.autograd.backward", "torch.autograd.grad",
    "torch.nn.Module.__call__", "torch.nn.Linear.forward", "torch.nn.Conv2d.forward", "torch.nn.functional.linear",
    "torch.nn.functional.conv2d", "torch.optim.Optimizer.zero_grad",
    "torch.optim.Optimizer.state_dict", "torch.Generator",
)  # fmt: skip


def checked(rows: Sequence[Row]) -> list[Row]:
    """Put what fails at import into the status of rows that looked well so far."""
    verdicts: dict[str, str] = {}
    waiting = list(dict.fromkeys(row.object for row in rows if row.status == "ok"))
    while waiting:
        told, end = _child(waiting)
        verdicts |= told
        done = [each for each in waiting if each in told]
        if end and len(done) < len(waiting):
            verdicts[waiting[len(done)]] = end
            done.append(waiting[len(done)])
        waiting = waiting[len(done) :]
    return [attrs.evolve(row, status=verdicts.get(row.object, row.status)) for row in rows]


def _child(objects: Sequence[str]) -> tuple[dict[str, str], str]:
    """Let a child import objects; return the verdicts it told, and how it ended where it did not tell them all."""
    command = [sys.executable, "-P", "-m", "gancore.cli.checkup", str(LIMIT), *objects]
    group = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=group, check=False)
    told = dict(json.loads(line) for line in done.stdout.splitlines())
    if told.pop(FAREWELL, None):
        return told, ""
    if "Timeout (" in done.stderr:
        return told, f"its import did not end within {LIMIT:g} s"
    if done.returncode < 0:
        return told, f"its import ends the process by {signal.Signals(-done.returncode).name}"
    return told, f"its import ends the process with exit code {done.returncode}"


def main(limit: str, *objects: str) -> None:
    """Import objects and tell each verdict, until one changed what others rely on: those after it need a new child."""
    from gancore.process import global_state

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed below python must not mix with the verdicts
    known, before = key_functions(), global_state.settings()
    for each in objects:
        faulthandler.dump_traceback_later(float(limit), exit=True)
        verdict = examine(each)
        faulthandler.cancel_dump_traceback_later()
        patched = [name for name, function in key_functions().items() if function is not known[name]]
        if patched and verdict == "ok":
            verdict = f"its import replaces {', '.join(patched)}"
        out.write(json.dumps([each, verdict]) + "\n")
        out.flush()
        if patched or global_state.put_back(before):
            break
    out.write(json.dumps([FAREWELL, "ok"]) + "\n")
    out.flush()
    os._exit(0)  # threads that plugins started must not keep us


def key_functions() -> Mapping[str, Any]:
    """Look the key functions up, by name."""
    found = {}
    for name in KEY_FUNCTIONS:
        thing: Any = importlib.import_module("torch")
        for part in name.split(".")[1:]:
            thing = getattr(thing, part)
        found[name] = thing
    return found


def examine(named: str) -> str:
    """Import one component, make it with its defaults and read its options; return `ok` or what is wrong."""
    row = next(row for row in discovery.installed() if row.object == named)
    try:
        cls = loading.load(row)
        for name, option in options_of(cls).items():
            try:
                convert(option.default, option.type)
            except ValueError as error:
                return f"the default of {name} is {option.default!r}, but must be {error}"
        cls()
    except UsageError:  # it asks for options that have no default
        return "ok"
    except GanError as error:
        return error.what
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return f"it cannot be made: {type(error).__name__}: {error}"
    return "ok"


if __name__ == "__main__":
    main(*sys.argv[1:])
